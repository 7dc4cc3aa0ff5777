#include "server/diverged_replay.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "base/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct replay {
    const struct diverged_replay_plan *plan;
    struct primary_log log;
    struct resp_client client;
    uint64_t effects; /* that were written */
    uint64_t errors;  /* answers to commands */
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct replay *replay,
                                                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(replay->plan->client.report, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- looking ---- */

static bool frame_seen(void *context, const struct diverged_frame *frame) {
    struct replay *replay = context;
    return diverged_changes_seen(replay->plan->changes, frame, replay->plan->client.report);
}

/* A field of INFO replication; empty: there is none. */
static struct span field_of(struct span info, const char *name) {
    size_t length = strlen(name);
    while (info.length > 0) {
        const char *end = memchr(info.bytes, '\n', info.length);
        size_t line = end == NULL ? info.length : (size_t)(end - info.bytes);
        if (line > length && memcmp(info.bytes, name, length) == 0 && info.bytes[length] == ':') {
            size_t value = line - length - 1;
            const char *bytes = info.bytes + length + 1;
            return span_of(bytes, value > 0 && bytes[value - 1] == '\r' ? value - 1 : value);
        }
        line += end != NULL;
        info = span_of(info.bytes + line, info.length - line);
    }
    return span_of("", 0);
}

/* The end of the primary's log, now. */
static bool ask_position(struct replay *replay, uint64_t *position) {
    static const char *const words[] = {"INFO", "replication", NULL};
    struct resp_reply reply;
    if (!resp_client_say(&replay->client, words) || !resp_client_read(&replay->client, &reply)) {
        return false;
    }
    if (!span_is(field_of(reply.text, "role"), "master")) {
        return fail(replay, "the server is no primary");
    }
    return number_parse_unsigned(field_of(reply.text, "master_repl_offset"), position) ||
           fail(replay, "the primary does not tell the end of its log");
}

/* All that the primary had written when it was asked. */
static bool look(struct replay *replay) {
    uint64_t position = 0;
    if (!ask_position(replay, &position)) {
        return false;
    }
    if (position < replay->plan->fork.position) {
        return fail(replay, "the primary's log ends at %" PRIu64 ", before the fork", position);
    }
    if (!primary_log_read(&replay->log, position, frame_seen, replay)) {
        return false;
    }
    diverged_changes_choose(replay->plan->changes, replay->plan->by_time);
    return true;
}

/* ---- telling ---- */

static const char *const choice_texts[DIVERGED_CHOICES] = {
    [DIVERGED_UNWRITTEN] = "goes: the primary has not written it since the fork",
    [DIVERGED_NEWER] = "goes: the primary wrote it earlier",
    [DIVERGED_WRITTEN] = "stays: the primary has written it since the fork",
    [DIVERGED_OLDER] = "stays: the primary wrote it later",
    [DIVERGED_PARTIAL] = "stays: it is newer, but of a value that the primary has replaced only "
                         "changes are known",
};

static void tell(const struct replay *replay) {
    const struct diverged_changes *changes = replay->plan->changes;
    uint64_t counts[DIVERGED_CHOICES] = {0};
    struct buffer quoted = BUFFER_EMPTY;
    for (size_t i = 0; i < diverged_changes_keys(changes); i++) {
        struct diverged_key key;
        diverged_changes_key(changes, i, &key);
        counts[key.choice]++;
        buffer_clear(&quoted);
        option_quote(key.key, &quoted);
        printf("database=%u key=%.*s effects=%" PRIu64 " %s\n", key.database, (int)quoted.length,
               quoted.bytes, key.effects, choice_texts[key.choice]);
    }
    buffer_free(&quoted);
    if (diverged_changes_flushes(changes) > 0) {
        printf("%" PRIu64 " flushes of a database: only keys that the files name are deleted\n",
               diverged_changes_flushes(changes));
    }
    printf("%" PRIu64 " keys %s, %" PRIu64 " stay\n",
           counts[DIVERGED_UNWRITTEN] + counts[DIVERGED_NEWER],
           replay->plan->writes ? "went" : "would go (--write does it)",
           counts[DIVERGED_WRITTEN] + counts[DIVERGED_OLDER] + counts[DIVERGED_PARTIAL]);
}

/* ---- writing ---- */

static void append_bulk(struct buffer *out, struct span bytes) {
    buffer_format(out, "$%zu\r\n", bytes.length);
    buffer_append_span(out, bytes);
    buffer_append_string(out, "\r\n");
}

static bool expect_ok(struct replay *replay, uint64_t count) {
    struct resp_reply reply;
    for (uint64_t i = 0; i < count; i++) {
        if (!resp_client_read(&replay->client, &reply)) {
            return false;
        }
        if (reply.kind == RESP_ERROR) {
            return fail(replay, "the primary answers: %.*s", (int)reply.text.length,
                        reply.text.bytes);
        }
    }
    return true;
}

static bool watch(struct replay *replay, const struct diverged_batch *batch) {
    struct buffer out = BUFFER_EMPTY;
    for (size_t i = 0; i < batch->count; i++) {
        struct diverged_key key;
        char number[NUMBER_TEXT_BYTES_MAX];
        diverged_changes_key(replay->plan->changes, batch->keys[i], &key);
        buffer_append_string(&out, "*2\r\n$6\r\nSELECT\r\n");
        append_bulk(&out, span_of(number, number_format(number, key.database)));
        buffer_append_string(&out, "*2\r\n$5\r\nWATCH\r\n");
        append_bulk(&out, key.key);
    }
    bool is_sent = resp_client_send(&replay->client, buffer_span(&out));
    buffer_free(&out);
    return is_sent && expect_ok(replay, 2 * batch->count);
}

/* The answers up to EXEC's. */
static bool read_exec(struct replay *replay, bool *is_done) {
    struct resp_reply reply;
    do {
        if (!resp_client_read(&replay->client, &reply)) {
            return false;
        }
        if (reply.kind == RESP_ERROR) {
            return fail(replay, "the primary answers: %.*s", (int)reply.text.length,
                        reply.text.bytes);
        }
    } while (reply.kind == RESP_STATUS);
    *is_done = reply.kind == RESP_ARRAY;
    int64_t count = *is_done ? reply.number : 0;
    for (int64_t i = 0; i < count; i++) {
        if (!resp_client_read(&replay->client, &reply)) {
            return false;
        }
        if (reply.kind == RESP_ERROR) {
            replay->errors++;
            fprintf(stderr, "tarn-log: the primary answers: %.*s\n", (int)reply.text.length,
                    reply.text.bytes);
        }
    }
    return true;
}

static bool batch_try(struct replay *replay, const struct diverged_batch *batch, bool *is_done) {
    if (!watch(replay, batch) || !look(replay)) {
        return false;
    }
    struct buffer out = BUFFER_EMPTY;
    buffer_append_string(&out, "*1\r\n$5\r\nMULTI\r\n");
    uint64_t effects = diverged_changes_commands(replay->plan->changes, batch, &out);
    buffer_append_string(&out, "*1\r\n$4\r\nEXEC\r\n");
    bool is_sent = resp_client_send(&replay->client, buffer_span(&out));
    buffer_free(&out);
    if (!is_sent || !read_exec(replay, is_done)) {
        return false;
    }
    if (*is_done) {
        replay->effects += effects;
        diverged_changes_settle(replay->plan->changes, batch);
    }
    return true;
}

static bool write_batches(struct replay *replay) {
    const struct diverged_changes *changes = replay->plan->changes;
    for (size_t first = 0; first < diverged_changes_keys(changes);) {
        struct diverged_batch batch;
        bool is_done = false;
        bool goes_on = true;
        diverged_changes_batch(changes, first, &batch);
        for (int i = 0; batch.count > 0 && goes_on && !is_done && i < DIVERGED_TRIES_MAX; i++) {
            goes_on = batch_try(replay, &batch, &is_done);
        }
        bool is_given_up = goes_on && !is_done && batch.count > 0;
        first = batch.next;
        diverged_batch_free(&batch);
        if (!goes_on || is_given_up) {
            return goes_on ? fail(replay, "others keep writing to the same keys") : false;
        }
    }
    return true;
}

static bool run(struct replay *replay) {
    if (!look(replay)) {
        return false;
    }
    if (!replay->plan->writes) {
        tell(replay);
        return true;
    }
    if (!write_batches(replay)) {
        return false;
    }
    tell(replay);
    printf("%" PRIu64 " effects were written\n", replay->effects);
    return replay->errors == 0 ||
           fail(replay, "the primary refused %" PRIu64 " commands", replay->errors);
}

bool diverged_replay(const struct diverged_replay_plan *plan) {
    struct replay replay = {.plan = plan, .client = {.fd = -1}};
    bool is_done = primary_log_open(&replay.log, &plan->client, &plan->fork) &&
                   resp_client_open(&replay.client, &plan->client) && run(&replay);
    primary_log_close(&replay.log);
    resp_client_close(&replay.client);
    return is_done;
}
