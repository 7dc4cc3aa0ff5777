#include "worker/removal.h"

#include "store/expiry.h"
#include "store/value.h"
#include "tests/unit/worker/workers.h"

#define KEY_BYTES_MAX 512
/* Ticks that are far more than enough. */
#define TICKS_MAX 100000
#define OOM "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

/* Puts a key into the store that owns it, without a command. */
static void put(struct workers *workers, const char *format, unsigned i, int64_t expiry_ms) {
    char text[KEY_BYTES_MAX];
    struct span key = span_of(text, (size_t)snprintf(text, sizeof(text), format, i));
    uint16_t slot = slot_of_key(key);
    struct store *store = keyspace_store(workers->node.keyspace, slot);
    struct string_put put = {.bytes = span_of_string("value"), .expiry_ms = expiry_ms};
    value_string_put(store, 0, slot, store_hash(store, key), key, NULL, &put);
}

static uint64_t keys_of(struct workers *workers) {
    return keyspace_keys(workers->node.keyspace, 0);
}

/* Counts events, and checks that the key is whole. */
struct events {
    unsigned expired;
    unsigned evicted;
    size_t longest;
};

static void event_seen(void *context, const struct call *call, enum event event, struct span key) {
    struct events *events = context;
    ck_assert_uint_eq(call->database, 0);
    ck_assert_int_eq(key.bytes[0], 'k');
    events->expired += event == EVENT_EXPIRED_ID;
    events->evicted += event == EVENT_EVICTED_ID;
    events->longest = key.length > events->longest ? key.length : events->longest;
}

static void watch_events(struct worker *worker, struct events *events) {
    *events = (struct events){0};
    worker->executor.environment.observer = (struct call_observer){
        .context = events,
        .event = event_seen,
        .event_classes = EVENT_EXPIRED | EVENT_EVICTED,
    };
}

/* ---- expiry ---- */

START_TEST(expired_keys_go_by_ticks_of_bounded_work_and_tell_of_it) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct events events;
    watch_events(worker, &events);
    for (unsigned i = 0; i < 5000; i++) {
        put(workers, "k%u", i, 1);
    }
    put(workers, "k%0400u", 1, 1);
    put(workers, "kept%u", 1, ENTRY_NO_EXPIRY);
    put(workers, "later%u", 1, INT64_MAX);
    workers_tick(workers, 0);
    for (int i = 0; i < TICKS_MAX && keys_of(workers) > 2; i++) {
        worker_tick(worker); /* The timer ends its wait. */
    }
    ck_assert_uint_eq(keys_of(workers), 2);
    ck_assert_uint_eq(events.expired, 5001);
    ck_assert_uint_eq(events.longest, 401);
    ck_assert_uint_eq(worker->store->statistics.expired_keys, 5001);
    /* Each removal may merge buckets. */
    ck_assert_uint_le(worker->work_max.buckets,
                      (uint64_t)(TICK_EXPIRE_BUCKETS_MAX + EXPIRY_OVERSHOOT_UNITS) *
                          (1 + TABLE_STEPS_MAX));
    workers_free(workers);
}
END_TEST

START_TEST(a_step_of_expiry_does_what_a_tick_may_do_and_no_more) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    for (unsigned i = 0; i < 5000; i++) {
        put(workers, "k%u", i, 1);
    }
    while (keys_of(workers) > 0) {
        uint64_t before = worker->work.buckets;
        worker->now_ms += 1000; /* Whatever is earned with time is earned. */
        removal_expire_step(worker);
        uint64_t units = worker->work.buckets - before;
        ck_assert_uint_le(units, TICK_EXPIRE_BUCKETS_MAX + EXPIRY_OVERSHOOT_UNITS);
        ck_assert(units >= TICK_EXPIRE_BUCKETS_MAX || keys_of(workers) == 0);
    }
    workers_free(workers);
}
END_TEST

START_TEST(nothing_expires_while_active_expiry_is_off_or_clients_are_paused) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    put(workers, "k%u", 1, 1);
    atomic_store(&workers->node.active_expire_is_off, true);
    workers_tick(workers, 0);
    ck_assert_uint_eq(keys_of(workers), 1);
    atomic_store(&workers->node.active_expire_is_off, false);
    atomic_store(&workers->node.pause_until_ms, INT64_MAX);
    worker->is_paused = true;
    workers_tick(workers, 0);
    ck_assert_uint_eq(keys_of(workers), 1);
    worker_end_pause(worker);
    workers_tick(workers, 0);
    ck_assert_uint_eq(keys_of(workers), 0);
    workers_free(workers);
}
END_TEST

/* ---- burial ---- */

START_TEST(a_tick_buries_a_bounded_number_of_elements_and_counts_them) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    const unsigned keys = 5 * TICK_BURIED_ELEMENTS_MAX + 7;
    for (unsigned i = 0; i < keys; i++) {
        put(workers, "k%u", i, ENTRY_NO_EXPIRY);
    }
    store_flush(worker->store, 0);
    unsigned ticks = 0;
    while (!list_is_empty(&worker->store->graveyard)) {
        uint64_t before = worker->store->buried_elements;
        workers_tick(workers, 0);
        ck_assert_uint_le(worker->store->buried_elements - before, TICK_BURIED_ELEMENTS_MAX);
        ticks++;
    }
    ck_assert_uint_eq(ticks, 6);
    ck_assert_uint_eq(worker->store->buried_elements, keys);
    ck_assert_uint_eq(worker->work_max.buried, TICK_BURIED_ELEMENTS_MAX);
    /* What is counted is what went, not what might have. */
    worker->work_max.buried = 0;
    put(workers, "k%u", 1, ENTRY_NO_EXPIRY);
    store_flush(worker->store, 0);
    workers_tick(workers, 0);
    ck_assert_uint_eq(worker->work_max.buried, 1);
    workers_free(workers);
}
END_TEST

/* ---- eviction ---- */

static struct workers *workers_full(uint32_t count, enum maxmemory_policy policy, unsigned keys) {
    struct workers *workers = workers_new(count);
    workers->store_options.maxmemory_policy = policy;
    for (unsigned i = 0; i < keys; i++) {
        put(workers, "k%u", i, ENTRY_NO_EXPIRY);
    }
    return workers;
}

START_TEST(without_a_limit_there_is_always_room) {
    struct workers *workers = workers_full(1, MAXMEMORY_ALLKEYS_LRU, 100);
    ck_assert(worker_make_room(workers_at(workers, 0)));
    workers_tick(workers, 0);
    ck_assert_uint_eq(keys_of(workers), 100);
    workers_free(workers);
}
END_TEST

START_TEST(keys_are_evicted_until_memory_is_below_the_limit_and_no_more) {
    struct workers *workers = workers_full(1, MAXMEMORY_ALLKEYS_LRU, 1000);
    struct worker *worker = workers_at(workers, 0);
    struct events events;
    watch_events(worker, &events);
    size_t used = worker->store->heap.used_bytes;
    workers->store_options.maxmemory = (int64_t)used - 1000;
    ck_assert(worker_make_room(worker));
    ck_assert_uint_le(node_used_memory(&workers->node), used - 1000);
    ck_assert_uint_ge(node_used_memory(&workers->node), used - 1500);
    ck_assert_uint_gt(events.evicted, 0);
    ck_assert_uint_eq(keys_of(workers), 1000 - events.evicted);
    ck_assert_uint_eq(worker->store->statistics.evicted_keys, events.evicted);
    workers_free(workers);
}
END_TEST

START_TEST(one_command_evicts_as_many_keys_as_the_tenacity_allows_and_ticks_go_on) {
    static const struct {
        int64_t tenacity;
        uint64_t evictions;
    } rows[] = {
        {0, REMOVAL_EVICTIONS_MIN},
        {10, REMOVAL_EVICTIONS_MIN + 10 * REMOVAL_EVICTIONS_PER_TENACITY},
        {100, 5000},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct workers *workers = workers_full(1, MAXMEMORY_ALLKEYS_RANDOM, 5000);
        struct worker *worker = workers_at(workers, 0);
        workers->store_options.maxmemory_eviction_tenacity = rows[i].tenacity;
        workers->store_options.maxmemory = 1;
        atomic_store(&workers->node.memory_other_bytes, 1000);
        ck_assert_int_eq(worker_make_room(worker), rows[i].tenacity < 100);
        ck_assert_uint_eq(keys_of(workers), 5000 - rows[i].evictions);
        for (int k = 0; k < 10 && keys_of(workers) > 0; k++) {
            worker_tick(worker); /* The timer ends its wait. */
        }
        ck_assert_uint_eq(keys_of(workers), 0);
        ck_assert_uint_le(worker->work_max.evictions, TICK_EVICTIONS_MAX + rows[i].evictions);
        workers_free(workers);
    }
}
END_TEST

START_TEST(what_is_flushed_is_freed_before_anything_is_evicted) {
    struct workers *workers = workers_full(1, MAXMEMORY_ALLKEYS_LRU, 5000);
    struct worker *worker = workers_at(workers, 0);
    store_flush(worker->store, 0);
    put(workers, "k%u", 1, ENTRY_NO_EXPIRY);
    workers->store_options.maxmemory = (int64_t)worker->store->heap.used_bytes / 2;
    ck_assert(worker_make_room(worker));
    ck_assert_uint_eq(keys_of(workers), 1);
    workers_free(workers);
}
END_TEST

START_TEST(no_room_refuses_what_needs_some_and_lets_the_rest_run) {
    struct workers *workers = workers_full(1, MAXMEMORY_NO_EVICTION, 10);
    struct peer peer = peer_new(workers, 0);
    workers->store_options.maxmemory = 1;
    peer_say(&peer, "SET a b\r\nGET k1\r\nGETDEL k1\r\n");
    workers_settle(workers);
    peer_expect(&peer, OOM "$5\r\nvalue\r\n$5\r\nvalue\r\n");
    workers->store_options.maxmemory = 0;
    peer_say(&peer, "SET a b\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(no_room_refuses_to_queue_and_to_run_what_is_queued) {
    struct workers *workers = workers_full(1, MAXMEMORY_VOLATILE_LRU, 10);
    struct peer peer = peer_new(workers, 0);
    workers->store_options.maxmemory = 1;
    peer_say(&peer, "MULTI\r\nGET k1\r\nEXEC\r\n");
    workers_settle(workers);
    peer_expect(&peer,
                "+OK\r\n" OOM "-EXECABORT Transaction discarded because of previous errors.\r\n");
    workers->store_options.maxmemory = 0;
    peer_say(&peer, "MULTI\r\nSET a b\r\n");
    workers_settle(workers);
    workers->store_options.maxmemory = 1;
    peer_say(&peer, "EXEC\r\nMULTI\r\nEXEC\r\nDISCARD\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: OOM command "
                       "not allowed when used memory > 'maxmemory'.\r\n+OK\r\n*0\r\n-ERR DISCARD "
                       "without MULTI\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(a_worker_without_keys_asks_the_others_and_refuses_when_they_have_none) {
    struct workers *workers = workers_new(2);
    struct worker *poor = workers_at(workers, 0);
    struct worker *rich = workers_at(workers, 1);
    workers->store_options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    for (unsigned i = 0; i < 300; i++) {
        put(workers, "k{8}%u", i, ENTRY_NO_EXPIRY); /* 8 is in slot 11,000 or so */
    }
    ck_assert_uint_eq(store_keys(rich->store, 0), 300);
    workers_tick(workers, 1);
    workers->store_options.maxmemory = (int64_t)rich->store->heap.used_bytes / 2;
    ck_assert(worker_make_room(poor));
    ck_assert(atomic_load(&rich->is_asked_for_room));
    worker_tick(rich); /* It was woken. */
    ck_assert(!atomic_load(&rich->is_asked_for_room));
    ck_assert_uint_lt(store_keys(rich->store, 0), 300);
    ck_assert_uint_gt(store_keys(rich->store, 0), 0);
    workers->store_options.maxmemory = 1;
    ck_assert(worker_make_room(poor));
    worker_tick(rich);
    ck_assert_uint_eq(store_keys(rich->store, 0), 0);
    atomic_store(&workers->node.memory_other_bytes, 1000);
    workers_tick(workers, 1);
    ck_assert(!worker_make_room(poor));
    workers_free(workers);
}
END_TEST

/* Each look at the clock is 3 ms after the one before. */
static int64_t slow_clock_us(void) {
    static int64_t now_us = 0;
    return now_us += 3000;
}

/* What was told, in order: " event:ms ...". */
struct told {
    char text[256];
};

static void hear(struct node *node, const char *event, int64_t duration_ms) {
    struct told *told = (struct told *)node->server; /* Which here is the test's. */
    size_t length = strlen(told->text);
    snprintf(told->text + length, sizeof(told->text) - length, " %s:%lld", event,
             (long long)duration_ms);
}

START_TEST(slow_cycles_and_deletions_of_expiry_and_eviction_are_told_to_latency) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct told told = {""};
    worker->executor.clock_us = slow_clock_us;
    workers->node.latency_event = hear;
    workers->node.server = (struct server *)&told;
    removal_expire_step(worker);
    put(workers, "k%u", 1, 1);
    removal_expire_step(worker);
    ck_assert_uint_eq(worker->expire_us, 3000);
    ck_assert_str_eq(told.text, "");
    /* With the monitor on, the clock is looked at for the key, too. */
    workers->options.latency_monitor_threshold = 3;
    put(workers, "k%u", 1, 1);
    removal_expire_step(worker);
    ck_assert_uint_eq(worker->expire_us, 12000);
    ck_assert_str_eq(told.text, " expire-del:3 expire-cycle:9");
    told.text[0] = '\0';
    workers->options.latency_monitor_threshold = 4;
    put(workers, "k%u", 1, 1);
    removal_expire_step(worker);
    ck_assert_str_eq(told.text, " expire-cycle:9");
    told.text[0] = '\0';
    workers->options.latency_monitor_threshold = 3;
    put(workers, "k%u", 2, ENTRY_NO_EXPIRY);
    workers->store_options.maxmemory = 1;
    workers->store_options.maxmemory_policy = MAXMEMORY_ALLKEYS_LRU;
    removal_evict_step(worker);
    ck_assert_str_eq(told.text, " eviction-del:3 eviction-cycle:9");
    workers_free(workers);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_tick_buries_a_bounded_number_of_elements_and_counts_them,
        expired_keys_go_by_ticks_of_bounded_work_and_tell_of_it,
        a_step_of_expiry_does_what_a_tick_may_do_and_no_more,
        nothing_expires_while_active_expiry_is_off_or_clients_are_paused,
        without_a_limit_there_is_always_room,
        keys_are_evicted_until_memory_is_below_the_limit_and_no_more,
        one_command_evicts_as_many_keys_as_the_tenacity_allows_and_ticks_go_on,
        what_is_flushed_is_freed_before_anything_is_evicted,
        no_room_refuses_what_needs_some_and_lets_the_rest_run,
        no_room_refuses_to_queue_and_to_run_what_is_queued,
        a_worker_without_keys_asks_the_others_and_refuses_when_they_have_none,
        slow_cycles_and_deletions_of_expiry_and_eviction_are_told_to_latency,
    };
    return unit_run(unit_suite("removal", tests, UNIT_COUNT(tests)));
}
