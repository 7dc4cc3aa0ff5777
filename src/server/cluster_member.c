#include "server/cluster_member.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/random.h"
#include "cluster/member.h"
#include "io/clock.h"
#include "server/cluster_publications.h"
#include "server/cluster_role.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* A role that is told while another is reported is reported too; what is left then waits for the
 * next heartbeat. */
#define REPORTS_MAX 8
/* What the cluster cannot survive, or waits for, is told when it has lasted so long. */
#define WEAKNESS_MS 2000
#define TARGETS_MAX (MAP_NODES_MAX + MEMBER_MEETS_MAX + 1)

/* An answer waits for the map that it follows from. */
struct answered {
    uint64_t ticket;
    bool has_error;
    char error[MEMBER_ERROR_BYTES];
};

struct cluster_member {
    struct cluster_seat *seat;
    struct member *member;
    struct loop_timer timer;
    uint64_t timer_ms; /* when it fires; 0: it does not run */
    uint64_t heartbeat_ms;
    uint64_t reported_ms;
    bool has_news; /* for the member: the local replication has another role */
    bool has_map;  /* for the workers */
    struct answered answered[MEMBER_PROPOSALS_MAX];
    size_t answered_count;
    uint64_t peers_ms;         /* when the workers were told of the peers */
    const char *weakness;      /* a constant sentence, or NULL: what it is ... */
    uint64_t weakness_ms;      /* ... since then ... */
    const char *weakness_told; /* ... and what INFO and the log say */
    struct raft_id self;
    struct cluster_links *links;
    struct member_target *targets; /* room for all that there can be */
    bool has_targets;              /* others than the links know */
    uint64_t unknown_messages;
};

/* Each event has its own: a promise counts from when it was heard of, not from when the loop
 * woke. */
static uint64_t now_ms(void) {
    return (uint64_t)clock_boot_ms();
}

/* ---- what the member tells ---- */

static void outlet_send(void *context, const struct raft_id *target, struct span bytes) {
    const struct cluster_member *part = context;
    cluster_links_send(part->links, target, BUS_MEMBER, bytes);
}

static void outlet_map(void *context, struct map *map) {
    struct cluster_member *part = context;
    (void)map;
    part->has_map = true;
}

static void outlet_answer(void *context, uint64_t ticket, const char *error) {
    struct cluster_member *part = context;
    ASSERT(part->answered_count < MEMBER_PROPOSALS_MAX);
    struct answered *answered = &part->answered[part->answered_count++];
    *answered = (struct answered){.ticket = ticket, .has_error = error != NULL};
    if (error != NULL) {
        memcpy(answered->error, error, strnlen(error, MEMBER_ERROR_BYTES - 1));
    }
}

static void outlet_role(void *context, const struct member_role *role) {
    struct cluster_member *part = context;
    cluster_role_take(part->seat, role);
    part->has_news = true;
}

static void outlet_lease(void *context, uint64_t until_ms) {
    const struct cluster_member *part = context;
    cluster_role_lease(part->seat, until_ms);
}

static void outlet_targets(void *context) {
    struct cluster_member *part = context;
    part->has_targets = true;
}

static void outlet_say(void *context, enum member_weight weight, const char *text) {
    (void)context;
    log_write(weight == MEMBER_WARNING ? LOG_WARNING : LOG_NOTICE, "%s", text);
}

static void outlet_draw(void *context, void *bytes, size_t length) {
    (void)context;
    random_seed_bytes(bytes, length);
}

static struct member_plan plan_of(struct cluster_member *part,
                                  const struct cluster_settings *settings) {
    return (struct member_plan){
        .disk = &part->seat->disk,
        .seed = random_seed_draw(),
        .facts = settings->facts,
        .node_timeout_ms = settings->node_timeout_ms,
        .voters = settings->voters,
        .quorum = settings->quorum,
        .no_failover = settings->no_failover,
        .migrates_replicas = settings->migrates_replicas,
        .migration_barrier = settings->migration_barrier,
        .outlet =
            {
                .context = part,
                .send = outlet_send,
                .map = outlet_map,
                .answer = outlet_answer,
                .role = outlet_role,
                .lease = outlet_lease,
                .targets = outlet_targets,
                .say = outlet_say,
                .draw = outlet_draw,
            },
    };
}

/* ---- what the links bring ---- */

static void link_up(void *context, const struct raft_id *id, const char *ip, uint16_t bus_port) {
    struct cluster_member *part = context;
    part->peers_ms = 0;
    member_link_up(part->member, id, ip, bus_port, now_ms());
}

static void link_down(void *context, const struct raft_id *id, bool is_dead) {
    struct cluster_member *part = context;
    part->peers_ms = 0;
    cluster_publications_forget(part->seat->publications, id);
    member_link_down(part->member, id, is_dead, now_ms());
}

/* Who is not in the map may want to be, but publishes nothing here. */
static bool publication_receive(const struct cluster_member *part, const struct raft_id *id,
                                struct span body) {
    return map_find(member_map(part->member), id->bytes) == MAP_NOBODY ||
           cluster_publications_receive(part->seat->publications, id, body);
}

/* A kind of a later version is not for this one. */
static bool link_receive(void *context, const struct raft_id *id, unsigned kind, struct span body) {
    struct cluster_member *part = context;
    switch (kind) {
    case BUS_MEMBER:
        return member_receive(part->member, id, body, now_ms());
    case BUS_PUBLICATION:
        return publication_receive(part, id, body);
    default:
        part->unknown_messages++;
        return true;
    }
}

static void publications_step(const struct cluster_member *part) {
    const struct map *map = member_map(part->member);
    cluster_publications_send(part->seat->publications, part->links, map,
                              map_find(map, part->self.bytes));
    cluster_publications_deliver(part->seat->publications);
}

static size_t links(void *context, struct reply *reply) {
    const struct cluster_member *part = context;
    return cluster_links_reply(part->links, reply);
}

/* ---- after an event ---- */

static void publish(struct cluster_member *part) {
    struct member_status status;
    member_status_read(part->member, &status);
    part->has_map = false;
    if (!raft_id_equal(&status.id, &part->self)) {
        part->self = status.id;
        cluster_links_rename(part->links, &part->self);
    }
    cluster_publish(part->seat, member_map(part->member), status.id.bytes);
}

static void report(struct cluster_member *part) {
    struct member_replication state;
    part->has_news = false;
    part->reported_ms = now_ms();
    cluster_role_read(part->seat, &state);
    member_replication_set(part->member, &state, part->reported_ms);
}

static void timer_is_due(void *context) {
    ((struct cluster_member *)context)->timer_ms = 0;
}

static void targets_set(struct cluster_member *part) {
    part->has_targets = false;
    size_t count = member_targets(part->member, part->targets, TARGETS_MAX);
    cluster_links_set_targets(part->links, part->targets, count);
}

static void timer_arm(struct cluster_member *part) {
    uint64_t due_ms = member_tick_ms(part->member);
    uint64_t links_ms = cluster_links_due_ms(part->links);
    due_ms = links_ms < due_ms ? links_ms : due_ms;
    uint64_t now = now_ms();
    if (due_ms != part->timer_ms) {
        part->timer_ms = due_ms;
        loop_timer_start(part->seat->loop, &part->timer, due_ms > now ? due_ms - now : 0, 0,
                         timer_is_due, part);
    }
}

/* Takes what an event has led to where it belongs. The map goes first: whoever is answered sees
 * it. */
static void settle(struct cluster_member *part) {
    for (int i = 0; part->has_news && i < REPORTS_MAX; i++) {
        report(part);
    }
    if (part->has_map) {
        publish(part);
    }
    if (part->has_targets) {
        targets_set(part);
    }
    for (size_t i = 0; i < part->answered_count; i++) {
        const struct answered *answered = &part->answered[i];
        cluster_answer(part->seat, answered->ticket, answered->has_error ? answered->error : NULL);
    }
    part->answered_count = 0;
}

/* ---- what the workers know of the other nodes ---- */

static struct map_peer peer_of(const struct cluster_member *part, const struct map_node *node,
                               uint64_t now, int64_t wall_ms) {
    struct raft_id id;
    struct member_peer peer;
    memcpy(id.bytes, node->id, MAP_ID_BYTES);
    if (!member_peer_read(part->member, &id, &peer)) {
        return (struct map_peer){.is_connected = false};
    }
    bool is_self = raft_id_equal(&id, &part->self);
    return (struct map_peer){
        .pong_received_ms = is_self ? 0 : wall_ms - (int64_t)(now - peer.heard_ms),
        .replication_offset = peer.position,
        .is_connected = peer.is_linked,
        .is_suspected = peer.is_suspected,
        .is_loading = peer.is_loading,
    };
}

static void peers_show(struct cluster_member *part) {
    const struct map *map = member_map(part->member);
    uint64_t now = now_ms();
    int64_t wall_ms = clock_wall_ms();
    struct map_peer *peers = memory_alloc_zeroed(map->nodes_count * sizeof(*peers));
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        peers[i] = peer_of(part, &map->nodes[i], now, wall_ms);
    }
    cluster_set_peers(part->seat, map, peers);
    memory_free(peers);
    part->peers_ms = now;
}

/* ---- what is told of the group ---- */

/* What passes by itself (an election) is no news. */
static void weakness_look(struct cluster_member *part, const char *weakness, uint64_t now) {
    if (weakness != part->weakness) {
        part->weakness = weakness;
        part->weakness_ms = now;
    }
    if (weakness == part->weakness_told || now - part->weakness_ms < WEAKNESS_MS) {
        return;
    }
    part->weakness_told = weakness;
    if (weakness != NULL) {
        log_warning("Cluster: %s", weakness);
    } else {
        log_notice("Cluster: that is over.");
    }
}

static void figures_show(struct cluster_member *part) {
    struct member_status status;
    member_status_read(part->member, &status);
    weakness_look(part, status.weakness, part->peers_ms);
    const char *trouble = status.problem != NULL ? status.problem : part->weakness_told;
    struct cluster_figures figures = {
        .is_leader = status.is_leader,
        .is_voter = status.is_voter,
        .voters = status.voters,
        .links = cluster_links_count(part->links),
        .links_bytes = cluster_links_bytes(part->links),
        .unknown_messages = part->unknown_messages + status.unknown_messages,
        .has_weakness = trouble != NULL,
    };
    if (!raft_id_is_none(&status.leader)) {
        map_id_format(figures.leader, status.leader.bytes);
    }
    snprintf(figures.weakness, sizeof(figures.weakness), "%s", trouble == NULL ? "" : trouble);
    cluster_set_figures(part->seat, &figures);
}

/* ---- events ---- */

static void step(void *context, int64_t loop_ms) {
    struct cluster_member *part = context;
    (void)loop_ms;
    cluster_links_step(part->links, now_ms());
    uint64_t now = now_ms();
    if (now >= part->reported_ms + part->heartbeat_ms) {
        report(part);
    }
    if (now >= member_tick_ms(part->member)) {
        member_tick(part->member, now);
    }
    settle(part);
    if (now >= part->peers_ms + CLUSTER_PEERS_PERIOD_MS) {
        peers_show(part);
        figures_show(part);
    }
    publications_step(part);
    cluster_links_flush(part->links, now_ms());
    settle(part); /* a link may have ended */
    timer_arm(part);
}

static void start(void *context) {
    struct cluster_member *part = context;
    report(part);
    settle(part);
}

void cluster_member_replication_changed(struct cluster_seat *seat) {
    struct cluster_member *part = seat->part.context;
    report(part);
    settle(part);
}

static void options_changed(void *context, const struct cluster_settings *settings) {
    struct cluster_member *part = context;
    struct member_plan *plan = memory_alloc(sizeof(*plan));
    *plan = plan_of(part, settings);
    part->heartbeat_ms = member_timing_of(plan->node_timeout_ms).heartbeat_ms;
    member_set_settings(part->member, plan, now_ms());
    member_set_facts(part->member, &plan->facts, now_ms());
    cluster_links_configure(part->links, &settings->links);
    memory_free(plan);
    settle(part);
}

/* ---- wishes ---- */

static void propose(void *context, struct span entry, uint64_t ticket) {
    struct cluster_member *part = context;
    member_propose(part->member, ticket, entry, now_ms());
    settle(part);
}

static void meet(void *context, const struct cluster_wish *wish, uint64_t ticket) {
    struct cluster_member *part = context;
    const char *refusal = cluster_links_refusal(part->links, wish->ip);
    if (refusal != NULL) {
        cluster_answer(part->seat, ticket, refusal);
        return;
    }
    member_meet(part->member, ticket, wish->ip, wish->bus_port, now_ms());
    settle(part);
}

static void failover(void *context, enum cluster_failover failover, uint64_t ticket) {
    static const enum member_failover hows[] = {
        [CLUSTER_FAILOVER_ORDERLY] = MEMBER_HAND_OVER,
        [CLUSTER_FAILOVER_FORCE] = MEMBER_FORCE,
        [CLUSTER_FAILOVER_TAKEOVER] = MEMBER_TAKEOVER,
    };
    struct cluster_member *part = context;
    member_fail_over(part->member, ticket, hows[failover], now_ms());
    settle(part);
}

static void reset(void *context, bool is_hard, uint64_t ticket) {
    struct cluster_member *part = context;
    member_reset(part->member, ticket, is_hard, now_ms());
    settle(part);
}

static void leave(void *context, uint64_t timeout_ms, uint64_t ticket) {
    struct cluster_member *part = context;
    member_leave(part->member, ticket, timeout_ms, now_ms());
    settle(part);
}

static void override(void *context, uint64_t ticket) {
    struct cluster_member *part = context;
    member_override(part->member, ticket, now_ms());
    settle(part);
}

/* ---- lifecycle ---- */

static void end(void *context) {
    struct cluster_member *part = context;
    loop_timer_stop(part->seat->loop, &part->timer);
    cluster_links_end(part->links);
}

static void close_part(void *context) {
    struct cluster_member *part = context;
    cluster_links_free(part->links);
    if (part->member != NULL) {
        member_close(part->member);
    }
    memory_free(part->targets);
    memory_free(part);
}

static struct cluster_member *part_new(struct cluster_seat *seat,
                                       const struct cluster_settings *settings) {
    struct cluster_member *part = memory_alloc_zeroed(sizeof(*part));
    part->seat = seat;
    part->heartbeat_ms = member_timing_of(settings->node_timeout_ms).heartbeat_ms;
    part->targets = memory_alloc(TARGETS_MAX * sizeof(*part->targets));
    part->links = cluster_links_new(&(struct cluster_links_plan){
        .loop = seat->loop,
        .traffic = &seat->traffic,
        .outlet = {.context = part, .up = link_up, .down = link_down, .receive = link_receive},
        .settings = &settings->links,
    });
    return part;
}

/* 0 or an exit code. */
static int listen_all(struct cluster_member *part) {
    const struct cluster_seat *seat = part->seat;
    struct buffer bind = BUFFER_EMPTY;
    server_bind_addresses(&seat->server->options->server, &bind);
    bool is_done = cluster_links_listen(part->links, bind.bytes, seat->bus_port);
    buffer_free(&bind);
    if (!is_done) {
        log_warning("Failed listening on port %u (cluster bus)", seat->bus_port);
    }
    return is_done ? 0 : EX_UNAVAILABLE;
}

static int open_member(struct cluster_member *part, const struct cluster_settings *settings) {
    struct member_plan *plan = memory_alloc(sizeof(*plan));
    struct buffer report = BUFFER_EMPTY;
    *plan = plan_of(part, settings);
    enum raft_store_status status = member_open(plan, now_ms(), &part->member, &report);
    memory_free(plan);
    if (report.length > 0) {
        log_warning("%.*s", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    if (status == RAFT_STORE_DONE) {
        return 0;
    }
    log_warning("The cluster's log in %s cannot be used", CLUSTER_FOLDER);
    return status == RAFT_STORE_FAILED ? EX_IOERR : EX_DATAERR;
}

int cluster_member_open(struct cluster_seat *seat) {
    struct cluster_settings *settings = memory_alloc(sizeof(*settings));
    cluster_settings_read(seat, settings);
    struct cluster_member *part = part_new(seat, settings);
    int code = open_member(part, settings);
    memory_free(settings);
    if (code == 0) {
        code = listen_all(part);
    }
    if (code != 0) {
        close_part(part);
        return code;
    }
    seat->part = (struct cluster_part){
        .context = part,
        .start = start,
        .propose = propose,
        .meet = meet,
        .failover = failover,
        .reset = reset,
        .leave = leave,
        .override = override,
        .options_changed = options_changed,
        .links = links,
        .step = step,
        .end = end,
        .close = close_part,
    };
    publish(part);
    return 0;
}
