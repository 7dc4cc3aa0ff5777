#include "base/memory.h"
#include "base/numbers.h"
#include "commands/call.h"
#include "commands/dump.h"
#include "server/migrate.h"
#include "snapshot/rdb_writer.h"
#include "store/hash_value.h"
#include "store/rdb_form.h"
#include "store/value_codec.h"
#include "worker/cluster.h"
#include "worker/gate.h"

/* The footer of a payload: dump.h. */
#define FOOTER_BYTES ((size_t)10)
enum { TYPE_STRING = 0, TYPE_HASH = 4 };

/* ---- one key ---- */

static struct call call_of(const struct migrate_job *job, struct worker *worker) {
    return (struct call){
        .environment = &worker->executor.environment,
        .database = job->plan.database,
        .now_ms = worker->now_ms,
        .keeps_expired = worker->is_paused || node_is_led(worker->node),
    };
}

static struct place place_of(const struct migrate_job *job, const struct migrate_key *key) {
    struct place place = {
        .store = keyspace_store(job->migrate->node->keyspace, key->slot),
        .key = key->hold.key,
        .database = job->plan.database,
        .slot = key->slot,
    };
    place.hash = store_hash(place.store, place.key);
    place_find(&place);
    return place;
}

/* It is what it was when it was found. */
static bool is_unchanged(const struct migrate_job *job, const struct migrate_key *key,
                         const struct place *place) {
    return place->cell != NULL &&
           watch_version(&place->store->watches, job->plan.database, key->hold.key) == key->version;
}

/* ---- START ---- */

static void let_go(struct migrate_job *job, struct migrate_key *key) {
    struct store *store = keyspace_store(job->migrate->node->keyspace, key->slot);
    if (key->version != WATCH_NO_MEMORY) {
        watch_drop(&store->watches, &store->heap, job->plan.database, key->hold.key);
        key->version = WATCH_NO_MEMORY;
    }
    key_holds_remove(job->migrate->node, &key->hold);
}

static void let_all_go(struct migrate_job *job) {
    for (uint32_t i = 0; i < job->plan.keys_count; i++) {
        let_go(job, &job->keys[i]);
    }
}

static enum migrate_result hold_all(struct migrate_job *job) {
    enum migrate_result result = MIGRATE_DONE;
    for (uint32_t i = 0; i < job->plan.keys_count && result == MIGRATE_DONE; i++) {
        if (!key_holds_add(job->migrate->node, &job->keys[i].hold)) {
            result = MIGRATE_CLASH;
        }
    }
    return result;
}

static enum migrate_result start(struct migrate_job *job, struct worker *worker) {
    enum migrate_result result = hold_all(job);
    struct call call = call_of(job, worker);
    bool has_any = false;
    for (uint32_t i = 0; i < job->plan.keys_count && result == MIGRATE_DONE; i++) {
        struct migrate_key *key = &job->keys[i];
        if (call_read(&call, key->hold.key) == NULL) {
            key_holds_remove(job->migrate->node, &key->hold);
            continue;
        }
        struct store *store = call_store(&call, key->slot);
        key->version = watch_add(&store->watches, &store->heap, job->plan.database, key->hold.key);
        result = key->version == WATCH_NO_MEMORY ? MIGRATE_NO_MEMORY : MIGRATE_DONE;
        has_any = true;
    }
    if (result == MIGRATE_DONE && !has_any) {
        result = MIGRATE_NO_KEYS;
    }
    if (result != MIGRATE_DONE) {
        let_all_go(job);
    }
    return result;
}

/* ---- COLLECT ---- */

struct collection {
    struct span *keys;
    uint32_t count;
    uint32_t capacity;
};

static void collect_one(void *element, void *context) {
    struct collection *collection = context;
    if (collection->count == collection->capacity) {
        collection->capacity = collection->capacity == 0 ? 64 : collection->capacity * 2;
        collection->keys =
            memory_realloc(collection->keys, collection->capacity * sizeof(*collection->keys));
    }
    collection->keys[collection->count++] = entry_key(element);
}

/* The next keys of the slot that has gone become the job's. */
static enum migrate_result collect(struct migrate_job *job, struct worker *worker) {
    const struct store *store = keyspace_store(job->migrate->node->keyspace, job->slot);
    const struct table *table = store_table(store, job->plan.database, job->slot);
    struct collection collection = {.keys = NULL};
    uint64_t from = job->collected;
    while (table != NULL && !job->is_collected && collection.count < MIGRATE_ROUND_KEYS) {
        job->collected = table_scan(table, job->collected, collect_one, &collection);
        job->is_collected = job->collected == 0;
    }
    migrate_job_set_keys(job, collection.keys, collection.count);
    memory_free(collection.keys);
    enum migrate_result result = start(job, worker);
    if (result == MIGRATE_CLASH) {
        job->collected = from;
        job->is_collected = false;
    }
    return result;
}

/* ---- PIECE: what is sent ---- */

static void append_bulk(struct buffer *buffer, struct span bytes) {
    buffer_format(buffer, "$%zu\r\n", bytes.length);
    buffer_append_span(buffer, bytes);
    buffer_append_string(buffer, "\r\n");
}

/* Up to the payload of so many bytes. */
static void append_begin(const struct migrate_job *job, const struct migrate_key *key,
                         int64_t ttl_ms, size_t payload_bytes, struct buffer *buffer) {
    char ttl[NUMBER_TEXT_BYTES_MAX];
    bool asks = job->asks && !job->is_leftover;
    buffer_format(buffer, "*%d\r\n", job->plan.replaces || job->is_leftover ? 5 : 4);
    append_bulk(buffer, span_of_string(asks ? "RESTORE-ASKING" : "RESTORE"));
    append_bulk(buffer, key->hold.key);
    append_bulk(buffer, span_of(ttl, number_format(ttl, ttl_ms)));
    buffer_format(buffer, "$%zu\r\n", payload_bytes);
}

/* Behind the payload. */
static void append_end(const struct migrate_job *job, struct buffer *buffer) {
    const char *word = job->plan.replaces ? "\r\n$7\r\nREPLACE\r\n"
                       : job->is_leftover ? "\r\n$6\r\nABSTTL\r\n"
                                          : "\r\n";
    buffer_append_string(buffer, word);
}

/* What the key's time still is, or when it ends; 0 without one. False: it is over, and the key is
 * as good as gone. */
static bool find_ttl(const struct entry *entry, int64_t now_ms, bool is_absolute, int64_t *ttl_ms) {
    int64_t expiry_ms = entry_expiry(entry);
    if (expiry_ms == ENTRY_NO_EXPIRY) {
        *ttl_ms = 0;
        return true;
    }
    *ttl_ms = expiry_ms > now_ms ? expiry_ms - now_ms : 1;
    if (is_absolute) {
        *ttl_ms = expiry_ms;
    }
    return expiry_ms >= now_ms;
}

static void append_small(struct migrate_job *job, const struct migrate_key *key,
                         const struct entry *entry, int64_t ttl_ms) {
    struct buffer payload = BUFFER_EMPTY;
    struct buffer *head = &job->piece.head;
    value_encode(entry, true, &payload);
    dump_append_footer(&payload, RDB_WRITER_VERSION);
    append_begin(job, key, ttl_ms, payload.length, head);
    buffer_append_span(head, buffer_span(&payload));
    append_end(job, head);
    buffer_free(&payload);
}

/* The whole payload but its footer: the block goes from where it is. */
static void append_block(struct migrate_job *job, const struct migrate_key *key,
                         const struct entry *entry, int64_t ttl_ms) {
    struct migrate_piece *piece = &job->piece;
    piece->block = block_hold(entry_block(entry));
    buffer_append_byte(&piece->part, TYPE_STRING);
    rdb_length_append(&piece->part, piece->block->length);
    size_t payload_bytes = piece->part.length + piece->block->length + FOOTER_BYTES;
    append_begin(job, key, ttl_ms, payload_bytes, &piece->head);
    append_end(job, &piece->tail);
    piece->ends_payload = true;
}

/* ---- PIECE: a hash, in two walks, of which the first finds out how long it is ---- */

static void append_field(struct span field, struct span value, void *context) {
    struct buffer *part = context;
    rdb_string_append(part, field, false);
    rdb_string_append(part, value, false);
}

/* Walks on until the part is full. True: it is at the end. */
static bool append_fields(struct migrate_job *job, const struct entry *entry) {
    do {
        job->position = hash_value_scan(entry, job->position, append_field, &job->piece.part);
    } while (job->position != 0 && job->piece.part.length < MIGRATE_PIECE_BYTES);
    return job->position == 0;
}

static void append_hash_begin(const struct entry *entry, struct buffer *part) {
    buffer_append_byte(part, TYPE_HASH);
    rdb_length_append(part, hash_value_length(entry));
}

/* A tick's part of the first walk. True: it is over. */
static bool measure(struct migrate_job *job, const struct entry *entry) {
    if (!job->is_measuring) {
        job->is_measuring = true;
        job->payload_bytes = 0;
        append_hash_begin(entry, &job->piece.part);
    }
    bool is_over = append_fields(job, entry);
    job->payload_bytes += job->piece.part.length;
    buffer_clear(&job->piece.part);
    job->is_measuring = !is_over;
    return is_over;
}

/* The next piece of the second walk. */
static void append_hash(struct migrate_job *job, const struct migrate_key *key,
                        const struct entry *entry, int64_t ttl_ms) {
    struct migrate_piece *piece = &job->piece;
    if (!job->is_inside) {
        job->is_inside = true;
        append_begin(job, key, ttl_ms, job->payload_bytes + FOOTER_BYTES, &piece->head);
        append_hash_begin(entry, &piece->part);
    }
    bool is_over = append_fields(job, entry);
    piece->is_broken = piece->part.length > job->payload_bytes;
    job->payload_bytes -= piece->is_broken ? 0 : piece->part.length;
    if (is_over) {
        piece->is_broken = piece->is_broken || job->payload_bytes != 0;
        append_end(job, &piece->tail);
        piece->ends_payload = true;
        job->is_inside = false;
    }
}

/* ---- PIECE ---- */

static void piece_clear(struct migrate_piece *piece) {
    buffer_clear(&piece->head);
    buffer_clear(&piece->part);
    buffer_clear(&piece->tail);
    block_release(piece->block);
    piece->block = NULL;
    piece->ends_payload = false;
    piece->is_last = false;
    piece->is_broken = false;
}

enum next { NEXT_KEY, NEXT_PIECE, NEXT_TICK };

/* What the key at next_key adds to the piece. */
static enum next append_key(struct migrate_job *job, struct migrate_key *key, int64_t now_ms) {
    struct place place = place_of(job, key);
    int64_t ttl_ms = 0;
    if (!is_unchanged(job, key, &place)) {
        job->piece.is_broken = job->is_inside;
        job->is_measuring = false;
        return job->is_inside ? NEXT_PIECE : NEXT_KEY;
    }
    const struct entry *entry = table_cell_element(*place.cell);
    if (!job->is_inside && !find_ttl(entry, now_ms, job->is_leftover, &ttl_ms)) {
        return NEXT_KEY;
    }
    if (entry_kind(entry) == ENTRY_HASH_TABLE) {
        if (!job->is_inside && (job->is_measuring || job->payload_bytes == 0) &&
            !measure(job, entry)) {
            return NEXT_TICK;
        }
        append_hash(job, key, entry, ttl_ms);
        key->is_sent = true;
        return NEXT_PIECE;
    }
    key->is_sent = true;
    if (entry_kind(entry) == ENTRY_BLOCK) {
        append_block(job, key, entry, ttl_ms);
        return NEXT_PIECE;
    }
    append_small(job, key, entry, ttl_ms);
    return NEXT_KEY;
}

static enum migrate_result next_piece(struct migrate_job *job, const struct worker *worker) {
    if (!job->is_measuring) {
        piece_clear(&job->piece);
    }
    enum next next = NEXT_KEY;
    while (next == NEXT_KEY && job->next_key < job->plan.keys_count &&
           job->piece.head.length < MIGRATE_PIECE_BYTES) {
        struct migrate_key *key = &job->keys[job->next_key];
        next = key->version == WATCH_NO_MEMORY ? NEXT_KEY : append_key(job, key, worker->now_ms);
        if (next != NEXT_TICK && !job->is_inside) {
            job->next_key++;
            job->payload_bytes = 0;
        }
    }
    job->piece.is_last = job->next_key == job->plan.keys_count;
    return next == NEXT_TICK ? MIGRATE_UNFINISHED : MIGRATE_DONE;
}

void migrate_keys_rewind(struct migrate_job *job) {
    piece_clear(&job->piece);
    job->next_key = 0;
    job->is_measuring = false;
    job->is_inside = false;
    job->position = 0;
    job->payload_bytes = 0;
    for (uint32_t i = 0; i < job->plan.keys_count; i++) {
        job->keys[i].is_sent = false;
    }
}

/* ---- FINISH ---- */

static void delete_taken(struct migrate_job *job, struct worker *worker) {
    struct call call = call_of(job, worker);
    for (uint32_t i = 0; i < job->plan.keys_count; i++) {
        const struct migrate_key *key = &job->keys[i];
        struct place place = place_of(job, key);
        if (!key->is_taken || !is_unchanged(job, key, &place)) {
            continue;
        }
        if (job->worker == NULL) {
            gate_begin_group(worker);
        }
        call_emit(&call, &place,
                  &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    }
    worker->executor.changes += call.changes;
}

/* The slot has come back meanwhile. */
static bool is_ours_again(const struct migrate_job *job) {
    const struct cluster *cluster = job->migrate->node->cluster;
    return job->is_leftover && map_slot_owner(cluster->map, job->slot) == cluster->myself;
}

static enum migrate_result finish(struct migrate_job *job, struct worker *worker) {
    job->is_led = node_is_led(worker->node);
    if (worker->is_paused && job->worker == NULL && !job->plan.copies && !job->gives_up) {
        return MIGRATE_PAUSED;
    }
    if (!job->gives_up && !job->plan.copies && !job->is_led && !is_ours_again(job)) {
        delete_taken(job, worker);
    }
    let_all_go(job);
    piece_clear(&job->piece);
    /* Who is told that it is done may be another worker. */
    if (job->worker == NULL) {
        gate_append(worker);
    }
    key_holds_wake(worker->node);
    return MIGRATE_DONE;
}

enum migrate_result migrate_keys_step(struct migrate_job *job, struct worker *worker) {
    switch (job->step) {
    case MIGRATE_START:
        return start(job, worker);
    case MIGRATE_COLLECT:
        return collect(job, worker);
    case MIGRATE_PIECE:
        return next_piece(job, worker);
    case MIGRATE_FINISH:
        break;
    }
    return finish(job, worker);
}
