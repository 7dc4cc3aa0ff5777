#include "cluster/map_view.h"

#include "tests/unit/cluster/maps.h"

#define ID_A "6161616161616161616161616161616161616161"
#define ID_B "6262626262626262626262626262626262626262"
#define ID_C "6363636363636363636363636363636363636363"

static struct map_peer peers[8];
static struct reply reply;

static void set_peer(char node, struct map_peer peer) {
    if (maps_find(node) != MAP_NOBODY) {
        peers[maps_find(node)] = peer;
    }
}

static struct map_view view_of(char myself) {
    set_peer('a', (struct map_peer){.replication_offset = 100, .is_connected = true});
    set_peer('b', (struct map_peer){.pong_received_ms = 1700000000123,
                                    .replication_offset = 7,
                                    .is_connected = true});
    return (struct map_view){.map = maps.map, .myself = maps_find(myself), .peers = peers};
}

static void expect_nodes(const struct map_view *view, const char *expected) {
    struct buffer text = BUFFER_EMPTY;
    map_view_nodes(view, &text);
    buffer_append_byte(&text, '\0');
    ck_assert_str_eq(text.bytes, expected);
    buffer_free(&text);
}

static void expect_reply(const char *expected) {
    buffer_append_byte(&reply.buffer, '\0');
    ck_assert_str_eq(reply.buffer.bytes, expected);
    reply_free(&reply);
}

START_TEST(nodes_have_a_line_each) {
    maps_fill();
    struct map_view view = view_of('a');
    expect_nodes(&view,
                 ID_A " 10.0.0.1:6379@16379 myself,master - 0 0 0 connected 0-8191\n" ID_B
                      " 10.0.0.2:6379@16379 master - 0 1700000000123 0 connected 8192-16383\n" ID_C
                      " 10.0.0.3:6379@16379 slave " ID_A " 0 0 0 disconnected\n");
}
END_TEST

START_TEST(marks_stand_on_the_line_of_who_is_asked) {
    maps_fill();
    ck_assert(maps_apply(maps_pair(MAP_IMPORTING, 'b', 'a', 3)));
    ck_assert(maps_apply(maps_pair(MAP_MIGRATING, 'a', 'b', 3)));
    struct map_view view = view_of('b');
    expect_nodes(&view, ID_A " 10.0.0.1:6379@16379 master - 0 0 0 connected 0-8191\n" ID_B
                             " 10.0.0.2:6379@16379 myself,master - 0 0 0 connected 8192-16383"
                             " [3-<-" ID_A "]\n" ID_C " 10.0.0.3:6379@16379 slave " ID_A
                             " 0 0 0 disconnected\n");
    view = view_of('a');
    expect_nodes(&view,
                 ID_A " 10.0.0.1:6379@16379 myself,master - 0 0 0 connected 0-8191"
                      " [3->-" ID_B "]\n" ID_B
                      " 10.0.0.2:6379@16379 master - 0 1700000000123 0 connected 8192-16383\n" ID_C
                      " 10.0.0.3:6379@16379 slave " ID_A " 0 0 0 disconnected\n");
}
END_TEST

START_TEST(who_does_not_take_over_is_told) {
    ck_assert(maps_apply(maps_node_add('a')));
    ck_assert(maps_apply(maps_node_add('b')));
    struct map_change change = maps_change(MAP_NO_FAILOVER, 'b');
    change.flag = true;
    ck_assert(maps_apply(change));
    ck_assert(maps_apply(maps_pair(MAP_REPLICATE, 'b', 'a', 0)));
    struct map_view view = view_of('b');
    expect_nodes(&view,
                 ID_A " 10.0.0.1:6379@16379 master - 0 0 0 connected\n" ID_B
                      " 10.0.0.2:6379@16379 myself,slave,nofailover " ID_A " 0 0 0 connected\n");
    change.flag = false;
    ck_assert(maps_apply(change));
    view = view_of('b');
    expect_nodes(&view, ID_A " 10.0.0.1:6379@16379 master - 0 0 0 connected\n" ID_B
                             " 10.0.0.2:6379@16379 myself,slave " ID_A " 0 0 0 connected\n");
}
END_TEST

START_TEST(who_failed_and_who_is_suspected_is_told) {
    ck_assert(maps_apply(maps_node_add('a')));
    ck_assert(maps_apply(maps_node_add('b')));
    struct map_change failed = maps_change(MAP_NODE_HEALTH, 'b');
    failed.flag = true;
    struct map_change named = maps_node_add('a');
    named.kind = MAP_NODE_FACTS;
    strcpy(named.facts.hostname, "a.example");
    ck_assert(maps_apply(failed));
    ck_assert(maps_apply(named));
    struct map_view view = view_of('b');
    peers[maps_find('a')].is_suspected = true;
    expect_nodes(&view, ID_A " 10.0.0.1:6379@16379,a.example master,fail? - 0 0 0 connected\n" ID_B
                             " 10.0.0.2:6379@16379 myself,master,fail - 0 0 0 connected\n");
}
END_TEST

START_TEST(slots_name_the_endpoint_that_is_preferred) {
    ck_assert(maps_apply(maps_node_add('a')));
    struct map_change named = maps_node_add('a');
    named.kind = MAP_NODE_FACTS;
    strcpy(named.facts.hostname, "a.example");
    ck_assert(maps_apply(named));
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_ADD, 'a', 5, 6)));
    struct map_view view = view_of('a');
    reply_init(&reply, 3);
    map_view_slots(&view, &reply);
    expect_reply("*1\r\n*3\r\n:5\r\n:6\r\n*4\r\n$8\r\n10.0.0.1\r\n:6379\r\n$40\r\n" ID_A
                 "\r\n%1\r\n$8\r\nhostname\r\n$9\r\na.example\r\n");
    view.endpoint = MAP_ENDPOINT_HOSTNAME;
    reply_init(&reply, 2);
    map_view_slots(&view, &reply);
    expect_reply("*1\r\n*3\r\n:5\r\n:6\r\n*4\r\n$9\r\na.example\r\n:6379\r\n$40\r\n" ID_A
                 "\r\n*2\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n");
    view.endpoint = MAP_ENDPOINT_UNKNOWN;
    reply_init(&reply, 2);
    map_view_slots(&view, &reply);
    expect_reply("*1\r\n*3\r\n:5\r\n:6\r\n*4\r\n$-1\r\n:6379\r\n$40\r\n" ID_A
                 "\r\n*4\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$8\r\nhostname\r\n$9\r\na.example\r\n");
}
END_TEST

START_TEST(slots_leave_out_replicas_that_have_nothing) {
    maps_fill();
    struct map_view view = view_of('a');
    reply_init(&reply, 2);
    map_view_slots(&view, &reply);
    buffer_append_byte(&reply.buffer, '\0');
    ck_assert_ptr_null(strstr(reply.buffer.bytes, ID_C));
    reply_clear(&reply);
    peers[maps_find('c')].replication_offset = 5;
    map_view_slots(&view, &reply);
    buffer_append_byte(&reply.buffer, '\0');
    ck_assert_ptr_nonnull(strstr(reply.buffer.bytes, ID_C));
    reply_free(&reply);
}
END_TEST

START_TEST(shards_have_slots_and_nodes) {
    ck_assert(maps_apply(maps_node_add('a')));
    ck_assert(maps_apply(maps_slots(MAP_SLOTS_ADD, 'a', 5, 6)));
    struct map_view view = view_of('a');
    reply_init(&reply, 3);
    map_view_shards(&view, &reply);
    expect_reply("*1\r\n%2\r\n$5\r\nslots\r\n*2\r\n:5\r\n:6\r\n$5\r\nnodes\r\n*1\r\n%7\r\n"
                 "$2\r\nid\r\n$40\r\n" ID_A "\r\n$4\r\nport\r\n:6379\r\n$2\r\nip\r\n$8\r\n10.0.0.1"
                 "\r\n$8\r\nendpoint\r\n$8\r\n10.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
                 "$18\r\nreplication-offset\r\n:100\r\n$6\r\nhealth\r\n$6\r\nonline\r\n");
}
END_TEST

START_TEST(info_counts_slots_by_the_health_of_their_primary) {
    maps_fill();
    struct map_change failed = maps_change(MAP_NODE_HEALTH, 'b');
    failed.flag = true;
    ck_assert(maps_apply(failed));
    ck_assert(!map_is_ok(maps.map, true));
    ck_assert(map_is_ok(maps.map, false));
    struct map_view view = view_of('a');
    struct buffer text = BUFFER_EMPTY;
    map_view_info(&view, false, &text);
    buffer_append_byte(&text, '\0');
    ck_assert_str_eq(text.bytes,
                     "cluster_state:fail\r\ncluster_slots_assigned:16384\r\n"
                     "cluster_slots_ok:8192\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:8192\r\n"
                     "cluster_known_nodes:3\r\ncluster_size:2\r\ncluster_current_epoch:0\r\n"
                     "cluster_my_epoch:0\r\n");
    buffer_free(&text);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        nodes_have_a_line_each,
        marks_stand_on_the_line_of_who_is_asked,
        who_does_not_take_over_is_told,
        who_failed_and_who_is_suspected_is_told,
        slots_name_the_endpoint_that_is_preferred,
        slots_leave_out_replicas_that_have_nothing,
        shards_have_slots_and_nodes,
        info_counts_slots_by_the_health_of_their_primary,
    };
    return unit_run(maps_suite("map_view", tests, UNIT_COUNT(tests)));
}
