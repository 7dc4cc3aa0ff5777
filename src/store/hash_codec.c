#include "store/hash_codec.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/hash_value.h"
#include "structures/listpack.h"
#include "structures/ziplist.h"

enum { TYPE_HASH = 4, TYPE_HASH_PACK = 16 };

#define PACK_BYTES_MIN ((size_t)256)

/* ---- writing ---- */

static void count_bytes(struct span field, struct span value, void *context) {
    size_t *size = context;
    *size += field.length + value.length + 2 * RDB_STRING_MORE_BYTES_MAX;
}

size_t hash_codec_bytes_max(const struct entry *entry) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        return entry_content(entry).length;
    }
    size_t size = 0;
    hash_value_each(entry, count_bytes, &size);
    return size;
}

struct encoder {
    struct buffer *payload;
    bool compresses;
};

static void encode_field(struct span field, struct span value, void *context) {
    const struct encoder *encoder = context;
    rdb_string_append(encoder->payload, field, encoder->compresses);
    rdb_string_append(encoder->payload, value, encoder->compresses);
}

void hash_codec_encode(const struct entry *entry, bool compresses, struct buffer *payload) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        buffer_append_byte(payload, TYPE_HASH_PACK);
        rdb_string_append(payload, entry_content(entry), compresses);
        return;
    }
    struct encoder encoder = {.payload = payload, .compresses = compresses};
    buffer_append_byte(payload, TYPE_HASH);
    rdb_length_append(payload, hash_value_length(entry));
    hash_value_each(entry, encode_field, &encoder);
}

/* ---- building ---- */

/* A hash in the making: a pack, until it is too large for one; then a table. */
struct builder {
    struct store *store;
    unsigned char *pack; /* NULL: a table */
    size_t capacity;
    struct table *table;
    size_t entries_max;
    size_t value_bytes_max;
};

/* False: no memory. */
static bool builder_open(struct builder *builder, struct store *store) {
    *builder = (struct builder){
        .store = store,
        .pack = memory_try_alloc(PACK_BYTES_MIN),
        .capacity = PACK_BYTES_MIN,
        .entries_max = (size_t)store->options->hash_max_listpack_entries,
        .value_bytes_max = (size_t)store->options->hash_max_listpack_value,
    };
    if (builder->pack == NULL) {
        return false;
    }
    listpack_init(builder->pack);
    return true;
}

static void builder_close(struct builder *builder) {
    memory_free(builder->pack);
    if (builder->table != NULL) {
        hash_fields_free(builder->store, builder->table);
    }
}

/* Adds the pairs of a pack to the table. False: a field comes twice. */
static bool table_add_pack(struct builder *builder, const unsigned char *pack) {
    for (size_t position = listpack_first(pack); position != LISTPACK_END;) {
        char scratches[2][LISTPACK_NUMBER_TEXT_MAX];
        struct span field = listpack_text(pack, position, scratches[0]);
        position = listpack_next(pack, position);
        struct span value = listpack_text(pack, position, scratches[1]);
        position = listpack_next(pack, position);
        if (!hash_fields_add(builder->store, builder->table, field, value)) {
            return false;
        }
    }
    return true;
}

static void builder_convert(struct builder *builder) {
    builder->table = hash_fields_new(builder->store);
    bool is_done = table_add_pack(builder, builder->pack);
    ASSERT(is_done);
    memory_free(builder->pack);
    builder->pack = NULL;
}

static bool pack_reserve(struct builder *builder, size_t size) {
    if (size <= builder->capacity) {
        return true;
    }
    unsigned char *pack = memory_try_realloc(builder->pack, size * 2);
    if (pack == NULL) {
        return false;
    }
    builder->pack = pack;
    builder->capacity = size * 2;
    return true;
}

static enum value_decode_status pack_add(struct builder *builder, struct span field,
                                         struct span value) {
    if (listpack_find(builder->pack, listpack_first(builder->pack), field, 1) != LISTPACK_END) {
        return VALUE_DAMAGED;
    }
    size_t size = listpack_bytes(builder->pack) + listpack_element_bytes(field) +
                  listpack_element_bytes(value);
    if (!pack_reserve(builder, size)) {
        return VALUE_NO_MEMORY;
    }
    listpack_insert(builder->pack, LISTPACK_END, field);
    listpack_insert(builder->pack, LISTPACK_END, value);
    return VALUE_DECODED;
}

/* DAMAGED: the field is there already. */
static enum value_decode_status builder_add(struct builder *builder, struct span field,
                                            struct span value) {
    if (builder->table == NULL) {
        size_t count = listpack_count(builder->pack) / 2;
        if (count < builder->entries_max && field.length <= builder->value_bytes_max &&
            value.length <= builder->value_bytes_max &&
            listpack_bytes(builder->pack) + field.length + value.length <= HASH_PACK_BYTES_MAX) {
            return pack_add(builder, field, value);
        }
        builder_convert(builder);
    }
    return hash_fields_add(builder->store, builder->table, field, value) ? VALUE_DECODED
                                                                         : VALUE_DAMAGED;
}

/* What was built becomes the content, if all went well. Closes the builder. */
static enum value_decode_status builder_finish(struct builder *builder,
                                               enum value_decode_status status,
                                               struct value_content *content) {
    if (status != VALUE_DECODED) {
        builder_close(builder);
    } else if (builder->table != NULL) {
        content->kind = ENTRY_HASH_TABLE;
        content->fixed = (uint64_t)(uintptr_t)builder->table;
    } else if (listpack_first(builder->pack) == LISTPACK_END) {
        builder_close(builder);
        status = VALUE_EMPTY;
    } else {
        content->kind = ENTRY_HASH_PACK;
        content->bytes = span_of(builder->pack, listpack_bytes(builder->pack));
        content->owned = (char *)builder->pack;
    }
    return status;
}

/* ---- fields ---- */

static enum value_decode_status add_strings(struct builder *builder, struct span *left,
                                            uint64_t count) {
    struct rdb_scratch scratches[2] = {RDB_SCRATCH_EMPTY, RDB_SCRATCH_EMPTY};
    enum value_decode_status status = VALUE_DECODED;
    for (; count != 0 && status == VALUE_DECODED; count--) {
        struct span field;
        struct span value;
        enum rdb_status read = rdb_text_read(left, &scratches[0], &field);
        if (read == RDB_DONE) {
            read = rdb_text_read(left, &scratches[1], &value);
        }
        status = read == RDB_DONE ? builder_add(builder, field, value) : value_decode_failure(read);
    }
    rdb_scratch_free(&scratches[0]);
    rdb_scratch_free(&scratches[1]);
    return status == VALUE_DECODED && left->length != 0 ? VALUE_DAMAGED : status;
}

enum value_decode_status hash_codec_decode_fields(struct store *store, struct span body,
                                                  struct value_content *content) {
    uint64_t count;
    struct builder builder;
    if (rdb_length_read(&body, &count) != RDB_DONE) {
        return VALUE_DAMAGED;
    }
    if (!builder_open(&builder, store)) {
        return VALUE_NO_MEMORY;
    }
    /* A table from the start, if it will be one. */
    if (count > builder.entries_max) {
        builder_convert(&builder);
    }
    return builder_finish(&builder, add_strings(&builder, &body, count), content);
}

/* ---- runs of bytes: packs, ziplists, zipmaps ---- */

/* The string that is the whole body. */
static enum value_decode_status run_read(struct span body, struct rdb_scratch *scratch,
                                         struct span *run) {
    enum rdb_status status = rdb_text_read(&body, scratch, run);
    if (status != RDB_DONE) {
        return value_decode_failure(status);
    }
    return body.length == 0 ? VALUE_DECODED : VALUE_DAMAGED;
}

static bool has_twins(const unsigned char *pack) {
    for (size_t position = listpack_first(pack); position != LISTPACK_END;) {
        char scratch[LISTPACK_NUMBER_TEXT_MAX];
        struct span field = listpack_text(pack, position, scratch);
        position = listpack_next(pack, listpack_next(pack, position));
        if (position != LISTPACK_END && listpack_find(pack, position, field, 1) != LISTPACK_END) {
            return true;
        }
    }
    return false;
}

static enum value_decode_status table_from_pack(struct store *store, const unsigned char *pack,
                                                struct value_content *content) {
    struct builder builder = {.store = store, .table = hash_fields_new(store)};
    bool is_done = table_add_pack(&builder, pack);
    return builder_finish(&builder, is_done ? VALUE_DECODED : VALUE_DAMAGED, content);
}

static enum value_decode_status check_pack(struct store *store, struct span run,
                                           struct value_content *content) {
    const unsigned char *pack = (const unsigned char *)run.bytes;
    if (!listpack_is_valid(pack, run.length)) {
        return VALUE_DAMAGED;
    }
    size_t count = listpack_count(pack);
    if (count == 0) {
        return VALUE_EMPTY;
    }
    if (count % 2 != 0) {
        return VALUE_DAMAGED;
    }
    if (count / 2 > (size_t)store->options->hash_max_listpack_entries) {
        return table_from_pack(store, pack, content);
    }
    if (has_twins(pack)) {
        return VALUE_DAMAGED;
    }
    content->kind = ENTRY_HASH_PACK;
    content->bytes = run;
    return VALUE_DECODED;
}

enum value_decode_status hash_codec_decode_pack(struct store *store, struct span body,
                                                struct value_content *content) {
    struct rdb_scratch scratch = RDB_SCRATCH_EMPTY;
    struct span run;
    enum value_decode_status status = run_read(body, &scratch, &run);
    if (status == VALUE_DECODED) {
        status = check_pack(store, run, content);
    }
    if (status == VALUE_DECODED && content->kind == ENTRY_HASH_PACK) {
        content->owned = scratch.bytes;
    } else {
        rdb_scratch_free(&scratch);
    }
    return status;
}

static enum value_decode_status add_ziplist(struct builder *builder, struct span run) {
    const unsigned char *bytes = (const unsigned char *)run.bytes;
    if (!ziplist_is_valid(bytes, run.length)) {
        return VALUE_DAMAGED;
    }
    /* As in redis-server: only their number decides. */
    builder->value_bytes_max = SIZE_MAX;
    enum value_decode_status status = VALUE_DECODED;
    for (size_t position = ziplist_first(bytes);
         position != ZIPLIST_END && status == VALUE_DECODED;) {
        char scratches[2][ZIPLIST_NUMBER_TEXT_MAX];
        struct span field = ziplist_text(bytes, position, scratches[0]);
        position = ziplist_next(bytes, position);
        if (position == ZIPLIST_END) {
            return VALUE_DAMAGED;
        }
        struct span value = ziplist_text(bytes, position, scratches[1]);
        position = ziplist_next(bytes, position);
        status = builder_add(builder, field, value);
    }
    return status;
}

/* A length of a zipmap and as many bytes. False: they are not all there. */
static bool zipmap_take(struct span *left, size_t unused_bytes, struct span *text) {
    const unsigned char *bytes = (const unsigned char *)left->bytes;
    const unsigned long_length = 254;
    size_t head = 1;
    size_t length = left->length == 0 ? UINT8_MAX : bytes[0];
    if (length == long_length && left->length >= 1 + sizeof(uint32_t)) {
        head += sizeof(uint32_t);
        length = bytes_load_u32(bytes + 1);
    } else if (length >= long_length) {
        return false;
    }
    head += unused_bytes;
    if (left->length < head || left->length - head < length) {
        return false;
    }
    *text = span_of(left->bytes + head, length);
    size_t taken = head + length;
    size_t unused = unused_bytes == 0 ? 0 : bytes[head - 1];
    if (left->length - taken < unused) {
        return false;
    }
    *left = span_of(left->bytes + taken + unused, left->length - taken - unused);
    return true;
}

static enum value_decode_status add_zipmap(struct builder *builder, struct span run) {
    const unsigned count_unknown = 254;
    if (run.length < 2 || (unsigned char)run.bytes[run.length - 1] != UINT8_MAX) {
        return VALUE_DAMAGED;
    }
    unsigned stored = (unsigned char)run.bytes[0];
    size_t count = 0;
    enum value_decode_status status = VALUE_DECODED;
    struct span left = span_of(run.bytes + 1, run.length - 2);
    for (; left.length != 0 && status == VALUE_DECODED; count++) {
        struct span field;
        struct span value;
        if (!zipmap_take(&left, 0, &field) || !zipmap_take(&left, 1, &value)) {
            return VALUE_DAMAGED;
        }
        status = builder_add(builder, field, value);
    }
    return status == VALUE_DECODED && stored < count_unknown && stored != count ? VALUE_DAMAGED
                                                                                : status;
}

static enum value_decode_status
decode_run(struct store *store, struct span body, struct value_content *content,
           enum value_decode_status (*add)(struct builder *builder, struct span run)) {
    struct rdb_scratch scratch = RDB_SCRATCH_EMPTY;
    struct builder builder;
    struct span run;
    enum value_decode_status status = run_read(body, &scratch, &run);
    if (status == VALUE_DECODED) {
        status = builder_open(&builder, store)
                     ? builder_finish(&builder, add(&builder, run), content)
                     : VALUE_NO_MEMORY;
    }
    rdb_scratch_free(&scratch);
    return status;
}

enum value_decode_status hash_codec_decode_ziplist(struct store *store, struct span body,
                                                   struct value_content *content) {
    return decode_run(store, body, content, add_ziplist);
}

enum value_decode_status hash_codec_decode_zipmap(struct store *store, struct span body,
                                                  struct value_content *content) {
    return decode_run(store, body, content, add_zipmap);
}
