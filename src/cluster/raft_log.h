/* The consensus log in memory: entries, one after the other, from a base on.
 *
 *   index   1 .. base      base + 1 ............ last
 *           in a snapshot  entries
 *
 * What the snapshot holds and what the log does may overlap: some entries stay for followers that
 * lag a little. Of the base the term is known too, so that a follower that holds just the base can
 * be compared with it.
 *
 * Lifecycle: RAFT_LOG_EMPTY, then the functions, then raft_log_free(). Contents are copied in; a
 * pointer to an entry is valid until the log changes. One owner, one thread.
 */
#ifndef TARN_CLUSTER_RAFT_LOG_H
#define TARN_CLUSTER_RAFT_LOG_H

#include "base/span.h"

#include <stdint.h>

#define RAFT_ENTRY_BYTES_MAX ((size_t)256 * 1024) /* of an entry's content */

/* Permanent. */
enum raft_entry_kind {
    RAFT_ENTRY_NO_OP = 1,  /* begins a leader's term */
    RAFT_ENTRY_NORMAL = 2, /* the state machine's */
    RAFT_ENTRY_CONFIG = 3, /* a configuration: raft_config.h */
};

struct raft_entry {
    uint64_t term;
    enum raft_entry_kind kind;
    struct span bytes;
};

struct raft_log {
    struct raft_entry *entries;
    size_t count;
    size_t capacity;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t size_bytes; /* of the entries' contents */
};

#define RAFT_LOG_EMPTY ((struct raft_log){.entries = NULL})

void raft_log_free(struct raft_log *log);
/* Forgets all entries; the next one follows this place. */
void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term);

static inline uint64_t raft_log_last_index(const struct raft_log *log) {
    return log->base_index + log->count;
}
uint64_t raft_log_last_term(const struct raft_log *log);
/* False: the index lies before the base or behind the end. */
bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *term);
/* The index is within (base, last]. */
const struct raft_entry *raft_log_entry(const struct raft_log *log, uint64_t index);

/* Terms never fall. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry);
/* Takes away the entries from this index on, which is behind the base. */
void raft_log_truncate(struct raft_log *log, uint64_t from);
/* Moves the base up to the index, which is within [base, last]. */
void raft_log_compact(struct raft_log *log, uint64_t index);
/* The number of entries from the index on, at most `count_max`, whose contents together take at
 * most `bytes_max`; the first one counts whatever its size is. */
size_t raft_log_batch(const struct raft_log *log, uint64_t from, size_t count_max,
                      size_t bytes_max);

/* The largest index up to `index` whose term is at most `term`, as far as the log knows: two logs
 * that differ at (index, term) cannot agree behind it. */
uint64_t raft_log_agreeable(const struct raft_log *log, uint64_t index, uint64_t term);

#endif
