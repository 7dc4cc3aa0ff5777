#include "commands/effect.h"

#include "base/buffer.h"
#include "store/cut.h"
#include "store/hash_value.h"
#include "store/value.h"
#include "store/value_codec.h"

static int64_t value_put(struct place *place, const struct effect *effect) {
    struct string_put put = {
        .bytes = effect->value,
        .block = effect->block,
        .expiry_ms = effect->expiry_ms,
        .is_raw = effect->is_raw,
        .is_text = effect->is_text,
    };
    int64_t is_new = place->cell == NULL;
    place->cell = value_string_put(place->store, place->database, place->slot, place->hash,
                                   place->key, place->cell, &put);
    return is_new;
}

static int64_t key_delete(struct place *place) {
    if (place->cell == NULL) {
        return 0;
    }
    store_remove(place->store, place->database, place->slot, place->hash, place->cell);
    place->cell = NULL;
    return 1;
}

static int64_t key_expire_at(struct place *place, const struct effect *effect) {
    if (place->cell == NULL) {
        return 0;
    }
    struct entry *entry = table_cell_element(*place->cell);
    int64_t old_ms = entry_expiry(entry);
    entry = entry_with_expiry(&place->store->heap, entry, effect->expiry_ms);
    table_cell_move(place->cell, entry);
    store_expiry_changed(place->store, place->database, place->slot, old_ms, effect->expiry_ms);
    return 1;
}

static int64_t string_patch(struct place *place, const struct effect *effect) {
    if (place->cell == NULL) {
        struct string_put empty = {
            .bytes = span_of("", 0), .expiry_ms = ENTRY_NO_EXPIRY, .is_raw = true};
        place->cell = value_string_put(place->store, place->database, place->slot, place->hash,
                                       place->key, NULL, &empty);
    }
    bool is_done =
        value_string_patch(place->store, place->cell, (size_t)effect->number, effect->value);
    ASSERT(is_done);
    return (int64_t)value_string_length(table_cell_element(*place->cell));
}

static int64_t integer_put(struct place *place, const struct effect *effect) {
    if (place->cell != NULL) {
        value_string_set_integer(place->store, place->cell, effect->number);
        return 0;
    }
    char text[NUMBER_TEXT_BYTES_MAX];
    struct string_put put = {
        .bytes = span_of(text, number_format(text, effect->number)),
        .expiry_ms = ENTRY_NO_EXPIRY,
    };
    place->cell = value_string_put(place->store, place->database, place->slot, place->hash,
                                   place->key, NULL, &put);
    return 1;
}

static int64_t hash_put(struct place *place, const struct effect *effect) {
    if (place->cell == NULL) {
        place->cell =
            hash_value_new(place->store, place->database, place->slot, place->hash, place->key);
    }
    if (effect->is_table) {
        hash_value_make_table(place->store, place->cell);
    }
    return hash_value_put(place->store, place->cell, effect->field, effect->value);
}

static int64_t hash_delete(struct place *place, const struct effect *effect) {
    if (place->cell == NULL || !hash_value_delete(place->store, place->cell, effect->field)) {
        return 0;
    }
    if (hash_value_length(table_cell_element(*place->cell)) == 0) {
        key_delete(place);
    }
    return 1;
}

static int64_t value_restore(struct place *place, const struct effect *effect) {
    int64_t is_new = place->cell == NULL;
    struct value_content decoded = VALUE_CONTENT_EMPTY;
    struct value_content *content = effect->content;
    if (content == NULL || content->kind == ENTRY_KINDS) {
        enum value_decode_status status = value_decode(place->store, effect->value, &decoded);
        ASSERT(status == VALUE_DECODED);
        content = &decoded;
    }
    value_content_put(place, &(struct value_content_put){.content = content,
                                                         .expiry_ms = effect->expiry_ms,
                                                         .access = effect->number});
    return is_new;
}

/* The entry goes over as it is, when its key stays; else a new one takes over its content. */
static int64_t key_move(struct place *place, const struct effect *effect) {
    if (place->cell == NULL) {
        return 0;
    }
    struct store *store = place->store;
    struct place target = {
        .store = store,
        .key = effect->field,
        .hash = store_hash(store, effect->field),
        .database = (uint32_t)effect->number,
        .slot = place->slot,
    };
    place_find(&target);
    if (target.cell != NULL && target.cell == place->cell) {
        return 1;
    }
    cut_before_change(store, target.database, target.slot, target.hash);
    key_delete(&target);
    place_find(place);
    struct entry *entry = store_take(store, place->database, place->slot, place->hash, place->cell);
    if (!span_equal(place->key, target.key)) {
        struct entry_plan plan = entry_plan_of(entry);
        plan.key = target.key;
        struct entry *renamed = entry_new(&store->heap, &plan);
        entry_free(&store->heap, entry);
        entry = renamed;
    }
    store_add(store, target.database, target.slot, target.hash, entry);
    watch_touch(&store->watches, target.database, target.key);
    place->cell = NULL;
    return 1;
}

int64_t effect_apply(struct place *place, const struct effect *effect) {
    place_refresh(place);
    cut_before_change(place->store, place->database, place->slot, place->hash);
    int64_t outcome = 0;
    switch (effect->kind) {
    case EFFECT_VALUE_PUT:
        outcome = value_put(place, effect);
        break;
    case EFFECT_KEY_DELETE:
        outcome = key_delete(place);
        break;
    case EFFECT_KEY_EXPIRE_AT:
        outcome = key_expire_at(place, effect);
        break;
    case EFFECT_STRING_PATCH:
        outcome = string_patch(place, effect);
        break;
    case EFFECT_INTEGER_PUT:
        outcome = integer_put(place, effect);
        break;
    case EFFECT_HASH_PUT:
        outcome = hash_put(place, effect);
        break;
    case EFFECT_HASH_DELETE:
        outcome = hash_delete(place, effect);
        break;
    case EFFECT_KEY_MOVE:
        outcome = key_move(place, effect);
        break;
    case EFFECT_VALUE_RESTORE:
        outcome = value_restore(place, effect);
        break;
    case EFFECT_DATABASE_FLUSH:
    case EFFECT_DATABASE_SWAP:
    case EFFECT_SLOT_DIGEST:
    case EFFECT_KINDS:
        ASSERT(false);
    }
    place->change_count = place->store->change_count;
    /* That an expired key goes changes nothing that could be seen: EXEC looks at the time
     * itself. */
    if (UNLIKELY(watch_table_is_used(&place->store->watches)) &&
        effect->event != EVENT_EXPIRED_ID) {
        watch_touch(&place->store->watches, place->database, place->key);
    }
    return outcome;
}

/* ---- a fault ---- */

struct first_field {
    struct buffer field;
    struct buffer value;
};

static void first_field_visit(struct span field, struct span value, void *context) {
    struct first_field *first = context;
    if (first->value.length == 0) {
        buffer_clear(&first->field);
        buffer_append_span(&first->field, field);
        buffer_append_span(&first->value, value);
    }
}

bool effect_flip_bit(struct place *place, uint64_t bit) {
    place_refresh(place);
    const struct entry *entry = place_entry(place);
    if (entry == NULL) {
        return false;
    }
    struct first_field first = {.field = BUFFER_EMPTY, .value = BUFFER_EMPTY};
    bool is_hash = value_type_of(entry) == VALUE_HASH;
    char scratch[NUMBER_TEXT_BYTES_MAX];
    if (is_hash) {
        hash_value_each(entry, first_field_visit, &first);
    } else {
        buffer_append_span(&first.value, value_string(entry, scratch));
    }
    size_t length = first.value.length;
    if (length > 0) {
        bit %= 8 * (uint64_t)length;
        first.value.bytes[bit / 8] ^= (char)(1 << bit % 8);
        struct effect effect = {
            .kind = is_hash ? EFFECT_HASH_PUT : EFFECT_STRING_PATCH,
            .field = buffer_span(&first.field),
            .value = is_hash ? buffer_span(&first.value) : span_of(first.value.bytes + bit / 8, 1),
            .number = (int64_t)(bit / 8),
        };
        effect_apply(place, &effect);
    }
    buffer_free(&first.field);
    buffer_free(&first.value);
    return length > 0;
}

/* ---- node scope ---- */

/* A flush changes the watched keys that exist. */
static bool exists(uint32_t database, struct span key, void *context) {
    const struct store *store = context;
    return store_find(store, database, slot_of_key(key), store_hash(store, key), key) != NULL;
}

struct swap {
    const struct store *store;
    uint32_t other;
};

/* A swap changes the watched keys that exist on either side. */
static bool exists_on_either_side(uint32_t database, struct span key, void *context) {
    const struct swap *swap = context;
    struct store *store = (struct store *)swap->store;
    return exists(database, key, store) || exists(swap->other, key, store);
}

uint64_t effect_apply_to_database(struct store *store, const struct effect *effect) {
    if (effect->kind == EFFECT_DATABASE_FLUSH) {
        uint32_t database = (uint32_t)effect->number;
        watch_touch_database(&store->watches, database, exists, store);
        return store_flush(store, database);
    }
    ASSERT(effect->kind == EFFECT_DATABASE_SWAP);
    uint32_t first = (uint32_t)((uint64_t)effect->number >> 32);
    uint32_t second = (uint32_t)effect->number;
    struct swap swap = {.store = store, .other = second};
    watch_touch_database(&store->watches, first, exists_on_either_side, &swap);
    swap.other = first;
    watch_touch_database(&store->watches, second, exists_on_either_side, &swap);
    store_swap(store, first, second);
    return 0;
}
