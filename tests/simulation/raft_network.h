/* A network in memory that loses, delays, reorders and repeats messages, from one seed. What
 * travels are the bytes of raft_message.h.
 */
#ifndef TARN_TESTS_SIMULATION_RAFT_NETWORK_H
#define TARN_TESTS_SIMULATION_RAFT_NETWORK_H

#include "base/buffer.h"
#include "base/random.h"

#define NETWORK_NODES_MAX 104

struct packet {
    uint64_t due_ms;
    uint64_t number; /* of two that are due, the one that was sent first comes first */
    size_t source;
    size_t target;
    char *bytes;
    size_t length;
};

struct network {
    struct random random;
    struct packet *packets; /* a heap: the next one first */
    size_t count;
    size_t capacity;
    uint64_t sent;
    uint64_t delivered;
    /* Faults; all zero: none. */
    uint64_t loss;   /* of 1000 */
    uint64_t repeat; /* of 1000 */
    uint64_t slow;   /* of 1000: those that take up to slow_ms */
    uint64_t slow_ms;
    bool keeps_order; /* of the messages from one to another */
    uint64_t last_due_ms[NETWORK_NODES_MAX][NETWORK_NODES_MAX];
    bool is_cut[NETWORK_NODES_MAX][NETWORK_NODES_MAX]; /* from, to: one way */
};

void network_init(struct network *network, uint64_t seed);
void network_free(struct network *network);
void network_heal(struct network *network);

void network_send(struct network *network, size_t source, size_t target, struct span bytes,
                  uint64_t now_ms);
/* The next one that is due; the bytes are the caller's, memory_free(). False: none is. */
bool network_take(struct network *network, uint64_t now_ms, struct packet *packet);
/* Comes again at that time. */
void network_put_back(struct network *network, const struct packet *packet, uint64_t due_ms);

#endif
