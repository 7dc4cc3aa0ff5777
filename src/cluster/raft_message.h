/* Messages of the consensus group, and their bytes.
 *
 * A message; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       4     length of the body in bytes, up to RAFT_MESSAGE_BODY_BYTES_MAX
 *   4       1     kind: enum raft_message_kind, permanent
 *   5       1     version of the format, RAFT_MESSAGE_VERSION
 *   6       2     zero
 *   8       8     checksum: XXH3, 64 bits, of the body, seeded with bytes 0 to 7 and the link's
 *   seed 16      ...   body: group 20, source 20, target 20, term 8, then by kind
 *
 *   KIND  NAME          BODY
 *   1     vote          flags 1 (1: pre-vote, 2: transfer), index 8 and term 8 of the last entry
 *   2     vote answer   flags 1 (1: pre-vote, 2: granted)
 *   3     append        previous index 8, its term 8, commit 8, round 8, then entries: term 8, kind
 *                       1, length 4, bytes
 *   4     append answer flags 1 (1: accepted), index 8, hint index 8, hint term 8, round 8
 *   5     piece         snapshot: index 8, term 8, size 8, checksum 8; offset 8, round 8, bytes
 *   6     piece answer  snapshot 32, offset 8, round 8
 *   7     take over     nothing
 *   8     read          nonce 8, number 8
 *   9     read answer   nonce 8, number 8, index 8
 *
 * Reading is from a peer that may be broken or hostile: all is checked, and lengths are not
 * believed before the bytes are there. What could not be one step of an honest peer is no message
 * either: terms that fall, a configuration that cannot be read.
 */
#ifndef TARN_CLUSTER_RAFT_MESSAGE_H
#define TARN_CLUSTER_RAFT_MESSAGE_H

#include "cluster/raft_log.h"
#include "cluster/raft_snapshot.h"

#define RAFT_MESSAGE_VERSION 1
#define RAFT_MESSAGE_HEADER_BYTES 16
#define RAFT_MESSAGE_BODY_BYTES_MAX ((size_t)512 * 1024)
/* Of entries in one append; one entry alone may be larger. */
#define RAFT_APPEND_ENTRIES_MAX 128
#define RAFT_APPEND_BYTES_MAX ((size_t)128 * 1024)
#define RAFT_NUMBER_MAX (UINT64_MAX / 2)         /* of a term, or of an index: none comes to it */
#define RAFT_PIECE_BYTES_MAX ((size_t)64 * 1024) /* of a snapshot in one message */

/* Permanent. */
enum raft_message_kind {
    RAFT_VOTE = 1,
    RAFT_VOTE_ANSWER = 2,
    RAFT_APPEND = 3,
    RAFT_APPEND_ANSWER = 4,
    RAFT_PIECE = 5,
    RAFT_PIECE_ANSWER = 6,
    RAFT_TAKE_OVER = 7,
    RAFT_READ = 8,
    RAFT_READ_ANSWER = 9,
};

/* May I lead? A pre-vote asks whether it would be worth trying, and changes nothing: its message's
 * term is the one that the sender would have. */
struct raft_vote {
    bool is_pre;
    bool is_transfer; /* the leader itself asked for it: who hears one need not object */
    uint64_t last_index;
    uint64_t last_term;
};

struct raft_vote_answer {
    bool is_pre;
    bool is_granted; /* then the message's term is the vote's, also of a pre-vote */
};

/* Entries behind a place; none: a beat. */
struct raft_append {
    uint64_t previous_index;
    uint64_t previous_term;
    uint64_t commit;
    uint64_t round; /* grows with each beat of a leader; the answer repeats it */
    const struct raft_entry *entries;
    size_t count;
};

struct raft_append_answer {
    bool is_accepted;
    uint64_t index;      /* accepted: up to here both logs are the same; else previous_index */
    uint64_t hint_index; /* refused: raft_log_agreeable() of the follower's log, and its term */
    uint64_t hint_term;
    uint64_t round;
};

struct raft_piece {
    struct raft_snapshot_name snapshot;
    uint64_t offset;
    uint64_t round;
    struct span bytes;
};

struct raft_piece_answer {
    struct raft_snapshot_name snapshot;
    uint64_t offset; /* bytes that are there */
    uint64_t round;
};

/* A follower asks up to where it must have applied for a read; the two numbers name the question
 * for ever. */
struct raft_read {
    uint64_t nonce;
    uint64_t number;
};

struct raft_read_answer {
    uint64_t nonce;
    uint64_t number;
    uint64_t index;
};

struct raft_message {
    enum raft_message_kind kind;
    struct raft_id group;
    struct raft_id source;
    struct raft_id target;
    uint64_t term; /* the sender's, but for pre-votes */
    union {
        struct raft_vote vote;
        struct raft_vote_answer vote_answer;
        struct raft_append append;
        struct raft_append_answer append_answer;
        struct raft_piece piece;
        struct raft_piece_answer piece_answer;
        struct raft_read read;
        struct raft_read_answer read_answer;
    };
};

/* Appends the message; seed is the link's. */
void raft_message_write(const struct raft_message *message, uint64_t seed, struct buffer *out);

enum raft_message_status {
    RAFT_MESSAGE_DONE,
    RAFT_MESSAGE_PARTIAL, /* more bytes must come first */
    RAFT_MESSAGE_FOREIGN, /* another version of the format */
    RAFT_MESSAGE_DAMAGED, /* what begins there is no message */
};

/* Room for the entries of an append that is read. */
struct raft_message_entries {
    struct raft_entry entries[RAFT_APPEND_ENTRIES_MAX];
};

/* Takes the first message off bytes; it points into them and into entries. */
enum raft_message_status raft_message_read(struct span *bytes, uint64_t seed,
                                           struct raft_message *message,
                                           struct raft_message_entries *entries);

#endif
