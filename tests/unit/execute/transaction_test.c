#include "execute/transaction.h"

#include "base/block.h"
#include "base/memory.h"

#include "tests/unit/unit.h"

#include <stdio.h>

static const struct command_slot slots[2] = {{.number = 1}, {.number = 2}};

/* Larger than any machine's address space, so that no allocator has it. */
#define IMPOSSIBLE_BYTES (SIZE_MAX / 4)

static void queue(struct transaction *transaction, const struct command_slot *slot,
                  struct span *args, struct block **blocks, uint32_t count) {
    struct queued_command command = {
        .command = slot, .args = args, .blocks = blocks, .args_count = count};
    ck_assert(transaction_queue(transaction, &command));
}

START_TEST(what_is_queued_outlives_its_arguments_and_keeps_its_order) {
    struct transaction transaction;
    transaction_init(&transaction);
    transaction.is_open = true;
    for (int i = 0; i < 100; i++) {
        char key[32];
        char value[32];
        struct span args[3] = {
            span_of_string("SET"),
            span_of(key, (size_t)snprintf(key, sizeof(key), "key:%d", i)),
            span_of(value, (size_t)snprintf(value, sizeof(value), "value %d", i)),
        };
        queue(&transaction, &slots[i % 2], args, NULL, 3);
        memset(key, 'x', sizeof(key));
        memset(value, 'x', sizeof(value));
    }
    ck_assert_uint_eq(transaction.commands_count, 100);
    for (int i = 0; i < 100; i++) {
        const struct queued_command *queued = &transaction.commands[i];
        char text[32];
        ck_assert_ptr_eq(queued->command, &slots[i % 2]);
        ck_assert_uint_eq(queued->args_count, 3);
        ck_assert_ptr_null(queued->blocks);
        ck_assert(span_equal(queued->args[0], span_of_string("SET")));
        snprintf(text, sizeof(text), "key:%d", i);
        ck_assert(span_equal(queued->args[1], span_of_string(text)));
        snprintf(text, sizeof(text), "value %d", i);
        ck_assert(span_equal(queued->args[2], span_of_string(text)));
    }
    transaction_free(&transaction);
}
END_TEST

START_TEST(an_empty_argument_is_queued_as_such) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct span args[2] = {span_of_string("ECHO"), span_of(NULL, 0)};
    queue(&transaction, &slots[0], args, NULL, 2);
    ck_assert_uint_eq(transaction.commands[0].args[1].length, 0);
    transaction_free(&transaction);
}
END_TEST

START_TEST(a_large_argument_is_held_by_reference_until_the_queue_is_closed) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    memset(block->bytes, 'x', BLOCK_BYTES_MIN);
    block->length = BLOCK_BYTES_MIN;
    struct span args[2] = {span_of_string("SET"), block_span(block)};
    struct block *blocks[2] = {NULL, block};
    queue(&transaction, &slots[0], args, blocks, 2);
    ck_assert(block_is_shared(block));
    ck_assert_ptr_null(transaction.commands[0].blocks[0]);
    ck_assert_ptr_eq(transaction.commands[0].blocks[1], block);
    ck_assert_ptr_eq(transaction.commands[0].args[1].bytes, block->bytes);
    ck_assert(span_equal(transaction.commands[0].args[0], span_of_string("SET")));
    transaction_close(&transaction);
    ck_assert(!block_is_shared(block));
    block_release(block);
    transaction_free(&transaction);
}
END_TEST

START_TEST(queued_bytes_are_those_of_arguments_and_blocks) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    block->length = BLOCK_BYTES_MIN;
    memset(block->bytes, 'x', BLOCK_BYTES_MIN);
    struct span args[2] = {span_of_string("1234567890"), block_span(block)};
    struct block *blocks[2] = {NULL, block};
    queue(&transaction, &slots[0], args, NULL, 1);
    ck_assert_uint_eq(transaction.queued_bytes, sizeof(struct span) + 10);
    queue(&transaction, &slots[0], args, blocks, 2);
    ck_assert_uint_eq(transaction.queued_bytes, 3 * sizeof(struct span) + 20 + BLOCK_BYTES_MIN);
    transaction_close(&transaction);
    ck_assert_uint_eq(transaction.queued_bytes, 0);
    block_release(block);
    transaction_free(&transaction);
}
END_TEST

START_TEST(closing_forgets_the_queue_and_leaves_the_watched_keys) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct span args[1] = {span_of_string("PING")};
    transaction.is_open = true;
    transaction.is_aborted = true;
    queue(&transaction, &slots[0], args, NULL, 1);
    ck_assert(transaction_watch(&transaction, &(struct watched_key){.key = span_of_string("key")}));
    transaction_close(&transaction);
    ck_assert(!transaction.is_open && !transaction.is_aborted);
    ck_assert_uint_eq(transaction.commands_count, 0);
    ck_assert_ptr_nonnull(transaction_watched(&transaction, 0, span_of_string("key")));
    queue(&transaction, &slots[1], args, NULL, 1);
    ck_assert_uint_eq(transaction.commands_count, 1);
    ck_assert_ptr_eq(transaction.commands[0].command, &slots[1]);
    transaction_free(&transaction);
}
END_TEST

START_TEST(watched_keys_are_found_by_database_and_key_and_keep_what_was_seen) {
    struct transaction transaction;
    transaction_init(&transaction);
    for (uint32_t i = 0; i < 100; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), "key:%u", i / 2);
        ck_assert(transaction_watch(&transaction, &(struct watched_key){
                                                      .key = span_of(key, (size_t)length),
                                                      .database = i % 2,
                                                      .slot = (uint16_t)i,
                                                      .version = 1000 + i,
                                                      .was_there = i % 3 == 0,
                                                  }));
        memset(key, 'x', sizeof(key));
    }
    for (uint32_t i = 0; i < 100; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), "key:%u", i / 2);
        const struct watched_key *watched =
            transaction_watched(&transaction, i % 2, span_of(key, (size_t)length));
        ck_assert_ptr_nonnull(watched);
        ck_assert_uint_eq(watched->slot, i);
        ck_assert_uint_eq(watched->version, 1000 + i);
        ck_assert_int_eq(watched->was_there, i % 3 == 0);
    }
    ck_assert_ptr_null(transaction_watched(&transaction, 2, span_of_string("key:1")));
    ck_assert_ptr_null(transaction_watched(&transaction, 0, span_of_string("key:50")));
    transaction_free(&transaction);
}
END_TEST

START_TEST(unwatching_forgets_the_keys_and_leaves_the_queue) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct span args[1] = {span_of_string("PING")};
    transaction.is_open = true;
    queue(&transaction, &slots[0], args, NULL, 1);
    ck_assert(transaction_watch(&transaction, &(struct watched_key){.key = span_of_string("key")}));
    transaction_unwatch(&transaction);
    ck_assert_uint_eq(transaction.watched_count, 0);
    ck_assert_ptr_null(transaction_watched(&transaction, 0, span_of_string("key")));
    ck_assert(transaction.is_open);
    ck_assert_uint_eq(transaction.commands_count, 1);
    ck_assert(
        transaction_watch(&transaction, &(struct watched_key){.key = span_of_string("other")}));
    ck_assert_uint_eq(transaction.watched_count, 1);
    transaction_free(&transaction);
}
END_TEST

START_TEST(a_command_that_memory_has_no_room_for_is_not_queued) {
    struct transaction transaction;
    transaction_init(&transaction);
    struct span args[] = {span_of_string("ECHO"), span_of("x", IMPOSSIBLE_BYTES)};
    ck_assert(
        !transaction_queue(&transaction, &(struct queued_command){.args = args, .args_count = 2}));
    ck_assert_uint_eq(transaction.commands_count, 0);
    ck_assert_uint_eq(transaction.queued_bytes, 0);
    queue(&transaction, &slots[0], args, NULL, 1);
    ck_assert_uint_eq(transaction.commands_count, 1);
    transaction_free(&transaction);
}
END_TEST

START_TEST(a_key_that_memory_has_no_room_for_is_not_watched) {
    struct transaction transaction;
    transaction_init(&transaction);
    ck_assert(!transaction_watch(&transaction,
                                 &(struct watched_key){.key = span_of("x", IMPOSSIBLE_BYTES)}));
    ck_assert_uint_eq(transaction.watched_count, 0);
    transaction_free(&transaction);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_is_queued_outlives_its_arguments_and_keeps_its_order,
        an_empty_argument_is_queued_as_such,
        a_large_argument_is_held_by_reference_until_the_queue_is_closed,
        queued_bytes_are_those_of_arguments_and_blocks,
        closing_forgets_the_queue_and_leaves_the_watched_keys,
        watched_keys_are_found_by_database_and_key_and_keep_what_was_seen,
        unwatching_forgets_the_keys_and_leaves_the_queue,
        a_command_that_memory_has_no_room_for_is_not_queued,
        a_key_that_memory_has_no_room_for_is_not_watched,
    };
    return unit_run(unit_suite("transaction", tests, UNIT_COUNT(tests)));
}
