/* Data commands with arguments from outside: no arguments break a rule of call.h, a store's
 * invariant or the protocol, and the effects alone make the same data.
 *
 * The input is text, so that a corpus can be read and written by hand:
 *
 *     3            the first byte: bit 0 for three stores in place of one, bit 1 for RESP3
 *     SET k v      a line is a call, a word an argument
 *     SET k ~20000 an argument of so many bytes
 *     @1000        so many milliseconds later
 *     /1           the database
 */
#include "base/assertion.h"
#include "base/memory.h"
#include "commands/bitmap.h"
#include "commands/dump.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"
#include "store/value.h"

/* The harness is a source of its own: fuzzers are linked with the layers alone. */
#include "tests/unit/commands/call_harness.c"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Small, so that no input asks for much memory or time. */
#define STRING_BYTES_MAX ((int64_t)256 * 1024)
#define LONG_ARGUMENT_BYTES_MAX ((uint64_t)40000)
#define WORDS_MAX 64

static const struct command *const families[] = {
    string_commands,     string_part_commands, string_number_commands,
    string_lcs_commands, bitmap_commands,      bitfield_commands,
    hash_commands,       hash_walk_commands,   hash_random_commands,
    generic_commands,    object_commands,      expire_commands,
    keyspace_commands,   dump_commands,        NULL};

/* ---- the reply is one value ---- */

static bool has_bytes(char type) {
    return type == '$' || type == '=';
}

/* Values that follow the header of a type with elements. */
static int64_t elements_of(char type, int64_t count) {
    switch (type) {
    case '*':
    case '~':
    case '>':
        return count < 0 ? 0 : count;
    case '%':
        return count * 2;
    case '|':
        return count * 2 + 1;
    default:
        return 0;
    }
}

/* Reads a line of the reply; moves *rest behind it. */
static struct span take_line(struct span *rest) {
    const char *end = memchr(rest->bytes, '\r', rest->length);
    ASSERT(end != NULL);
    size_t line = (size_t)(end - rest->bytes);
    ASSERT(line + 2 <= rest->length && end[1] == '\n');
    struct span taken = span_of(rest->bytes, line);
    *rest = span_of(rest->bytes + line + 2, rest->length - line - 2);
    return taken;
}

static void check_reply(struct span rest) {
    for (int64_t missing = 1; missing != 0; missing--) {
        struct span line = take_line(&rest);
        ASSERT(line.length != 0 && strchr("+-:$*_,#(=%~>|", line.bytes[0]) != NULL);
        int64_t count = 0;
        char type = line.bytes[0];
        if (has_bytes(type) || type == '*' || elements_of(type, 1) != 0) {
            ASSERT(number_parse(span_of(line.bytes + 1, line.length - 1), &count));
            ASSERT(count >= -1);
        }
        missing += elements_of(type, count);
        if (has_bytes(type) && count >= 0) {
            ASSERT((uint64_t)count + 2 <= rest.length);
            ASSERT(memcmp(rest.bytes + count, "\r\n", 2) == 0);
            rest = span_of(rest.bytes + count + 2, rest.length - (size_t)count - 2);
        }
    }
    ASSERT(rest.length == 0);
}

/* ---- calls ---- */

/* The argument that a word means; *copy is to be freed. */
static struct span argument_of(struct span word, char **copy) {
    uint64_t length;
    *copy = NULL;
    if (word.length == 0 || word.bytes[0] != '~' ||
        !number_parse_unsigned(span_of(word.bytes + 1, word.length - 1), &length)) {
        return word;
    }
    length %= LONG_ARGUMENT_BYTES_MAX + 1;
    *copy = memory_alloc(length);
    memset(*copy, 'x', length);
    return span_of(*copy, length);
}

/* Cuts at the byte; *rest is what is behind it. */
static struct span cut(struct span *rest, char at) {
    const char *end = memchr(rest->bytes, at, rest->length);
    size_t length = end == NULL ? rest->length : (size_t)(end - rest->bytes);
    struct span taken = span_of(rest->bytes, length);
    size_t behind = end == NULL ? length : length + 1;
    *rest = span_of(rest->bytes + behind, rest->length - behind);
    return taken;
}

/* HRANDFIELD answers as many fields as it is asked for, with repeats: memory without a limit, in
 * Redis as here. */
static bool asks_too_much(const struct span *args, uint32_t count) {
    return count > 2 && span_is(args[0], "hrandfield") && args[2].length > 4;
}

static void run_line(struct call_harness *harness, struct span line) {
    struct span args[WORDS_MAX];
    char *copies[WORDS_MAX];
    uint32_t count = 0;
    while (line.length != 0 && count < WORDS_MAX) {
        args[count] = argument_of(cut(&line, ' '), &copies[count]);
        count++;
    }
    if (count != 0 && !asks_too_much(args, count) &&
        call_harness_run(harness, args, count)[0] != '<') {
        check_reply(buffer_span(&harness->reply));
    }
    for (uint32_t i = 0; i < count; i++) {
        memory_free(copies[i]);
    }
}

static void obey_line(struct call_harness *harness, struct span line) {
    uint64_t number;
    bool has_number = line.length != 0 &&
                      number_parse_unsigned(span_of(line.bytes + 1, line.length - 1), &number);
    if (has_number && line.bytes[0] == '@') {
        harness->now_ms += (int64_t)(number % (INT64_C(1) << 40));
    } else if (has_number && line.bytes[0] == '/') {
        harness->database = (uint32_t)(number % harness->keyspace->database_count);
    } else {
        run_line(harness, line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct call_harness harness;
    call_harness_open(&harness, families, (bytes[0] & 1) != 0 ? 3 : 1);
    harness.protocol = (bytes[0] & 2) != 0 ? 3 : 2;
    harness.options.proto_max_bulk_len = STRING_BYTES_MAX;
    harness.options.hash_max_listpack_entries = 8;
    struct span rest = span_of(bytes + 1, length - 1);
    while (rest.length != 0) {
        obey_line(&harness, cut(&rest, '\n'));
    }
    call_harness_close(&harness);
    return 0;
}
