/* Bus link: one end of a link between two nodes of a cluster: who is at the other end, and what
 * comes from there. A pure step: bytes go in, frames and bytes to be sent come out.
 *
 *   connector                               acceptor
 *   hello        ------------------------->
 *                <-------------------------  hello
 *   proof        ------------------------->
 *                <-------------------------  proof
 *   frames       <------------------------>  frames
 *
 *   HELLO  [stage NEW]     ----> [GREETED]  both know the version, and who the other says to be
 *   PROOF  [GREETED]       ----> [PROVED]   the other knows the secret, too
 *   whatever else          ----> [REFUSED]  for good, with a sentence
 *
 *  1. Who connects proves first: who does not know the secret is told nothing that is made of it.
 *  2. A proof is of both hellos, so of both ids and nonces, and of which end it comes from: it is
 *     good for this link alone. So are the keys of the frames, one for each way.
 *  3. A frame's code is of its number on the link, too: what is repeated, left out or turned round
 *     is no frame.
 *  4. Of who has not proved anything at most a hello is kept, besides what was read in one go.
 *
 * Without a secret a public key is in its place: then all this shows that bytes are whole and that
 * both ends speak this protocol, and no more. Nothing is hidden from who listens.
 *
 * Hello; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARN BUS"
 *   8       2     lowest version that it speaks
 *   10      2     highest: both speak the highest one that both know
 *   12      20    id of the node
 *   32      32    nonce
 * Proof: 32 bytes, HMAC-SHA256 by the secret, of a label for the end, and both hellos.
 * Frame
 *   0       4     length of the body, at most BUS_BODY_BYTES_MAX
 *   4       1     kind: enum bus_kind, permanent; what is of a later version is left to the caller
 *   5       ...   body
 *   ...     16    code: the first bytes of HMAC-SHA256 by the way's key, of the frame's number on
 *                 the way (8, from 0) and all before
 */
#ifndef TARN_CLUSTER_BUS_LINK_H
#define TARN_CLUSTER_BUS_LINK_H

#include "cluster/member.h"

/* This version and the one before are spoken. */
#define BUS_VERSION 1
#define BUS_VERSION_LOWEST 1
#define BUS_HELLO_BYTES 64
#define BUS_NONCE_BYTES 32
#define BUS_CODE_BYTES 16
#define BUS_FRAME_BYTES (5 + BUS_CODE_BYTES) /* without its body */
#define BUS_BODY_BYTES_MAX ((size_t)1024 * 1024)
_Static_assert(BUS_BODY_BYTES_MAX >= MEMBER_MESSAGE_BYTES_MAX, "a message is one frame");

/* Permanent. */
enum bus_kind {
    BUS_PING = 1,        /* nothing: this end is there */
    BUS_MEMBER = 2,      /* a message of member_bus.h */
    BUS_PUBLICATION = 3, /* a message for subscribers, or a piece of one: the server's */
};

struct bus_link;

struct bus_link_plan {
    bool is_connector;
    struct raft_id self;
    struct raft_id wanted;                /* of a connector: who is to be there; none: whoever is */
    struct span secret;                   /* empty: there is none */
    unsigned char nonce[BUS_NONCE_BYTES]; /* random */
};

/* What is to be sent is appended to out, here and below. */
struct bus_link *bus_link_new(const struct bus_link_plan *plan, struct buffer *out);
void bus_link_free(struct bus_link *link); /* NULL is allowed */

/* Takes what was read. bus_link_next() is to be called until it says that nothing is left. */
void bus_link_receive(struct bus_link *link, struct span bytes);

enum bus_event {
    BUS_NOTHING, /* until more is read */
    BUS_PROVED,  /* the other end is bus_link_peer(); frames may be sent */
    BUS_FRAME,
    BUS_REFUSED, /* bus_link_refusal() says why: the link is to be closed */
};
struct bus_frame {
    unsigned kind;    /* enum bus_kind, or one of a later version */
    struct span body; /* valid until the next call */
};
enum bus_event bus_link_next(struct bus_link *link, struct bus_frame *frame, struct buffer *out);

/* The link is proved; at most BUS_BODY_BYTES_MAX. */
void bus_link_send(struct bus_link *link, enum bus_kind kind, struct span body, struct buffer *out);

bool bus_link_is_proved(const struct bus_link *link);
/* Who the other end says to be, once it has greeted; and is, once it has proved it. */
const struct raft_id *bus_link_peer(const struct bus_link *link);
/* Behind "refused: ". NULL: it is not. */
const char *bus_link_refusal(const struct bus_link *link);
/* What the link holds. */
size_t bus_link_bytes(const struct bus_link *link);

#endif
