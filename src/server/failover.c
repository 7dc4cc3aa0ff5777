#include "server/failover.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "server/replicator.h"
#include "worker/gate.h"

#include <stdio.h>
#include <string.h>

void failover_init(struct failover *failover) {
    *failover = (struct failover){.state = FAILOVER_NONE};
    int failed = pthread_mutex_init(&failover->mutex, NULL);
    ASSERT(failed == 0);
}

void failover_destroy(struct failover *failover) {
    pthread_mutex_destroy(&failover->mutex);
}

enum failover_state failover_state(struct failover *failover) {
    pthread_mutex_lock(&failover->mutex);
    enum failover_state state = failover->state;
    pthread_mutex_unlock(&failover->mutex);
    return state;
}

const char *failover_state_name(enum failover_state state) {
    static const char *const names[] = {
        [FAILOVER_NONE] = "no-failover",
        [FAILOVER_WAITING] = "waiting-for-sync",
        [FAILOVER_RUNNING] = "failover-in-progress",
    };
    return names[state];
}

/* ---- begin and end: under a stop ---- */

/* Answers what it was before. */
static enum failover_state set_state(struct failover *failover, enum failover_state state) {
    pthread_mutex_lock(&failover->mutex);
    enum failover_state before = failover->state;
    failover->state = state;
    pthread_mutex_unlock(&failover->mutex);
    return before;
}

void failover_begin(struct server *server, const struct failover_plan *plan) {
    struct failover *failover = &server->failover;
    write_pause_begin(&server->write_pause);
    pthread_mutex_lock(&failover->mutex);
    ASSERT(failover->state == FAILOVER_NONE);
    failover->state = FAILOVER_WAITING;
    failover->number++;
    failover->plan = *plan;
    pthread_mutex_unlock(&failover->mutex);
    loop_wake(server->replicator->loop);
}

/* What CONFIG GET shows, and CONFIG REWRITE keeps, goes with the role. */
static void become_primary(struct server *server) {
    const struct span nobody[] = {span_of_string("no"), span_of_string("one")};
    replica_set_option(server, nobody);
    replica_promote(&server->replica);
}

bool failover_abort(struct server *server, const char *reason) {
    enum failover_state state = set_state(&server->failover, FAILOVER_NONE);
    if (state == FAILOVER_NONE) {
        return false;
    }
    log_notice("Aborting failover: %s", reason);
    if (state == FAILOVER_RUNNING) {
        become_primary(server);
    }
    write_pause_end(&server->write_pause);
    return true;
}

/* ---- steps ---- */

/* A thought of the replicator's, which is carried out under a stop if the failover is still on. */
struct move {
    struct server *server;
    uint64_t number;
    enum failover_state state;
    struct failover_plan plan;
    const struct replication_link *target;
    const char *reason;
    bool is_forced;
};

static bool is_outdated(const struct move *move) {
    struct failover *failover = &move->server->failover;
    pthread_mutex_lock(&failover->mutex);
    bool is_outdated = failover->number != move->number || failover->state != move->state;
    pthread_mutex_unlock(&failover->mutex);
    return is_outdated;
}

static void run_abort(void *context) {
    const struct move *move = context;
    if (!is_outdated(move)) {
        failover_abort(move->server, move->reason);
    }
}

static void run_end(void *context) {
    const struct move *move = context;
    if (!is_outdated(move)) {
        set_state(&move->server->failover, FAILOVER_NONE);
        write_pause_end(&move->server->write_pause);
        log_notice("Failover is done: the target is the primary.");
    }
}

static void hand_over(struct server *server, const char *host, uint16_t port) {
    char digits[8];
    snprintf(digits, sizeof(digits), "%u", port);
    const struct span words[] = {span_of_string(host), span_of_string(digits)};
    replica_set_option(server, words);
    replica_hand_over(&server->replica, host, port);
    set_state(&server->failover, FAILOVER_RUNNING);
}

/* What workers hold back of the log's end counts, too. */
static void run_hand_over(void *context) {
    const struct move *move = context;
    struct server *server = move->server;
    struct node *node = &server->node;
    if (is_outdated(move)) {
        return;
    }
    for (uint32_t i = 0; node->log != NULL && i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    if (move->is_forced) {
        log_warning("Failover: the time is over, and %s:%u takes over without having all.",
                    move->plan.host, move->plan.port);
        hand_over(server, move->plan.host, move->plan.port);
    } else if (move->target->figures.applied >= oplog_end_position(node->log)) {
        log_notice("Failover target %s:%u is synced, failing over.", move->target->address,
                   move->target->port);
        hand_over(server, move->target->address, move->target->port);
    }
}

static bool is_wanted(const struct failover_plan *plan, const struct replication_link *link) {
    return link->stage == FEED_LOG && !link->is_redis &&
           (plan->host[0] == '\0' ||
            (link->port == plan->port && strcmp(link->address, plan->host) == 0));
}

static void wait_for_target(struct move *move) {
    struct server *server = move->server;
    const struct failover_plan *plan = &move->plan;
    struct replication_link links[REPLICATION_LINKS_MAX];
    const struct oplog *log = server->node.log;
    uint32_t count = replication_links_read(&server->replication, links);
    for (uint32_t i = 0; log != NULL && i < count; i++) {
        if (is_wanted(plan, &links[i]) && links[i].figures.applied >= oplog_end_position(log)) {
            move->target = &links[i];
            stop_visit(&server->node, run_hand_over, move);
            return;
        }
    }
    if (plan->until_ms == 0 || clock_monotonic_us() / 1000 < plan->until_ms) {
        return;
    }
    move->is_forced = plan->is_forced;
    move->reason = "Replica never caught up before timeout";
    stop_visit(&server->node, move->is_forced ? run_hand_over : run_abort, move);
}

void failover_step(struct server *server) {
    struct failover *failover = &server->failover;
    struct move move = {.server = server};
    pthread_mutex_lock(&failover->mutex);
    move.number = failover->number;
    move.state = failover->state;
    if (move.state != FAILOVER_NONE) {
        move.plan = failover->plan;
    }
    pthread_mutex_unlock(&failover->mutex);
    if (move.state == FAILOVER_NONE) {
        return;
    }
    if (move.state == FAILOVER_WAITING) {
        wait_for_target(&move);
        return;
    }
    enum replica_hand_over answer = replica_hand_over_answer(&server->replica);
    if (answer == HAND_OVER_DONE) {
        stop_visit(&server->node, run_end, &move);
    } else if (answer == HAND_OVER_REFUSED) {
        move.reason = "Failover target rejected the request";
        stop_visit(&server->node, run_abort, &move);
    }
}

/* ---- the target ---- */

static bool is_history(const struct history *history, struct span text) {
    char name[HISTORY_TEXT_BYTES];
    return span_equal(span_of_string(history_format(name, history)), text);
}

const char *failover_refusal(struct server *server, struct span history) {
    struct lineage *lineage = memory_alloc_zeroed(sizeof(*lineage));
    uint64_t changes = 0;
    replication_lineage_read(&server->replication, lineage, &changes);
    size_t count = lineage->count;
    bool is_current = count > 0 && is_history(&lineage->parts[count - 1].history, history);
    bool is_before = count > 1 && is_history(&lineage->parts[count - 2].history, history);
    memory_free(lineage);
    if (replication_role(&server->replication) == REPLICATION_PRIMARY) {
        return is_before ? NULL : "ERR This node is a primary of another history";
    }
    if (!is_current) {
        return "ERR This node follows another history";
    }
    return replica_is_whole(&server->replica) ? NULL : "ERR This node does not have all data yet";
}

static void run_take_over(void *context) {
    struct server *server = context;
    if (replica_is_on(&server->replica)) {
        log_notice("MASTER MODE enabled (failover request of the primary)");
        become_primary(server);
    }
}

void failover_take_over(struct server *server) {
    stop_visit(&server->node, run_take_over, server);
}
