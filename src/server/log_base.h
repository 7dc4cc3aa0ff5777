/* Log base: the data that a log goes on from, out of a snapshot, as the RDB file at the beginning
 * of an append only file. For tarn-log; says what goes wrong on standard error.
 */
#ifndef TARN_SERVER_LOG_BASE_H
#define TARN_SERVER_LOG_BASE_H

#include "oplog/segments.h"

/* Makes the file, which is not there, of the snapshot, which must be one that the log holds the end
 * of. *position: from where on the log goes on from it. 0, or an exit code. */
int log_base_write(const struct segments *segments, const char *snapshot, const char *file,
                   uint64_t *position);

#endif
