#include "server/cluster_dials.h"

#include "base/memory.h"

#include <arpa/inet.h>

static bool is_same(const struct member_target *a, const struct member_target *b) {
    return raft_id_equal(&a->id, &b->id) && a->bus_port == b->bus_port && strcmp(a->ip, b->ip) == 0;
}

/* Maps change seldom, and then little: what was at a place mostly still is. */
static const struct dial *find_target(const struct cluster_dials *dials, size_t place,
                                      const struct member_target *target) {
    if (place < dials->count && is_same(&dials->dials[place].target, target)) {
        return &dials->dials[place];
    }
    for (size_t i = 0; i < dials->count; i++) {
        if (is_same(&dials->dials[i].target, target)) {
            return &dials->dials[i];
        }
    }
    return NULL;
}

static bool is_address(const char *ip) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, ip, address) == 1 || inet_pton(AF_INET6, ip, address) == 1;
}

void dials_set(struct cluster_dials *dials, const struct member_target *targets, size_t count) {
    struct dial *made = memory_alloc_zeroed((count + 1) * sizeof(*made));
    for (size_t i = 0; i < count; i++) {
        const struct dial *before = find_target(dials, i, &targets[i]);
        made[i] = before != NULL ? *before
                                 : (struct dial){.target = targets[i],
                                                 .is_address = is_address(targets[i].ip)};
    }
    memory_free(dials->dials);
    dials->dials = made;
    dials->count = count;
}

void dials_free(struct cluster_dials *dials) {
    memory_free(dials->dials);
    *dials = (struct cluster_dials){.dials = NULL};
}

struct dial *dials_find(struct cluster_dials *dials, uint64_t link) {
    for (size_t i = 0; i < dials->count; i++) {
        if (dials->dials[i].link == link) {
            return &dials->dials[i];
        }
    }
    return NULL;
}

void dial_link_ended(struct dial *dial, bool had_served, uint64_t now_ms) {
    uint64_t wait_ms = dial->wait_ms == 0 ? DIAL_RETRY_MS : 2 * dial->wait_ms;
    dial->link = 0;
    dial->wait_ms = had_served ? 0 : wait_ms < DIAL_RETRY_MS_MAX ? wait_ms : DIAL_RETRY_MS_MAX;
    dial->next_ms = now_ms + dial->wait_ms;
}

bool dial_is_loopback(const char *ip) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, ip, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, ip, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}
