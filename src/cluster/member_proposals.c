#include "base/memory.h"
#include "cluster/member_core.h"

#define STANDS_STILL_WAIT_MS 50
#define UNKNOWN_OUTCOME                                                                            \
    "CLUSTERDOWN The cluster did not agree in time: whether the change takes place is not known"

static uint64_t deadline(const struct member *member, uint64_t timeout_ms) {
    return timeout_ms == UINT64_MAX ? UINT64_MAX : member->now_ms + timeout_ms;
}

bool member_propose_entry(struct member *member, const struct member_entry *entry,
                          struct buffer *bytes, member_done done, uint64_t ticket,
                          uint64_t timeout_ms) {
    bool is_limited = timeout_ms != UINT64_MAX;
    if (is_limited && member->proposal_count >= MEMBER_PROPOSALS_MAX) {
        buffer_free(bytes);
        return false;
    }
    struct member_proposal *proposal = memory_alloc_zeroed(sizeof(*proposal));
    proposal->entry = *entry;
    proposal->bytes = *bytes;
    *bytes = BUFFER_EMPTY;
    proposal->done = done;
    proposal->ticket = ticket;
    proposal->deadline_ms = deadline(member, timeout_ms);
    struct member_proposal **last = &member->proposals;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = proposal;
    member->proposal_count++;
    return true;
}

void member_propose_changes(struct member *member, struct buffer *changes, member_done done,
                            uint64_t ticket) {
    struct member_entry entry = {.kind = MEMBER_ENTRY_CHANGES};
    member_propose_entry(member, &entry, changes, done, ticket, UINT64_MAX);
}

/* Who is to leave the map gives its vote away first: until then the entry waits for being sent
 * again. */
static bool may_propose(struct member *member, struct span bytes) {
    struct member_entry entry;
    if (!member_entry_read(bytes, &entry) || entry.kind != MEMBER_ENTRY_CHANGES) {
        return true;
    }
    struct map_change *change = memory_alloc(sizeof(*change));
    bool may = true;
    while (map_change_read(&entry.changes, change)) {
        struct raft_id id;
        memcpy(id.bytes, change->node, MAP_ID_BYTES);
        may &= change->kind != MAP_NODE_REMOVE || member_retire(member, &id);
    }
    memory_free(change);
    return may;
}

static bool lead_propose(struct member *member, struct span entry) {
    struct raft_position place;
    return member->log != NULL && may_propose(member, entry) &&
           raft_member_propose(member->log, &entry, 1, &place) == RAFT_ACCEPTED;
}

void member_lead_changes(struct member *member, struct buffer *changes) {
    struct member_entry entry = {.kind = MEMBER_ENTRY_CHANGES, .changes = buffer_span(changes)};
    struct buffer bytes = BUFFER_EMPTY;
    member_entry_write(&entry, &bytes);
    lead_propose(member, buffer_span(&bytes));
    buffer_free(&bytes);
    buffer_free(changes);
}

void member_forward_received(struct member *member, struct span bytes) {
    struct member_entry entry;
    if (member_leads(member) && member_entry_read(bytes, &entry) &&
        bytes.length <= RAFT_ENTRY_BYTES_MAX) {
        lead_propose(member, bytes);
    }
}

/* ---- the first one ---- */

static void entry_write(const struct member *member, const struct member_proposal *proposal,
                        struct buffer *out) {
    struct member_entry entry = proposal->entry;
    entry.asker = member->file.id;
    entry.session = member->file.starts;
    entry.number = proposal->number;
    entry.changes = buffer_span(&proposal->bytes);
    entry.map = buffer_span(&proposal->bytes);
    member_entry_write(&entry, out);
}

/* It may be sent again and again: the number tells. A new leader may not know it, and is asked at
 * once. */
static void send_first(struct member *member) {
    struct member_proposal *first = member->proposals;
    struct raft_id leader = member_leader(member);
    if (first->number == 0) {
        first->number = ++member->last_number;
    } else if (member->now_ms - first->sent_ms < member->timing.election_ms &&
               (raft_id_is_none(&leader) || raft_id_equal(&leader, &first->sent_to))) {
        return;
    }
    first->sent_to = leader;
    struct buffer bytes = BUFFER_EMPTY;
    entry_write(member, first, &bytes);
    bool is_sent = false;
    if (bytes.length > RAFT_ENTRY_BYTES_MAX) {
        first->deadline_ms = 0;
    } else if (member_leads(member)) {
        is_sent = lead_propose(member, buffer_span(&bytes));
    } else if (!raft_id_is_none(&leader)) {
        const struct member_node *node = member_node_find(member, &leader);
        is_sent = node != NULL && node->is_linked;
        member_send(member, &leader,
                    &(struct member_message){.kind = MEMBER_FORWARD, .bytes = buffer_span(&bytes)});
    }
    buffer_free(&bytes);
    /* Where nobody was asked, the next heartbeat is soon enough. */
    uint64_t early = member->timing.election_ms - member->timing.heartbeat_ms;
    first->sent_ms = is_sent ? member->now_ms : member->now_ms > early ? member->now_ms - early : 0;
}

static void end_first(struct member *member, const char *error) {
    struct member_proposal *first = member->proposals;
    member->proposals = first->next;
    member->proposal_count--;
    if (first->done != NULL) {
        first->done(member, first->ticket, error);
    }
    buffer_free(&first->bytes);
    memory_free(first);
}

/* NULL: it is not applied yet. */
static const struct member_ticket *answer_of(const struct member *member) {
    const struct member_proposal *first = member->proposals;
    const struct member_ticket *ticket = member_state_ticket(&member->state, &member->file.id);
    return first->number != 0 && ticket != NULL && ticket->session == member->file.starts &&
                   ticket->number >= first->number
               ? ticket
               : NULL;
}

static bool settle_first(struct member *member) {
    struct member_proposal *first = member->proposals;
    const struct member_ticket *answer = answer_of(member);
    if (answer != NULL && strcmp(answer->error, MEMBER_STANDS_STILL) == 0 &&
        first->deadline_ms > member->now_ms && first->entry.kind == MEMBER_ENTRY_CHANGES) {
        if (member->now_ms - first->sent_ms >= STANDS_STILL_WAIT_MS) {
            first->number = 0; /* once more, in this group or in the one that it becomes part of */
        }
        return false;
    }
    if (answer != NULL) {
        char error[MEMBER_ERROR_BYTES];
        memcpy(error, answer->error, sizeof(error));
        end_first(member, error[0] == '\0' ? NULL : error);
        return true;
    }
    if (first->deadline_ms <= member->now_ms) {
        end_first(member,
                  first->deadline_ms == 0 ? "ERR Too many changes in one entry" : UNKNOWN_OUTCOME);
        return true;
    }
    return false;
}

bool member_proposals_settle(struct member *member) {
    bool has_ended = false;
    while (member->proposals != NULL && settle_first(member)) {
        has_ended = true;
    }
    if (member->proposals != NULL && member->state.map != NULL && answer_of(member) == NULL) {
        send_first(member);
    }
    return has_ended;
}

static void take_out(struct member *member, struct member_proposal **place) {
    struct member_proposal *proposal = *place;
    *place = proposal->next;
    member->proposal_count--;
    buffer_free(&proposal->bytes);
    memory_free(proposal);
}

void member_proposals_withdraw(struct member *member, member_done done) {
    struct member_proposal **place = &member->proposals;
    while (*place != NULL) {
        if ((*place)->done == done) {
            take_out(member, place);
        } else {
            place = &(*place)->next;
        }
    }
}

/* What concerns a merge of the old group is over. */
void member_proposals_restart(struct member *member) {
    struct member_proposal **place = &member->proposals;
    while (*place != NULL) {
        struct member_proposal *proposal = *place;
        proposal->number = 0;
        if (proposal->entry.kind == MEMBER_ENTRY_CHANGES) {
            place = &proposal->next;
            continue;
        }
        member_done done = proposal->done;
        uint64_t ticket = proposal->ticket;
        take_out(member, place);
        if (done != NULL) {
            done(member, ticket, MEMBER_STANDS_STILL);
        }
    }
}
