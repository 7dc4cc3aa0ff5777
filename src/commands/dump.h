/* DUMP and RESTORE: a value as bytes that any Redis takes. The bytes are a payload of
 * store/value_codec.h with a footer:
 *
 *   OFFSET  SIZE  MEANING
 *   0       ...   payload
 *   ...     2     version of the format (DUMP has RDB_VERSION), little endian
 *   ...     8     CRC-64 of all that is before, little endian
 */
#ifndef TARN_COMMANDS_DUMP_H
#define TARN_COMMANDS_DUMP_H

#include "commands/command.h"

extern const struct command dump_commands[];

/* Appends the footer of what the buffer holds, in that version of the format. */
void dump_append_footer(struct buffer *bytes, uint16_t version);
/* Takes the footer off. False: it is not there, or not right. */
bool dump_take_footer(struct span *dumped);

#endif
