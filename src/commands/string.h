/* Strings: GET, SET and their relatives. The rows run on any store; none knows a connection. */
#ifndef TARN_COMMANDS_STRING_H
#define TARN_COMMANDS_STRING_H

#include "commands/command.h"

extern const struct command string_commands[];

/* Before a patch that brings the string at place (or none yet) to length bytes: true when the
 * memory for it is there, so that the effect cannot fail. Else the reply is an OOM error. */
bool string_reserve(struct call *call, const struct place *place, size_t length);
void string_reply_no_memory(struct call *call);

/* The string at a key that is known to hold one, or nothing: then it is empty. Numbers are
 * written to scratch[NUMBER_TEXT_BYTES_MAX]. */
struct span string_at(struct call *call, struct span key, char *scratch);

#endif
