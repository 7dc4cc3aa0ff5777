#include "base/buffer.h"

#include "base/random.h"

#include "tests/unit/unit.h"

START_TEST(buffer_holds_what_was_appended_in_order) {
    struct buffer buffer = BUFFER_EMPTY;
    buffer_append_string(&buffer, "one ");
    buffer_append_byte(&buffer, '2');
    buffer_append(&buffer, NULL, 0);
    buffer_append_span(&buffer, span_of_string(" three"));
    buffer_format(&buffer, " %d%s", 4, "!");
    ck_assert(span_equal(buffer_span(&buffer), span_of_string("one 2 three 4!")));
    buffer_free(&buffer);
}
END_TEST

START_TEST(buffer_reserve_gives_room_that_counts_only_when_committed) {
    struct buffer buffer = BUFFER_EMPTY;
    buffer_append_string(&buffer, "ab");
    char *place = buffer_reserve(&buffer, 1000);
    ck_assert_uint_ge(buffer.capacity - buffer.length, 1000);
    memset(place, 'x', 1000);
    ck_assert_uint_eq(buffer.length, 2);
    buffer_commit(&buffer, 3);
    ck_assert(span_equal(buffer_span(&buffer), span_of_string("abxxx")));
    buffer_free(&buffer);
}
END_TEST

START_TEST(buffer_consume_drops_from_the_front) {
    struct buffer buffer = BUFFER_EMPTY;
    buffer_append_string(&buffer, "abcdef");
    buffer_consume(&buffer, 0);
    buffer_consume(&buffer, 2);
    ck_assert(span_equal(buffer_span(&buffer), span_of_string("cdef")));
    buffer_consume(&buffer, 4);
    ck_assert_uint_eq(buffer.length, 0);
    buffer_free(&buffer);
}
END_TEST

START_TEST(buffer_shrink_keeps_the_content_and_gives_back_the_rest) {
    struct buffer buffer = BUFFER_EMPTY;
    buffer_append_string(&buffer, "abc");
    buffer_reserve(&buffer, 100000);
    buffer_shrink(&buffer);
    ck_assert_uint_eq(buffer.capacity, 3);
    ck_assert(span_equal(buffer_span(&buffer), span_of_string("abc")));
    buffer_clear(&buffer);
    buffer_shrink(&buffer);
    ck_assert_ptr_null(buffer.bytes);
    ck_assert_uint_eq(buffer.capacity, 0);
}
END_TEST

START_TEST(buffer_grows_by_a_quarter_only_once_it_is_large) {
    struct buffer buffer = BUFFER_EMPTY;
    size_t large = 4 * BUFFER_DOUBLING_BYTES_MAX;
    buffer_reserve(&buffer, large);
    ck_assert_uint_ge(buffer.capacity, large + large / 4);
    ck_assert_uint_lt(buffer.capacity, large + large / 2 + large / 8);
    buffer_free(&buffer);
    buffer_reserve(&buffer, 1000);
    ck_assert_uint_ge(buffer.capacity, 2000);
    buffer_free(&buffer);
}
END_TEST

START_TEST(buffer_of_many_small_appends_equals_one_array) {
    enum { BYTES = 100000 };
    static char model[BYTES];
    struct buffer buffer = BUFFER_EMPTY;
    struct random random;
    random_seed(&random, 7);
    size_t length = 0;
    while (length < BYTES) {
        size_t count = random_below(&random, 40);
        count = count < BYTES - length ? count : BYTES - length;
        for (size_t i = 0; i < count; i++) {
            model[length + i] = (char)random_next(&random);
        }
        buffer_append(&buffer, model + length, count);
        length += count;
    }
    ck_assert(span_equal(buffer_span(&buffer), span_of(model, length)));
    buffer_free(&buffer);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        buffer_holds_what_was_appended_in_order,
        buffer_reserve_gives_room_that_counts_only_when_committed,
        buffer_consume_drops_from_the_front,
        buffer_shrink_keeps_the_content_and_gives_back_the_rest,
        buffer_grows_by_a_quarter_only_once_it_is_large,
        buffer_of_many_small_appends_equals_one_array,
    };
    return unit_run(unit_suite("buffer", tests, UNIT_COUNT(tests)));
}
