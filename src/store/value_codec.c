#include "store/value_codec.h"

#include "base/memory.h"
#include "store/hash_codec.h"
#include "store/hash_value.h"
#include "store/value.h"

typedef enum value_decode_status decode_body(struct store *store, struct span body,
                                             struct value_content *content);

static decode_body decode_string;

/* One row per type byte, the only place to edit. items says what the body consists of: "s" is a
 * string; a leading "*" a count, which says how often the rest comes. Types without items exist in
 * Redis but not here. */
static const struct type {
    const char *name;
    const char *items;
    decode_body *decode;
} types[RDB_TYPES] = {
    [0] = {"string", "s", decode_string},
    [1] = {"list", NULL, NULL},
    [2] = {"set", NULL, NULL},
    [3] = {"sorted set with scores as text", NULL, NULL},
    [4] = {"hash", "*ss", hash_codec_decode_fields},
    [5] = {"sorted set", NULL, NULL},
    [6] = {"module value of an old form", NULL, NULL},
    [7] = {"module value", NULL, NULL},
    [9] = {"hash as a zipmap", "s", hash_codec_decode_zipmap},
    [10] = {"list as a ziplist", NULL, NULL},
    [11] = {"set as an integer set", NULL, NULL},
    [12] = {"sorted set as a ziplist", NULL, NULL},
    [13] = {"hash as a ziplist", "s", hash_codec_decode_ziplist},
    [14] = {"list of ziplists", NULL, NULL},
    [15] = {"stream", NULL, NULL},
    [16] = {"hash as a list pack", "s", hash_codec_decode_pack},
    [17] = {"sorted set as a list pack", NULL, NULL},
    [18] = {"list of list packs", NULL, NULL},
    [19] = {"stream of Redis 7.0", NULL, NULL},
    [20] = {"set as a list pack", NULL, NULL},
    [21] = {"stream of Redis 7.2", NULL, NULL},
};

enum { TYPE_STRING = 0 };

const char *rdb_type_name(uint8_t type) {
    return type < RDB_TYPES ? types[type].name : NULL;
}

bool rdb_type_is_decoded(uint8_t type) {
    return type < RDB_TYPES && types[type].decode != NULL;
}

/* ---- how far a body reaches ---- */

void value_extent_begin(struct value_extent *extent, uint8_t type) {
    ASSERT(rdb_type_is_decoded(type));
    *extent = (struct value_extent){.items = types[type].items, .rounds_left = 1};
}

static enum rdb_status begin(struct value_extent *extent, struct span *left) {
    if (extent->items[0] == '*') {
        enum rdb_status status = rdb_length_read(left, &extent->rounds_left);
        if (status != RDB_DONE) {
            return status;
        }
        extent->items++;
    }
    extent->is_begun = true;
    return RDB_DONE;
}

enum rdb_status value_extent_find(struct value_extent *extent, struct span bytes) {
    ASSERT(bytes.length >= extent->length);
    struct span left = span_of(bytes.bytes + extent->length, bytes.length - extent->length);
    enum rdb_status status = extent->is_begun ? RDB_DONE : begin(extent, &left);
    size_t missing = 1;
    while (status == RDB_DONE && extent->rounds_left != 0) {
        struct rdb_string string;
        status = rdb_string_read(&left, &string);
        if (status == RDB_DONE) {
            extent->item++;
            if (extent->items[extent->item] == '\0') {
                extent->item = 0;
                extent->rounds_left--;
            }
        } else if (string.stored_bytes > left.length) {
            missing = string.stored_bytes - left.length;
        }
    }
    extent->length = bytes.length - left.length;
    extent->needed = bytes.length + (status == RDB_INCOMPLETE ? missing : 0);
    return status;
}

/* ---- writing ---- */

size_t value_encoded_bytes_max(const struct entry *entry) {
    size_t size = 1 + RDB_STRING_MORE_BYTES_MAX;
    if (value_type_of(entry) == VALUE_STRING) {
        return size + value_string_length(entry);
    }
    return size + hash_codec_bytes_max(entry);
}

static void encode_string(const struct entry *entry, bool compresses, struct buffer *payload) {
    buffer_append_byte(payload, TYPE_STRING);
    if (entry_kind(entry) == ENTRY_INTEGER) {
        rdb_integer_append(payload, entry_integer(entry));
    } else {
        rdb_string_append(payload, value_string(entry, NULL), compresses);
    }
}

void value_encode(const struct entry *entry, bool compresses, struct buffer *payload) {
    if (value_type_of(entry) == VALUE_STRING) {
        encode_string(entry, compresses, payload);
    } else {
        hash_codec_encode(entry, compresses, payload);
    }
}

/* ---- reading ---- */

static enum value_decode_status decode_block(const struct rdb_string *string,
                                             struct value_content *content) {
    struct block *block = block_try_new(string->length);
    if (block == NULL) {
        return VALUE_NO_MEMORY;
    }
    if (!rdb_string_copy(string, block->bytes)) {
        block_release(block);
        return VALUE_DAMAGED;
    }
    block->length = string->length;
    content->kind = ENTRY_BLOCK;
    content->fixed = (uint64_t)(uintptr_t)block;
    return VALUE_DECODED;
}

static enum value_decode_status decode_string(struct store *store, struct span body,
                                              struct value_content *content) {
    (void)store;
    struct rdb_string string;
    if (rdb_string_read(&body, &string) != RDB_DONE || body.length != 0) {
        return VALUE_DAMAGED;
    }
    if (string.form == RDB_STRING_NUMBER) {
        content->kind = ENTRY_INTEGER;
        content->fixed = (uint64_t)string.number;
        return VALUE_DECODED;
    }
    if (string.length >= BLOCK_BYTES_MIN) {
        return decode_block(&string, content);
    }
    struct rdb_scratch scratch = RDB_SCRATCH_EMPTY;
    enum rdb_status status = rdb_string_text(&string, &scratch, &content->bytes);
    if (status != RDB_DONE) {
        rdb_scratch_free(&scratch);
        return value_decode_failure(status);
    }
    content->kind = ENTRY_BYTES;
    content->owned = scratch.bytes;
    return VALUE_DECODED;
}

enum value_decode_status value_decode(struct store *store, struct span payload,
                                      struct value_content *content) {
    *content = VALUE_CONTENT_EMPTY;
    if (payload.length == 0) {
        return VALUE_DAMAGED;
    }
    uint8_t type = (uint8_t)payload.bytes[0];
    if (rdb_type_name(type) == NULL) {
        return VALUE_DAMAGED;
    }
    if (!rdb_type_is_decoded(type)) {
        return VALUE_UNSUPPORTED;
    }
    return types[type].decode(store, span_of(payload.bytes + 1, payload.length - 1), content);
}

void value_content_free(struct store *store, struct value_content *content) {
    switch (content->kind) {
    case ENTRY_BLOCK:
        block_release((struct block *)(uintptr_t)content->fixed); // NOLINT
        break;
    case ENTRY_HASH_TABLE:
        hash_fields_free(store, (struct table *)(uintptr_t)content->fixed); // NOLINT
        break;
    default:
        break;
    }
    memory_free(content->owned);
    *content = VALUE_CONTENT_EMPTY;
}

static void put_string(struct place *place, const struct value_content *content,
                       int64_t expiry_ms) {
    char text[NUMBER_TEXT_BYTES_MAX];
    struct string_put string = {.bytes = content->bytes, .expiry_ms = expiry_ms};
    if (content->kind == ENTRY_INTEGER) {
        string.bytes = span_of(text, number_format(text, (int64_t)content->fixed));
    } else if (content->kind == ENTRY_BLOCK) {
        string.block = (struct block *)(uintptr_t)content->fixed; // NOLINT
        string.bytes = block_span(string.block);
    }
    place->cell = value_string_put(place->store, place->database, place->slot, place->hash,
                                   place->key, place->cell, &string);
}

/* What the key had goes first: a collection is never rewritten in its entry. */
static void put_collection(struct place *place, const struct value_content *content,
                           int64_t expiry_ms) {
    if (place->cell != NULL) {
        store_remove(place->store, place->database, place->slot, place->hash, place->cell);
    }
    struct entry_plan plan = {
        .kind = content->kind,
        .expiry_ms = expiry_ms,
        .key = place->key,
        .value = content->bytes,
        .fixed = content->fixed,
    };
    place->cell = store_add(place->store, place->database, place->slot, place->hash,
                            entry_new(&place->store->heap, &plan));
}

void value_content_put(struct place *place, const struct value_content_put *put) {
    struct value_content *content = put->content;
    ASSERT(content->kind < ENTRY_KINDS);
    if (content->kind <= ENTRY_BLOCK) {
        put_string(place, content, put->expiry_ms);
    } else {
        put_collection(place, content, put->expiry_ms);
        /* The entry has the table now. */
        content->kind = ENTRY_KINDS;
    }
    entry_set_access(table_cell_element(*place->cell), put->access == VALUE_ACCESS_NEW
                                                           ? store_access_new(place->store)
                                                           : (uint32_t)put->access);
    place->change_count = place->store->change_count;
    value_content_free(place->store, content);
}
