#include "base/block.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

#include <pthread.h>

static struct block *block_of(const char *content) {
    struct block *block = block_try_new(strlen(content));
    ck_assert_ptr_nonnull(block);
    memcpy(block->bytes, content, strlen(content));
    block->length = strlen(content);
    return block;
}

START_TEST(block_is_new_with_room_one_reference_and_no_content) {
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    ck_assert_uint_eq(block->length, 0);
    ck_assert_uint_ge(block->capacity, BLOCK_BYTES_MIN);
    ck_assert(!block_is_shared(block));
    memset(block->bytes, 'x', block->capacity);
    block_release(block);
}
END_TEST

START_TEST(block_is_shared_until_the_last_but_one_lets_go) {
    struct block *block = block_of("content");
    ck_assert_ptr_eq(block_hold(block), block);
    ck_assert(block_is_shared(block));
    block_release(block);
    ck_assert(!block_is_shared(block));
    ck_assert(span_equal(block_span(block), span_of_string("content")));
    block_release(block);
    block_release(NULL);
}
END_TEST

START_TEST(block_try_new_answers_null_for_what_no_machine_has) {
    ck_assert_ptr_null(block_try_new(SIZE_MAX));
    ck_assert_ptr_null(block_try_new(SIZE_MAX - sizeof(struct block)));
    ck_assert_ptr_null(block_try_new(SIZE_MAX / 2));
}
END_TEST

START_TEST(block_try_reserve_keeps_the_content_in_the_larger_room) {
    struct block *block = block_of("content");
    ck_assert(block_try_reserve(&block, 1000000));
    ck_assert_uint_ge(block->capacity, 1000000);
    ck_assert(span_equal(block_span(block), span_of_string("content")));
    memset(block->bytes + block->length, 'x', block->capacity - block->length);
    struct block *same = block;
    ck_assert(block_try_reserve(&block, 10));
    ck_assert_ptr_eq(block, same);
    block_release(block);
}
END_TEST

START_TEST(block_try_reserve_of_too_much_leaves_the_block_as_it_was) {
    struct block *block = block_of("content");
    struct block *same = block;
    size_t capacity = block->capacity;
    ck_assert(!block_try_reserve(&block, SIZE_MAX));
    ck_assert(!block_try_reserve(&block, SIZE_MAX / 2));
    ck_assert_ptr_eq(block, same);
    ck_assert_uint_eq(block->capacity, capacity);
    ck_assert(span_equal(block_span(block), span_of_string("content")));
    block_release(block);
}
END_TEST

START_TEST(block_copy_is_unshared_and_leaves_the_original_alone) {
    struct block *block = block_of("content");
    block_hold(block);
    struct block *copy = block_try_copy(block, 100);
    ck_assert(!block_is_shared(copy));
    ck_assert_uint_ge(copy->capacity, 100);
    memcpy(copy->bytes, "C", 1);
    ck_assert(span_equal(block_span(copy), span_of_string("Content")));
    ck_assert(span_equal(block_span(block), span_of_string("content")));
    ck_assert_ptr_null(block_try_copy(block, SIZE_MAX));
    block_release(copy);
    block_release(block);
    block_release(block);
}
END_TEST

START_TEST(block_occupied_bytes_is_the_whole_allocation) {
    struct block *block = block_try_new(100000);
    ck_assert_uint_eq(block_occupied_bytes(block),
                      memory_class_bytes(100000 + sizeof(struct block)));
    ck_assert_uint_eq(block_occupied_bytes(block), block->capacity + sizeof(struct block));
    block_release(block);
}
END_TEST

enum { THREADS = 4, ROUNDS = 20000 };

static void *hold_and_release(void *block) {
    for (int i = 0; i < ROUNDS; i++) {
        block_release(block_hold(block));
    }
    block_release(block);
    return NULL;
}

START_TEST(block_held_by_threads_is_freed_by_the_last_one_only) {
    struct block *block = block_of("content");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, hold_and_release, block_hold(block));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert(!block_is_shared(block));
    ck_assert(span_equal(block_span(block), span_of_string("content")));
    block_release(block);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        block_is_new_with_room_one_reference_and_no_content,
        block_is_shared_until_the_last_but_one_lets_go,
        block_try_new_answers_null_for_what_no_machine_has,
        block_try_reserve_keeps_the_content_in_the_larger_room,
        block_try_reserve_of_too_much_leaves_the_block_as_it_was,
        block_copy_is_unshared_and_leaves_the_original_alone,
        block_occupied_bytes_is_the_whole_allocation,
        block_held_by_threads_is_freed_by_the_last_one_only,
    };
    return unit_run(unit_suite("block", tests, UNIT_COUNT(tests)));
}
