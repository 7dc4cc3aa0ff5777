#include "server/redis_links.h"

#include "base/logger.h"
#include "base/memory.h"
#include "replication/lag.h"
#include "server/primary_links.h"
#include "server/redis_files.h"
#include "worker/worker.h"

#include <inttypes.h>

#define READ_BYTES ((size_t)16 * 1024)

struct link {
    struct list list; /* in redis_links.links */
    struct redis_links *links;
    uint32_t number; /* among REPLICATION_LINKS_MAX */
    uint64_t client_id;
    int fd;
    char address[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    struct loop_watch watch;
    bool is_readable;
    bool is_full; /* the socket takes nothing for now */

    /* What was asked for. */
    bool is_old;
    bool wants_file;
    bool without_keys;
    bool has_offset;
    char id[REDIS_ID_BYTES + 1];
    uint64_t offset;

    struct redis_feed *feed; /* NULL: waits for a log */
    uint64_t file;           /* number of what it begins with, or 0 */
    uint64_t reserved;       /* the file will be of this position, or a later one */
    struct buffer out;
    size_t sent; /* of out */
    uint64_t sent_bytes;
    int64_t began_ms;
    int64_t moved_ms; /* when the socket last took bytes, or there were none for it */
    struct lag lag;
    int64_t behind_ms; /* since when it has not acknowledged all of the log; 0: it has */
    bool was_in_stream;
    const char *reason; /* it is to be closed; NULL: it is not */
};

struct redis_links {
    struct replicator *replicator;
    struct server *server;
    struct replicator_log log;
    struct redis_files *files;   /* NULL: none has been asked for */
    struct redis_stream *stream; /* NULL: nobody has begun to read one */
    uint64_t lineage_changes;    /* that the stream is of */
    struct replication_settings settings;
    struct list links;
    uint32_t count;
    int64_t pinged_ms;
    uint64_t asked; /* position up to which replicas have been asked what they hold */
};

/* ---- what a feed asks ---- */

static uint64_t source_end(void *context) {
    return oplog_written_position(((struct link *)context)->links->log.log);
}

static void file_is_ready(void *context) {
    loop_wake(((struct redis_links *)context)->replicator->loop);
}

static enum redis_feed_file source_file(void *context, uint64_t *position, uint64_t *length) {
    struct link *link = context;
    struct redis_links *links = link->links;
    if (links->files == NULL) {
        links->files = redis_files_new(links->server, file_is_ready, links);
    }
    if (links->files == NULL) {
        return REDIS_FILE_FAILED;
    }
    if (link->file == 0) {
        link->reserved = oplog_written_position(links->log.log);
        link->file = redis_files_ask(links->files, link->without_keys);
    }
    enum redis_feed_file state = redis_files_look(links->files, link->file, position, length);
    if (state == REDIS_FILE_READY && link->without_keys) {
        *position = link->reserved;
    }
    return state;
}

static bool source_file_read(void *context, uint64_t offset, size_t most, struct buffer *out) {
    struct link *link = context;
    return redis_files_read(link->links->files, link->file, offset, most, out);
}

static void source_file_end(void *context) {
    struct link *link = context;
    if (link->file != 0) {
        redis_files_release(link->links->files, link->file);
        link->file = 0;
    }
}

/* Others that read the stream. */
static bool has_readers(const struct redis_links *links) {
    LIST_FOR_EACH(at, &links->links) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        if (link->feed != NULL && redis_feed_stream(link->feed) != NULL) {
            return true;
        }
    }
    return false;
}

/* One that nobody reads is not gone on with: to count what it has become would take as long as to
 * send it. */
static struct redis_stream *source_stream(void *context, uint64_t position) {
    struct redis_links *links = ((struct link *)context)->links;
    if (links->stream != NULL && !has_readers(links) &&
        redis_stream_end(links->stream).position != position) {
        redis_stream_free(links->stream);
        links->stream = NULL;
    }
    if (links->stream == NULL) {
        links->stream = redis_stream_new(position);
        links->asked = 0;
        replication_lineage_changes(&links->server->replication, &links->lineage_changes);
    }
    return links->stream;
}

/* The log still holds what follows the offset. */
static bool is_known(const struct link *link) {
    const struct redis_links *links = link->links;
    struct redis_cursor cursor;
    if (!link->has_offset || links->stream == NULL ||
        strcmp(link->id, redis_stream_id(links->stream)) != 0) {
        return false;
    }
    bool is_there =
        redis_cursor_at_offset(&cursor, links->stream, link->offset) &&
        cursor.at.position >= replication_log_start(&links->server->replication, links->log.log);
    redis_cursor_close(&cursor);
    return is_there;
}

static void feed_begin(struct link *link) {
    struct redis_links *links = link->links;
    struct redis_feed_plan plan = {
        .source = {.context = link,
                   .log = links->log.folder,
                   .end = source_end,
                   .file = source_file,
                   .file_read = source_file_read,
                   .file_end = source_file_end,
                   .stream = source_stream},
        .is_old = link->is_old,
        .wants_file = link->wants_file,
        .now_ms = links->replicator->now_ms,
    };
    if (is_known(link)) {
        plan.stream = links->stream;
        plan.offset = link->offset;
    }
    link->feed = redis_feed_new(&plan);
    struct redis_feed_figures figures;
    redis_feed_figures_read(link->feed, &figures);
    replication_count_sync(&links->server->replication, figures.is_whole ? PLAN_RESET : PLAN_GO_ON);
    log_notice("Replica %s:%u, of Redis' protocol, %s", link->address, link->port,
               figures.is_whole ? "begins with an RDB file" : "goes on where it was");
}

/* ---- begin and end ---- */

static void socket_is_ready(void *context, unsigned events) {
    struct link *link = context;
    if ((events & LOOP_FAILED) != 0) {
        link->reason = "the system cannot watch its socket";
        return;
    }
    if ((events & LOOP_WRITE) != 0) {
        link->is_full = false;
        loop_watch_change(link->links->replicator->loop, &link->watch, LOOP_READ);
    }
    link->is_readable = link->is_readable || (events & LOOP_READ) != 0;
}

static void report(const struct link *link, const struct quorum_member *member) {
    quorum_report(&link->links->server->node.quorum, link->number, member);
}

static void link_close(struct link *link) {
    struct redis_links *links = link->links;
    const char *reason = link->reason;
    if (reason[0] == '\0' && link->feed != NULL) {
        reason = redis_feed_reason(link->feed);
    }
    log_notice("The link to replica %s:%u ends: %s", link->address, link->port,
               reason[0] == '\0' ? "it has what it asked for" : reason);
    redis_feed_free(link->feed);
    report(link, &(struct quorum_member){.is_connected = false});
    loop_watch_stop(links->replicator->loop, &link->watch);
    network_close(link->fd);
    buffer_free(&link->out);
    list_remove(&link->list);
    primary_links_return_number(links->replicator->primary_links, link->number);
    links->count--;
    memory_free(link);
}

/* A link on its way from a worker. */
struct offer {
    struct detachment detachment;
    struct replicator_post post;
    struct replicator *replicator;
    struct client_link client;
    int fd;
    struct link link; /* as it begins */
};

static void link_begin(struct redis_links *links, const struct offer *offer, uint32_t number) {
    struct link *link = memory_alloc(sizeof(*link));
    *link = offer->link;
    link->links = links;
    link->number = number;
    link->client_id = offer->client.id;
    link->fd = offer->fd;
    link->began_ms = links->replicator->now_ms;
    link->moved_ms = link->began_ms;
    list_push_back(&links->links, &link->list);
    links->count++;
    loop_watch_start(links->replicator->loop, &link->watch, link->fd, LOOP_READ, socket_is_ready,
                     link);
    log_notice("Replica %s:%u asks for synchronization", link->address, link->port);
}

static void offer_arrives(struct replicator *replicator, struct replicator_post *post) {
    struct offer *offer = MAILBOX_ENTRY(post, struct offer, post);
    uint32_t number;
    if (replicator->primary_links == NULL ||
        !primary_links_take_number(replicator->primary_links, &offer->client, &number)) {
        network_close(offer->fd);
    } else {
        link_begin(primary_links_redis(replicator->primary_links), offer, number);
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

struct detachment *redis_links_offer(struct replicator *replicator,
                                     const struct redis_offer *offered) {
    const struct connection *connection = offered->connection;
    const struct replica_words *words = connection->replica_words;
    struct offer *offer = memory_alloc_zeroed(sizeof(*offer));
    struct link *link = &offer->link;
    offer->detachment.take = offer_take;
    offer->post.run = offer_arrives;
    offer->replicator = replicator;
    client_link_take(&offer->client, connection, offered->is_old ? "sync" : "replconf");
    network_peer_host(connection->fd, link->address, &link->port);
    link->is_old = offered->is_old;
    if (offered->has_offset && offered->id.length == REDIS_ID_BYTES) {
        memcpy(link->id, offered->id.bytes, REDIS_ID_BYTES);
        link->has_offset = true;
        link->offset = offered->offset;
    }
    if (words != NULL) {
        if (words->address[0] != '\0') {
            memcpy(link->address, words->address, sizeof(link->address));
        }
        link->port = words->port != 0 ? words->port : link->port;
        link->wants_file = words->wants_file;
        link->without_keys = words->without_keys;
    }
    return &offer->detachment;
}

/* ---- a link's step ---- */

static void heard(const struct link *link) {
    struct redis_feed_figures figures;
    redis_feed_figures_read(link->feed, &figures);
    report(link, &(struct quorum_member){
                     .is_connected = link->was_in_stream && !link->is_old,
                     .written = figures.heard.position,
                     .synced = figures.synced.position,
                     .heard_ms = figures.heard_ms,
                 });
}

static void link_read(struct link *link) {
    char bytes[READ_BYTES];
    while (link->is_readable && link->reason == NULL) {
        struct network_result result = network_read(link->fd, bytes, sizeof(bytes));
        if (result.status == NETWORK_WOULD_BLOCK) {
            link->is_readable = false;
        } else if (result.status != NETWORK_MOVED) {
            link->reason = "the replica has left";
        } else if (link->feed == NULL) {
            link->is_readable = false; /* Nothing that it says before is of interest. */
        } else {
            link->is_readable = result.bytes == sizeof(bytes);
            if (!redis_feed_receive(link->feed, span_of(bytes, result.bytes),
                                    link->links->replicator->now_ms)) {
                link->reason = "";
            }
            heard(link);
        }
    }
}

/* Sends what is left of the last filling. False: the socket takes no more for now. */
static bool link_send(struct link *link) {
    while (link->sent < link->out.length) {
        struct network_result result =
            network_write(link->fd, link->out.bytes + link->sent, link->out.length - link->sent);
        if (result.status == NETWORK_MOVED) {
            link->sent += result.bytes;
            link->sent_bytes += result.bytes;
            atomic_fetch_add_explicit(&link->links->server->node.link_written_bytes, result.bytes,
                                      memory_order_relaxed);
            link->moved_ms = link->links->replicator->now_ms;
            continue;
        }
        if (result.status != NETWORK_WOULD_BLOCK) {
            link->reason = "the replica has left";
        } else {
            link->is_full = true;
            loop_watch_change(link->links->replicator->loop, &link->watch, LOOP_READ | LOOP_WRITE);
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
    bool goes_on = true;
    while (link->reason == NULL && !link->is_full && link->sent_bytes < sent_max) {
        if (!link_send(link)) {
            return false;
        }
        if (!goes_on) {
            link->reason = ""; /* All that it was to get has been sent. */
            return false;
        }
        enum redis_feed_stage before = redis_feed_stage(link->feed);
        goes_on = redis_feed_fill(link->feed, &link->out, LINK_FILL_BYTES,
                                  link->links->replicator->now_ms);
        if (link->out.length == 0 && goes_on) {
            /* What is counted sends nothing. */
            return before == REDIS_FEED_COUNT && redis_feed_stage(link->feed) == REDIS_FEED_COUNT;
        }
    }
    return link->reason == NULL && !link->is_full;
}

/* Who takes nothing holds the log, or the file, for nobody. */
static bool is_stalled(const struct link *link) {
    const struct redis_links *links = link->links;
    bool waits = link->feed == NULL || link->is_full;
    return waits && links->replicator->now_ms - link->moved_ms > links->settings.timeout_ms;
}

static void link_check(struct link *link) {
    const struct redis_links *links = link->links;
    struct redis_feed_figures figures;
    if (is_stalled(link)) {
        link->reason = link->feed == NULL ? "no log has begun for repl-timeout seconds"
                                          : "it has read nothing for repl-timeout seconds";
        return;
    }
    if (link->feed == NULL) {
        return;
    }
    redis_feed_figures_read(link->feed, &figures);
    lag_note(&link->lag, source_end(link), links->replicator->now_ms);
    link->behind_ms = lag_since(&link->lag, figures.heard.position);
    bool is_in_stream = redis_feed_stage(link->feed) == REDIS_FEED_STREAM;
    if (is_in_stream && !link->was_in_stream) {
        link->was_in_stream = true;
        link->began_ms = links->replicator->now_ms;
        log_notice("Synchronization with replica %s:%u succeeded", link->address, link->port);
        heard(link);
    }
    int64_t heard_ms = figures.heard_ms > link->began_ms ? figures.heard_ms : link->began_ms;
    if (is_in_stream && !link->is_old &&
        links->replicator->now_ms - heard_ms > links->settings.timeout_ms) {
        link->reason = "nothing was heard of the replica for repl-timeout seconds";
    } else if (is_in_stream && links->log.is_memory &&
               figures.sent.position < replication_trimmed(&links->server->replication)) {
        link->reason = "it is further behind than the log in memory may reach back";
    }
}

static bool link_step(struct link *link) {
    if (link->feed == NULL && link->links->log.log != NULL) {
        feed_begin(link);
    }
    link_read(link);
    bool has_more = link->feed != NULL && link_write(link);
    if (link->reason == NULL) {
        link_check(link);
    }
    return has_more;
}

/* ---- all of them ---- */

static void close_ended(struct redis_links *links) {
    for (struct list *at = links->links.next; at != &links->links;) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        at = at->next;
        if (link->reason != NULL) {
            link_close(link);
        }
    }
}

void redis_links_kill(struct redis_links *links, uint64_t client_id) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        if (link->client_id == client_id && link->reason == NULL) {
            link->reason = PRIMARY_LINKS_KILLED;
        }
    }
    close_ended(links);
}

void redis_links_close_all(struct redis_links *links, const char *reason) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        link->reason = link->reason == NULL ? reason : link->reason;
    }
    close_ended(links);
}

/* Who has begun to read has to begin again. */
static void end_stream(struct redis_links *links, const char *reason) {
    LIST_FOR_EACH(at, &links->links) {
        struct link *link = LIST_ENTRY(at, struct link, list);
        if (link->feed != NULL && link->reason == NULL) {
            link->reason = reason;
        }
    }
    close_ended(links);
    redis_stream_free(links->stream);
    links->stream = NULL;
    links->asked = 0;
}

static void ping(struct redis_links *links) {
    int64_t now_ms = links->replicator->now_ms;
    if (links->stream == NULL || links->count == 0) {
        links->pinged_ms = now_ms;
    } else if (now_ms - links->pinged_ms >= links->settings.ping_ms) {
        redis_stream_add(links->stream, REDIS_EXTRA_PING);
        links->pinged_ms = now_ms;
    }
}

/* Behind what has been sent replicas are asked what they hold, as soon as somebody waits for it:
 * by themselves they say it once a second. */
static bool ask(struct redis_links *links) {
    if (links->stream == NULL || !quorum_is_awaited(&links->server->node.quorum)) {
        return false;
    }
    uint64_t end = redis_stream_end(links->stream).position;
    bool is_new = end > links->asked && end == oplog_written_position(links->log.log);
    if (is_new) {
        links->asked = end;
        redis_stream_add(links->stream, REDIS_EXTRA_GETACK);
    }
    return is_new;
}

bool redis_links_step(struct redis_links *links) {
    bool has_more = false;
    links->settings = replication_settings(&links->server->replication);
    uint64_t changes = links->lineage_changes;
    if (links->stream != NULL &&
        replication_lineage_changes(&links->server->replication, &changes)) {
        end_stream(links, "another history begins");
    }
    ping(links);
    LIST_FOR_EACH(at, &links->links) {
        has_more |= link_step(LIST_ENTRY(at, struct link, list));
    }
    close_ended(links);
    has_more |= ask(links);
    return has_more;
}

void redis_links_set_log(struct redis_links *links, const struct replicator_log *log) {
    if (links->log.log != log->log) {
        end_stream(links, "the log has been switched");
    }
    links->log = *log;
}

uint32_t redis_links_count(const struct redis_links *links) {
    return links->count;
}

/* In the terms of other links. */
static struct replication_link published_of(const struct link *link) {
    struct replication_link published = {
        .number = link->number,
        .port = link->port,
        .waits = link->feed == NULL,
        .is_redis = true,
        .stage = FEED_IMAGES,
        .began_ms = link->began_ms,
        .sent_bytes = link->sent_bytes,
        .held_bytes = link->out.capacity,
    };
    memcpy(published.address, link->address, sizeof(published.address));
    if (link->feed != NULL) {
        struct redis_feed_figures figures;
        redis_feed_figures_read(link->feed, &figures);
        published.stage = link->was_in_stream ? FEED_LOG : FEED_IMAGES;
        published.figures = (struct feed_figures){
            .mode = figures.is_whole ? PLAN_RESET : PLAN_GO_ON,
            .follows = link->was_in_stream,
            .sent = figures.sent.position,
            .written = figures.heard.position,
            .synced = figures.synced.position,
            .applied = figures.heard.position,
            .heard_ms = figures.heard_ms,
            .behind_ms = link->behind_ms,
            .image_bytes = figures.file_bytes,
        };
    }
    return published;
}

uint32_t redis_links_publish(const struct redis_links *links, struct replication_link *published,
                             uint64_t *needs) {
    uint32_t count = 0;
    LIST_FOR_EACH(at, &links->links) {
        const struct link *link = LIST_ENTRY(at, struct link, list);
        published[count++] = published_of(link);
        uint64_t needed = link->feed == NULL ? RETENTION_NOBODY : redis_feed_needs(link->feed);
        if (link->file != 0 && link->reserved < needed) {
            needed = link->reserved;
        }
        *needs = needed < *needs ? needed : *needs;
    }
    return count;
}

/* ---- lifecycle ---- */

struct redis_links *redis_links_new(struct replicator *replicator) {
    struct redis_links *links = memory_alloc_zeroed(sizeof(*links));
    links->replicator = replicator;
    links->server = replicator->server;
    list_init(&links->links);
    return links;
}

void redis_links_free(struct redis_links *links) {
    redis_links_close_all(links, "the server ends");
    if (links->files != NULL) {
        redis_files_end(links->files);
        redis_files_free(links->files);
    }
    redis_stream_free(links->stream);
    memory_free(links);
}
