/* The log's effects as what people and redis-server read: lines of text, and commands of an append
 * only file.
 *
 * The commands bring a server without data to what the log brought ours to, if the log begins
 * without data. One effect is one command or a few, or
 * none if it changes nothing; a SELECT stands before the first of another
 * database. Numbers of access (idle time, frequency) are left out.
 */
#ifndef TARN_COMMANDS_LOG_EXPORT_H
#define TARN_COMMANDS_LOG_EXPORT_H

#include "base/buffer.h"
#include "commands/effect_codec.h"

struct log_export {
    int64_t database; /* that the commands so far lead to; LOG_EXPORT_NO_DATABASE at the start */
};

#define LOG_EXPORT_NO_DATABASE (-1)

/* Appends the commands. */
void log_export_commands(struct log_export *export, const struct effect_record *record,
                         struct buffer *commands);

/* Appends one line: kind, place, and the parts that the kind has; of a long value only the
 * beginning. */
void log_export_line(const struct effect_record *record, struct buffer *text);

#endif
