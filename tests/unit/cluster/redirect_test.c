#include "cluster/redirect.h"

#include "tests/unit/cluster/maps.h"

static struct redirect_keys keys; /* what the node says of the request's keys */

static void count(void *context, struct redirect_keys *found) {
    (void)context;
    *found = keys;
}

static struct redirect_plan plan_of(char myself) {
    return (struct redirect_plan){
        .map = maps.map, .myself = maps_find(myself), .state = {.is_ok = true}, .count = count};
}

static void expect(const struct redirect_plan *plan, struct redirect_request request,
                   const char *error) {
    static const struct map_peer peers[8];
    struct map_view view = {.map = plan->map, .myself = plan->myself, .peers = peers};
    struct buffer text = BUFFER_EMPTY;
    uint16_t target = MAP_NOBODY;
    enum redirect_kind kind = redirect_decide(plan, &request, &target);
    if (kind != REDIRECT_NONE) {
        redirect_format(&view, kind, request.slot, target, &text);
    }
    buffer_append_byte(&text, '\0');
    ck_assert_str_eq(text.bytes, error);
    buffer_free(&text);
}

START_TEST(the_owner_serves_and_others_say_who_does) {
    maps_fill();
    struct redirect_plan plan = plan_of('a');
    expect(&plan, (struct redirect_request){.slot = 3}, "");
    expect(&plan, (struct redirect_request){.slot = 16000}, "MOVED 16000 10.0.0.2:6379");
}
END_TEST

START_TEST(a_replica_serves_reads_to_who_asks_for_them) {
    maps_fill();
    struct redirect_plan plan = plan_of('c');
    expect(&plan, (struct redirect_request){.slot = 3}, "MOVED 3 10.0.0.1:6379");
    expect(&plan, (struct redirect_request){.slot = 3, .client_is_readonly = true}, "");
    expect(&plan, (struct redirect_request){.slot = 3, .client_is_readonly = true, .writes = true},
           "MOVED 3 10.0.0.1:6379");
    expect(&plan, (struct redirect_request){.slot = 16000, .client_is_readonly = true},
           "MOVED 16000 10.0.0.2:6379");
    /* Shard channels are the whole shard's, as with Redis. */
    expect(&plan, (struct redirect_request){.slot = 3, .is_sharded_pubsub = true}, "");
    expect(&plan, (struct redirect_request){.slot = 16000, .is_sharded_pubsub = true},
           "MOVED 16000 10.0.0.2:6379");
}
END_TEST

START_TEST(a_migrating_slot_sends_on_who_asks_for_what_has_left) {
    maps_fill();
    ck_assert(maps_apply(maps_pair(MAP_MIGRATING, 'a', 'b', 3)));
    struct redirect_plan plan = plan_of('a');
    keys = (struct redirect_keys){.here = 1};
    expect(&plan, (struct redirect_request){.slot = 3}, "");
    keys = (struct redirect_keys){.missing = 2};
    expect(&plan, (struct redirect_request){.slot = 3}, "ASK 3 10.0.0.2:6379");
    keys = (struct redirect_keys){.here = 1, .missing = 1};
    expect(&plan, (struct redirect_request){.slot = 3},
           "TRYAGAIN Multiple keys request during rehashing of slot");
    expect(&plan, (struct redirect_request){.slot = 3, .is_migrate = true}, "");
}
END_TEST

START_TEST(an_importing_slot_serves_who_was_sent) {
    maps_fill();
    ck_assert(maps_apply(maps_pair(MAP_IMPORTING, 'b', 'a', 3)));
    struct redirect_plan plan = plan_of('b');
    keys = (struct redirect_keys){.missing = 1};
    expect(&plan, (struct redirect_request){.slot = 3}, "MOVED 3 10.0.0.1:6379");
    expect(&plan, (struct redirect_request){.slot = 3, .is_asking = true}, "");
    expect(&plan, (struct redirect_request){.slot = 3, .is_asking = true, .has_many_keys = true},
           "TRYAGAIN Multiple keys request during rehashing of slot");
}
END_TEST

START_TEST(a_cluster_that_is_down_says_so) {
    maps_fill();
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_DELETE, '\0', 5, 5)));
    struct redirect_plan plan = plan_of('a');
    expect(&plan, (struct redirect_request){.slot = 5}, "CLUSTERDOWN Hash slot not served");
    plan.state = (struct redirect_state){.allows_pubsub_when_down = true};
    expect(&plan, (struct redirect_request){.slot = 3}, "CLUSTERDOWN The cluster is down");
    expect(&plan, (struct redirect_request){.slot = 3, .is_sharded_pubsub = true}, "");
    plan.state = (struct redirect_state){.allows_reads_when_down = true};
    expect(&plan, (struct redirect_request){.slot = 3}, "");
    expect(&plan, (struct redirect_request){.slot = 3, .writes = true},
           "CLUSTERDOWN The cluster is down and only accepts read commands");
    expect(&plan, (struct redirect_request){.slot = 3, .is_sharded_pubsub = true},
           "CLUSTERDOWN The cluster is down");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        the_owner_serves_and_others_say_who_does,
        a_replica_serves_reads_to_who_asks_for_them,
        a_migrating_slot_sends_on_who_asks_for_what_has_left,
        an_importing_slot_serves_who_was_sent,
        a_cluster_that_is_down_says_so,
    };
    return unit_run(maps_suite("redirect", tests, UNIT_COUNT(tests)));
}
