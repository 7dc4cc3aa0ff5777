#include "commands/replay.h"

#include "commands/effect_codec.h"

/* Effects whose tables and entries are fetched into the cache together. */
#define LOOK_AHEAD_EFFECTS 16
#define LOOK_AHEAD_LINE_BYTES 64

/* The image of this slot is from after the frame: it holds what the frame does. */
static bool is_in_image(const struct replay *replay, uint16_t slot, uint64_t position) {
    return UNLIKELY(position < replay->images_end) &&
           position < replay->image_position(replay->context, slot);
}

/* A flush or swap, slot by slot, for those whose image is older. */
static enum effect_replay_status
apply_to_slots(struct replay *replay, const struct effect_record *record, uint64_t position) {
    struct store *store = replay->store;
    uint64_t number = (uint64_t)record->effect.number;
    bool is_flush = record->effect.kind == EFFECT_DATABASE_FLUSH;
    uint64_t first = is_flush ? number : number >> 32;
    uint64_t second = is_flush ? 0 : number & UINT32_MAX;
    if (first >= store->database_count || second >= store->database_count) {
        return EFFECT_REPLAY_WRONG_DATABASE;
    }
    for (uint32_t i = 0; i < store->slot_count; i++) {
        uint16_t slot = (uint16_t)(store->slot_first + i);
        if (is_in_image(replay, slot, position)) {
            continue;
        }
        if (is_flush) {
            store_flush_slot(store, (uint32_t)first, slot);
        } else {
            store_swap_slot(store, (uint32_t)first, (uint32_t)second, slot);
        }
    }
    return EFFECT_REPLAY_DONE;
}

static enum effect_replay_status apply(struct replay *replay, const struct effect_record *record,
                                       uint64_t position) {
    enum effect_replay_status status;
    if (record->slot == EFFECT_NODE_SLOT) {
        status = position < replay->images_end ? apply_to_slots(replay, record, position)
                                               : effect_replay_to_store(replay->store, record);
    } else if (!store_owns(replay->store, record->slot) ||
               is_in_image(replay, record->slot, position)) {
        return EFFECT_REPLAY_DONE;
    } else {
        status = effect_replay_to_store(replay->store, record);
    }
    if (status == EFFECT_REPLAY_DONE && replay->applied != NULL) {
        replay->applied(replay->applied_context, record);
    }
    return status;
}

struct prospect {
    const struct table *table;
    const struct table_bucket *bucket;
    uint64_t hash;
};

/* What the next effects will touch, if it is there: their slots' tables. */
static uint32_t look_at_effects(const struct replay *replay, struct span content,
                                struct prospect *prospects) {
    struct effect_record record;
    uint32_t count = 0;
    for (int i = 0; i < LOOK_AHEAD_EFFECTS; i++) {
        if (effect_read(&content, &record) != EFFECT_READ_DONE) {
            break;
        }
        if (record.slot == EFFECT_NODE_SLOT || !store_owns(replay->store, record.slot) ||
            record.database >= replay->store->database_count) {
            continue;
        }
        const struct table *table = store_table(replay->store, record.database, record.slot);
        if (table != NULL) {
            __builtin_prefetch(table);
            prospects[count++] = (struct prospect){
                .table = table,
                .hash = store_hash(replay->store, record.key),
            };
        }
    }
    return count;
}

/* Then their buckets, then their entries: each step's misses are under way at the same time. */
static void look_ahead(const struct replay *replay, struct span content) {
    struct prospect prospects[LOOK_AHEAD_EFFECTS];
    uint32_t count = look_at_effects(replay, content, prospects);
    for (uint32_t i = 0; i < count; i++) {
        prospects[i].bucket = table_home(prospects[i].table, prospects[i].hash);
        __builtin_prefetch(prospects[i].bucket);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (prospects[i].bucket != NULL) {
            const char *entry = table_guess(prospects[i].bucket, prospects[i].hash);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + LOOK_AHEAD_LINE_BYTES);
        }
    }
}

bool replay_frame(struct replay *replay, uint64_t position, struct span content,
                  struct buffer *report) {
    const char *start = content.bytes;
    const char *at = start;
    const char *found = "bytes that are none";
    struct effect_record record;
    enum effect_read_status status;
    look_ahead(replay, content);
    for (uint32_t i = 1; (status = effect_read(&content, &record)) == EFFECT_READ_DONE; i++) {
        enum effect_replay_status replayed = apply(replay, &record, position);
        if (replayed != EFFECT_REPLAY_DONE) {
            found = effect_replay_reason(replayed);
            break;
        }
        replay->effects++;
        at = content.bytes;
        if (i % LOOK_AHEAD_EFFECTS == 0) {
            look_ahead(replay, content);
        }
    }
    if (status == EFFECT_READ_END) {
        return true;
    }
    buffer_format(report,
                  "the log's frame at position %llu: expected an effect that fits the data at byte "
                  "%zu of its content, found: %s",
                  (unsigned long long)position, (size_t)(at - start), found);
    return false;
}
