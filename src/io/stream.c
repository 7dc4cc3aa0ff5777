#include "io/stream.h"

#include <string.h>

/* Room that a burst has taken is given back. */
#define OUT_KEPT_BYTES ((size_t)256 * 1024)

static void socket_is_ready(void *context, unsigned events) {
    struct stream *stream = context;
    stream->has_failed |= (events & LOOP_FAILED) != 0;
    stream->is_readable |= (events & LOOP_READ) != 0;
    if ((events & LOOP_WRITE) != 0) {
        stream->is_full = false;
        loop_watch_change(stream->loop, &stream->watch, LOOP_READ);
    }
    stream->ready(stream->context);
}

void stream_begin(struct stream *stream, struct loop *loop, int fd, void (*ready)(void *context),
                  void *context) {
    memset(stream, 0, sizeof(*stream));
    stream->loop = loop;
    stream->fd = fd;
    stream->ready = ready;
    stream->context = context;
    stream->is_full = true; /* until the connection is there */
    loop_watch_start(loop, &stream->watch, fd, LOOP_READ | LOOP_WRITE, socket_is_ready, stream);
}

void stream_end(struct stream *stream) {
    loop_watch_stop(stream->loop, &stream->watch);
    network_close(stream->fd);
    buffer_free(&stream->out);
}

struct network_result stream_read(struct stream *stream, void *bytes, size_t size) {
    struct network_result result = network_read(stream->fd, bytes, size);
    if (result.status == NETWORK_WOULD_BLOCK || result.bytes < size) {
        stream->is_readable = false;
    }
    return result;
}

bool stream_flush(struct stream *stream) {
    while (stream->sent < stream->out.length && !stream->is_full) {
        struct network_result result = network_write(stream->fd, stream->out.bytes + stream->sent,
                                                     stream->out.length - stream->sent);
        if (result.status == NETWORK_MOVED) {
            stream->sent += result.bytes;
        } else if (result.status == NETWORK_WOULD_BLOCK) {
            stream->is_full = true;
            loop_watch_change(stream->loop, &stream->watch, LOOP_READ | LOOP_WRITE);
        } else {
            return false;
        }
    }
    if (stream->sent == stream->out.length) {
        buffer_clear(&stream->out);
        stream->sent = 0;
        if (stream->out.capacity > OUT_KEPT_BYTES) {
            buffer_free(&stream->out);
        }
    }
    return true;
}
