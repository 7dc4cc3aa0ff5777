/* Bus publication: messages of PUBLISH and SPUBLISH between nodes, byte by byte. One that is larger
 * than a frame goes in pieces, of one message at a time on a link.
 *
 * Body of a BUS_PUBLICATION frame; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       1     flags: 1: of SPUBLISH, 2: another piece of this message follows
 *   1       ...   a piece of: length of the channel 4, channel, text
 */
#ifndef TARN_CLUSTER_BUS_PUBLICATION_H
#define TARN_CLUSTER_BUS_PUBLICATION_H

#include "cluster/bus_link.h"

/* Of a whole message: 4 + channel + text. */
#define BUS_PUBLICATION_BYTES_MAX ((size_t)32 * 1024 * 1024)
/* Nodes of which a message has come in part. */
#define BUS_PARTS_MAX 64

/* ---- sending ---- */

static inline size_t bus_publication_bytes(struct span channel, struct span text) {
    return 4 + channel.length + text.length;
}
/* Appends the whole, of which frames have pieces. */
void bus_publication_write(struct buffer *out, struct span channel, struct span text);
/* Takes a piece from the whole, as the body of a frame. False: nothing is left of it. */
bool bus_publication_next(struct span *whole, bool is_sharded, struct buffer *body);

/* ---- receiving: what has come in part, by node ---- */

struct bus_parts;

struct bus_publication {
    bool is_sharded;
    struct span whole; /* of which these are parts: */
    struct span channel;
    struct span text;
};

enum bus_arrival {
    BUS_ARRIVED,  /* a message; valid until the next call */
    BUS_AWAITED,  /* more of it is to come */
    BUS_NO_SENSE, /* no honest node sends that */
};

struct bus_parts *bus_parts_new(void);
void bus_parts_free(struct bus_parts *parts);
enum bus_arrival bus_parts_receive(struct bus_parts *parts, const struct raft_id *source,
                                   struct span body, struct bus_publication *publication);
/* The link has ended: the rest of its message does not come. */
void bus_parts_forget(struct bus_parts *parts, const struct raft_id *source);

/* Of a whole. False: it is none. */
bool bus_publication_read(struct span whole, struct bus_publication *publication);

#endif
