/* A primary and its replicas as processes: bits flip in the memory of a replica, which serves while
 * its slot is compared, told of and healed. */
#include "store/slot.h"
#include "tests/integration/replicas.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYS 2000
/* Slots are compared in their order: what flips is compared soon, yet not first. */
#define SLOT_MIN 50
#define SLOT_MAX 300
/* More than a replica keeps aside of an image. */
#define LARGE_BYTES 5000000

static const char debug[] = "--enable-debug-command yes --save";
static const char *const workers[] = {"--workers 1", "--workers 3"};

static struct server start(const char *options) {
    return server_start(options, debug, "--digest-check-period 0", NULL);
}

/* A key whose slot is compared soon. */
static const char *soon(const char *prefix, char text[32]) {
    for (int i = 0;; i++) {
        int length = snprintf(text, 32, "%s:%d", prefix, i);
        uint16_t slot = slot_of_key(span_of(text, (size_t)length));
        if (slot >= SLOT_MIN && slot < SLOT_MAX) {
            return text;
        }
    }
}

static void flip(redisContext *client, const char *key) {
    char command[64];
    snprintf(command, sizeof(command), "DEBUG FLIP-BIT %s 9", key);
    EXPECT(client, "+OK", command);
}

static bool is_same(redisContext *one, redisContext *other) {
    struct reply_text text = client_ask(one, "DEBUG DIGEST");
    return strcmp(text.bytes, client_ask(other, "DEBUG DIGEST").bytes) == 0;
}

/* Until it is at least so much; the client's server serves all the while, if it is to. */
static void wait_for(redisContext *client, const char *name, long long least, bool serves) {
    for (int i = 0; info(client, name) < least; i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 200, "%s is below %lld", name, least);
        if (serves) {
            EXPECT(client, "here", "GET there");
        }
        server_sleep_ms(5);
    }
}

START_TEST(a_bit_that_flips_in_a_replica_is_found_told_of_and_healed_while_it_serves) {
    struct server one = start(workers[_i]);
    struct server two = start(workers[1 - _i]);
    redisContext *primary = server_connect(&one);
    redisContext *replica = server_connect(&two);
    char key[32];
    char command[64];
    EXPECT(primary, "+OK", "DEBUG POPULATE 2000 key 100");
    EXPECT(primary, "+OK", "SET there here");
    snprintf(command, sizeof(command), "SET %s value", soon("mine", key));
    EXPECT(primary, "+OK", command);
    follow(replica, one.port);
    wait_for_link(replica, true);
    expect_same(primary, replica);
    flip(replica, key);
    ck_assert(!is_same(primary, replica));
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 1");
    wait_for(replica, "tarn_slots_healed", 1, true);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 0");
    expect_same(primary, replica);
    ck_assert_int_eq(info(primary, "tarn_digest_differences"), 1);
    ck_assert_int_eq(info(primary, "tarn_digest_keys"), 1);
    ck_assert_int_eq(info(primary, "tarn_digest_slots_healed"), 1);
    ck_assert_int_eq(info(replica, "tarn_slots_healed"), 1);
    ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 1);
    char told[128];
    snprintf(told, sizeof(told), "Slot %u of a replica differs from this node's, in 1 keys: \"%s\"",
             slot_of_key(span_of_string(key)), key);
    server_expect_log(&one, told);
    server_expect_log(&two, "it is replaced by an image");
    /* What is written to it goes on as everywhere. */
    snprintf(command, sizeof(command), "APPEND %s more", key);
    EXPECT(primary, ":9", command);
    expect_same(primary, replica);
    redisFree(primary);
    redisFree(replica);
    server_stop(&one);
    server_stop(&two);
}
END_TEST

START_TEST(a_slot_that_is_too_large_to_be_kept_aside_is_healed_too) {
    struct server one = start(workers[_i]);
    struct server two = start(workers[1 - _i]);
    redisContext *primary = server_connect(&one);
    redisContext *replica = server_connect(&two);
    char key[32];
    char command[64];
    snprintf(command, sizeof(command), "SETRANGE %s %d end", soon("large", key), LARGE_BYTES - 3);
    EXPECT(primary, ":5000000", command);
    follow(replica, one.port);
    wait_for_link(replica, true);
    expect_same(primary, replica);
    flip(replica, key);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 1");
    wait_for(replica, "tarn_slots_healed", 1, false);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 0");
    expect_same(primary, replica);
    redisFree(primary);
    redisFree(replica);
    server_stop(&one);
    server_stop(&two);
}
END_TEST

/* What is wrong in the middle may be given on, as it heals what hangs below it; then that is healed
 * as well. */
START_TEST(what_flips_in_a_chain_of_replicas_is_healed_in_all_of_them) {
    struct server servers[3];
    redisContext *clients[3];
    char keys[2][32];
    for (int i = 0; i < 3; i++) {
        servers[i] = start(workers[(_i + i) % 2]);
        clients[i] = server_connect(&servers[i]);
    }
    EXPECT(clients[0], "+OK", "DEBUG POPULATE 2000 key 100");
    EXPECT(clients[0], "+OK", "SET there here");
    for (int i = 0; i < 2; i++) {
        char command[64];
        snprintf(command, sizeof(command), "SET %s value",
                 soon(i == 0 ? "first" : "second", keys[i]));
        EXPECT(clients[0], "+OK", command);
    }
    follow(clients[1], servers[0].port);
    wait_for_link(clients[1], true);
    follow(clients[2], servers[1].port);
    wait_for_link(clients[2], true);
    expect_same(clients[0], clients[2]);
    flip(clients[1], keys[0]);
    flip(clients[2], keys[1]);
    EXPECT(clients[0], "+OK", "CONFIG SET digest-check-period 1");
    wait_for(clients[1], "tarn_slots_healed", 1, true);
    /* Its own, the one that it was given, and the one behind that. */
    wait_for(clients[2], "tarn_slots_healed", 3, true);
    EXPECT(clients[0], "+OK", "CONFIG SET digest-check-period 0");
    expect_same(clients[0], clients[1]);
    expect_same(clients[0], clients[2]);
    /* More than one, if the next round came to the slot before its image. */
    ck_assert_int_ge(info(clients[0], "tarn_digest_differences"), 1);
    for (int i = 0; i < 3; i++) {
        redisFree(clients[i]);
        server_stop(&servers[i]);
    }
}
END_TEST

/* ---- under load ---- */

struct load {
    const struct server *server;
    pthread_t thread;
    atomic_bool ends;
    const char *tag; /* of keys in one slot, some of the writes */
};

static void load_one(const struct load *load, redisContext *client, unsigned *seed) {
    char command[160];
    int key = rand_r(seed) % KEYS;
    int number = rand_r(seed);
    switch (rand_r(seed) % 6) {
    case 0:
        snprintf(command, sizeof(command), "SET key:%d %d", key, number);
        break;
    case 1:
        snprintf(command, sizeof(command), "APPEND {%s}:%d %d", load->tag, key % 20, number);
        break;
    case 2:
        snprintf(command, sizeof(command), "HSET hash:%d field%d %d", key % 50, key, number);
        break;
    case 3:
        snprintf(command, sizeof(command), "MSET a:%d %d {%s}:b %d c:%d %d", key, number, load->tag,
                 number, key, number);
        break;
    case 4:
        snprintf(command, sizeof(command), "SET short:%d 1 PX %d", key, number % 300 + 1);
        break;
    default:
        snprintf(command, sizeof(command), "DEL key:%d {%s}:%d", key, load->tag, key % 20);
        break;
    }
    client_ask(client, command);
}

static void *load_main(void *context) {
    struct load *load = context;
    redisContext *client = server_connect(load->server);
    unsigned seed = 7;
    while (!atomic_load(&load->ends)) {
        load_one(load, client, &seed);
    }
    redisFree(client);
    return NULL;
}

START_TEST(no_difference_is_seen_under_load_where_there_is_none_and_one_that_is_there_is_healed) {
    struct server one = start(workers[_i]);
    struct server two = start(workers[1 - _i]);
    redisContext *primary = server_connect(&one);
    redisContext *replica = server_connect(&two);
    char key[32];
    char command[64];
    EXPECT(primary, "+OK", "DEBUG POPULATE 2000 key 100");
    EXPECT(primary, "+OK", "SET there here");
    snprintf(command, sizeof(command), "SET {%s} value", soon("tag", key));
    EXPECT(primary, "+OK", command);
    struct load load = {.server = &one, .tag = key};
    ck_assert_int_eq(pthread_create(&load.thread, NULL, load_main, &load), 0);
    follow(replica, one.port);
    wait_for_link(replica, true);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 1");
    wait_for(primary, "tarn_digests_compared", 600, false);
    ck_assert_int_eq(info(primary, "tarn_digest_differences"), 0);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 0");
    snprintf(command, sizeof(command), "{%s}", key);
    flip(replica, command);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 1");
    wait_for(replica, "tarn_slots_healed", 1, true);
    EXPECT(primary, "+OK", "CONFIG SET digest-check-period 0");
    atomic_store(&load.ends, true);
    pthread_join(load.thread, NULL);
    expect_same(primary, replica);
    ck_assert_int_eq(info(primary, "tarn_digest_differences"), 1);
    ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 1);
    redisFree(primary);
    redisFree(replica);
    server_stop(&one);
    server_stop(&two);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_bit_that_flips_in_a_replica_is_found_told_of_and_healed_while_it_serves,
        a_slot_that_is_too_large_to_be_kept_aside_is_healed_too,
        what_flips_in_a_chain_of_replicas_is_healed_in_all_of_them,
        no_difference_is_seen_under_load_where_there_is_none_and_one_that_is_there_is_healed,
    };
    Suite *suite = suite_create("healing");
    TCase *cases = tcase_create("workers");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++) {
        tcase_add_loop_test(cases, tests[i], SERVER_WORKER_OPTIONS_FROM, (int)UNIT_COUNT(workers));
    }
    suite_add_tcase(suite, cases);
    return unit_run(suite);
}
