#include "commands/call.h"

#include "base/numbers.h"

/* Deletes the key at place because its time has come. */
static void let_go(struct call *call, struct place *place) {
    place->store->statistics.expired_keys++;
    call_emit(call, place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_EXPIRED_ID});
}

struct place call_place(struct call *call, struct span key) {
    struct place place = {.key = key, .database = call->database};
    if (LIKELY(call->first_key != 0 && key.bytes == call->args[call->first_key].bytes)) {
        place.slot = call->first_slot;
        place.hash = call->first_hash;
        place.store = call_store(call, place.slot);
    } else {
        place.slot = slot_of_key(key);
        place.store = call_store(call, place.slot);
        place.hash = store_hash(place.store, key);
    }
    place_find(&place);
    if (place.cell != NULL) {
        const struct entry *entry = table_cell_element(*place.cell);
        if (UNLIKELY(entry_has(entry, ENTRY_FLAG_EXPIRY)) &&
            call_is_past(call, entry_expiry(entry))) {
            if (call->keeps_expired) {
                place.cell = NULL;
            } else {
                let_go(call, &place);
            }
        }
    }
    return place;
}

struct entry *call_read(struct call *call, struct span key) {
    struct place place = call_place(call, key);
    if (place.cell == NULL) {
        place.store->statistics.misses++;
        call_notify(call, EVENT_KEY_MISS_ID, key);
        return NULL;
    }
    struct entry *entry = table_cell_element(*place.cell);
    place.store->statistics.hits++;
    if (LIKELY(!call->no_touch)) {
        store_touch(place.store, entry);
    }
    return entry;
}

struct entry *call_read_typed(struct call *call, struct span key, enum value_type type,
                              bool *is_wrong) {
    struct entry *entry = call_read(call, key);
    *is_wrong = entry != NULL && value_type_of(entry) != type;
    if (UNLIKELY(*is_wrong)) {
        call_reply_wrong_type(call);
        return NULL;
    }
    return entry;
}

bool call_write_typed(struct call *call, struct span key, enum value_type type,
                      struct place *place) {
    *place = call_place(call, key);
    if (place->cell == NULL) {
        return true;
    }
    struct entry *entry = table_cell_element(*place->cell);
    if (!call->no_touch) {
        store_touch(place->store, entry);
    }
    if (UNLIKELY(value_type_of(entry) != type)) {
        call_reply_wrong_type(call);
        return false;
    }
    return true;
}

void call_notify(struct call *call, enum event event, struct span key) {
    const struct call_observer *observer = &call->environment->observer;
    if (UNLIKELY(observer->event_classes != 0) && event != EVENT_NONE &&
        (observer->event_classes & event_class_of(event)) != 0) {
        observer->event(observer->context, call, event, key);
    }
}

int64_t call_emit(struct call *call, struct place *place, const struct effect *effect) {
    int64_t outcome = effect_apply(place, effect);
    call->changes++;
    const struct call_observer *observer = &call->environment->observer;
    if (observer->effect != NULL) {
        observer->effect(observer->context, call, place, effect);
    }
    call_notify(call, effect->event, place->key);
    return outcome;
}

uint64_t call_emit_to_database(struct call *call, const struct effect *effect) {
    const struct keyspace *keyspace = call->environment->keyspace;
    uint64_t removed = 0;
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        removed += effect_apply_to_database(keyspace->stores[i], effect);
    }
    call->changes++;
    const struct call_observer *observer = &call->environment->observer;
    if (observer->effect != NULL) {
        observer->effect(observer->context, call, NULL, effect);
    }
    return removed;
}

void call_reply_string(struct call *call, const struct entry *entry) {
    if (UNLIKELY(entry_kind(entry) == ENTRY_BLOCK)) {
        struct block *block = entry_block(entry);
        reply_bulk_block(call->reply, block, 0, block->length);
        return;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    reply_bulk(call->reply, value_string(entry, scratch));
}

void call_reply_wrong_type(struct call *call) {
    reply_error(call->reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void call_reply_syntax_error(struct call *call) {
    reply_error(call->reply, "ERR syntax error");
}

bool call_integer(struct call *call, uint32_t i, int64_t *number, const char *error) {
    if (LIKELY(number_parse(call->args[i], number))) {
        return true;
    }
    reply_error(call->reply, error == NULL ? "ERR value is not an integer or out of range" : error);
    return false;
}
