#include "commands/string.h"

#include "commands/arguments.h"

/* ---- reading ---- */

static void reply_part(struct call *call, const struct entry *entry, struct range range) {
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span text = value_string(entry, scratch);
    range_cut(&range, (int64_t)text.length);
    if (range.start > range.end) {
        reply_bulk(call->reply, span_of("", 0));
        return;
    }
    size_t start = (size_t)range.start;
    size_t length = (size_t)(range.end - range.start) + 1;
    if (entry_kind(entry) == ENTRY_BLOCK && length >= BLOCK_BYTES_MIN) {
        reply_bulk_block(call->reply, entry_block(entry), start, length);
    } else {
        reply_bulk(call->reply, span_of(text.bytes + start, length));
    }
}

static void getrange(struct call *call) {
    struct range range;
    if (!arguments_range(call, 2, &range)) {
        return;
    }
    bool is_wrong;
    struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (is_wrong) {
        return;
    }
    if (entry == NULL || range_is_backward(&range)) {
        reply_bulk(call->reply, span_of("", 0));
    } else {
        reply_part(call, entry, range);
    }
}

static void string_length(struct call *call) {
    bool is_wrong;
    struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (!is_wrong) {
        reply_integer(call->reply, entry == NULL ? 0 : (int64_t)value_string_length(entry));
    }
}

bool string_reserve(struct call *call, const struct place *place, size_t length_bytes) {
    if (value_string_reserve(place->store, place->cell, length_bytes)) {
        return true;
    }
    string_reply_no_memory(call);
    return false;
}

void string_reply_no_memory(struct call *call) {
    reply_error(call->reply, "OOM command not allowed: no memory for a string of this size");
}

/* Whether a string may have so many bytes behind the offset: within the limit, and with memory.
 * Else the reply says why. */
static bool may_grow(struct call *call, const struct place *place, size_t offset, size_t bytes) {
    size_t total;
    if (__builtin_add_overflow(offset, bytes, &total) ||
        total > (size_t)call->environment->options->proto_max_bulk_len) {
        reply_error(call->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
    return string_reserve(call, place, total);
}

/* Writes argument i into the string from offset on; replies with the string's length. */
static void patch(struct call *call, struct place *place, size_t offset, uint32_t i,
                  enum event event) {
    struct span bytes = call->args[i];
    if (!may_grow(call, place, offset, bytes.length)) {
        return;
    }
    arguments_notify_new(call, place);
    int64_t now = call_emit(call, place,
                            &(struct effect){
                                .kind = EFFECT_STRING_PATCH,
                                .event = event,
                                .value = bytes,
                                .number = (int64_t)offset,
                            });
    reply_integer(call->reply, now);
}

static void append(struct call *call) {
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_STRING, &place)) {
        return;
    }
    if (place.cell == NULL) {
        string_put(call, &place, 2, EVENT_APPEND_ID, ENTRY_NO_EXPIRY);
        reply_integer(call->reply, (int64_t)call->args[2].length);
        return;
    }
    size_t end = value_string_length(table_cell_element(*place.cell));
    patch(call, &place, end, 2, EVENT_APPEND_ID);
}

static void setrange(struct call *call) {
    int64_t offset;
    if (!call_integer(call, 2, &offset, NULL)) {
        return;
    }
    if (offset < 0) {
        reply_error(call->reply, "ERR offset is out of range");
        return;
    }
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_STRING, &place)) {
        return;
    }
    if (call->args[3].length == 0) {
        const struct entry *entry = place_entry(&place);
        reply_integer(call->reply, entry == NULL ? 0 : (int64_t)value_string_length(entry));
        return;
    }
    patch(call, &place, (size_t)offset, 3, EVENT_SETRANGE_ID);
}

/* ---- rows ---- */

const struct command string_part_commands[] = {
    {
        .name = "append",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_INSERT),
        .run = append,
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(N) with N the length of what is appended; the string's own length does "
                      "not matter on average, since it grows with room to spare.",
        .summary = "Adds bytes at the end of a string. A key that is not there is created.",
        .syntax = "key value",
    },
    {
        .name = "getrange",
        .arity = 4,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = getrange,
        .group = "string",
        .since = "2.4.0",
        .complexity =
            "O(N) with N the length of the part; O(1) for a large part of a large string.",
        .summary = "Answers the part of a string between two places, both inside.",
        .syntax = "key start end",
    },
    {
        .name = "setrange",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_UPDATE),
        .run = setrange,
        .group = "string",
        .since = "2.2.0",
        .complexity = "O(N) with N the length of the value, and of the zeros up to it.",
        .summary = "Writes over the bytes of a string from an offset on; it grows as needed.",
        .syntax = "key offset value",
    },
    {
        .name = "strlen",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO),
        .run = string_length,
        .group = "string",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Answers how many bytes the string at a key has.",
        .syntax = "key",
    },
    {
        .name = "substr",
        .arity = 4,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = getrange,
        .group = "string",
        .since = "1.0.0",
        .complexity =
            "O(N) with N the length of the part; O(1) for a large part of a large string.",
        .summary = "Answers the part of a string between two places, both inside.",
        .syntax = "key start end",
        .deprecated_since = "2.0.0",
        .replaced_by = "`GETRANGE`",
    },
    {.name = NULL},
};
