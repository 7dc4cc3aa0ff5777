#include "server/replica.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "server/replicator.h"
#include "server/saving.h"
#include "worker/applying.h"
#include "worker/gate.h"

#include <stdio.h>

/* After a snapshot that failed. */
#define BASE_RETRY_MS 1000

void replica_init(struct replica *replica, struct server *server) {
    replica->server = server;
    int failed = pthread_mutex_init(&replica->mutex, NULL);
    ASSERT(failed == 0);
}

static void identity_clear(struct replica_identity *words) {
    memory_free(words->user);
    memory_free(words->password);
    memory_free(words->announced_address);
    memory_free(words->source_address);
    memory_free(words->cluster_secret);
}

void replica_configure(struct replica *replica) {
    const struct server_options *options = &replica->server->options->server;
    int64_t port = options->replica_announce_port;
    pthread_mutex_lock(&replica->mutex);
    identity_clear(&replica->identity);
    replica->identity = (struct replica_identity){
        .user = memory_copy_string(options->masteruser),
        .password = memory_copy_string(options->masterauth),
        .announced_address = memory_copy_string(options->replica_announce_ip),
        .source_address = memory_copy_string(options->bind_source_addr),
        .cluster_secret = memory_copy_string(replica->server->options->cluster.secret),
        .announced_port = (uint16_t)(port != 0 ? port : options->port),
    };
    pthread_mutex_unlock(&replica->mutex);
}

void replica_destroy(struct replica *replica) {
    memory_free(replica->slots);
    identity_clear(&replica->identity);
    saving_change_clear(&replica->change);
    pthread_mutex_destroy(&replica->mutex);
}

/* ---- roles: under a stop of all workers ---- */

/* Something happened that workers look at with each tick. */
static void applied_further(void *context) {
    const struct server *server = context;
    if (server->replicator != NULL) {
        loop_wake(server->replicator->loop);
    }
}

static void configure_workers(struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
        gate_follow(node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
}

/* A primary's data becomes a replica's: what its log holds is its history. */
static void begin(struct replica *replica) {
    struct server *server = replica->server;
    struct node *node = &server->node;
    for (uint32_t i = 0; node->log != NULL && i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    if (node->applying == NULL) {
        node->applying = applying_new(node, applied_further, server);
    }
    node->is_replica = true;
    quorum_set_primary(&node->quorum, false);
    node->follows_redis = false;
    replication_set_role(&server->replication, REPLICATION_REPLICA);
    applying_forget_images(node->applying);
    applying_begin(node->applying, node->log == NULL ? 0 : oplog_end_position(node->log));
    if (replica->slots == NULL) {
        replica->slots = memory_alloc(sizeof(*replica->slots));
    }
    memset(replica->slots, 0, sizeof(*replica->slots));
    replica->images_end = 0;
    replica->is_complete = node->log != NULL;
    replica->complete = 0;
    replica->base_job = 0;
    configure_workers(node);
}

/* With the mutex: from now on that one is followed; "": nobody. */
static void set_source(struct replica *replica, const char *host, uint16_t port,
                       const struct raft_id *id) {
    replica->primary = *id;
    replica->redis_stand.id[0] = '\0';
    snprintf(replica->host, sizeof(replica->host), "%s", host);
    replica->port = port;
    replica->generation++;
    replica->promotes = false;
    replica->hand_over = HAND_OVER_NONE;
    replica->state = REPLICA_WAITING;
    replica->down_since_ms = clock_monotonic_us() / 1000;
    memset(&replica->figures, 0, sizeof(replica->figures));
    atomic_store(&replica->server->node.is_cut_off, true);
}

static bool is_primary(const struct replica *replica) {
    return replica->state == REPLICA_OFF || replica->server->node.follows_redis;
}

void replica_follow(struct replica *replica, const char *host, uint16_t port) {
    replica_follow_node(replica, host, port, &RAFT_ID_NONE);
}

void replica_follow_node(struct replica *replica, const char *host, uint16_t port,
                         const struct raft_id *id) {
    pthread_mutex_lock(&replica->mutex);
    if (is_primary(replica)) {
        begin(replica);
    }
    set_source(replica, host, port, id);
    pthread_mutex_unlock(&replica->mutex);
    logger_set_role('S');
    applied_further(replica->server);
}

void replica_wait(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    if (is_primary(replica)) {
        begin(replica);
        replica->is_complete = true; /* What there is, is all that it is to hold. */
    }
    set_source(replica, "", 0, &RAFT_ID_NONE);
    pthread_mutex_unlock(&replica->mutex);
    logger_set_role('S');
    applied_further(replica->server);
}

void replica_lacks(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    replica->is_complete = false;
    pthread_mutex_unlock(&replica->mutex);
}

bool replica_stands_still(struct replica *replica) {
    struct applying *applying = replica->server->node.applying;
    pthread_mutex_lock(&replica->mutex);
    bool answer = replica->state != REPLICA_OFF && replica->host[0] == '\0' &&
                  replica->link_generation == replica->generation && !replica->is_changing;
    if (answer) {
        applying_reap(applying);
        answer = applying_is_idle(applying);
    }
    pthread_mutex_unlock(&replica->mutex);
    return answer;
}

void replica_hand_over(struct replica *replica, const char *host, uint16_t port) {
    replica_follow(replica, host, port);
    pthread_mutex_lock(&replica->mutex);
    replica->hand_over = HAND_OVER_ASKED;
    pthread_mutex_unlock(&replica->mutex);
}

enum replica_hand_over replica_hand_over_answer(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    enum replica_hand_over answer = replica->hand_over;
    pthread_mutex_unlock(&replica->mutex);
    return answer;
}

/* With the mutex. */
static void promote(struct replica *replica) {
    struct server *server = replica->server;
    struct node *node = &server->node;
    applying_flush(node->applying);
    applying_drain(node);
    applying_reap(node->applying);
    uint32_t missing = slot_set_count(&replica->slots->missing);
    if (missing > 0) {
        log_warning("Promoted while %u slots were missing: what they held is not here.", missing);
    }
    if (node->log != NULL) {
        struct history_origin origin = oplog_fork(node->log);
        replication_lineage_turn(&server->replication, &origin.history, origin.begin);
    }
    node->is_replica = false;
    quorum_set_primary(&node->quorum, true);
    node->follows_redis = false;
    replica->redis_stand.id[0] = '\0';
    replication_set_role(&server->replication, REPLICATION_PRIMARY);
    slot_set_clear(&replica->slots->missing);
    atomic_store(&node->is_incomplete, false);
    atomic_store(&node->is_cut_off, false);
    replica->state = REPLICA_OFF;
    replica->promotes = false;
    replica->hand_over = HAND_OVER_NONE;
    replica->generation++;
    configure_workers(node);
    logger_set_role('M');
}

void replica_promote(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    if (replica->state != REPLICA_OFF && replica->is_changing) {
        replica->promotes = true;
    } else if (replica->state != REPLICA_OFF) {
        promote(replica);
    }
    pthread_mutex_unlock(&replica->mutex);
    applied_further(replica->server);
}

/* ---- questions ---- */

bool replica_is_on(struct replica *replica) {
    pthread_mutex_lock(&replica->mutex);
    bool is_on = replica->state != REPLICA_OFF;
    pthread_mutex_unlock(&replica->mutex);
    return is_on;
}

static bool is_whole(const struct replica *replica, uint64_t applied) {
    return replica->state == REPLICA_OFF ||
           (replica->is_complete && slot_set_is_empty(&replica->slots->missing) &&
            applied >= replica->images_end && !replica->is_changing &&
            applying_has_passed(replica->server->node.applying, replica->complete));
}

bool replica_is_whole(struct replica *replica) {
    struct applying *applying = replica->server->node.applying;
    pthread_mutex_lock(&replica->mutex);
    bool answer = applying == NULL || is_whole(replica, applying_reap(applying));
    pthread_mutex_unlock(&replica->mutex);
    return answer;
}

/* ---- the base ---- */

/* Images that replaced the data on disk, too, count once a snapshot holds them. */
static void take_base(struct replica *replica, int64_t now_ms) {
    struct saving *saving = atomic_load(&replica->server->saving);
    if (saving == NULL) {
        return;
    }
    if (replica->base_job == 0) {
        if (now_ms >= replica->base_retry_ms) {
            replica->base_job = saving_request(saving, SAVING_REWRITE);
        }
        return;
    }
    bool has_failed;
    if (!saving_is_done(saving, replica->base_job, &has_failed)) {
        return;
    }
    replica->base_job = 0;
    replica->needs_base = has_failed;
    replica->base_retry_ms = now_ms + BASE_RETRY_MS;
}

void replica_settle(struct replica *replica, uint64_t applied, int64_t now_ms) {
    struct node *node = &replica->server->node;
    if (!is_whole(replica, applied)) {
        return;
    }
    if (atomic_load(&node->is_incomplete)) {
        atomic_store(&node->is_incomplete, false);
        log_notice("MASTER <-> REPLICA sync: Finished with success");
        applied_further(replica->server);
    }
    replica_heal_settle(replica);
    if (replica->needs_base) {
        take_base(replica, now_ms);
    }
}

void replica_progress(struct replica *replica, uint64_t applied,
                      struct follower_progress *progress) {
    const struct node *node = &replica->server->node;
    *progress = (struct follower_progress){.applied = applied};
    if (node->log == NULL || replica->needs_base) {
        return;
    }
    progress->written = oplog_written_position(node->log);
    /* What is synced to memory is on no disk. */
    if (node->log_gates) {
        progress->synced = oplog_synced_position(node->log);
        progress->synced =
            progress->synced < progress->written ? progress->synced : progress->written;
    }
}

/* ---- the log has been changed ---- */

static void count_divergence(struct replica *replica) {
    const struct saving_change *change = &replica->change;
    struct replica_divergence *divergence = &replica->divergence;
    if (change->effects == 0) {
        return;
    }
    divergence->count++;
    divergence->bytes += change->bytes;
    divergence->effects += change->effects;
    divergence->keys += change->keys;
    divergence->slots += slot_set_count(&change->touched);
    divergence->unlisted += change->is_unlisted;
}

static void promote_late(void *context) {
    struct replica *replica = context;
    pthread_mutex_lock(&replica->mutex);
    if (replica->promotes) {
        promote(replica);
    }
    pthread_mutex_unlock(&replica->mutex);
}

void replica_log_changed(struct replica *replica) {
    struct server *server = replica->server;
    pthread_mutex_lock(&replica->mutex);
    replica->is_changing = false;
    count_divergence(replica);
    /* Known also where the link has gone meanwhile. */
    slot_set_add_all(&replica->slots->missing, &replica->change.touched);
    if (replica->change.is_done) {
        replica->needs_base = replica->change.needs_base;
        applying_begin(server->node.applying, replica->change.plan->position);
    }
    bool promotes = replica->promotes;
    pthread_mutex_unlock(&replica->mutex);
    if (promotes) {
        stop_visit(&server->node, promote_late, replica);
    }
    applied_further(server);
}
