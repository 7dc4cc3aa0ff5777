#include "replication/digest_rounds.h"

#include "store/digest_keys.h"

#include "tests/unit/unit.h"

#define PERIOD_MS (SLOTS * 10)

struct fixture {
    struct digest_rounds *rounds;
    uint64_t verdicts;
    struct digest_verdict verdict;
    struct buffer named;
};

static void differs(void *context, const struct digest_verdict *verdict) {
    struct fixture *fixture = context;
    fixture->verdicts++;
    fixture->verdict = *verdict;
    buffer_clear(&fixture->named);
    buffer_append_span(&fixture->named, verdict->keys_named);
    buffer_append_byte(&fixture->named, '\0');
}

static void open_fixture(struct fixture *fixture) {
    *fixture = (struct fixture){.named = BUFFER_EMPTY};
    fixture->rounds = digest_rounds_new(
        &(struct digest_rounds_plan){.context = fixture, .differs = differs, .seed = 1});
}

static void close_fixture(struct fixture *fixture) {
    digest_rounds_free(fixture->rounds);
    buffer_free(&fixture->named);
}

static const unsigned char one[MESSAGE_NODE_ID_BYTES] = {1};
static const unsigned char other[MESSAGE_NODE_ID_BYTES] = {2};

static struct digest_figures figures_of(const struct fixture *fixture) {
    struct digest_figures figures;
    digest_rounds_figures(fixture->rounds, &figures);
    return figures;
}

static void report(struct fixture *fixture, const unsigned char *node_id, uint64_t seed,
                   uint64_t sum) {
    digest_rounds_report(fixture->rounds, node_id,
                         &(struct message_digest){.slot = 7, .seed = seed, .sum = sum});
}

static void own(struct fixture *fixture, uint64_t seed, uint64_t sum) {
    digest_rounds_own(fixture->rounds,
                      &(struct message_digest){.slot = 7, .seed = seed, .sum = sum}, true);
}

/* Without replicas, whose reports might be awaited. */
static bool next(struct fixture *fixture, int64_t period_ms, int64_t now_ms,
                 struct digest_request *request) {
    return digest_rounds_next(fixture->rounds, &(struct digest_pace){.period_ms = period_ms},
                              now_ms, request);
}

START_TEST(a_round_asks_for_every_slot_once_within_its_period) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct slot_set asked = {{0}};
    struct digest_request request;
    for (int64_t now_ms = 1000; now_ms <= 1000 + PERIOD_MS; now_ms += 160) {
        uint32_t count = 0;
        while (next(&fixture, PERIOD_MS, now_ms, &request)) {
            ck_assert(!request.has_keys);
            ck_assert(!slot_set_has(&asked, request.slot));
            slot_set_add(&asked, request.slot);
            count++;
        }
        ck_assert_uint_le(count, 17);
    }
    ck_assert_uint_eq(slot_set_count(&asked), SLOTS);
    ck_assert_uint_eq(figures_of(&fixture).rounds, 1);
    ck_assert(!next(&fixture, 0, 1 << 30, &request));
    close_fixture(&fixture);
}
END_TEST

static uint32_t ask_until(struct fixture *fixture, int64_t period_ms, int64_t from_ms,
                          int64_t to_ms) {
    struct digest_request request;
    uint32_t count = 0;
    for (int64_t now_ms = from_ms; now_ms <= to_ms; now_ms += 160) {
        while (next(fixture, period_ms, now_ms, &request)) {
            count++;
        }
    }
    return count;
}

START_TEST(a_round_goes_on_at_another_speed_when_its_period_changes) {
    struct fixture fixture;
    open_fixture(&fixture);
    int64_t half_ms = 1000 + PERIOD_MS / 2;
    uint32_t count = ask_until(&fixture, PERIOD_MS, 1000, half_ms);
    ck_assert_uint_ge(count, SLOTS / 2 - 20);
    ck_assert_uint_le(count, SLOTS / 2);
    uint32_t more = ask_until(&fixture, 4 * PERIOD_MS, half_ms, half_ms + PERIOD_MS);
    ck_assert_uint_ge(more, SLOTS / 4 - 20);
    ck_assert_uint_le(more, SLOTS / 4 + 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(equal_digests_are_no_difference_in_whichever_order_they_come) {
    struct fixture fixture;
    open_fixture(&fixture);
    own(&fixture, 100, 5);
    report(&fixture, one, 100, 5);
    report(&fixture, one, 101, 6);
    report(&fixture, other, 101, 6);
    own(&fixture, 101, 6);
    ck_assert_uint_eq(figures_of(&fixture).compared, 3);
    ck_assert_uint_eq(fixture.verdicts, 0);
    struct digest_request request;
    ck_assert(!next(&fixture, 0, 1000, &request));
    close_fixture(&fixture);
}
END_TEST

START_TEST(digests_of_two_places_are_never_compared) {
    struct fixture fixture;
    open_fixture(&fixture);
    own(&fixture, 100, 5);
    report(&fixture, one, 101, 6);
    ck_assert_uint_eq(figures_of(&fixture).compared, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(what_could_not_be_computed_is_no_difference) {
    struct fixture fixture;
    open_fixture(&fixture);
    own(&fixture, 100, 5);
    digest_rounds_report(
        fixture.rounds, one,
        &(struct message_digest){.slot = 7, .seed = 100, .flags = MESSAGE_DIGEST_SKIPPED});
    ck_assert_uint_eq(figures_of(&fixture).skipped, 1);
    ck_assert_uint_eq(figures_of(&fixture).compared, 0);
    close_fixture(&fixture);
}
END_TEST

static struct message_digest with_keys(const struct digest_request *request, struct buffer *rows,
                                       const char *key, uint64_t digest) {
    buffer_clear(rows);
    digest_keys_add(rows, &(struct digest_key){.key = span_of_string("{a}equal"), .digest = 1});
    digest_keys_add(rows, &(struct digest_key){.key = span_of_string(key), .digest = digest});
    digest_keys_sort(rows);
    return (struct message_digest){
        .slot = request->slot,
        .flags = MESSAGE_DIGEST_KEYS,
        .seed = request->seed,
        .sum = digest + 1,
        .keys = 2,
        .rows = buffer_span(rows),
    };
}

/* Answers the request for the suspect's keys. */
static struct digest_request suspect(struct fixture *fixture) {
    struct digest_request request;
    own(fixture, 100, 5);
    report(fixture, one, 100, 6);
    ck_assert_uint_eq(fixture->verdicts, 0);
    ck_assert(next(fixture, 0, 1000, &request));
    ck_assert(request.has_keys);
    ck_assert_uint_eq(request.slot, 7);
    return request;
}

START_TEST(a_difference_is_looked_at_key_by_key_before_it_is_judged) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct buffer rows = BUFFER_EMPTY;
    struct digest_request request = suspect(&fixture);
    struct message_digest digest = with_keys(&request, &rows, "{a}x", 8);
    digest_rounds_own(fixture.rounds, &digest, true);
    digest_rounds_report(fixture.rounds, other, &digest);
    ck_assert_uint_eq(fixture.verdicts, 0);
    digest = with_keys(&request, &rows, "{a}x", 9);
    digest_rounds_report(fixture.rounds, one, &digest);
    ck_assert_uint_eq(fixture.verdicts, 1);
    ck_assert_mem_eq(fixture.verdict.node_id, one, sizeof(one));
    ck_assert_uint_eq(fixture.verdict.slot, 7);
    ck_assert(fixture.verdict.keys_are_known);
    ck_assert_uint_eq(fixture.verdict.keys, 1);
    ck_assert_str_eq(fixture.named.bytes, "\"{a}x\" of database 0");
    ck_assert(!next(&fixture, 0, 9000, &request));
    buffer_free(&rows);
    close_fixture(&fixture);
}
END_TEST

START_TEST(keys_that_only_one_side_has_are_named_so) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct buffer rows = BUFFER_EMPTY;
    struct digest_request request = suspect(&fixture);
    struct message_digest digest = with_keys(&request, &rows, "{a}x", 8);
    digest_rounds_own(fixture.rounds, &digest, true);
    digest = with_keys(&request, &rows, "{a}y", 8);
    digest.sum++;
    digest_rounds_report(fixture.rounds, one, &digest);
    ck_assert_uint_eq(fixture.verdict.keys, 2);
    ck_assert_str_eq(fixture.named.bytes,
                     "\"{a}x\" of database 0 (not on the replica), \"{a}y\" of "
                     "database 0 (only on the replica)");
    buffer_free(&rows);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_suspect_is_asked_for_again_until_it_was_compared) {
    struct fixture fixture;
    open_fixture(&fixture);
    suspect(&fixture);
    struct digest_request request;
    ck_assert(!next(&fixture, 0, 1000 + DIGEST_SUSPECT_MS - 1, &request));
    ck_assert(next(&fixture, 0, 1000 + DIGEST_SUSPECT_MS, &request));
    ck_assert(request.has_keys);
    close_fixture(&fixture);
}
END_TEST

START_TEST(too_many_keys_are_healed_without_their_names) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct buffer rows = BUFFER_EMPTY;
    struct digest_request request = suspect(&fixture);
    struct message_digest digest = with_keys(&request, &rows, "{a}x", 8);
    digest_rounds_own(fixture.rounds, &digest, true);
    digest.sum++;
    digest.flags |= MESSAGE_DIGEST_INCOMPLETE;
    digest_rounds_report(fixture.rounds, one, &digest);
    ck_assert_uint_eq(fixture.verdicts, 1);
    ck_assert(!fixture.verdict.keys_are_known);
    buffer_free(&rows);
    close_fixture(&fixture);
}
END_TEST

START_TEST(rows_that_are_none_are_no_reason_to_trust_the_slot) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct buffer rows = BUFFER_EMPTY;
    struct digest_request request = suspect(&fixture);
    struct message_digest digest = with_keys(&request, &rows, "{a}x", 8);
    digest_rounds_own(fixture.rounds, &digest, true);
    digest.sum++;
    digest.rows = span_of("no row", 6);
    digest_rounds_report(fixture.rounds, one, &digest);
    ck_assert_uint_eq(fixture.verdicts, 1);
    ck_assert(!fixture.verdict.keys_are_known);
    buffer_free(&rows);
    close_fixture(&fixture);
}
END_TEST

START_TEST(who_may_not_ask_judges_at_once) {
    struct fixture fixture;
    open_fixture(&fixture);
    digest_rounds_own(fixture.rounds, &(struct message_digest){.slot = 3, .seed = 9, .sum = 1},
                      false);
    digest_rounds_report(fixture.rounds, other,
                         &(struct message_digest){.slot = 3, .seed = 9, .sum = 2});
    ck_assert_uint_eq(fixture.verdicts, 1);
    ck_assert_uint_eq(fixture.verdict.slot, 3);
    close_fixture(&fixture);
}
END_TEST

START_TEST(reports_that_nobody_waits_for_are_forgotten) {
    struct fixture fixture;
    open_fixture(&fixture);
    for (uint64_t seed = 0; seed <= DIGEST_ROUNDS_OPEN_MAX; seed++) {
        report(&fixture, one, 1000 + seed, 1);
    }
    own(&fixture, 1000, 2);
    ck_assert_uint_eq(figures_of(&fixture).compared, 0);
    own(&fixture, 1000 + DIGEST_ROUNDS_OPEN_MAX, 1);
    ck_assert_uint_eq(figures_of(&fixture).compared, 1);
    for (uint32_t i = 0; i <= DIGEST_ROUNDS_EARLY_MAX; i++) {
        report(&fixture, one, 1, 1);
    }
    ck_assert_uint_eq(figures_of(&fixture).skipped, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(keys_of_few_digests_are_kept) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct buffer rows = BUFFER_EMPTY;
    for (uint64_t seed = 1; seed <= DIGEST_ROUNDS_KEYS_MAX + 1; seed++) {
        struct digest_request request = {.slot = 7, .seed = seed};
        struct message_digest digest = with_keys(&request, &rows, "{a}x", 8);
        digest_rounds_own(fixture.rounds, &digest, true);
    }
    report(&fixture, one, 1, 9);
    ck_assert_uint_eq(figures_of(&fixture).compared, 0);
    report(&fixture, one, 2, 9);
    ck_assert_uint_eq(figures_of(&fixture).compared, 1);
    buffer_free(&rows);
    close_fixture(&fixture);
}
END_TEST

/* Asks for all that may be asked for; answers how much that is, and the last. */
static uint32_t ask(struct fixture *fixture, uint32_t replicas, int64_t now_ms,
                    struct digest_request *requests) {
    const struct digest_pace pace = {.period_ms = 1000, .replicas = replicas};
    uint32_t count = 0;
    while (digest_rounds_next(fixture->rounds, &pace, now_ms, &requests[count])) {
        ck_assert_uint_lt(++count, SLOTS);
    }
    return count;
}

START_TEST(a_round_goes_no_faster_than_the_slowest_replica_reports) {
    struct fixture fixture;
    open_fixture(&fixture);
    static struct digest_request requests[SLOTS];
    ck_assert_uint_eq(ask(&fixture, 2, 1000, requests), 0);
    ck_assert_uint_eq(ask(&fixture, 2, 1900, requests), DIGEST_ROUNDS_AWAITED_MAX);
    report(&fixture, one, requests[0].seed, 1);
    report(&fixture, one, requests[1].seed, 1);
    ck_assert_uint_eq(ask(&fixture, 2, 1900, requests + DIGEST_ROUNDS_AWAITED_MAX), 0);
    report(&fixture, other, requests[0].seed, 1);
    report(&fixture, other, requests[1].seed, 1);
    ck_assert_uint_eq(ask(&fixture, 2, 1900, requests + DIGEST_ROUNDS_AWAITED_MAX), 2);
    ck_assert_uint_eq(requests[DIGEST_ROUNDS_AWAITED_MAX + 1].slot, DIGEST_ROUNDS_AWAITED_MAX + 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_replica_that_reports_nothing_does_not_end_the_rounds) {
    struct fixture fixture;
    open_fixture(&fixture);
    static struct digest_request requests[SLOTS];
    ask(&fixture, 1, 1000, requests);
    ask(&fixture, 1, 2000, requests);
    int64_t late_ms = 2000 + DIGEST_ROUNDS_PATIENCE_MS;
    ck_assert_uint_eq(ask(&fixture, 1, late_ms - 1, requests), 0);
    ck_assert_uint_eq(ask(&fixture, 1, late_ms, requests), DIGEST_ROUNDS_AWAITED_MAX);
    close_fixture(&fixture);
}
END_TEST

START_TEST(what_could_not_be_asked_for_is_asked_for_next) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct digest_request request;
    ck_assert(!next(&fixture, 1000, 1000, &request));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        ck_assert(next(&fixture, 1000, 2000, &request));
        ck_assert_uint_eq(request.slot, slot);
        digest_rounds_put_off(fixture.rounds, &request);
        ck_assert(next(&fixture, 1000, 2000, &request));
        ck_assert_uint_eq(request.slot, slot);
    }
    ck_assert_uint_eq(figures_of(&fixture).asked, SLOTS);
    ck_assert(!next(&fixture, 1000, 2000, &request));
    ck_assert_uint_eq(figures_of(&fixture).rounds, 1);
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_round_asks_for_every_slot_once_within_its_period,
        a_round_goes_on_at_another_speed_when_its_period_changes,
        equal_digests_are_no_difference_in_whichever_order_they_come,
        digests_of_two_places_are_never_compared,
        what_could_not_be_computed_is_no_difference,
        a_difference_is_looked_at_key_by_key_before_it_is_judged,
        keys_that_only_one_side_has_are_named_so,
        a_suspect_is_asked_for_again_until_it_was_compared,
        too_many_keys_are_healed_without_their_names,
        rows_that_are_none_are_no_reason_to_trust_the_slot,
        who_may_not_ask_judges_at_once,
        reports_that_nobody_waits_for_are_forgotten,
        keys_of_few_digests_are_kept,
        a_round_goes_no_faster_than_the_slowest_replica_reports,
        a_replica_that_reports_nothing_does_not_end_the_rounds,
        what_could_not_be_asked_for_is_asked_for_next,
    };
    return unit_run(unit_suite("digest_rounds", tests, UNIT_COUNT(tests)));
}
