/* RDB reader: takes an RDB file (rdb_format.h) in pieces of any size, from a file or a socket, and
 * gives its keys one after the other.
 *
 * Memory: a value and its key at most, and those grow as their bytes arrive, not by what they
 * announce. The bytes are hostile: all lengths are checked. A value is known to be whole, and its
 * type to be one that value_decode() knows; what is inside it value_decode() checks.
 *
 * What is refused, since it cannot be skipped without losing data: types of values that this
 * version does not have, data of modules, and files of a later version.
 *
 * Lifecycle: rdb_reader_new(), rdb_reader_feed() while it wants more, rdb_reader_end() if the bytes
 * end before, rdb_reader_free(). One thread at a time.
 */
#ifndef TARN_SNAPSHOT_RDB_READER_H
#define TARN_SNAPSHOT_RDB_READER_H

#include "base/buffer.h"
#include "store/value_codec.h"

#include <stdint.h>

enum rdb_read_status {
    RDB_READ_MORE,    /* more is to come */
    RDB_READ_DONE,    /* the file is whole, and its checksum right */
    RDB_READ_DAMAGED, /* it holds what no redis-server writes, or ends too early */
    RDB_READ_REFUSED, /* it holds what this version cannot take */
    RDB_READ_STOPPED, /* the observer said so */
    RDB_READ_FAILED,  /* the memory or the disk did not give what is needed */
};

#define RDB_NO_ACCESS ((int64_t)-1)

/* A key and its value. Spans are valid during the call. */
struct rdb_key {
    struct span key;
    struct span payload; /* for value_decode() */
    uint32_t database;
    int64_t expiry_ms;    /* or ENTRY_NO_EXPIRY; may have passed */
    int64_t idle_seconds; /* or RDB_NO_ACCESS */
    int64_t frequency;    /* or RDB_NO_ACCESS */
};

/* Who is told; all but key may be NULL. */
struct rdb_observer {
    void *context;
    /* False stops: whoever says so has appended the reason to the report, which then gets the place
     * too. */
    bool (*key)(void *context, const struct rdb_key *key);
    void (*field)(void *context, struct span name, struct span value); /* "redis-ver", "7.0.15" */
    void (*sizes)(void *context, uint32_t database, uint64_t keys, uint64_t volatile_keys);
    void (*functions)(void *context, struct span code);
};

struct rdb_reader;

/* name: of the file or link, for the report; it and the report outlive the reader. */
struct rdb_reader *rdb_reader_new(const char *name, const struct rdb_observer *observer,
                                  struct buffer *report);
void rdb_reader_free(struct rdb_reader *reader);

/* Takes the next bytes. DONE: *bytes is what follows the file. Unless MORE or DONE, a sentence with
 * file, place, expected and found is appended to the report. Not to be called again unless MORE. */
enum rdb_read_status rdb_reader_feed(struct rdb_reader *reader, struct span *bytes);
/* There are no more bytes, though the reader wanted some. Answers DAMAGED, with a report. */
enum rdb_read_status rdb_reader_end(struct rdb_reader *reader);

/* Bytes taken so far. */
uint64_t rdb_reader_offset(const struct rdb_reader *reader);

#endif
