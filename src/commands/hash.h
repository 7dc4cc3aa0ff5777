/* Hashes: HSET, HGET and their relatives. The rows run on any store; none knows a connection.
 *
 *     hash.c          single fields: HSET, HGET, HDEL, HINCRBY ...
 *     hash_walk.c     all fields, at once or in pieces: HGETALL, HKEYS, HVALS, HSCAN
 *     hash_random.c   fields by chance: HRANDFIELD
 *
 * A command sends one event, as Redis does; it travels with one of the command's effects. What a
 * hash holds is in store/hash_value.h.
 */
#ifndef TARN_COMMANDS_HASH_H
#define TARN_COMMANDS_HASH_H

#include "commands/command.h"
#include "store/hash_value.h"

extern const struct command hash_commands[];
extern const struct command hash_walk_commands[];
extern const struct command hash_random_commands[];

/* Finds the hash at the first argument for a command that reads. False: it has another type, and
 * the reply says so. *entry is NULL when there is no such key. */
bool hash_read(struct call *call, struct entry **entry);

/* A hash_visit: gives field and value to the struct reply. */
void hash_reply_pair(struct span field, struct span value, void *reply);

#endif
