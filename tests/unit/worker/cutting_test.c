#include "worker/cutting.h"

#include "tests/unit/worker/logged.h"

#define KEYS 2400
#define VALUE_BYTES ((size_t)10 * 1024)
/* What a step may add to the queue beyond where it may begin. */
#define STEP_BYTES_MAX (2 * IMAGE_CHUNK_BYTES)

struct cut_node {
    struct logged logged;
    struct worker *worker;
    struct cutting *cutting;
};

static void put(const struct cut_node *node, const char *name) {
    static const char value[VALUE_BYTES];
    struct worker *worker = node->worker;
    struct call call = {
        .environment = &worker->executor.environment,
        .now_ms = worker->now_ms,
        .reply = &(struct reply){.protocol = 2},
    };
    struct place place = call_place(&call, span_of_string(name));
    call_emit(&call, &place,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .value = span_of(value, sizeof(value)),
                  .expiry_ms = ENTRY_NO_EXPIRY,
              });
}

/* Of so many workers, the last one. */
static void fill_last(struct cut_node *node, uint32_t workers, const char *prefix) {
    logged_new(&node->logged, workers, OPLOG_SYNC_NO);
    logged_attach(&node->logged, NULL, false);
    node->worker = workers_at(node->logged.workers, workers - 1);
    char name[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        put(node, name);
    }
    logged_attach(&node->logged, node->logged.oplog, false);
}

static void fill(struct cut_node *node, const char *prefix) {
    fill_last(node, 1, prefix);
}

static void begin(struct cut_node *node, const char *prefix) {
    fill(node, prefix);
    node->cutting = cutting_begin(&node->logged.workers->node, false);
}

static size_t queued(const struct cut_node *node) {
    return atomic_load(&node->cutting->queued);
}

/* Stores what is there. */
static void store_all(const struct cut_node *node) {
    while (!list_is_empty(&node->cutting->chunks)) {
        struct image_chunk *chunk = cutting_take(node->cutting);
        cutting_stored(node->cutting, image_chunk_bytes(chunk));
        image_chunk_free(chunk);
    }
}

static void end(struct cut_node *node) {
    while (node->cutting->working > 0) {
        store_all(node);
        workers_tick(node->logged.workers, 0);
    }
    store_all(node);
    ck_assert_ptr_null(cutting_take(node->cutting));
    ck_assert_uint_eq(queued(node), 0);
    cutting_end(node->cutting);
    logged_free(&node->logged);
}

static void settle(const struct cut_node *node) {
    for (int i = 0; i < 20; i++) {
        workers_settle(node->logged.workers);
    }
}

START_TEST(no_step_is_taken_while_the_queue_is_full) {
    struct cut_node node;
    begin(&node, "key:");
    settle(&node);
    ck_assert(node.worker->cut_waits);
    /* The slot that was begun is brought to its end. */
    uint16_t inside;
    ck_assert(!cut_is_inside(node.worker->cut, &inside));
    ck_assert_uint_ge(queued(&node), CUTTING_QUEUE_BYTES_MAX);
    ck_assert_uint_lt(queued(&node), CUTTING_QUEUE_BYTES_MAX + STEP_BYTES_MAX);
    uint64_t done = atomic_load(&node.cutting->keys_done);
    settle(&node);
    ck_assert_uint_eq(atomic_load(&node.cutting->keys_done), done);
    /* Room wakes the worker: else this tick would wait without end. */
    store_all(&node);
    worker_tick(node.worker);
    ck_assert_uint_gt(atomic_load(&node.cutting->keys_done), done);
    struct cutting *cutting = node.cutting;
    while (cutting->working > 0) {
        store_all(&node);
        workers_tick(node.logged.workers, 0);
    }
    ck_assert_uint_eq(atomic_load(&cutting->keys_done), KEYS);
    end(&node);
}
END_TEST

/* Overwrites keys of the slot that is half done until the queue takes no more of that. */
static void overfill(const struct cut_node *node, const struct peer *peer) {
    char text[64];
    char got[16];
    int next = 0;
    while (queued(node) < CUTTING_HOLD_BYTES) {
        ck_assert_int_lt(next, KEYS);
        int length = snprintf(text, sizeof(text), "SET {x}%d 1\r\n", next++);
        peer_send(peer, text, (size_t)length);
        workers_tick(node->logged.workers, 0);
        workers_tick(node->logged.workers, 0);
        ck_assert_int_eq(recv(peer->fd, got, sizeof(got), 0), 5);
    }
    ck_assert_uint_lt(queued(node), CUTTING_HOLD_BYTES + STEP_BYTES_MAX);
}

START_TEST(writes_to_a_half_done_slot_wait_when_the_queue_is_over_full) {
    struct cut_node node;
    begin(&node, "{x}");
    settle(&node);
    ck_assert(node.worker->cut_waits);
    struct peer peer = peer_new(node.logged.workers, 0);
    overfill(&node, &peer);
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 0);
    size_t full = queued(&node);
    static const char *const writes[] = {
        "SET {x}1 2\r\n",
        "APPEND {x}2399 2\r\n",
        "MSET other 2 {x}2398 2\r\n",
        "MULTI\r\nSET {x}2397 2\r\nEXEC\r\n",
    };
    struct peer writers[UNIT_COUNT(writes)];
    for (size_t i = 0; i < UNIT_COUNT(writes); i++) {
        writers[i] = peer_new(node.logged.workers, 0);
        peer_say(&writers[i], writes[i]);
        uint64_t held = atomic_load(&node.cutting->writes_held);
        workers_settle(node.logged.workers);
        ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), held + 1);
    }
    peer_say(&peer, "SET other 1\r\nMSET one 1 two 2\r\nSTRLEN {x}2399\r\n"
                    "MULTI\r\nGET other\r\nEXEC\r\n");
    settle(&node);
    peer_expect(&peer, "+OK\r\n+OK\r\n:10240\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
    for (size_t i = 0; i < 3; i++) {
        peer_expect(&writers[i], "");
    }
    ck_assert_uint_eq(queued(&node), full);
    store_all(&node);
    worker_tick(node.worker);
    workers_settle(node.logged.workers);
    peer_expect(&writers[0], "+OK\r\n");
    peer_expect(&writers[1], ":10241\r\n");
    peer_expect(&writers[2], "+OK\r\n");
    peer_expect(&writers[3], "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    ck_assert_uint_gt(cut_early_buckets(node.worker->cut), 0);
    end(&node);
    close(peer.fd);
    for (size_t i = 0; i < UNIT_COUNT(writes); i++) {
        close(writers[i].fd);
    }
}
END_TEST

START_TEST(a_call_over_several_workers_waits_for_room_where_another_one_cuts) {
    struct cut_node node;
    /* {y} is the second worker's, b the first one's. */
    fill_last(&node, 2, "{y}");
    struct stop *stop = &node.logged.workers->node.stop;
    node.cutting = cutting_begin(&node.logged.workers->node, false);
    settle(&node);
    ck_assert(node.worker->cut_waits);
    struct peer writer = peer_new(node.logged.workers, 1);
    char text[64];
    for (int i = 0; queued(&node) < CUTTING_HOLD_BYTES; i++) {
        int length = snprintf(text, sizeof(text), "SET {y}%d 1\r\n", i);
        peer_send(&writer, text, (size_t)length);
        workers_settle(node.logged.workers);
        peer_expect(&writer, "+OK\r\n");
    }
    /* For the first worker's stops, which these ticks cannot have it wait for. */
    stop->gone_workers = 2;
    struct peer peer = peer_new(node.logged.workers, 0);
    peer_say(&peer, "MSET b 1 {y}2399 2\r\n");
    workers_settle(node.logged.workers);
    peer_expect(&peer, "");
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 1);
    /* It asks for no stop again before there may be room. */
    uint64_t stops = stop->stops;
    workers_settle(node.logged.workers);
    ck_assert_uint_eq(stop->stops, stops);
    store_all(&node);
    workers_settle(node.logged.workers);
    peer_expect(&peer, "+OK\r\n");
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 1);
    while (node.cutting->working > 0) {
        store_all(&node);
        workers_settle(node.logged.workers);
    }
    end(&node);
    close(peer.fd);
    close(writer.fd);
}
END_TEST

START_TEST(a_write_waits_that_would_make_the_cut_keep_a_huge_string) {
    struct cut_node node;
    begin(&node, "{x}");
    struct peer peer = peer_new(node.logged.workers, 0);
    peer_say(&peer, "SETRANGE {x}huge 26000000 1\r\n");
    workers_settle(node.logged.workers);
    peer_expect(&peer, ":26000001\r\n");
    for (uint16_t slot = 0; !cut_is_inside(node.worker->cut, &slot);) {
        cutting_step(node.worker);
    }
    /* Reads and other keys do not wait. */
    peer_say(&peer, "STRLEN {x}huge\r\nSET {x}1 1\r\nSET {x}huge 1\r\n");
    worker_tick(node.worker);
    workers_tick(node.logged.workers, 0);
    peer_expect(&peer, ":26000001\r\n+OK\r\n");
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 1);
    ck_assert_uint_eq(atomic_load(&node.cutting->kept), 0);
    char got[8] = "";
    size_t kept_max = 0;
    for (int i = 0; i < 100000 && recv(peer.fd, got, sizeof(got), 0) < 0; i++) {
        store_all(&node);
        workers_tick(node.logged.workers, 0);
        size_t kept = atomic_load(&node.cutting->kept);
        kept_max = kept > kept_max ? kept : kept_max;
    }
    ck_assert_int_eq(memcmp(got, "+OK\r\n", 5), 0);
    ck_assert_uint_lt(kept_max, CUTTING_HOLD_BYTES);
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 1);
    end(&node);
    close(peer.fd);
}
END_TEST

START_TEST(writes_to_a_slot_wait_while_the_cut_keeps_its_dropped_table) {
    struct cut_node node;
    begin(&node, "{x}");
    for (uint16_t slot = 0; !cut_is_inside(node.worker->cut, &slot);) {
        cutting_step(node.worker);
    }
    struct peer peer = peer_new(node.logged.workers, 0);
    peer_say(&peer, "FLUSHALL\r\nSET other 1\r\nSET {x}1 1\r\n");
    workers_tick(node.logged.workers, 0);
    workers_tick(node.logged.workers, 0);
    peer_expect(&peer, "+OK\r\n+OK\r\n");
    ck_assert_uint_eq(atomic_load(&node.cutting->writes_held), 1);
    size_t kept = atomic_load(&node.cutting->kept);
    ck_assert_uint_gt(kept, KEYS * VALUE_BYTES / 2);
    ck_assert_uint_lt(kept, KEYS * VALUE_BYTES * 2);
    while (node.cutting->working > 0) {
        store_all(&node);
        workers_tick(node.logged.workers, 0);
    }
    ck_assert_uint_eq(atomic_load(&node.cutting->kept), 0);
    ck_assert_uint_eq(atomic_load(&node.cutting->keys_done), KEYS);
    workers_settle(node.logged.workers);
    peer_expect(&peer, "+OK\r\n");
    end(&node);
    close(peer.fd);
}
END_TEST

/* Housekeeping changes data too, between a tick's append and the step. */
START_TEST(a_slots_image_stands_behind_all_that_it_holds) {
    struct cut_node node;
    begin(&node, "{x}");
    uint64_t before = oplog_end_position(node.logged.oplog);
    put(&node, "{x}new");
    ck_assert_uint_gt(oplog_batch_bytes(&node.worker->batch), 0);
    for (uint16_t slot = 0; !cut_is_inside(node.worker->cut, &slot);) {
        cutting_step(node.worker);
    }
    uint64_t after = oplog_end_position(node.logged.oplog);
    ck_assert_uint_gt(after, before);
    put(&node, "{x}later");
    while (node.cutting->working > 0) {
        store_all(&node);
        workers_tick(node.logged.workers, 0);
    }
    const struct cutting_slot *slot = &node.cutting->slots[slot_of_key(span_of_string("{x}"))];
    ck_assert_uint_eq(slot->keys, KEYS + 1);
    ck_assert_uint_eq(slot->position, after);
    end(&node);
}
END_TEST

/* The bytes of a step in a tick that served so many requests. */
static size_t step_after(const struct cut_node *node, uint32_t requests) {
    struct worker *worker = node->worker;
    worker->work = (struct tick_work){.requests = requests};
    cutting_step(worker);
    return worker->work.cut_bytes;
}

START_TEST(a_tick_with_requests_takes_a_step_in_proportion_to_them) {
    struct cut_node node;
    begin(&node, "{x}");
    /* Empty slots come first. */
    for (uint16_t slot = 0; !cut_is_inside(node.worker->cut, &slot);) {
        step_after(&node, 1);
    }
    size_t bytes = step_after(&node, 1);
    ck_assert(bytes >= CUTTING_STEP_BYTES_MIN && bytes < CUT_STEP_BYTES);
    ck_assert_uint_lt(step_after(&node, 0), CUT_STEP_BYTES);
    ck_assert_uint_ge(step_after(&node, 0), CUT_STEP_BYTES);
    ck_assert_uint_ge(step_after(&node, 0), CUT_STEP_BYTES);
    ck_assert_uint_lt(step_after(&node, 1), CUT_STEP_BYTES);
    ck_assert_uint_ge(step_after(&node, 500), 500 * CUTTING_BYTES_PER_REQUEST);
    ck_assert_uint_ge(step_after(&node, 1000000), CUT_STEP_BYTES);
    node.worker->work = (struct tick_work){0};
    end(&node);
}
END_TEST

START_TEST(an_image_that_is_given_up_ends_with_the_next_tick) {
    struct cut_node node;
    begin(&node, "{x}");
    workers_tick(node.logged.workers, 0);
    ck_assert_ptr_nonnull(node.worker->cut);
    cutting_give_up(node.cutting);
    worker_tick(node.worker);
    ck_assert_ptr_null(node.worker->cut);
    ck_assert_uint_eq(node.cutting->working, 0);
    end(&node);
}
END_TEST

START_TEST(an_image_may_end_with_chunks_that_nobody_took) {
    struct cut_node node;
    begin(&node, "key:");
    settle(&node);
    ck_assert(!list_is_empty(&node.cutting->chunks));
    cutting_end(node.cutting);
    ck_assert_ptr_null(node.worker->cut);
    ck_assert_ptr_null(node.logged.workers->node.cutting);
    workers_settle(node.logged.workers);
    logged_free(&node.logged);
}
END_TEST

/* Until the worker is done; answers the bytes that came. */
static size_t take_all(const struct cut_node *node, struct cutting *cutting) {
    size_t bytes = 0;
    for (bool is_done = false; !is_done;) {
        workers_tick(node->logged.workers, 0);
        struct image_chunk *chunk = cutting_try_take(cutting, &is_done);
        if (chunk != NULL) {
            bytes += image_chunk_bytes(chunk);
            cutting_stored(cutting, image_chunk_bytes(chunk));
            image_chunk_free(chunk);
        }
    }
    return bytes;
}

static uint32_t slots_done(const struct cutting *cutting) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        count += cutting->slots[slot].is_done;
    }
    return count;
}

START_TEST(an_image_of_some_slots_holds_no_others) {
    struct cut_node node;
    fill(&node, "key:");
    struct slot_set slots = {0};
    slot_set_add(&slots, slot_of_key(span_of_string("key:1")));
    slot_set_add(&slots, slot_of_key(span_of_string("key:2")));
    struct cutting *cutting =
        cutting_start(&(struct cutting_plan){.node = &node.logged.workers->node, .slots = &slots});
    size_t bytes = take_all(&node, cutting);
    ck_assert_uint_ge(bytes, 2 * VALUE_BYTES);
    ck_assert_uint_lt(bytes, 8 * VALUE_BYTES);
    ck_assert_uint_eq(slots_done(cutting), 2);
    ck_assert(cutting->slots[slot_of_key(span_of_string("key:1"))].is_done);
    cutting_free(cutting);
    logged_free(&node.logged);
}
END_TEST

START_TEST(an_image_may_end_behind_the_slot_with_which_it_is_large_enough) {
    struct cut_node node;
    fill(&node, "key:");
    struct cutting *cutting = cutting_start(
        &(struct cutting_plan){.node = &node.logged.workers->node, .bytes_max = 10 * VALUE_BYTES});
    size_t bytes = take_all(&node, cutting);
    ck_assert_uint_ge(bytes, 10 * VALUE_BYTES);
    ck_assert_uint_lt(bytes, 20 * VALUE_BYTES);
    ck_assert_uint_gt(slots_done(cutting), 4);
    ck_assert_uint_lt(slots_done(cutting), SLOTS);
    cutting_free(cutting);
    logged_free(&node.logged);
}
END_TEST

START_TEST(an_image_that_ends_leaves_the_next_one_alone) {
    struct cut_node node;
    begin(&node, "key:");
    take_all(&node, node.cutting);
    struct cutting *next =
        cutting_start(&(struct cutting_plan){.node = &node.logged.workers->node});
    workers_tick(node.logged.workers, 0);
    ck_assert_ptr_nonnull(node.worker->cut);
    cutting_end(node.cutting);
    ck_assert_ptr_nonnull(node.worker->cut);
    take_all(&node, next);
    ck_assert_uint_eq(slots_done(next), SLOTS);
    cutting_free(next);
    logged_free(&node.logged);
}
END_TEST

START_TEST(whose_turn_it_is_keeps_it_from_others) {
    struct cutting_turn turn;
    cutting_turn_init(&turn);
    ck_assert(cutting_turn_try(&turn));
    ck_assert(!cutting_turn_try(&turn));
    cutting_turn_give(&turn);
    cutting_turn_take(&turn);
    ck_assert(!cutting_turn_try(&turn));
    cutting_turn_give(&turn);
    cutting_turn_destroy(&turn);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        no_step_is_taken_while_the_queue_is_full,
        writes_to_a_half_done_slot_wait_when_the_queue_is_over_full,
        a_call_over_several_workers_waits_for_room_where_another_one_cuts,
        a_write_waits_that_would_make_the_cut_keep_a_huge_string,
        writes_to_a_slot_wait_while_the_cut_keeps_its_dropped_table,
        a_slots_image_stands_behind_all_that_it_holds,
        a_tick_with_requests_takes_a_step_in_proportion_to_them,
        an_image_that_is_given_up_ends_with_the_next_tick,
        an_image_may_end_with_chunks_that_nobody_took,
        an_image_of_some_slots_holds_no_others,
        an_image_may_end_behind_the_slot_with_which_it_is_large_enough,
        an_image_that_ends_leaves_the_next_one_alone,
        whose_turn_it_is_keeps_it_from_others,
    };
    return unit_run(unit_suite("cutting", tests, UNIT_COUNT(tests)));
}
