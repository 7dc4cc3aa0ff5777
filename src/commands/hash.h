/* Hashes: HSET, HGET and their relatives. The rows run on any store; none knows a connection.
 *
 * A command sends one event, as Redis does; it travels with one of the command's effects. What a
 * hash holds is in store/hash_value.h.
 */
#ifndef TARN_COMMANDS_HASH_H
#define TARN_COMMANDS_HASH_H

#include "commands/command.h"

extern const struct command hash_commands[];

#endif
