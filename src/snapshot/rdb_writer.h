/* RDB writer: makes an RDB file (rdb_format.h) of entries that it is given one after the other.
 *
 *     rdb_writer_new(&plan)
 *     rdb_writer_head(), rdb_writer_field()      what is good to know
 *     rdb_writer_database()                      for each database that has keys
 *       rdb_writer_entry()                       for each of its keys
 *     rdb_writer_finish()                        0, or the first error of the target
 *     rdb_writer_free()
 *
 * The version written is the one that all values in it need: RDB_WRITER_VERSION, which
 * redis-server 7.0 and later load. Memory: a piece of RDB_WRITER_PIECE_BYTES, and the form of one
 * value. After an error nothing more is written; only finish tells. One thread at a time; for
 * entries that of their store, or one for whom it stands still.
 */
#ifndef TARN_SNAPSHOT_RDB_WRITER_H
#define TARN_SNAPSHOT_RDB_WRITER_H

#include "store/store.h"

#include <stdint.h>

#define RDB_WRITER_VERSION 10
#define RDB_WRITER_PIECE_BYTES ((size_t)256 * 1024)

/* Where the bytes go. 0, or an error that ends the writing: a negative errno. */
struct rdb_target {
    void *context;
    int (*write)(void *context, struct span bytes);
};

struct rdb_writer_plan {
    struct rdb_target target;
    bool compresses;   /* rdbcompression */
    bool has_checksum; /* rdbchecksum */
};

struct rdb_writer;

struct rdb_writer *rdb_writer_new(const struct rdb_writer_plan *plan);
void rdb_writer_free(struct rdb_writer *writer);

/* The fields that redis-server writes first. */
struct rdb_head {
    const char *redis_version; /* "7.2.4" */
    int64_t time_ms;           /* since the epoch */
    uint64_t used_memory;
    bool is_aof_base;
};
void rdb_writer_head(struct rdb_writer *writer, const struct rdb_head *head);
void rdb_writer_field(struct rdb_writer *writer, const char *name, struct span value);

/* The entries that follow are in this database; the counts are hints for who loads them. */
struct rdb_database {
    uint32_t number;
    uint64_t keys;
    uint64_t volatile_keys;
};
void rdb_writer_database(struct rdb_writer *writer, const struct rdb_database *database);
/* A key with its value and expiry, and with its access data if the store's policy looks at them. */
void rdb_writer_entry(struct rdb_writer *writer, const struct store *store,
                      const struct entry *entry);

int rdb_writer_finish(struct rdb_writer *writer);

#endif
