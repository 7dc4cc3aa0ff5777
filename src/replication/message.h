/* Messages of a replication link: the native protocol between two nodes, once their handshake on
 * the primary's port has handed the socket over. Both directions are a run of messages.
 *
 * A message
 *   OFFSET  SIZE  MEANING
 *   0       4     length of the body in bytes, up to MESSAGE_BODY_BYTES_MAX
 *   4       1     kind: enum message_kind, permanent
 *   5       3     zero
 *   8       8     checksum: XXH3, 64 bits, of bytes 0 to 7 and then the body, seeded with the
 *   link's 16      ...   body
 *
 * Bodies; numbers are little endian, a history is an epoch (8) and an id (20), a lineage its
 * histories, oldest first: history 28, position 8 at which it begins; a set of slots 2048
 *   KIND  NAME      BY       BODY
 *   1     hello     replica  version 4, node id 20, position 8: the end of its log; then, oldest
 *                            first, the histories that it went through: history 28, position 8 at
 *                            which it begins; none: it has no log
 *   2     plan      primary  version 4, node id 20, mode 1 (enum plan_mode), history 28, position
 *                            8, and, with PLAN_CHANGED, a set of slots
 *   3     want      replica  a set of slots: those whose images it needs; none: an empty body
 *   4     image     primary  length 8 of a chunk of store/image.h, length 8 of it compressed by lz4
 *                            (or the same again: it is not), then its first bytes
 *   5     slots     primary  per slot: slot 2, position 8, keys 8: its image has been sent whole,
 *                            and holds what the log does before the position
 *   6     complete  primary  nothing: all images that were wanted have been sent
 *   7     turn      primary  history 28, parent 28, position 8: there the history begins
 *   8     frame     primary  position 8, time 8 (ms since 1970), length of the content 8, then its
 *                            first bytes
 *   9     more      primary  the next bytes of a frame or image
 *   10    beat      primary  position 8: the end of its log, time 8: ms of its own clock
 *   11    report    replica  positions up to which its log is written 8, synced 8, and applied to
 *                            the data 8; time 8 of the last beat that came, as it came
 *   12    refusal   both     a sentence for the user; the link ends
 *   13    digest    replica  of a slot, asked for by an effect: slot 2, flags 1 (MESSAGE_DIGEST_*),
 *                            seed 8, digest 8, keys 8; then, if asked for, those of single keys
 *                            (store/digest_keys.h)
 *   14    heal      primary  history 28 in which the images are taken, a set of slots: they differ
 *                            from the primary's, and their images follow
 *
 * Reading is from a peer that may be broken or hostile: all is checked, and nothing is believed
 * about lengths before the bytes are there.
 */
#ifndef TARN_REPLICATION_MESSAGE_H
#define TARN_REPLICATION_MESSAGE_H

#include "base/buffer.h"
#include "replication/lineage.h"
#include "store/slot_set.h"

#define MESSAGE_VERSION 1
#define MESSAGE_HEADER_BYTES 16
#define MESSAGE_BODY_BYTES_MAX ((size_t)1024 * 1024)
#define MESSAGE_NODE_ID_BYTES 20
/* Of a frame or an image in one message. */
#define MESSAGE_PART_BYTES ((size_t)256 * 1024)
/* Slots in one message. */
#define MESSAGE_SLOTS_MAX 1024

/* Permanent. */
enum message_kind {
    MESSAGE_HELLO = 1,
    MESSAGE_PLAN = 2,
    MESSAGE_WANT = 3,
    MESSAGE_IMAGE = 4,
    MESSAGE_SLOTS = 5,
    MESSAGE_COMPLETE = 6,
    MESSAGE_TURN = 7,
    MESSAGE_FRAME = 8,
    MESSAGE_MORE = 9,
    MESSAGE_BEAT = 10,
    MESSAGE_REPORT = 11,
    MESSAGE_REFUSAL = 12,
    MESSAGE_DIGEST = 13,
    MESSAGE_HEAL = 14,
    MESSAGE_KINDS,
};

/* Permanent: what becomes of the replica's log. */
enum plan_mode {
    PLAN_GO_ON = 1, /* it goes on where it ends */
    PLAN_CUT = 2,   /* what it holds from the position on is not in the primary's: it is cut off */
    PLAN_RESET = 3, /* it begins anew at the position; all slots are to be imaged */
    PLAN_CHANGED = 4, /* likewise; but only these slots have changed since its end */
};

struct message_hello {
    uint32_t version;
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    uint64_t position;
    struct lineage lineage;
};

struct message_plan {
    uint32_t version;
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    enum plan_mode mode;
    struct history history; /* that holds at the position */
    uint64_t position;
    struct slot_set changed;
    struct lineage lineage; /* of the primary's log */
};

struct message_slot {
    uint16_t slot;
    uint64_t position;
    uint64_t keys;
};

struct message_turn {
    struct history history;
    struct history parent;
    uint64_t position;
};

/* The first bytes of something that may be longer: more messages follow. */
struct message_image {
    uint64_t length; /* of the chunk */
    uint64_t stored; /* bytes that are sent of it: fewer if it is compressed */
    struct span part;
};

struct message_frame {
    uint64_t position;
    int64_t time_ms;
    uint64_t length;
    struct span part;
};

struct message_beat {
    uint64_t position;
    int64_t time_ms;
};

struct message_report {
    uint64_t written;
    uint64_t synced;
    uint64_t applied;
    int64_t beat_ms;
};

/* Permanent. */
enum {
    MESSAGE_DIGEST_KEYS = 1 << 0,       /* digests of single keys follow */
    MESSAGE_DIGEST_INCOMPLETE = 1 << 1, /* of some of them: they were too many */
    MESSAGE_DIGEST_SKIPPED = 1 << 2,    /* it could not be computed at its moment */
};

struct message_digest {
    uint16_t slot;
    unsigned char flags;
    uint64_t seed;
    uint64_t sum;
    uint64_t keys; /* in the slot */
    struct span rows;
};

struct message_heal {
    struct history history;
    struct slot_set slots;
};

/* ---- writing: each appends a message; seed is the link's ---- */

void message_write(struct buffer *out, uint64_t seed, enum message_kind kind, struct span body);
void message_write_hello(struct buffer *out, uint64_t seed, const struct message_hello *hello);
void message_write_plan(struct buffer *out, uint64_t seed, const struct message_plan *plan);
void message_write_want(struct buffer *out, uint64_t seed, const struct slot_set *slots);
/* The part is what goes into this message; MESSAGE_MORE takes the rest. */
void message_write_image(struct buffer *out, uint64_t seed, const struct message_image *image);
void message_write_slots(struct buffer *out, uint64_t seed, const struct message_slot *slots,
                         size_t count);
void message_write_turn(struct buffer *out, uint64_t seed, const struct message_turn *turn);
void message_write_frame(struct buffer *out, uint64_t seed, const struct message_frame *frame);
void message_write_beat(struct buffer *out, uint64_t seed, const struct message_beat *beat);
void message_write_report(struct buffer *out, uint64_t seed, const struct message_report *report);
void message_write_digest(struct buffer *out, uint64_t seed, const struct message_digest *digest);
void message_write_heal(struct buffer *out, uint64_t seed, const struct message_heal *heal);

/* ---- reading ---- */

enum message_status {
    MESSAGE_DONE,
    MESSAGE_PARTIAL, /* more bytes must come first */
    MESSAGE_DAMAGED, /* what begins there is no message */
};

/* Takes the first message off bytes; body points into them. */
enum message_status message_read(struct span *bytes, uint64_t seed, enum message_kind *kind,
                                 struct span *body);

/* False: the body is not one of this kind. */
bool message_read_hello(struct span body, struct message_hello *hello);
bool message_read_plan(struct span body, struct message_plan *plan);
bool message_read_want(struct span body, struct slot_set *slots);
bool message_read_image(struct span body, struct message_image *image);
/* Takes the first slot off the body; false: it is empty or damaged. */
bool message_read_slot(struct span *body, struct message_slot *slot);
bool message_read_turn(struct span body, struct message_turn *turn);
bool message_read_frame(struct span body, struct message_frame *frame);
bool message_read_beat(struct span body, struct message_beat *beat);
bool message_read_report(struct span body, struct message_report *report);
bool message_read_digest(struct span body, struct message_digest *digest);
bool message_read_heal(struct span body, struct message_heal *heal);

#endif
