/* Snapshot file: the images of slots, what the log received while they were taken, and an index.
 *
 *   header | chunk | chunk | ... | chunk: INDEX | end
 *
 * Numbers are little endian. A file counts once its end is there and right: it is written under
 * another name, synced, and only then renamed.
 *
 * Header (SNAPSHOT_HEADER_BYTES)
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARNSNAP"
 *   8       4     format version, SNAPSHOT_FORMAT
 *   12      4     databases of the node
 *   16      8     epoch of the history that all positions are of
 *   24      20    id of that history
 *   44      20    id of the node
 *   64      8     begin: no slot's position is before
 *   72      8     time when it was begun, ms since the epoch
 *   80      40    zero
 *   120     8     checksum of bytes 0 to 119
 *
 * Chunk: header (SNAPSHOT_CHUNK_HEADER_BYTES), then the content as it is stored
 *   OFFSET  SIZE  MEANING
 *   0       1     kind: enum snapshot_kind, permanent
 *   1       1     codec: enum snapshot_codec, permanent
 *   2       2     first slot ...
 *   4       2     ... and last slot that an IMAGE may hold keys of; else 0
 *   6       2     zero
 *   8       8     stored length, in bytes
 *   16      8     raw length, in bytes; with SNAPSHOT_RAW the stored one
 *   24      8     checksum of the stored content, seeded with the checksum of bytes 0 to 23, which
 *                 is seeded with the chunk's offset in the file
 *   32      ...   stored content
 *
 *   KIND   RAW CONTENT
 *   IMAGE  records of store/image.h
 *   TAIL   frames of the log, see snapshot_section.h
 *   NODE   names and values, see snapshot_section.h
 *   INDEX  the last chunk: counts, chunk rows, slot rows
 *
 * INDEX
 *   OFFSET  SIZE  MEANING
 *   0       8     chunk rows: one per chunk before the INDEX, in the file's order
 *   8       8     slot rows, in the order of slots
 *   16      40 *  chunk row: offset in the file (8), then the chunk's header without its last
 *                 checksum (24), then that checksum (8)
 *   ...     32 *  slot row: slot (2), zero (2), first chunk (4), the one behind the last chunk (4),
 *                 zero (4), position of the image (8), keys (8)
 *
 * End (SNAPSHOT_END_BYTES)
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARNSEND"
 *   8       8     size of the file
 *   16      8     offset of the INDEX
 *   24      8     end: the position of the log that this file, its tail included, is the state at
 *   32      8     time when it was ended, ms since the epoch
 *   40      8     keys in all images
 *   48      8     raw bytes of all chunks but the INDEX
 *   56      8     sum: the checksum of the file's header, then with it as seed that of the first
 *                 chunk's 8 bytes of checksum, with that as seed ... up to that of the INDEX
 *   64      56    zero
 *   120     8     checksum of bytes 0 to 119, seeded with that of the header
 *
 * This file only turns numbers into bytes and back: no state, any thread. The functions that take
 * bytes from outside answer false when those are nothing that a writer makes.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_FILE_H
#define TARN_SNAPSHOT_SNAPSHOT_FILE_H

#include "base/hash.h"
#include "base/span.h"
#include "oplog/history.h"
#include "store/store.h"

#include <stdint.h>

#define SNAPSHOT_FORMAT 1
#define SNAPSHOT_HEADER_BYTES 128
#define SNAPSHOT_CHUNK_HEADER_BYTES 32
#define SNAPSHOT_END_BYTES 128
#define SNAPSHOT_INDEX_HEAD_BYTES 16
#define SNAPSHOT_CHUNK_ROW_BYTES 40
#define SNAPSHOT_SLOT_ROW_BYTES 32
/* The longest content that is compressed; a longer one is stored as it is. */
#define SNAPSHOT_COMPRESSED_BYTES_MAX ((size_t)8 * 1024 * 1024)

enum snapshot_kind {
    SNAPSHOT_IMAGE = 1,
    SNAPSHOT_TAIL = 2,
    SNAPSHOT_NODE = 3,
    SNAPSHOT_INDEX = 4,
    SNAPSHOT_KINDS,
};

enum snapshot_codec {
    SNAPSHOT_RAW = 0,
    SNAPSHOT_LZ4 = 1, /* one block of the lz4 library */
    SNAPSHOT_CODECS,
};

struct snapshot_header {
    struct history history;
    unsigned char node_id[HISTORY_ID_BYTES];
    uint64_t begin;
    int64_t begin_ms;
    uint32_t databases;
};

struct snapshot_chunk {
    uint64_t offset; /* of its header in the file */
    uint64_t stored_bytes;
    uint64_t raw_bytes;
    uint64_t checksum;
    enum snapshot_kind kind;
    enum snapshot_codec codec;
    uint16_t slot_first;
    uint16_t slot_last;
};

struct snapshot_slot {
    uint64_t position; /* what the log has up to here is in the image */
    uint64_t keys;
    uint32_t chunk_first; /* chunks that may hold records of the slot: by their slot range ... */
    uint32_t chunk_end;   /* ... from the first on, up to and without this one */
    uint16_t slot;
};

struct snapshot_end {
    uint64_t size_bytes;
    uint64_t index_offset;
    uint64_t end;
    int64_t end_ms;
    uint64_t keys;
    uint64_t raw_bytes;
    uint64_t sum;
};

/* Answers the checksum of the header, which the end wants. */
uint64_t snapshot_header_write(char *place, const struct snapshot_header *header);
bool snapshot_header_read(const char *place, struct snapshot_header *header, uint64_t *checksum);

/* Sets chunk->checksum too. */
void snapshot_chunk_write(char *place, struct snapshot_chunk *chunk, struct span stored);
/* chunk->offset is set. Checks what the header alone can tell. */
bool snapshot_chunk_read(const char *place, struct snapshot_chunk *chunk);
/* What the checksum of this content should be. */
uint64_t snapshot_chunk_checksum(const struct snapshot_chunk *chunk, struct span stored);

void snapshot_chunk_row_write(char *place, const struct snapshot_chunk *chunk);
bool snapshot_chunk_row_read(const char *place, struct snapshot_chunk *chunk);
void snapshot_slot_row_write(char *place, const struct snapshot_slot *slot);
bool snapshot_slot_row_read(const char *place, struct snapshot_slot *slot);

void snapshot_end_write(char *place, const struct snapshot_end *end, uint64_t header_checksum);
bool snapshot_end_read(const char *place, struct snapshot_end *end, uint64_t header_checksum);

/* The sum with one more chunk. */
uint64_t snapshot_sum(uint64_t sum, uint64_t checksum);

/* "image", "tail", ...; for messages. */
const char *snapshot_kind_name(enum snapshot_kind kind);

/* The most bytes that so many of a codec can hold: what a length is checked against before memory
 * is taken for it. */
static inline uint64_t snapshot_raw_bytes_max(enum snapshot_codec codec, uint64_t stored_bytes) {
    /* A byte of lz4 stands for 255 bytes at most. */
    if (codec == SNAPSHOT_RAW || stored_bytes > SNAPSHOT_COMPRESSED_BYTES_MAX) {
        return stored_bytes;
    }
    uint64_t expanded = stored_bytes * 255;
    return expanded < SNAPSHOT_COMPRESSED_BYTES_MAX ? expanded : SNAPSHOT_COMPRESSED_BYTES_MAX;
}

#endif
