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
    /* What other workers write, who tell this one. */
    _Alignas(MAILBOX_ALIGNMENT) atomic_size_t arriving_bytes; /* collected for it, not arrived */
    atomic_uint lost;                                         /* bits: kinds it was not told of */
};

struct notices *notices_new(void) {
    struct notices *notices = memory_alloc_aligned(MAILBOX_ALIGNMENT, sizeof(*notices));
    memset(notices, 0, sizeof(*notices));
    return notices;
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
    atomic_fetch_sub(&worker->notices->arriving_bytes, arrival->bytes.length);
    post_free(arrival);
    notices_settle_losses(worker);
}

void notices_settle_losses(struct worker *worker) {
    atomic_uint *lost = &worker->notices->lost;
    if (LIKELY(atomic_load_explicit(lost, memory_order_relaxed) == 0)) {
        return;
    }
    unsigned kinds = atomic_exchange(lost, 0);
    if ((kinds >> NOTICE_MESSAGE & 1) != 0) {
        pubsub_close_event_listeners(worker);
    }
    if ((kinds >> NOTICE_MONITOR_LINE & 1) != 0) {
        monitor_close_all(worker);
    }
}

/* Counts the bytes as on their way to that worker. False: there are too many. One notice may always
 * be on its way, whatever its size. */
static bool may_send(struct notices *target, size_t bytes) {
    size_t before = atomic_fetch_add(&target->arriving_bytes, bytes);
    if (LIKELY(before == 0 || before + bytes <= NOTICES_BYTES_MAX)) {
        return true;
    }
    atomic_fetch_sub(&target->arriving_bytes, bytes);
    return false;
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
        struct notices *target = worker->node->workers[i]->notices;
        if (!may_send(target, sizeof(header) + channel.length + text.length)) {
            atomic_fetch_or(&target->lost, 1U << kind);
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
