#include "store/image.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/varint.h"
#include "store/hash_value.h"
#include "store/value.h"
#include "structures/listpack.h"

#define KIND_MASK 0x0f
/* As many bytes as a string may have: proto-max-bulk-len's maximum is far below. */
#define STRING_BYTES_MAX ((uint64_t)1 << 40)

/* ---- chunks ---- */

/* A chunk that grew step by step would be copied as often as it is filled, each time into memory
 * that the process has not touched; of one size, the last one's is used again. */
#define CHUNK_ROOM_BYTES (IMAGE_CHUNK_BYTES + IMAGE_CHUNK_BYTES / 4)

struct image_chunk *image_chunk_new(void) {
    struct image_chunk *chunk = memory_alloc_zeroed(sizeof(*chunk));
    list_init(&chunk->link);
    buffer_reserve(&chunk->bytes, CHUNK_ROOM_BYTES);
    return chunk;
}

void image_chunk_free(struct image_chunk *chunk) {
    for (uint32_t i = 0; i < chunk->blocks_count; i++) {
        block_release(chunk->blocks[i].block);
    }
    buffer_free(&chunk->bytes);
    memory_free(chunk);
}

void image_chunk_join(const struct image_chunk *chunk, struct buffer *content) {
    size_t at = 0;
    for (uint32_t i = 0; i < chunk->blocks_count; i++) {
        const struct image_block *part = &chunk->blocks[i];
        buffer_append(content, chunk->bytes.bytes + at, part->at - at);
        buffer_append(content, part->block->bytes + part->offset, part->length);
        at = part->at;
    }
    buffer_append(content, chunk->bytes.bytes + at, chunk->bytes.length - at);
}

/* ---- writing ---- */

static void write_number(struct buffer *bytes, uint64_t number) {
    char *place = buffer_reserve(bytes, VARINT_BYTES_MAX);
    buffer_commit(bytes, (size_t)(varint_write(place, number) - place));
}

static void write_span(struct buffer *bytes, struct span span) {
    write_number(bytes, span.length);
    buffer_append_span(bytes, span);
}

void image_write_slot(struct image_chunk *chunk, uint16_t slot, uint32_t database) {
    if (image_chunk_bytes(chunk) == 0) {
        chunk->slot_first = slot;
    }
    chunk->slot_last = slot;
    buffer_append_byte(&chunk->bytes, IMAGE_SLOT);
    write_number(&chunk->bytes, slot);
    write_number(&chunk->bytes, database);
}

static void write_key(struct buffer *bytes, unsigned kind, const struct image_key *key) {
    bool has_expiry = key->expiry_ms != ENTRY_NO_EXPIRY;
    kind |= (has_expiry ? IMAGE_FLAG_EXPIRY : 0U) | (key->has_access ? IMAGE_FLAG_ACCESS : 0U) |
            (key->is_raw ? IMAGE_FLAG_RAW : 0U);
    buffer_append_byte(bytes, (char)kind);
    write_span(bytes, key->key);
    if (has_expiry) {
        bytes_store_u64(buffer_reserve(bytes, sizeof(uint64_t)), (uint64_t)key->expiry_ms);
        buffer_commit(bytes, sizeof(uint64_t));
    }
    if (key->has_access) {
        const char access[ENTRY_ACCESS_BYTES] = {(char)key->access, (char)(key->access >> 8),
                                                 (char)(key->access >> 16)};
        buffer_append(bytes, access, sizeof(access));
    }
}

struct image_key image_key_of(const struct entry *entry, bool has_access) {
    return (struct image_key){
        .key = entry_key(entry),
        .expiry_ms = entry_expiry(entry),
        .access = entry_access(entry),
        .has_access = has_access,
        .is_raw = entry_has(entry, ENTRY_FLAG_RAW),
    };
}

/* A value by reference. */
static void hang_in(struct image_chunk *chunk, struct block *block, size_t offset, size_t length) {
    ASSERT(chunk->blocks_count < IMAGE_CHUNK_BLOCKS_MAX);
    chunk->blocks[chunk->blocks_count++] = (struct image_block){
        .block = block_hold(block),
        .at = chunk->bytes.length,
        .offset = offset,
        .length = length,
    };
    chunk->blocks_bytes += length;
}

static void write_block(struct image_chunk *chunk, struct block *block, size_t offset,
                        size_t length) {
    write_number(&chunk->bytes, length);
    if (length <= IMAGE_COPY_BYTES_MAX) {
        buffer_append(&chunk->bytes, block->bytes + offset, length);
    } else {
        hang_in(chunk, block, offset, length);
    }
}

void image_write_entry(struct image_chunk *chunk, const struct entry *entry, bool has_access) {
    struct image_key key = image_key_of(entry, has_access);
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
        write_key(&chunk->bytes, IMAGE_STRING, &key);
        write_span(&chunk->bytes, entry_content(entry));
        break;
    case ENTRY_INTEGER:
        write_key(&chunk->bytes, IMAGE_INTEGER, &key);
        write_number(&chunk->bytes, varint_zigzag(entry_integer(entry)));
        break;
    case ENTRY_BLOCK:
        write_key(&chunk->bytes, IMAGE_STRING, &key);
        write_block(chunk, entry_block(entry), 0, entry_block(entry)->length);
        break;
    case ENTRY_HASH_PACK:
        write_key(&chunk->bytes, IMAGE_HASH_PACK, &key);
        write_span(&chunk->bytes, entry_content(entry));
        break;
    case ENTRY_HASH_TABLE:
    case ENTRY_KINDS:
        ASSERT(false);
    }
}

void image_write_string_part(struct image_chunk *chunk, const struct image_key *key,
                             struct block *block, size_t offset, size_t length) {
    write_key(&chunk->bytes, IMAGE_STRING_PART, key);
    write_number(&chunk->bytes, block->length);
    write_number(&chunk->bytes, offset);
    write_block(chunk, block, offset, length);
}

void image_write_fields(struct image_chunk *chunk, const struct image_key *key, bool is_more) {
    write_key(&chunk->bytes, IMAGE_HASH_FIELDS | (is_more ? IMAGE_FLAG_MORE : 0U), key);
}

void image_write_field(struct image_chunk *chunk, struct span field, struct span value) {
    write_number(&chunk->bytes, (uint64_t)field.length + 1);
    buffer_append_span(&chunk->bytes, field);
    write_span(&chunk->bytes, value);
}

void image_write_fields_end(struct image_chunk *chunk) {
    buffer_append_byte(&chunk->bytes, 0);
}

/* ---- reading ---- */

void image_reader_init(struct image_reader *reader, struct span bytes) {
    *reader = (struct image_reader){.rest = bytes};
}

static void skip(struct span *rest, size_t count) {
    *rest = span_of(rest->bytes + count, rest->length - count);
}

static bool read_slot(struct image_reader *reader, struct span *rest) {
    uint64_t slot;
    uint64_t database;
    if (!varint_read(rest, &slot) || !varint_read(rest, &database) || slot >= SLOTS ||
        database >= STORE_DATABASES_MAX) {
        return false;
    }
    reader->slot = (uint16_t)slot;
    reader->database = (uint32_t)database;
    reader->has_slot = true;
    return true;
}

static bool read_key(struct span *rest, unsigned flags, struct image_key *key) {
    *key = (struct image_key){
        .expiry_ms = ENTRY_NO_EXPIRY,
        .has_access = (flags & IMAGE_FLAG_ACCESS) != 0,
        .is_raw = (flags & IMAGE_FLAG_RAW) != 0,
    };
    if (!varint_read_span(rest, &key->key) || key->key.length > ENTRY_KEY_BYTES_MAX) {
        return false;
    }
    if ((flags & IMAGE_FLAG_EXPIRY) != 0) {
        if (rest->length < sizeof(uint64_t)) {
            return false;
        }
        key->expiry_ms = (int64_t)bytes_load_u64(rest->bytes);
        skip(rest, sizeof(uint64_t));
    }
    if (key->has_access) {
        if (rest->length < ENTRY_ACCESS_BYTES) {
            return false;
        }
        const unsigned char *access = (const unsigned char *)rest->bytes;
        key->access = access[0] | (uint32_t)access[1] << 8 | (uint32_t)access[2] << 16;
        skip(rest, ENTRY_ACCESS_BYTES);
    }
    return true;
}

/* True, and what stands there, if a field comes; false at the end or damage. */
static bool read_field(struct span *rest, struct span *field, struct span *value, bool *is_end) {
    uint64_t length;
    *is_end = false;
    if (!varint_read(rest, &length)) {
        return false;
    }
    if (length == 0) {
        *is_end = true;
        return false;
    }
    if (length - 1 > rest->length) {
        return false;
    }
    *field = span_of(rest->bytes, (size_t)length - 1);
    skip(rest, (size_t)length - 1);
    return varint_read_span(rest, value);
}

/* The run of fields up to its end, checked. */
static bool read_fields(struct span *rest, struct span *fields) {
    const char *start = rest->bytes;
    struct span field;
    struct span value;
    bool is_end;
    while (read_field(rest, &field, &value, &is_end)) {
    }
    *fields = span_of(start, (size_t)(rest->bytes - start));
    return is_end;
}

bool image_next_field(struct span *fields, struct span *field, struct span *value) {
    bool is_end;
    return read_field(fields, field, value, &is_end);
}

static bool read_content(struct span *rest, struct image_record *record) {
    uint64_t number;
    switch (record->kind) {
    case IMAGE_STRING:
        return varint_read_span(rest, &record->value);
    case IMAGE_INTEGER:
        if (!varint_read(rest, &number)) {
            return false;
        }
        record->integer = varint_unzigzag(number);
        return true;
    case IMAGE_STRING_PART:
        return varint_read(rest, &record->total) && varint_read(rest, &record->offset) &&
               varint_read_span(rest, &record->value) && record->total <= STRING_BYTES_MAX &&
               record->offset <= record->total && record->value.length > 0 &&
               record->value.length <= record->total - record->offset;
    case IMAGE_HASH_PACK:
        return varint_read_span(rest, &record->value) &&
               listpack_is_valid((const unsigned char *)record->value.bytes,
                                 record->value.length) &&
               listpack_count((const unsigned char *)record->value.bytes) % 2 == 0 &&
               listpack_count((const unsigned char *)record->value.bytes) > 0;
    case IMAGE_HASH_FIELDS:
        return read_fields(rest, &record->value) && record->value.length > 1;
    case IMAGE_SLOT:
        break;
    }
    return false;
}

enum image_status image_read(struct image_reader *reader, struct image_record *record) {
    struct span rest = reader->rest;
    while (rest.length > 0 && (unsigned char)rest.bytes[0] == IMAGE_SLOT) {
        skip(&rest, 1);
        if (!read_slot(reader, &rest)) {
            return IMAGE_DAMAGED;
        }
        reader->rest = rest;
    }
    if (rest.length == 0) {
        return IMAGE_END;
    }
    unsigned head = (unsigned char)rest.bytes[0];
    skip(&rest, 1);
    *record = (struct image_record){
        .kind = (enum image_kind)(head & KIND_MASK),
        .is_more = (head & IMAGE_FLAG_MORE) != 0,
        .database = reader->database,
        .slot = reader->slot,
    };
    if (!reader->has_slot || record->kind == IMAGE_SLOT ||
        (record->is_more && record->kind != IMAGE_HASH_FIELDS) ||
        !read_key(&rest, head, &record->key) || !read_content(&rest, record)) {
        return IMAGE_DAMAGED;
    }
    reader->rest = rest;
    return IMAGE_DONE;
}

/* ---- loading ---- */

struct load {
    struct store *store;
    const struct image_record *record;
    uint64_t hash;
    uint64_t *cell;
};

static struct entry_plan plan_of(const struct load *load, enum entry_kind kind) {
    const struct image_key *key = &load->record->key;
    return (struct entry_plan){
        .kind = kind,
        .is_raw = key->is_raw,
        .expiry_ms = key->expiry_ms,
        .access = key->has_access ? key->access : store_access_new(load->store),
        .key = key->key,
    };
}

static void add(struct load *load, const struct entry_plan *plan) {
    const struct image_record *record = load->record;
    if (plan->kind == ENTRY_BLOCK) {
        struct block *block = (struct block *)(uintptr_t)plan->fixed; // NOLINT
        heap_account(&load->store->heap, block_occupied_bytes(block));
    }
    load->cell = store_add(load->store, record->database, record->slot, load->hash,
                           entry_new(&load->store->heap, plan));
}

static enum image_status load_string(struct load *load) {
    struct span value = load->record->value;
    struct entry_plan plan = plan_of(load, ENTRY_BYTES);
    if (value.length >= BLOCK_BYTES_MIN || load->record->kind == IMAGE_STRING_PART) {
        struct block *block = block_try_new(value.length);
        if (block == NULL) {
            return IMAGE_NO_MEMORY;
        }
        memcpy(block->bytes, value.bytes, value.length);
        block->length = value.length;
        plan.kind = ENTRY_BLOCK;
        plan.fixed = (uint64_t)(uintptr_t)block;
    } else {
        plan.value = value;
    }
    add(load, &plan);
    return IMAGE_DONE;
}

/* Room for the next part. The block grows fourfold as parts come, never by the announced length
 * alone; what it has in the end is just the room for the whole. */
static struct block *grow_string(const struct load *load, struct entry *entry) {
    const struct image_record *record = load->record;
    struct block *block = entry_block(entry);
    size_t length = block->length + record->value.length;
    if (length > block->capacity) {
        size_t before = block_occupied_bytes(block);
        uint64_t capacity = 4 * (uint64_t)length;
        if (!block_try_reserve(&block, capacity < record->total ? (size_t)capacity
                                                                : (size_t)record->total)) {
            return NULL;
        }
        heap_unaccount(&load->store->heap, before);
        heap_account(&load->store->heap, block_occupied_bytes(block));
        entry_set_fixed(entry, (uint64_t)(uintptr_t)block);
    }
    return block;
}

static enum image_status load_string_part(struct load *load) {
    const struct image_record *record = load->record;
    if (record->offset == 0) {
        return record->total < BLOCK_BYTES_MIN ? IMAGE_DAMAGED : load_string(load);
    }
    struct entry *entry = table_cell_element(*load->cell);
    if (entry_kind(entry) != ENTRY_BLOCK || entry_block(entry)->length != record->offset) {
        return IMAGE_DAMAGED;
    }
    struct block *block = grow_string(load, entry);
    if (block == NULL) {
        return IMAGE_NO_MEMORY;
    }
    memcpy(block->bytes + record->offset, record->value.bytes, record->value.length);
    block->length += record->value.length;
    return IMAGE_DONE;
}

static enum image_status load_fields(struct load *load) {
    const struct image_record *record = load->record;
    if (!record->is_more) {
        load->cell = hash_value_new(load->store, record->database, record->slot, load->hash,
                                    record->key.key);
        hash_value_make_table(load->store, load->cell);
    } else if (entry_kind(table_cell_element(*load->cell)) != ENTRY_HASH_TABLE) {
        return IMAGE_DAMAGED;
    }
    struct span fields = record->value;
    struct span field;
    struct span value;
    while (image_next_field(&fields, &field, &value)) {
        hash_value_put(load->store, load->cell, field, value);
    }
    if (!record->is_more) {
        struct entry *entry = table_cell_element(*load->cell);
        if (record->key.has_access) {
            entry_set_access(entry, record->key.access);
        }
        if (record->key.expiry_ms != ENTRY_NO_EXPIRY) {
            entry = entry_with_expiry(&load->store->heap, entry, record->key.expiry_ms);
            table_cell_move(load->cell, entry);
            store_expiry_changed(load->store, record->database, record->slot, ENTRY_NO_EXPIRY,
                                 record->key.expiry_ms);
        }
    }
    return IMAGE_DONE;
}

static enum image_status load_new(struct load *load) {
    const struct image_record *record = load->record;
    struct entry_plan plan;
    switch (record->kind) {
    case IMAGE_STRING:
        return load_string(load);
    case IMAGE_INTEGER:
        plan = plan_of(load, ENTRY_INTEGER);
        plan.fixed = (uint64_t)record->integer;
        add(load, &plan);
        return IMAGE_DONE;
    case IMAGE_HASH_PACK:
        plan = plan_of(load, ENTRY_HASH_PACK);
        plan.value = record->value;
        add(load, &plan);
        return IMAGE_DONE;
    case IMAGE_STRING_PART:
        return load_string_part(load);
    case IMAGE_HASH_FIELDS:
        return load_fields(load);
    case IMAGE_SLOT:
        break;
    }
    return IMAGE_DAMAGED;
}

enum image_status image_load(struct store *store, const struct image_record *record) {
    ASSERT(store_owns(store, record->slot));
    struct load load = {
        .store = store, .record = record, .hash = store_hash(store, record->key.key)};
    if (record->database >= store->database_count || slot_of_key(record->key.key) != record->slot) {
        return IMAGE_DAMAGED;
    }
    load.cell = store_find(store, record->database, record->slot, load.hash, record->key.key);
    bool goes_on = record->is_more || (record->kind == IMAGE_STRING_PART && record->offset > 0);
    if (goes_on != (load.cell != NULL)) {
        return IMAGE_DAMAGED;
    }
    return load_new(&load);
}
