/* Redis feed: the primary's side of the link of a redis-server that is a replica, or of a tool that
 * behaves like one. A pure step: bytes from it go in, bytes for it come out.
 *
 *   FILE -> COUNT -> SEND -> STREAM
 *
 *   FILE    an RDB file is being made; meanwhile line feeds are sent, as redis-server does
 *   COUNT   where in the stream the file's moment is, is counted
 *           -> "+FULLRESYNC <id> <offset>" (not to SYNC)
 *   SEND    "$<length>", and the file
 *   STREAM  commands (redis_stream.h); a replica whose offset the stream knows begins here, with
 *           "+CONTINUE <id>"
 *   ENDED   the peer broke the protocol, the source failed, or the file was all that was asked for:
 *           redis_feed_reason() says why
 *
 * A slow replica holds nothing in memory: its place is an offset. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_REDIS_FEED_H
#define TARN_REPLICATION_REDIS_FEED_H

#include "replication/redis_stream.h"

/* A line feed is sent so often while a file is being made. */
#define REDIS_FEED_KEEPALIVE_MS 1000
/* Of what a replica says that is no whole command yet. */
#define REDIS_FEED_INPUT_BYTES_MAX ((size_t)64 * 1024)
/* Places sent and not acknowledged that are remembered; between them the older one counts. */
#define REDIS_FEED_PLACES_MAX 256

struct redis_feed;

enum redis_feed_file {
    REDIS_FILE_NOT_YET, /* ask again later */
    REDIS_FILE_READY,
    REDIS_FILE_FAILED,
};

/* What the node gives to a feed; all are called from within redis_feed_fill(). */
struct redis_feed_source {
    void *context;
    const struct disk *log; /* the folder of the log */
    uint64_t (*end)(void *context);
    /* Asks for an RDB file, until it is not NOT_YET any more. READY: what it holds is what the log
     * does before that position, and these are its bytes. */
    enum redis_feed_file (*file)(void *context, uint64_t *position, uint64_t *length);
    /* Appends bytes of the file from there on, `most` at most. False: it cannot be read. */
    bool (*file_read)(void *context, uint64_t offset, size_t most, struct buffer *out);
    /* The file is not needed any more; once, if file() was ever called. */
    void (*file_end)(void *context);
    /* The stream in which the file's moment is to be found; it may begin at that position. */
    struct redis_stream *(*stream)(void *context, uint64_t position);
};

struct redis_feed_plan {
    struct redis_feed_source source;
    bool is_old;     /* SYNC: no line before the file */
    bool wants_file; /* and nothing else: REPLCONF rdb-only */
    /* PSYNC with an offset that this stream may know; NULL: a whole sync. */
    struct redis_stream *stream;
    uint64_t offset; /* up to which it has the stream: PSYNC names the byte behind */
    int64_t now_ms;  /* any steady clock */
};

enum redis_feed_stage {
    REDIS_FEED_FILE,
    REDIS_FEED_COUNT,
    REDIS_FEED_SEND,
    REDIS_FEED_STREAM,
    REDIS_FEED_ENDED,
};

struct redis_feed *redis_feed_new(const struct redis_feed_plan *plan);
void redis_feed_free(struct redis_feed *feed); /* NULL is allowed */

/* Bytes came from the replica. False: the link is to be closed. */
bool redis_feed_receive(struct redis_feed *feed, struct span bytes, int64_t now_ms);
/* Appends to out what is to be sent, until `room` bytes are passed or there is nothing for now.
 * False: the link is to be closed once what is there has been sent. */
bool redis_feed_fill(struct redis_feed *feed, struct buffer *out, size_t room, int64_t now_ms);

enum redis_feed_stage redis_feed_stage(const struct redis_feed *feed);
/* Why it ended; "" for one that got all that it asked for. */
const char *redis_feed_reason(const struct redis_feed *feed);
/* The log must be kept from here on; UINT64_MAX: nothing of it is needed yet. */
uint64_t redis_feed_needs(const struct redis_feed *feed);
/* The stream that it reads, or NULL: none yet. */
struct redis_stream *redis_feed_stream(const struct redis_feed *feed);

struct redis_feed_figures {
    bool is_whole;             /* it gets a file, not only commands */
    struct redis_place sent;   /* in STREAM */
    struct redis_place heard;  /* what the replica has acknowledged */
    struct redis_place synced; /* and has on its disk, if it says so: REPLCONF ACK n FACK m */
    uint64_t file_bytes;       /* sent of the file */
    int64_t heard_ms;          /* when it was last heard, by the clock of the calls */
};
void redis_feed_figures_read(const struct redis_feed *feed, struct redis_feed_figures *figures);

#endif
