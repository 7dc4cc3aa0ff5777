/* Commands about the connection itself: PING, ECHO, SELECT, HELLO, AUTH, QUIT, RESET, CLIENT.
 */
#ifndef TARN_WORKER_CONNECTION_COMMANDS_H
#define TARN_WORKER_CONNECTION_COMMANDS_H

#include "worker/session.h"

extern const struct command connection_commands[];

#endif
