#include "commands/string.h"

#include "commands/arguments.h"

#include <math.h>

static void increase(struct call *call, int64_t by) {
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_STRING, &place)) {
        return;
    }
    int64_t number = 0;
    if (place.cell != NULL && !value_string_is_integer(table_cell_element(*place.cell), &number)) {
        reply_error(call->reply, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(number, by, &number)) {
        reply_error(call->reply, "ERR increment or decrement would overflow");
        return;
    }
    arguments_notify_new(call, &place);
    call_emit(call, &place,
              &(struct effect){
                  .kind = EFFECT_INTEGER_PUT,
                  .event = EVENT_INCRBY_ID,
                  .number = number,
              });
    reply_integer(call->reply, number);
}

static void incr(struct call *call) {
    increase(call, 1);
}

static void decr(struct call *call) {
    increase(call, -1);
}

static void incrby(struct call *call) {
    int64_t by;
    if (call_integer(call, 2, &by, NULL)) {
        increase(call, by);
    }
}

static void decrby(struct call *call) {
    int64_t by;
    if (!call_integer(call, 2, &by, NULL)) {
        return;
    }
    if (by == INT64_MIN) {
        reply_error(call->reply, "ERR decrement would overflow");
        return;
    }
    increase(call, -by);
}

/* The string as a number; 0 when there is none. */
static bool float_of(const struct entry *entry, long double *number) {
    if (entry == NULL) {
        *number = 0;
        return true;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    return number_parse_long_double(value_string(entry, scratch), number);
}

static void incrbyfloat(struct call *call) {
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_STRING, &place)) {
        return;
    }
    const struct entry *entry = place_entry(&place);
    long double number;
    long double by;
    if (!float_of(entry, &number) || !number_parse_long_double(call->args[2], &by)) {
        reply_error(call->reply, "ERR value is not a valid float");
        return;
    }
    number += by;
    if (isnan(number) || isinf(number)) {
        reply_error(call->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX];
    struct span sum = span_of(text, number_format_long_double(text, number));
    arguments_notify_new(call, &place);
    call_emit(call, &place,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .event = EVENT_INCRBYFLOAT_ID,
                  .value = sum,
                  .is_text = true,
                  .expiry_ms = entry == NULL ? ENTRY_NO_EXPIRY : entry_expiry(entry),
              });
    reply_bulk(call->reply, sum);
}

const struct command string_number_commands[] = {
    {
        .name = "decr",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = decr,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Takes one from the number at a key. A key that is not there counts as 0.",
        .syntax = "key",
    },
    {
        .name = "decrby",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = decrby,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Takes so much from the number at a key. A key that is not there counts as 0.",
        .syntax = "key decrement",
    },
    {
        .name = "incr",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = incr,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Adds one to the number at a key. A key that is not there counts as 0.",
        .syntax = "key",
    },
    {
        .name = "incrby",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = incrby,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Adds so much to the number at a key. A key that is not there counts as 0.",
        .syntax = "key increment",
    },
    {
        .name = "incrbyfloat",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = incrbyfloat,
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Adds a decimal fraction to the number at a key. A key that is not there counts "
                   "as 0.",
        .syntax = "key increment(double)",
    },
    {.name = NULL},
};
