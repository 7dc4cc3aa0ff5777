/* With threads, since what is joint needs workers that stand still. */
#include "worker/applying.h"

#include "commands/effect_codec.h"
#include "oplog/segment.h"
#include "store/cut.h"
#include "store/value.h"
#include "tests/unit/worker/workers.h"

#include <poll.h>
#include <time.h>

#define WORKERS 3
#define ROUNDS 200

struct bench {
    struct workers *workers;
    struct applying *applying;
    struct buffer content; /* of the frame in the making */
    uint64_t end;          /* of the stream */
    bool is_running;
};

static void no_progress(void *context) {
    (void)context;
}

static void bench_new(struct bench *bench, uint32_t count) {
    *bench = (struct bench){.workers = workers_new(count), .content = BUFFER_EMPTY, .end = 1000};
    struct node *node = &bench->workers->node;
    node->is_replica = true;
    node->applying = applying_new(node, no_progress, NULL);
    bench->applying = node->applying;
    applying_begin(bench->applying, bench->end);
}

static void bench_start(struct bench *bench) {
    bench->is_running = true;
    for (uint32_t i = 0; i < bench->workers->node.worker_count; i++) {
        ck_assert_int_eq(worker_start(workers_at(bench->workers, i)), 0);
    }
}

static void bench_stop(struct bench *bench) {
    for (uint32_t i = 0; bench->is_running && i < bench->workers->node.worker_count; i++) {
        worker_join(workers_at(bench->workers, i));
    }
    bench->is_running = false;
}

static void bench_free(struct bench *bench) {
    bench_stop(bench);
    buffer_free(&bench->content);
    applying_free(bench->applying);
    workers_free(bench->workers);
}

/* Until all that was handed over is done. */
static void settle(struct bench *bench) {
    const struct timespec moment = {.tv_nsec = 100000};
    applying_flush(bench->applying);
    while (applying_reap(bench->applying), !applying_is_idle(bench->applying)) {
        if (bench->is_running) {
            nanosleep(&moment, NULL);
        } else {
            workers_settle(bench->workers);
        }
    }
}

static void add(struct bench *bench, const struct effect *effect, const char *key, bool is_joined) {
    struct effect_record record = {.effect = *effect, .is_joined = is_joined};
    record.key = span_of_string(key);
    record.slot = key[0] == '\0' ? EFFECT_NODE_SLOT : slot_of_key(record.key);
    effect_write(&bench->content, &record);
}

static void add_number(struct bench *bench, const char *key, int64_t number, bool is_joined) {
    struct effect effect = {
        .kind = EFFECT_INTEGER_PUT, .number = number, .expiry_ms = ENTRY_NO_EXPIRY};
    add(bench, &effect, key, is_joined);
}

static bool hand_over(struct bench *bench) {
    struct message_frame frame = {
        .position = bench->end,
        .length = bench->content.length,
        .part = buffer_span(&bench->content),
    };
    struct buffer report = BUFFER_EMPTY;
    bool is_done = applying_frame(bench->applying, &frame, &report);
    ck_assert(is_done == (report.length == 0));
    buffer_free(&report);
    bench->end += OPLOG_FRAME_HEADER_BYTES + bench->content.length;
    buffer_clear(&bench->content);
    return is_done;
}

/* The key's number; -1: it is not there. */
static int64_t number_of(const struct bench *bench, const char *name) {
    struct span key = span_of_string(name);
    uint16_t slot = slot_of_key(key);
    struct store *store = keyspace_store(bench->workers->node.keyspace, slot);
    const uint64_t *cell = store_find(store, 0, slot, store_hash(store, key), key);
    int64_t number = -1;
    if (cell != NULL) {
        char scratch[NUMBER_TEXT_BYTES_MAX];
        number_parse(value_string(table_cell_element(*cell), scratch), &number);
    }
    return number;
}

START_TEST(what_stands_in_frames_comes_into_the_data_of_all_workers) {
    struct bench bench;
    bench_new(&bench, WORKERS);
    bench_start(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%d", i);
        add_number(&bench, key, i, false);
        ck_assert(hand_over(&bench));
    }
    settle(&bench);
    ck_assert_uint_eq(applying_reap(bench.applying), bench.end);
    bench_stop(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%d", i);
        ck_assert_int_eq(number_of(&bench, key), i);
    }
    bench_free(&bench);
}
END_TEST

/* Without the stop, the answers would differ now and then. */
START_TEST(what_takes_place_together_is_never_seen_half) {
    struct bench bench;
    bench_new(&bench, WORKERS);
    struct peer peer = peer_new(bench.workers, 0);
    bench_start(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        add_number(&bench, "a", i, false);
        add_number(&bench, "b", i, true);
        add_number(&bench, "c", i, true);
        ck_assert(hand_over(&bench));
        applying_flush(bench.applying);
        if (i == 0) {
            settle(&bench);
        }
        peer_say(&peer, "MGET a b c\r\n");
        char got[256];
        size_t length = 0;
        int numbers[3];
        do {
            struct pollfd wait = {.fd = peer.fd, .events = POLLIN};
            ck_assert_int_ge(poll(&wait, 1, -1), 0);
            ssize_t more = recv(peer.fd, got + length, sizeof(got) - 1 - length, 0);
            ck_assert_int_gt(more, 0);
            length += (size_t)more;
            got[length] = '\0';
        } while (sscanf(got, "*3\r\n$%*d\r\n%d\r\n$%*d\r\n%d\r\n$%*d\r\n%d\r\n", &numbers[0],
                        &numbers[1], &numbers[2]) != 3 ||
                 got[length - 1] != '\n');
        ck_assert_int_eq(numbers[0], numbers[1]);
        ck_assert_int_eq(numbers[0], numbers[2]);
        applying_reap(bench.applying);
    }
    settle(&bench);
    bench_free(&bench);
    close(peer.fd);
}
END_TEST

START_TEST(a_flush_of_a_database_takes_place_between_what_stands_before_and_behind_it) {
    struct bench bench;
    bench_new(&bench, WORKERS);
    bench_start(&bench);
    for (int round = 0; round < ROUNDS / 10; round++) {
        add_number(&bench, "a", 1, false);
        add_number(&bench, "b", 1, false);
        add_number(&bench, "c", 1, false);
        hand_over(&bench);
        add(&bench, &(struct effect){.kind = EFFECT_DATABASE_FLUSH}, "", false);
        hand_over(&bench);
        add_number(&bench, "b", 2, false);
        hand_over(&bench);
        applying_flush(bench.applying);
    }
    settle(&bench);
    bench_stop(&bench);
    ck_assert_int_eq(number_of(&bench, "a"), -1);
    ck_assert_int_eq(number_of(&bench, "b"), 2);
    ck_assert_int_eq(number_of(&bench, "c"), -1);
    bench_free(&bench);
}
END_TEST

START_TEST(what_an_image_holds_is_left_out_of_frames) {
    struct bench bench;
    bench_new(&bench, 1);
    struct image_chunk *chunk = image_chunk_new();
    struct span key = span_of_string("a");
    image_write_slot(chunk, slot_of_key(key), 0);
    struct store *store = keyspace_store(bench.workers->node.keyspace, slot_of_key(key));
    add_number(&bench, "a", 7, false);
    hand_over(&bench);
    settle(&bench);
    const uint64_t *cell = store_find(store, 0, slot_of_key(key), store_hash(store, key), key);
    image_write_entry(chunk, table_cell_element(*cell), false);
    struct buffer bytes = BUFFER_EMPTY;
    image_chunk_join(chunk, &bytes);
    struct slot_set slots = {{0}};
    slot_set_add(&slots, slot_of_key(key));
    applying_clear(bench.applying, &slots);
    applying_image(bench.applying, buffer_span(&bytes));
    applying_slot(bench.applying, slot_of_key(key), bench.end + 1);
    add_number(&bench, "a", 6, false);
    hand_over(&bench);
    settle(&bench);
    ck_assert_int_eq(number_of(&bench, "a"), 7);
    add_number(&bench, "a", 8, false);
    hand_over(&bench);
    settle(&bench);
    ck_assert_int_eq(number_of(&bench, "a"), 8);
    image_chunk_free(chunk);
    buffer_free(&bytes);
    bench_free(&bench);
}
END_TEST

START_TEST(what_does_not_fit_makes_its_slots_suspect_once) {
    struct bench bench;
    bench_new(&bench, WORKERS);
    bench_start(&bench);
    add_number(&bench, "a", 1, false);
    hand_over(&bench);
    struct effect field = {.kind = EFFECT_HASH_PUT,
                           .field = span_of_string("f"),
                           .value = span_of_string("v"),
                           .expiry_ms = ENTRY_NO_EXPIRY};
    add(&bench, &field, "a", false);
    add_number(&bench, "b", 1, false);
    hand_over(&bench);
    settle(&bench);
    struct slot_set slots = {{0}};
    struct buffer report = BUFFER_EMPTY;
    ck_assert(applying_take_failure(bench.applying, &slots, &report));
    ck_assert(slot_set_has(&slots, slot_of_key(span_of_string("a"))));
    ck_assert_uint_le(slot_set_count(&slots), 2);
    ck_assert_uint_gt(report.length, 0);
    ck_assert(!applying_take_failure(bench.applying, &slots, &report));
    buffer_free(&report);
    settle(&bench);
    bench_free(&bench);
}
END_TEST

START_TEST(a_frame_that_is_no_effects_is_refused_as_if_it_had_not_come) {
    for (uint32_t count = 1; count <= WORKERS; count += WORKERS - 1) {
        struct bench bench;
        bench_new(&bench, count);
        bench_start(&bench);
        add_number(&bench, "a", 1, false);
        ck_assert(hand_over(&bench));
        settle(&bench);
        uint64_t end = bench.end;
        add_number(&bench, "a", 2, false);
        buffer_append_string(&bench.content, "no effects");
        ck_assert(!hand_over(&bench));
        settle(&bench);
        ck_assert_uint_eq(applying_reap(bench.applying), end);
        bench_stop(&bench);
        uint16_t owner = bench.workers->node.keyspace->owners[slot_of_key(span_of_string("a"))];
        ck_assert_uint_eq(applying_position(workers_at(bench.workers, owner)), end);
        ck_assert_int_eq(number_of(&bench, "a"), 1);
        bench_free(&bench);
    }
}
END_TEST

/* The workers do not run meanwhile. */
START_TEST(no_more_is_under_way_than_there_is_room_for) {
    struct bench bench;
    bench_new(&bench, 1);
    static char value[APPLYING_JOINED_BYTES];
    struct effect put = {.kind = EFFECT_VALUE_PUT,
                         .value = span_of(value, sizeof(value)),
                         .expiry_ms = ENTRY_NO_EXPIRY};
    size_t count = 0;
    while (applying_has_room(bench.applying)) {
        add(&bench, &put, "key", false);
        hand_over(&bench);
        applying_flush(bench.applying);
        count++;
    }
    ck_assert_uint_le((count - 1) * APPLYING_JOINED_BYTES, APPLYING_BYTES_MAX);
    workers_tick(bench.workers, 0);
    applying_reap(bench.applying);
    ck_assert(applying_has_room(bench.applying));
    ck_assert(!applying_is_idle(bench.applying));
    settle(&bench);
    struct slot_set none = {{0}};
    for (size_t i = 0; i < APPLYING_PARTS_MAX; i++) {
        ck_assert(applying_has_room(bench.applying));
        applying_clear(bench.applying, &none);
    }
    ck_assert(!applying_has_room(bench.applying));
    settle(&bench);
    bench_free(&bench);
}
END_TEST

static void drain(void *context) {
    struct bench *bench = context;
    ck_assert_uint_eq(applying_drain(&bench->workers->node), bench->end);
    for (uint32_t i = 0; i < WORKERS; i++) {
        ck_assert_uint_eq(applying_position(workers_at(bench->workers, i)), bench->end);
    }
    ck_assert_int_eq(number_of(bench, "a"), ROUNDS);
    ck_assert_int_eq(number_of(bench, "b"), ROUNDS);
}

START_TEST(a_stop_finds_all_that_was_handed_over_in_the_data) {
    struct bench bench;
    bench_new(&bench, WORKERS);
    bench_start(&bench);
    for (int i = 1; i <= ROUNDS; i++) {
        add_number(&bench, "a", i, false);
        add_number(&bench, "b", i, i % 2 == 0);
        hand_over(&bench);
        if (i % 10 == 0) {
            applying_flush(bench.applying);
        }
    }
    stop_visit(&bench.workers->node, drain, &bench);
    settle(&bench);
    bench_free(&bench);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_stands_in_frames_comes_into_the_data_of_all_workers,
        what_takes_place_together_is_never_seen_half,
        a_flush_of_a_database_takes_place_between_what_stands_before_and_behind_it,
        what_an_image_holds_is_left_out_of_frames,
        what_does_not_fit_makes_its_slots_suspect_once,
        a_frame_that_is_no_effects_is_refused_as_if_it_had_not_come,
        no_more_is_under_way_than_there_is_room_for,
        a_stop_finds_all_that_was_handed_over_in_the_data,
    };
    return unit_run(unit_suite("applying", tests, UNIT_COUNT(tests)));
}
