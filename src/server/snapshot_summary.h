/* Snapshot summary: figures of the keys in a snapshot file, and their print, for tarn-snapshot.
 *
 * Lifecycle: snapshot_summary_new(), snapshot_summary_add() for each key (it is the `key` of a
 * snapshot_visitor), prints, snapshot_summary_free(). One thread.
 */
#ifndef TARN_SERVER_SNAPSHOT_SUMMARY_H
#define TARN_SERVER_SNAPSHOT_SUMMARY_H

#include "snapshot/snapshot_walk.h"
#include "store/value.h"

#define SNAPSHOT_BIGGEST_DEFAULT 10
#define SNAPSHOT_BIGGEST_MAX 10000
#define SNAPSHOT_TYPES (VALUE_STREAM + 1)

struct snapshot_type_figures {
    uint64_t keys;
    uint64_t elements;
    uint64_t bytes; /* of values: what strings, fields and their values are long */
};

/* One of the biggest values. */
struct snapshot_big {
    uint64_t bytes;
    uint64_t elements;
    enum value_type type;
    uint32_t database;
    uint16_t slot;
    char *key;
    size_t key_length;
};

struct snapshot_summary {
    uint64_t keys;
    uint64_t key_bytes;
    uint64_t volatile_keys;
    uint64_t frames; /* of the log: counted by who sees them */
    uint64_t entries;
    uint32_t database_count;
    uint64_t *database_keys; /* [database_count] */
    struct snapshot_type_figures types[SNAPSHOT_TYPES];
    size_t biggest_max;
    size_t biggest_count;
    struct snapshot_big *biggest; /* [biggest_max]: the biggest first; of equals the first seen */
};

struct snapshot_summary *snapshot_summary_new(const struct snapshot_reader *reader,
                                              size_t biggest_max);
void snapshot_summary_free(struct snapshot_summary *summary);
void snapshot_summary_add(void *summary, const struct snapshot_key *key);

/* Each appends lines of text. */
void snapshot_print_whole(const struct snapshot_reader *reader,
                          const struct snapshot_summary *summary, struct buffer *output);
void snapshot_print_statistics(const struct snapshot_reader *reader,
                               const struct snapshot_summary *summary, struct buffer *output);
void snapshot_print_slots(const struct snapshot_reader *reader, struct buffer *output);

#endif
