#include "store/watch.h"

#include "tests/unit/unit.h"

#include <stdio.h>

struct fixture {
    struct heap heap;
    struct watch_table watches;
};

static void fixture_open(struct fixture *fixture) {
    heap_init(&fixture->heap);
    watch_table_init(&fixture->watches, 99);
}

static void fixture_close(struct fixture *fixture) {
    ck_assert(!watch_table_is_used(&fixture->watches));
    ck_assert_uint_eq(fixture->heap.used_bytes, 0);
    heap_free_all(&fixture->heap);
}

static uint64_t add(struct fixture *fixture, uint32_t database, const char *key) {
    return watch_add(&fixture->watches, &fixture->heap, database, span_of_string(key));
}

static void drop(struct fixture *fixture, uint32_t database, const char *key) {
    watch_drop(&fixture->watches, &fixture->heap, database, span_of_string(key));
}

static uint64_t version(const struct fixture *fixture, uint32_t database, const char *key) {
    return watch_version(&fixture->watches, database, span_of_string(key));
}

static void touch(struct fixture *fixture, uint32_t database, const char *key) {
    watch_touch(&fixture->watches, database, span_of_string(key));
}

START_TEST(watch_of_a_key_that_is_left_alone_keeps_its_version) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t seen = add(&fixture, 0, "key");
    ck_assert(watch_table_is_used(&fixture.watches));
    ck_assert_uint_eq(version(&fixture, 0, "key"), seen);
    touch(&fixture, 0, "other");
    touch(&fixture, 0, "ke");
    touch(&fixture, 0, "key2");
    touch(&fixture, 1, "key");
    ck_assert_uint_eq(version(&fixture, 0, "key"), seen);
    drop(&fixture, 0, "key");
    fixture_close(&fixture);
}
END_TEST

START_TEST(watch_of_a_key_that_is_touched_has_another_version_each_time) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t first = add(&fixture, 3, "key");
    touch(&fixture, 3, "key");
    uint64_t second = version(&fixture, 3, "key");
    touch(&fixture, 3, "key");
    uint64_t third = version(&fixture, 3, "key");
    ck_assert(first != second && second != third && first != third);
    drop(&fixture, 3, "key");
    fixture_close(&fixture);
}
END_TEST

START_TEST(watch_of_a_second_watcher_sees_the_version_of_then) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t first = add(&fixture, 0, "key");
    touch(&fixture, 0, "key");
    uint64_t second = add(&fixture, 0, "key");
    ck_assert_uint_ne(first, second);
    drop(&fixture, 0, "key");
    ck_assert(watch_table_is_used(&fixture.watches));
    ck_assert_uint_eq(version(&fixture, 0, "key"), second);
    drop(&fixture, 0, "key");
    fixture_close(&fixture);
}
END_TEST

START_TEST(watch_begun_anew_has_no_version_of_before) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t first = add(&fixture, 0, "key");
    touch(&fixture, 0, "key");
    uint64_t second = version(&fixture, 0, "key");
    drop(&fixture, 0, "key");
    uint64_t third = add(&fixture, 0, "key");
    ck_assert(third != first && third != second);
    drop(&fixture, 0, "key");
    fixture_close(&fixture);
}
END_TEST

static bool begins_with_a(uint32_t database, struct span key, void *context) {
    ck_assert_uint_eq(database, *(const uint32_t *)context);
    return key.length != 0 && key.bytes[0] == 'a';
}

START_TEST(watch_touch_database_touches_what_the_question_says_in_that_database) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t a = add(&fixture, 1, "a");
    uint64_t ab = add(&fixture, 1, "ab");
    uint64_t b = add(&fixture, 1, "b");
    uint64_t other = add(&fixture, 2, "a");
    uint32_t database = 1;
    watch_touch_database(&fixture.watches, 1, begins_with_a, &database);
    ck_assert_uint_ne(version(&fixture, 1, "a"), a);
    ck_assert_uint_ne(version(&fixture, 1, "ab"), ab);
    ck_assert_uint_eq(version(&fixture, 1, "b"), b);
    ck_assert_uint_eq(version(&fixture, 2, "a"), other);
    drop(&fixture, 1, "a");
    drop(&fixture, 1, "ab");
    drop(&fixture, 1, "b");
    drop(&fixture, 2, "a");
    watch_touch_database(&fixture.watches, 1, begins_with_a, &database);
    fixture_close(&fixture);
}
END_TEST

START_TEST(watch_of_many_keys_tells_them_apart) {
    enum { KEYS = 3000 };
    static uint64_t seen[KEYS];
    struct fixture fixture;
    fixture_open(&fixture);
    char key[20];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key:%d", i / 3);
        seen[i] = add(&fixture, (uint32_t)i % 3, key);
    }
    for (int i = 0; i < KEYS; i += 7) {
        snprintf(key, sizeof(key), "key:%d", i / 3);
        touch(&fixture, (uint32_t)i % 3, key);
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key:%d", i / 3);
        ck_assert((version(&fixture, (uint32_t)i % 3, key) == seen[i]) == (i % 7 != 0));
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key:%d", i / 3);
        drop(&fixture, (uint32_t)i % 3, key);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(watch_of_the_empty_key_is_one_like_any) {
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t seen = add(&fixture, 0, "");
    touch(&fixture, 0, "x");
    ck_assert_uint_eq(version(&fixture, 0, ""), seen);
    touch(&fixture, 0, "");
    ck_assert_uint_ne(version(&fixture, 0, ""), seen);
    drop(&fixture, 0, "");
    fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        watch_of_a_key_that_is_left_alone_keeps_its_version,
        watch_of_a_key_that_is_touched_has_another_version_each_time,
        watch_of_a_second_watcher_sees_the_version_of_then,
        watch_begun_anew_has_no_version_of_before,
        watch_touch_database_touches_what_the_question_says_in_that_database,
        watch_of_many_keys_tells_them_apart,
        watch_of_the_empty_key_is_one_like_any,
    };
    return unit_run(unit_suite("watch", tests, UNIT_COUNT(tests)));
}
