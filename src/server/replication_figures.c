#include "server/replication_figures.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/admission.h"

#include <string.h>

static int64_t now_ms(void) {
    return clock_monotonic_us() / 1000;
}

/* ---- as a replica ---- */

static void collect_replica(struct replica *replica, struct replication_figures *figures) {
    const struct oplog *log = replica->server->node.log;
    pthread_mutex_lock(&replica->mutex);
    bool has_link = replica->state == REPLICA_CONNECTED || replica->state == REPLICA_SYNCING;
    memcpy(figures->host, replica->host, sizeof(figures->host));
    figures->port = replica->port;
    figures->is_down = replica->state != REPLICA_CONNECTED;
    figures->link_status = figures->is_down ? "down" : "up";
    figures->is_syncing = replica->state == REPLICA_SYNCING;
    figures->down_seconds = (now_ms() - replica->down_since_ms) / 1000;
    figures->heard_ms = has_link ? now_ms() - replica->figures.heard_ms : -1;
    figures->heard_seconds = has_link ? figures->heard_ms / 1000 : -1;
    figures->slots_missing = slot_set_count(&replica->slots->missing);
    figures->image_bytes = replica->figures.image_bytes;
    figures->full_syncs = replica->full_syncs;
    figures->partial_syncs = replica->partial_syncs;
    figures->divergence = replica->divergence;
    figures->slots_healed = replica->heal.count;
    uint64_t end = log == NULL ? 0 : oplog_end_position(log);
    if (replica->figures.primary_end > end) {
        figures->lag_bytes = replica->figures.primary_end - end;
    }
    pthread_mutex_unlock(&replica->mutex);
}

/* Of the primary's stream, in which its other replicas count, too. */
static int64_t redis_offset(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    int64_t offset = (int64_t)replica->redis_stand.offset;
    pthread_mutex_unlock(&replica->mutex);
    return offset;
}

/* ---- as a primary ---- */

static const char *state_of(const struct replication_link *link) {
    if (link->waits || link->stage <= FEED_WANT) {
        return "wait_bgsave";
    }
    return link->stage == FEED_IMAGES ? "send_bulk" : "online";
}

static void add_line(struct replication_figures *figures, const struct replication_link *link,
                     uint64_t end) {
    const struct feed_figures *feed = &link->figures;
    int64_t heard_ms = now_ms() - feed->heard_ms;
    int64_t lag_ms = feed->behind_ms == 0 ? 0 : now_ms() - feed->behind_ms;
    buffer_format(&figures->replica_lines,
                  "slave%llu:ip=%s,port=%u,state=%s,offset=%llu,lag=%lld,lag_bytes=%llu,"
                  "lag_ms=%lld,round_trip_ms=%lld,written=%llu,synced=%llu\r\n",
                  (unsigned long long)figures->replicas, link->address, link->port, state_of(link),
                  (unsigned long long)feed->applied, (long long)heard_ms / 1000,
                  (unsigned long long)(end > feed->applied ? end - feed->applied : 0),
                  (long long)lag_ms, (long long)feed->round_trip_ms,
                  (unsigned long long)feed->written, (unsigned long long)feed->synced);
    figures->replicas++;
}

static void collect_links(struct server *server, struct replication_figures *figures) {
    struct replication *replication = &server->replication;
    const struct oplog *log = server->node.log;
    struct replication_link *links = memory_alloc(REPLICATION_LINKS_MAX * sizeof(*links));
    uint32_t count = replication_links_read(replication, links);
    for (uint32_t i = 0; i < count; i++) {
        add_line(figures, &links[i], log == NULL ? 0 : oplog_end_position(log));
    }
    memory_free(links);
    pthread_mutex_lock(&replication->mutex);
    figures->syncs_full = replication->full_syncs;
    figures->syncs_partial = replication->partial_syncs;
    figures->syncs_refused = replication->partial_syncs_refused;
    figures->healed = replication->healed;
    pthread_mutex_unlock(&replication->mutex);
}

static void collect_good(const struct node *node, struct replication_figures *figures) {
    const struct worker_options *options = node->options;
    figures->asks_for_replicas =
        options->min_replicas_to_write != 0 && options->min_replicas_max_lag != 0;
    figures->good_replicas = quorum_heard_since(&node->quorum, admission_heard_from_ms(node));
}

/* ---- the log ---- */

static void write_id(char text[REPLICATION_ID_TEXT_BYTES],
                     const unsigned char id[HISTORY_ID_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[REPLICATION_ID_TEXT_BYTES - 1] = '\0';
}

/* The history is what Redis calls a replication id; the one before is its second. */
static void collect_ids(struct server *server, struct replication_figures *figures) {
    const struct history none = {0};
    struct lineage *lineage = memory_alloc_zeroed(sizeof(*lineage));
    uint64_t changes = 0;
    replication_lineage_read(&server->replication, lineage, &changes);
    write_id(figures->node_id, server->replication.node_id);
    write_id(figures->second_id, none.id);
    figures->second_offset = -1;
    if (lineage->count == 0) {
        memcpy(figures->id, server->replication_id, sizeof(figures->id));
    } else {
        const struct lineage_part *last = &lineage->parts[lineage->count - 1];
        write_id(figures->id, last->history.id);
        if (lineage->count > 1) {
            write_id(figures->second_id, lineage->parts[lineage->count - 2].history.id);
            figures->second_offset = (int64_t)last->position + 1;
        }
    }
    memory_free(lineage);
}

static void collect_log(const struct server *server, struct replication_figures *figures) {
    figures->backlog_size = (uint64_t)server->options->server.repl_backlog_size;
    if (server->node.log == NULL) {
        return;
    }
    struct oplog_figures log;
    oplog_figures_read(server->node.log, &log);
    figures->offset = (int64_t)log.end;
    figures->has_backlog = true;
    figures->backlog_first = log.start + 1;
    figures->backlog_length = log.end - log.start;
}

void replication_figures_read(struct server *server, struct replication_figures *figures) {
    const struct options *options = server->options;
    *figures = (struct replication_figures){
        .role = "master",
        .replica_lines = BUFFER_EMPTY,
        .priority = options->server.replica_priority,
        .is_read_only = options->worker.replica_read_only,
        .is_announced = options->server.replica_announced,
        .is_replica = node_is_led(&server->node),
        .failover_state = failover_state_name(failover_state(&server->failover)),
    };
    if (figures->is_replica) {
        figures->role = "slave";
        collect_replica(&server->replica, figures);
    }
    collect_links(server, figures);
    collect_good(&server->node, figures);
    collect_ids(server, figures);
    collect_log(server, figures);
    if (server->node.follows_redis) {
        figures->offset = redis_offset(&server->replica);
    }
    buffer_append_byte(&figures->replica_lines, '\0');
}

void replication_figures_free(struct replication_figures *figures) {
    buffer_free(&figures->replica_lines);
}
