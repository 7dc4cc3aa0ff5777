/* Strings: GET, SET and their relatives. The rows run on any store; none knows a connection.
 *
 *     string.c          a whole value: SET, GET, GETEX, MSET ...
 *     string_part.c     some of its bytes: APPEND, GETRANGE, SETRANGE, STRLEN
 *     string_number.c   a value that is a number: INCR and its like
 *     string_lcs.c      LCS; the algorithm is in lcs.h
 */
#ifndef TARN_COMMANDS_STRING_H
#define TARN_COMMANDS_STRING_H

#include "commands/command.h"

extern const struct command string_commands[];
extern const struct command string_part_commands[];
extern const struct command string_number_commands[];
extern const struct command string_lcs_commands[];

/* Makes argument i the value of the key at place, whatever it held. expiry_ms: or
 * ENTRY_NO_EXPIRY. */
void string_put(struct call *call, struct place *place, uint32_t i, enum event event,
                int64_t expiry_ms);

/* The string at a key that is known to hold one, or nothing: then it is empty. Numbers are
 * written to scratch[NUMBER_TEXT_BYTES_MAX]. */
struct span string_at(struct call *call, struct span key, char *scratch);

/* Before a patch that brings the string at place (or none yet) to length bytes: true when the
 * memory for it is there, so that the effect cannot fail. Else the reply is an OOM error. */
bool string_reserve(struct call *call, const struct place *place, size_t length);
void string_reply_no_memory(struct call *call);

#endif
