#include "tests/simulation/raft_network.h"

#include "base/memory.h"

#define PACKETS_MIN 64
#define DELAY_MS 4 /* a usual way takes 1 to so long */

void network_init(struct network *network, uint64_t seed) {
    *network = (struct network){.packets = NULL};
    random_seed(&network->random, seed);
}

void network_free(struct network *network) {
    for (size_t i = 0; i < network->count; i++) {
        memory_free(network->packets[i].bytes);
    }
    memory_free(network->packets);
}

void network_heal(struct network *network) {
    network->loss = 0;
    network->repeat = 0;
    network->slow = 0;
    memset(network->is_cut, 0, sizeof(network->is_cut));
}

/* ---- the heap ---- */

static bool is_before(const struct packet *a, const struct packet *b) {
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->number < b->number);
}

static void swap(struct packet *a, struct packet *b) {
    struct packet packet = *a;
    *a = *b;
    *b = packet;
}

static void add(struct network *network, const struct packet *packet) {
    if (network->count == network->capacity) {
        network->capacity = network->capacity == 0 ? PACKETS_MIN : 2 * network->capacity;
        network->packets =
            memory_realloc(network->packets, network->capacity * sizeof(*network->packets));
    }
    size_t at = network->count++;
    network->packets[at] = *packet;
    while (at > 0 && is_before(&network->packets[at], &network->packets[(at - 1) / 2])) {
        swap(&network->packets[at], &network->packets[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sink(struct network *network) {
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < network->count &&
            is_before(&network->packets[child + 1], &network->packets[child])) {
            child++;
        }
        if (child >= network->count ||
            !is_before(&network->packets[child], &network->packets[at])) {
            return;
        }
        swap(&network->packets[child], &network->packets[at]);
        at = child;
    }
}

/* ---- sending ---- */

static bool chance(struct network *network, uint64_t thousandths) {
    return thousandths > 0 && random_below(&network->random, 1000) < thousandths;
}

static void copy_send(struct network *network, size_t source, size_t target, struct span bytes,
                      uint64_t now_ms) {
    uint64_t delay = 1 + random_below(&network->random, DELAY_MS);
    if (chance(network, network->slow)) {
        delay += random_below(&network->random, network->slow_ms);
    }
    uint64_t *last_ms = &network->last_due_ms[source][target];
    uint64_t due_ms = now_ms + delay;
    due_ms = network->keeps_order && due_ms < *last_ms ? *last_ms : due_ms;
    *last_ms = due_ms;
    add(network, &(struct packet){.due_ms = due_ms,
                                  .number = network->sent++,
                                  .source = source,
                                  .target = target,
                                  .bytes = memory_copy(bytes.bytes, bytes.length),
                                  .length = bytes.length});
}

void network_send(struct network *network, size_t source, size_t target, struct span bytes,
                  uint64_t now_ms) {
    if (network->is_cut[source][target] || chance(network, network->loss)) {
        return;
    }
    copy_send(network, source, target, bytes, now_ms);
    if (chance(network, network->repeat)) {
        copy_send(network, source, target, bytes, now_ms);
    }
}

bool network_take(struct network *network, uint64_t now_ms, struct packet *packet) {
    while (network->count > 0 && network->packets[0].due_ms <= now_ms) {
        *packet = network->packets[0];
        network->packets[0] = network->packets[--network->count];
        sink(network);
        if (!network->is_cut[packet->source][packet->target]) {
            network->delivered++;
            return true;
        }
        memory_free(packet->bytes);
    }
    return false;
}

void network_put_back(struct network *network, const struct packet *packet, uint64_t due_ms) {
    struct packet again = *packet;
    again.due_ms = due_ms;
    network->delivered--;
    add(network, &again);
}
