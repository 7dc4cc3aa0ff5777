#include "store/value_codec.h"

#include "base/memory.h"
#include "store/hash_value.h"

#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

static void open_fixture(struct store_fixture *fixture) {
    store_fixture_open(fixture);
    fixture->options.hash_max_listpack_entries = 4;
    fixture->options.hash_max_listpack_value = 64;
}

/* Everything goes, and no byte of it stays counted. */
static void close_fixture(struct store_fixture *fixture) {
    store_flush(fixture->store, 0);
    while (!store_bury_step(fixture->store, 1000)) {
    }
    ck_assert_uint_eq(fixture->store->heap.used_bytes, 0);
    store_fixture_close(fixture);
}

/* Decodes a copy of the exact size, and puts it at the key. */
static enum value_decode_status restore(struct store_fixture *fixture, const char *key,
                                        struct span payload) {
    char *bytes = memory_copy(payload.bytes, payload.length);
    struct value_content content;
    enum value_decode_status status =
        value_decode(fixture->store, span_of(bytes, payload.length), &content);
    if (status == VALUE_DECODED) {
        struct place place = store_fixture_place(fixture, 0, span_of_string(key));
        value_content_put(&place, &(struct value_content_put){.content = &content,
                                                              .expiry_ms = ENTRY_NO_EXPIRY,
                                                              .access = VALUE_ACCESS_NEW});
        ck_assert_ptr_nonnull(place_entry(&place));
    } else {
        ck_assert_int_eq(content.kind, ENTRY_KINDS);
    }
    memory_free(bytes);
    return status;
}

static struct buffer dump(const struct store_fixture *fixture, const char *key, bool compresses) {
    const struct entry *entry = store_fixture_entry(fixture, 0, key);
    struct buffer payload = BUFFER_EMPTY;
    value_encode(entry, compresses, &payload);
    ck_assert_uint_le(payload.length, value_encoded_bytes_max(entry));
    return payload;
}

static void expect_string(const struct store_fixture *fixture, const char *key, struct span text,
                          const char *encoding) {
    const struct entry *entry = store_fixture_entry(fixture, 0, key);
    char scratch[NUMBER_TEXT_BYTES_MAX];
    ck_assert(span_equal(value_string(entry, scratch), text));
    ck_assert_str_eq(value_encoding(entry), encoding);
}

static void expect_field(const struct store_fixture *fixture, const char *key, const char *field,
                         const char *value) {
    const struct entry *entry = store_fixture_entry(fixture, 0, key);
    char scratch[HASH_SCRATCH_BYTES];
    struct span found;
    ck_assert(hash_value_get(fixture->store, entry, span_of_string(field), scratch, &found));
    ck_assert(span_equal(found, span_of_string(value)));
}

/* Answers of redis-server 7.0 to DUMP, without their footer, unless said. */
static const struct span pack =
    SPAN_LITERAL("\x10\x12\x12\x00\x00\x00\x04\x00\x81\x66\x02\x81v\x02\x81n\x02\x0c\x01\xff");
static const struct span pack_compressed =
    SPAN_LITERAL("\x10\xc3 @\x92\x0f\x92\x00\x00\x00\x04\x00\x85\x66ield\x06\xe0@x\xe0\x36\x00\x04"
                 "\x42\x81g\x02\xbc\xe0\x33\x43\x01=\xff");
static const struct span fields =
    SPAN_LITERAL("\x04\x02\x01n\xc0\x0c\x01\x66\xc3\x09@A\x01yy\xe0\x34\x00\x01yy");
/* By hand: f v, n 12; redis-server 7.0 takes them. */
static const struct span ziplist =
    SPAN_LITERAL("\x0d\x16\x16\x00\x00\x00\x13\x00\x00\x00\x04\x00\x00\x01\x66\x03\x01v\x03\x01n"
                 "\x03\xfd\xff");
static const struct span zipmap = SPAN_LITERAL("\x09\x0f\x02\x01\x66\x01\x02v..\x01n\x02\x00"
                                               "12\xff");

START_TEST(value_codec_takes_every_form_of_a_string) {
    static const struct {
        struct span payload;
        struct span text;
        const char *encoding;
    } strings[] = {
        {SPAN_LITERAL("\x00\xc0\xfb"), SPAN_LITERAL("-5"), "int"},
        {SPAN_LITERAL("\x00\x05hello"), SPAN_LITERAL("hello"), "embstr"},
        {SPAN_LITERAL("\x00\x02"
                      "12"),
         SPAN_LITERAL("12"), "int"},
        {SPAN_LITERAL("\x00\x00"), SPAN_LITERAL(""), "embstr"},
        {SPAN_LITERAL("\x00\xc3\x09@A\x01yy\xe0\x34\x00\x01yy"),
         SPAN_LITERAL("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), "raw"},
    };
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(strings); i++) {
        ck_assert_int_eq(restore(&fixture, "key", strings[i].payload), VALUE_DECODED);
        expect_string(&fixture, "key", strings[i].text, strings[i].encoding);
    }
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_takes_every_form_of_a_hash) {
    const struct span small[] = {pack, ziplist, zipmap};
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(small); i++) {
        ck_assert_int_eq(restore(&fixture, "key", small[i]), VALUE_DECODED);
        expect_field(&fixture, "key", "f", "v");
        expect_field(&fixture, "key", "n", "12");
        ck_assert_uint_eq(hash_value_length(store_fixture_entry(&fixture, 0, "key")), 2);
        ck_assert_str_eq(value_encoding(store_fixture_entry(&fixture, 0, "key")), "listpack");
    }
    ck_assert_int_eq(restore(&fixture, "key", fields), VALUE_DECODED);
    expect_field(&fixture, "key", "n", "12");
    ck_assert_str_eq(value_encoding(store_fixture_entry(&fixture, 0, "key")), "hashtable");
    ck_assert_int_eq(restore(&fixture, "key", pack_compressed), VALUE_DECODED);
    expect_field(&fixture, "key", "g",
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_makes_a_table_of_a_pack_with_more_fields_than_the_limit) {
    const struct span small[] = {pack, ziplist, zipmap};
    struct store_fixture fixture;
    open_fixture(&fixture);
    fixture.options.hash_max_listpack_entries = 1;
    for (size_t i = 0; i < UNIT_COUNT(small); i++) {
        ck_assert_int_eq(restore(&fixture, "key", small[i]), VALUE_DECODED);
        ck_assert_str_eq(value_encoding(store_fixture_entry(&fixture, 0, "key")), "hashtable");
        expect_field(&fixture, "key", "f", "v");
        expect_field(&fixture, "key", "n", "12");
    }
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_makes_a_pack_of_few_small_fields) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(restore(&fixture, "key", (struct span)SPAN_LITERAL("\x04\x01\x01\x66\x01v")),
                     VALUE_DECODED);
    ck_assert_str_eq(value_encoding(store_fixture_entry(&fixture, 0, "key")), "listpack");
    expect_field(&fixture, "key", "f", "v");
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_writes_the_bytes_of_redis_where_it_compresses_nothing) {
    const struct span payloads[] = {
        pack,
        SPAN_LITERAL("\x00\xc0\xfb"),
        SPAN_LITERAL("\x00\x05hello"),
        SPAN_LITERAL("\x00\x0f"
                     "123456789012345"),
        SPAN_LITERAL("\x04\x01\x01\x66\x40\x41yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                     "yyyyyyyyyyyy"),
    };
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++) {
        ck_assert_int_eq(restore(&fixture, "key", payloads[i]), VALUE_DECODED);
        struct buffer payload = dump(&fixture, "key", false);
        ck_assert_msg(span_equal(buffer_span(&payload), payloads[i]), "payload %zu", i);
        buffer_free(&payload);
    }
    close_fixture(&fixture);
}
END_TEST

/* ---- round trips ---- */

static struct span draw(struct random *random, char *place, size_t length_max) {
    if (random_below(random, 3) == 0) {
        return span_of(
            place, number_format(place, (int64_t)random_next(random) >> random_below(random, 64)));
    }
    size_t length = random_below(random, length_max);
    uint64_t letters = random_below(random, 2) == 0 ? 3 : 256;
    for (size_t i = 0; i < length; i++) {
        place[i] = (char)random_below(random, letters);
    }
    return span_of(place, length);
}

enum { DRAWN_BYTES_MAX = 40000 };

/* Lengths of all magnitudes, those of blocks too. */
static void put_string(struct store_fixture *fixture, struct random *random, char *bytes) {
    static const size_t maxima[] = {30, 300, 3000, DRAWN_BYTES_MAX};
    struct place place = store_fixture_place(fixture, 0, span_of_string("key"));
    struct string_put put = {
        .bytes = draw(random, bytes, maxima[random_below(random, UNIT_COUNT(maxima))]),
        .expiry_ms = ENTRY_NO_EXPIRY,
        .is_text = random_below(random, 2) == 0,
    };
    value_string_put(place.store, 0, place.slot, place.hash, place.key, place.cell, &put);
}

START_TEST(value_codec_restores_the_strings_that_it_dumped) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct random random;
    random_seed(&random, 11);
    char *bytes = memory_alloc(DRAWN_BYTES_MAX);
    for (int i = 0; i < 600; i++) {
        put_string(&fixture, &random, bytes);
        struct buffer payload = dump(&fixture, "key", i % 2 == 0);
        ck_assert_int_eq(restore(&fixture, "copy", buffer_span(&payload)), VALUE_DECODED);
        char scratches[2][NUMBER_TEXT_BYTES_MAX];
        ck_assert(span_equal(value_string(store_fixture_entry(&fixture, 0, "key"), scratches[0]),
                             value_string(store_fixture_entry(&fixture, 0, "copy"), scratches[1])));
        buffer_free(&payload);
    }
    memory_free(bytes);
    close_fixture(&fixture);
}
END_TEST

struct comparison {
    const struct store *store;
    const struct entry *other;
};

static void compare(struct span field, struct span value, void *context) {
    const struct comparison *comparison = context;
    char scratch[HASH_SCRATCH_BYTES];
    struct span found;
    ck_assert(hash_value_get(comparison->store, comparison->other, field, scratch, &found));
    ck_assert(span_equal(found, value));
}

static void put_hash(struct store_fixture *fixture, struct random *random, char *bytes) {
    struct place place = store_fixture_place(fixture, 0, span_of_string("key"));
    if (place.cell != NULL) {
        store_remove(place.store, 0, place.slot, place.hash, place.cell);
    }
    uint64_t *cell = hash_value_new(place.store, 0, place.slot, place.hash, place.key);
    static const uint64_t counts[] = {5, 50, 500};
    for (uint64_t left = 1 + random_below(random, counts[random_below(random, 3)]); left != 0;
         left--) {
        struct span field = draw(random, bytes, 70);
        struct span value = draw(random, bytes + 100, left == 7 ? 20000 : 70);
        hash_value_put(place.store, cell, field, value);
    }
}

START_TEST(value_codec_restores_the_hashes_that_it_dumped) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct random random;
    random_seed(&random, 12);
    char *bytes = memory_alloc(DRAWN_BYTES_MAX);
    for (int i = 0; i < 150; i++) {
        fixture.options.hash_max_listpack_entries = (int64_t)random_below(&random, 100);
        put_hash(&fixture, &random, bytes);
        struct buffer payload = dump(&fixture, "key", i % 2 == 0);
        ck_assert_int_eq(restore(&fixture, "copy", buffer_span(&payload)), VALUE_DECODED);
        const struct entry *entry = store_fixture_entry(&fixture, 0, "key");
        struct comparison comparison = {.store = fixture.store,
                                        .other = store_fixture_entry(&fixture, 0, "copy")};
        ck_assert_uint_eq(hash_value_length(entry), hash_value_length(comparison.other));
        hash_value_each(entry, compare, &comparison);
        buffer_free(&payload);
    }
    memory_free(bytes);
    close_fixture(&fixture);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(value_codec_refuses_what_no_value_is) {
    static const struct {
        struct span payload;
        enum value_decode_status status;
    } refused[] = {
        {SPAN_LITERAL(""), VALUE_DAMAGED},
        {SPAN_LITERAL("\x08"), VALUE_DAMAGED},              /* no such type */
        {SPAN_LITERAL("\x16\x00"), VALUE_DAMAGED},          /* nor this */
        {SPAN_LITERAL("\xff"), VALUE_DAMAGED},              /* nor this */
        {SPAN_LITERAL("\x01\x01\x01x"), VALUE_UNSUPPORTED}, /* a list */
        {SPAN_LITERAL("\x00\x05hell"), VALUE_DAMAGED},      /* cut off */
        {SPAN_LITERAL("\x00\x05helloo"), VALUE_DAMAGED},    /* more than it says */
        {SPAN_LITERAL("\x04\x00"), VALUE_EMPTY},            /* no fields */
        {SPAN_LITERAL("\x10\x07\x07\x00\x00\x00\x00\x00\xff"), VALUE_EMPTY},
        {SPAN_LITERAL("\x09\x02\x00\xff"), VALUE_EMPTY},
        {SPAN_LITERAL("\x0d\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff"), VALUE_EMPTY},
        {SPAN_LITERAL("\x04\x02\x01\x66\x01v\x01\x66\x01w"), VALUE_DAMAGED}, /* f twice */
        {SPAN_LITERAL("\x04\x01\x01\x66\x01v\x01"), VALUE_DAMAGED},          /* more than it says */
        {SPAN_LITERAL("\x10\x10\x10\x00\x00\x00\x04\x00\x81\x66\x02\x01\x01\x81\x66\x02\xff"),
         VALUE_DAMAGED}, /* damaged pack */
        {SPAN_LITERAL("\x10\x12\x12\x00\x00\x00\x04\x00\x81\x66\x02\x81v\x02\x81\x66\x02\x0c\x01"
                      "\xff"),
         VALUE_DAMAGED}, /* f twice */
        {SPAN_LITERAL("\x10\x0a\x0a\x00\x00\x00\x01\x00\x81\x66\x02\xff"),
         VALUE_DAMAGED}, /* a field without a value */
        {SPAN_LITERAL("\x09\x0e\x02\x01\x66\x01\x00v\x01\x66\x01\x00w...\xff"),
         VALUE_DAMAGED}, /* bytes behind the zipmap's fields */
        {SPAN_LITERAL("\x09\x0c\x02\x01\x66\x01\x00v\x01\x66\x01\x00w\xff"),
         VALUE_DAMAGED}, /* f twice */
        {SPAN_LITERAL("\x09\x07\x02\x01\x66\x01\x00v\xff"),
         VALUE_DAMAGED}, /* two said, one there */
        {SPAN_LITERAL("\x09\x07\x01\x01\x66\x01\x01v\xff"), VALUE_DAMAGED}, /* unused: the end */
    };
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(refused); i++) {
        enum value_decode_status status = restore(&fixture, "key", refused[i].payload);
        ck_assert_msg(status == refused[i].status, "payload %zu: %d", i, (int)status);
    }
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_refuses_twins_of_tables_too) {
    const struct span twins[] = {
        SPAN_LITERAL("\x04\x02\x01\x66\x01v\x01\x66\x01w"),
        SPAN_LITERAL(
            "\x10\x12\x12\x00\x00\x00\x04\x00\x81\x66\x02\x81v\x02\x81\x66\x02\x0c\x01\xff"),
        SPAN_LITERAL("\x09\x0c\x02\x01\x66\x01\x00v\x01\x66\x01\x00w\xff"),
    };
    struct store_fixture fixture;
    open_fixture(&fixture);
    fixture.options.hash_max_listpack_entries = 1;
    for (size_t i = 0; i < UNIT_COUNT(twins); i++) {
        ck_assert_int_eq(restore(&fixture, "key", twins[i]), VALUE_DAMAGED);
    }
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_refuses_every_payload_that_is_cut_off) {
    const struct span payloads[] = {pack, pack_compressed, fields, ziplist, zipmap};
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++) {
        for (size_t length = 0; length < payloads[i].length; length++) {
            ck_assert_int_eq(restore(&fixture, "key", span_of(payloads[i].bytes, length)),
                             VALUE_DAMAGED);
        }
    }
    close_fixture(&fixture);
}
END_TEST

START_TEST(value_codec_survives_every_change_of_a_byte) {
    const struct span payloads[] = {pack, pack_compressed, fields, ziplist, zipmap};
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++) {
        for (size_t place = 0; place < payloads[i].length; place++) {
            for (unsigned change = 1; change < 256; change++) {
                char *bytes = memory_copy(payloads[i].bytes, payloads[i].length);
                bytes[place] = (char)((unsigned char)bytes[place] ^ change);
                if (restore(&fixture, "key", span_of(bytes, payloads[i].length)) == VALUE_DECODED) {
                    struct buffer again = dump(&fixture, "key", true);
                    buffer_free(&again);
                }
                memory_free(bytes);
            }
        }
    }
    close_fixture(&fixture);
}
END_TEST

/* ---- extents ---- */

START_TEST(value_extent_finds_the_end_however_the_bytes_arrive) {
    const struct span payloads[] = {pack,
                                    pack_compressed,
                                    fields,
                                    ziplist,
                                    zipmap,
                                    SPAN_LITERAL("\x00\x05hello"),
                                    SPAN_LITERAL("\x04\x00")};
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++) {
        for (size_t step = 1; step <= payloads[i].length; step++) {
            struct value_extent extent;
            struct span body = span_of(payloads[i].bytes + 1, payloads[i].length - 1);
            value_extent_begin(&extent, (uint8_t)payloads[i].bytes[0]);
            enum rdb_status status = RDB_INCOMPLETE;
            size_t there = 0;
            while (status == RDB_INCOMPLETE) {
                ck_assert_uint_le(extent.needed, body.length);
                ck_assert_uint_lt(there, body.length);
                there = there + step > body.length ? body.length : there + step;
                status = value_extent_find(&extent, span_of(body.bytes, there));
            }
            ck_assert_int_eq(status, RDB_DONE);
            ck_assert_uint_eq(extent.length, body.length);
        }
    }
}
END_TEST

START_TEST(value_extent_says_how_much_of_a_string_is_missing) {
    struct value_extent extent;
    value_extent_begin(&extent, 0);
    ck_assert_int_eq(value_extent_find(&extent, (struct span)SPAN_LITERAL("\x80\x00\x01\x00\x00x")),
                     RDB_INCOMPLETE);
    ck_assert_uint_eq(extent.needed, 5 + 65536);
    ck_assert_uint_eq(extent.length, 0);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        value_codec_takes_every_form_of_a_string,
        value_codec_takes_every_form_of_a_hash,
        value_codec_makes_a_table_of_a_pack_with_more_fields_than_the_limit,
        value_codec_makes_a_pack_of_few_small_fields,
        value_codec_writes_the_bytes_of_redis_where_it_compresses_nothing,
        value_codec_restores_the_strings_that_it_dumped,
        value_codec_restores_the_hashes_that_it_dumped,
        value_codec_refuses_what_no_value_is,
        value_codec_refuses_twins_of_tables_too,
        value_codec_refuses_every_payload_that_is_cut_off,
        value_codec_survives_every_change_of_a_byte,
        value_extent_finds_the_end_however_the_bytes_arrive,
        value_extent_says_how_much_of_a_string_is_missing,
    };
    return unit_run(unit_suite("value_codec", tests, UNIT_COUNT(tests)));
}
