#include "server/cluster_role.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "server/cluster_member.h"
#include "server/replicator.h"
#include "server/server.h"
#include "worker/gate.h"
#include "worker/worker.h"

/* What was answered in the tick in which writes were stopped has come to its gates when the workers
 * stand still so often. */
#define DRAINING_VISITS 3
/* A worker that was not seen for so long is woken: it may be idle. */
#define SEEN_MS 5

/* What can be compared of a role. */
struct role {
    enum member_role_kind kind;
    uint64_t epoch;
    bool is_paused;
    uint16_t quorum;
    struct raft_id primary;
    char host[MAP_IP_BYTES];
    uint16_t port;
};

struct cluster_role {
    struct cluster_seat *seat;
    struct server *server;
    struct replication_link links[REPLICATION_LINKS_MAX];
    struct member_follower followers[REPLICATION_LINKS_MAX];

    pthread_mutex_t mutex; /* of what follows */
    struct visit visit;
    bool is_visiting; /* the visit is the stop's */
    bool is_telling;  /* news is on its way to the thread */
    bool is_loaded;
    size_t peer_count;
    struct role wanted;
    struct role reached;
    bool has_reached;
    bool holds_writes;
    uint32_t visits; /* since they are held */
    bool is_drained; /* and no answer to one waits */
    uint64_t lease_until_ms;
};

static uint64_t now_ms(void) {
    return (uint64_t)clock_boot_ms();
}

static void wake_workers(const struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (node->workers[i] != NULL) {
            loop_wake(node->workers[i]->loop);
        }
    }
}

/* ---- telling the part ---- */

static void news_run(struct cluster_seat *seat, struct cluster_post *post) {
    struct cluster_role *role = seat->role;
    memory_free(post);
    pthread_mutex_lock(&role->mutex);
    role->is_telling = false;
    pthread_mutex_unlock(&role->mutex);
    cluster_member_replication_changed(seat);
}

/* With the mutex. */
static void tell(struct cluster_role *role) {
    if (!role->is_telling) {
        struct cluster_post *news = memory_alloc_zeroed(sizeof(*news));
        news->run = news_run;
        role->is_telling = true;
        cluster_post(role->seat, news);
    }
}

/* ---- the lease ---- */

/* With the mutex: what the workers see of it. */
static void lease_show(struct cluster_role *role) {
    struct cluster *face = &role->seat->face;
    bool counts = role->has_reached && role->reached.kind == MEMBER_PRIMARY &&
                  role->reached.epoch == role->wanted.epoch && role->wanted.kind == MEMBER_PRIMARY;
    uint64_t until_ms = counts ? role->lease_until_ms : 0;
    uint64_t now = now_ms();
    uint64_t from_ms = until_ms > now ? until_ms : now;
    if (role->wanted.is_paused || from_ms == UINT64_MAX) {
        from_ms = UINT64_MAX; /* They go to the successor, if there is one. */
    } else {
        from_ms += CLUSTER_ROLE_PATIENCE_MS;
    }
    if (role->wanted.kind == MEMBER_WAITS) {
        from_ms = 0;
    }
    atomic_store(&face->refuses_from_ms, from_ms);
    uint64_t before_ms = atomic_exchange(&face->lease_until_ms, until_ms);
    if (before_ms <= now || until_ms <= now) {
        wake_workers(&role->server->node); /* Requests may wait for it. */
    }
}

static void pass(void *context) {
    (void)context;
}

void cluster_role_lease(struct cluster_seat *seat, uint64_t until_ms) {
    struct cluster_role *role = seat->role;
    pthread_mutex_lock(&role->mutex);
    role->lease_until_ms = until_ms;
    lease_show(role);
    bool makes_way = until_ms == 0 && role->is_loaded && role->has_reached &&
                     role->reached.kind == MEMBER_PRIMARY && role->wanted.is_paused;
    pthread_mutex_unlock(&role->mutex);
    if (makes_way) {
        stop_visit(&role->server->node, pass, NULL);
    }
}

/* ---- carrying a role out: under a stop ---- */

/* With the mutex. */
static void hold_writes(struct cluster_role *role, bool holds) {
    if (holds == role->holds_writes) {
        return;
    }
    role->holds_writes = holds;
    role->visits = 0;
    if (holds) {
        log_notice("Writes wait: a replica is to take over.");
        write_pause_begin(&role->server->write_pause);
        gate_await_begin(&role->server->node);
    } else {
        log_notice("Writes wait no longer.");
        write_pause_end(&role->server->write_pause);
        gate_await_end(&role->server->node);
    }
}

/* With the mutex. */
static void drain(struct cluster_role *role) {
    const struct node *node = &role->server->node;
    role->is_drained = role->holds_writes && ++role->visits >= DRAINING_VISITS;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        role->is_drained &= list_is_empty(&node->workers[i]->gated) &&
                            list_is_empty(&node->workers[i]->quorum_gates);
    }
    if (role->is_drained || role->visits < DRAINING_VISITS) {
        tell(role);
    }
}

static void set_quorum(struct cluster_role *role) {
    struct node *node = &role->server->node;
    struct cluster *face = &role->seat->face;
    uint32_t quorum = role->wanted.kind == MEMBER_PRIMARY ? role->wanted.quorum : 0;
    if (face->quorum == quorum) {
        return;
    }
    face->quorum = quorum;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_configure(node->workers[i]);
    }
}

static bool follows_already(const struct cluster_role *role) {
    const struct role *wanted = &role->wanted;
    const struct role *reached = &role->reached;
    return role->has_reached && reached->kind == MEMBER_REPLICA && wanted->port == reached->port &&
           strcmp(wanted->host, reached->host) == 0 &&
           raft_id_equal(&wanted->primary, &reached->primary);
}

/* With the mutex. False: it takes longer. */
static bool carry_out(struct cluster_role *role) {
    struct replica *replica = &role->server->replica;
    const struct role *wanted = &role->wanted;
    bool is_new = !role->has_reached || wanted->kind != role->reached.kind;
    switch (wanted->kind) {
    case MEMBER_WAITS:
        if (is_new) {
            replica_wait(replica);
        }
        return true;
    case MEMBER_PRIMARY:
        if (replica_is_on(replica)) {
            replica_promote(replica);
        }
        return !replica_is_on(replica);
    case MEMBER_REPLICA:
        if (!follows_already(role)) {
            replica_follow_node(replica, wanted->host, wanted->port, &wanted->primary);
        }
        return true;
    }
    return true;
}

/* Writes are held before a primary makes way, and until it is a replica: so those that were held go
 * on to the successor. */
static void visit_run(void *context) {
    struct cluster_role *role = context;
    pthread_mutex_lock(&role->mutex);
    role->is_visiting = false;
    bool is_done = carry_out(role);
    set_quorum(role);
    hold_writes(role, role->wanted.kind == MEMBER_PRIMARY && role->wanted.is_paused);
    role->has_reached = is_done;
    if (is_done) {
        memcpy(&role->reached, &role->wanted, sizeof(role->reached));
        lease_show(role);
        tell(role);
        cluster_keep_leftovers(role->seat);
        cluster_drop_copy(role->seat);
    }
    drain(role);
    pthread_mutex_unlock(&role->mutex);
}

/* With the mutex. */
static void visit(struct cluster_role *role) {
    if (role->is_loaded && !role->is_visiting) {
        role->is_visiting = true;
        stop_post(&role->server->node, &role->visit);
    }
}

static bool is_reached(const struct cluster_role *role) {
    return role->has_reached && memcmp(&role->wanted, &role->reached, sizeof(role->wanted)) == 0 &&
           role->is_drained == role->holds_writes;
}

/* ---- taking a role ---- */

static void peers_set(struct cluster_role *role, const struct member_role *told) {
    unsigned char peers[QUORUM_MEMBERS_MAX][QUORUM_NODE_ID_BYTES];
    uint32_t count = 0;
    for (size_t i = 0; i < told->peer_count && count < QUORUM_MEMBERS_MAX; i++) {
        memcpy(peers[count++], told->peers[i].bytes, QUORUM_NODE_ID_BYTES);
    }
    quorum_set_peers(&role->server->node.quorum, peers, count);
}

void cluster_role_take(struct cluster_seat *seat, const struct member_role *told) {
    struct cluster_role *role = seat->role;
    peers_set(role, told);
    pthread_mutex_lock(&role->mutex);
    if (told->kind == MEMBER_PRIMARY && told->peer_count != role->peer_count) {
        log_notice("In sync with this primary: %zu replicas.", told->peer_count);
    }
    role->peer_count = told->kind == MEMBER_PRIMARY ? told->peer_count : 0;
    struct role *wanted = &role->wanted;
    memset(wanted, 0, sizeof(*wanted)); /* So that equal ones have equal bytes. */
    wanted->kind = told->kind;
    wanted->epoch = told->epoch;
    wanted->is_paused = told->is_paused;
    wanted->quorum = told->quorum;
    if (told->kind == MEMBER_REPLICA) {
        wanted->primary = told->primary;
        memcpy(wanted->host, told->facts.ip, strnlen(told->facts.ip, MAP_IP_BYTES - 1));
        wanted->port = told->facts.port;
    }
    lease_show(role);
    visit(role);
    pthread_mutex_unlock(&role->mutex);
}

void cluster_role_loaded(struct cluster_seat *seat) {
    struct cluster_role *role = seat->role;
    pthread_mutex_lock(&role->mutex);
    role->is_loaded = true;
    visit(role);
    pthread_mutex_unlock(&role->mutex);
    replicator_watch(role->server->replicator, seat);
}

/* ---- reading ---- */

static uint64_t workers_seen_ms(const struct node *node) {
    uint64_t now = now_ms();
    uint64_t seen_ms = now;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        uint64_t its_ms = atomic_load_explicit(&node->workers[i]->seen_ms, memory_order_relaxed);
        seen_ms = its_ms < seen_ms ? its_ms : seen_ms;
        if (its_ms + SEEN_MS < now) {
            loop_wake(node->workers[i]->loop);
        }
    }
    return seen_ms;
}

static size_t read_followers(struct cluster_role *role) {
    uint32_t count = replication_links_read(&role->server->replication, role->links);
    int64_t ago_ms = clock_boot_ms() - clock_monotonic_us() / 1000;
    size_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct feed_figures *figures = &role->links[i].figures;
        if (role->links[i].is_redis || role->links[i].waits || !figures->follows) {
            continue;
        }
        struct member_follower *follower = &role->followers[found++];
        _Static_assert(sizeof(figures->node_id) == RAFT_ID_BYTES, "names of nodes are alike");
        memcpy(follower->id.bytes, figures->node_id, RAFT_ID_BYTES);
        follower->position = figures->written;
        follower->heard_ms = (uint64_t)(figures->heard_ms + ago_ms);
    }
    return found;
}

void cluster_role_read(struct cluster_seat *seat, struct member_replication *state) {
    struct cluster_role *role = seat->role;
    struct server *server = role->server;
    memset(state, 0, sizeof(*state));
    pthread_mutex_lock(&role->mutex);
    state->is_loaded = role->is_loaded;
    state->is_paused = role->is_drained;
    state->role_epoch = role->reached.epoch;
    if (!is_reached(role)) {
        visit(role);
    }
    bool waits = role->has_reached && role->reached.kind == MEMBER_WAITS &&
                 role->wanted.kind == MEMBER_WAITS;
    pthread_mutex_unlock(&role->mutex);
    state->workers_ms = now_ms();
    if (!state->is_loaded) {
        return;
    }
    state->is_stopped = waits && replica_stands_still(&server->replica);
    state->is_whole = replica_is_whole(&server->replica);
    state->history = replication_history(&server->replication);
    state->position = replication_log_end(&server->replication);
    state->workers_ms = workers_seen_ms(&server->node);
    state->followers = role->followers;
    state->follower_count = read_followers(role);
}

/* What the part waits for is looked at whenever something may have moved, else with its
 * heartbeats. */
void cluster_role_step(struct cluster_seat *seat) {
    struct cluster_role *role = seat->role;
    pthread_mutex_lock(&role->mutex);
    if (!is_reached(role)) {
        visit(role);
    } else if (role->holds_writes || role->reached.kind == MEMBER_WAITS) {
        tell(role);
    }
    pthread_mutex_unlock(&role->mutex);
}

/* ---- lifecycle ---- */

struct cluster_role *cluster_role_new(struct cluster_seat *seat) {
    struct cluster_role *role = memory_alloc_zeroed(sizeof(*role));
    role->seat = seat;
    role->server = seat->server;
    role->visit = (struct visit){.run = visit_run, .context = role};
    int failed = pthread_mutex_init(&role->mutex, NULL);
    ASSERT(failed == 0);
    return role;
}

void cluster_role_free(struct cluster_role *role) {
    pthread_mutex_destroy(&role->mutex);
    memory_free(role);
}
