#include "commands/string.h"

#include "base/memory.h"
#include "commands/lcs.h"

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

const struct command string_lcs_commands[] = {
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
    {.name = NULL},
};
