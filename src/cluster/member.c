#include "base/hash.h"
#include "base/memory.h"
#include "cluster/member_core.h"

#include <errno.h>

/* Rounds of settling in one event; what is left then waits for the next. */
#define ROUNDS_MAX 32
#define NODE_TIMEOUT_MS_MIN 200
#define NODE_TIMEOUT_MS_MAX 60000

_Static_assert(MEMBER_ERROR_BYTES == MEMBER_ERROR_MAX + 1, "an error has one longest text");

struct member_timing member_timing_of(uint64_t node_timeout_ms) {
    uint64_t timeout_ms = node_timeout_ms == 0 ? MEMBER_NODE_TIMEOUT_MS : node_timeout_ms;
    timeout_ms = timeout_ms < NODE_TIMEOUT_MS_MIN ? NODE_TIMEOUT_MS_MIN : timeout_ms;
    timeout_ms = timeout_ms > NODE_TIMEOUT_MS_MAX ? NODE_TIMEOUT_MS_MAX : timeout_ms;
    return (struct member_timing){
        .heartbeat_ms = timeout_ms / 20,
        .silent_ms = timeout_ms / 4,
        .lease_ms = timeout_ms * 2 / 5,
        .election_ms = timeout_ms * 3 / 10,
        .failed_ms = timeout_ms,
    };
}

/* ---- what the parts share ---- */

void member_say(struct member *member, enum member_weight weight, const char *format, ...) {
    struct buffer text = BUFFER_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(&text, format, arguments);
    va_end(arguments);
    buffer_append_byte(&text, '\0');
    member->plan.outlet.say(member->plan.outlet.context, weight, text.bytes);
    buffer_free(&text);
}

void member_send(struct member *member, const struct raft_id *target,
                 struct member_message *message) {
    const struct member_node *node = member_node_find(member, target);
    if (node == NULL || !node->is_linked) {
        return;
    }
    struct buffer bytes = BUFFER_EMPTY;
    message->group = member->file.group;
    member_message_write(message, &bytes);
    ASSERT(bytes.length <= MEMBER_MESSAGE_BYTES_MAX);
    member->plan.outlet.send(member->plan.outlet.context, target, buffer_span(&bytes));
    buffer_free(&bytes);
}

uint64_t member_wish_ms(const struct member *member) {
    uint64_t wish_ms = 5 * member->timing.failed_ms;
    return wish_ms > MEMBER_WISH_MS ? wish_ms : MEMBER_WISH_MS;
}

void member_wish_begin(struct member *member, struct member_wish *wish, uint64_t ticket,
                       uint64_t timeout_ms) {
    uint64_t limit_ms = timeout_ms == 0 ? member_wish_ms(member) : timeout_ms;
    *wish = (struct member_wish){
        .is_active = true, .ticket = ticket, .deadline_ms = member->now_ms + limit_ms};
}

void member_answer(struct member *member, struct member_wish *wish, const char *error) {
    wish->is_active = false;
    member->plan.outlet.answer(member->plan.outlet.context, wish->ticket, error);
}

uint16_t member_me(const struct member *member) {
    return member->state.map == NULL ? (uint16_t)MAP_NOBODY
                                     : map_find(member->state.map, member->file.id.bytes);
}

const struct map_shard *member_shard(const struct member *member) {
    uint16_t me = member_me(member);
    return me == MAP_NOBODY ? NULL : &member->state.map->shards[member->state.map->nodes[me].shard];
}

bool member_is_mate(const struct member *member, uint16_t node) {
    uint16_t me = member_me(member);
    return me != MAP_NOBODY && node != me &&
           member->state.map->nodes[node].shard == member->state.map->nodes[me].shard;
}

/* ---- targets ---- */

struct target_list {
    struct member_target *targets;
    size_t room;
    size_t count;
};

static void list_add(struct target_list *list, const struct raft_id *id, const char *ip,
                     uint16_t bus_port) {
    if (list->count < list->room) {
        struct member_target *target = &list->targets[list->count];
        memset(target, 0, sizeof(*target));
        target->id = *id;
        memcpy(target->ip, ip, strnlen(ip, MAP_IP_BYTES - 1));
        target->bus_port = bus_port;
    }
    list->count++;
}

size_t member_targets(const struct member *member, struct member_target *targets, size_t room) {
    struct target_list list = {.targets = targets, .room = room};
    const struct map *map = member->state.map != NULL ? member->state.map : member->map;
    for (uint16_t i = 0; map != NULL && i < map->nodes_count; i++) {
        const struct map_node *node = &map->nodes[i];
        struct raft_id id;
        memcpy(id.bytes, node->id, MAP_ID_BYTES);
        if (!raft_id_equal(&id, &member->file.id)) {
            list_add(&list, &id, node->facts.ip, node->facts.bus_port);
        }
    }
    for (const struct member_meet *meet = member->meets; meet != NULL; meet = meet->next) {
        list_add(&list, &meet->contact.id, meet->contact.ip, meet->contact.bus_port);
    }
    if (member->state.merge.number != 0) {
        const struct member_contact *contact = &member->state.merge.contact;
        list_add(&list, &contact->id, contact->ip, contact->bus_port);
    }
    return list.count;
}

static void targets_settle(struct member *member) {
    size_t room = MAP_NODES_MAX + MEMBER_MEETS_MAX + 1;
    struct member_target *targets = memory_alloc(room * sizeof(*targets));
    size_t count = member_targets(member, targets, room);
    uint64_t hash = XXH3_64bits(targets, count * sizeof(*targets)) | 1;
    memory_free(targets);
    if (hash != member->targets_hash) {
        member->targets_hash = hash;
        member->plan.outlet.targets(member->plan.outlet.context);
    }
}

/* ---- settling ---- */

static void map_settle(struct member *member) {
    struct map *map = member->state.map;
    if (map == NULL || map == member->map || member_me(member) == MAP_NOBODY) {
        return;
    }
    map_return(member->map);
    member->map = map_borrow(map);
    member->plan.outlet.map(member->plan.outlet.context, map);
}

void member_settle(struct member *member) {
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool is_moving = member_group_settle(member);
        map_settle(member);
        is_moving |= member_role_settle(member);
        is_moving |= member_sync_settle(member);
        is_moving |= member_handover_settle(member);
        if (member->state.map != NULL) {
            member_failover_lead(member);
            member_voters_lead(member);
        }
        is_moving |= member_proposals_settle(member);
        is_moving |= member_join_settle(member);
        map_settle(member);
        is_moving |= member_role_settle(member);
        member_lease_settle(member);
        if (!is_moving) {
            break;
        }
    }
    if (member->is_beating) {
        member->is_beating = false;
        member_detector_beat(member);
        member_lease_settle(member);
    }
    targets_settle(member);
}

/* ---- lifecycle ---- */

static void facts_set(struct member *member, const struct map_facts *facts) {
    struct map_facts old = member->facts;
    member->facts = (struct map_facts){
        .port = facts->port, .tls_port = facts->tls_port, .bus_port = facts->bus_port};
    /* Behind the zeros there is nothing, so that equal facts have equal bytes. */
    memcpy(member->facts.ip, facts->ip, strnlen(facts->ip, MAP_IP_BYTES - 1));
    memcpy(member->facts.hostname, facts->hostname, strnlen(facts->hostname, MAP_NAME_BYTES - 1));
    memcpy(member->facts.human_name, facts->human_name,
           strnlen(facts->human_name, MAP_NAME_BYTES - 1));
    memcpy(member->facts.zone, facts->zone, strnlen(facts->zone, MAP_ZONE_BYTES - 1));
    if (member->facts.ip[0] == '\0') {
        memcpy(member->facts.ip, old.ip, sizeof(old.ip)); /* as others see it */
    }
}

static enum raft_store_status file_open(struct member *member, struct buffer *report) {
    int status = member_file_load(member->plan.disk, &member->file);
    if (status == -ENOENT) {
        member->plan.outlet.draw(member->plan.outlet.context, member->file.id.bytes, RAFT_ID_BYTES);
        member_group_found_alone(member, false);
        member_file_free(&member->file);
        member->file = member->next;
        member->next = MEMBER_FILE_EMPTY;
    } else if (status == -EBADMSG) {
        buffer_append_string(report, MEMBER_FILE_NAME
                             " is damaged, or of another version: a node without its name cannot "
                             "go on. Remove the folder, and let it join as a new one.");
        return RAFT_STORE_DAMAGED;
    } else if (status != 0) {
        buffer_format(report, "Cannot read " MEMBER_FILE_NAME ": %s.", strerror(-status));
        return RAFT_STORE_FAILED;
    }
    member->file.starts++;
    status = member_file_save(member->plan.disk, &member->file);
    if (status != 0) {
        buffer_format(report, "Cannot write " MEMBER_FILE_NAME ": %s.", strerror(-status));
    }
    return status == 0 ? RAFT_STORE_DONE : RAFT_STORE_FAILED;
}

enum raft_store_status member_open(const struct member_plan *plan, uint64_t now_ms,
                                   struct member **opened, struct buffer *report) {
    struct member *member = memory_alloc_zeroed(sizeof(*member));
    *opened = NULL;
    member->plan = *plan;
    member->timing = member_timing_of(plan->node_timeout_ms);
    member->now_ms = now_ms;
    member->beat_ms = now_ms;
    member->role = MEMBER_WAITS;
    member->file = MEMBER_FILE_EMPTY;
    member->next = MEMBER_FILE_EMPTY;
    member->nodes = memory_alloc(MEMBER_PEERS_MAX * sizeof(*member->nodes));
    facts_set(member, &plan->facts);
    plan->outlet.draw(plan->outlet.context, member->start.bytes, RAFT_ID_BYTES);
    enum raft_store_status status = file_open(member, report);
    member_lease_open(member);
    member->nodes[0] = (struct member_node){.id = member->file.id};
    member->node_count = 1;
    if (status == RAFT_STORE_DONE) {
        status = (enum raft_store_status)member_group_enter(member, report);
    }
    if (status != RAFT_STORE_DONE) {
        member_close(member);
        return status;
    }
    *opened = member;
    member_settle(member);
    return status;
}

void member_close(struct member *member) {
    member_group_leave(member);
    while (member->proposals != NULL) {
        struct member_proposal *next = member->proposals->next;
        buffer_free(&member->proposals->bytes);
        memory_free(member->proposals);
        member->proposals = next;
    }
    member_meets_free(member);
    member_state_free(&member->state);
    map_return(member->map);
    member_file_free(&member->file);
    member_file_free(&member->next);
    memory_free((void *)(uintptr_t)member->replication.followers);
    buffer_free(&member->problem);
    memory_free(member->nodes);
    memory_free(member);
}

/* ---- events ---- */

static void event_begin(struct member *member, uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    member_nodes_trim(member);
}

void member_tick(struct member *member, uint64_t now_ms) {
    event_begin(member, now_ms);
    member_group_tick(member);
    if (member->now_ms >= member->beat_ms) {
        member->beat_ms = member->now_ms + member->timing.heartbeat_ms;
        member->beats++;
        member->is_beating = true;
    }
    member_settle(member);
}

uint64_t member_tick_ms(const struct member *member) {
    uint64_t raft_ms = member->log == NULL ? member->reopen_ms : raft_member_tick_ms(member->log);
    return raft_ms < member->beat_ms ? raft_ms : member->beat_ms;
}

void member_link_up(struct member *member, const struct raft_id *id, const char *ip,
                    uint16_t bus_port, uint64_t now_ms) {
    event_begin(member, now_ms);
    if (!raft_id_equal(id, &member->file.id)) {
        struct member_node *node = member_node_get(member, id);
        node->is_linked = true;
        node->is_dead = false;
        node->is_greeted = false;
        node->told_ms = 0;
        memset(node->ip, 0, sizeof(node->ip));
        memcpy(node->ip, ip, strnlen(ip, MAP_IP_BYTES - 1));
        node->bus_port = bus_port;
        member_hello_send(member, node);
    }
    for (struct member_meet *meet = member->meets; meet != NULL; meet = meet->next) {
        if (raft_id_is_none(&meet->contact.id) && meet->contact.bus_port == bus_port &&
            strcmp(meet->contact.ip, ip) == 0) {
            meet->contact.id = *id;
        }
    }
    member_settle(member);
}

void member_link_down(struct member *member, const struct raft_id *id, bool is_dead,
                      uint64_t now_ms) {
    event_begin(member, now_ms);
    struct member_node *node = member_node_find(member, id);
    if (node != NULL && node != member_self(member)) {
        node->is_linked = false;
        node->is_greeted = false;
        node->is_dead = is_dead;
    }
    member_settle(member);
}

static bool is_about_joining(enum member_message_kind kind) {
    return kind == MEMBER_HELLO || kind == MEMBER_WELCOME || kind == MEMBER_MEET_BACK ||
           kind == MEMBER_MEET_REFUSED || kind == MEMBER_ADOPT || kind == MEMBER_ADOPT_ANSWER;
}

static void own_received(struct member *member, struct member_node *node,
                         const struct member_message *message) {
    node->group = message->group;
    node->is_greeted = true;
    switch (message->kind) {
    case MEMBER_PULSE:
        member_pulse_received(member, node, &message->pulse);
        break;
    case MEMBER_FORWARD:
        member_forward_received(member, message->bytes);
        break;
    case MEMBER_RAFT:
        member_raft_received(member, message->bytes);
        break;
    case MEMBER_MAKE_WAY:
    case MEMBER_MAKE_WAY_ANSWER:
        member_make_way_received(member, node, message);
        break;
    case MEMBER_CENSUS:
        member_census_received(member, message);
        break;
    default:
        member_join_received(member, node, message);
        break;
    }
}

bool member_receive(struct member *member, const struct raft_id *source, struct span bytes,
                    uint64_t now_ms) {
    event_begin(member, now_ms);
    struct member_node *node = member_node_find(member, source);
    struct member_message *message = memory_alloc(sizeof(*message));
    bool is_known = member_message_read(bytes, message);
    if (is_known && node != NULL && node->is_linked) {
        if (is_about_joining(message->kind)) {
            member_join_received(member, node, message);
        } else if (raft_id_equal(&message->group, &member->file.group)) {
            own_received(member, node, message);
        } else {
            member_foreign_received(member, node, message);
        }
    }
    memory_free(message);
    if (!is_known && member_message_is_unknown(bytes)) {
        member->unknown_messages++;
        is_known = true;
    }
    member_settle(member);
    return is_known;
}

void member_replication_set(struct member *member, const struct member_replication *replication,
                            uint64_t now_ms) {
    event_begin(member, now_ms);
    struct member_replication old = member->replication;
    bool is_news = replication->is_stopped != old.is_stopped ||
                   replication->is_loaded != old.is_loaded ||
                   replication->role_epoch != old.role_epoch;
    member->replication = *replication;
    member->readings++;
    member->replication.followers = NULL;
    if (replication->follower_count > 0) {
        member->replication.followers = memory_copy(
            replication->followers, replication->follower_count * sizeof(*replication->followers));
    }
    memory_free((void *)(uintptr_t)old.followers);
    member->is_beating |= is_news && member->role == MEMBER_WAITS;
    member_settle(member);
}

void member_set_facts(struct member *member, const struct map_facts *facts, uint64_t now_ms) {
    event_begin(member, now_ms);
    facts_set(member, facts);
    member_settle(member);
}

/* The log keeps the times that it was opened with. */
void member_set_settings(struct member *member, const struct member_plan *plan, uint64_t now_ms) {
    event_begin(member, now_ms);
    member->plan.node_timeout_ms = plan->node_timeout_ms;
    member->plan.voters = plan->voters;
    member->plan.quorum = plan->quorum;
    member->plan.no_failover = plan->no_failover;
    member->plan.migrates_replicas = plan->migrates_replicas;
    member->plan.migration_barrier = plan->migration_barrier;
    member->timing = member_timing_of(plan->node_timeout_ms);
    member_settle(member);
}

/* ---- wishes ---- */

static void propose_done(struct member *member, uint64_t ticket, const char *error) {
    member->plan.outlet.answer(member->plan.outlet.context, ticket, error);
}

void member_propose(struct member *member, uint64_t ticket, struct span changes, uint64_t now_ms) {
    event_begin(member, now_ms);
    struct buffer bytes = BUFFER_EMPTY;
    struct member_entry entry = {.kind = MEMBER_ENTRY_CHANGES};
    buffer_append_span(&bytes, changes);
    if (!member_propose_entry(member, &entry, &bytes, propose_done, ticket,
                              member_wish_ms(member))) {
        propose_done(member, ticket, "ERR Too many changes of the cluster wait");
    }
    member_settle(member);
}

/* ---- state ---- */

static const char *weakness_of(const struct member *member, const struct raft_status *status) {
    const struct map *map = member->state.map;
    if (map == NULL) {
        return "The node waits for the map of the cluster that it joins.";
    }
    if (raft_id_is_none(&status->leader)) {
        return "No majority of the voters is there: the map cannot change, and no primary can be "
               "replaced.";
    }
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map_is_primary(map, i) && map->nodes[i].has_failed &&
            map->shards[map->nodes[i].shard].slots > 0) {
            return "A primary has failed, and nobody can take its place without losing what it has "
                   "acknowledged: its slots are down until it is back, or CLUSTER FAILOVER "
                   "TAKEOVER overrides at a replica.";
        }
    }
    if (raft_config_voters(status->config) < 3) {
        return "Fewer than three voters: if the one that votes is lost, no primary is replaced.";
    }
    return NULL;
}

void member_status_read(const struct member *member, struct member_status *status) {
    struct raft_config none = RAFT_CONFIG_EMPTY;
    struct raft_status log = {.role = RAFT_FOLLOWER, .config = &none};
    if (member->log != NULL) {
        raft_status_read(raft_member_raft(member->log), &log);
    }
    *status = (struct member_status){
        .id = member->file.id,
        .group = member->file.group,
        .leader = log.leader,
        .is_leader = log.role == RAFT_LEADER,
        .is_voter = raft_config_has_voter(log.config, &member->file.id),
        .voters = (uint16_t)raft_config_voters(log.config),
        .term = log.term,
        .applied = log.applied,
        .lease_until_ms = member->lease_until_ms,
        .unknown_messages = member->unknown_messages,
        .problem = member->problem.length == 0 ? NULL : member->problem.bytes,
        .weakness = weakness_of(member, &log),
    };
}

bool member_peer_read(const struct member *member, const struct raft_id *id,
                      struct member_peer *peer) {
    const struct member_node *node = member_node_find(member, id);
    if (node == NULL) {
        return false;
    }
    bool is_told = node->census_ms > node->heard_ms || !node->is_heard;
    *peer = (struct member_peer){
        .is_linked = node->is_linked,
        .is_suspected = (node->is_heard || node->census_ms != 0) &&
                        member_is_silent(member, node, member->timing.failed_ms) &&
                        member->now_ms - node->census_ms >= member->timing.failed_ms,
        .is_loading =
            is_told ? node->census.is_loading : (node->pulse.flags & MEMBER_PULSE_LOADING) != 0,
        .heard_ms = is_told ? node->census_ms : node->heard_ms,
        .position = is_told ? node->census.position : node->pulse.position,
    };
    return node == member_self(member) || node->is_heard || node->census_ms != 0;
}

struct map *member_map(const struct member *member) {
    return member->map;
}
