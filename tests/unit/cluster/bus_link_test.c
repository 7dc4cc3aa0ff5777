#include "cluster/bus_link.h"

#include "base/bytes.h"

#include "tests/unit/unit.h"

/* Both ends of a link, and what is under way to each. */
struct ends {
    struct bus_link *connector;
    struct bus_link *acceptor;
    struct buffer to_connector;
    struct buffer to_acceptor;
};

static struct raft_id id_of(unsigned char number) {
    return (struct raft_id){.bytes = {number}};
}

static struct bus_link_plan plan_of(bool is_connector, const char *secret) {
    struct bus_link_plan plan = {
        .is_connector = is_connector,
        .self = id_of(is_connector ? 1 : 2),
        .secret = span_of_string(secret),
    };
    memset(plan.nonce, is_connector ? 'c' : 'a', sizeof(plan.nonce));
    return plan;
}

static struct ends ends_of(const struct bus_link_plan *connector,
                           const struct bus_link_plan *acceptor) {
    struct ends ends = {.connector = NULL};
    ends.connector = bus_link_new(connector, &ends.to_acceptor);
    ends.acceptor = bus_link_new(acceptor, &ends.to_connector);
    return ends;
}

static void ends_free(struct ends *ends) {
    bus_link_free(ends->connector);
    bus_link_free(ends->acceptor);
    buffer_free(&ends->to_connector);
    buffer_free(&ends->to_acceptor);
}

/* Carries over what is under way; answers the event behind it. */
static enum bus_event carry(struct bus_link *link, struct buffer *bytes, struct bus_frame *frame,
                            struct buffer *out) {
    struct bus_frame ignored;
    bus_link_receive(link, buffer_span(bytes));
    buffer_clear(bytes);
    return bus_link_next(link, frame == NULL ? &ignored : frame, out);
}

/* Answers what the acceptor, and then the connector, say of the other's proof. */
static void prove(struct ends *ends, enum bus_event *acceptor, enum bus_event *connector) {
    ck_assert_int_eq(carry(ends->acceptor, &ends->to_acceptor, NULL, &ends->to_connector),
                     BUS_NOTHING);
    ck_assert_int_eq(carry(ends->connector, &ends->to_connector, NULL, &ends->to_acceptor),
                     BUS_NOTHING);
    *acceptor = carry(ends->acceptor, &ends->to_acceptor, NULL, &ends->to_connector);
    *connector = carry(ends->connector, &ends->to_connector, NULL, &ends->to_acceptor);
}

static struct ends proved(const char *secret) {
    const struct bus_link_plan connector = plan_of(true, secret);
    const struct bus_link_plan acceptor = plan_of(false, secret);
    struct ends ends = ends_of(&connector, &acceptor);
    enum bus_event acceptor_event;
    enum bus_event connector_event;
    prove(&ends, &acceptor_event, &connector_event);
    ck_assert_int_eq(acceptor_event, BUS_PROVED);
    ck_assert_int_eq(connector_event, BUS_PROVED);
    return ends;
}

START_TEST(ends_that_know_the_secret_know_each_other) {
    static const char *const secrets[] = {"", "the secret"};
    struct ends ends = proved(secrets[_i]);
    ck_assert(raft_id_equal(bus_link_peer(ends.connector), &(struct raft_id){.bytes = {2}}));
    ck_assert(raft_id_equal(bus_link_peer(ends.acceptor), &(struct raft_id){.bytes = {1}}));
    ends_free(&ends);
}
END_TEST

START_TEST(frames_arrive_in_order_however_they_are_cut) {
    struct ends ends = proved("s");
    struct bus_frame frame;
    bus_link_send(ends.connector, BUS_MEMBER, span_of_string("first"), &ends.to_acceptor);
    bus_link_send(ends.connector, BUS_PING, span_of(NULL, 0), &ends.to_acceptor);
    bus_link_send(ends.connector, BUS_MEMBER, span_of_string("second"), &ends.to_acceptor);
    const char *expected[] = {"first", "", "second"};
    size_t count = 0;
    for (size_t i = 0; i < ends.to_acceptor.length; i++) {
        bus_link_receive(ends.acceptor, span_of(ends.to_acceptor.bytes + i, 1));
        enum bus_event event = bus_link_next(ends.acceptor, &frame, &ends.to_connector);
        if (event == BUS_FRAME) {
            ck_assert(span_is(frame.body, expected[count]));
            ck_assert_uint_eq(frame.kind, count == 1 ? BUS_PING : BUS_MEMBER);
            count++;
        } else {
            ck_assert_int_eq(event, BUS_NOTHING);
        }
    }
    ck_assert_uint_eq(count, 3);
    ends_free(&ends);
}
END_TEST

START_TEST(another_secret_is_refused_by_the_acceptor_which_proves_nothing) {
    static const char *const secrets[] = {"", "another"};
    const struct bus_link_plan connector = plan_of(true, secrets[_i]);
    const struct bus_link_plan acceptor = plan_of(false, "the secret");
    struct ends ends = ends_of(&connector, &acceptor);
    enum bus_event acceptor_event;
    enum bus_event connector_event;
    prove(&ends, &acceptor_event, &connector_event);
    ck_assert_int_eq(acceptor_event, BUS_REFUSED);
    ck_assert_ptr_nonnull(strstr(bus_link_refusal(ends.acceptor), "secret"));
    ck_assert_int_eq(connector_event, BUS_NOTHING); /* Nothing came behind the hello. */
    ends_free(&ends);
}
END_TEST

START_TEST(an_acceptor_with_another_secret_is_refused) {
    const struct bus_link_plan connector = plan_of(true, "s");
    const struct bus_link_plan acceptor = plan_of(false, "s");
    struct ends ends = ends_of(&connector, &acceptor);
    carry(ends.acceptor, &ends.to_acceptor, NULL, &ends.to_connector);
    carry(ends.connector, &ends.to_connector, NULL, &ends.to_acceptor);
    /* It sends back the connector's own proof. */
    ck_assert_int_eq(carry(ends.connector, &ends.to_acceptor, NULL, &ends.to_connector),
                     BUS_REFUSED);
    ends_free(&ends);
}
END_TEST

START_TEST(a_proof_of_another_link_is_refused) {
    struct bus_link_plan connector = plan_of(true, "s");
    struct bus_link_plan acceptor = plan_of(false, "s");
    struct ends ends = ends_of(&connector, &acceptor);
    struct buffer said = BUFFER_EMPTY;
    buffer_append_span(&said, buffer_span(&ends.to_acceptor));
    carry(ends.acceptor, &ends.to_acceptor, NULL, &ends.to_connector);
    carry(ends.connector, &ends.to_connector, NULL, &ends.to_acceptor);
    buffer_append_span(&said, buffer_span(&ends.to_acceptor));
    ends_free(&ends);

    acceptor.nonce[3]++;
    ends = ends_of(&connector, &acceptor);
    ck_assert_int_eq(carry(ends.acceptor, &said, NULL, &ends.to_connector), BUS_REFUSED);
    buffer_free(&said);
    ends_free(&ends);
}
END_TEST

START_TEST(frames_that_are_changed_repeated_or_left_out_are_refused) {
    struct ends ends = proved("s");
    struct bus_frame frame;
    struct buffer first = BUFFER_EMPTY;
    struct buffer second = BUFFER_EMPTY;
    bus_link_send(ends.connector, BUS_MEMBER, span_of_string("first"), &first);
    bus_link_send(ends.connector, BUS_MEMBER, span_of_string("second"), &second);
    switch (_i) {
    case 0: /* repeated */
        bus_link_receive(ends.acceptor, buffer_span(&first));
        ck_assert_int_eq(bus_link_next(ends.acceptor, &frame, &ends.to_connector), BUS_FRAME);
        bus_link_receive(ends.acceptor, buffer_span(&first));
        break;
    case 1: /* left out */
        bus_link_receive(ends.acceptor, buffer_span(&second));
        break;
    case 2: /* sent back */
        bus_link_receive(ends.connector, buffer_span(&first));
        ck_assert_int_eq(bus_link_next(ends.connector, &frame, &ends.to_acceptor), BUS_REFUSED);
        bus_link_receive(ends.acceptor, buffer_span(&second));
        break;
    default: /* changed: kind, body, code */
        first.bytes[_i == 3 ? 4 : _i == 4 ? 6 : (int)first.length - 1] ^= 1;
        bus_link_receive(ends.acceptor, buffer_span(&first));
        break;
    }
    ck_assert_int_eq(bus_link_next(ends.acceptor, &frame, &ends.to_connector), BUS_REFUSED);
    ck_assert_int_eq(bus_link_next(ends.acceptor, &frame, &ends.to_connector), BUS_REFUSED);
    buffer_free(&first);
    buffer_free(&second);
    ends_free(&ends);
}
END_TEST

START_TEST(a_longest_frame_passes_and_a_longer_one_is_refused_by_its_head) {
    struct ends ends = proved("s");
    struct bus_frame frame;
    struct buffer body = BUFFER_EMPTY;
    memset(buffer_reserve(&body, BUS_BODY_BYTES_MAX), 'x', BUS_BODY_BYTES_MAX);
    buffer_commit(&body, BUS_BODY_BYTES_MAX);
    bus_link_send(ends.connector, BUS_MEMBER, buffer_span(&body), &ends.to_acceptor);
    ck_assert_int_eq(carry(ends.acceptor, &ends.to_acceptor, &frame, &ends.to_connector),
                     BUS_FRAME);
    ck_assert(span_equal(frame.body, buffer_span(&body)));
    ck_assert_int_eq(bus_link_next(ends.acceptor, &frame, &ends.to_connector), BUS_NOTHING);
    ck_assert_uint_lt(bus_link_bytes(ends.acceptor), BUS_BODY_BYTES_MAX);
    char head[5] = {0};
    bytes_store_u32(head, (uint32_t)BUS_BODY_BYTES_MAX + 1);
    bus_link_receive(ends.acceptor, span_of(head, sizeof(head)));
    ck_assert_int_eq(bus_link_next(ends.acceptor, &frame, &ends.to_connector), BUS_REFUSED);
    buffer_free(&body);
    ends_free(&ends);
}
END_TEST

START_TEST(strangers_are_refused_by_their_first_bytes) {
    static const char *const words[] = {"PING\r\n", "RCmb", "GET / HTTP/1.1\r\n", "TARN BUT"};
    const struct bus_link_plan plan = plan_of(false, "s");
    struct buffer out = BUFFER_EMPTY;
    struct bus_frame frame;
    struct bus_link *link = bus_link_new(&plan, &out);
    bus_link_receive(link, span_of_string(words[_i]));
    ck_assert_int_eq(bus_link_next(link, &frame, &out), BUS_REFUSED);
    ck_assert_uint_eq(out.length, 0);
    bus_link_free(link);
    buffer_free(&out);
}
END_TEST

/* Offsets in a hello: 8 lowest version, 10 highest, 12 id. */
static enum bus_event with_hello_changed(size_t offset, uint16_t number) {
    const struct bus_link_plan connector = plan_of(true, "s");
    const struct bus_link_plan acceptor = plan_of(false, "s");
    struct ends ends = ends_of(&connector, &acceptor);
    bytes_store_u16(ends.to_acceptor.bytes + offset, number);
    enum bus_event event = carry(ends.acceptor, &ends.to_acceptor, NULL, &ends.to_connector);
    ends_free(&ends);
    return event;
}

START_TEST(the_next_version_speaks_this_one_and_the_one_behind_it_does_not) {
    ck_assert_int_eq(with_hello_changed(10, BUS_VERSION + 1), BUS_NOTHING);
    ck_assert_int_eq(with_hello_changed(8, BUS_VERSION + 1), BUS_REFUSED);
    ck_assert_int_eq(with_hello_changed(10, BUS_VERSION_LOWEST - 1), BUS_REFUSED);
}
END_TEST

/* What is said of versions is proved, too: nobody in between chooses for both. */
START_TEST(a_hello_that_was_changed_on_its_way_proves_nothing) {
    const struct bus_link_plan connector = plan_of(true, "s");
    const struct bus_link_plan acceptor = plan_of(false, "s");
    struct ends ends = ends_of(&connector, &acceptor);
    enum bus_event acceptor_event;
    enum bus_event connector_event;
    bytes_store_u16(ends.to_acceptor.bytes + 10, BUS_VERSION + 1);
    prove(&ends, &acceptor_event, &connector_event);
    ck_assert_int_eq(acceptor_event, BUS_REFUSED);
    ends_free(&ends);
}
END_TEST

START_TEST(who_is_wanted_must_be_there) {
    struct bus_link_plan connector = plan_of(true, "s");
    const struct bus_link_plan acceptor = plan_of(false, "s");
    connector.wanted = id_of(_i == 0 ? 3 : 2);
    struct ends ends = ends_of(&connector, &acceptor);
    carry(ends.acceptor, &ends.to_acceptor, NULL, &ends.to_connector);
    enum bus_event event = carry(ends.connector, &ends.to_connector, NULL, &ends.to_acceptor);
    ck_assert_int_eq(event, _i == 0 ? BUS_REFUSED : BUS_NOTHING);
    ends_free(&ends);
}
END_TEST

START_TEST(who_has_no_name_is_refused) {
    struct bus_link_plan connector = plan_of(true, "s");
    const struct bus_link_plan acceptor = plan_of(false, "s");
    connector.self = RAFT_ID_NONE;
    struct ends ends = ends_of(&connector, &acceptor);
    ck_assert_int_eq(carry(ends.acceptor, &ends.to_acceptor, NULL, &ends.to_connector),
                     BUS_REFUSED);
    ends_free(&ends);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bus_link");
    TCase *tcase = tcase_create("bus_link");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(tcase, ends_that_know_the_secret_know_each_other, 0, 2);
    tcase_add_test(tcase, frames_arrive_in_order_however_they_are_cut);
    tcase_add_loop_test(tcase, another_secret_is_refused_by_the_acceptor_which_proves_nothing, 0,
                        2);
    tcase_add_test(tcase, an_acceptor_with_another_secret_is_refused);
    tcase_add_test(tcase, a_proof_of_another_link_is_refused);
    tcase_add_loop_test(tcase, frames_that_are_changed_repeated_or_left_out_are_refused, 0, 6);
    tcase_add_test(tcase, a_longest_frame_passes_and_a_longer_one_is_refused_by_its_head);
    tcase_add_loop_test(tcase, strangers_are_refused_by_their_first_bytes, 0, 4);
    tcase_add_test(tcase, the_next_version_speaks_this_one_and_the_one_behind_it_does_not);
    tcase_add_test(tcase, a_hello_that_was_changed_on_its_way_proves_nothing);
    tcase_add_loop_test(tcase, who_is_wanted_must_be_there, 0, 2);
    tcase_add_test(tcase, who_has_no_name_is_refused);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
