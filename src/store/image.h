/* Image: the content of slots as bytes: what a cut makes, what snapshots hold, and what a replica
 * or a new owner of a slot is sent. A chunk of records; each chunk can be read by itself.
 *
 * A record begins with one byte: kind (low 4 bits) and IMAGE_FLAG_* (high 4 bits). Numbers are
 * varints (base/varint.h), "bytes" a varint length and so many bytes.
 *
 *   KIND  NAME         BEHIND THE FIRST BYTE
 *   1     slot         slot, database: the records that follow are of this slot
 *   2     string       key, value
 *   3     integer      key, value (zigzag): a string that is this number's text
 *   4     string part  key, total length in bytes, offset, value: a large string, part by part
 *   5     hash pack    key, list pack
 *   6     hash fields  key, then per field: length + 1, field, value; then 0
 *   key = bytes, [expiry: 8 bytes, ms since the epoch, little endian], [access data: 3 bytes];
 *   the first with IMAGE_FLAG_EXPIRY, the second with IMAGE_FLAG_ACCESS.
 *
 * A string part with offset > 0, and hash fields with IMAGE_FLAG_MORE, go on with a key of the same
 * slot, which an earlier record began; the parts of a string come in their order. All others begin
 * a key that was not there.
 *
 * Kind numbers are permanent. Reading takes bytes from outside: all is checked.
 */
#ifndef TARN_STORE_IMAGE_H
#define TARN_STORE_IMAGE_H

#include "base/buffer.h"
#include "base/list.h"
#include "store/store.h"

/* A chunk is given away once it has so many bytes. */
#define IMAGE_CHUNK_BYTES ((size_t)256 * 1024)
/* Values up to this are copied into the chunk, larger ones are hung in by reference; a part of a
 * large string is at most a chunk's size. */
#define IMAGE_COPY_BYTES_MAX BLOCK_BYTES_MIN
#define IMAGE_CHUNK_BLOCKS_MAX (IMAGE_CHUNK_BYTES / IMAGE_COPY_BYTES_MAX + 1)

enum image_kind {
    IMAGE_SLOT = 1,
    IMAGE_STRING = 2,
    IMAGE_INTEGER = 3,
    IMAGE_STRING_PART = 4,
    IMAGE_HASH_PACK = 5,
    IMAGE_HASH_FIELDS = 6,
};

enum {
    IMAGE_FLAG_EXPIRY = 0x10,
    IMAGE_FLAG_ACCESS = 0x20,
    IMAGE_FLAG_RAW = 0x40,  /* a string that was changed in place */
    IMAGE_FLAG_MORE = 0x80, /* hash fields: the key is there already */
};

/* ---- writing ---- */

/* Part of a block, behind `at` bytes of the chunk's own. */
struct image_block {
    struct block *block;
    size_t at;
    size_t offset;
    size_t length;
};

/* Owned by one at a time; travels from the worker that cut it to who stores or sends it. */
struct image_chunk {
    struct list link;
    struct buffer bytes;
    size_t blocks_bytes;
    uint32_t blocks_count;
    uint16_t slot_first;
    uint16_t slot_last;
    struct image_block blocks[IMAGE_CHUNK_BLOCKS_MAX];
};

struct image_chunk *image_chunk_new(void);
void image_chunk_free(struct image_chunk *chunk);

static inline size_t image_chunk_bytes(const struct image_chunk *chunk) {
    return chunk->bytes.length + chunk->blocks_bytes;
}

/* Appends the whole content, blocks included. */
void image_chunk_join(const struct image_chunk *chunk, struct buffer *content);

/* What the records of a key begin with. */
struct image_key {
    struct span key;
    int64_t expiry_ms; /* ENTRY_NO_EXPIRY: none */
    uint32_t access;
    bool has_access;
    bool is_raw;
};

void image_write_slot(struct image_chunk *chunk, uint16_t slot, uint32_t database);
/* A string up to IMAGE_CHUNK_BYTES or a list pack. */
void image_write_entry(struct image_chunk *chunk, const struct entry *entry, bool has_access);
void image_write_string_part(struct image_chunk *chunk, const struct image_key *key,
                             struct block *block, size_t offset, size_t length);
/* Begins a record of fields; then the fields, then the end. */
void image_write_fields(struct image_chunk *chunk, const struct image_key *key, bool is_more);
void image_write_field(struct image_chunk *chunk, struct span field, struct span value);
void image_write_fields_end(struct image_chunk *chunk);

struct image_key image_key_of(const struct entry *entry, bool has_access);

/* ---- reading ---- */

struct image_reader {
    struct span rest;
    uint32_t database;
    uint16_t slot;
    bool has_slot;
};

enum image_status {
    IMAGE_DONE,
    IMAGE_END,     /* no more records */
    IMAGE_DAMAGED, /* the bytes are no image: the reader's rest begins at what does not fit */
    IMAGE_NO_MEMORY,
};

struct image_record {
    enum image_kind kind;
    bool is_more;
    struct image_key key;
    uint32_t database;
    uint16_t slot;
    struct span value; /* string, part, list pack; fields: for image_next_field() */
    int64_t integer;
    uint64_t total;  /* of a string part: bytes of the whole string */
    uint64_t offset; /* likewise: of this part */
};

void image_reader_init(struct image_reader *reader, struct span bytes);
/* The next record of a key; spans point into the bytes. */
enum image_status image_read(struct image_reader *reader, struct image_record *record);
/* Takes a field from the front of a record's value. False: there are no more. */
bool image_next_field(struct span *fields, struct span *field, struct span *value);

/* Takes a record into the store that owns its slot. DAMAGED: it does not fit what is there. */
enum image_status image_load(struct store *store, const struct image_record *record);

#endif
