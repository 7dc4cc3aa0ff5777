#include "structures/listpack.h"

#include "base/bytes.h"
#include "base/numbers.h"
#include "base/random.h"

#include "tests/simulation/seeds.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>

enum { PACK_BYTES_MAX = 1 << 20 };

/* A run that is large enough for all but the largest packs here. */
static unsigned char pack[PACK_BYTES_MAX];

static size_t append(struct span text) {
    size_t bytes_before = listpack_bytes(pack);
    size_t position = listpack_insert(pack, LISTPACK_END, text);
    ck_assert_uint_eq(position, bytes_before - 1);
    ck_assert_uint_eq(listpack_bytes(pack), bytes_before + listpack_element_bytes(text));
    ck_assert_uint_eq(listpack_stored_bytes(pack, position), listpack_element_bytes(text));
    return position;
}

static void pack_of(const char *const *texts, size_t count) {
    listpack_init(pack);
    for (size_t i = 0; i < count; i++) {
        append(span_of_string(texts[i]));
    }
}

/* The pack's texts, each followed by a comma. */
static const char *joined(void) {
    static char text[10000];
    size_t length = 0;
    for (size_t place = listpack_first(pack); place != LISTPACK_END;
         place = listpack_next(pack, place)) {
        char scratch[LISTPACK_NUMBER_TEXT_MAX];
        struct span element = listpack_text(pack, place, scratch);
        ck_assert_uint_lt(length + element.length + 2, sizeof(text));
        memcpy(text + length, element.bytes, element.length);
        length += element.length;
        text[length++] = ',';
    }
    text[length] = '\0';
    return text;
}

/* The listpacks below stood in the answers of redis-server 7.0 to DUMP of a hash. */

START_TEST(listpack_stores_numbers_in_the_bytes_of_redis) {
    static const char *const texts[] = {
        "0",
        "127",
        "128",
        "-1",
        "4095",
        "-4096",
        "4096",
        "-4097",
        "32767",
        "-32768",
        "32768",
        "-32769",
        "8388607",
        "-8388608",
        "8388608",
        "-8388609",
        "2147483647",
        "-2147483648",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
    };
    static const unsigned char expected[] = {
        0x7b, 0x00, 0x00, 0x00, 0x16, 0x00, 0x00, 0x01, 0x7f, 0x01, 0xc0, 0x80, 0x02, 0xdf,
        0xff, 0x02, 0xcf, 0xff, 0x02, 0xd0, 0x00, 0x02, 0xf1, 0x00, 0x10, 0x03, 0xf1, 0xff,
        0xef, 0x03, 0xf1, 0xff, 0x7f, 0x03, 0xf1, 0x00, 0x80, 0x03, 0xf2, 0x00, 0x80, 0x00,
        0x04, 0xf2, 0xff, 0x7f, 0xff, 0x04, 0xf2, 0xff, 0xff, 0x7f, 0x04, 0xf2, 0x00, 0x00,
        0x80, 0x04, 0xf3, 0x00, 0x00, 0x80, 0x00, 0x05, 0xf3, 0xff, 0xff, 0x7f, 0xff, 0x05,
        0xf3, 0xff, 0xff, 0xff, 0x7f, 0x05, 0xf3, 0x00, 0x00, 0x00, 0x80, 0x05, 0xf4, 0x00,
        0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x09, 0xf4, 0xff, 0xff, 0xff, 0x7f, 0xff,
        0xff, 0xff, 0xff, 0x09, 0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x09,
        0xf4, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x09, 0xff,
    };
    pack_of(texts, UNIT_COUNT(texts));
    ck_assert_uint_eq(listpack_bytes(pack), sizeof(expected));
    ck_assert_mem_eq(pack, expected, sizeof(expected));
    size_t place = listpack_first(pack);
    for (size_t i = 0; i < UNIT_COUNT(texts); i++, place = listpack_next(pack, place)) {
        struct listpack_element element = listpack_get(pack, place);
        int64_t number;
        ck_assert(number_parse(span_of_string(texts[i]), &number));
        ck_assert(element.is_number);
        ck_assert_int_eq(element.number, number);
    }
    ck_assert_uint_eq(place, LISTPACK_END);
}
END_TEST

START_TEST(listpack_stores_what_is_no_canonical_number_as_redis_does) {
    static const char *const texts[] = {"",  "a", "01", "-0", "+1", "1.0", "9223372036854775808",
                                        "-", "f", "xxx"};
    static const unsigned char expected[] = {
        0x3d, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x80, 0x01, 0x81, 0x61, 0x02, 0x82, 0x30,
        0x31, 0x03, 0x82, 0x2d, 0x30, 0x03, 0x82, 0x2b, 0x31, 0x03, 0x83, 0x31, 0x2e,
        0x30, 0x04, 0x93, 0x39, 0x32, 0x32, 0x33, 0x33, 0x37, 0x32, 0x30, 0x33, 0x36,
        0x38, 0x35, 0x34, 0x37, 0x37, 0x35, 0x38, 0x30, 0x38, 0x14, 0x81, 0x2d, 0x02,
        0x81, 0x66, 0x02, 0x83, 0x78, 0x78, 0x78, 0x04, 0xff,
    };
    pack_of(texts, UNIT_COUNT(texts));
    ck_assert_uint_eq(listpack_bytes(pack), sizeof(expected));
    ck_assert_mem_eq(pack, expected, sizeof(expected));
    size_t place = listpack_first(pack);
    for (size_t i = 0; i < UNIT_COUNT(texts); i++, place = listpack_next(pack, place)) {
        struct listpack_element element = listpack_get(pack, place);
        ck_assert(!element.is_number);
        ck_assert(span_equal(element.string, span_of_string(texts[i])));
    }
}
END_TEST

/* What redis-server writes before and behind strings of these lengths. */
START_TEST(listpack_string_lengths_cross_each_limit_as_in_redis) {
    static const struct {
        size_t length;
        size_t prefix_bytes;
        unsigned char prefix[5];
        size_t behind_bytes;
        unsigned char behind[5];
    } limits[] = {
        {63, 1, {0xbf}, 1, {0x40}},
        {64, 2, {0xe0, 0x40}, 1, {0x42}},
        {125, 2, {0xe0, 0x7d}, 1, {0x7f}},
        {126, 2, {0xe0, 0x7e}, 2, {0x01, 0x80}},
        {4095, 2, {0xef, 0xff}, 2, {0x20, 0x81}},
        {4096, 5, {0xf0, 0x00, 0x10, 0x00, 0x00}, 2, {0x20, 0x85}},
        {16377, 5, {0xf0, 0xf9, 0x3f, 0x00, 0x00}, 2, {0x7f, 0xfe}},
        {16378, 5, {0xf0, 0xfa, 0x3f, 0x00, 0x00}, 3, {0x00, 0xff, 0xff}},
        {2097145, 5, {0xf0, 0xf9, 0xff, 0x1f, 0x00}, 3, {0x7f, 0xff, 0xfe}},
        {2097146, 5, {0xf0, 0xfa, 0xff, 0x1f, 0x00}, 4, {0x00, 0xff, 0xff, 0xff}},
    };
    static char text[2097146];
    static unsigned char large[sizeof(text) + 100];
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < UNIT_COUNT(limits); i++) {
        struct span span = span_of(text, limits[i].length);
        size_t element_bytes = limits[i].prefix_bytes + span.length + limits[i].behind_bytes;
        ck_assert_uint_eq(listpack_element_bytes(span), element_bytes);
        listpack_init(large);
        listpack_insert(large, LISTPACK_END, span_of_string("before"));
        size_t place = listpack_insert(large, LISTPACK_END, span);
        listpack_insert(large, LISTPACK_END, span_of_string("behind"));
        ck_assert_mem_eq(large + place, limits[i].prefix, limits[i].prefix_bytes);
        ck_assert_mem_eq(large + place + element_bytes - limits[i].behind_bytes, limits[i].behind,
                         limits[i].behind_bytes);
        ck_assert(listpack_is_valid(large, listpack_bytes(large)));
        ck_assert(listpack_equal(large, place, span));
        size_t last = listpack_last(large);
        ck_assert_uint_eq(last, place + element_bytes);
        ck_assert_uint_eq(listpack_previous(large, last), place);
        ck_assert_uint_eq(listpack_next(large, place), last);
        ck_assert_uint_eq(listpack_find(large, listpack_first(large), span, 0), place);
    }
}
END_TEST

START_TEST(listpack_without_elements_has_no_first_and_no_last) {
    listpack_init(pack);
    ck_assert_uint_eq(listpack_bytes(pack), LISTPACK_EMPTY_BYTES);
    ck_assert_uint_eq(listpack_count(pack), 0);
    ck_assert_uint_eq(listpack_first(pack), LISTPACK_END);
    ck_assert_uint_eq(listpack_last(pack), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, 0), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, -1), LISTPACK_END);
    ck_assert_uint_eq(listpack_find(pack, listpack_first(pack), span_of_string("a"), 0),
                      LISTPACK_END);
    ck_assert(listpack_is_valid(pack, LISTPACK_EMPTY_BYTES));
}
END_TEST

START_TEST(listpack_seek_counts_from_both_ends) {
    static const char *const texts[] = {"a", "1", "b", "2000", "c"};
    pack_of(texts, 5);
    for (int i = 0; i < 5; i++) {
        ck_assert(listpack_equal(pack, listpack_seek(pack, i), span_of_string(texts[i])));
        ck_assert(listpack_equal(pack, listpack_seek(pack, i - 5), span_of_string(texts[i])));
    }
    ck_assert_uint_eq(listpack_seek(pack, 5), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, -6), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, INT64_MIN), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, INT64_MAX), LISTPACK_END);
}
END_TEST

START_TEST(listpack_find_looks_at_fields_only_when_it_skips_values) {
    static const char *const texts[] = {"x", "y", "y", "x", "12", "z", "z", "12"};
    pack_of(texts, 8);
    size_t first = listpack_first(pack);
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("y"), 1), listpack_seek(pack, 2));
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("y"), 0), listpack_seek(pack, 1));
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("12"), 1), listpack_seek(pack, 4));
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("z"), 2), listpack_seek(pack, 6));
    ck_assert_uint_eq(listpack_find(pack, listpack_seek(pack, 3), span_of_string("x"), 1),
                      listpack_seek(pack, 3));
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("012"), 0), LISTPACK_END);
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string("13"), 0), LISTPACK_END);
    ck_assert_uint_eq(listpack_find(pack, first, span_of_string(""), 0), LISTPACK_END);
    ck_assert_uint_eq(listpack_find(pack, LISTPACK_END, span_of_string("x"), 0), LISTPACK_END);
}
END_TEST

START_TEST(listpack_equal_tells_texts_of_equal_numbers_apart) {
    listpack_init(pack);
    size_t number = append(span_of_string("-5"));
    size_t text = append(span_of_string("-05"));
    ck_assert(listpack_equal(pack, number, span_of_string("-5")));
    ck_assert(!listpack_equal(pack, number, span_of_string("-05")));
    ck_assert(!listpack_equal(pack, number, span_of_string("5")));
    ck_assert(listpack_equal(pack, text, span_of_string("-05")));
    ck_assert(!listpack_equal(pack, text, span_of_string("-5")));
}
END_TEST

/* Nothing in the format forbids a longer form than needed; Redis reads it too. */
START_TEST(listpack_reads_elements_that_others_wrote_in_a_longer_form) {
    static const unsigned char foreign[] = {
        0x18, 0x00, 0x00, 0x00, 0x03, 0x00,       /* header */
        0xe0, 0x01, 'a',  0x03,                   /* "a" with a length of 12 bits */
        0xf0, 0x01, 0x00, 0x00, 0x00, '7',  0x06, /* "7" as a string, a length of 32 bits */
        0xf3, 0x05, 0x00, 0x00, 0x00, 0x05,       /* 5 in 32 bits */
        0xff,
    };
    ck_assert(listpack_is_valid(foreign, sizeof(foreign)));
    size_t first = listpack_first(foreign);
    ck_assert_uint_eq(listpack_find(foreign, first, span_of_string("a"), 0), 6);
    ck_assert_uint_eq(listpack_find(foreign, first, span_of_string("7"), 0), 10);
    ck_assert_uint_eq(listpack_find(foreign, first, span_of_string("5"), 0), 17);
}
END_TEST

START_TEST(listpack_insert_puts_text_before_the_position) {
    listpack_init(pack);
    append(span_of_string("c"));
    listpack_insert(pack, listpack_first(pack), span_of_string("a"));
    size_t place = listpack_insert(pack, listpack_last(pack), span_of_string("1000"));
    ck_assert(listpack_equal(pack, place, span_of_string("1000")));
    ck_assert_str_eq(joined(), "a,1000,c,");
    ck_assert_uint_eq(listpack_count(pack), 3);
}
END_TEST

START_TEST(listpack_replace_grows_and_shrinks_in_place) {
    static const char *const texts[] = {"a", "b", "c"};
    pack_of(texts, 3);
    listpack_replace(pack, listpack_seek(pack, 1), span_of_string("much longer"));
    ck_assert_str_eq(joined(), "a,much longer,c,");
    listpack_replace(pack, listpack_seek(pack, 1), span_of_string("70000"));
    ck_assert_str_eq(joined(), "a,70000,c,");
    listpack_replace(pack, listpack_seek(pack, 2), span_of_string(""));
    listpack_replace(pack, listpack_seek(pack, 0), span_of_string("z"));
    ck_assert_str_eq(joined(), "z,70000,,");
    ck_assert_uint_eq(listpack_count(pack), 3);
    ck_assert(listpack_is_valid(pack, listpack_bytes(pack)));
}
END_TEST

START_TEST(listpack_delete_answers_what_follows) {
    static const char *const texts[] = {"a", "b", "c", "d", "e"};
    pack_of(texts, 5);
    size_t place = listpack_delete(pack, listpack_seek(pack, 1), 2);
    ck_assert(listpack_equal(pack, place, span_of_string("d")));
    ck_assert_uint_eq(listpack_count(pack), 3);
    ck_assert_uint_eq(listpack_delete(pack, listpack_seek(pack, 1), 100), LISTPACK_END);
    ck_assert_str_eq(joined(), "a,");
    ck_assert_uint_eq(listpack_delete(pack, listpack_first(pack), 0), listpack_first(pack));
    ck_assert_uint_eq(listpack_delete(pack, listpack_first(pack), 1), LISTPACK_END);
    ck_assert_uint_eq(listpack_bytes(pack), LISTPACK_EMPTY_BYTES);
}
END_TEST

START_TEST(listpack_count_beyond_sixteen_bits_is_found_by_walking) {
    enum { COUNT = 65600 };
    listpack_init(pack);
    for (int i = 0; i < COUNT; i++) {
        listpack_insert(pack, LISTPACK_END, span_of_string("1"));
        if (i == 65533 || i == 65534) {
            ck_assert_uint_eq(listpack_count(pack), (size_t)i + 1);
        }
    }
    ck_assert_uint_eq(listpack_count(pack), COUNT);
    ck_assert_uint_eq(bytes_load_u16(pack + 4), 65535);
    ck_assert(listpack_is_valid(pack, listpack_bytes(pack)));
    ck_assert_uint_eq(listpack_seek(pack, COUNT - 1), listpack_last(pack));
    ck_assert_uint_eq(listpack_seek(pack, COUNT), LISTPACK_END);
    ck_assert_uint_eq(listpack_seek(pack, -COUNT), listpack_first(pack));
    ck_assert_uint_eq(listpack_seek(pack, -COUNT - 1), LISTPACK_END);
    listpack_delete(pack, listpack_first(pack), 100);
    ck_assert_uint_eq(listpack_count(pack), COUNT - 100);
}
END_TEST

START_TEST(listpack_is_valid_refuses_each_kind_of_damage) {
    static const char *const texts[] = {"field", "1", "x", "-70000"};
    static unsigned char damaged[200];
    pack_of(texts, 4);
    size_t size = listpack_bytes(pack);
    ck_assert(listpack_is_valid(pack, size));
    for (size_t shorter = 0; shorter < size; shorter++) {
        ck_assert(!listpack_is_valid(pack, shorter));
    }
    ck_assert(!listpack_is_valid(pack, size + 1));

    static const struct {
        size_t place;
        unsigned char byte;
    } damages[] = {
        {0, 0x00},  /* total bytes too few */
        {2, 0x01},  /* and too many */
        {4, 0x03},  /* elements too few */
        {5, 0x01},  /* and too many */
        {6, 0x86},  /* a string longer than it is */
        {6, 0xbf},  /* beyond the end */
        {6, 0xef},  /* beyond the end, by 12 bits of length */
        {6, 0xf0},  /* beyond the end, by 32 */
        {6, 0xf4},  /* a number instead */
        {6, 0xf5},  /* no encoding at all */
        {6, 0xff},  /* the end, too early */
        {12, 0x05}, /* a size backwards that is wrong */
        {12, 0x86}, /* one that goes on */
    };
    for (size_t i = 0; i < UNIT_COUNT(damages); i++) {
        memcpy(damaged, pack, size);
        ck_assert_uint_ne(damaged[damages[i].place], damages[i].byte);
        damaged[damages[i].place] = damages[i].byte;
        ck_assert_msg(!listpack_is_valid(damaged, size), "damage %zu", i);
    }
    memcpy(damaged, pack, size);
    damaged[size - 1] = 0x00;
    ck_assert(!listpack_is_valid(damaged, size));
}
END_TEST

/* The model: an array of strings. */
enum { MODEL_MAX = 200, TEXT_BYTES_MAX = 5000 };

struct model {
    size_t count;
    struct {
        char bytes[TEXT_BYTES_MAX];
        size_t length;
    } elements[MODEL_MAX];
};

static struct model model;

static struct span model_text(size_t index) {
    return span_of(model.elements[index].bytes, model.elements[index].length);
}

static void model_set(size_t index, struct span text) {
    memcpy(model.elements[index].bytes, text.bytes, text.length);
    model.elements[index].length = text.length;
}

static void model_insert(size_t index, struct span text) {
    memmove(&model.elements[index + 1], &model.elements[index],
            (model.count - index) * sizeof(model.elements[0]));
    model.count++;
    model_set(index, text);
}

static void model_delete(size_t index, size_t count) {
    model.count -= count;
    memmove(&model.elements[index], &model.elements[index + count],
            (model.count - index) * sizeof(model.elements[0]));
}

static struct span text_draw(struct random *random, char *place) {
    static const char letters[] = "0123456789-ab";
    size_t length = 0;
    switch (random_below(random, 5)) {
    case 0:
        length = number_format(place, (int64_t)random_next(random) >> random_below(random, 64));
        break;
    case 1:
        length = random_below(random, 4);
        for (size_t i = 0; i < length; i++) {
            place[i] = letters[random_below(random, sizeof(letters) - 1)];
        }
        break;
    case 2:
        length = random_below(random, 200);
        memset(place, 'm', length);
        break;
    case 3:
        length = random_below(random, 50) == 0 ? random_below(random, TEXT_BYTES_MAX) : 65;
        memset(place, 'l', length);
        break;
    default:
        length = number_format(place, (int64_t)random_below(random, 300) - 100);
        break;
    }
    return span_of(place, length);
}

static void compare_with_model(void) {
    size_t size = listpack_bytes(pack);
    ck_assert(listpack_is_valid(pack, size));
    ck_assert_uint_eq(listpack_count(pack), model.count);
    size_t forward = listpack_first(pack);
    size_t bytes = LISTPACK_EMPTY_BYTES;
    for (size_t i = 0; i < model.count; i++) {
        char scratch[LISTPACK_NUMBER_TEXT_MAX];
        ck_assert(span_equal(listpack_text(pack, forward, scratch), model_text(i)));
        bytes += listpack_stored_bytes(pack, forward);
        forward = listpack_next(pack, forward);
    }
    ck_assert_uint_eq(forward, LISTPACK_END);
    ck_assert_uint_eq(bytes, size);
    size_t backward = listpack_last(pack);
    for (size_t i = model.count; i-- != 0;) {
        ck_assert(listpack_equal(pack, backward, model_text(i)));
        backward = listpack_previous(pack, backward);
    }
    ck_assert_uint_eq(backward, LISTPACK_END);
}

static size_t model_find(size_t from, struct span text, uint32_t skip) {
    for (size_t i = from; i < model.count; i += skip + 1) {
        if (span_equal(model_text(i), text)) {
            return i;
        }
    }
    return model.count;
}

START_TEST(listpack_does_what_an_array_of_strings_does) {
    struct random random;
    random_seed(&random, 10);
    listpack_init(pack);
    model.count = 0;
    static char place[TEXT_BYTES_MAX];
    for (int round = 0; round < 20000 / SEEDS_PART; round++) {
        struct span text = text_draw(&random, place);
        size_t index = random_below(&random, model.count + 1);
        size_t position = listpack_seek(pack, (int64_t)index);
        switch (random_below(&random, 6)) {
        case 0:
        case 1:
        case 2:
            if (model.count < MODEL_MAX) {
                size_t growth = listpack_element_bytes(text);
                size_t size = listpack_bytes(pack);
                size_t inserted = listpack_insert(pack, position, text);
                model_insert(index, text);
                ck_assert(listpack_equal(pack, inserted, text));
                ck_assert_uint_eq(listpack_bytes(pack), size + growth);
            }
            break;
        case 3:
            if (index < model.count) {
                listpack_replace(pack, position, text);
                model_set(index, text);
            }
            break;
        case 4:
            if (index < model.count) {
                size_t count = 1 + random_below(&random, 5);
                count = count < model.count - index ? count : model.count - index;
                size_t following = listpack_delete(pack, position, count);
                model_delete(index, count);
                ck_assert_uint_eq(following, listpack_seek(pack, (int64_t)index));
            }
            break;
        default: {
            uint32_t skip = (uint32_t)random_below(&random, 3);
            size_t found = model_find(index, text, skip);
            ck_assert_uint_eq(listpack_find(pack, position, text, skip),
                              listpack_seek(pack, (int64_t)found));
            break;
        }
        }
        compare_with_model();
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        listpack_stores_numbers_in_the_bytes_of_redis,
        listpack_stores_what_is_no_canonical_number_as_redis_does,
        listpack_string_lengths_cross_each_limit_as_in_redis,
        listpack_without_elements_has_no_first_and_no_last,
        listpack_seek_counts_from_both_ends,
        listpack_find_looks_at_fields_only_when_it_skips_values,
        listpack_equal_tells_texts_of_equal_numbers_apart,
        listpack_reads_elements_that_others_wrote_in_a_longer_form,
        listpack_insert_puts_text_before_the_position,
        listpack_replace_grows_and_shrinks_in_place,
        listpack_delete_answers_what_follows,
        listpack_count_beyond_sixteen_bits_is_found_by_walking,
        listpack_is_valid_refuses_each_kind_of_damage,
        listpack_does_what_an_array_of_strings_does,
    };
    return unit_run(unit_suite("listpack", tests, UNIT_COUNT(tests)));
}
