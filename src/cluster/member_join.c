#include "base/hash.h"
#include "base/memory.h"
#include "cluster/member_core.h"

#include <stdio.h>

/* How two groups become one. X has fewer nodes than Y (or as many, and the smaller id)
 *
 *   MEET at a node of X, or MEET at one of Y, which then tells the other end: meet back
 *     X's log: merge_begin    X stands still: its map does not change any more
 *   X's leader -- adopt, the whole state --> a node of Y
 *     Y's log: adopt          all of X's nodes and slots are in Y's map; or a clash: nothing is
 *   a clash:  X's log: merge_end, with the error: X goes on
 *   adopted:  whoever of Y hears a node of X: welcome. It leaves X's log, and keeps Y's
 *
 * X's number of the merge tells one attempt from the next. If an answer came too late, and X went
 * on, a welcome of an old number makes X begin again, and Y takes the nodes out and in anew. The
 * override (member_override()) is a welcome, too: of number 0, which needs nobody who stands still.
 */

#define TELL_MS 200    /* between two messages about the same thing to a node */
#define MERGE_MS 10000 /* a merge that nobody answers is given up */
#define MEET_BACK_WISH_MS 5000

/* ---- sending ---- */

static struct raft_id group_of(const struct member *member) {
    return member->file.group;
}

static bool may_tell(struct member *member, struct member_node *node) {
    if (node->told_ms != 0 && member->now_ms - node->told_ms < TELL_MS) {
        return false;
    }
    node->told_ms = member->now_ms;
    return true;
}

void member_hello_send(struct member *member, struct member_node *node) {
    struct member_message message = {.kind = MEMBER_HELLO};
    message.hello.nodes = member->state.map == NULL ? 0 : member->state.map->nodes_count;
    message.hello.merge = member->state.merge.number;
    memcpy(message.hello.seen_ip, node->ip, sizeof(node->ip));
    message.hello.facts = member->facts;
    member_send(member, &node->id, &message);
}

static void welcome_send(struct member *member, const struct member_node *node,
                         const struct member_absorbed *absorbed) {
    member_send(member, &node->id,
                &(struct member_message){.kind = MEMBER_WELCOME, .welcome = *absorbed});
}

/* A node of another group: is that one's place here? */
static const struct member_absorbed *absorbed_of(const struct member *member,
                                                 const struct member_node *node) {
    return node->is_greeted && !raft_id_equal(&node->group, &member->file.group)
               ? member_state_absorbed(&member->state, &node->group)
               : NULL;
}

/* ---- going over ---- */

static void begin_done(struct member *member, uint64_t ticket, const char *error) {
    (void)ticket;
    (void)error; /* it stands still already, or goes over: whoever has met looks again */
    for (struct member_meet *meet = member->meets; meet != NULL; meet = meet->next) {
        meet->is_proposed = false;
    }
}

static void begin_propose(struct member *member, const struct raft_id *group,
                          const struct member_contact *contact) {
    struct member_entry entry = {
        .kind = MEMBER_ENTRY_MERGE_BEGIN, .group = *group, .contact = *contact};
    struct buffer nothing = BUFFER_EMPTY;
    member_propose_entry(member, &entry, &nothing, begin_done, 0, member_wish_ms(member));
}

/* Its group stands still for this merge, as far as it knows, or it is behind and will never know:
 * the others have gone. */
static bool is_called(const struct member *member, const struct member_absorbed *absorbed) {
    const struct raft_id leader = member_leader(member);
    struct raft_status status = {.applied = 0};
    if (absorbed->number == 0) {
        return raft_id_is_none(&leader);
    }
    if (member->log != NULL) {
        raft_status_read(raft_member_raft(member->log), &status);
    }
    return absorbed->number == member->state.merge.number || status.applied < absorbed->number ||
           member_me(member) == MAP_NOBODY;
}

static void welcomed(struct member *member, struct member_node *node, const struct raft_id *group,
                     const struct member_absorbed *absorbed) {
    if (!raft_id_equal(&absorbed->group, &member->file.group) || member->next.phase != 0) {
        return;
    }
    if (is_called(member, absorbed)) {
        member_group_join(member, group);
    } else if (absorbed->number != 0 && member->state.merge.number == 0 &&
               member->state.map != NULL && may_tell(member, node)) {
        struct member_contact contact = {.id = node->id, .bus_port = node->facts.bus_port};
        memcpy(contact.ip, node->ip, sizeof(contact.ip));
        begin_propose(member, group, &contact);
    }
}

/* ---- a node of another group says something ---- */

void member_foreign_received(struct member *member, struct member_node *node,
                             const struct member_message *message) {
    if (!raft_id_equal(&node->group, &message->group)) {
        node->group_nodes = 0; /* its hello says how large this one is */
    }
    node->group = message->group;
    node->is_greeted = true;
    const struct member_absorbed *absorbed = absorbed_of(member, node);
    if (!may_tell(member, node)) {
        return;
    }
    if (absorbed != NULL) {
        welcome_send(member, node, absorbed);
    } else {
        member_hello_send(member, node);
    }
}

static void hello_received(struct member *member, struct member_node *node,
                           const struct member_message *message) {
    const struct member_hello *hello = &message->hello;
    node->is_greeted = true;
    node->group = message->group;
    node->group_nodes = hello->nodes;
    node->merge = hello->merge;
    node->facts = hello->facts;
    if (hello->facts.bus_port != 0) {
        node->bus_port = hello->facts.bus_port;
    }
    if (member->facts.ip[0] == '\0') {
        memcpy(member->facts.ip, hello->seen_ip, sizeof(member->facts.ip));
    }
    const struct member_absorbed *absorbed = absorbed_of(member, node);
    if (absorbed != NULL) {
        welcome_send(member, node, absorbed);
    }
}

/* Of this group, and not in its map: it was forgotten, or its own map is behind. */
static void tell_stranger(struct member *member, struct member_node *node) {
    const struct map *map = member->state.map;
    if (map != NULL && raft_id_equal(&node->group, &member->file.group) &&
        map_find(map, node->id.bytes) == MAP_NOBODY && may_tell(member, node)) {
        member_send(member, &node->id,
                    &(struct member_message){.kind = MEMBER_STRANGER, .map_index = map->index});
    }
}

static void reset_done(struct member *member, uint64_t ticket, const char *error);

/* The group goes on without this node. A reset has what it wished for then: asked for in the new
 * group, it would end that one, too, and so for ever. */
static void leave_group(struct member *member, const char *what) {
    member_say(member, MEMBER_WARNING, "%s", what);
    member_proposals_withdraw(member, reset_done);
    member_group_found_alone(member, member->reset.is_active && member->is_reset_hard);
    member->reset.is_done = true;
}

static void stranger_received(struct member *member, uint64_t map_index) {
    const struct map *map = member->state.map;
    if (map == NULL || member->next.phase != 0) {
        return;
    }
    bool is_in_map = member_me(member) != MAP_NOBODY;
    if (is_in_map ? map_index > map->index : !member->has_gone_over && map_index >= map->index) {
        leave_group(member, "The cluster has forgotten this node.");
    }
}

/* ---- a merge that ends, and this group goes on ---- */

static void end_done(struct member *member, uint64_t ticket, const char *error) {
    (void)ticket;
    (void)error;
    member->is_ending_merge = false;
}

static void end_propose(struct member *member, const char *error) {
    if (member->is_ending_merge || member->state.merge.number == 0) {
        return;
    }
    struct member_entry entry = {.kind = MEMBER_ENTRY_MERGE_END,
                                 .merge = member->state.merge.number};
    memcpy(entry.error, error, strnlen(error, MEMBER_ERROR_MAX));
    struct buffer nothing = BUFFER_EMPTY;
    member->is_ending_merge =
        member_propose_entry(member, &entry, &nothing, end_done, 0, member_wish_ms(member));
}

/* ---- adopting another group ---- */

static bool is_smaller(const struct member *member, const struct member_node *node) {
    uint16_t nodes = member->state.map->nodes_count;
    return nodes != node->group_nodes ? nodes < node->group_nodes
                                      : raft_id_compare(&member->file.group, &node->group) < 0;
}

static void ask_answer(struct member *member, const struct member_ask *ask,
                       enum member_verdict verdict, const char *error) {
    struct member_message message = {.kind = MEMBER_ADOPT_ANSWER};
    message.adopt.asker = ask->asker;
    message.adopt.group = ask->group;
    message.adopt.merge = ask->merge;
    message.adopt.verdict = verdict;
    memcpy(message.adopt.error, error, strnlen(error, MEMBER_ERROR_MAX));
    member_send(member, &ask->link, &message);
}

static struct member_ask *ask_get(struct member *member, const struct member_node *node,
                                  const struct member_adopt *adopt) {
    for (size_t i = 0; i < member->ask_count; i++) {
        if (raft_id_equal(&member->asks[i].group, &adopt->group)) {
            member->asks[i].link = node->id;
            member->asks[i].asker = adopt->asker;
            if (member->asks[i].merge != adopt->merge) {
                member->asks[i].merge = adopt->merge;
                member->asks[i].forwarded_ms = 0;
            }
            return &member->asks[i];
        }
    }
    if (member->ask_count == MEMBER_ASKS_MAX) {
        return NULL; /* it asks again */
    }
    member->asks[member->ask_count] = (struct member_ask){
        .link = node->id, .asker = adopt->asker, .group = adopt->group, .merge = adopt->merge};
    return &member->asks[member->ask_count++];
}

static void adopt_received(struct member *member, const struct member_node *node,
                           const struct member_adopt *adopt) {
    const struct member_absorbed *absorbed = member_state_absorbed(&member->state, &adopt->group);
    struct member_ask *ask = ask_get(member, node, adopt);
    if (raft_id_equal(&adopt->group, &member->state.merge.group) && member->state.map != NULL &&
        member->state.merge.number != 0 && !is_smaller(member, node)) {
        end_propose(member, ""); /* each waits for the other: the larger one goes on */
    }
    if (ask == NULL || member->state.map == NULL || member->state.merge.number != 0 ||
        raft_id_equal(&adopt->group, &member->file.group)) {
        return;
    }
    if (absorbed != NULL && absorbed->number == adopt->merge) {
        ask_answer(member, ask, MEMBER_ADOPTED, "");
        return;
    }
    if (ask->forwarded_ms != 0 && member->now_ms - ask->forwarded_ms < member->timing.election_ms) {
        return;
    }
    ask->forwarded_ms = member->now_ms;
    struct member_entry entry = {.kind = MEMBER_ENTRY_ADOPT,
                                 .group = adopt->group,
                                 .merge = adopt->merge,
                                 .map = adopt->map};
    struct buffer bytes = BUFFER_EMPTY;
    member_entry_write(&entry, &bytes);
    struct raft_id leader = member_leader(member);
    if (bytes.length > RAFT_ENTRY_BYTES_MAX) {
        ask_answer(member, ask, MEMBER_ADOPT_REFUSED, "ERR The cluster is too large to be merged");
    } else if (member_leads(member)) {
        member_forward_received(member, buffer_span(&bytes));
    } else if (!raft_id_is_none(&leader)) {
        member_send(member, &leader,
                    &(struct member_message){.kind = MEMBER_FORWARD, .bytes = buffer_span(&bytes)});
    }
    buffer_free(&bytes);
}

static void adopted(struct member *member, const struct member_entry *entry,
                    enum member_outcome outcome, const char *error) {
    for (size_t i = 0; i < member->ask_count; i++) {
        struct member_ask *ask = &member->asks[i];
        if (raft_id_equal(&ask->group, &entry->group) && ask->merge == entry->merge) {
            /* A cluster that stands still itself will be part of another one: ask again. */
            if (outcome == MEMBER_APPLIED) {
                ask_answer(member, ask, MEMBER_ADOPTED, "");
            } else if (strcmp(error, MEMBER_STANDS_STILL) != 0) {
                ask_answer(member, ask, MEMBER_ADOPT_REFUSED, error);
            }
            member->asks[i] = member->asks[--member->ask_count];
            break;
        }
    }
    for (size_t i = 1; outcome == MEMBER_APPLIED && i < member->node_count; i++) {
        struct member_node *node = &member->nodes[i];
        const struct member_absorbed *absorbed = node->is_linked ? absorbed_of(member, node) : NULL;
        if (absorbed != NULL) {
            welcome_send(member, node, absorbed);
        }
    }
}

/* ---- this group is merged: its leader asks ---- */

static void adopt_answered(struct member *member, struct member_node *node,
                           const struct member_message *message) {
    const struct member_adopt *adopt = &message->adopt;
    if (!raft_id_equal(&adopt->group, &member->file.group) ||
        adopt->merge != member->state.merge.number) {
        return;
    }
    if (adopt->verdict == MEMBER_ADOPT_REFUSED) {
        end_propose(member, adopt->error[0] == '\0' ? "ERR Refused" : adopt->error);
    } else {
        welcomed(member, node, &message->group,
                 &(struct member_absorbed){.group = adopt->group, .number = adopt->merge});
    }
}

static void adopt_send(struct member *member, const struct member_node *contact) {
    struct buffer state = BUFFER_EMPTY;
    member_state_write(&member->state, &state);
    struct member_message message = {.kind = MEMBER_ADOPT};
    message.adopt.asker = member->file.id;
    message.adopt.group = group_of(member);
    message.adopt.merge = member->state.merge.number;
    message.adopt.map = buffer_span(&state);
    if (state.length + MEMBER_ENTRY_HEAD_BYTES > RAFT_ENTRY_BYTES_MAX) {
        end_propose(member, "ERR The cluster is too large to be merged");
    } else {
        member_send(member, &contact->id, &message);
    }
    buffer_free(&state);
}

/* Groups that grew since they began to stand still may wait for each other in a ring, of which none
 * can answer. In it one at least waits for a smaller one: that one goes on. */
static bool is_in_ring(const struct member *member, const struct member_node *contact) {
    return contact->merge != 0 && !raft_id_equal(&contact->group, &member->file.group) &&
           !is_smaller(member, contact);
}

static void merge_lead(struct member *member) {
    const struct member_merge *merge = &member->state.merge;
    if (merge->number != member->merge_seen) {
        member->merge_seen = merge->number;
        member->merge_seen_ms = member->now_ms;
        member->adopt_ms = 0;
    }
    if (merge->number == 0 || member->leads_since_ms == 0) {
        return;
    }
    const struct member_node *contact = member_node_find(member, &merge->contact.id);
    if (member->now_ms - member->merge_seen_ms >= MERGE_MS) {
        end_propose(member, "ERR The other cluster did not answer in time");
    } else if (contact != NULL && contact->is_linked && contact->is_greeted &&
               is_in_ring(member, contact)) {
        end_propose(member, "");
    } else if (contact != NULL && contact->is_linked && contact->is_greeted &&
               (member->adopt_ms == 0 || member->now_ms - member->adopt_ms >= TELL_MS)) {
        member->adopt_ms = member->now_ms;
        adopt_send(member, contact);
    }
}

/* ---- MEET ---- */

static void meet_answer(struct member *member, struct member_meet *meet, const char *error) {
    if (!meet->is_back) {
        member->plan.outlet.answer(member->plan.outlet.context, meet->ticket, error);
    } else if (error != NULL) {
        struct member_message message = {.kind = MEMBER_MEET_REFUSED};
        memcpy(message.error, error, strnlen(error, MEMBER_ERROR_MAX));
        member_send(member, &meet->contact.id, &message);
    }
}

static void meet_remove(struct member *member, struct member_meet **place) {
    struct member_meet *meet = *place;
    *place = meet->next;
    member->meet_count--;
    memory_free(meet);
}

void member_meets_free(struct member *member) {
    while (member->meets != NULL) {
        meet_remove(member, &member->meets);
    }
}

/* All that meet the group, or the node; any node where both are NULL. */
static void meets_fail(struct member *member, const struct raft_id *group, const struct raft_id *id,
                       const char *error) {
    struct member_meet **place = &member->meets;
    while (*place != NULL) {
        struct member_meet *meet = *place;
        const struct member_node *node = member_node_find(member, &meet->contact.id);
        bool is_one = (group != NULL && node != NULL && raft_id_equal(&node->group, group)) ||
                      (id != NULL && raft_id_equal(&meet->contact.id, id) && !meet->is_back);
        if (is_one) {
            meet_answer(member, meet, error);
            meet_remove(member, place);
        } else {
            place = &meet->next;
        }
    }
}

/* True: both are in one group. */
static bool meet_step(struct member *member, struct member_meet *meet) {
    if (raft_id_equal(&meet->contact.id, &member->file.id)) {
        return true;
    }
    struct member_node *node =
        raft_id_is_none(&meet->contact.id) ? NULL : member_node_find(member, &meet->contact.id);
    if (node == NULL || !node->is_linked || !node->is_greeted || member->state.map == NULL) {
        return false;
    }
    if (raft_id_equal(&node->group, &member->file.group)) {
        return map_find(member->state.map, node->id.bytes) != MAP_NOBODY;
    }
    if (member->state.merge.number != 0 || meet->is_proposed) {
        return false;
    }
    if (node->group_nodes != 0 && is_smaller(member, node)) {
        meet->is_proposed = true;
        begin_propose(member, &node->group, &meet->contact);
    } else if (may_tell(member, node)) {
        /* The other end may not know how large this group is, nor this one how large that is: who
         * is told to meet back says hello until the smaller one knows. */
        member_hello_send(member, node);
        if (!meet->is_back) {
            member_send(member, &node->id, &(struct member_message){.kind = MEMBER_MEET_BACK});
        }
    }
    return false;
}

static bool meets_settle(struct member *member) {
    bool has_ended = false;
    struct member_meet **place = &member->meets;
    while (*place != NULL) {
        struct member_meet *meet = *place;
        bool is_met = meet_step(member, meet);
        if (is_met || member->now_ms >= meet->deadline_ms) {
            char error[MEMBER_ERROR_BYTES];
            snprintf(error, sizeof(error), "ERR The node at %s:%u %s", meet->contact.ip,
                     meet->contact.bus_port,
                     raft_id_is_none(&meet->contact.id) ? "does not answer"
                                                        : "did not become part of the cluster in "
                                                          "time");
            meet_answer(member, meet, is_met ? NULL : error);
            meet_remove(member, place);
            has_ended = true;
        } else {
            place = &meet->next;
        }
    }
    return has_ended;
}

static bool meet_add(struct member *member, const struct member_meet *meet) {
    if (member->meet_count >= MEMBER_MEETS_MAX) {
        return false;
    }
    struct member_meet *adding = memory_copy(meet, sizeof(*meet));
    adding->next = member->meets;
    member->meets = adding;
    member->meet_count++;
    return true;
}

void member_meet(struct member *member, uint64_t ticket, const char *ip, uint16_t bus_port,
                 uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    struct member_meet meet = {.ticket = ticket,
                               .deadline_ms = member->now_ms + member_wish_ms(member),
                               .contact = {.bus_port = bus_port}};
    memcpy(meet.contact.ip, ip, strnlen(ip, MAP_IP_BYTES - 1));
    for (size_t i = 1; i < member->node_count; i++) {
        const struct member_node *node = &member->nodes[i];
        if (node->is_linked && node->bus_port == bus_port && strcmp(node->ip, ip) == 0) {
            meet.contact.id = node->id;
        }
    }
    if (bus_port == member->facts.bus_port && strcmp(meet.contact.ip, member->facts.ip) == 0) {
        meet.contact.id = member->file.id;
    }
    if (!meet_add(member, &meet)) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR Too many nodes are being met");
    }
    member_settle(member);
}

static void meet_back_received(struct member *member, const struct member_node *node) {
    for (const struct member_meet *meet = member->meets; meet != NULL; meet = meet->next) {
        if (raft_id_equal(&meet->contact.id, &node->id)) {
            return;
        }
    }
    struct member_meet meet = {.is_back = true,
                               .deadline_ms = member->now_ms + MEET_BACK_WISH_MS,
                               .contact = {.id = node->id, .bus_port = node->bus_port}};
    memcpy(meet.contact.ip, node->ip, sizeof(meet.contact.ip));
    meet_add(member, &meet);
}

/* ---- RESET, the override ---- */

static void reset_done(struct member *member, uint64_t ticket, const char *error) {
    if (!member->reset.is_active || member->reset.ticket != ticket) {
        return;
    }
    if (error != NULL) {
        member_answer(member, &member->reset, error);
    } else {
        member->reset.is_done = true; /* answered once it is alone */
        member_group_found_alone(member, member->is_reset_hard);
    }
}

void member_reset(struct member *member, uint64_t ticket, bool is_hard, uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    if (member->reset.is_active || member->state.map == NULL) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR The node is on its way into another cluster");
        return;
    }
    if (member_leads(member) && member_votes_with(member) == 1 &&
        member->state.map->nodes_count > 1 && !member_can_retire(member, &member->file.id)) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR This node alone decides on the map, and no other is there "
                                   "that could: CLUSTER FORGET those that are gone first");
        return;
    }
    member_wish_begin(member, &member->reset, ticket, 0);
    member->is_reset_hard = is_hard;
    if (member->state.map->nodes_count == 1) {
        reset_done(member, ticket, NULL);
    } else {
        struct map_change *change = memory_alloc_zeroed(sizeof(*change));
        struct buffer changes = BUFFER_EMPTY;
        struct member_entry entry = {.kind = MEMBER_ENTRY_CHANGES};
        change->kind = MAP_NODE_REMOVE;
        memcpy(change->node, member->file.id.bytes, MAP_ID_BYTES);
        map_change_write(change, &changes);
        memory_free(change);
        if (!member_propose_entry(member, &entry, &changes, reset_done, ticket,
                                  member_wish_ms(member))) {
            member_answer(member, &member->reset, "ERR Too many changes wait");
        }
    }
    member_settle(member);
}

/* The map of the old group, in a new one that all of its nodes are welcome to. */
static void found_survivors(struct member *member) {
    struct member_state state = MEMBER_STATE_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    member_state_write(&member->state, &bytes);
    bool is_read = member_state_read(&state, buffer_span(&bytes));
    ASSERT(is_read);
    state.merge = (struct member_merge){.number = 0};
    member_state_absorb(&state, &(struct member_absorbed){.group = member->file.group});
    member->plan.outlet.draw(member->plan.outlet.context, state.map->group, MAP_ID_BYTES);
    state.map->index = 1;
    for (uint16_t i = 0; i < state.map->nodes_count; i++) {
        state.map->shards[i].epoch = state.map->shards[i].epoch == 0 ? 0 : 1;
    }
    buffer_clear(&bytes);
    member_state_write(&state, &bytes);
    member_state_free(&state);
    member_group_found(member, &member->file.id, &bytes);
    buffer_free(&bytes);
}

void member_override(struct member *member, uint64_t ticket, uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    struct raft_id leader = member_leader(member);
    if (!raft_id_is_none(&leader)) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR The cluster has a leader: nothing is to be overridden");
    } else if (member->state.map == NULL || member_me(member) == MAP_NOBODY ||
               member->override.is_active) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR This node is not part of a cluster yet");
    } else {
        member_wish_begin(member, &member->override, ticket, 0);
        found_survivors(member);
    }
    member_settle(member);
}

static bool wishes_settle(struct member *member) {
    if (member->override.is_active && member->next.phase == 0 && member_leads(member)) {
        member_answer(member, &member->override, NULL);
        return true;
    }
    if (member->override.is_active && member->now_ms >= member->override.deadline_ms) {
        member_answer(member, &member->override, "ERR The new cluster is not there yet");
        return true;
    }
    if (member->reset.is_active && member->reset.is_done && member->next.phase == 0 &&
        member_me(member) != MAP_NOBODY) {
        member_answer(member, &member->reset, NULL);
        return true;
    }
    return false;
}

/* ---- what this node says of itself ---- */

static void facts_done(struct member *member, uint64_t ticket, const char *error) {
    (void)ticket;
    (void)error;
    member->is_facts_proposed = false;
}

static void facts_settle(struct member *member) {
    const struct map *map = member->state.map;
    uint16_t me = member_me(member);
    if (me == MAP_NOBODY || member->is_facts_proposed || member->state.merge.number != 0) {
        return;
    }
    struct map_facts facts = member->facts;
    if (facts.ip[0] == '\0') { /* nobody has said yet since the start: as it was */
        memcpy(facts.ip, map->nodes[me].facts.ip, sizeof(facts.ip));
    }
    if (memcmp(&map->nodes[me].facts, &facts, sizeof(facts)) == 0 &&
        map->nodes[me].no_failover == member->plan.no_failover) {
        return;
    }
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    struct buffer changes = BUFFER_EMPTY;
    change->kind = MAP_NODE_FACTS;
    change->facts = facts;
    memcpy(change->node, member->file.id.bytes, MAP_ID_BYTES);
    map_change_write(change, &changes);
    change->kind = MAP_NO_FAILOVER;
    change->flag = member->plan.no_failover;
    map_change_write(change, &changes);
    memory_free(change);
    member->is_facts_proposed = true;
    member_propose_changes(member, &changes, facts_done, 0);
}

/* ---- all of it ---- */

void member_join_applied(struct member *member, const struct member_entry *entry,
                         enum member_outcome outcome, const char *error) {
    if (entry->kind == MEMBER_ENTRY_ADOPT) {
        adopted(member, entry, outcome, error);
    } else if (entry->kind == MEMBER_ENTRY_MERGE_END && outcome == MEMBER_APPLIED &&
               entry->error[0] != '\0') {
        member->merge_failed = true;
        memcpy(member->merge_error, entry->error, sizeof(entry->error));
    }
}

void member_join_received(struct member *member, struct member_node *node,
                          const struct member_message *message) {
    switch (message->kind) {
    case MEMBER_HELLO:
        hello_received(member, node, message);
        break;
    case MEMBER_WELCOME:
        welcomed(member, node, &message->group, &message->welcome);
        break;
    case MEMBER_MEET_BACK:
        meet_back_received(member, node);
        break;
    case MEMBER_MEET_REFUSED:
        meets_fail(member, NULL, &node->id, message->error);
        break;
    case MEMBER_ADOPT:
        adopt_received(member, node, &message->adopt);
        break;
    case MEMBER_ADOPT_ANSWER:
        adopt_answered(member, node, message);
        break;
    case MEMBER_STRANGER:
        stranger_received(member, message->map_index);
        break;
    default:
        break;
    }
}

/* Others are told when what a hello says has changed: they decide by it. */
static void hellos_settle(struct member *member) {
    uint64_t hash = member->state.map == NULL ? 0 : member->state.map->nodes_count;
    hash = XXH3_64bits_withSeed(member->file.group.bytes, RAFT_ID_BYTES,
                                hash << 32 ^ member->state.merge.number);
    if (hash == member->hello_hash) {
        return;
    }
    member->hello_hash = hash;
    for (size_t i = 1; i < member->node_count; i++) {
        struct member_node *node = &member->nodes[i];
        if (node->is_linked &&
            (!node->is_greeted || !raft_id_equal(&node->group, &member->file.group))) {
            member_hello_send(member, node);
        }
    }
}

bool member_join_settle(struct member *member) {
    if (member->merge_failed) {
        member->merge_failed = false;
        meets_fail(member, &member->merge_group, NULL, member->merge_error);
    }
    if (member->state.merge.number != 0) {
        member->merge_group = member->state.merge.group;
    }
    bool is_in_map = member_me(member) != MAP_NOBODY;
    if (member->state.map != NULL && member->was_in_map && !is_in_map && member->next.phase == 0) {
        leave_group(member, "This node has left its cluster.");
        return true;
    }
    member->was_in_map = is_in_map;
    member->has_gone_over = member->has_gone_over && !is_in_map;
    for (size_t i = 1; i < member->node_count && member->is_beating; i++) {
        if (member->nodes[i].is_linked && member->nodes[i].is_greeted) {
            tell_stranger(member, &member->nodes[i]);
        }
    }
    hellos_settle(member);
    merge_lead(member);
    facts_settle(member);
    bool has_met = meets_settle(member);
    return wishes_settle(member) || has_met || member->next.phase != 0;
}
