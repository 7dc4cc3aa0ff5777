#include "worker/notices.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/worker.h"

/* In the buffer: this, then the channel, then the text. */
struct notice_header {
    enum notice kind;
    size_t channel_length;
    size_t text_length;
};

struct notices_post {
    struct post post;
    struct buffer bytes;
};

struct notices {
    struct notices_post *posts[KEYSPACE_STORES_MAX]; /* by target; NULL: nothing to tell */
};

struct notices *notices_new(void) {
    return memory_alloc_zeroed(sizeof(struct notices));
}

static void post_free(struct notices_post *post) {
    if (post != NULL) {
        buffer_free(&post->bytes);
        memory_free(post);
    }
}

void notices_free(struct notices *notices) {
    for (uint32_t i = 0; i < KEYSPACE_STORES_MAX; i++) {
        post_free(notices->posts[i]);
    }
    memory_free(notices);
}

/* The post has arrived at its worker. */
static void arrived(struct worker *worker, struct post *post) {
    struct notices_post *arrival = (struct notices_post *)post;
    const char *at = arrival->bytes.bytes;
    const char *end = at + arrival->bytes.length;
    while (at != end) {
        struct notice_header header;
        memcpy(&header, at, sizeof(header));
        at += sizeof(header);
        struct span channel = span_of(at, header.channel_length);
        struct span text = span_of(at + header.channel_length, header.text_length);
        at += header.channel_length + header.text_length;
        switch (header.kind) {
        case NOTICE_MESSAGE:
            pubsub_deliver(worker, PUBSUB_CHANNEL, channel, text);
            break;
        case NOTICE_MONITOR_LINE:
            monitor_deliver(worker, text);
            break;
        }
    }
    post_free(arrival);
}

void notices_add(struct worker *worker, uint64_t targets, enum notice kind, struct span channel,
                 struct span text) {
    struct notice_header header = {
        .kind = kind,
        .channel_length = channel.length,
        .text_length = text.length,
    };
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        if ((targets >> i & 1) == 0 || i == worker->index) {
            continue;
        }
        struct notices_post *post = worker->notices->posts[i];
        if (post == NULL) {
            post = memory_alloc_zeroed(sizeof(*post));
            post->post.run = arrived;
            worker->notices->posts[i] = post;
        }
        buffer_append(&post->bytes, &header, sizeof(header));
        buffer_append_span(&post->bytes, channel);
        buffer_append_span(&post->bytes, text);
        worker->has_leaving = true;
    }
}

struct post *notices_take(struct notices *notices, uint32_t target) {
    struct notices_post *post = notices->posts[target];
    notices->posts[target] = NULL;
    return post == NULL ? NULL : &post->post;
}
