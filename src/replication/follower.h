/* Follower: the replica's side of its link to the primary. A pure step: bytes from the primary go
 * in, bytes for it come out; what is to become of the log and the data it tells its target.
 *
 *   PLAN -> CHANGE -> IMAGES -> LOG
 *
 *   PLAN    hello has been said                                                [plan comes]
 *   CHANGE  the target cuts its log or begins it anew                          [follower_changed()]
 *           -> which slots are missing is said
 *   IMAGES  the images of the missing slots come                               [complete comes]
 *   LOG     frames, turns and beats; a beat is answered by a report, as is each progress of the
 *           target, and silence
 *           -> IMAGES, of slots that are found to differ                       [heal comes]
 *   ENDED   the peer broke the protocol, or the target failed: follower_reason() says why
 *
 * What is missing outlives the link: struct replica_slots is the node's, and a new link goes on at
 * the slot where the old one broke. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_FOLLOWER_H
#define TARN_REPLICATION_FOLLOWER_H

#include "replication/message.h"

/* A report is sent at least so often while the link is up. */
#define FOLLOWER_REPORT_MS 100

/* What a replica holds of each slot: its image, taken where this history had come to. It holds what
 * the log does before that position; 0: it is of no use to know. */
struct replica_slots {
    struct slot_set missing; /* to be imaged before the log can go on */
    struct lineage_part images[SLOTS];
};

struct follower_log {
    struct lineage lineage;
    uint64_t end;
};

enum follower_change {
    FOLLOWER_CHANGE_DONE,
    FOLLOWER_CHANGE_FAILED,
    /* It goes on elsewhere: follower_changed() will tell of its end. If the link ends before that,
     * the slots that were touched are the target's to make missing. */
    FOLLOWER_CHANGE_LATER,
};

/* What is to be done; all are called from within follower_receive(), in the order of the stream.
 * False: it could not be done, the link ends; a sentence is appended to the report. */
struct follower_target {
    void *context;
    /* The log of this node: without histories if it has none. */
    void (*log)(void *context, struct follower_log *log);
    /* The log is cut at the plan's position, where its history holds; what it held beyond is kept
     * aside. Adds the slots that it touched. */
    enum follower_change (*cut)(void *context, const struct message_plan *plan,
                                struct slot_set *touched, struct buffer *report);
    /* What the log held and the primary's does not is kept aside; it begins anew at the plan's
     * position. */
    enum follower_change (*reset)(void *context, const struct message_plan *plan,
                                  struct buffer *report);
    /* These slots are about to be imaged: what they hold goes. */
    void (*clear)(void *context, const struct slot_set *slots);
    /* What these slots hold is found to differ, and images of them come. True: the target keeps
     * them until they are whole, and what the slots hold serves until then; if the link ends
     * before, nothing has changed. False, or NULL: the slots are missing until then. */
    bool (*heal)(void *context, const struct slot_set *slots);
    /* A chunk of image records. */
    bool (*image)(void *context, struct span chunk, struct buffer *report);
    /* The slot's image is whole. */
    bool (*slot)(void *context, const struct message_slot *slot, struct buffer *report);
    /* No slot is missing any more. */
    bool (*complete)(void *context, struct buffer *report);
    bool (*turn)(void *context, const struct message_turn *turn, struct buffer *report);
    /* frame.part is the whole content; its position is the end of the log. */
    bool (*frame)(void *context, const struct message_frame *frame, struct buffer *report);
};

struct follower_plan {
    struct follower_target target;
    struct replica_slots *slots; /* outlives the follower */
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    uint64_t seed;  /* of the link's checksums */
    int64_t now_ms; /* any steady clock */
};

/* Digests that wait to be sent: what comes beyond is dropped. */
#define FOLLOWER_DIGESTS_BYTES_MAX ((size_t)4 * 1024 * 1024)

enum follower_stage {
    FOLLOWER_PLAN,
    FOLLOWER_CHANGE,
    FOLLOWER_IMAGES,
    FOLLOWER_LOG,
    FOLLOWER_ENDED,
};

struct follower;

struct follower *follower_new(const struct follower_plan *plan);
void follower_free(struct follower *follower);

/* Bytes came from the primary. False: the link is to be closed. */
bool follower_receive(struct follower *follower, struct span bytes, int64_t now_ms);

/* What was to be changed LATER is, or could not be: then the report says why. touched: as cut()
 * adds them. False: the link is to be closed. */
bool follower_changed(struct follower *follower, bool is_done, const struct slot_set *touched,
                      struct span report);

/* Positions up to which the node's log and data are. */
struct follower_progress {
    uint64_t written;
    uint64_t synced;
    uint64_t applied;
};
/* Appends to out what is to be sent. */
void follower_fill(struct follower *follower, struct buffer *out,
                   const struct follower_progress *progress, int64_t now_ms);

/* A digest that the log asked for is there. */
void follower_digest(struct follower *follower, const struct message_digest *digest);

enum follower_stage follower_stage(const struct follower *follower);
const char *follower_reason(const struct follower *follower);

struct follower_figures {
    enum plan_mode mode;  /* of the plan, once it came */
    uint64_t primary_end; /* of the last beat */
    int64_t heard_ms;     /* when the primary was last heard, by the clock of the calls */
    uint64_t images;      /* slots that came on this link */
    uint64_t image_bytes; /* of their messages */
    uint64_t frames;
    uint64_t healed;                              /* slots that differed from the primary's */
    unsigned char node_id[MESSAGE_NODE_ID_BYTES]; /* the primary's */
};
void follower_figures_read(const struct follower *follower, struct follower_figures *figures);

#endif
