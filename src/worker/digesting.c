#include "worker/digesting.h"

#include "base/memory.h"
#include "commands/effect_codec.h"
#include "store/slot_digest.h"
#include "worker/gate.h"

/* A worker's. */
struct part {
    struct slot_digest *digest; /* half done, or NULL */
    struct message_digest message;
    pthread_mutex_t mutex; /* of what follows */
    struct digest_request requests[DIGESTING_REQUESTS_MAX];
    uint32_t first;
    uint32_t count;
    atomic_bool is_asked; /* count > 0 */
};

struct digesting {
    struct node *node;
    digesting_done *done;
    void *context;
    struct part *parts;
};

struct digesting *digesting_new(struct node *node, digesting_done *done, void *context) {
    struct digesting *digesting = memory_alloc_zeroed(sizeof(*digesting));
    digesting->node = node;
    digesting->done = done;
    digesting->context = context;
    digesting->parts = memory_alloc_zeroed(node->worker_count * sizeof(struct part));
    for (uint32_t i = 0; i < node->worker_count; i++) {
        pthread_mutex_init(&digesting->parts[i].mutex, NULL);
    }
    return digesting;
}

void digesting_free(struct digesting *digesting) {
    if (digesting == NULL) {
        return;
    }
    for (uint32_t i = 0; i < digesting->node->worker_count; i++) {
        slot_digest_free(digesting->parts[i].digest);
        pthread_mutex_destroy(&digesting->parts[i].mutex);
    }
    memory_free(digesting->parts);
    memory_free(digesting);
}

static struct part *part_of(const struct worker *worker) {
    struct digesting *digesting = worker->node->digesting;
    return digesting == NULL ? NULL : &digesting->parts[worker->index];
}

/* ---- requests ---- */

bool digesting_ask(struct digesting *digesting, const struct digest_request *request) {
    const struct node *node = digesting->node;
    uint32_t index = node->keyspace->owners[request->slot];
    struct part *part = &digesting->parts[index];
    pthread_mutex_lock(&part->mutex);
    bool has_room = part->count < DIGESTING_REQUESTS_MAX;
    if (has_room) {
        part->requests[(part->first + part->count++) % DIGESTING_REQUESTS_MAX] = *request;
        atomic_store(&part->is_asked, true);
    }
    pthread_mutex_unlock(&part->mutex);
    loop_wake(node->workers[index]->loop);
    return has_room;
}

static struct digest_request request_take(struct part *part) {
    pthread_mutex_lock(&part->mutex);
    ASSERT(part->count > 0);
    struct digest_request request = part->requests[part->first];
    part->first = (part->first + 1) % DIGESTING_REQUESTS_MAX;
    atomic_store(&part->is_asked, --part->count > 0);
    pthread_mutex_unlock(&part->mutex);
    return request;
}

/* Into the log, in a frame of its own, behind all that the slot holds. */
static void request_write(struct worker *worker, const struct digest_request *request) {
    struct effect_record record = {
        .effect = {.kind = EFFECT_SLOT_DIGEST,
                   .number = (int64_t)request->seed,
                   .has_keys = request->has_keys},
        .slot = request->slot,
    };
    gate_append(worker);
    effect_write(&worker->batch.bytes, &record);
    gate_append(worker);
}

/* ---- digests ---- */

static void tell(struct worker *worker, struct part *part) {
    struct digesting *digesting = worker->node->digesting;
    if (part->digest == NULL) {
        part->message.flags |= MESSAGE_DIGEST_SKIPPED;
    } else {
        struct slot_digest_result result;
        slot_digest_result(part->digest, &result);
        part->message.sum = result.sum;
        part->message.keys = result.keys;
        part->message.rows = result.rows;
        part->message.flags |= result.is_incomplete ? MESSAGE_DIGEST_INCOMPLETE : 0;
    }
    digesting->done(digesting->context, &part->message);
    slot_digest_free(part->digest);
    part->digest = NULL;
}

static struct message_digest message_of(const struct digest_request *request) {
    return (struct message_digest){
        .slot = request->slot,
        .flags = request->has_keys ? MESSAGE_DIGEST_KEYS : 0,
        .seed = request->seed,
        .rows = span_of("", 0),
    };
}

void digesting_begin(struct worker *worker, const struct digest_request *request) {
    struct part *part = part_of(worker);
    if (part == NULL) {
        return;
    }
    if (part->digest != NULL) {
        struct digesting *digesting = worker->node->digesting;
        struct message_digest skipped = message_of(request);
        skipped.flags |= MESSAGE_DIGEST_SKIPPED;
        digesting->done(digesting->context, &skipped);
        return;
    }
    part->message = message_of(request);
    part->digest = slot_digest_new(&(struct slot_digest_plan){
        .store = worker->store,
        .seed = request->seed,
        .step_bytes = DIGESTING_STEP_BYTES,
        .slot = request->slot,
        .has_keys = request->has_keys,
    });
    if (part->digest == NULL || slot_digest_is_done(part->digest)) {
        tell(worker, part);
    }
}

bool digesting_step(struct worker *worker) {
    struct part *part = part_of(worker);
    if (part == NULL) {
        return false;
    }
    if (part->digest != NULL) {
        struct cut_work work = {0};
        bool is_done = slot_digest_step(part->digest, &work);
        worker->work.buckets += work.buckets;
        worker->work.cut_bytes += work.bytes;
        if (is_done) {
            tell(worker, part);
        }
    } else if (atomic_load_explicit(&part->is_asked, memory_order_relaxed)) {
        struct digest_request request = request_take(part);
        if (worker->node->log != NULL && !worker->node->is_replica) {
            request_write(worker, &request);
            digesting_begin(worker, &request);
        }
    }
    return part->digest != NULL;
}

bool digesting_has_work(const struct worker *worker) {
    const struct part *part = part_of(worker);
    return part != NULL &&
           (part->digest != NULL || atomic_load_explicit(&part->is_asked, memory_order_relaxed));
}

void digesting_give_up(struct node *node) {
    for (uint32_t i = 0; node->digesting != NULL && i < node->worker_count; i++) {
        struct part *part = &node->digesting->parts[i];
        if (part->digest != NULL) {
            slot_digest_free(part->digest);
            part->digest = NULL;
            tell(node->workers[i], part);
        }
    }
}
