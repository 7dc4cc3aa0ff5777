/* The messages between nodes of a cluster, byte by byte. What carries them proves who sends, and
 * frames them.
 *
 * A message; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       1     version of the format, MEMBER_BUS_VERSION
 *   1       1     kind: enum member_message_kind, permanent
 *   2       20    group of the sender
 *   22      ...   by kind
 *
 *   KIND  NAME           BODY
 *   1     hello          nodes of the group 2, merge that the group stands still for 8, ip at which
 *                        the sender sees the receiver (length 1 before it), facts (map.h)
 *   2     pulse          flags 2, start 20, map index 8, shard's epoch 8, history's epoch 8,
 *                        position 8, asked epoch 8, asked at index 8, lease: sent 8, for 4,
 *                        granted: sent 8
 *   3     forward        an entry (member_state.h), for the leader
 *   4     raft           a message of raft_message.h, its seed zero
 *   5     welcome        absorbed group 20, number of its merge 8
 *   6     meet back      nothing: the sender's group is the larger one
 *   7     meet refused   error
 *   8     adopt          who is answered 20, group 20, number of the merge 8, map
 *   9     adopt answer   who is answered 20, group 20, number of the merge 8, verdict 1, error
 *   10    hand over      shard's epoch 8
 *   11    hand over      shard's epoch 8, error
 *         answer
 *   12    stranger       index of the map 8: the receiver is not in it
 *   13    census         index of the map 8, a list (length 4 before it) of: position 8, flags 1
 *
 * A reader takes versions up to the next one, which may have more bytes behind these, and skips
 * kinds that it does not know: then two versions that follow each other speak. Everything is
 * checked; what no honest peer sends is no message.
 */
#ifndef TARN_CLUSTER_MEMBER_BUS_H
#define TARN_CLUSTER_MEMBER_BUS_H

#include "cluster/member_state.h"

#define MEMBER_BUS_VERSION 1

/* Permanent. */
enum member_message_kind {
    MEMBER_HELLO = 1,
    MEMBER_PULSE = 2,
    MEMBER_FORWARD = 3,
    MEMBER_RAFT = 4,
    MEMBER_WELCOME = 5,
    MEMBER_MEET_BACK = 6,
    MEMBER_MEET_REFUSED = 7,
    MEMBER_ADOPT = 8,
    MEMBER_ADOPT_ANSWER = 9,
    MEMBER_MAKE_WAY = 10,
    MEMBER_MAKE_WAY_ANSWER = 11,
    MEMBER_STRANGER = 12,
    MEMBER_CENSUS = 13,
};

struct member_hello {
    uint16_t nodes;
    uint64_t merge;
    char seen_ip[MAP_IP_BYTES];
    struct map_facts facts;
};

enum member_pulse_flag {
    MEMBER_PULSE_WAITS = 1,         /* its role is to wait: it serves nothing */
    MEMBER_PULSE_HEARS_PRIMARY = 2, /* its shard's primary is not silent */
    MEMBER_PULSE_LOADING = 4,       /* recovery is not over */
    MEMBER_PULSE_REPORTS = 8,       /* it refuses the epoch; position is what it will stay at */
    MEMBER_PULSE_REFUSES = 16,      /* no lease in that epoch any more */
    MEMBER_PULSE_LEADS = 32,        /* the sender leads the group */
    MEMBER_PULSE_FLAGS = 63,
};

struct member_pulse {
    unsigned flags;
    struct raft_id start; /* of the sender's process */
    uint64_t map_index;
    uint64_t epoch;         /* of the sender's shard, as its map has it */
    uint64_t history_epoch; /* of its log's history */
    uint64_t position;      /* and where the log ends */
    uint64_t asked_epoch;   /* the receiver is to report: the leader misses its primary. 0: not */
    uint64_t asked_index;   /* of the map that says so */
    uint64_t lease_sent_ms; /* a primary asks for a lease: when, by its clock; 0: it does not */
    uint32_t lease_ms;      /* for how long it asks, or grants */
    uint64_t granted_ms;    /* it is granted, for the ask that was sent then; 0: none is */
};

enum member_verdict { MEMBER_ADOPTED, MEMBER_ADOPT_REFUSED, MEMBER_VERDICTS };

struct member_adopt {
    struct raft_id asker;
    struct raft_id group;
    uint64_t merge;
    struct span map;             /* of ADOPT */
    enum member_verdict verdict; /* of its answer ... */
    char error[MEMBER_ERROR_MAX + 1];
};

struct member_make_way {
    uint64_t epoch;
    char error[MEMBER_ERROR_MAX + 1]; /* of the answer */
};

struct member_message {
    enum member_message_kind kind;
    struct raft_id group;
    union {
        struct member_hello hello;
        struct member_pulse pulse;
        struct span bytes; /* FORWARD, RAFT, and the list of CENSUS */
        struct member_absorbed welcome;
        char error[MEMBER_ERROR_MAX + 1]; /* MEET_REFUSED */
        struct member_adopt adopt;
        struct member_make_way make_way;
        uint64_t map_index; /* STRANGER */
    };
    uint64_t census_index;
};

void member_message_write(const struct member_message *message, struct buffer *out);
/* It points into the bytes. False: they are no message. */
bool member_message_read(struct span bytes, struct member_message *message);

/* Its version may be spoken with, but its kind is of a later one: it is to be skipped. */
bool member_message_is_unknown(struct span bytes);

/* The list of a census: a place for each node of the map. */
struct member_count {
    uint64_t position;
    bool is_heard;
    bool is_loading;
};
#define MEMBER_COUNT_BYTES 9
void member_count_write(const struct member_count *count, struct buffer *out);
struct member_count member_count_at(struct span list, size_t i);

#endif
