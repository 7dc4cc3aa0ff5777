/* Redirect: whether this node serves a request that has keys, or where the client is to go.
 *
 * A pure function of the map and the request. Which keys are here is asked only where it decides:
 * while the slot is on its way by the classic way (MIGRATING, IMPORTING). Source: the Redis Cluster
 * specification; texts and order of the checks are redis-server's.
 */
#ifndef TARN_CLUSTER_REDIRECT_H
#define TARN_CLUSTER_REDIRECT_H

#include "cluster/map_view.h"

struct redirect_request {
    uint16_t slot; /* of all its keys */
    bool writes;
    bool is_sharded_pubsub;
    bool is_migrate;         /* MIGRATE runs where the slot comes from and where it goes */
    bool is_asking;          /* ASKING came before, or the command implies it */
    bool client_is_readonly; /* READONLY: it reads from replicas */
    bool has_many_keys;
};

struct redirect_state {
    bool is_ok; /* map_is_ok(), and this node may serve */
    bool allows_reads_when_down;
    bool allows_pubsub_when_down;
};

enum redirect_kind {
    REDIRECT_NONE, /* it is served here */
    REDIRECT_MOVED,
    REDIRECT_ASK,
    REDIRECT_TRY_AGAIN,
    REDIRECT_NOT_SERVED, /* the slot is nobody's */
    REDIRECT_DOWN,
    REDIRECT_DOWN_FOR_WRITES,
};

/* How many of the request's keys this node holds; asked at most once. */
struct redirect_keys {
    uint32_t here;
    uint32_t missing;
};
typedef void (*redirect_count)(void *context, struct redirect_keys *keys);

struct redirect_plan {
    const struct map *map;
    uint16_t myself;
    struct redirect_state state;
    redirect_count count;
    void *context;
};

/* *target: with MOVED and ASK, the node to go to. */
enum redirect_kind redirect_decide(const struct redirect_plan *plan,
                                   const struct redirect_request *request, uint16_t *target);

/* Several slots in one request. */
#define REDIRECT_CROSSSLOT "CROSSSLOT Keys in request don't hash to the same slot"

/* The error, with its code word; kind is not NONE. */
void redirect_format(const struct map_view *view, enum redirect_kind kind, uint16_t slot,
                     uint16_t target, struct buffer *out);

#endif
