#include "base/crc64.h"

#include "base/random.h"

#include "tests/unit/unit.h"

/* The definition: one bit at a time, over the reflected polynomial. */
static uint64_t crc64_by_bits(const unsigned char *bytes, size_t length) {
    uint64_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT64_C(0x95ac9329ac4bc9b5) : 0);
        }
    }
    return crc;
}

START_TEST(crc64_has_the_value_that_redis_names) {
    ck_assert_uint_eq(crc64_add(CRC64_EMPTY, span_of_string("123456789")),
                      UINT64_C(0xe9c6d914c4b8d9ca));
    ck_assert_uint_eq(crc64_add(CRC64_EMPTY, span_of(NULL, 0)), 0);
}
END_TEST

START_TEST(crc64_by_slices_equals_crc64_by_bits_for_every_length_and_byte) {
    unsigned char bytes[300];
    struct random random;
    random_seed(&random, 64);
    for (size_t length = 0; length < sizeof(bytes); length++) {
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)random_next(&random);
        }
        ck_assert_uint_eq(crc64_add(CRC64_EMPTY, span_of(bytes, length)),
                          crc64_by_bits(bytes, length));
    }
    for (size_t place = 0; place < 16; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(bytes, 0, 16);
            bytes[place] = (unsigned char)byte;
            ck_assert_uint_eq(crc64_add(CRC64_EMPTY, span_of(bytes, 16)), crc64_by_bits(bytes, 16));
        }
    }
}
END_TEST

START_TEST(crc64_of_pieces_is_that_of_the_whole) {
    struct span whole = SPAN_LITERAL("what is added piece by piece comes to the same");
    for (size_t cut = 0; cut <= whole.length; cut++) {
        uint64_t crc = crc64_add(CRC64_EMPTY, span_of(whole.bytes, cut));
        crc = crc64_add(crc, span_of(whole.bytes + cut, whole.length - cut));
        ck_assert_uint_eq(crc, crc64_add(CRC64_EMPTY, whole));
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        crc64_has_the_value_that_redis_names,
        crc64_by_slices_equals_crc64_by_bits_for_every_length_and_byte,
        crc64_of_pieces_is_that_of_the_whole,
    };
    return unit_run(unit_suite("crc64", tests, UNIT_COUNT(tests)));
}
