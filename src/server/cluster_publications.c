#include "server/cluster_publications.h"

#include "base/logger.h"
#include "base/memory.h"
#include "cluster/bus_publication.h"
#include "io/clock.h"
#include "server/cluster.h"
#include "server/server.h"
#include "worker/worker.h"

#define TELL_MS 1000

/* In a buffer: this, then the whole of which frames have pieces. */
struct message_header {
    bool is_sharded;
    size_t length;
};

/* Messages on their way to a worker. */
struct delivery {
    struct post post;
    struct cluster_publications *publications;
    struct buffer bytes;
};

struct cluster_publications {
    struct node *node;
    struct delivery *deliveries[KEYSPACE_STORES_MAX];
    atomic_size_t arriving_bytes[KEYSPACE_STORES_MAX]; /* to that worker, and not delivered yet */
    struct bus_parts *parts;
    struct buffer sending;
    struct buffer frame;
    int64_t told_ms;
    atomic_uint_least64_t lost; /* not told yet */

    pthread_mutex_t mutex; /* of what follows */
    struct buffer waiting;
};

struct cluster_publications *cluster_publications_new(struct node *node) {
    struct cluster_publications *publications = memory_alloc_zeroed(sizeof(*publications));
    publications->node = node;
    publications->parts = bus_parts_new();
    pthread_mutex_init(&publications->mutex, NULL);
    return publications;
}

static void delivery_free(struct delivery *delivery) {
    if (delivery != NULL) {
        buffer_free(&delivery->bytes);
        memory_free(delivery);
    }
}

void cluster_publications_free(struct cluster_publications *publications) {
    for (uint32_t i = 0; i < KEYSPACE_STORES_MAX; i++) {
        delivery_free(publications->deliveries[i]);
    }
    bus_parts_free(publications->parts);
    buffer_free(&publications->sending);
    buffer_free(&publications->frame);
    buffer_free(&publications->waiting);
    pthread_mutex_destroy(&publications->mutex);
    memory_free(publications);
}

/* ---- to other nodes ---- */

static bool message_put(struct buffer *out, bool is_sharded, struct span channel,
                        struct span text) {
    struct message_header header = {.is_sharded = is_sharded,
                                    .length = bus_publication_bytes(channel, text)};
    if (header.length > BUS_PUBLICATION_BYTES_MAX ||
        out->length + sizeof(header) + header.length > PUBLICATIONS_BYTES_MAX) {
        return false;
    }
    buffer_append(out, &header, sizeof(header));
    bus_publication_write(out, channel, text);
    return true;
}

/* The next message of the bytes, which are not empty. */
static struct span message_take(struct span *bytes, bool *is_sharded) {
    struct message_header header;
    memcpy(&header, bytes->bytes, sizeof(header));
    const char *start = bytes->bytes + sizeof(header);
    *bytes = span_of(start + header.length, bytes->length - sizeof(header) - header.length);
    *is_sharded = header.is_sharded;
    return span_of(start, header.length);
}

void cluster_publish_message(struct worker *worker, bool is_sharded, struct span channel,
                             struct span text) {
    struct cluster_seat *seat = worker->node->server->seat;
    struct cluster_publications *publications = seat->publications;
    if (seat->face.map->nodes_count == 1) {
        return;
    }
    pthread_mutex_lock(&publications->mutex);
    bool was_empty = publications->waiting.length == 0;
    bool is_put = message_put(&publications->waiting, is_sharded, channel, text);
    pthread_mutex_unlock(&publications->mutex);
    if (!is_put) {
        atomic_fetch_add(&publications->lost, 1);
    } else if (was_empty) {
        loop_wake(seat->loop);
    }
}

/* The frame goes to each other node of the map, or of the shard. */
static void frame_send(struct cluster_links *links, const struct map *map, uint16_t myself,
                       bool is_sharded, struct span frame) {
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct raft_id id;
        if (i != myself && (!is_sharded || map->nodes[i].shard == map->nodes[myself].shard)) {
            memcpy(id.bytes, map->nodes[i].id, MAP_ID_BYTES);
            cluster_links_send(links, &id, BUS_PUBLICATION, frame);
        }
    }
}

static void message_send(struct cluster_publications *publications, struct cluster_links *links,
                         const struct map *map, uint16_t myself, struct span *rest) {
    bool is_sharded;
    struct span whole = message_take(rest, &is_sharded);
    while (bus_publication_next(&whole, is_sharded, &publications->frame)) {
        frame_send(links, map, myself, is_sharded, buffer_span(&publications->frame));
    }
}

static void tell_lost(struct cluster_publications *publications) {
    int64_t now_ms = clock_boot_ms();
    if (atomic_load(&publications->lost) != 0 && now_ms - publications->told_ms >= TELL_MS) {
        publications->told_ms = now_ms;
        log_warning("Cluster bus: %llu messages of PUBLISH were too large, or too many, for the "
                    "way between nodes, and are lost there.",
                    (unsigned long long)atomic_exchange(&publications->lost, 0));
    }
}

void cluster_publications_send(struct cluster_publications *publications,
                               struct cluster_links *links, const struct map *map,
                               uint16_t myself) {
    tell_lost(publications);
    pthread_mutex_lock(&publications->mutex);
    struct buffer taken = publications->waiting;
    publications->waiting = publications->sending;
    pthread_mutex_unlock(&publications->mutex);
    struct span rest = buffer_span(&taken);
    while (rest.length > 0) {
        message_send(publications, links, map, myself, &rest);
    }
    buffer_clear(&taken);
    if (taken.capacity > BUS_BODY_BYTES_MAX) {
        buffer_free(&taken);
        buffer_free(&publications->frame);
    }
    publications->sending = taken;
}

/* ---- from other nodes ---- */

void cluster_publications_forget(struct cluster_publications *publications,
                                 const struct raft_id *source) {
    bus_parts_forget(publications->parts, source);
}

/* Runs on the worker. */
static void delivery_arrived(struct worker *worker, struct post *post) {
    struct delivery *delivery = (struct delivery *)post;
    struct span rest = buffer_span(&delivery->bytes);
    while (rest.length > 0) {
        struct bus_publication publication;
        bool is_sharded;
        bool is_read = bus_publication_read(message_take(&rest, &is_sharded), &publication);
        ASSERT(is_read);
        pubsub_deliver(worker, is_sharded ? PUBSUB_SHARD_CHANNEL : PUBSUB_CHANNEL,
                       publication.channel, publication.text);
    }
    atomic_fetch_sub(&delivery->publications->arriving_bytes[worker->index],
                     delivery->bytes.length);
    delivery_free(delivery);
}

static void deliver_to(struct cluster_publications *publications, uint32_t worker, bool is_sharded,
                       struct span whole) {
    struct message_header header = {.is_sharded = is_sharded, .length = whole.length};
    size_t bytes = sizeof(header) + whole.length;
    if (atomic_fetch_add(&publications->arriving_bytes[worker], bytes) + bytes >
        PUBLICATIONS_BYTES_MAX) {
        atomic_fetch_sub(&publications->arriving_bytes[worker], bytes);
        atomic_fetch_add(&publications->lost, 1);
        return;
    }
    struct delivery *delivery = publications->deliveries[worker];
    if (delivery == NULL) {
        delivery = memory_alloc_zeroed(sizeof(*delivery));
        delivery->post.run = delivery_arrived;
        delivery->publications = publications;
        publications->deliveries[worker] = delivery;
    }
    buffer_append(&delivery->bytes, &header, sizeof(header));
    buffer_append_span(&delivery->bytes, whole);
}

bool cluster_publications_receive(struct cluster_publications *publications,
                                  const struct raft_id *source, struct span body) {
    const struct node *node = publications->node;
    struct bus_publication publication;
    enum bus_arrival arrival = bus_parts_receive(publications->parts, source, body, &publication);
    if (arrival != BUS_ARRIVED) {
        return arrival == BUS_AWAITED;
    }
    for (uint32_t i = pubsub_next_worker(node, 0); i < node->worker_count;
         i = pubsub_next_worker(node, i + 1)) {
        deliver_to(publications, i, publication.is_sharded, publication.whole);
    }
    return true;
}

void cluster_publications_deliver(struct cluster_publications *publications) {
    for (uint32_t i = 0; i < publications->node->worker_count; i++) {
        struct delivery *delivery = publications->deliveries[i];
        if (delivery != NULL) {
            publications->deliveries[i] = NULL;
            worker_post(publications->node->workers[i], &delivery->post);
        }
    }
}
