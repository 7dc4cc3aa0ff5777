#include "worker/cutting.h"

#include "base/memory.h"
#include "worker/applying.h"
#include "worker/connection.h"
#include "worker/gate.h"
#include "worker/route.h"

/* ---- the worker's side ---- */

static uint64_t position_of(void *context) {
    const struct worker *worker = context;
    return worker->node->is_replica ? applying_position(worker)
                                    : oplog_end_position(worker->node->log);
}

/* With the mutex: until it is let go, nobody frees what was told of. */
static void tell(struct cutting *cutting) {
    if (cutting->is_waiting) {
        pthread_cond_signal(&cutting->changed);
    }
    if (cutting->plan.ready != NULL) {
        cutting->plan.ready(cutting->plan.context);
    }
}

static void chunk_is_full(void *context, struct image_chunk *chunk) {
    const struct worker *worker = context;
    struct cutting *cutting = worker->cutting;
    size_t bytes = image_chunk_bytes(chunk);
    pthread_mutex_lock(&cutting->mutex);
    atomic_fetch_add(&cutting->queued, bytes);
    atomic_fetch_add_explicit(&cutting->node->cutting_bytes, bytes, memory_order_relaxed);
    list_push_back(&cutting->chunks, &chunk->link);
    tell(cutting);
    pthread_mutex_unlock(&cutting->mutex);
}

static void slot_is_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    const struct worker *worker = context;
    struct cutting *cutting = worker->cutting;
    cutting->slots[slot] =
        (struct cutting_slot){.position = position, .keys = keys, .is_done = true};
    atomic_fetch_add_explicit(&cutting->keys_done, keys, memory_order_relaxed);
}

static void part_is_done(struct cutting *cutting) {
    pthread_mutex_lock(&cutting->mutex);
    cutting->working--;
    tell(cutting);
    pthread_mutex_unlock(&cutting->mutex);
}

/* Calls over several workers that an image had no room for are tried again. */
static void wake_calls(const struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        if (atomic_load(&worker->awaits_chunk) && atomic_exchange(&worker->awaits_chunk, false)) {
            loop_wake(worker->loop);
        }
    }
}

/* Says what the worker's cut keeps. */
static void say_kept(struct worker *worker, size_t bytes) {
    atomic_fetch_add(&worker->cutting->kept, bytes - worker->cut_kept);
    worker->cut_kept = bytes;
}

static void drop_cut(struct worker *worker) {
    say_kept(worker, 0);
    cut_free(worker->cut);
    worker->cut = NULL;
    worker->cutting = NULL;
}

static void end_part(struct worker *worker) {
    struct cutting *cutting = worker->cutting;
    const struct node *node = worker->node;
    atomic_fetch_add(&cutting->early_buckets, cut_early_buckets(worker->cut));
    drop_cut(worker);
    part_is_done(cutting);
    wake_calls(node);
}

static size_t step_bytes(struct worker *worker) {
    bool was_idle = worker->cut_is_idle;
    worker->cut_is_idle = worker->work.requests == 0;
    if (was_idle && worker->cut_is_idle) {
        return CUT_STEP_BYTES;
    }
    size_t bytes = worker->work.requests * CUTTING_BYTES_PER_REQUEST;
    if (bytes > CUT_STEP_BYTES) {
        return CUT_STEP_BYTES;
    }
    return bytes < CUTTING_STEP_BYTES_MIN ? CUTTING_STEP_BYTES_MIN : bytes;
}

void cutting_step(struct worker *worker) {
    if (LIKELY(worker->cut == NULL)) {
        return;
    }
    struct cutting *cutting = worker->cutting;
    if (atomic_load_explicit(&cutting->is_given_up, memory_order_relaxed)) {
        end_part(worker);
        return;
    }
    uint16_t inside;
    size_t queued_max =
        cut_is_inside(worker->cut, &inside) ? CUTTING_HOLD_BYTES : CUTTING_QUEUE_BYTES_MAX;
    worker->cut_waits = false;
    if (atomic_load(&cutting->queued) >= queued_max) {
        worker->cut_waits = true;
        atomic_store(&worker->awaits_room, true);
        /* Room may have come in between. */
        if (atomic_load(&cutting->queued) >= queued_max) {
            return;
        }
        worker->cut_waits = false;
    }
    /* An image holds what has been applied: all of that must stand before its position. */
    gate_append(worker);
    struct cut_work work = {0};
    cut_set_step(worker->cut, step_bytes(worker));
    cut_set_end(worker->cut, atomic_load(&cutting->queued) >= CUTTING_QUEUE_BYTES_MAX);
    bool is_done = cut_step(worker->cut, &work);
    worker->work.buckets += work.buckets;
    worker->work.cut_bytes += work.bytes;
    if (is_done) {
        end_part(worker);
    } else if (worker->cut_kept != 0) {
        say_kept(worker, cut_held_bytes(worker->cut));
    }
}

/* ---- writes that wait ---- */

#define KEYS_AT_ONCE 64

/* What a write does to the slot that a cut has half done. */
struct concern {
    const struct worker *worker; /* whose cut it is */
    size_t bytes;                /* that the cut would keep */
    uint16_t slot;
    bool is_there;
};

static void look_at_key(struct concern *concern, uint16_t slot, uint64_t hash) {
    if (slot == concern->slot) {
        concern->is_there = true;
        concern->bytes += cut_change_bytes(concern->worker->cut, slot, hash);
    }
}

/* Whose keys are not known, or too many, may change any. */
static void look_at_command(struct concern *concern, const struct command *command,
                            const struct span *args, uint32_t args_count) {
    uint32_t indexes[KEYS_AT_ONCE];
    int count = command_keys(command, args, args_count, indexes, KEYS_AT_ONCE);
    if (count <= 0 || count > KEYS_AT_ONCE || (command->flags & COMMAND_ALL_WORKERS) != 0) {
        concern->is_there = true;
        return;
    }
    for (int i = 0; i < count; i++) {
        struct span key = args[indexes[i]];
        look_at_key(concern, slot_of_key(key), store_hash(concern->worker->store, key));
    }
}

static void look_at_request(struct concern *concern, const struct connection *connection,
                            const struct request *request) {
    const struct command *command = request->command->command;
    if (request_has_one_key(request)) {
        look_at_key(concern, request->first_slot, request->first_hash);
    } else if (command->session == NULL) {
        look_at_command(concern, command, request_args(connection, request), request->args_count);
    } else if (connection->transaction == NULL) {
        concern->is_there = true;
    } else {
        for (uint32_t i = 0; i < connection->transaction->commands_count; i++) {
            const struct queued_command *queued = &connection->transaction->commands[i];
            if ((queued->command->command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0) {
                look_at_command(concern, queued->command->command, queued->args,
                                queued->args_count);
            }
        }
    }
}

static bool has_no_room(const struct cutting *cutting, size_t bytes) {
    size_t taken = atomic_load(&cutting->queued) + atomic_load(&cutting->kept);
    return taken >= CUTTING_HOLD_BYTES || (bytes != 0 && taken + bytes > CUTTING_HOLD_BYTES);
}

/* The waker's flag is set before room is looked for again. */
static bool must_wait(struct worker *worker, const struct connection *connection,
                      const struct request *request, atomic_bool *waker) {
    struct concern concern = {.worker = worker};
    if (worker->cut == NULL || !cut_is_inside(worker->cut, &concern.slot)) {
        return false;
    }
    look_at_request(&concern, connection, request);
    if (!concern.is_there) {
        return false;
    }
    say_kept(worker, cut_held_bytes(worker->cut));
    if (!has_no_room(worker->cutting, concern.bytes)) {
        return false;
    }
    atomic_store(waker, true);
    return has_no_room(worker->cutting, concern.bytes);
}

static void count_held(struct cutting *cutting, struct request *request) {
    if (!request->is_held) {
        request->is_held = true;
        atomic_fetch_add_explicit(&cutting->writes_held, 1, memory_order_relaxed);
    }
}

bool cutting_holds(struct worker *worker, const struct connection *connection,
                   struct request *request) {
    if (!must_wait(worker, connection, request, &worker->awaits_room)) {
        return false;
    }
    count_held(worker->cutting, request);
    return true;
}

bool cutting_holds_stopped(const struct connection *connection, struct request *request) {
    struct worker *home = connection->home;
    const struct node *node = home->node;
    uint64_t standing = node->stop.stopped_workers | UINT64_C(1) << node->stop.executor->index;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if ((standing >> i & 1) != 0 &&
            must_wait(node->workers[i], connection, request, &home->awaits_chunk)) {
            count_held(node->workers[i]->cutting, request);
            return true;
        }
    }
    return false;
}

/* ---- the other side ---- */

void cutting_turn_init(struct cutting_turn *turn) {
    int failed = pthread_mutex_init(&turn->mutex, NULL);
    failed |= pthread_cond_init(&turn->changed, NULL);
    ASSERT(failed == 0);
    turn->is_taken = false;
    turn->waiting = 0;
}

void cutting_turn_destroy(struct cutting_turn *turn) {
    ASSERT(!turn->is_taken);
    pthread_mutex_destroy(&turn->mutex);
    pthread_cond_destroy(&turn->changed);
}

void cutting_turn_take(struct cutting_turn *turn) {
    pthread_mutex_lock(&turn->mutex);
    turn->waiting++;
    while (turn->is_taken) {
        pthread_cond_wait(&turn->changed, &turn->mutex);
    }
    turn->waiting--;
    turn->is_taken = true;
    pthread_mutex_unlock(&turn->mutex);
}

bool cutting_turn_try(struct cutting_turn *turn) {
    pthread_mutex_lock(&turn->mutex);
    bool is_free = !turn->is_taken && turn->waiting == 0;
    turn->is_taken = turn->is_taken || is_free;
    pthread_mutex_unlock(&turn->mutex);
    return is_free;
}

void cutting_turn_give(struct cutting_turn *turn) {
    pthread_mutex_lock(&turn->mutex);
    turn->is_taken = false;
    pthread_cond_signal(&turn->changed);
    pthread_mutex_unlock(&turn->mutex);
}

static struct cutting *cutting_new(const struct cutting_plan *plan) {
    struct cutting *cutting = memory_alloc_zeroed(sizeof(*cutting));
    cutting->plan = *plan;
    cutting->node = plan->node;
    cutting->working = plan->node->worker_count;
    if (plan->slots != NULL) {
        cutting->slots_wanted = *plan->slots;
        cutting->plan.slots = &cutting->slots_wanted;
    }
    list_init(&cutting->chunks);
    pthread_mutex_init(&cutting->mutex, NULL);
    pthread_cond_init(&cutting->changed, NULL);
    return cutting;
}

/* On the worker's thread, or while it stands still. */
static void begin_part(struct cutting *cutting, struct worker *worker) {
    ASSERT(worker->cut == NULL && cutting->node->log != NULL);
    worker->cut_waits = false;
    worker->cut_kept = 0;
    worker->cutting = cutting;
    worker->cut = cut_new(&(struct cut_plan){
        .store = worker->store,
        .target = {.context = worker,
                   .position = position_of,
                   .chunk = chunk_is_full,
                   .slot_done = slot_is_done},
        .slot_first = worker->store->slot_first,
        .slot_count = worker->store->slot_count,
        .slots = cutting->plan.slots,
        .bytes_max = cutting->plan.bytes_max,
        .step_bytes = CUT_STEP_BYTES,
        .has_access = cutting->plan.has_access,
    });
}

struct cutting *cutting_begin(struct node *node, bool has_access) {
    ASSERT(node->cutting == NULL);
    struct cutting *cutting =
        cutting_new(&(struct cutting_plan){.node = node, .has_access = has_access});
    node->cutting = cutting;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        begin_part(cutting, node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
    return cutting;
}

/* Tells one worker to begin; the cutting's. */
struct cutting_post {
    struct post post;
    struct cutting *cutting;
};

static void start_part(struct worker *worker, struct post *post) {
    struct cutting *cutting = ((struct cutting_post *)post)->cutting;
    if (atomic_load(&cutting->is_given_up)) {
        part_is_done(cutting);
    } else {
        begin_part(cutting, worker);
    }
}

struct cutting *cutting_start(const struct cutting_plan *plan) {
    struct node *node = plan->node;
    struct cutting *cutting = cutting_new(plan);
    cutting->posts = memory_alloc_zeroed(node->worker_count * sizeof(*cutting->posts));
    for (uint32_t i = 0; i < node->worker_count; i++) {
        cutting->posts[i] = (struct cutting_post){.post = {.run = start_part}, .cutting = cutting};
        worker_post(node->workers[i], &cutting->posts[i].post);
    }
    return cutting;
}

struct image_chunk *cutting_take(struct cutting *cutting) {
    pthread_mutex_lock(&cutting->mutex);
    cutting->is_waiting = true;
    while (list_is_empty(&cutting->chunks) && cutting->working > 0) {
        pthread_cond_wait(&cutting->changed, &cutting->mutex);
    }
    cutting->is_waiting = false;
    struct list *link = list_pop_front(&cutting->chunks);
    pthread_mutex_unlock(&cutting->mutex);
    return link == NULL ? NULL : LIST_ENTRY(link, struct image_chunk, link);
}

struct image_chunk *cutting_try_take(struct cutting *cutting, bool *is_done) {
    pthread_mutex_lock(&cutting->mutex);
    struct list *link = list_pop_front(&cutting->chunks);
    *is_done = link == NULL && cutting->working == 0;
    pthread_mutex_unlock(&cutting->mutex);
    return link == NULL ? NULL : LIST_ENTRY(link, struct image_chunk, link);
}

static void wake_workers(const struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        if (atomic_load(&worker->awaits_room) && atomic_exchange(&worker->awaits_room, false)) {
            loop_wake(worker->loop);
        }
    }
}

void cutting_stored(struct cutting *cutting, size_t bytes) {
    size_t before = atomic_fetch_sub(&cutting->queued, bytes);
    ASSERT(before >= bytes);
    atomic_fetch_sub_explicit(&cutting->node->cutting_bytes, bytes, memory_order_relaxed);
    if (before - bytes < CUTTING_QUEUE_BYTES_MAX / 2) {
        wake_workers(cutting->node);
    }
    wake_calls(cutting->node);
}

void cutting_give_up(struct cutting *cutting) {
    atomic_store(&cutting->is_given_up, true);
    for (uint32_t i = 0; i < cutting->node->worker_count; i++) {
        loop_wake(cutting->node->workers[i]->loop);
    }
}

void cutting_end(struct cutting *cutting) {
    struct node *node = cutting->node;
    ASSERT(node->cutting == cutting);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (node->workers[i]->cutting == cutting) {
            drop_cut(node->workers[i]);
        }
    }
    wake_calls(node);
    node->cutting = NULL;
    cutting_free(cutting);
}

void cutting_free(struct cutting *cutting) {
    for (struct list *link; (link = list_pop_front(&cutting->chunks)) != NULL;) {
        struct image_chunk *chunk = LIST_ENTRY(link, struct image_chunk, link);
        cutting_stored(cutting, image_chunk_bytes(chunk));
        image_chunk_free(chunk);
    }
    memory_free(cutting->posts);
    pthread_mutex_destroy(&cutting->mutex);
    pthread_cond_destroy(&cutting->changed);
    memory_free(cutting);
}
