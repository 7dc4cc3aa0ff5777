/* Networks: one of its own for each node of a cluster, so that a node can be cut off from the
 * others while its clients still reach it.
 *
 *   network 0 [lo, e 10.123.0.1] --+
 *   network 1 [lo, e 10.123.0.2] --+-- hub [bridge]
 *
 * A socket stays in the network in which it was made: who enters a node's network reaches the node
 * by 127.0.0.1. A thread is in one network at a time. The kernel's namespaces have no names, so
 * nothing is left of them when the test's process and its servers have ended.
 */
#ifndef TARN_TESTS_INTEGRATION_NETWORKS_H
#define TARN_TESTS_INTEGRATION_NETWORKS_H

#include "tests/integration/nodes.h"

#include <sched.h>

struct networks {
    int hub;
    int nodes[NODES_MAX];
};

static inline void networks_go(int network) {
    ck_assert_int_eq(setns(network, CLONE_NEWNET), 0);
}

static inline void networks_enter(const struct networks *networks, size_t node) {
    networks_go(networks->nodes[node]);
}

/* iproute2's ip, in the thread's network. */
static inline void networks_ip(const char *format, ...) {
    char command[160] = "ip ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command + 3, sizeof(command) - 3, format, arguments);
    va_end(arguments);
    ck_assert_msg(system(command) == 0, "%s", command);
}

/* Begins a network, which the thread is in then; -1: that is not allowed here. */
static inline int networks_begin(void) {
    if (unshare(CLONE_NEWNET) != 0) {
        return -1;
    }
    networks_ip("link set lo up");
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* False: this machine does not let the test have any. */
static inline bool networks_make(struct networks *networks, size_t count) {
    networks->hub = networks_begin();
    if (networks->hub < 0) {
        return false;
    }
    networks_ip("link add bridge type bridge");
    networks_ip("link set bridge up");
    for (size_t i = 0; i < count; i++) {
        networks->nodes[i] = networks_begin();
        ck_assert_int_ge(networks->nodes[i], 0);
        networks_go(networks->hub);
        networks_ip("link add v%zu type veth peer name e netns /proc/%d/fd/%d", i, (int)getpid(),
                    networks->nodes[i]);
        networks_ip("link set v%zu master bridge up", i);
        networks_enter(networks, i);
        networks_ip("addr add 10.123.0.%zu/24 dev e", i + 1);
        networks_ip("link set e up");
    }
    return true;
}

/* The node hears nobody, and nobody hears it; or they do again. The thread is in the hub then. */
static inline void networks_cut(const struct networks *networks, size_t node, bool is_cut) {
    networks_go(networks->hub);
    networks_ip("link set v%zu %s", node, is_cut ? "down" : "up");
}

#endif
