/* The inside of a member (member.h): what its parts share. Only member*.c include this.
 *
 * Each event ends with member_settle(), which lets each part look at what has changed until none
 * has anything more to do: the parts hold no queue of their own but proposals and wishes.
 */
#ifndef TARN_CLUSTER_MEMBER_CORE_H
#define TARN_CLUSTER_MEMBER_CORE_H

#include "cluster/map_change.h"
#include "cluster/member.h"
#include "cluster/member_bus.h"
#include "cluster/member_file.h"
#include "cluster/raft_member.h"

#define MEMBER_PEERS_MAX 2048
#define MEMBER_ASKS_MAX 256
/* Wishes that nobody answers end after so long, or after five times the node timeout. */
#define MEMBER_WISH_MS 5000

/* Another node, or this one. */
struct member_node {
    struct raft_id id;
    bool is_linked;
    bool is_dead; /* its process is known to be gone */
    char ip[MAP_IP_BYTES];
    uint16_t bus_port;
    bool is_greeted; /* what follows is of its hello on this link */
    struct raft_id group;
    uint16_t group_nodes;
    uint64_t merge;
    struct map_facts facts;
    uint64_t told_ms; /* it was last sent a hello, a welcome, MEET_BACK, or that it is a stranger */
    uint64_t known_ms; /* since then it is in the map */
    bool is_heard;     /* in this group; then: */
    uint64_t heard_ms;
    struct member_pulse pulse;
    struct member_count census; /* what the leader told of it */
    uint64_t census_ms;
    /* As a member of the own shard, while this node is its primary. */
    uint64_t granted_until_ms;
    bool is_joining; /* perhaps it is in the in-sync set: a proposal is on its way */
    bool is_leaving; /* it is silent: it does not count for the quorum, and is to be removed */
    uint64_t leaving_reading; /* of member.readings, when it ceased to count */
    uint64_t leaving_mark;    /* where the log ended at the next one, 0: not read yet */
    bool is_follower;
    bool has_mark;
    uint64_t mark;     /* in the set it may be when it holds so much */
    uint64_t position; /* it has reported as a follower in this epoch */
    /* While this node leads. */
    uint64_t missing_epoch; /* its shard, of that epoch, is without this primary ... */
    uint64_t missing_ms;    /* ... since then */
    uint64_t proposed_ms;   /* something about it was proposed */
    uint64_t retires_ms;    /* it was to leave the map, and votes: asked last; 0: never */
};

typedef void (*member_done)(struct member *member, uint64_t ticket, const char *error);

struct member_proposal {
    struct member_proposal *next;
    struct member_entry entry; /* but asker, session, number */
    struct buffer bytes;       /* which it points into */
    member_done done;
    uint64_t ticket;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t number;      /* 0: it was not sent yet in this group */
    struct raft_id sent_to;
    uint64_t sent_ms;
};

struct member_meet {
    struct member_meet *next;
    uint64_t ticket;
    bool is_back; /* the other node has asked: it is told what is wrong, no ticket is */
    struct member_contact contact;
    uint64_t deadline_ms;
    bool is_proposed;
};

struct member_ask {
    struct raft_id link; /* whom the answer goes to */
    struct raft_id asker;
    struct raft_id group;
    uint64_t merge;
    uint64_t forwarded_ms;
};

/* A wish that waits; ticket and deadline count while it is_active. */
struct member_wish {
    bool is_active;
    uint64_t ticket;
    uint64_t deadline_ms;
    bool is_done; /* what was to be done for it has been */
};

struct member {
    struct member_plan plan;
    struct member_timing timing;
    struct map_facts facts; /* as announced, with the address that others see */
    uint64_t now_ms;
    uint64_t beat_ms; /* of the next heartbeat */
    uint64_t beats;
    bool is_beating; /* one is due in this event */
    struct raft_id start;

    /* The group. */
    struct member_file file;
    struct raft_member *log; /* NULL: it failed, and is tried again */
    uint64_t reopen_ms;
    struct buffer problem;
    uint64_t opens; /* for seeds */
    struct member_state state;
    struct map *map;         /* published; borrowed */
    struct member_file next; /* phase not 0: it is to go over */
    bool was_in_map;
    bool has_gone_over;      /* by joining, in this process, and is not in the map yet */
    uint64_t leads_since_ms; /* 0: it does not lead, or lacks what was committed before */

    struct member_node *nodes; /* by no order; the first is this one */
    size_t node_count;

    /* Proposals: the first is under way. */
    struct member_proposal *proposals;
    size_t proposal_count;
    uint64_t last_number;

    struct member_meet *meets;
    size_t meet_count;
    struct member_ask asks[MEMBER_ASKS_MAX];
    size_t ask_count;
    uint64_t adopt_ms;          /* the last request */
    bool is_ending_merge;       /* proposed */
    struct raft_id merge_group; /* that the merge was with ... */
    bool merge_failed;          /* ... which has ended by an error */
    char merge_error[MEMBER_ERROR_BYTES];
    uint64_t merge_seen;    /* number of the merge that waits ... */
    uint64_t merge_seen_ms; /* ... since then */
    bool is_facts_proposed;
    struct member_wish reset;
    bool is_reset_hard;
    struct member_wish override;
    uint64_t unknown_messages;
    uint64_t targets_hash;
    uint64_t hello_hash;

    /* The shard. */
    struct member_replication replication;
    uint64_t readings;      /* of it, so far */
    uint64_t epoch;         /* of the shard, as the parts below know it */
    uint64_t refused_epoch; /* this node helps no primary of it any more */
    uint64_t refused_index; /* the map that says so */
    uint64_t promised_until_ms;
    uint64_t promised_epoch;   /* of the last promise of this process */
    uint64_t longest_until_ms; /* until then a promise as long as file.promise_ms may stand */
    uint64_t lease_until_ms;
    enum member_role_kind role;
    uint64_t role_hash; /* of what was told last */
    bool is_sync_proposed;
    uint64_t sync_set_hash;  /* the set that marks are for */
    uint64_t quorum_reading; /* of readings, when the quorum was to change; 0: it is not ... */
    uint64_t quorum_mark;    /* ... and where the log ended at the next one, 0: not read yet */

    struct member_wish fail_over; /* CLUSTER FAILOVER here */
    enum member_failover fail_over_how;
    uint64_t fail_over_epoch;
    uint64_t make_way_ms;    /* it was asked last */
    struct member_wish hand; /* this primary makes way */
    struct raft_id hand_to;
    struct member_wish leave;
    uint64_t leave_lost_ms; /* nobody has led since then; 0: somebody does */
};

/* ---- member.c ---- */

void member_settle(struct member *member);
/* A sentence for the log. */
void member_say(struct member *member, enum member_weight weight, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void member_send(struct member *member, const struct raft_id *target,
                 struct member_message *message);
void member_answer(struct member *member, struct member_wish *wish, const char *error);
void member_wish_begin(struct member *member, struct member_wish *wish, uint64_t ticket,
                       uint64_t timeout_ms);
uint64_t member_wish_ms(const struct member *member);

/* ---- this node in the map; NULL, MAP_NOBODY, 0 where there is none ---- */

static inline struct map *member_current(const struct member *member) {
    return member->state.map;
}
uint16_t member_me(const struct member *member);
const struct map_shard *member_shard(const struct member *member);
/* It is in this node's shard, and another one. */
bool member_is_mate(const struct member *member, uint16_t node);

/* ---- member_group.c: the log and its disk ---- */

int member_group_enter(struct member *member, struct buffer *report);
void member_group_leave(struct member *member);
/* The next time anything is settled it goes over; state is taken over. */
void member_group_join(struct member *member, const struct raft_id *group);
void member_group_found(struct member *member, const struct raft_id *id, struct buffer *state);
void member_group_found_alone(struct member *member, bool is_new_id);
bool member_group_settle(struct member *member);
void member_group_tick(struct member *member);
bool member_leads(const struct member *member);
struct raft_id member_leader(const struct member *member);
void member_raft_received(struct member *member, struct span bytes);

/* ---- member_proposals.c ---- */

/* Takes the entry's bytes over. False: too many wait. */
bool member_propose_entry(struct member *member, const struct member_entry *entry,
                          struct buffer *bytes, member_done done, uint64_t ticket,
                          uint64_t timeout_ms);
/* Internal ones, of changes, which wait for ever. */
void member_propose_changes(struct member *member, struct buffer *changes, member_done done,
                            uint64_t ticket);
/* By the leader, with nobody who waits. */
void member_lead_changes(struct member *member, struct buffer *changes);
void member_forward_received(struct member *member, struct span bytes);
bool member_proposals_settle(struct member *member);
/* Those that would tell this one are not asked for any more, and tell nobody. */
void member_proposals_withdraw(struct member *member, member_done done);
/* It is in another group now. */
void member_proposals_restart(struct member *member);

/* ---- member_detector.c ---- */

/* At the begin of an event: pointers to nodes end. Room for a whole map is left. */
void member_nodes_trim(struct member *member);
struct member_node *member_node_find(const struct member *member, const struct raft_id *id);
struct member_node *member_node_get(struct member *member, const struct raft_id *id);
static inline struct member_node *member_self(const struct member *member) {
    return &member->nodes[0];
}
/* The node of the map at that place. */
struct member_node *member_node_at(struct member *member, uint16_t node);
bool member_is_silent(const struct member *member, const struct member_node *node,
                      uint64_t limit_ms);
void member_pulse_send(struct member *member, const struct member_node *node);
void member_pulse_received(struct member *member, struct member_node *node,
                           const struct member_pulse *pulse);
void member_pulse_own(struct member *member);
void member_census_received(struct member *member, const struct member_message *message);
void member_detector_beat(struct member *member);

/* ---- member_lease.c ---- */

/* The process before this one may have promised. */
void member_lease_open(struct member *member);
void member_lease_asked(struct member *member, struct member_node *node,
                        const struct member_pulse *pulse);
void member_lease_granted(struct member *member, struct member_node *node,
                          const struct member_pulse *pulse);
void member_lease_ask(const struct member *member, const struct member_node *node,
                      struct member_pulse *pulse);
void member_lease_settle(struct member *member);

/* ---- member_role.c ---- */

/* False: nothing has changed. */
bool member_role_settle(struct member *member);

/* ---- member_sync.c ---- */

bool member_sync_settle(struct member *member);
void member_sync_forget(struct member *member);

/* ---- member_failover.c ---- */

void member_refuse_epoch(struct member *member, uint64_t map_index);
void member_reports_asked(struct member *member, const struct member_pulse *pulse);
/* The leader misses the primary of that node's shard: it is to report. */
uint64_t member_epoch_asked(struct member *member, const struct member_node *node);
void member_failover_lead(struct member *member);

/* ---- member_handover.c ---- */

void member_make_way_received(struct member *member, struct member_node *node,
                              const struct member_message *message);
bool member_handover_settle(struct member *member);

/* ---- member_voters.c ---- */

void member_voters_lead(struct member *member);
/* On the leader: this node may leave the map now, since it does not vote, or is the last one.
 * False: it gives its vote away, if somebody can take it; ask again. */
bool member_retire(struct member *member, const struct raft_id *id);
/* On the leader: somebody else who is there votes, or can. */
bool member_can_retire(struct member *member, const struct raft_id *id);
/* How many voters there are, if this node is one; else 0. */
size_t member_votes_with(const struct member *member);
/* The leader hands over to another voter. False: there is none. */
bool member_transfer(struct member *member);

/* ---- member_join.c ---- */

void member_hello_send(struct member *member, struct member_node *node);
void member_foreign_received(struct member *member, struct member_node *node,
                             const struct member_message *message);
/* One of the kinds that concern joining. */
void member_join_received(struct member *member, struct member_node *node,
                          const struct member_message *message);
/* An entry about a merge was applied. */
void member_join_applied(struct member *member, const struct member_entry *entry,
                         enum member_outcome outcome, const char *error);
bool member_join_settle(struct member *member);
void member_meets_free(struct member *member);

#endif
