/* Feed: the primary's side of one replica's link. A pure step: bytes from the replica go in, bytes
 * for it come out; what it reads of the log and of images it asks its source for.
 *
 *   HELLO -> WANT -> IMAGES -> LOG
 *
 *   HELLO   the replica says where its log ends, and in which histories       [hello comes]
 *           -> its plan: go on, cut, or begin anew
 *   WANT    it says which slots' images it needs                              [want comes]
 *   IMAGES  they are sent as fast as they are made and it takes them          [source: end]
 *   LOG     the log from the plan's position on, and beats
 *           -> IMAGES, of slots that differ: feed_heal()        [source: images can be taken]
 *   ENDED   the peer broke the protocol, or the source failed: feed_reason() says why
 *
 * The log is sent behind the images, from the position before which the first of them was taken:
 * the replica leaves out of a slot's effects what its image holds. Nothing is kept in memory for a
 * slow replica: its place in the log is a position, and the log is kept from feed_needs() on.
 *
 * Memory: what feed_fill() was given room for, and one frame or image chunk. One owner, one thread
 * at a time.
 */
#ifndef TARN_REPLICATION_FEED_H
#define TARN_REPLICATION_FEED_H

#include "io/disk.h"
#include "replication/message.h"

/* A beat is sent when nothing else was for so long. */
#define FEED_BEAT_MS 100

struct feed;

enum feed_image {
    FEED_IMAGE_NOT_YET, /* ask again later */
    FEED_IMAGE_CHUNK,   /* *chunk is the next one; what it holds is whole when its slots are told */
    FEED_IMAGE_SLOTS,   /* slots[0 .. *count) are whole with the chunks so far */
    FEED_IMAGE_END,
    FEED_IMAGE_FAILED,
};

/* What the node gives to a feed; all are called from within feed_receive() and feed_fill(). */
struct feed_source {
    void *context;
    const struct disk *log; /* the folder of the log */
    /* The histories of the log; valid until the next call. */
    const struct lineage *(*lineage)(void *context);
    uint64_t (*start)(void *context); /* first position that the log still holds */
    uint64_t (*end)(void *context);   /* up to which it may be read */
    /* Adds the slots that were written since that position; false: it is not known any more. */
    bool (*changed)(void *context, uint64_t since, struct slot_set *slots);
    /* Images of these slots are to be taken from now on; false: ask again later. */
    bool (*images_begin)(void *context, const struct slot_set *slots);
    enum feed_image (*images_next)(void *context, struct buffer *chunk, struct message_slot *slots,
                                   size_t *count);
    /* After END or FAILED, or when the feed ends before. */
    void (*images_end)(void *context);
    /* The replica's digest of a slot came; its spans are valid until the call ends. NULL: nobody
     * compares. */
    void (*digest)(void *context, const struct message_digest *digest);
};

struct feed_plan {
    struct feed_source source;
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    uint64_t seed;  /* of the link's checksums */
    int64_t now_ms; /* any steady clock */
    bool compresses;
};

enum feed_stage { FEED_HELLO, FEED_WANT, FEED_IMAGES, FEED_LOG, FEED_ENDED };

struct feed *feed_new(const struct feed_plan *plan);
void feed_free(struct feed *feed);

/* Bytes came from the replica. False: the link is to be closed. */
bool feed_receive(struct feed *feed, struct span bytes, int64_t now_ms);
/* Appends to out what is to be sent, until `room` bytes are passed or there is nothing for now.
 * False: the link is to be closed once what is there has been sent. */
bool feed_fill(struct feed *feed, struct buffer *out, size_t room, int64_t now_ms);

/* These slots of the replica differ from what they should be: their images are sent between frames
 * of the log, a slot at a time. */
void feed_heal(struct feed *feed, const struct slot_set *slots);

enum feed_stage feed_stage(const struct feed *feed);
/* Why it ended. */
const char *feed_reason(const struct feed *feed);
/* The log must be kept from here on; UINT64_MAX: nothing of it is needed yet. */
uint64_t feed_needs(const struct feed *feed);

struct feed_figures {
    enum plan_mode mode; /* of the plan, once it is made */
    uint64_t sent;       /* position up to which the log was sent */
    uint64_t written;    /* what the replica has reported */
    uint64_t synced;
    uint64_t applied;
    bool follows;          /* it has shown that it holds all images, and goes on with the log */
    int64_t heard_ms;      /* when it was last heard, by the clock of the calls */
    int64_t behind_ms;     /* likewise: since when it has not applied all; 0: it has */
    int64_t round_trip_ms; /* of the last beat that was answered */
    uint64_t images;       /* slots imaged on this link */
    uint64_t image_bytes;  /* sent of them */
    uint64_t healed;       /* of those, slots that differed */
    unsigned char node_id[MESSAGE_NODE_ID_BYTES]; /* the replica's */
};
void feed_figures_read(const struct feed *feed, struct feed_figures *figures);

#endif
