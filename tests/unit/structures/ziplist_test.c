#include "structures/ziplist.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

/* Every kind of entry: strings with a head of one, two and five bytes, and all numbers. The long
 * one makes the next entry's length one of five bytes. */
#define LONG_BYTES 300

struct sample {
    unsigned char bytes[1000];
    size_t length;
    size_t last; /* length of the last entry */
    size_t count;
};

static void add_bytes(struct sample *sample, const void *bytes, size_t length) {
    memcpy(sample->bytes + sample->length, bytes, length);
    sample->length += length;
}

static void add(struct sample *sample, struct span head, struct span content) {
    unsigned char before[5] = {(unsigned char)sample->last};
    size_t before_bytes = 1;
    if (sample->last >= 254) {
        before[0] = 254;
        before[1] = (unsigned char)sample->last;
        before[2] = (unsigned char)(sample->last >> 8);
        before_bytes = sizeof(before);
    }
    add_bytes(sample, before, before_bytes);
    add_bytes(sample, head.bytes, head.length);
    add_bytes(sample, content.bytes, content.length);
    sample->last = before_bytes + head.length + content.length;
    sample->count++;
}

static void close_sample(struct sample *sample) {
    size_t last_at = sample->length - sample->last;
    add_bytes(sample, "\xff", 1);
    sample->bytes[0] = (unsigned char)sample->length;
    sample->bytes[1] = (unsigned char)(sample->length >> 8);
    sample->bytes[4] = (unsigned char)last_at;
    sample->bytes[5] = (unsigned char)(last_at >> 8);
    sample->bytes[8] = (unsigned char)sample->count;
}

static struct span literal(const char *bytes, size_t length) {
    return span_of(bytes, length);
}

#define BYTES(text) literal(text, sizeof(text) - 1)

static void make(struct sample *sample) {
    static char many[LONG_BYTES];
    memset(many, 'm', sizeof(many));
    *sample = (struct sample){.length = 10};
    add(sample, BYTES("\x03"), BYTES("abc"));
    add(sample, BYTES("\x00"), BYTES(""));
    add(sample, BYTES("\x41\x2c"), span_of(many, LONG_BYTES));
    add(sample, BYTES("\x80\x00\x00\x00\x02"), BYTES("de"));
    add(sample, BYTES("\xc0"), BYTES("\xd4\xfe"));
    add(sample, BYTES("\xd0"), BYTES("\x00\x00\x00\x80"));
    add(sample, BYTES("\xe0"), BYTES("\xff\xff\xff\xff\xff\xff\xff\x7f"));
    add(sample, BYTES("\xf0"), BYTES("\x00\x00\x80"));
    add(sample, BYTES("\xfe"), BYTES("\x80"));
    add(sample, BYTES("\xf1"), BYTES(""));
    add(sample, BYTES("\xfd"), BYTES(""));
    close_sample(sample);
}

static bool is_valid(const unsigned char *bytes, size_t size) {
    unsigned char *exact = memory_copy(bytes, size);
    bool answer = ziplist_is_valid(exact, size);
    memory_free(exact);
    return answer;
}

static bool walks(const unsigned char *bytes) {
    size_t length = 0;
    for (size_t at = ziplist_first(bytes); at != ZIPLIST_END; at = ziplist_next(bytes, at)) {
        char scratch[ZIPLIST_NUMBER_TEXT_MAX];
        length += ziplist_text(bytes, at, scratch).length;
    }
    return length < 10000;
}

START_TEST(ziplist_gives_strings_and_numbers_as_text) {
    static const char *const expected[] = {
        "abc",      "",     NULL, "de", "-300", "-2147483648", "9223372036854775807",
        "-8388608", "-128", "0",  "12",
    };
    struct sample sample;
    make(&sample);
    ck_assert(is_valid(sample.bytes, sample.length));
    size_t at = ziplist_first(sample.bytes);
    for (size_t i = 0; i < UNIT_COUNT(expected); i++) {
        ck_assert_uint_ne(at, ZIPLIST_END);
        char scratch[ZIPLIST_NUMBER_TEXT_MAX];
        struct span text = ziplist_text(sample.bytes, at, scratch);
        if (expected[i] == NULL) {
            ck_assert_uint_eq(text.length, LONG_BYTES);
        } else {
            ck_assert(span_equal(text, span_of_string(expected[i])));
        }
        at = ziplist_next(sample.bytes, at);
    }
    ck_assert_uint_eq(at, ZIPLIST_END);
}
END_TEST

START_TEST(ziplist_without_entries_is_valid_and_has_none) {
    static const unsigned char empty[] = {11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff};
    ck_assert(is_valid(empty, sizeof(empty)));
    ck_assert_uint_eq(ziplist_first(empty), ZIPLIST_END);
}
END_TEST

START_TEST(ziplist_of_unknown_count_is_valid) {
    struct sample sample;
    make(&sample);
    sample.bytes[8] = 0xff;
    sample.bytes[9] = 0xff;
    ck_assert(is_valid(sample.bytes, sample.length));
    sample.bytes[9] = 0;
    ck_assert(!is_valid(sample.bytes, sample.length));
}
END_TEST

START_TEST(ziplist_that_is_cut_off_is_refused) {
    struct sample sample;
    make(&sample);
    for (size_t size = 0; size < sample.length; size++) {
        ck_assert(!is_valid(sample.bytes, size));
        struct sample cut = sample;
        /* Even if its head is made to fit. */
        if (size >= ZIPLIST_EMPTY_BYTES) {
            cut.bytes[0] = (unsigned char)size;
            cut.bytes[1] = (unsigned char)(size >> 8);
            cut.bytes[size - 1] = 0xff;
            ck_assert(!is_valid(cut.bytes, size));
        }
    }
}
END_TEST

START_TEST(ziplist_whose_parts_disagree_is_refused) {
    struct sample sample;
    make(&sample);
    static const size_t places[] = {0, 4, 8, 10, 15};
    for (size_t i = 0; i < UNIT_COUNT(places); i++) {
        struct sample other = sample;
        other.bytes[places[i]]++;
        ck_assert_msg(!is_valid(other.bytes, other.length), "byte %zu", places[i]);
    }
}
END_TEST

START_TEST(ziplist_with_any_byte_changed_is_refused_or_can_be_walked) {
    struct sample sample;
    make(&sample);
    for (size_t place = 0; place < sample.length; place++) {
        for (unsigned change = 1; change < 256; change++) {
            unsigned char *bytes = memory_copy(sample.bytes, sample.length);
            bytes[place] ^= (unsigned char)change;
            ck_assert(!ziplist_is_valid(bytes, sample.length) || walks(bytes));
            memory_free(bytes);
        }
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        ziplist_gives_strings_and_numbers_as_text,
        ziplist_without_entries_is_valid_and_has_none,
        ziplist_of_unknown_count_is_valid,
        ziplist_that_is_cut_off_is_refused,
        ziplist_whose_parts_disagree_is_refused,
        ziplist_with_any_byte_changed_is_refused_or_can_be_walked,
    };
    return unit_run(unit_suite("ziplist", tests, UNIT_COUNT(tests)));
}
