/* What the entries of a group's log lead to: the map, who was answered last, and how far groups
 * that merge have come. The same on all nodes at the same index. Pure.
 *
 *   free ---- merge_begin ----> stands still ---- merge_end (refused) ----> free
 *                                   |
 *                                   +-- the other group adopts it, and its nodes go over
 *
 * An entry
 *   OFFSET  SIZE  MEANING
 *   0       1     kind: enum member_entry_kind, permanent
 *   1       20    who asks; zero: nobody waits for an answer
 *   21      8     session of who asks: grows with each start
 *   29      8     number in the session
 *   37      ...   by kind
 *                 changes      bytes of map_change.h
 *                 merge_begin  target group 20, contact 20, ip (length 1 before it), bus port 2
 *                 merge_end    number of the merge 8, error (length 1 before it)
 *                 adopt        group 20, number of the merge 8, its state
 * Who asks numbers upwards, so an entry that comes twice, or behind a later one of the same node,
 * changes nothing.
 *
 * Bytes of a state, for a snapshot: format 4 (MEMBER_STATE_FORMAT), map (length 4 before it), merge
 * (is there one 1, number 8, group 20, contact 20, ip, bus port 2), tickets (count 2; each: node
 * 20, session 8, number 8, error), absorbed groups (count 2; each: group 20, number 8)
 */
#ifndef TARN_CLUSTER_MEMBER_STATE_H
#define TARN_CLUSTER_MEMBER_STATE_H

#include "cluster/fields.h"
#include "cluster/map.h"
#include "cluster/raft_log.h"

#define MEMBER_STATE_FORMAT 1
#define MEMBER_ERROR_MAX 255 /* bytes of an error, its zero not counted */
#define MEMBER_ENTRY_HEAD_BYTES 37
#define MEMBER_TICKETS_MAX (2 * MAP_NODES_MAX)
#define MEMBER_ABSORBED_MAX 1024 /* the oldest is forgotten first */
/* What is asked of a group that is to become part of another. */
#define MEMBER_STANDS_STILL "ERR The cluster is being merged with another one: try again"

/* Permanent. */
enum member_entry_kind {
    MEMBER_ENTRY_CHANGES = 1,
    MEMBER_ENTRY_MERGE_BEGIN = 2,
    MEMBER_ENTRY_MERGE_END = 3,
    MEMBER_ENTRY_ADOPT = 4,
};

struct member_contact {
    struct raft_id id;
    char ip[MAP_IP_BYTES];
    uint16_t bus_port;
};

/* The group stands still, since it is to become part of another. */
struct member_merge {
    uint64_t number; /* index of the entry that began it; 0: there is none */
    struct raft_id group;
    struct member_contact contact; /* a node there */
};

struct member_ticket {
    struct raft_id node;
    uint64_t session;
    uint64_t number;
    char error[MEMBER_ERROR_MAX + 1]; /* "": done */
};

/* A group whose nodes are this one's now. */
struct member_absorbed {
    struct raft_id group;
    uint64_t number; /* of its merge; 0: it has no majority any more, and was overridden */
};

struct member_state {
    struct map *map; /* NULL: nothing has come yet */
    struct member_merge merge;
    struct member_ticket *tickets;
    size_t ticket_count;
    struct member_absorbed *absorbed; /* oldest first */
    size_t absorbed_count;
};

#define MEMBER_STATE_EMPTY ((struct member_state){.map = NULL})

void member_state_free(struct member_state *state);

struct member_entry {
    enum member_entry_kind kind;
    struct raft_id asker;
    uint64_t session;
    uint64_t number;
    struct span changes;              /* CHANGES */
    struct raft_id group;             /* MERGE_BEGIN, ADOPT */
    struct member_contact contact;    /* MERGE_BEGIN */
    uint64_t merge;                   /* MERGE_END, ADOPT */
    char error[MEMBER_ERROR_MAX + 1]; /* MERGE_END */
    struct span map;                  /* ADOPT: a state */
};

void member_entry_write(const struct member_entry *entry, struct buffer *out);
/* It points into the bytes. False: they are no entry. */
bool member_entry_read(struct span bytes, struct member_entry *entry);

enum member_outcome {
    MEMBER_APPLIED,
    MEMBER_REFUSED, /* the report has the error */
    MEMBER_SECOND,  /* it came before, or a later one did */
};

/* Applies an entry of the log; of what cannot be read nothing is applied. */
enum member_outcome member_state_apply(struct member_state *state, uint64_t index,
                                       struct span bytes, struct buffer *report);

/* The last one of that node; NULL: there is none. */
const struct member_ticket *member_state_ticket(const struct member_state *state,
                                                const struct raft_id *node);
const struct member_absorbed *member_state_absorbed(const struct member_state *state,
                                                    const struct raft_id *group);
void member_state_absorb(struct member_state *state, const struct member_absorbed *absorbed);

void member_state_write(const struct member_state *state, struct buffer *out);
/* In place of what the state held. False: the bytes are none, and it is unchanged. */
bool member_state_read(struct member_state *state, struct span bytes);

#endif
