/* Migrate's targets: connections to other servers, which block their thread. Those that are not in
 * use are kept for a while, as redis-server keeps them: MIGRATE often comes again.
 *
 * A target is one thread's from targets_take() to targets_give(). Every wait ends after its
 * timeout, or soon after is_stopping.
 */
#ifndef TARN_SERVER_MIGRATE_TARGET_H
#define TARN_SERVER_MIGRATE_TARGET_H

#include "base/buffer.h"
#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* As in Redis. */
#define MIGRATE_TARGETS_MAX 64
#define MIGRATE_TARGET_IDLE_MS 10000
/* Of one line of an answer: a longer one is no answer of ours. */
#define MIGRATE_LINE_BYTES_MAX ((size_t)16 * 1024)

struct migrate_targets {
    pthread_mutex_t mutex;
    struct list idle; /* who was used last, last */
    uint32_t idle_count;
    atomic_uint count; /* of connections, in use or not */
    const atomic_bool *is_stopping;
};

struct migrate_target {
    struct list link;
    struct migrate_targets *targets;
    char *name; /* "host:port" */
    int fd;
    int64_t database; /* that is selected there, or -1 */
    int64_t used_ms;
    int64_t timeout_ms;
    struct buffer input;
    size_t read_bytes; /* of the input: lines that were answered */
    bool has_timed_out;
};

void migrate_targets_init(struct migrate_targets *targets, const atomic_bool *is_stopping);
void migrate_targets_free(struct migrate_targets *targets);
/* Closes those that were idle too long. True: there are others. */
bool migrate_targets_sweep(struct migrate_targets *targets, int64_t now_ms);

enum migrate_connect { MIGRATE_CONNECTED, MIGRATE_UNREACHABLE, MIGRATE_REFUSED };

/* A kept connection, or a new one. host and port end with a zero. Unless CONNECTED *target is
 * NULL. */
enum migrate_connect migrate_target_take(struct migrate_targets *targets, const char *host,
                                         const char *port, int64_t timeout_ms,
                                         struct migrate_target **target);
/* Back among those that are kept; one that has answered more than it was asked is closed. */
void migrate_target_give(struct migrate_target *target, int64_t now_ms);
void migrate_target_close(struct migrate_target *target);

/* Sends all of it, and takes in what comes meanwhile. False: the connection is gone, or
 * has_timed_out. */
bool migrate_target_send(struct migrate_target *target, struct span bytes);
/* The next line of what the target answers, without its end; valid until the next call. With
 * `waits` false only of what has come. */
bool migrate_target_line(struct migrate_target *target, bool waits, struct span *line);

#endif
