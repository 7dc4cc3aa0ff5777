/* Entry: a key with its value, expiry and access data, in one allocation.
 *
 *   OFFSET  SIZE    MEANING
 *   0       1       kind (low 4 bits) and ENTRY_FLAG_* (high 4 bits)
 *   1       3       access data: LRU clock in seconds, or LFU minutes (16 bits) and a counter
 *   4       1 | 4   key length (4 with ENTRY_FLAG_LONG_KEY)
 *   ...     2 | 4   value length (4 with ENTRY_FLAG_LONG_VALUE); absent for kinds of fixed size
 *   ...     8       expiry: ms since the epoch, absent without ENTRY_FLAG_EXPIRY
 *   ...     key     bytes
 *   ...     value   ENTRY_BYTES, ENTRY_HASH_PACK: value length bytes
 *                   ENTRY_INTEGER: 8 bytes · ENTRY_BLOCK, ENTRY_HASH_TABLE: an address of 8 bytes
 *
 * All numbers are in the machine's order: an entry never leaves the process. Nothing in it is
 * aligned: it is read by memcpy. An entry belongs to the store whose heap it came from, and to that
 * store's worker.
 */
#ifndef TARN_STORE_ENTRY_H
#define TARN_STORE_ENTRY_H

#include "base/block.h"
#include "base/heap.h"
#include "base/span.h"

#include <stdint.h>

/* Values are never renumbered: snapshots know kinds by other numbers, but logs of bugs do not. */
enum entry_kind {
    ENTRY_BYTES,      /* a string, in the entry */
    ENTRY_INTEGER,    /* a string that is the decimal text of this number */
    ENTRY_BLOCK,      /* a string of BLOCK_BYTES_MIN bytes or more, or one that grew */
    ENTRY_HASH_PACK,  /* a small hash: a list pack of field, value, field, value */
    ENTRY_HASH_TABLE, /* a hash: a table of fields */
    ENTRY_KINDS,
};

enum {
    ENTRY_FLAG_EXPIRY = 0x10,
    ENTRY_FLAG_LONG_KEY = 0x20,
    ENTRY_FLAG_LONG_VALUE = 0x40,
    ENTRY_FLAG_RAW = 0x80, /* a string that was changed in place: OBJECT ENCODING says raw */
};

#define ENTRY_KIND_MASK 0x0f
#define ENTRY_ACCESS_BYTES 3
#define ENTRY_ACCESS_MAX ((1 << (8 * ENTRY_ACCESS_BYTES)) - 1)
#define ENTRY_KEY_BYTES_MAX ((size_t)UINT32_MAX)
#define ENTRY_NO_EXPIRY ((int64_t)-1)

struct entry {
    uint8_t head[4];
    uint8_t rest[];
};

/* Where the parts of an entry are: offsets from its start. */
struct entry_layout {
    uint32_t key_length;
    uint32_t value_length; /* of the bytes behind the key: 8 for kinds of fixed size */
    uint32_t expiry_at;    /* meaningful with ENTRY_FLAG_EXPIRY */
    uint32_t key_at;
};

static inline enum entry_kind entry_kind(const struct entry *entry) {
    return (enum entry_kind)(entry->head[0] & ENTRY_KIND_MASK);
}

static inline bool entry_has(const struct entry *entry, unsigned flag) {
    return (entry->head[0] & flag) != 0;
}

static inline bool entry_kind_is_sized(enum entry_kind kind) {
    return kind == ENTRY_BYTES || kind == ENTRY_HASH_PACK;
}

static inline struct entry_layout entry_layout(const struct entry *entry) {
    struct entry_layout layout;
    uint32_t at = 0;
    if (LIKELY(!entry_has(entry, ENTRY_FLAG_LONG_KEY))) {
        layout.key_length = entry->rest[0];
        at = 1;
    } else {
        memcpy(&layout.key_length, entry->rest, sizeof(uint32_t));
        at = sizeof(uint32_t);
    }
    if (!entry_kind_is_sized(entry_kind(entry))) {
        layout.value_length = sizeof(uint64_t);
    } else if (LIKELY(!entry_has(entry, ENTRY_FLAG_LONG_VALUE))) {
        uint16_t length;
        memcpy(&length, entry->rest + at, sizeof(length));
        layout.value_length = length;
        at += (uint32_t)sizeof(length);
    } else {
        memcpy(&layout.value_length, entry->rest + at, sizeof(uint32_t));
        at += (uint32_t)sizeof(uint32_t);
    }
    layout.expiry_at = (uint32_t)sizeof(entry->head) + at;
    layout.key_at =
        layout.expiry_at + (entry_has(entry, ENTRY_FLAG_EXPIRY) ? (uint32_t)sizeof(int64_t) : 0);
    return layout;
}

static inline struct span entry_key(const struct entry *entry) {
    struct entry_layout layout = entry_layout(entry);
    return span_of((const char *)entry + layout.key_at, layout.key_length);
}

/* The bytes behind the key, whatever they mean. */
static inline struct span entry_content(const struct entry *entry) {
    struct entry_layout layout = entry_layout(entry);
    return span_of((const char *)entry + layout.key_at + layout.key_length, layout.value_length);
}

/* ms since the epoch, or ENTRY_NO_EXPIRY. */
static inline int64_t entry_expiry(const struct entry *entry) {
    int64_t expiry = ENTRY_NO_EXPIRY;
    if (entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        memcpy(&expiry, (const char *)entry + entry_layout(entry).expiry_at, sizeof(expiry));
    }
    return expiry;
}

static inline uint32_t entry_access(const struct entry *entry) {
    return (uint32_t)entry->head[1] | (uint32_t)entry->head[2] << 8 |
           (uint32_t)entry->head[3] << 16;
}

static inline void entry_set_access(struct entry *entry, uint32_t access) {
    entry->head[1] = (uint8_t)access;
    entry->head[2] = (uint8_t)(access >> 8);
    entry->head[3] = (uint8_t)(access >> 16);
}

/* For table_find(): sought is a struct span *. */
static inline bool entry_equals_key(const void *element, const void *sought) {
    const struct span *key = sought;
    struct entry_layout layout = entry_layout(element);
    return layout.key_length == key->length &&
           memcmp((const char *)element + layout.key_at, key->bytes, key->length) == 0;
}

/* What a new entry is made of. */
struct entry_plan {
    enum entry_kind kind;
    bool is_raw;
    int64_t expiry_ms; /* or ENTRY_NO_EXPIRY */
    uint32_t access;
    struct span key;
    struct span value;     /* kinds with a size; bytes NULL leaves the content unwritten */
    struct span value_end; /* ENTRY_BYTES: what follows value, or empty */
    uint64_t fixed;        /* kinds of fixed size: the number or address */
};

size_t entry_bytes(const struct entry *entry); /* as asked from the heap */
struct entry *entry_new(struct heap *heap, const struct entry_plan *plan);
/* The allocation alone: what it points at is the caller's to free. */
void entry_free(struct heap *heap, struct entry *entry);
/* Makes entry what plan says, in its place when the size class allows, else anew. plan.key must be
 * the entry's own key; plan.value must not point into the entry. Answers where it is now. */
struct entry *entry_rewrite(struct heap *heap, struct entry *entry, const struct entry_plan *plan);
/* Makes the content of an entry of a sized kind content_bytes long, keeping what fits of it; the
 * rest is unwritten. In its place when the size class allows. Answers where the entry is now. */
struct entry *entry_resize(struct heap *heap, struct entry *entry, size_t content_bytes);
/* A plan that would make the same entry; spans point into it. */
struct entry_plan entry_plan_of(const struct entry *entry);

/* Sets the expiry in place if the entry has room for one, or takes it away by moving what follows.
 * Answers where the entry is now. */
struct entry *entry_with_expiry(struct heap *heap, struct entry *entry, int64_t expiry_ms);

/* Typed views of the content. */
static inline uint64_t entry_fixed(const struct entry *entry) {
    uint64_t fixed;
    struct entry_layout layout = entry_layout(entry);
    memcpy(&fixed, (const char *)entry + layout.key_at + layout.key_length, sizeof(fixed));
    return fixed;
}

static inline void entry_set_fixed(struct entry *entry, uint64_t fixed) {
    struct entry_layout layout = entry_layout(entry);
    memcpy((char *)entry + layout.key_at + layout.key_length, &fixed, sizeof(fixed));
}

static inline int64_t entry_integer(const struct entry *entry) {
    return (int64_t)entry_fixed(entry);
}

static inline struct block *entry_block(const struct entry *entry) {
    return (struct block *)(uintptr_t)entry_fixed(entry); // NOLINT
}

/* The content for writing: value_length bytes. */
static inline unsigned char *entry_content_bytes(struct entry *entry) {
    struct entry_layout layout = entry_layout(entry);
    return (unsigned char *)entry + layout.key_at + layout.key_length;
}

#endif
