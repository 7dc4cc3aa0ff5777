#include "worker/digesting.h"

#include "commands/effect_codec.h"
#include "oplog/reader.h"
#include "store/digest.h"
#include "store/digest_keys.h"
#include "tests/unit/worker/logged.h"

#define SEED 99
#define FIELDS 20000 /* of a hash that takes many steps */

struct fixture {
    struct logged logged;
    struct peer peer;
    uint32_t told;
    struct message_digest last;
    struct buffer rows;
};

static void done(void *context, const struct message_digest *digest) {
    struct fixture *fixture = context;
    fixture->told++;
    fixture->last = *digest;
    buffer_clear(&fixture->rows);
    buffer_append_span(&fixture->rows, digest->rows);
}

static struct node *node_of(struct fixture *fixture) {
    return &fixture->logged.workers->node;
}

static void open_fixture(struct fixture *fixture, uint32_t workers) {
    *fixture = (struct fixture){.rows = BUFFER_EMPTY};
    logged_new(&fixture->logged, workers, OPLOG_SYNC_NO);
    struct node *node = node_of(fixture);
    node->digesting = digesting_new(node, done, fixture);
    fixture->peer = peer_new(fixture->logged.workers, 0);
}

static void close_fixture(struct fixture *fixture) {
    struct node *node = node_of(fixture);
    digesting_free(node->digesting);
    node->digesting = NULL;
    buffer_free(&fixture->rows);
    logged_free(&fixture->logged);
    close(fixture->peer.fd);
}

static void settle(struct fixture *fixture) {
    workers_settle(fixture->logged.workers);
    logged_write(&fixture->logged);
    workers_settle(fixture->logged.workers);
}

static void say(struct fixture *fixture, const char *text) {
    peer_say(&fixture->peer, text);
    settle(fixture);
    peer_expect(&fixture->peer, "+OK\r\n");
}

static uint16_t slot_of_text(const char *key) {
    return slot_of_key(span_of_string(key));
}

static struct store *store_of(struct fixture *fixture, uint16_t slot) {
    return keyspace_store(node_of(fixture)->keyspace, slot);
}

/* A hash of many fields; answers its slot. */
static uint16_t put_large(struct fixture *fixture) {
    struct span key = span_of_string("large");
    struct place place = {.slot = slot_of_key(key), .key = key};
    place.store = store_of(fixture, place.slot);
    place.hash = store_hash(place.store, key);
    place_find(&place);
    for (int i = 0; i < FIELDS; i++) {
        char field[32];
        int length = snprintf(field, sizeof(field), "field %d", i);
        effect_apply(&place, &(struct effect){.kind = EFFECT_HASH_PUT,
                                              .field = span_of(field, (size_t)length),
                                              .value = span_of(field, (size_t)length)});
    }
    return place.slot;
}

/* The last effect in the log, and what precedes it. */
static void read_log(struct fixture *fixture, struct buffer *kinds) {
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {.disk = &fixture->logged.disk,
                                     .from = 0,
                                     .to = oplog_written_position(fixture->logged.oplog),
                                     .report = &report};
    struct oplog_reader *reader = NULL;
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    struct oplog_frame frame;
    while (oplog_reader_next(reader, &frame) == OPLOG_READ_FRAME) {
        struct effect_record record;
        while (effect_read(&frame.content, &record) == EFFECT_READ_DONE) {
            buffer_format(kinds, "%s ", effect_kind_find(record.effect.kind)->name);
            ck_assert(!record.is_joined);
        }
    }
    oplog_reader_close(reader);
    buffer_append_byte(kinds, '\0');
    buffer_free(&report);
}

START_TEST(digest_is_of_what_stands_before_its_place_in_the_log) {
    struct fixture fixture;
    open_fixture(&fixture, 2);
    say(&fixture, "SET a 1\r\n");
    uint16_t slot = slot_of_text("a");
    struct digest_request request = {.slot = slot, .seed = SEED, .has_keys = true};
    ck_assert(digesting_ask(node_of(&fixture)->digesting, &request));
    settle(&fixture);
    ck_assert_uint_eq(fixture.told, 1);
    ck_assert_uint_eq(fixture.last.flags, MESSAGE_DIGEST_KEYS);
    ck_assert_uint_eq(fixture.last.slot, slot);
    ck_assert_uint_eq(fixture.last.seed, SEED);
    ck_assert_uint_eq(fixture.last.keys, 1);
    ck_assert_uint_eq(fixture.last.sum, digest_slot(store_of(&fixture, slot), slot, SEED));
    struct span rows = buffer_span(&fixture.rows);
    struct digest_key key;
    ck_assert(digest_keys_read(&rows, &key));
    ck_assert(span_is(key.key, "a"));
    say(&fixture, "SET a 2\r\n");
    struct buffer kinds = BUFFER_EMPTY;
    read_log(&fixture, &kinds);
    ck_assert_str_eq(kinds.bytes, "value_put slot_digest value_put ");
    buffer_free(&kinds);
    close_fixture(&fixture);
}
END_TEST

START_TEST(large_slot_takes_several_ticks_and_others_are_skipped_meanwhile) {
    struct fixture fixture;
    open_fixture(&fixture, 1);
    uint16_t slot = put_large(&fixture);
    uint64_t sum = digest_slot(store_of(&fixture, slot), slot, SEED);
    struct worker *worker = workers_at(fixture.logged.workers, 0);
    digesting_begin(worker, &(struct digest_request){.slot = slot, .seed = SEED});
    ck_assert_uint_eq(fixture.told, 0);
    ck_assert(digesting_has_work(worker));
    digesting_begin(worker, &(struct digest_request){.slot = 3, .seed = SEED + 1});
    ck_assert_uint_eq(fixture.told, 1);
    ck_assert_uint_eq(fixture.last.flags, MESSAGE_DIGEST_SKIPPED);
    ck_assert_uint_eq(fixture.last.seed, SEED + 1);
    uint32_t ticks = 0;
    for (; fixture.told == 1; ticks++) {
        worker_tick(worker);
    }
    ck_assert_uint_gt(ticks, 3);
    ck_assert_uint_eq(fixture.last.flags, 0);
    ck_assert_uint_eq(fixture.last.sum, sum);
    ck_assert(!digesting_has_work(worker));
    close_fixture(&fixture);
}
END_TEST

START_TEST(what_is_given_up_is_skipped) {
    struct fixture fixture;
    open_fixture(&fixture, 1);
    uint16_t slot = put_large(&fixture);
    struct worker *worker = workers_at(fixture.logged.workers, 0);
    digesting_begin(worker, &(struct digest_request){.slot = slot, .seed = SEED});
    ck_assert_ptr_nonnull(worker->store->open_cut);
    digesting_give_up(node_of(&fixture));
    ck_assert_ptr_null(worker->store->open_cut);
    ck_assert_uint_eq(fixture.told, 1);
    ck_assert_uint_eq(fixture.last.flags, MESSAGE_DIGEST_SKIPPED);
    close_fixture(&fixture);
}
END_TEST

START_TEST(requests_beyond_their_maximum_are_refused) {
    struct fixture fixture;
    open_fixture(&fixture, 1);
    struct digest_request request = {.slot = 5, .seed = SEED};
    for (int i = 0; i < DIGESTING_REQUESTS_MAX; i++) {
        ck_assert(digesting_ask(node_of(&fixture)->digesting, &request));
    }
    ck_assert(!digesting_ask(node_of(&fixture)->digesting, &request));
    while (digesting_has_work(workers_at(fixture.logged.workers, 0))) {
        settle(&fixture);
    }
    ck_assert_uint_eq(fixture.told, DIGESTING_REQUESTS_MAX);
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        digest_is_of_what_stands_before_its_place_in_the_log,
        large_slot_takes_several_ticks_and_others_are_skipped_meanwhile,
        what_is_given_up_is_skipped,
        requests_beyond_their_maximum_are_refused,
    };
    return unit_run(unit_suite("digesting", tests, UNIT_COUNT(tests)));
}
