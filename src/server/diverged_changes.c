#include "server/diverged_changes.h"

#include "base/memory.h"
#include "commands/effect_codec.h"
#include "commands/log_export.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* An effect of the files; the bytes of all stand behind each other. */
struct change {
    size_t begin; /* of its bytes */
    size_t length;
    int64_t time_ms;
};

/* What becomes of a key, or of two. */
struct step {
    size_t change; /* NONE: the key is deleted, by a flush */
    size_t key;
    size_t other; /* the key that it is moved to, or NONE */
    int64_t time_ms;
    bool is_whole; /* nothing of what the key was before matters */
};

struct key {
    struct span key; /* in the bytes */
    uint32_t database;
    size_t group; /* a key of the same one, nearer to the first; itself: it is the first */
    size_t group_keys;
    size_t whole; /* the last step that is_whole, or NONE */
    uint64_t effects;
    size_t bytes;
    int64_t time_ms;
    int64_t written_ms;
    bool is_written;
    bool is_settled;
    enum diverged_choice choice;
};

struct diverged_changes {
    struct buffer bytes;
    struct change *changes;
    size_t changes_count;
    size_t changes_capacity;
    uint64_t flushes;
    bool has_swap;
    struct key *keys;
    size_t keys_count;
    struct step *steps;
    size_t steps_count;
    size_t steps_capacity;
};

struct diverged_changes *diverged_changes_new(void) {
    return memory_alloc_zeroed(sizeof(struct diverged_changes));
}

void diverged_changes_free(struct diverged_changes *changes) {
    if (changes != NULL) {
        buffer_free(&changes->bytes);
        memory_free(changes->changes);
        memory_free(changes->keys);
        memory_free(changes->steps);
        memory_free(changes);
    }
}

/* ---- the files ---- */

static void change_add(struct diverged_changes *changes, struct span bytes, int64_t time_ms) {
    if (changes->changes_count == changes->changes_capacity) {
        changes->changes_capacity =
            changes->changes_capacity == 0 ? 64 : changes->changes_capacity * 2;
        changes->changes =
            memory_realloc(changes->changes, changes->changes_capacity * sizeof(struct change));
    }
    changes->changes[changes->changes_count++] = (struct change){
        .begin = changes->bytes.length,
        .length = bytes.length,
        .time_ms = time_ms,
    };
    buffer_append_span(&changes->bytes, bytes);
}

bool diverged_changes_add(struct diverged_changes *changes, const struct diverged_frame *frame,
                          struct buffer *report) {
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    for (struct span before = content;
         (status = effect_read(&content, &record)) == EFFECT_READ_DONE; before = content) {
        changes->has_swap |= record.effect.kind == EFFECT_DATABASE_SWAP;
        if (record.effect.kind == EFFECT_SLOT_DIGEST ||
            record.effect.kind == EFFECT_DATABASE_SWAP) {
            continue;
        }
        changes->flushes += record.effect.kind == EFFECT_DATABASE_FLUSH;
        change_add(changes, span_of(before.bytes, before.length - content.length), frame->time_ms);
    }
    if (status == EFFECT_READ_DAMAGED) {
        buffer_append_string(report, "the files hold a frame that is no effects");
    }
    return status == EFFECT_READ_END;
}

static struct effect_record record_of(const struct diverged_changes *changes, size_t index) {
    const struct change *change = &changes->changes[index];
    struct span bytes = span_of(changes->bytes.bytes + change->begin, change->length);
    struct effect_record record;
    enum effect_read_status status = effect_read(&bytes, &record);
    ASSERT(status == EFFECT_READ_DONE);
    return record;
}

/* ---- keys ---- */

static int key_compare(const struct key *a, const struct key *b) {
    if (a->database != b->database) {
        return a->database < b->database ? -1 : 1;
    }
    return span_compare(a->key, b->key);
}

static int key_compare_elements(const void *a, const void *b) {
    return key_compare(a, b);
}

static size_t key_find(const struct diverged_changes *changes, uint32_t database,
                       struct span name) {
    struct key wanted = {.key = name, .database = database};
    const struct key *found =
        bsearch(&wanted, changes->keys, changes->keys_count, sizeof(wanted), key_compare_elements);
    return found == NULL ? NONE : (size_t)(found - changes->keys);
}

static void keys_sort(struct diverged_changes *changes) {
    qsort(changes->keys, changes->keys_count, sizeof(changes->keys[0]), key_compare_elements);
    size_t count = 0;
    for (size_t i = 0; i < changes->keys_count; i++) {
        if (count == 0 || key_compare(&changes->keys[count - 1], &changes->keys[i]) != 0) {
            changes->keys[count++] = changes->keys[i];
        }
    }
    changes->keys_count = count;
    for (size_t i = 0; i < count; i++) {
        changes->keys[i].group = i;
        changes->keys[i].whole = NONE;
    }
}

/* The bytes do not move any more. */
static void keys_make(struct diverged_changes *changes) {
    changes->keys = memory_alloc_zeroed((2 * changes->changes_count + 1) * sizeof(struct key));
    for (size_t i = 0; i < changes->changes_count; i++) {
        struct effect_record record = record_of(changes, i);
        if (record.effect.kind == EFFECT_DATABASE_FLUSH) {
            continue;
        }
        changes->keys[changes->keys_count++] =
            (struct key){.key = record.key, .database = record.database};
        if (record.effect.kind == EFFECT_KEY_MOVE) {
            changes->keys[changes->keys_count++] = (struct key){
                .key = record.effect.field,
                .database = (uint32_t)record.effect.number,
            };
        }
    }
    keys_sort(changes);
}

static size_t group_of(const struct diverged_changes *changes, size_t key) {
    while (changes->keys[key].group != key) {
        key = changes->keys[key].group;
    }
    return key;
}

static void group_join(struct diverged_changes *changes, size_t one, size_t other) {
    size_t a = group_of(changes, one);
    size_t b = group_of(changes, other);
    changes->keys[a > b ? a : b].group = a > b ? b : a;
}

/* ---- steps ---- */

static void step_add(struct diverged_changes *changes, const struct step *step) {
    if (changes->steps_count == changes->steps_capacity) {
        changes->steps_capacity = changes->steps_capacity == 0 ? 64 : changes->steps_capacity * 2;
        changes->steps =
            memory_realloc(changes->steps, changes->steps_capacity * sizeof(struct step));
    }
    const size_t keys[] = {step->key, step->other};
    for (int i = 0; i < 2 && keys[i] != NONE; i++) {
        struct key *key = &changes->keys[keys[i]];
        key->effects++;
        key->time_ms = step->time_ms > key->time_ms ? step->time_ms : key->time_ms;
    }
    struct key *key = &changes->keys[step->key];
    key->bytes += step->change == NONE ? 0 : changes->changes[step->change].length;
    if (step->is_whole) {
        key->whole = changes->steps_count;
    }
    changes->steps[changes->steps_count++] = *step;
}

static void delete_add(struct diverged_changes *changes, size_t key, int64_t time_ms) {
    step_add(changes,
             &(struct step){
                 .change = NONE, .key = key, .other = NONE, .time_ms = time_ms, .is_whole = true});
}

static void flush_add(struct diverged_changes *changes, uint64_t database, int64_t time_ms) {
    for (size_t i = 0; i < changes->keys_count; i++) {
        if (changes->keys[i].database == database) {
            delete_add(changes, i, time_ms);
        }
    }
}

static bool is_whole(enum effect_kind kind) {
    return kind == EFFECT_VALUE_PUT || kind == EFFECT_VALUE_RESTORE || kind == EFFECT_KEY_DELETE;
}

void diverged_changes_finish(struct diverged_changes *changes) {
    keys_make(changes);
    for (size_t i = 0; i < changes->changes_count; i++) {
        struct effect_record record = record_of(changes, i);
        int64_t time_ms = changes->changes[i].time_ms;
        if (record.effect.kind == EFFECT_DATABASE_FLUSH) {
            flush_add(changes, (uint64_t)record.effect.number, time_ms);
            continue;
        }
        struct step step = {
            .change = i,
            .key = key_find(changes, record.database, record.key),
            .other = NONE,
            .time_ms = time_ms,
            .is_whole = is_whole(record.effect.kind),
        };
        if (record.effect.kind == EFFECT_KEY_MOVE) {
            step.other = key_find(changes, (uint32_t)record.effect.number, record.effect.field);
            group_join(changes, step.key, step.other);
        }
        step_add(changes, &step);
    }
    for (size_t i = 0; i < changes->keys_count; i++) {
        changes->keys[i].group = group_of(changes, i);
        changes->keys[changes->keys[i].group].group_keys++;
    }
}

size_t diverged_changes_keys(const struct diverged_changes *changes) {
    return changes->keys_count;
}

uint64_t diverged_changes_flushes(const struct diverged_changes *changes) {
    return changes->flushes;
}

bool diverged_changes_has_swap(const struct diverged_changes *changes) {
    return changes->has_swap;
}

void diverged_changes_key(const struct diverged_changes *changes, size_t index,
                          struct diverged_key *key) {
    ASSERT(index < changes->keys_count);
    const struct key *found = &changes->keys[index];
    *key = (struct diverged_key){
        .key = found->key,
        .database = found->database,
        .effects = found->effects,
        .time_ms = found->time_ms,
        .written_ms = found->written_ms,
        .choice = found->choice,
    };
}

/* ---- the primary's log ---- */

static void write_seen(struct diverged_changes *changes, size_t index, int64_t time_ms) {
    if (index != NONE) {
        struct key *key = &changes->keys[index];
        key->is_written = true;
        key->written_ms = time_ms > key->written_ms ? time_ms : key->written_ms;
    }
}

static void database_seen(struct diverged_changes *changes, uint64_t database, int64_t time_ms) {
    for (size_t i = 0; i < changes->keys_count; i++) {
        if (changes->keys[i].database == database) {
            write_seen(changes, i, time_ms);
        }
    }
}

static void effect_seen(struct diverged_changes *changes, const struct effect_record *record,
                        int64_t time_ms) {
    const struct effect *effect = &record->effect;
    uint64_t number = (uint64_t)effect->number;
    switch (effect->kind) {
    case EFFECT_DATABASE_FLUSH:
        database_seen(changes, number, time_ms);
        break;
    case EFFECT_DATABASE_SWAP:
        database_seen(changes, number >> 32, time_ms);
        database_seen(changes, number & UINT32_MAX, time_ms);
        break;
    case EFFECT_SLOT_DIGEST:
        break;
    case EFFECT_KEY_MOVE:
        write_seen(changes, key_find(changes, (uint32_t)number, effect->field), time_ms);
        write_seen(changes, key_find(changes, record->database, record->key), time_ms);
        break;
    default:
        write_seen(changes, key_find(changes, record->database, record->key), time_ms);
        break;
    }
}

bool diverged_changes_seen(struct diverged_changes *changes, const struct diverged_frame *frame,
                           struct buffer *report) {
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        effect_seen(changes, &record, frame->time_ms);
    }
    if (status == EFFECT_READ_DAMAGED) {
        buffer_append_string(report, "the primary's log holds a frame that is no effects");
    }
    return status == EFFECT_READ_END;
}

/* ---- choosing ---- */

/* Of a group: whether any key was written, and the last times of all. */
static void group_gather(struct key *group, const struct key *key) {
    group->is_written |= key->is_written;
    group->written_ms = key->written_ms > group->written_ms ? key->written_ms : group->written_ms;
    group->time_ms = key->time_ms > group->time_ms ? key->time_ms : group->time_ms;
}

static enum diverged_choice choice_of(const struct key *key, bool by_time) {
    if (!key->is_written) {
        return DIVERGED_UNWRITTEN;
    }
    if (!by_time) {
        return DIVERGED_WRITTEN;
    }
    if (key->time_ms <= key->written_ms) {
        return DIVERGED_OLDER;
    }
    return key->group_keys > 1 || key->whole == NONE ? DIVERGED_PARTIAL : DIVERGED_NEWER;
}

void diverged_changes_choose(struct diverged_changes *changes, bool by_time) {
    for (size_t i = 0; i < changes->keys_count; i++) {
        group_gather(&changes->keys[changes->keys[i].group], &changes->keys[i]);
    }
    for (size_t i = 0; i < changes->keys_count; i++) {
        struct key *key = &changes->keys[i];
        if (!key->is_settled) {
            key->choice = choice_of(&changes->keys[key->group], by_time);
        }
    }
}

static bool goes(const struct key *key) {
    return key->choice == DIVERGED_UNWRITTEN || key->choice == DIVERGED_NEWER;
}

/* ---- batches ---- */

static int index_compare(const void *a, const void *b) {
    const size_t *one = a;
    const size_t *other = b;
    return *one < *other ? -1 : *one > *other;
}

/* A group comes whole with its first key. */
static void group_add(const struct diverged_changes *changes, size_t group,
                      struct diverged_batch *batch, size_t *bytes) {
    for (size_t i = group; i < changes->keys_count; i++) {
        if (changes->keys[i].group == group) {
            batch->keys = memory_realloc(batch->keys, (batch->count + 1) * sizeof(size_t));
            batch->keys[batch->count++] = i;
            *bytes += changes->keys[i].bytes;
        }
        if (changes->keys[group].group_keys == 1) {
            break;
        }
    }
}

void diverged_changes_batch(const struct diverged_changes *changes, size_t first,
                            struct diverged_batch *batch) {
    *batch = (struct diverged_batch){.keys = NULL};
    size_t bytes = 0;
    size_t i = first;
    for (; i < changes->keys_count && batch->count < DIVERGED_BATCH_KEYS &&
           bytes < DIVERGED_BATCH_BYTES;
         i++) {
        if (changes->keys[i].group == i && goes(&changes->keys[i])) {
            group_add(changes, i, batch, &bytes);
        }
    }
    batch->next = i;
    if (batch->count > 0) {
        qsort(batch->keys, batch->count, sizeof(batch->keys[0]), index_compare);
    }
}

void diverged_changes_settle(struct diverged_changes *changes, const struct diverged_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        changes->keys[batch->keys[i]].is_settled = true;
    }
}

void diverged_batch_free(struct diverged_batch *batch) {
    memory_free(batch->keys);
    *batch = (struct diverged_batch){.keys = NULL};
}

static bool batch_has(const struct diverged_batch *batch, size_t key) {
    return bsearch(&key, batch->keys, batch->count, sizeof(key), index_compare) != NULL;
}

uint64_t diverged_changes_commands(const struct diverged_changes *changes,
                                   const struct diverged_batch *batch, struct buffer *commands) {
    struct log_export export = {.database = LOG_EXPORT_NO_DATABASE};
    uint64_t effects = 0;
    for (size_t i = 0; batch->count > 0 && i < changes->steps_count; i++) {
        const struct step *step = &changes->steps[i];
        const struct key *key = &changes->keys[step->key];
        if (!goes(key) || !batch_has(batch, step->key) ||
            (key->choice == DIVERGED_NEWER && i < key->whole)) {
            continue;
        }
        struct effect_record record = {
            .effect = {.kind = EFFECT_KEY_DELETE},
            .key = key->key,
            .database = key->database,
        };
        if (step->change != NONE) {
            record = record_of(changes, step->change);
        }
        log_export_commands(&export, &record, commands);
        effects++;
    }
    return effects;
}
