#include "server/primary_links.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "server/anti_entropy.h"
#include "server/image_cutter.h"
#include "server/redis_links.h"
#include "server/saving.h"
#include "worker/applying.h"
#include "worker/worker.h"

#include <inttypes.h>

#define READ_BYTES ((size_t)64 * 1024)

struct link {
    struct list list; /* in primary_links.links */
    struct primary_links *links;
    uint32_t number; /* among REPLICATION_LINKS_MAX */
    uint64_t client_id;
    int fd;
    uint64_t seed;
    char address[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    struct loop_watch watch;
    unsigned events; /* that it looks for */
    bool is_readable;
    bool is_full;                        /* the socket takes nothing for now */
    int64_t read_ms;                     /* when it was last looked whether something can be read */
    struct feed *feed;                   /* NULL: waits for a log */
    char takes_over[HISTORY_TEXT_BYTES]; /* still to be done; empty: nothing is */
    struct image_queue images;
    struct buffer out;
    size_t sent; /* of out */
    uint64_t sent_bytes;
    int64_t began_ms;
    int64_t moved_ms;   /* when the socket last took bytes */
    bool is_known;      /* its node's id is, and is not among the absent any more */
    bool has_followed;  /* was counted as a sync */
    const char *reason; /* it is to be closed; NULL: it is not */
};

struct primary_links {
    struct replicator *replicator;
    struct server *server;
    struct node *node;
    struct replicator_log log;
    struct replication_settings settings;
    struct lineage lineage;
    uint64_t lineage_changes;
    struct image_cutter cutter;
    struct redis_links *redis; /* to those of another kind, which are counted, too */
    struct list links;
    uint32_t count;
    uint32_t numbers;    /* bits of those that are taken */
    bool has_backlog;    /* there was a replica, not too long ago */
    int64_t deserted_ms; /* when the last one left */
    uint64_t trim_end;   /* of the log, when it was last trimmed */
    int64_t trim_ms;
    uint64_t healed; /* slots, by links that have ended */
    char *input;
};

_Static_assert(REPLICATION_LINKS_MAX <= 32, "numbers are bits");

/* ---- what a feed asks ---- */

static const struct lineage *source_lineage(void *context) {
    struct primary_links *links = ((struct link *)context)->links;
    replication_lineage_read(&links->server->replication, &links->lineage, &links->lineage_changes);
    return &links->lineage;
}

static uint64_t source_start(void *context) {
    struct primary_links *links = ((struct link *)context)->links;
    return replication_log_start(&links->server->replication, links->log.log);
}

static uint64_t source_end(void *context) {
    return oplog_written_position(((struct link *)context)->links->log.log);
}

struct change_question {
    struct node *node;
    uint64_t since;
    struct slot_set *slots;
    bool is_known;
};

/* Under a stop. */
static void find_changed(void *context) {
    struct change_question *question = context;
    struct node *node = question->node;
    if (node->is_replica) {
        applying_drain(node); /* Its log is ahead of what its workers have applied. */
    }
    question->is_known = node->all_changed <= question->since;
    for (uint32_t slot = 0; question->is_known && slot < SLOTS; slot++) {
        if (node->slot_changed[slot] > question->since) {
            slot_set_add(question->slots, (uint16_t)slot);
        }
    }
}

static bool source_changed(void *context, uint64_t since, struct slot_set *slots) {
    struct primary_links *links = ((struct link *)context)->links;
    struct change_question question = {.node = links->node, .since = since, .slots = slots};
    stop_visit(links->node, find_changed, &question);
    return question.is_known;
}

/* Under a stop. A worker of a replica that no frame concerned stands where the last one did: images
 * are of the log's end. */
static void catch_up(void *context) {
    applying_drain(context);
}

static bool source_images_begin(void *context, const struct slot_set *slots) {
    struct link *link = context;
    struct node *node = link->links->node;
    if (!replica_is_whole(&link->links->server->replica)) {
        return false; /* A replica that is being copied itself. */
    }
    if (node->is_replica) {
        stop_visit(node, catch_up, node);
    }
    image_queue_begin(&link->images, slots);
    return true;
}

static enum feed_image source_images_next(void *context, struct buffer *chunk,
                                          struct message_slot *slots, size_t *count) {
    return image_queue_next(&((struct link *)context)->images, chunk, slots, count);
}

static void source_images_end(void *context) {
    image_queue_end(&((struct link *)context)->images);
}

static void source_digest(void *context, const struct message_digest *digest) {
    const struct link *link = context;
    struct feed_figures figures;
    feed_figures_read(link->feed, &figures);
    anti_entropy_report(link->links->replicator->anti_entropy, figures.node_id, digest);
}

static void feed_begin(struct link *link) {
    struct primary_links *links = link->links;
    struct feed_plan plan = {
        .source = {.context = link,
                   .log = links->log.folder,
                   .lineage = source_lineage,
                   .start = source_start,
                   .end = source_end,
                   .changed = source_changed,
                   .images_begin = source_images_begin,
                   .images_next = source_images_next,
                   .images_end = source_images_end,
                   .digest = source_digest},
        .seed = link->seed,
        .now_ms = links->replicator->now_ms,
        .compresses = !network_peer_is_local(link->fd),
    };
    replication_name(&links->server->replication, plan.node_id);
    link->feed = feed_new(&plan);
}

/* ---- begin and end ---- */

static void socket_is_ready(void *context, unsigned events) {
    struct link *link = context;
    if ((events & LOOP_FAILED) != 0) {
        link->reason = "the system cannot watch its socket";
        return;
    }
    link->is_full = link->is_full && (events & LOOP_WRITE) == 0;
    link->is_readable = link->is_readable || (events & LOOP_READ) != 0;
}

struct redis_links *primary_links_redis(struct primary_links *links) {
    return links->redis;
}

bool primary_links_are_on(const struct primary_links *links) {
    return links->count > 0;
}

bool primary_links_want_time(const struct primary_links *links) {
    return links->count > 0 || links->has_backlog || links->cutter.cutting != NULL;
}

bool primary_links_take_number(struct primary_links *links, const struct client_link *client,
                               uint32_t *number) {
    if (links->count == REPLICATION_LINKS_MAX) {
        return false;
    }
    *number = 0;
    while ((links->numbers >> *number & 1) != 0) {
        (*number)++;
    }
    links->numbers |= UINT32_C(1) << *number;
    links->count++;
    links->has_backlog = true;
    replication_set_backlog(&links->server->replication, true);
    replication_client_set(&links->server->replication, *number, client);
    return true;
}

void primary_links_return_number(struct primary_links *links, uint32_t number) {
    links->numbers &= ~(UINT32_C(1) << number);
    links->count--;
    links->deserted_ms = links->replicator->now_ms;
}

static void report(const struct link *link, const struct quorum_member *member) {
    quorum_report(&link->links->node->quorum, link->number, member);
}

/* What it needs of the log is kept for a while. Tools that read the log are nobody, and do not come
 * back. */
static void remember(const struct link *link) {
    static const unsigned char nobody[MESSAGE_NODE_ID_BYTES];
    struct feed_figures figures;
    feed_figures_read(link->feed, &figures);
    link->links->healed += figures.healed;
    struct replication_absent absent = {
        .position = feed_needs(link->feed),
        .since_ms = clock_wall_ms(),
    };
    memcpy(absent.node_id, figures.node_id, sizeof(absent.node_id));
    if (link->is_known && absent.position != UINT64_MAX &&
        memcmp(absent.node_id, nobody, sizeof(nobody)) != 0) {
        replication_absent_add(&link->links->server->replication, &absent);
    }
}

static void link_close(struct link *link) {
    struct primary_links *links = link->links;
    const char *reason = link->reason;
    if (link->feed != NULL) {
        remember(link);
        log_notice("The link to replica %s:%u ends: %s", link->address, link->port,
                   reason[0] == '\0' ? feed_reason(link->feed) : reason);
        feed_free(link->feed);
    }
    report(link, &(struct quorum_member){.is_connected = false});
    loop_watch_stop(links->replicator->loop, &link->watch);
    network_close(link->fd);
    buffer_free(&link->out);
    list_remove(&link->list);
    primary_links_return_number(links, link->number);
    memory_free(link);
}

/* A link on its way from a worker. */
struct offer {
    struct detachment detachment;
    struct replicator_post post;
    struct replicator *replicator;
    struct client_link client;
    uint64_t seed;
    int fd;
    uint16_t port;
    char address[NETWORK_ADDRESS_BYTES];
    char takes_over[HISTORY_TEXT_BYTES];
};

static void link_begin(struct primary_links *links, const struct offer *offer, uint32_t number) {
    struct link *link = memory_alloc_zeroed(sizeof(*link));
    link->links = links;
    link->number = number;
    link->client_id = offer->client.id;
    link->fd = offer->fd;
    link->seed = offer->seed;
    memcpy(link->address, offer->address, sizeof(link->address));
    link->port = offer->port;
    memcpy(link->takes_over, offer->takes_over, sizeof(link->takes_over));
    link->began_ms = links->replicator->now_ms;
    link->moved_ms = link->began_ms;
    image_queue_init(&link->images, &links->cutter);
    list_push_back(&links->links, &link->list);
    if (links->settings.is_delayed) {
        network_set_delay(link->fd);
    }
    loop_watch_start(links->replicator->loop, &link->watch, link->fd, LOOP_READ, socket_is_ready,
                     link);
    if (link->takes_over[0] == '\0') {
        loop_watch_change(links->replicator->loop, &link->watch, 0); /* Until there is a feed. */
    }
    log_notice("Replica %s:%u begins its link", link->address, link->port);
}

static void offer_arrives(struct replicator *replicator, struct replicator_post *post) {
    struct offer *offer = MAILBOX_ENTRY(post, struct offer, post);
    struct primary_links *links = replicator->primary_links;
    uint32_t number;
    if (links == NULL || !primary_links_take_number(links, &offer->client, &number)) {
        log_warning("Replica %s:%u comes when there is no link for it", offer->address,
                    offer->port);
        network_close(offer->fd);
    } else {
        link_begin(links, offer, number);
    }
    memory_free(offer);
}

static void offer_take(struct detachment *detachment, int fd) {
    struct offer *offer = MAILBOX_ENTRY(detachment, struct offer, detachment);
    if (fd < 0) {
        memory_free(offer);
        return;
    }
    offer->fd = fd;
    replicator_post(offer->replicator, &offer->post);
}

struct detachment *primary_links_offer(struct replicator *replicator,
                                       const struct link_offer *offered) {
    const struct connection *connection = offered->connection;
    const struct replica_words *words = connection->replica_words;
    struct offer *offer = memory_alloc_zeroed(sizeof(*offer));
    offer->detachment.take = offer_take;
    offer->post.run = offer_arrives;
    offer->replicator = replicator;
    client_link_take(&offer->client, connection, "replconf");
    offer->seed = offered->seed;
    ASSERT(offered->takes_over.length < sizeof(offer->takes_over));
    memcpy(offer->takes_over, offered->takes_over.bytes, offered->takes_over.length);
    network_peer_host(connection->fd, offer->address, &offer->port);
    if (words != NULL && words->address[0] != '\0') {
        memcpy(offer->address, words->address, sizeof(offer->address));
    }
    if (words != NULL && words->port != 0) {
        offer->port = words->port;
    }
    return &offer->detachment;
}

/* ---- a link's step ---- */

/* What the replica said may concern others. */
static void heard(struct link *link) {
    struct primary_links *links = link->links;
    struct feed_figures figures;
    feed_figures_read(link->feed, &figures);
    if (!link->is_known && feed_stage(link->feed) > FEED_HELLO) {
        link->is_known = true;
        replication_absent_remove(&links->server->replication, figures.node_id);
        replication_count_sync(&links->server->replication, figures.mode);
        log_notice("Replica %s:%u %s", link->address, link->port,
                   replication_plan_name(figures.mode));
    }
    if (figures.follows && !link->has_followed) {
        link->has_followed = true;
        log_notice("Replica %s:%u follows the log, with %" PRIu64 " slots in %" PRIu64
                   " bytes of images",
                   link->address, link->port, figures.images, figures.image_bytes);
    }
    struct quorum_member member = {
        .is_connected = figures.follows,
        .written = figures.written,
        .synced = figures.synced,
        .heard_ms = figures.heard_ms,
    };
    _Static_assert(sizeof(member.node_id) == sizeof(figures.node_id), "names of nodes are alike");
    memcpy(member.node_id, figures.node_id, sizeof(member.node_id));
    report(link, &member);
}

/* What a replica reports is of no use at once, unless somebody waits for it: to be woken for each
 * report would cost as much as sending the log does. */
static bool link_listens(const struct link *link) {
    return !link->has_followed || quorum_is_awaited(&link->links->node->quorum);
}

static void link_watch(struct link *link) {
    unsigned events = 0;
    events |= link_listens(link) ? (unsigned)LOOP_READ : 0U;
    events |= link->is_full ? (unsigned)LOOP_WRITE : 0U;
    if (events != link->events) {
        link->events = events;
        loop_watch_change(link->links->replicator->loop, &link->watch, events);
    }
}

static void link_read(struct link *link) {
    struct primary_links *links = link->links;
    if ((link->events & LOOP_READ) == 0 &&
        links->replicator->now_ms - link->read_ms >= REPLICATOR_PERIOD_MS) {
        link->is_readable = true;
    }
    if (link->is_readable) {
        link->read_ms = links->replicator->now_ms;
    }
    size_t budget = LINK_READ_BYTES_MAX;
    while (link->is_readable && link->reason == NULL && budget > 0) {
        struct network_result result = network_read(link->fd, links->input, READ_BYTES);
        if (result.status == NETWORK_WOULD_BLOCK) {
            link->is_readable = false;
        } else if (result.status != NETWORK_MOVED) {
            link->reason = "the replica has left";
        } else {
            if (!feed_receive(link->feed, span_of(links->input, result.bytes),
                              links->replicator->now_ms)) {
                link->reason = "";
            }
            budget -= result.bytes < budget ? result.bytes : budget;
            link->is_readable = result.bytes == READ_BYTES;
            heard(link);
        }
    }
}

/* Sends what is left of the last filling. False: the socket takes no more for now. */
static bool link_send(struct link *link) {
    struct primary_links *links = link->links;
    while (link->sent < link->out.length) {
        struct network_result result =
            network_write(link->fd, link->out.bytes + link->sent, link->out.length - link->sent);
        if (result.status == NETWORK_MOVED) {
            link->sent += result.bytes;
            link->sent_bytes += result.bytes;
            atomic_fetch_add_explicit(&links->node->link_written_bytes, result.bytes,
                                      memory_order_relaxed);
            link->moved_ms = links->replicator->now_ms;
            continue;
        }
        if (result.status != NETWORK_WOULD_BLOCK) {
            link->reason = "the replica has left";
        } else {
            link->is_full = true;
        }
        return false;
    }
    buffer_clear(&link->out);
    if (link->out.capacity > 2 * LINK_FILL_BYTES) {
        buffer_free(&link->out);
    }
    link->sent = 0;
    return true;
}

/* Fills and sends, as far as the socket takes it. True: there is more. */
static bool link_write(struct link *link) {
    uint64_t sent_max = link->sent_bytes + LINK_SENT_BYTES_MAX;
    while (link->reason == NULL && !link->is_full && link->sent_bytes < sent_max) {
        if (!link_send(link)) {
            return false;
        }
        if (!feed_fill(link->feed, &link->out, LINK_FILL_BYTES, link->links->replicator->now_ms)) {
            link->reason = "";
        }
        if (link->out.length == 0) {
            return false;
        }
    }
    return link->reason == NULL && !link->is_full;
}

/* Who is silent, or in others' way. */
static void link_check(struct link *link) {
    struct primary_links *links = link->links;
    int64_t now_ms = links->replicator->now_ms;
    struct feed_figures figures;
    feed_figures_read(link->feed, &figures);
    if (links->log.is_memory && feed_stage(link->feed) >= FEED_IMAGES &&
        figures.sent < replication_trimmed(&links->server->replication)) {
        link->reason = "it is further behind than the log in memory may reach back";
    } else if (now_ms - figures.heard_ms > links->settings.timeout_ms) {
        link->reason = "nothing was heard of the replica for repl-timeout seconds";
    } else if (image_queue_holds_up(&link->images) && now_ms - link->moved_ms > LINK_STALL_MS) {
        link->reason = "it takes no images";
    }
}

/* The primary of before has begun the link. It is taken over from once it has gone on with it:
 * until then it may have thought better of it, long ago perhaps. */
static void take_over(struct link *link) {
    struct primary_links *links = link->links;
    if (network_peer_has_left(link->fd)) {
        link->reason = "the primary of before has left";
    } else if (link->is_readable) {
        link->reason = failover_refusal(links->server, span_of_string(link->takes_over));
        link->takes_over[0] = '\0';
        if (link->reason == NULL) {
            failover_take_over(links->server);
        }
    } else if (links->replicator->now_ms - link->began_ms > links->settings.timeout_ms) {
        link->reason = "the primary of before is silent";
    }
}

/* What it would read is not there yet. */
static bool must_wait(struct link *link) {
    struct primary_links *links = link->links;
    if (link->feed != NULL ||
        (links->log.log != NULL && replica_is_whole(&links->server->replica))) {
        return false;
    }
    if (network_peer_has_left(link->fd)) {
        link->reason = "the replica has left";
    } else if (links->replicator->now_ms - link->began_ms > links->settings.timeout_ms) {
        link->reason = "there was no log for it for repl-timeout seconds";
    }
    return true;
}

static bool link_step(struct link *link) {
    if (link->takes_over[0] != '\0') {
        take_over(link);
    }
    if (link->takes_over[0] != '\0' || link->reason != NULL || must_wait(link)) {
        return false;
    }
    if (link->feed == NULL) {
        feed_begin(link);
    }
    link_read(link);
    bool has_more = link_write(link);
    if (link->reason == NULL) {
        link_check(link);
        link_watch(link);
    }
    return has_more;
}

/* ---- what others are told ---- */

static struct replication_link published_of(const struct link *link) {
    struct replication_link published = {
        .number = link->number,
        .port = link->port,
        .waits = link->feed == NULL,
        .began_ms = link->began_ms,
        .sent_bytes = link->sent_bytes,
        .held_bytes = link->out.capacity + link->images.bytes,
    };
    memcpy(published.address, link->address, sizeof(published.address));
    if (link->feed != NULL) {
        published.stage = feed_stage(link->feed);
        feed_figures_read(link->feed, &published.figures);
    }
    return published;
}

static void publish(struct primary_links *links) {
    struct replication_link published[REPLICATION_LINKS_MAX];
    uint32_t count = 0;
    uint64_t needs = RETENTION_NOBODY;
    LIST_FOR_EACH(at, &links->links) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        published[count++] = published_of(link);
        uint64_t needed = link->feed == NULL ? RETENTION_NOBODY : feed_needs(link->feed);
        needs = needed < needs ? needed : needs;
    }
    count += redis_links_publish(links->redis, published + count, &needs);
    replication_links_publish(&links->server->replication, published, count, needs);
}

/* A log for replicas, and how much of it. */
static void keep_log(struct primary_links *links) {
    struct saving *saving = atomic_load(&links->server->saving);
    int64_t now_ms = links->replicator->now_ms;
    int64_t ttl_ms = links->settings.backlog_ms;
    if (saving == NULL || !links->has_backlog) {
        return;
    }
    if (links->count == 0 && ttl_ms != 0 && now_ms - links->deserted_ms > ttl_ms) {
        links->has_backlog = false;
        replication_set_backlog(&links->server->replication, false);
    }
    saving_want_log(saving, links->has_backlog);
    if (links->log.log == NULL) {
        return;
    }
    uint64_t end = oplog_end_position(links->log.log);
    bool has_grown = end - links->trim_end >= LINK_TRIM_BYTES;
    if (has_grown || now_ms - links->trim_ms >= 1000) {
        links->trim_end = end;
        links->trim_ms = now_ms;
        saving_want_trim(saving);
    }
}

static void close_ended(struct primary_links *links) {
    for (struct list *at = links->links.next; at != &links->links;) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        at = at->next;
        if (link->reason != NULL) {
            link_close(link);
        }
    }
}

bool primary_links_step(struct primary_links *links) {
    if (!primary_links_want_time(links)) {
        return false;
    }
    bool has_more = false;
    links->settings = replication_settings(&links->server->replication);
    image_cutter_step(&links->cutter);
    LIST_FOR_EACH(at, &links->links) {
        has_more |= link_step(LIST_ENTRY(at, struct link, list));
    }
    has_more |= redis_links_step(links->redis);
    close_ended(links);
    image_cutter_step(&links->cutter);
    publish(links);
    keep_log(links);
    return has_more;
}

uint64_t primary_links_healed(const struct primary_links *links) {
    uint64_t healed = links->healed;
    LIST_FOR_EACH(at, &links->links) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        struct feed_figures figures = {.healed = 0};
        if (link->feed != NULL) {
            feed_figures_read(link->feed, &figures);
        }
        healed += figures.healed;
    }
    return healed;
}

uint32_t primary_links_following(const struct primary_links *links) {
    uint32_t count = 0;
    LIST_FOR_EACH(at, &links->links) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        struct feed_figures figures = {.follows = false};
        if (link->feed != NULL) {
            feed_figures_read(link->feed, &figures);
        }
        count += figures.follows;
    }
    return count;
}

void primary_links_heal(struct primary_links *links, const unsigned char *node_id,
                        const struct slot_set *slots) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        struct feed_figures figures;
        if (link->feed == NULL) {
            continue;
        }
        feed_figures_read(link->feed, &figures);
        if (node_id == NULL || memcmp(figures.node_id, node_id, MESSAGE_NODE_ID_BYTES) == 0) {
            feed_heal(link->feed, slots);
        }
    }
}

void primary_links_kill(struct primary_links *links, uint64_t client_id) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        if (link->client_id == client_id && link->reason == NULL) {
            link->reason = PRIMARY_LINKS_KILLED;
        }
    }
    close_ended(links);
    redis_links_kill(links->redis, client_id);
    publish(links);
}

void primary_links_close_all(struct primary_links *links, const char *reason) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        link->reason = link->reason == NULL ? reason : link->reason;
    }
    close_ended(links);
    redis_links_close_all(links->redis, reason);
    publish(links);
}

static void close_fed(struct primary_links *links, const char *reason) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        if (link->feed != NULL && link->reason == NULL) {
            link->reason = reason;
        }
    }
    close_ended(links);
    publish(links);
}

void primary_links_set_log(struct primary_links *links, const struct replicator_log *log) {
    if (links->log.log != log->log) {
        close_fed(links, "the log has been switched");
    }
    links->log = *log;
    redis_links_set_log(links->redis, log);
    links->trim_end = log->log == NULL ? 0 : oplog_end_position(log->log);
}

/* ---- lifecycle ---- */

static void cutter_is_ready(void *context) {
    loop_wake(((struct primary_links *)context)->replicator->loop);
}

struct primary_links *primary_links_new(struct replicator *replicator) {
    struct primary_links *links = memory_alloc_zeroed(sizeof(*links));
    links->replicator = replicator;
    links->server = replicator->server;
    links->node = &replicator->server->node;
    list_init(&links->links);
    image_cutter_init(&links->cutter, links->node, cutter_is_ready, links);
    links->redis = redis_links_new(replicator);
    links->input = memory_alloc(READ_BYTES);
    return links;
}

void primary_links_free(struct primary_links *links) {
    primary_links_close_all(links, "the server ends");
    image_cutter_stop(&links->cutter);
    redis_links_free(links->redis);
    memory_free(links->input);
    memory_free(links);
}
