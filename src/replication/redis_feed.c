#include "replication/redis_feed.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "protocol/parser.h"

#include <inttypes.h>

#define FILE_PIECE_BYTES ((size_t)64 * 1024)

struct redis_feed {
    struct redis_feed_plan plan;
    enum redis_feed_stage stage;
    struct buffer input;
    struct buffer reason;
    bool has_asked; /* for a file: file_end() is due */
    uint64_t position;
    uint64_t length;
    struct redis_cursor cursor;
    bool has_cursor;
    struct buffer commands; /* room for those that are not all sent */
    bool is_continued;      /* the replica goes on where it was: and was told so */
    bool has_greeted;
    uint64_t skips; /* bytes of the stream that the replica has already */
    /* Places sent, the oldest first, in a ring: what an acknowledged offset means. */
    struct redis_place places[REDIS_FEED_PLACES_MAX];
    uint64_t first_place;
    uint64_t next_place;
    int64_t spoke_ms;
    struct redis_feed_figures figures;
};

static void file_end(struct redis_feed *feed) {
    if (feed->has_asked) {
        feed->has_asked = false;
        feed->plan.source.file_end(feed->plan.source.context);
    }
}

static bool end(struct redis_feed *feed) {
    feed->stage = REDIS_FEED_ENDED;
    buffer_append_byte(&feed->reason, '\0');
    file_end(feed);
    return false;
}

static bool fail(struct redis_feed *feed, const char *reason) {
    if (feed->stage != REDIS_FEED_ENDED) {
        buffer_append_string(&feed->reason, reason);
        end(feed);
    }
    return false;
}

static bool fail_at_cursor(struct redis_feed *feed) {
    buffer_append_byte(&feed->cursor.report, '\0');
    return fail(feed, feed->cursor.report.bytes);
}

/* ---- lifecycle ---- */

static void note_place(struct redis_feed *feed) {
    feed->figures.sent = feed->cursor.at;
    if (feed->next_place - feed->first_place == REDIS_FEED_PLACES_MAX) {
        feed->next_place--; /* What is in between is acknowledged with what comes behind. */
    }
    feed->places[feed->next_place++ % REDIS_FEED_PLACES_MAX] = feed->cursor.at;
}

static bool go_on_at(struct redis_feed *feed, struct redis_stream *stream, uint64_t offset) {
    feed->has_cursor = true;
    if (!redis_cursor_at_offset(&feed->cursor, stream, offset)) {
        return false;
    }
    feed->is_continued = true;
    feed->skips = offset - feed->cursor.at.offset;
    feed->stage = REDIS_FEED_STREAM;
    /* It holds what is before the mark, at least. */
    feed->figures.heard = feed->cursor.at;
    note_place(feed);
    return true;
}

static void begin_whole(struct redis_feed *feed) {
    redis_cursor_close(&feed->cursor);
    feed->has_cursor = false;
    feed->stage = REDIS_FEED_FILE;
    feed->figures.is_whole = true;
}

struct redis_feed *redis_feed_new(const struct redis_feed_plan *plan) {
    struct redis_feed *feed = memory_alloc_zeroed(sizeof(*feed));
    feed->plan = *plan;
    feed->spoke_ms = plan->now_ms;
    feed->figures.heard_ms = plan->now_ms;
    if (plan->stream == NULL || !go_on_at(feed, plan->stream, plan->offset)) {
        begin_whole(feed);
    }
    return feed;
}

void redis_feed_free(struct redis_feed *feed) {
    if (feed == NULL) {
        return;
    }
    file_end(feed);
    redis_cursor_close(&feed->cursor);
    buffer_free(&feed->commands);
    buffer_free(&feed->input);
    buffer_free(&feed->reason);
    memory_free(feed);
}

/* ---- what the replica says ---- */

static struct redis_place place_of(const struct redis_feed *feed, uint64_t offset,
                                   struct redis_place least) {
    for (uint64_t i = feed->first_place; i < feed->next_place; i++) {
        const struct redis_place *place = &feed->places[i % REDIS_FEED_PLACES_MAX];
        if (place->offset <= offset && place->offset >= least.offset) {
            least = *place;
        }
    }
    return least;
}

/* REPLCONF ACK offset [FACK offset] */
static bool acknowledged(struct redis_feed *feed, const struct span *args, uint32_t count) {
    uint64_t offset;
    uint64_t synced;
    if (feed->stage != REDIS_FEED_STREAM) {
        return true; /* It may say so while the file is on its way: of its own old data. */
    }
    uint64_t most = feed->figures.sent.offset;
    if (feed->is_continued && most < feed->plan.offset) {
        most = feed->plan.offset;
    }
    if (!number_parse_unsigned(args[2], &offset) || offset > most) {
        return fail(feed, "the replica acknowledges what it was not sent");
    }
    struct redis_feed_figures *figures = &feed->figures;
    if (count >= 5 && span_is(args[3], "fack") && number_parse_unsigned(args[4], &synced) &&
        synced <= offset) {
        figures->synced = place_of(feed, synced, figures->synced);
    }
    figures->heard = place_of(feed, offset, figures->heard);
    uint64_t known = figures->heard.offset;
    if (figures->synced.offset > 0 && figures->synced.offset < known) {
        known = figures->synced.offset;
    }
    while (feed->first_place + 1 < feed->next_place &&
           feed->places[feed->first_place % REDIS_FEED_PLACES_MAX].offset < known) {
        feed->first_place++;
    }
    return true;
}

static bool command_came(struct redis_feed *feed, const struct arguments *arguments) {
    if (arguments->count >= 3 && span_is(arguments->items[0], "replconf") &&
        span_is(arguments->items[1], "ack")) {
        return acknowledged(feed, arguments->items, arguments->count);
    }
    return true; /* Nothing else is answered on such a link. */
}

/* Takes what is whole off the input. */
static bool take_commands(struct redis_feed *feed) {
    const struct parser_limits limits = {.bulk_bytes_max = REDIS_FEED_INPUT_BYTES_MAX};
    struct parser parser;
    size_t at = 0;
    bool goes_on = true;
    while (goes_on && at < feed->input.length) {
        parser_init(&parser);
        enum parser_status status =
            parser_next(&parser, feed->input.bytes + at, feed->input.length - at, &limits);
        size_t consumed = parser.consumed;
        if (status == PARSER_READY) {
            goes_on = command_came(feed, &parser.arguments);
        } else if (status == PARSER_ERROR) {
            goes_on = fail(feed, "the replica sent bytes that are no command");
        }
        parser_free(&parser);
        if (status == PARSER_INCOMPLETE) {
            break;
        }
        at += consumed;
    }
    buffer_consume(&feed->input, at < feed->input.length ? at : feed->input.length);
    return goes_on;
}

bool redis_feed_receive(struct redis_feed *feed, struct span bytes, int64_t now_ms) {
    if (feed->stage == REDIS_FEED_ENDED) {
        return false;
    }
    feed->figures.heard_ms = now_ms;
    buffer_append_span(&feed->input, bytes);
    return take_commands(feed) && (feed->input.length <= REDIS_FEED_INPUT_BYTES_MAX ||
                                   fail(feed, "the replica sent a command that is too long"));
}

/* ---- what it is sent ---- */

static bool ask_for_file(struct redis_feed *feed, struct buffer *out, int64_t now_ms) {
    const struct redis_feed_source *source = &feed->plan.source;
    feed->has_asked = true;
    switch (source->file(source->context, &feed->position, &feed->length)) {
    case REDIS_FILE_READY: {
        struct redis_stream *stream = source->stream(source->context, feed->position);
        feed->has_cursor = true;
        feed->stage = REDIS_FEED_COUNT;
        return redis_cursor_at_position(&feed->cursor, stream, feed->position) ||
               fail(feed, "the stream of commands does not reach back to the file");
    }
    case REDIS_FILE_NOT_YET:
        if (now_ms - feed->spoke_ms >= REDIS_FEED_KEEPALIVE_MS) {
            buffer_append_byte(out, '\n');
        }
        return false;
    case REDIS_FILE_FAILED:
        break;
    }
    return fail(feed, "no RDB file could be made");
}

/* The file's moment has been found. */
static void begin_file(struct redis_feed *feed, struct buffer *out) {
    if (!feed->plan.is_old) {
        buffer_format(out, "+FULLRESYNC %s %" PRIu64 "\r\n", redis_stream_id(feed->cursor.stream),
                      feed->cursor.at.offset);
    }
    buffer_format(out, "$%" PRIu64 "\r\n", feed->length);
    feed->stage = REDIS_FEED_SEND;
}

static bool count_step(struct redis_feed *feed, struct buffer *out) {
    if (feed->cursor.at.position == feed->position) {
        begin_file(feed, out);
        return true;
    }
    const struct redis_feed_source *source = &feed->plan.source;
    buffer_clear(&feed->commands);
    switch (redis_cursor_next(&feed->cursor, source->log, feed->position, &feed->commands)) {
    case REDIS_READ_DONE:
        return feed->cursor.at.position <= feed->position ||
               fail(feed, "the RDB file is of a place that the log does not have");
    case REDIS_READ_END:
        return false;
    case REDIS_READ_FAILED:
        break;
    }
    return fail_at_cursor(feed);
}

static bool send_step(struct redis_feed *feed, struct buffer *out) {
    const struct redis_feed_source *source = &feed->plan.source;
    uint64_t left = feed->length - feed->figures.file_bytes;
    if (left == 0) {
        file_end(feed);
        if (feed->plan.wants_file) {
            return end(feed);
        }
        feed->stage = REDIS_FEED_STREAM;
        feed->figures.heard = feed->cursor.at;
        note_place(feed);
        return true;
    }
    size_t before = out->length;
    size_t most = left < FILE_PIECE_BYTES ? (size_t)left : FILE_PIECE_BYTES;
    if (!source->file_read(source->context, feed->figures.file_bytes, most, out) ||
        out->length == before) {
        return fail(feed, "the RDB file could not be read");
    }
    feed->figures.file_bytes += out->length - before;
    return true;
}

static bool stream_step(struct redis_feed *feed, struct buffer *out) {
    const struct redis_feed_source *source = &feed->plan.source;
    buffer_clear(&feed->commands);
    enum redis_read status = redis_cursor_next(&feed->cursor, source->log,
                                               source->end(source->context), &feed->commands);
    if (status != REDIS_READ_DONE) {
        return status == REDIS_READ_FAILED && fail_at_cursor(feed);
    }
    size_t skipped = feed->commands.length < feed->skips ? feed->commands.length : feed->skips;
    feed->skips -= skipped;
    buffer_append(out, feed->commands.bytes + skipped, feed->commands.length - skipped);
    note_place(feed);
    return true;
}

static bool step(struct redis_feed *feed, struct buffer *out, int64_t now_ms) {
    switch (feed->stage) {
    case REDIS_FEED_FILE:
        return ask_for_file(feed, out, now_ms);
    case REDIS_FEED_COUNT:
        return count_step(feed, out);
    case REDIS_FEED_SEND:
        return send_step(feed, out);
    case REDIS_FEED_STREAM:
        return stream_step(feed, out);
    case REDIS_FEED_ENDED:
        break;
    }
    return false;
}

bool redis_feed_fill(struct redis_feed *feed, struct buffer *out, size_t room, int64_t now_ms) {
    size_t before = out->length;
    uint64_t counted = 0; /* bytes made and not sent: work all the same */
    if (feed->is_continued && !feed->has_greeted) {
        buffer_format(out, "+CONTINUE %s\r\n", redis_stream_id(feed->cursor.stream));
        feed->has_greeted = true;
    }
    while (out->length - before + counted < room && step(feed, out, now_ms)) {
        counted += feed->stage == REDIS_FEED_COUNT ? feed->commands.length : 0;
    }
    if (out->length > before) {
        feed->spoke_ms = now_ms;
    }
    return feed->stage != REDIS_FEED_ENDED;
}

/* ---- questions ---- */

enum redis_feed_stage redis_feed_stage(const struct redis_feed *feed) {
    return feed->stage;
}

const char *redis_feed_reason(const struct redis_feed *feed) {
    return feed->reason.length == 0 ? "" : feed->reason.bytes;
}

uint64_t redis_feed_needs(const struct redis_feed *feed) {
    return feed->has_cursor ? feed->cursor.at.position : UINT64_MAX;
}

struct redis_stream *redis_feed_stream(const struct redis_feed *feed) {
    return feed->has_cursor ? feed->cursor.stream : NULL;
}

void redis_feed_figures_read(const struct redis_feed *feed, struct redis_feed_figures *figures) {
    *figures = feed->figures;
}
