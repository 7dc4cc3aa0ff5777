/* A primary compares the copies of its slots with its own: a bit that flips in the memory of a
 * replica, which the test plays itself (link.h), is found, told of, and healed. */
#include "commands/effect_codec.h"
#include "store/slot_digest.h"
#include "tests/integration/link.h"

#define KEYS 5000
/* Slots are compared in their order: the key's comes some time after the link has begun. */
#define SLOT_MIN 1500
#define SLOT_MAX 3000

/* The log asks for a digest: all of it at once. */
static void answer(void *context, const struct effect_record *record) {
    struct replica *replica = context;
    if (record->effect.kind != EFFECT_SLOT_DIGEST) {
        return;
    }
    struct slot_digest *digest = slot_digest_new(&(struct slot_digest_plan){
        .store = replica->keyspace->stores[0],
        .seed = (uint64_t)record->effect.number,
        .step_bytes = SIZE_MAX / 2,
        .slot = record->slot,
        .has_keys = record->effect.has_keys,
    });
    struct slot_digest_result result;
    slot_digest_result(digest, &result);
    follower_digest(replica->follower,
                    &(struct message_digest){
                        .slot = record->slot,
                        .flags = record->effect.has_keys ? MESSAGE_DIGEST_KEYS : 0,
                        .seed = (uint64_t)record->effect.number,
                        .sum = result.sum,
                        .keys = result.keys,
                        .rows = result.rows,
                    });
    slot_digest_free(digest);
}

static uint64_t figure(redisContext *client, const char *field) {
    redisReply *reply = redisCommand(client, "INFO replication");
    const char *found = strstr(reply->str, field);
    ck_assert_msg(found != NULL, "INFO has no %s", field);
    uint64_t number = strtoull(found + strlen(field) + 1, NULL, 10);
    freeReplyObject(reply);
    return number;
}

static void listen_until(struct replica *replica, redisContext *client, const char *field,
                         uint64_t least) {
    int64_t until_ms = replica_now_ms() + SERVER_PATIENCE_SECONDS * 1000;
    while (figure(client, field) < least) {
        ck_assert_msg(replica_listen(replica, 10, SIZE_MAX), "the primary ended the link");
        ck_assert_msg(replica_now_ms() < until_ms, "%s is below %llu", field,
                      (unsigned long long)least);
    }
}

/* A key in a slot that is compared neither at once nor late. */
static void flip(struct replica *replica) {
    char text[32];
    struct place place = {.store = replica->keyspace->stores[0]};
    for (int i = 0; i < KEYS; i++) {
        int length = snprintf(text, sizeof(text), "filled:%d", i);
        place.key = span_of(text, (size_t)length);
        place.slot = slot_of_key(place.key);
        if (place.slot >= SLOT_MIN && place.slot < SLOT_MAX) {
            break;
        }
    }
    place.hash = store_hash(place.store, place.key);
    place_find(&place);
    ck_assert(effect_flip_bit(&place, 9));
}

static void heal_with(const char *workers) {
    struct server server =
        server_start("--enable-debug-command yes", "--digest-check-period 0", workers, NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE 5000 filled 100");
    struct replica *replica = replica_new(1);
    applier_observe(replica->applier, answer, replica);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    flip(replica);
    EXPECT(client, "+OK", "CONFIG SET digest-check-period 1");
    listen_until(replica, client, "tarn_digests_compared", 100);
    ck_assert_uint_eq(figure(client, "tarn_digest_differences"), 0);
    listen_until(replica, client, "tarn_digest_differences", 1);
    ck_assert_uint_eq(figure(client, "tarn_digest_keys"), 1);
    EXPECT(client, "+OK", "CONFIG SET digest-check-period 0");
    replica_catch_up(replica, client);
    ck_assert_uint_eq(replica_figures(replica).healed, 1);
    ck_assert_uint_eq(replica_figures(replica).images, SLOTS + 1);
    ck_assert_uint_eq(figure(client, "tarn_digest_differences"), 1);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}

START_TEST(flipped_bit_in_a_replica_is_found_and_healed_by_one_slot) {
    heal_with("--workers 1");
}
END_TEST

START_TEST(flipped_bit_is_found_among_several_workers_too) {
    heal_with("--workers 3");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        flipped_bit_in_a_replica_is_found_and_healed_by_one_slot,
        flipped_bit_is_found_among_several_workers_too,
    };
    return unit_run(unit_suite("digest", tests, UNIT_COUNT(tests)));
}
