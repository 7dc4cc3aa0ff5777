#include "base/crc16.h"

#include "base/random.h"

#include "tests/unit/unit.h"

/* The definition: one bit at a time. */
static uint16_t crc16_by_bits(const unsigned char *bytes, size_t length) {
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021u : 0);
        }
        crc &= 0xffff;
    }
    return (uint16_t)crc;
}

START_TEST(crc16_has_the_value_that_the_cluster_specification_names) {
    ck_assert_uint_eq(crc16(span_of_string("123456789")), 0x31c3);
    ck_assert_uint_eq(crc16(span_of(NULL, 0)), 0);
    /* CLUSTER KEYSLOT's answers for these keys */
    ck_assert_uint_eq(crc16(span_of_string("foo")) % 16384, 12182);
    ck_assert_uint_eq(crc16(span_of_string("somekey")) % 16384, 11058);
}
END_TEST

START_TEST(crc16_by_slices_equals_crc16_by_bits_for_every_length_and_byte) {
    unsigned char bytes[300];
    struct random random;
    random_seed(&random, 16);
    for (size_t length = 0; length < sizeof(bytes); length++) {
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)random_next(&random);
        }
        ck_assert_uint_eq(crc16(span_of(bytes, length)), crc16_by_bits(bytes, length));
    }
    for (size_t place = 0; place < 16; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(bytes, 0, 16);
            bytes[place] = (unsigned char)byte;
            ck_assert_uint_eq(crc16(span_of(bytes, 16)), crc16_by_bits(bytes, 16));
        }
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        crc16_has_the_value_that_the_cluster_specification_names,
        crc16_by_slices_equals_crc16_by_bits_for_every_length_and_byte,
    };
    return unit_run(unit_suite("crc16", tests, UNIT_COUNT(tests)));
}
