#include "base/lzf.h"

#include "base/memory.h"
#include "base/random.h"

#include "tests/unit/unit.h"

#define BYTES_MAX 20000

/* Memory of the exact size, so that a sanitizer sees what goes beyond. */
static bool expands_to(struct span compressed, struct span expected) {
    char *source = memory_copy(compressed.bytes, compressed.length);
    char *target = memory_alloc(expected.length + 1);
    bool is_same = lzf_expand(span_of(source, compressed.length), target, expected.length) &&
                   memcmp(target, expected.bytes, expected.length) == 0;
    memory_free(source);
    memory_free(target);
    return is_same;
}

/* Runs that repeat themselves more or less. */
static struct span draw(struct random *random, char *bytes) {
    size_t length = random_below(random, BYTES_MAX) + 1;
    uint64_t letters = random_below(random, 20) == 0 ? 256 : random_below(random, 6) + 1;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)random_below(random, letters);
    }
    for (uint64_t copies = random_below(random, 50); copies != 0; copies--) {
        size_t from = random_below(random, length);
        size_t to = random_below(random, length);
        size_t count = random_below(random, 600);
        size_t room = length - (from > to ? from : to);
        memmove(bytes + to, bytes + from, count < room ? count : room);
    }
    return span_of(bytes, length);
}

START_TEST(lzf_expands_what_it_compressed) {
    char *bytes = memory_alloc(BYTES_MAX);
    char *compressed = memory_alloc(BYTES_MAX * 2);
    struct random random;
    random_seed(&random, 3);
    size_t shorter = 0;
    for (int i = 0; i < 1000; i++) {
        struct span source = draw(&random, bytes);
        size_t length = lzf_compress(source, compressed, BYTES_MAX * 2);
        ck_assert_uint_ne(length, 0);
        ck_assert(expands_to(span_of(compressed, length), source));
        shorter += length < source.length;
    }
    ck_assert_uint_gt(shorter, 800);
    memory_free(bytes);
    memory_free(compressed);
}
END_TEST

START_TEST(lzf_writes_nothing_beyond_its_room) {
    struct span source = SPAN_LITERAL("no three letters of this come again, so nothing to gain");
    char room[80];
    size_t needed = lzf_compress(source, room, sizeof(room));
    ck_assert_uint_gt(needed, 0);
    for (size_t size = 0; size < sizeof(room); size++) {
        char *target = memory_alloc(size + 1);
        ck_assert_uint_eq(lzf_compress(source, target, size), size < needed ? 0 : needed);
        memory_free(target);
    }
}
END_TEST

START_TEST(lzf_makes_a_byte_repeated_short) {
    char source[4000];
    memset(source, 'x', sizeof(source));
    char target[sizeof(source)];
    size_t length = lzf_compress(span_of(source, sizeof(source)), target, sizeof(target));
    ck_assert_uint_lt(length, sizeof(source) / LZF_EXPANSION_MAX + 10);
    ck_assert(expands_to(span_of(target, length), span_of(source, sizeof(source))));
}
END_TEST

START_TEST(lzf_expands_what_redis_compressed) {
    /* Bytes of answers of redis-server 7.0 to DUMP, behind the lengths. */
    static const char letters[] = "\x01"
                                  "aa\xe0\x53\x00\x01"
                                  "aa";
    char expected[100];
    memset(expected, 'a', sizeof(expected));
    ck_assert(expands_to(span_of(letters, sizeof(letters) - 1), span_of(expected, 96)));
}
END_TEST

START_TEST(lzf_refuses_what_is_cut_off_or_reaches_outside) {
    static const struct {
        struct span source;
        size_t length;
    } broken[] = {
        {SPAN_LITERAL("\x01z"), 2},               /* a literal is missing */
        {SPAN_LITERAL("\x00z\x20"), 4},           /* the distance is missing */
        {SPAN_LITERAL("\x00z\xe0"), 10},          /* length and distance are missing */
        {SPAN_LITERAL("\x00z\xe0\x00"), 10},      /* the distance is missing */
        {SPAN_LITERAL("\x20\x00"), 3},            /* nothing to copy from */
        {SPAN_LITERAL("\x00z\x20\x01"), 4},       /* from before the start */
        {SPAN_LITERAL("\x00z\x20\x00"), 3},       /* more than length bytes */
        {SPAN_LITERAL("\x02zzz"), 2},             /* more than length bytes */
        {SPAN_LITERAL("\x00z\x20\x00"), 5},       /* fewer */
        {SPAN_LITERAL("\x00z\xe0\xff\x00"), 264}, /* one more */
    };
    for (size_t i = 0; i < UNIT_COUNT(broken); i++) {
        char target[300];
        char *source = memory_copy(broken[i].source.bytes, broken[i].source.length);
        ck_assert_msg(
            !lzf_expand(span_of(source, broken[i].source.length), target, broken[i].length),
            "row %zu is accepted", i);
        memory_free(source);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        lzf_expands_what_it_compressed,
        lzf_writes_nothing_beyond_its_room,
        lzf_makes_a_byte_repeated_short,
        lzf_expands_what_redis_compressed,
        lzf_refuses_what_is_cut_off_or_reaches_outside,
    };
    return unit_run(unit_suite("lzf", tests, UNIT_COUNT(tests)));
}
