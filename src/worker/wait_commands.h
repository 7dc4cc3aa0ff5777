/* WAIT and WAITAOF: a client waits until its own last change is held by so many replicas, or by so
 * many logs on disk. Unlike the quorum gate they wait for counts that they then tell, and promise
 * nothing.
 */
#ifndef TARN_WORKER_WAIT_COMMANDS_H
#define TARN_WORKER_WAIT_COMMANDS_H

#include "commands/command.h"

extern const struct command wait_commands[];

#endif
