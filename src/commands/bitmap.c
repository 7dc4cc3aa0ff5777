#include "commands/bitmap.h"

#include "base/memory.h"
#include "commands/arguments.h"
#include "commands/bits.h"
#include "commands/string.h"

bool bitmap_parse_offset(struct call *call, uint32_t i, unsigned field_bits, uint64_t *offset) {
    struct span text = call->args[i];
    int64_t factor = 1;
    if (field_bits != 0 && text.length != 0 && text.bytes[0] == '#') {
        text = span_of(text.bytes + 1, text.length - 1);
        factor = field_bits;
    }
    int64_t number;
    if (!number_parse(text, &number) || __builtin_mul_overflow(number, factor, &number) ||
        number < 0 || number / 8 >= call->environment->options->proto_max_bulk_len) {
        reply_error(call->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)number;
    return true;
}

static unsigned bit_at(struct span bytes, uint64_t offset) {
    size_t at = offset / 8;
    return at < bytes.length ? (unsigned char)bytes.bytes[at] >> (7 - offset % 8) & 1U : 0;
}

/* ---- one bit ---- */

static void getbit(struct call *call) {
    uint64_t offset;
    if (!bitmap_parse_offset(call, 2, 0, &offset)) {
        return;
    }
    bool is_wrong;
    const struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (is_wrong) {
        return;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span bytes = entry == NULL ? span_of("", 0) : value_string(entry, scratch);
    reply_integer(call->reply, bit_at(bytes, offset));
}

/* False: the argument is neither 0 nor 1, and the reply says so. */
static bool parse_bit(struct call *call, uint32_t i, bool *bit) {
    static const char error[] = "ERR bit is not an integer or out of range";
    int64_t number;
    if (!call_integer(call, i, &number, error)) {
        return false;
    }
    if (number != 0 && number != 1) {
        reply_error(call->reply, error);
        return false;
    }
    *bit = number == 1;
    return true;
}

void bitmap_make_raw(struct call *call, struct place *place) {
    const struct entry *entry = place_entry(place);
    if (entry != NULL && strcmp(value_encoding(entry), "raw") != 0) {
        call_emit(call, place,
                  &(struct effect){.kind = EFFECT_STRING_PATCH, .value = span_of("", 0)});
    }
}

static void setbit(struct call *call) {
    uint64_t offset;
    bool bit;
    struct place place;
    if (!bitmap_parse_offset(call, 2, 0, &offset) || !parse_bit(call, 3, &bit) ||
        !call_write_typed(call, call->args[1], VALUE_STRING, &place)) {
        return;
    }
    const struct entry *entry = place_entry(&place);
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span bytes = entry == NULL ? span_of("", 0) : value_string(entry, scratch);
    size_t at = offset / 8;
    unsigned old = bit_at(bytes, offset);
    bool grows = at >= bytes.length;
    unsigned mask = 0x80U >> offset % 8;
    unsigned byte = grows ? 0 : (unsigned char)bytes.bytes[at];
    char patch = (char)(bit ? byte | mask : byte & ~mask);
    if (grows || old != bit) {
        if (!string_reserve(call, &place, grows ? at + 1 : bytes.length)) {
            return;
        }
        arguments_notify_new(call, &place);
        call_emit(call, &place,
                  &(struct effect){
                      .kind = EFFECT_STRING_PATCH,
                      .event = EVENT_SETBIT_ID,
                      .value = span_of(&patch, 1),
                      .number = (int64_t)at,
                  });
    } else {
        bitmap_make_raw(call, &place);
    }
    reply_integer(call->reply, old);
}

/* ---- ranges of bits ---- */

/* The unit of a range, from argument i. False: the reply is a syntax error. */
static bool parse_unit(struct call *call, uint32_t i, bool *counts_bits) {
    *counts_bits = span_is(call->args[i], "bit");
    if (!*counts_bits && !span_is(call->args[i], "byte")) {
        call_reply_syntax_error(call);
        return false;
    }
    return true;
}

/* Turns places in the unit, possibly negative, into places of bits. Empty when start > end. */
static void range_to_bits(struct range *range, struct span bytes, bool counts_bits) {
    if (counts_bits) {
        range_cut(range, (int64_t)bytes.length * 8);
        return;
    }
    range_cut(range, (int64_t)bytes.length);
    /* The start of an empty range may be any number. */
    if (range->start <= range->end) {
        range->start *= 8;
        range->end = range->end * 8 + 7;
    }
}

static void bitcount(struct call *call) {
    bool is_wrong;
    const struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (entry == NULL) {
        if (!is_wrong) {
            reply_integer(call->reply, 0);
        }
        return;
    }
    struct range range = {.start = 0, .end = -1};
    bool counts_bits = false;
    if (call->args_count == 3 || call->args_count > 5) {
        call_reply_syntax_error(call);
        return;
    }
    if (call->args_count != 2 && !arguments_range(call, 2, &range)) {
        return;
    }
    /* Redis answers before it looks at the unit. */
    if (range_is_backward(&range)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (call->args_count == 5 && !parse_unit(call, 4, &counts_bits)) {
        return;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span bytes = value_string(entry, scratch);
    range_to_bits(&range, bytes, counts_bits);
    uint64_t count =
        range.start > range.end ? 0 : bits_count(bytes, (uint64_t)range.start, (uint64_t)range.end);
    reply_integer(call->reply, (int64_t)count);
}

/* The range of BITPOS. False: the reply says what is wrong. */
static bool parse_position_range(struct call *call, struct range *range, bool *counts_bits) {
    *range = (struct range){.start = 0, .end = -1};
    *counts_bits = false;
    if (call->args_count > 6) {
        call_reply_syntax_error(call);
        return false;
    }
    return (call->args_count < 4 || call_integer(call, 3, &range->start, NULL)) &&
           (call->args_count < 6 || parse_unit(call, 5, counts_bits)) &&
           (call->args_count < 5 || call_integer(call, 4, &range->end, NULL));
}

static int64_t position(struct span bytes, bool bit, const struct range *range, bool has_end) {
    if (range->start > range->end) {
        return -1;
    }
    uint64_t found = bits_find(bytes, bit, (uint64_t)range->start, (uint64_t)range->end);
    if (found != BITS_NONE) {
        return (int64_t)found;
    }
    /* Without an end, the string is as if zeros followed. */
    return !bit && !has_end ? range->end + 1 : -1;
}

static void bitpos(struct call *call) {
    int64_t bit;
    if (!call_integer(call, 2, &bit, NULL)) {
        return;
    }
    if (bit != 0 && bit != 1) {
        reply_error(call->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    bool is_wrong;
    const struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (entry == NULL) {
        if (!is_wrong) {
            reply_integer(call->reply, bit == 1 ? -1 : 0);
        }
        return;
    }
    struct range range;
    bool counts_bits;
    if (!parse_position_range(call, &range, &counts_bits)) {
        return;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span bytes = value_string(entry, scratch);
    range_to_bits(&range, bytes, counts_bits);
    reply_integer(call->reply, position(bytes, bit == 1, &range, call->args_count > 4));
}

/* ---- BITOP ---- */

#define FIRST_SOURCE 3

static bool parse_operation(struct call *call, enum bits_operation *operation) {
    static const char *const words[] = {
        [BITS_AND] = "and", [BITS_OR] = "or", [BITS_XOR] = "xor", [BITS_NOT] = "not"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(call->args[1], words[i])) {
            *operation = (enum bits_operation)i;
            return true;
        }
    }
    call_reply_syntax_error(call);
    return false;
}

/* The length of the longest source. False: one is no string, and the reply says so. */
static bool measure_sources(struct call *call, size_t *longest) {
    *longest = 0;
    for (uint32_t i = FIRST_SOURCE; i < call->args_count; i++) {
        bool is_wrong;
        const struct entry *entry = call_read_typed(call, call->args[i], VALUE_STRING, &is_wrong);
        if (is_wrong) {
            return false;
        }
        size_t length = entry == NULL ? 0 : value_string_length(entry);
        *longest = length > *longest ? length : *longest;
    }
    return true;
}

static void combine_sources(struct call *call, enum bits_operation operation, unsigned char *result,
                            size_t length) {
    for (uint32_t i = FIRST_SOURCE; i < call->args_count; i++) {
        char scratch[NUMBER_TEXT_BYTES_MAX];
        struct span source = string_at(call, call->args[i], scratch);
        if (i != FIRST_SOURCE || operation == BITS_NOT) {
            bits_combine(operation, result, length, source);
            continue;
        }
        memcpy(result, source.bytes, source.length);
        memset(result + source.length, 0, length - source.length);
    }
}

static void put_result(struct call *call, struct span result, struct block *block) {
    struct place target = call_place(call, call->args[2]);
    arguments_notify_new(call, &target);
    call_emit(call, &target,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .event = EVENT_SET_ID,
                  .is_raw = true,
                  .value = result,
                  .block = block,
                  .expiry_ms = ENTRY_NO_EXPIRY,
              });
}

static void delete_target(struct call *call) {
    struct place target = call_place(call, call->args[2]);
    if (target.cell != NULL) {
        call_emit(call, &target,
                  &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    }
}

static void bitop(struct call *call) {
    enum bits_operation operation;
    if (!parse_operation(call, &operation)) {
        return;
    }
    if (operation == BITS_NOT && call->args_count != FIRST_SOURCE + 1) {
        reply_error(call->reply, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    size_t length;
    if (!measure_sources(call, &length)) {
        return;
    }
    unsigned char small[BLOCK_BYTES_MIN];
    if (length == 0) {
        delete_target(call);
    } else if (length < sizeof(small)) {
        combine_sources(call, operation, small, length);
        put_result(call, span_of(small, length), NULL);
    } else {
        struct block *block = block_try_new(length);
        if (block == NULL) {
            string_reply_no_memory(call);
            return;
        }
        combine_sources(call, operation, (unsigned char *)block->bytes, length);
        block->length = length;
        put_result(call, block_span(block), block);
        block_release(block);
    }
    reply_integer(call->reply, (int64_t)length);
}

/* ---- rows ---- */

const struct command bitmap_commands[] = {
    {
        .name = "bitcount",
        .arity = -2,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = bitcount,
        .group = "bitmap",
        .since = "2.6.0",
        .complexity = "O(N) with N the bytes in the range",
        .summary = "Counts the ones among a string's bits.",
        .syntax = "key [range=start end [unit=BYTE|BIT]@7.0.0]",
    },
    {
        .name = "bitop",
        .arity = -4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_OW | KEY_UPDATE, .begin = 2, .step = 1},
                 {.flags = KEY_RO | KEY_ACCESS, .begin = 3, .last = -1, .step = 1}},
        .run = bitop,
        .group = "bitmap",
        .since = "2.6.0",
        .complexity = "O(N) with N the bytes of all strings",
        .summary = "Combines strings bit by bit and keeps the result at a key.",
        .syntax = "<operation=AND|OR|XOR|NOT> destkey key [key ...]",
    },
    {
        .name = "bitpos",
        .arity = -3,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = bitpos,
        .group = "bitmap",
        .since = "2.8.7",
        .complexity = "O(N) with N the bytes in the range",
        .summary = "Finds the first one or the first zero among a string's bits.",
        .syntax = "key bit [range=start [end-unit-block=end [unit=BYTE|BIT]@7.0.0]]",
    },
    {
        .name = "getbit",
        .arity = 3,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = getbit,
        .group = "bitmap",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Answers one bit of a string; behind the end, all are 0.",
        .syntax = "key offset",
    },
    {
        .name = "setbit",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = setbit,
        .group = "bitmap",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary =
            "Sets or clears one bit of a string, which grows as needed; answers the old one.",
        .syntax = "key offset value(integer)",
    },
    {.name = NULL},
};
