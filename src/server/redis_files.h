/* Redis files: the RDB files that replicas which are redis-servers, and tools, begin with. Each is
 * made of a snapshot that was begun after it was asked for, on a thread of its own; all who asked
 * before it was begun share it. It has no name: with its last reader, or the process, it is gone.
 *
 * Lifecycle: redis_files_new(), redis_files_end() while the workers still run and saving.h's thread
 * has not been freed, redis_files_free() when nobody reads any more. Thread: any, but for these
 * three, which are of one.
 */
#ifndef TARN_SERVER_REDIS_FILES_H
#define TARN_SERVER_REDIS_FILES_H

#include "base/buffer.h"
#include "replication/redis_feed.h"
#include "server/server.h"

struct redis_files;

/* progress: a file is ready, or could not be made. Called by the thread. NULL: errno says why
 * not. */
struct redis_files *redis_files_new(struct server *server, void (*progress)(void *context),
                                    void *context);
/* Breaks off what is being made, ends the thread. What is asked for afterwards has failed. */
void redis_files_end(struct redis_files *files);
void redis_files_free(struct redis_files *files);

/* Answers the file's number, for the functions below. without_keys: one that holds nothing. */
uint64_t redis_files_ask(struct redis_files *files, bool without_keys);
/* READY: it holds what the log does before that position. */
enum redis_feed_file redis_files_look(struct redis_files *files, uint64_t number,
                                      uint64_t *position, uint64_t *length);
/* Appends bytes of one that is READY. False: it cannot be read. */
bool redis_files_read(struct redis_files *files, uint64_t number, uint64_t offset, size_t most,
                      struct buffer *out);
/* Once for each time it was asked for. */
void redis_files_release(struct redis_files *files, uint64_t number);

#endif
