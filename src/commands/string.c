#include "commands/string.h"

#include "base/memory.h"
#include "commands/arguments.h"
#include "commands/lcs.h"

#include <math.h>

/* ---- writing a whole value ---- */

/* The value is argument i. */
static void put(struct call *call, struct place *place, uint32_t i, enum event event,
                int64_t expiry_ms) {
    if (place->cell == NULL) {
        arguments_notify_new(call, place);
    } else if (UNLIKELY(maxmemory_policy_is_lfu(call->environment->options->maxmemory_policy)) &&
               !call->no_touch) {
        store_touch(place->store, table_cell_element(*place->cell));
    }
    call_emit(call, place,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .event = event,
                  .value = call->args[i],
                  .block = call_block(call, i),
                  .expiry_ms = expiry_ms,
              });
}

/* Replies with the value of the key, the first argument. False: it has another type, and the reply
 * says so. *entry is NULL when there is no such key. */
static bool reply_value(struct call *call, struct entry **entry) {
    bool is_wrong;
    *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (*entry != NULL) {
        call_reply_string(call, *entry);
    } else if (!is_wrong) {
        reply_null(call->reply);
    }
    return !is_wrong;
}

/* ---- options of SET and GETEX ---- */

enum set_option {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEPTTL = 1 << 3,
    SET_PERSIST = 1 << 4,
    SET_EX = 1 << 5,
    SET_PX = 1 << 6,
    SET_EXAT = 1 << 7,
    SET_PXAT = 1 << 8,
};

#define SET_EXPIRIES (SET_EX | SET_PX | SET_EXAT | SET_PXAT)
#define SET_ALLOWED (SET_NX | SET_XX | SET_GET | SET_KEEPTTL | SET_EXPIRIES)
#define GETEX_ALLOWED (SET_PERSIST | SET_EXPIRIES)

struct set_options {
    unsigned given;  /* enum set_option */
    uint32_t expiry; /* the argument that says when; 0: none */
};

/* An option may stand twice, but not beside one that it excludes. */
static const struct {
    const char *word;
    unsigned option;
    unsigned excluded;
} set_option_rows[] = {
    {"nx", SET_NX, SET_XX},
    {"xx", SET_XX, SET_NX},
    {"get", SET_GET, 0},
    {"keepttl", SET_KEEPTTL, SET_PERSIST | SET_EXPIRIES},
    {"persist", SET_PERSIST, SET_KEEPTTL | SET_EXPIRIES},
    {"ex", SET_EX, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_EX)},
    {"px", SET_PX, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_PX)},
    {"exat", SET_EXAT, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_EXAT)},
    {"pxat", SET_PXAT, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_PXAT)},
};

/* The option at argument i, or 0 when it is none that may stand there. */
static unsigned option_at(const struct call *call, uint32_t i, unsigned given) {
    for (size_t k = 0; k < sizeof(set_option_rows) / sizeof(set_option_rows[0]); k++) {
        if (span_is(call->args[i], set_option_rows[k].word)) {
            return (given & set_option_rows[k].excluded) != 0 ? 0 : set_option_rows[k].option;
        }
    }
    return 0;
}

/* Reads the arguments from i on. False: the reply is a syntax error. */
static bool set_options_parse(struct call *call, uint32_t i, unsigned allowed,
                              struct set_options *options) {
    *options = (struct set_options){.given = 0};
    for (; i < call->args_count; i++) {
        unsigned option = option_at(call, i, options->given) & allowed;
        bool has_argument = (option & SET_EXPIRIES) != 0;
        if (option == 0 || (has_argument && i + 1 == call->args_count)) {
            call_reply_syntax_error(call);
            return false;
        }
        options->given |= option;
        if (has_argument) {
            options->expiry = ++i;
        }
    }
    return true;
}

/* The moment that the expiry argument means. False: the reply says why it is none. */
static bool set_options_expiry(struct call *call, const struct set_options *options,
                               int64_t *expiry_ms) {
    int64_t time;
    if (!call_integer(call, options->expiry, &time, NULL)) {
        return false;
    }
    bool is_valid = time > 0;
    if ((options->given & (SET_EX | SET_EXAT)) != 0) {
        is_valid = is_valid && !__builtin_mul_overflow(time, (int64_t)1000, &time);
    }
    if ((options->given & (SET_EX | SET_PX)) != 0) {
        is_valid = is_valid && !__builtin_add_overflow(time, call->now_ms, &time);
    }
    if (!is_valid) {
        reply_error_format(call->reply, "ERR invalid expire time in '%s' command",
                           call->command->name);
        return false;
    }
    *expiry_ms = time;
    return true;
}

/* ---- SET ---- */

/* Sets the key to argument i under the options. */
static void set_under(struct call *call, uint32_t i, const struct set_options *options) {
    bool replies_old = (options->given & SET_GET) != 0;
    int64_t expiry_ms = ENTRY_NO_EXPIRY;
    if (options->expiry != 0 && !set_options_expiry(call, options, &expiry_ms)) {
        return;
    }
    struct entry *old;
    if (replies_old && !reply_value(call, &old)) {
        return;
    }
    struct place place = call_place(call, call->args[1]);
    unsigned forbidding = place.cell == NULL ? SET_XX : SET_NX;
    if ((options->given & forbidding) != 0) {
        if (!replies_old) {
            reply_null(call->reply);
        }
        return;
    }
    if ((options->given & SET_KEEPTTL) != 0 && place.cell != NULL) {
        expiry_ms = entry_expiry(table_cell_element(*place.cell));
    }
    put(call, &place, i, EVENT_SET_ID, expiry_ms);
    if (options->expiry != 0) {
        call_notify(call, EVENT_EXPIRE_ID, place.key);
    }
    if (!replies_old) {
        reply_ok(call->reply);
    }
}

static void set(struct call *call) {
    if (LIKELY(call->args_count == 3)) {
        struct place place = call_place(call, call->args[1]);
        put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
        reply_ok(call->reply);
        return;
    }
    struct set_options options;
    if (set_options_parse(call, 3, SET_ALLOWED, &options)) {
        set_under(call, 2, &options);
    }
}

static void setex(struct call *call) {
    set_under(call, 3, &(struct set_options){.given = SET_EX, .expiry = 2});
}

static void psetex(struct call *call) {
    set_under(call, 3, &(struct set_options){.given = SET_PX, .expiry = 2});
}

static void setnx(struct call *call) {
    struct place place = call_place(call, call->args[1]);
    bool is_new = place.cell == NULL;
    if (is_new) {
        put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
    reply_integer(call->reply, is_new);
}

/* ---- GET ---- */

static void get(struct call *call) {
    struct entry *entry;
    reply_value(call, &entry);
}

static void getset(struct call *call) {
    struct entry *entry;
    if (reply_value(call, &entry)) {
        struct place place = call_place(call, call->args[1]);
        put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
}

static void getdel(struct call *call) {
    struct entry *entry;
    if (reply_value(call, &entry) && entry != NULL) {
        struct place place = call_place(call, call->args[1]);
        call_emit(call, &place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    }
}

/* What GETEX makes of the expiry; false: nothing changes. */
static bool getex_effect(const struct call *call, const struct entry *entry,
                         const struct set_options *options, int64_t expiry_ms,
                         struct effect *effect) {
    *effect = (struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = expiry_ms};
    if ((options->given & (SET_EXAT | SET_PXAT)) != 0 && expiry_ms <= call->now_ms) {
        effect->kind = EFFECT_KEY_DELETE;
        effect->event = EVENT_DEL_ID;
        return true;
    }
    if (options->expiry != 0) {
        effect->event = EVENT_EXPIRE_ID;
        return true;
    }
    effect->event = EVENT_PERSIST_ID;
    return (options->given & SET_PERSIST) != 0 && entry_has(entry, ENTRY_FLAG_EXPIRY);
}

static void getex(struct call *call) {
    struct set_options options;
    if (!set_options_parse(call, 2, GETEX_ALLOWED, &options)) {
        return;
    }
    bool is_wrong;
    struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (entry == NULL) {
        if (!is_wrong) {
            reply_null(call->reply);
        }
        return;
    }
    int64_t expiry_ms = ENTRY_NO_EXPIRY;
    if (options.expiry != 0 && !set_options_expiry(call, &options, &expiry_ms)) {
        return;
    }
    call_reply_string(call, entry);
    struct effect effect;
    if (getex_effect(call, entry, &options, expiry_ms, &effect)) {
        struct place place = call_place(call, call->args[1]);
        call_emit(call, &place, &effect);
    }
}

/* ---- many keys ---- */

static void mget(struct call *call) {
    reply_array(call->reply, call->args_count - 1);
    for (uint32_t i = 1; i < call->args_count; i++) {
        struct entry *entry = call_read(call, call->args[i]);
        if (entry == NULL || value_type_of(entry) != VALUE_STRING) {
            reply_null(call->reply);
        } else {
            call_reply_string(call, entry);
        }
    }
}

/* False: a key has no value, and the reply says so. */
static bool pairs_are_whole(struct call *call) {
    if (call->args_count % 2 == 0) {
        reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                           call->command->name);
        return false;
    }
    return true;
}

static void put_pairs(struct call *call) {
    for (uint32_t i = 1; i < call->args_count; i += 2) {
        struct place place = call_place(call, call->args[i]);
        put(call, &place, i + 1, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
}

static void mset(struct call *call) {
    if (pairs_are_whole(call)) {
        put_pairs(call);
        reply_ok(call->reply);
    }
}

static void msetnx(struct call *call) {
    if (!pairs_are_whole(call)) {
        return;
    }
    for (uint32_t i = 1; i < call->args_count; i += 2) {
        if (call_place(call, call->args[i]).cell != NULL) {
            reply_integer(call->reply, 0);
            return;
        }
    }
    put_pairs(call);
    reply_integer(call->reply, 1);
}

/* ---- parts of a value ---- */

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

static void length(struct call *call) {
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
        put(call, &place, 2, EVENT_APPEND_ID, ENTRY_NO_EXPIRY);
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

/* ---- numbers ---- */

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

/* ---- LCS ---- */

struct lcs_options {
    bool wants_length;
    bool wants_matches;
    bool wants_match_lengths;
    int64_t match_length_min;
};

/* Reads the arguments behind the keys. False: the reply says what is wrong with them. */
static bool lcs_options_parse(struct call *call, struct lcs_options *options) {
    *options = (struct lcs_options){.match_length_min = 0};
    for (uint32_t i = 3; i < call->args_count; i++) {
        struct span word = call->args[i];
        if (span_is(word, "idx")) {
            options->wants_matches = true;
        } else if (span_is(word, "len")) {
            options->wants_length = true;
        } else if (span_is(word, "withmatchlen")) {
            options->wants_match_lengths = true;
        } else if (span_is(word, "minmatchlen") && i + 1 < call->args_count) {
            if (!call_integer(call, ++i, &options->match_length_min, NULL)) {
                return false;
            }
        } else {
            call_reply_syntax_error(call);
            return false;
        }
    }
    if (options->wants_matches && options->wants_length) {
        reply_error(call->reply,
                    "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

struct lcs_reply {
    struct reply *reply;
    const struct lcs_options *options;
    size_t count;
};

static void reply_place(struct reply *reply, uint32_t start, uint32_t match_length) {
    reply_array(reply, 2);
    reply_integer(reply, start);
    reply_integer(reply, (int64_t)start + match_length - 1);
}

static void reply_match(const struct lcs_match *match, void *context) {
    struct lcs_reply *to = context;
    if (match->length < to->options->match_length_min) {
        return;
    }
    reply_array(to->reply, to->options->wants_match_lengths ? 3 : 2);
    reply_place(to->reply, match->a, match->length);
    reply_place(to->reply, match->b, match->length);
    if (to->options->wants_match_lengths) {
        reply_integer(to->reply, match->length);
    }
    to->count++;
}

static void reply_lcs(struct reply *reply, const struct lcs *lcs,
                      const struct lcs_options *options) {
    if (options->wants_matches) {
        struct lcs_reply to = {.reply = reply, .options = options};
        reply_map(reply, 2);
        reply_bulk_string(reply, "matches");
        struct reply_mark mark = reply_mark_here(reply);
        lcs_matches(lcs, reply_match, &to);
        reply_array_at(reply, mark, to.count);
        reply_bulk_string(reply, "len");
        reply_integer(reply, lcs->length);
        return;
    }
    if (options->wants_length) {
        reply_integer(reply, lcs->length);
        return;
    }
    char *text = memory_alloc(lcs->length);
    lcs_text(lcs, text);
    reply_bulk(reply, span_of(text, lcs->length));
    memory_free(text);
}

struct span string_at(struct call *call, struct span key, char *scratch) {
    struct place place = call_place(call, key);
    const struct entry *entry = place_entry(&place);
    return entry == NULL ? span_of("", 0) : value_string(entry, scratch);
}

static bool is_string_or_none(struct call *call, struct span key) {
    const struct entry *entry = call_read(call, key);
    return entry == NULL || value_type_of(entry) == VALUE_STRING;
}

static void lcs_of_strings(struct call *call) {
    /* Both are looked up before either is used: an expired one goes by an effect. */
    bool is_first_string = is_string_or_none(call, call->args[1]);
    bool is_second_string = is_string_or_none(call, call->args[2]);
    if (!is_first_string || !is_second_string) {
        reply_error(call->reply, "ERR The specified keys must contain string values");
        return;
    }
    struct lcs_options options;
    if (!lcs_options_parse(call, &options)) {
        return;
    }
    char scratches[2][NUMBER_TEXT_BYTES_MAX];
    struct span a = string_at(call, call->args[1], scratches[0]);
    struct span b = string_at(call, call->args[2], scratches[1]);
    if (a.length > LCS_BYTES_MAX || b.length > LCS_BYTES_MAX) {
        reply_error(call->reply, "ERR String too long for LCS");
        return;
    }
    if (lcs_table_bytes(a, b) > (size_t)call->environment->options->proto_max_bulk_len) {
        reply_error(call->reply, "ERR Insufficient memory, transient memory for LCS exceeds "
                                 "proto-max-bulk-len");
        return;
    }
    struct lcs lcs;
    if (!lcs_init(&lcs, a, b)) {
        reply_error(call->reply,
                    "ERR Insufficient memory, failed allocating transient memory for LCS");
        return;
    }
    reply_lcs(call->reply, &lcs, &options);
    lcs_free(&lcs);
}

/* ---- rows ---- */

#define FIRST_KEY(flags_of_key)                                                                    \
    {                                                                                              \
        { .flags = (flags_of_key), .begin = 1, .step = 1 }                                         \
    }

static unsigned set_key_flags(const struct span *args, uint32_t args_count) {
    for (uint32_t i = 3; i < args_count; i++) {
        if (span_is(args[i], "get")) {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
    }
    return KEY_OW | KEY_UPDATE;
}

static const char *const tips_of_mget[] = {"request_policy:multi_shard", NULL};
static const char *const tips_of_mset[] = {"request_policy:multi_shard",
                                           "response_policy:all_succeeded", NULL};
static const char *const tips_of_msetnx[] = {"request_policy:multi_shard",
                                             "response_policy:agg_min", NULL};

const struct command string_commands[] = {
    {
        .name = "append",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_INSERT),
        .run = append,
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(N) with N the length of what is appended; the string's own length does "
                      "not matter on average, since it grows with room to spare.",
        .summary = "Adds bytes at the end of a string. A key that is not there is created.",
        .syntax = "key value",
    },
    {
        .name = "decr",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = decrby,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Takes so much from the number at a key. A key that is not there counts as 0.",
        .syntax = "key decrement",
    },
    {
        .name = "get",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = get,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key.",
        .syntax = "key",
    },
    {
        .name = "getdel",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_DELETE),
        .run = getdel,
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key and deletes the key.",
        .syntax = "key",
    },
    {
        .name = "getex",
        .arity = -2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE,
                  .begin = 1,
                  .step = 1,
                  .notes = "RW and UPDATE because it changes the TTL"}},
        .run = getex,
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key and sets or removes the key's expiry.",
        .syntax = "key [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT "
                  "unix-time-milliseconds|PERSIST]",
    },
    {
        .name = "getrange",
        .arity = 4,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = getrange,
        .group = "string",
        .since = "2.4.0",
        .complexity =
            "O(N) with N the length of the part; O(1) for a large part of a large string.",
        .summary = "Answers the part of a string between two places, both inside.",
        .syntax = "key start end",
    },
    {
        .name = "getset",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = getset,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string and answers the one that it held before.",
        .syntax = "key value",
        .deprecated_since = "6.2.0",
        .replaced_by = "`SET` with the `!GET` argument",
    },
    {
        .name = "incr",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = incrbyfloat,
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Adds a decimal fraction to the number at a key. A key that is not there counts "
                   "as 0.",
        .syntax = "key increment(double)",
    },
    {
        .name = "lcs",
        .arity = -3,
        .flags = COMMAND_READONLY,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .last = 1, .step = 1}},
        .run = lcs_of_strings,
        .group = "string",
        .since = "7.0.0",
        .complexity = "O(N*M) with N and M the lengths of the strings",
        .summary = "Answers the longest sequence of bytes that two strings have in common.",
        .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    },
    {
        .name = "mget",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .last = -1, .step = 1}},
        .run = mget,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(N) with N the number of keys",
        .summary = "Answers the strings at several keys.",
        .syntax = "key [key ...]",
        .tips = tips_of_mget,
    },
    {
        .name = "mset",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_OW | KEY_UPDATE, .begin = 1, .last = -1, .step = 2}},
        .run = mset,
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N) with N the number of keys",
        .summary = "Sets several keys to strings, all at once.",
        .syntax = "key value [key value ...]",
        .tips = tips_of_mset,
    },
    {
        .name = "msetnx",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_OW | KEY_INSERT, .begin = 1, .last = -1, .step = 2}},
        .run = msetnx,
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N) with N the number of keys",
        .summary = "Sets several keys to strings, all at once, if none of them exists.",
        .syntax = "key value [key value ...]",
        .tips = tips_of_msetnx,
    },
    {
        .name = "psetex",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = FIRST_KEY(KEY_OW | KEY_UPDATE),
        .run = psetex,
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that expires after so many milliseconds.",
        .syntax = "key milliseconds value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `PX` argument",
    },
    {
        .name = "set",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS,
                  .begin = 1,
                  .step = 1,
                  .notes = "RW and ACCESS due to the optional `GET` argument"}},
        .run = set,
        .find_key_flags = set_key_flags,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string, whatever it held before.",
        .syntax = "key value [condition=NX|XX]@2.6.12 [GET]@6.2.0 [expiration=EX "
                  "seconds@2.6.12|PX milliseconds@2.6.12|EXAT unix-time-seconds@6.2.0|PXAT "
                  "unix-time-milliseconds@6.2.0|KEEPTTL@6.0.0]",
    },
    {
        .name = "setex",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = FIRST_KEY(KEY_OW | KEY_UPDATE),
        .run = setex,
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that expires after so many seconds.",
        .syntax = "key seconds value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `EX` argument",
    },
    {
        .name = "setnx",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_OW | KEY_INSERT),
        .run = setnx,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string if the key does not exist.",
        .syntax = "key value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `NX` argument",
    },
    {
        .name = "setrange",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = FIRST_KEY(KEY_RW | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RO),
        .run = length,
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
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
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
