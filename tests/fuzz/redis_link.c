/* Both ends of a link with a redis-server, given what a broken or hostile peer may send: they go
 * on, or say why not.
 *
 * The first byte of the input: bit 0 for the primary's side (a feed), bit 1 for a replica that goes
 * on (no file), the rest for the size of the pieces in which the other bytes arrive. What is given
 * in pieces must come to the same as what is given at once. */
#include "replication/redis_feed.h"
#include "replication/redis_follower.h"

#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define STREAM_BEGIN 1000

/* ---- a replica ---- */

struct replica {
    struct redis_stand stand;
    struct redis_follower *follower;
    uint64_t file_bytes;
    uint64_t commands; /* a checksum of all of them */
    uint64_t count;
    bool is_loading;
    bool is_up;
};

static bool target_file_begin(void *context, struct buffer *report) {
    struct replica *replica = context;
    (void)report;
    ASSERT(replica->count == 0);
    replica->file_bytes = 0;
    return true;
}

static bool target_file_bytes(void *context, struct span bytes, struct buffer *report) {
    (void)report;
    ((struct replica *)context)->file_bytes += bytes.length;
    return true;
}

static bool target_file_end(void *context, struct buffer *report) {
    struct replica *replica = context;
    (void)report;
    ASSERT(!replica->is_loading && replica->file_bytes > 0);
    replica->is_loading = true;
    return true;
}

static bool target_commands(void *context, const struct redis_command *commands, size_t count,
                            struct buffer *report) {
    struct replica *replica = context;
    (void)report;
    ASSERT(count > 0 && !replica->is_loading);
    for (size_t i = 0; i < count; i++) {
        ASSERT(commands[i].args_count > 0);
        replica->commands = 31 * replica->commands + commands[i].database;
        for (uint32_t k = 0; k < commands[i].args_count; k++) {
            replica->commands = 31 * replica->commands + checksum_bytes(commands[i].args[k]);
        }
    }
    replica->count += count;
    return true;
}

static bool give_to_replica(struct replica *replica, struct span piece) {
    if (!redis_follower_receive(replica->follower, piece, 1)) {
        return false;
    }
    while (redis_follower_stage(replica->follower) == REDIS_FOLLOWER_LOAD) {
        ASSERT(replica->is_loading && replica->stand.id[0] == '\0');
        replica->is_loading = false;
        if (!redis_follower_loaded(replica->follower, 1)) {
            return false;
        }
    }
    return true;
}

static void run_replica(struct replica *replica, struct span input, size_t piece, bool goes_on) {
    *replica = (struct replica){.commands = 0};
    if (goes_on) {
        replica->stand =
            (struct redis_stand){.id = "0123456789012345678901234567890123456789", .offset = 77};
    }
    replica->follower =
        redis_follower_new(&(struct redis_follower_plan){.target = {.context = replica,
                                                                    .file_begin = target_file_begin,
                                                                    .file_bytes = target_file_bytes,
                                                                    .file_end = target_file_end,
                                                                    .commands = target_commands},
                                                         .stand = &replica->stand});
    bool is_up = true;
    for (size_t at = 0; is_up && at < input.length; at += piece) {
        size_t left = input.length - at;
        is_up = give_to_replica(replica, span_of(input.bytes + at, left < piece ? left : piece));
    }
    replica->is_up = is_up;
    enum redis_follower_stage stage = redis_follower_stage(replica->follower);
    ASSERT(is_up == (stage != REDIS_FOLLOWER_ENDED));
    ASSERT(is_up == (redis_follower_reason(replica->follower)[0] == '\0'));
    struct buffer out = BUFFER_EMPTY;
    redis_follower_fill(replica->follower, &out, 2000);
    buffer_free(&out);
    redis_follower_free(replica->follower);
}

static void fuzz_replica(struct span input, size_t piece, bool goes_on) {
    struct replica pieces;
    struct replica whole;
    run_replica(&pieces, input, piece, goes_on);
    run_replica(&whole, input, input.length == 0 ? 1 : input.length, goes_on);
    ASSERT(pieces.is_up == whole.is_up);
    /* Of what comes together with bytes that make no sense nothing takes effect. */
    ASSERT(pieces.count >= whole.count);
    if (whole.is_up) {
        ASSERT(pieces.count == whole.count && pieces.commands == whole.commands);
        ASSERT(pieces.stand.offset == whole.stand.offset);
        ASSERT(pieces.file_bytes == whole.file_bytes);
        ASSERT(pieces.stand.database == whole.stand.database);
    }
}

/* ---- a primary ---- */

static uint64_t source_end(void *context) {
    (void)context;
    return STREAM_BEGIN;
}

static enum redis_feed_file source_file(void *context, uint64_t *position, uint64_t *length) {
    (void)context;
    *position = STREAM_BEGIN;
    *length = 3;
    return REDIS_FILE_READY;
}

static bool source_file_read(void *context, uint64_t offset, size_t most, struct buffer *out) {
    (void)context;
    ASSERT(offset + most <= 3);
    buffer_append(out, "RDB" + offset, most);
    return true;
}

static void source_file_end(void *context) {
    (void)context;
}

static struct redis_stream *source_stream(void *context, uint64_t position) {
    (void)position;
    return context;
}

static void fuzz_primary(struct span input, size_t piece, bool goes_on) {
    struct redis_stream *stream = redis_stream_new(STREAM_BEGIN);
    redis_stream_add(stream, REDIS_EXTRA_PING);
    struct redis_feed *feed =
        redis_feed_new(&(struct redis_feed_plan){.source = {.context = stream,
                                                            .end = source_end,
                                                            .file = source_file,
                                                            .file_read = source_file_read,
                                                            .file_end = source_file_end,
                                                            .stream = source_stream},
                                                 .stream = goes_on ? stream : NULL,
                                                 .offset = STREAM_BEGIN + 3});
    struct buffer out = BUFFER_EMPTY;
    bool is_up = redis_feed_fill(feed, &out, 1000, 1);
    ASSERT(is_up && redis_feed_stage(feed) == REDIS_FEED_STREAM);
    for (size_t at = 0; is_up && at < input.length; at += piece) {
        size_t left = input.length - at;
        is_up = redis_feed_receive(feed, span_of(input.bytes + at, left < piece ? left : piece), 1);
    }
    ASSERT(is_up == (redis_feed_stage(feed) != REDIS_FEED_ENDED));
    ASSERT(is_up == (redis_feed_reason(feed)[0] == '\0'));
    struct redis_feed_figures figures;
    redis_feed_figures_read(feed, &figures);
    ASSERT(figures.heard.offset <= figures.sent.offset || goes_on);
    ASSERT(figures.synced.offset <= figures.sent.offset || goes_on);
    buffer_free(&out);
    redis_feed_free(feed);
    redis_stream_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct span input = span_of((const char *)bytes + 1, length - 1);
    size_t piece = (size_t)(bytes[0] >> 2) + 1;
    bool goes_on = (bytes[0] & 2) != 0;
    if ((bytes[0] & 1) != 0) {
        fuzz_primary(input, piece, goes_on);
    } else {
        fuzz_replica(input, piece, goes_on);
    }
    return 0;
}
