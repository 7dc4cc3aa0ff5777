#include "base/memory.h"

#include "base/random.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Larger than any machine's address space, so that no allocator has it. */
#define IMPOSSIBLE_BYTES (SIZE_MAX / 4)

START_TEST(memory_alloc_gives_bytes_that_can_be_written_even_for_none) {
    for (size_t size = 0; size < 5000; size += 1 + size / 7) {
        char *block = memory_alloc(size);
        ck_assert_ptr_nonnull(block);
        memset(block, 'x', size);
        memory_free(block);
    }
    memory_free(NULL);
}
END_TEST

START_TEST(memory_alloc_zeroed_gives_zeros) {
    for (int round = 0; round < 100; round++) {
        unsigned char *block = memory_alloc_zeroed(1000);
        for (size_t i = 0; i < 1000; i++) {
            ck_assert_uint_eq(block[i], 0);
        }
        memset(block, 'x', 1000);
        memory_free(block);
    }
}
END_TEST

START_TEST(memory_alloc_aligned_stands_on_its_alignment) {
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        char *block = memory_alloc_aligned(alignment, 100);
        ck_assert_uint_eq((uintptr_t)block % alignment, 0);
        memset(block, 'x', 100);
        memory_free(block);
    }
}
END_TEST

START_TEST(memory_realloc_keeps_what_fits) {
    char *block = memory_realloc(NULL, 5);
    memcpy(block, "abcde", 5);
    block = memory_realloc(block, 100000);
    ck_assert_mem_eq(block, "abcde", 5);
    block = memory_realloc(block, 3);
    ck_assert_mem_eq(block, "abc", 3);
    block = memory_realloc(block, 0);
    ck_assert_ptr_nonnull(block);
    memory_free(block);
}
END_TEST

START_TEST(memory_copy_is_equal_and_apart) {
    char original[] = "text";
    char *copy = memory_copy(original, 4);
    char *string = memory_copy_string(original);
    original[0] = 'T';
    ck_assert_mem_eq(copy, "text", 4);
    ck_assert_str_eq(string, "text");
    memory_free(copy);
    memory_free(string);
    memory_free(memory_copy(NULL, 0));
}
END_TEST

START_TEST(memory_try_alloc_answers_null_when_there_is_none) {
    ck_assert_ptr_null(memory_try_alloc(IMPOSSIBLE_BYTES));
    char *block = memory_try_alloc(3);
    memcpy(block, "abc", 3);
    ck_assert_ptr_null(memory_try_realloc(block, IMPOSSIBLE_BYTES));
    ck_assert_mem_eq(block, "abc", 3);
    memory_free(block);
}
END_TEST

START_TEST(memory_alloc_ends_the_process_when_there_is_none) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    memory_alloc(IMPOSSIBLE_BYTES);
}
END_TEST

START_TEST(memory_class_bytes_is_at_least_the_size_and_its_own_class) {
    struct random random;
    random_seed(&random, 5);
    for (int i = 0; i < 10000; i++) {
        size_t size = random_next(&random) >> (24 + random_below(&random, 40));
        size_t class = memory_class_bytes(size);
        ck_assert_uint_ge(class, size);
        ck_assert_uint_eq(memory_class_bytes(class), class);
        ck_assert_uint_le(class, size + size / 4 + 16);
    }
    ck_assert_uint_ne(memory_class_bytes(0), 0);
}
END_TEST

START_TEST(memory_block_bytes_of_jemalloc_is_the_size_class) {
    for (size_t size = 1; size < 300000; size += 1 + size / 5) {
        char *block = memory_alloc(size);
        ck_assert_uint_ge(memory_block_bytes(block), size);
        if (strcmp(memory_allocator_name(), "libc") != 0) {
            ck_assert_uint_eq(memory_block_bytes(block), memory_class_bytes(size));
        }
        memory_free(block);
    }
}
END_TEST

START_TEST(memory_totals_grow_with_what_is_held) {
    enum { BLOCKS = 200 };
    const size_t block_bytes = 100000;
    char *blocks[BLOCKS];
    struct memory_totals before;
    struct memory_totals after;
    memory_totals_read(&before);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_alloc(block_bytes);
        memset(blocks[i], 'x', block_bytes);
    }
    memory_totals_read(&after);
    if (strcmp(memory_allocator_name(), "libc") != 0) {
        ck_assert_uint_ge(after.allocated - before.allocated, BLOCKS * block_bytes);
        ck_assert_uint_ge(after.active, after.allocated);
    }
    ck_assert_uint_ge(after.resident, BLOCKS * block_bytes);
    ck_assert_uint_ge(memory_resident_bytes(), BLOCKS * block_bytes);
    for (int i = 0; i < BLOCKS; i++) {
        memory_free(blocks[i]);
    }
}
END_TEST

START_TEST(memory_purge_gives_freed_pages_back) {
    enum { BLOCKS = 2000 };
    const size_t block_bytes = 10000;
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_alloc(block_bytes);
        memset(blocks[i], 'x', block_bytes);
    }
    size_t held = memory_resident_bytes();
    for (int i = 0; i < BLOCKS; i++) {
        memory_free(blocks[i]);
    }
    memory_purge();
    if (strcmp(memory_allocator_name(), "libc") != 0) {
        ck_assert_uint_lt(memory_resident_bytes(), held - BLOCKS * block_bytes / 2);
    }
}
END_TEST

START_TEST(memory_report_names_figures_of_the_allocator) {
    char *report = memory_report();
    ck_assert_ptr_nonnull(strstr(report, "llocated"));
    memory_free(report);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        memory_alloc_gives_bytes_that_can_be_written_even_for_none,
        memory_alloc_zeroed_gives_zeros,
        memory_alloc_aligned_stands_on_its_alignment,
        memory_realloc_keeps_what_fits,
        memory_copy_is_equal_and_apart,
        memory_try_alloc_answers_null_when_there_is_none,
        memory_class_bytes_is_at_least_the_size_and_its_own_class,
        memory_block_bytes_of_jemalloc_is_the_size_class,
        memory_totals_grow_with_what_is_held,
        memory_purge_gives_freed_pages_back,
        memory_report_names_figures_of_the_allocator,
    };
    Suite *suite = unit_suite("memory", tests, UNIT_COUNT(tests));
    TCase *ending = tcase_create("ending");
    tcase_add_test_raise_signal(ending, memory_alloc_ends_the_process_when_there_is_none, SIGABRT);
    suite_add_tcase(suite, ending);
    return unit_run(suite);
}
