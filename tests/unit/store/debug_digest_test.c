/* The digests are those that a redis-server answered for the same data. */
#include "store/debug_digest.h"

#include "commands/hash.h"
#include "commands/string.h"
#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct command *const families[] = {string_commands, hash_commands, NULL};

static void expect(const unsigned char digest[SHA1_BYTES], const char *wanted) {
    char text[2 * SHA1_BYTES + 1];
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    ck_assert_str_eq(text, wanted);
}

static void expect_value(const struct call_harness *harness, const char *key, const char *wanted) {
    unsigned char digest[SHA1_BYTES] = {0};
    debug_digest_value(call_harness_entry(harness, key), digest);
    expect(digest, wanted);
}

static void expect_all(const struct call_harness *harness, const char *wanted) {
    unsigned char digest[SHA1_BYTES];
    debug_digest_keyspace(harness->keyspace, digest);
    expect(digest, wanted);
}

START_TEST(digests_of_values_are_those_of_redis) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    call_harness_line(&harness, "SET a b");
    call_harness_line(&harness, "HSET h f v g 12");
    expect_value(&harness, "a", "b78559cd22bce6e6df712eb99ce7f3b08e8f8f1f");
    expect_value(&harness, "h", "8530acc75d5274eb0fc0da86f28ed5533274a6d4");
    /* That there is an expiry counts, not which. */
    call_harness_line(&harness, "SET n 12345 PX 1000000");
    expect_value(&harness, "n", "074a6e8892a0b0b4fcf085794cb69322c36c9d00");
    call_harness_line(&harness, "SET n 12345 PX 2000000");
    expect_value(&harness, "n", "074a6e8892a0b0b4fcf085794cb69322c36c9d00");
    call_harness_close(&harness);
}
END_TEST

START_TEST(the_digest_of_all_data_is_that_of_redis_and_knows_databases) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    expect_all(&harness, "0000000000000000000000000000000000000000");
    call_harness_line(&harness, "SET a b");
    expect_all(&harness, "479783d7290f02957dfbe3408a858ba13eea1709");
    call_harness_line(&harness, "HSET h g 12 f v");
    expect_all(&harness, "d3a7f8e4e6f337c49eb972bde606e68ea75fe75f");
    call_harness_line(&harness, "SET n 12345 PX 1000000");
    harness.database = 3;
    call_harness_line(&harness, "SET a b");
    expect_all(&harness, "773a3c910613c15bbbea42ae1f82c45f733f6baf");
    call_harness_close(&harness);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        digests_of_values_are_those_of_redis,
        the_digest_of_all_data_is_that_of_redis_and_knows_databases,
    };
    return unit_run(unit_suite("debug digest", tests, UNIT_COUNT(tests)));
}
