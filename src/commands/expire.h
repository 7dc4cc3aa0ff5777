/* Commands on the expiry of keys: EXPIRE, TTL, EXPIRETIME, PERSIST and their kin. */
#ifndef TARN_COMMANDS_EXPIRE_H
#define TARN_COMMANDS_EXPIRE_H

#include "commands/command.h"

extern const struct command expire_commands[];

#endif
