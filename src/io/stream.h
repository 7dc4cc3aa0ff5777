/* Stream: a non-blocking socket in an event loop, with the bytes that it is still to send.
 *
 *     stream_begin(&stream, loop, fd)         the fd is the stream's from here on
 *     stream_read() / stream_flush()          after loop_run(), once stream_is_ready()
 *     stream_end(&stream)
 *
 * What is to be sent is appended to stream.out; how much that may become is the owner's to bound.
 * Thread: the loop's. Stays where it is from begin to end.
 */
#ifndef TARN_IO_STREAM_H
#define TARN_IO_STREAM_H

#include "base/buffer.h"
#include "io/loop.h"
#include "io/network.h"

struct stream {
    struct loop *loop;
    struct loop_watch watch;
    int fd;
    bool is_readable;
    bool is_full;    /* the socket takes nothing for now */
    bool has_failed; /* the system cannot watch it */
    struct buffer out;
    size_t sent; /* of out */
    void (*ready)(void *context);
    void *context;
};

/* `ready` is called within loop_run(), when something can be read or sent; it should only note
 * that. A connection that is under way becomes ready when it is connected, or cannot be. */
void stream_begin(struct stream *stream, struct loop *loop, int fd, void (*ready)(void *context),
                  void *context);
void stream_end(struct stream *stream);

/* Reads into bytes[size], once. MOVED: there may be more while is_readable. */
struct network_result stream_read(struct stream *stream, void *bytes, size_t size);
/* Sends what the socket takes. False: the connection is gone. */
bool stream_flush(struct stream *stream);

static inline size_t stream_waiting_bytes(const struct stream *stream) {
    return stream->out.length - stream->sent;
}

#endif
