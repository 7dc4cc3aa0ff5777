#include "commands/effect_codec.h"

#include "base/bytes.h"
#include "base/varint.h"
#include "store/value.h"
#include "store/value_codec.h"

#define HEAD_BYTES 5

_Static_assert(EFFECT_OVERHEAD_BYTES_MAX >= HEAD_BYTES + 5 + 8 + 4 * VARINT_BYTES_MAX,
               "a whole entry finds the room that effect_write() reserves");

/* A kind's row is the only place that says what its entries hold. A kind without a key or
 * slot is of node scope. Never changed once released: a log may hold entries of each kind. */
static const struct effect_kind_row kind_rows[] = {
    [EFFECT_VALUE_PUT] = {.name = "value_put",
                          .parts = EFFECT_PART_KEY | EFFECT_PART_VALUE | EFFECT_PART_EXPIRY,
                          .flags = EFFECT_FLAG_RAW | EFFECT_FLAG_TEXT},
    [EFFECT_KEY_DELETE] = {.name = "key_delete", .parts = EFFECT_PART_KEY},
    [EFFECT_KEY_EXPIRE_AT] = {.name = "key_expire_at",
                              .parts = EFFECT_PART_KEY | EFFECT_PART_EXPIRY},
    [EFFECT_STRING_PATCH] = {.name = "string_patch",
                             .parts = EFFECT_PART_KEY | EFFECT_PART_VALUE | EFFECT_PART_NUMBER},
    [EFFECT_INTEGER_PUT] = {.name = "integer_put", .parts = EFFECT_PART_KEY | EFFECT_PART_NUMBER},
    [EFFECT_HASH_PUT] = {.name = "hash_put",
                         .parts = EFFECT_PART_KEY | EFFECT_PART_FIELD | EFFECT_PART_VALUE,
                         .flags = EFFECT_FLAG_TABLE},
    [EFFECT_HASH_DELETE] = {.name = "hash_delete", .parts = EFFECT_PART_KEY | EFFECT_PART_FIELD},
    [EFFECT_KEY_MOVE] = {.name = "key_move",
                         .parts = EFFECT_PART_KEY | EFFECT_PART_FIELD | EFFECT_PART_NUMBER},
    [EFFECT_DATABASE_FLUSH] = {.name = "database_flush", .parts = EFFECT_PART_NUMBER},
    [EFFECT_DATABASE_SWAP] = {.name = "database_swap", .parts = EFFECT_PART_NUMBER},
    [EFFECT_VALUE_RESTORE] = {.name = "value_restore",
                              .parts = EFFECT_PART_KEY | EFFECT_PART_VALUE | EFFECT_PART_NUMBER |
                                       EFFECT_PART_EXPIRY},
    [EFFECT_SLOT_DIGEST] = {.name = "slot_digest",
                            .parts = EFFECT_PART_SLOT | EFFECT_PART_NUMBER,
                            .flags = EFFECT_FLAG_KEYS},
};
_Static_assert(sizeof(kind_rows) / sizeof(kind_rows[0]) == EFFECT_KINDS, "every kind has a row");

#define PARTS_IN_SLOT (EFFECT_PART_KEY | EFFECT_PART_SLOT)

const struct effect_kind_row *effect_kind_find(unsigned kind) {
    return kind < EFFECT_KINDS && kind_rows[kind].name != NULL ? &kind_rows[kind] : NULL;
}

/* ---- writing ---- */

static inline char *put_bytes(char *place, struct span bytes) {
    place = varint_write(place, bytes.length);
    if (LIKELY(bytes.length != 0)) {
        memcpy(place, bytes.bytes, bytes.length);
    }
    return place + bytes.length;
}

static inline unsigned flags_of(const struct effect_kind_row *row,
                                const struct effect_record *record) {
    const struct effect *effect = &record->effect;
    unsigned flags = 0;
    flags |= effect->is_raw ? EFFECT_FLAG_RAW : 0;
    flags |= effect->is_text ? EFFECT_FLAG_TEXT : 0;
    flags |= effect->is_table ? EFFECT_FLAG_TABLE : 0;
    flags |= effect->has_keys ? EFFECT_FLAG_KEYS : 0;
    flags &= row->flags;
    if ((row->parts & EFFECT_PART_EXPIRY) != 0 && effect->expiry_ms != ENTRY_NO_EXPIRY) {
        flags |= EFFECT_FLAG_EXPIRY;
    }
    flags |= record->is_joined ? EFFECT_FLAG_JOINED : 0;
    return record->database == 0 ? flags : flags | EFFECT_FLAG_DATABASE;
}

/* The value is the whole of a block that is worth not being copied. */
static inline bool value_is_block(const struct effect *effect) {
    return effect->block != NULL && effect->value.length >= BLOCK_BYTES_MIN &&
           effect->value.bytes == effect->block->bytes &&
           effect->value.length == effect->block->length;
}

bool effect_write(struct buffer *out, const struct effect_record *record) {
    const struct effect *effect = &record->effect;
    const struct effect_kind_row *row = effect_kind_find(effect->kind);
    ASSERT(row != NULL);
    bool has_key = (row->parts & EFFECT_PART_KEY) != 0;
    ASSERT((row->parts & PARTS_IN_SLOT) != 0 ? record->slot < SLOTS
                                             : record->slot == EFFECT_NODE_SLOT);
    ASSERT(has_key || record->database == 0);
    bool is_block = value_is_block(effect) && (row->parts & EFFECT_PART_VALUE) != 0;
    char *start =
        buffer_reserve(out, EFFECT_OVERHEAD_BYTES_MAX + record->key.length + effect->field.length +
                                (is_block ? 0 : effect->value.length));
    unsigned flags = flags_of(row, record);
    start[0] = (char)effect->kind;
    start[1] = (char)effect->event;
    start[2] = (char)flags;
    bytes_store_u16(start + 3, record->slot);
    char *place = start + HEAD_BYTES;
    if ((flags & EFFECT_FLAG_DATABASE) != 0) {
        place = varint_write(place, record->database);
    }
    if ((row->parts & EFFECT_PART_NUMBER) != 0) {
        place = varint_write(place, varint_zigzag(effect->number));
    }
    if ((flags & EFFECT_FLAG_EXPIRY) != 0) {
        bytes_store_u64(place, (uint64_t)effect->expiry_ms);
        place += sizeof(uint64_t);
    }
    if (has_key) {
        place = put_bytes(place, record->key);
    }
    if ((row->parts & EFFECT_PART_FIELD) != 0) {
        place = put_bytes(place, effect->field);
    }
    if ((row->parts & EFFECT_PART_VALUE) != 0) {
        place =
            is_block ? varint_write(place, effect->value.length) : put_bytes(place, effect->value);
    }
    buffer_commit(out, (size_t)(place - start));
    return is_block;
}

/* ---- reading ---- */

/* What take_...() could not give makes is_damaged true, and everything after it 0 or empty. */
struct reading {
    struct span rest;
    bool is_damaged;
};

static struct span take(struct reading *reading, uint64_t length) {
    if (reading->is_damaged || length > reading->rest.length) {
        reading->is_damaged = true;
        return span_of(NULL, 0);
    }
    struct span taken = span_of(reading->rest.bytes, (size_t)length);
    reading->rest.bytes += length;
    reading->rest.length -= (size_t)length;
    return taken;
}

static uint64_t take_varint(struct reading *reading) {
    const char *start = reading->rest.bytes;
    uint64_t number = 0;
    if (reading->is_damaged || !varint_read(&reading->rest, &number)) {
        reading->is_damaged = true;
        return 0;
    }
    const char *end = reading->rest.bytes;
    /* A last byte that adds nothing. */
    reading->is_damaged = end[-1] == 0 && end - start > 1;
    return number;
}

static bool event_is_known(unsigned event) {
    switch (event) {
    case EVENT_NONE:
#define EVENT_CASE(number, word, name, class) case EVENT_##word##_ID:
        EVENT_ROWS(EVENT_CASE)
#undef EVENT_CASE
        return true;
    default:
        return false;
    }
}

static uint32_t take_database(struct reading *reading, unsigned flags) {
    if ((flags & EFFECT_FLAG_DATABASE) == 0) {
        return 0;
    }
    uint64_t database = take_varint(reading);
    reading->is_damaged |= database == 0 || database >= STORE_DATABASES_MAX;
    return (uint32_t)database;
}

static int64_t take_expiry(struct reading *reading, unsigned flags) {
    if ((flags & EFFECT_FLAG_EXPIRY) == 0) {
        return ENTRY_NO_EXPIRY;
    }
    struct span taken = take(reading, sizeof(uint64_t));
    int64_t expiry_ms = reading->is_damaged ? 0 : (int64_t)bytes_load_u64(taken.bytes);
    reading->is_damaged |= expiry_ms == ENTRY_NO_EXPIRY;
    return expiry_ms;
}

/* The parts behind the head, in their order. */
static void take_parts(struct reading *reading, unsigned parts, unsigned flags,
                       struct effect_record *record) {
    record->database = take_database(reading, flags);
    if ((parts & EFFECT_PART_NUMBER) != 0) {
        record->effect.number = varint_unzigzag(take_varint(reading));
    }
    record->effect.expiry_ms = take_expiry(reading, flags);
    if ((parts & EFFECT_PART_KEY) != 0) {
        record->key = take(reading, take_varint(reading));
    }
    if ((parts & EFFECT_PART_FIELD) != 0) {
        record->effect.field = take(reading, take_varint(reading));
    }
    if ((parts & EFFECT_PART_VALUE) != 0) {
        record->effect.value = take(reading, take_varint(reading));
    }
}

enum effect_read_status effect_read(struct span *content, struct effect_record *record) {
    if (content->length == 0) {
        return EFFECT_READ_END;
    }
    struct reading reading = {.rest = *content};
    struct span head = take(&reading, HEAD_BYTES);
    if (reading.is_damaged) {
        return EFFECT_READ_DAMAGED;
    }
    const unsigned char *bytes = (const unsigned char *)head.bytes;
    const struct effect_kind_row *row = effect_kind_find(bytes[0]);
    if (row == NULL || !event_is_known(bytes[1])) {
        return EFFECT_READ_DAMAGED;
    }
    bool has_key = (row->parts & EFFECT_PART_KEY) != 0;
    unsigned flags = bytes[2];
    unsigned allowed = row->flags | EFFECT_FLAG_JOINED | (has_key ? EFFECT_FLAG_DATABASE : 0U) |
                       ((row->parts & EFFECT_PART_EXPIRY) != 0 ? EFFECT_FLAG_EXPIRY : 0U);
    uint16_t slot = bytes_load_u16(bytes + 3);
    bool is_in_slot = (row->parts & PARTS_IN_SLOT) != 0;
    if ((flags & ~allowed) != 0 || (is_in_slot ? slot >= SLOTS : slot != EFFECT_NODE_SLOT)) {
        return EFFECT_READ_DAMAGED;
    }
    *record = (struct effect_record){
        .effect = {.kind = (enum effect_kind)bytes[0],
                   .event = (enum event)bytes[1],
                   .is_raw = (flags & EFFECT_FLAG_RAW) != 0,
                   .is_text = (flags & EFFECT_FLAG_TEXT) != 0,
                   .is_table = (flags & EFFECT_FLAG_TABLE) != 0,
                   .has_keys = (flags & EFFECT_FLAG_KEYS) != 0},
        .slot = slot,
        .is_joined = (flags & EFFECT_FLAG_JOINED) != 0,
    };
    take_parts(&reading, row->parts, flags, record);
    if (reading.is_damaged) {
        return EFFECT_READ_DAMAGED;
    }
    *content = reading.rest;
    return EFFECT_READ_DONE;
}

/* ---- replaying ---- */

static enum effect_replay_status replay_to_database(struct store *store,
                                                    const struct effect *effect) {
    uint64_t number = (uint64_t)effect->number;
    bool is_swap = effect->kind == EFFECT_DATABASE_SWAP;
    if ((is_swap ? number >> 32 : number) >= store->database_count ||
        (is_swap && (uint32_t)number >= store->database_count)) {
        return EFFECT_REPLAY_WRONG_DATABASE;
    }
    effect_apply_to_database(store, effect);
    return EFFECT_REPLAY_DONE;
}

/* A value that is kept as a block comes as one, since that may find no memory. */
static enum effect_replay_status replay_large_value(struct place *place,
                                                    const struct effect *effect) {
    struct block *block = block_try_new(effect->value.length);
    if (block == NULL) {
        return EFFECT_REPLAY_OUT_OF_MEMORY;
    }
    memcpy(block->bytes, effect->value.bytes, effect->value.length);
    block->length = effect->value.length;
    struct effect with_block = *effect;
    with_block.block = block;
    with_block.value = block_span(block);
    effect_apply(place, &with_block);
    block_release(block);
    return EFFECT_REPLAY_DONE;
}

static enum effect_replay_status check_patch(struct place *place, const struct effect *effect) {
    uint64_t length_max = (uint64_t)place->store->options->proto_max_bulk_len;
    if (length_max < EFFECT_STRING_BYTES_MAX) {
        length_max = EFFECT_STRING_BYTES_MAX;
    }
    /* A negative number is beyond every length. */
    if (effect->value.length > length_max ||
        (uint64_t)effect->number > length_max - effect->value.length) {
        return EFFECT_REPLAY_OUT_OF_RANGE;
    }
    size_t length = (size_t)effect->number + effect->value.length;
    return value_string_reserve(place->store, place->cell, length) ? EFFECT_REPLAY_DONE
                                                                   : EFFECT_REPLAY_OUT_OF_MEMORY;
}

static enum effect_replay_status replay_restore(struct place *place, const struct effect *effect) {
    if (effect->number < VALUE_ACCESS_NEW || effect->number > ENTRY_ACCESS_MAX) {
        return EFFECT_REPLAY_OUT_OF_RANGE;
    }
    struct value_content content;
    switch (value_decode(place->store, effect->value, &content)) {
    case VALUE_DECODED:
        break;
    case VALUE_NO_MEMORY:
        return EFFECT_REPLAY_OUT_OF_MEMORY;
    default:
        return EFFECT_REPLAY_DAMAGED_VALUE;
    }
    struct effect with_content = *effect;
    with_content.content = &content;
    effect_apply(place, &with_content);
    return EFFECT_REPLAY_DONE;
}

static bool type_fits(const struct place *place, enum effect_kind kind) {
    if (place->cell == NULL) {
        return true;
    }
    enum value_type type = value_type_of(table_cell_element(*place->cell));
    switch (kind) {
    case EFFECT_STRING_PATCH:
    case EFFECT_INTEGER_PUT:
        return type == VALUE_STRING;
    case EFFECT_HASH_PUT:
    case EFFECT_HASH_DELETE:
        return type == VALUE_HASH;
    default:
        return true;
    }
}

static enum effect_replay_status check(struct place *place, const struct effect *effect) {
    if (!type_fits(place, effect->kind)) {
        return EFFECT_REPLAY_WRONG_TYPE;
    }
    if (effect->kind == EFFECT_STRING_PATCH) {
        return check_patch(place, effect);
    }
    if (effect->kind == EFFECT_KEY_MOVE) {
        if (effect->field.length > ENTRY_KEY_BYTES_MAX) {
            return EFFECT_REPLAY_OUT_OF_RANGE;
        }
        if ((uint64_t)effect->number >= place->store->database_count) {
            return EFFECT_REPLAY_WRONG_DATABASE;
        }
        return slot_of_key(effect->field) == place->slot ? EFFECT_REPLAY_DONE
                                                         : EFFECT_REPLAY_WRONG_SLOT;
    }
    return EFFECT_REPLAY_DONE;
}

enum effect_replay_status effect_replay_to_store(struct store *store,
                                                 const struct effect_record *record) {
    const struct effect *effect = &record->effect;
    if (record->slot == EFFECT_NODE_SLOT) {
        return replay_to_database(store, effect);
    }
    ASSERT(store_owns(store, record->slot));
    if (effect->kind == EFFECT_SLOT_DIGEST) {
        return EFFECT_REPLAY_DONE;
    }
    if (record->database >= store->database_count) {
        return EFFECT_REPLAY_WRONG_DATABASE;
    }
    if (slot_of_key(record->key) != record->slot) {
        return EFFECT_REPLAY_WRONG_SLOT;
    }
    if (record->key.length > ENTRY_KEY_BYTES_MAX) {
        return EFFECT_REPLAY_OUT_OF_RANGE;
    }
    struct place place = {
        .store = store,
        .key = record->key,
        .hash = store_hash(store, record->key),
        .database = record->database,
        .slot = record->slot,
    };
    place_find(&place);
    enum effect_replay_status status = check(&place, effect);
    if (status != EFFECT_REPLAY_DONE) {
        return status;
    }
    if (effect->kind == EFFECT_VALUE_PUT && effect->value.length >= BLOCK_BYTES_MIN) {
        return replay_large_value(&place, effect);
    }
    if (effect->kind == EFFECT_VALUE_RESTORE) {
        return replay_restore(&place, effect);
    }
    effect_apply(&place, effect);
    return EFFECT_REPLAY_DONE;
}

enum effect_replay_status effect_replay(const struct keyspace *keyspace,
                                        const struct effect_record *record) {
    if (record->slot != EFFECT_NODE_SLOT) {
        return effect_replay_to_store(keyspace_store(keyspace, record->slot), record);
    }
    enum effect_replay_status status = EFFECT_REPLAY_DONE;
    /* All have as many databases: what one refuses, the first one has refused. */
    for (uint32_t i = 0; i < keyspace->store_count && status == EFFECT_REPLAY_DONE; i++) {
        status = effect_replay_to_store(keyspace->stores[i], record);
    }
    return status;
}

const char *effect_replay_reason(enum effect_replay_status status) {
    switch (status) {
    case EFFECT_REPLAY_DONE:
        return "nothing";
    case EFFECT_REPLAY_WRONG_DATABASE:
        return "there are not so many databases";
    case EFFECT_REPLAY_WRONG_SLOT:
        return "key is in another slot";
    case EFFECT_REPLAY_WRONG_TYPE:
        return "key holds a value of another type";
    case EFFECT_REPLAY_OUT_OF_RANGE:
        return "key or string would be too long";
    case EFFECT_REPLAY_DAMAGED_VALUE:
        return "value to restore is damaged, or of a type that is not known";
    case EFFECT_REPLAY_OUT_OF_MEMORY:
        return "no memory for the value";
    }
    ASSERT(false);
}
