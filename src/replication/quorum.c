#include "replication/quorum.h"

#include "base/assertion.h"

#include <string.h>

void quorum_init(struct quorum *quorum, void (*progress)(void *context), void *context) {
    memset(quorum, 0, sizeof(*quorum));
    int failed = pthread_mutex_init(&quorum->mutex, NULL);
    ASSERT(failed == 0);
    for (uint32_t i = 0; i < QUORUM_MEMBERS_MAX; i++) {
        atomic_init(&quorum->heard_ms[i], QUORUM_NEVER_HEARD);
    }
    quorum->progress = progress;
    quorum->context = context;
}

/* ---- reports ---- */

/* What some members know, each column sorted downwards by itself. */
struct columns {
    uint64_t written[QUORUM_MEMBERS_MAX];
    uint64_t synced[QUORUM_MEMBERS_MAX];
    int64_t heard_ms[QUORUM_MEMBERS_MAX];
    uint32_t count;
};

static void insert_position(uint64_t *sorted, uint32_t count, uint64_t position) {
    for (; count > 0 && sorted[count - 1] < position; count--) {
        sorted[count] = sorted[count - 1];
    }
    sorted[count] = position;
}

static void insert_time(int64_t *sorted, uint32_t count, int64_t time_ms) {
    for (; count > 0 && sorted[count - 1] < time_ms; count--) {
        sorted[count] = sorted[count - 1];
    }
    sorted[count] = time_ms;
}

static bool is_peer(const struct quorum *quorum, const struct quorum_member *member) {
    for (uint32_t i = 0; quorum->has_peers && i < quorum->peers_count; i++) {
        if (memcmp(quorum->peers[i], member->node_id, QUORUM_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return !quorum->has_peers;
}

static void columns_sort(const struct quorum *quorum, bool of_peers, struct columns *columns) {
    memset(columns, 0, sizeof(*columns));
    for (uint32_t i = 0; i < QUORUM_MEMBERS_MAX; i++) {
        const struct quorum_member *member = &quorum->members[i];
        if (member->is_connected && (!of_peers || is_peer(quorum, member))) {
            insert_position(columns->written, columns->count, member->written);
            insert_position(columns->synced, columns->count, member->synced);
            insert_time(columns->heard_ms, columns->count, member->heard_ms);
            columns->count++;
        }
    }
    for (uint32_t i = columns->count; i < QUORUM_MEMBERS_MAX; i++) {
        columns->heard_ms[i] = QUORUM_NEVER_HEARD;
    }
}

/* True: the place has changed. */
static bool publish_position(atomic_uint_least64_t *place, uint64_t position) {
    if (atomic_load_explicit(place, memory_order_relaxed) == position) {
        return false;
    }
    atomic_store_explicit(place, position, memory_order_release);
    return true;
}

static bool publish_columns(struct quorum_columns *places, const struct columns *columns) {
    bool has_changed = false;
    for (uint32_t i = 0; i < QUORUM_MEMBERS_MAX; i++) {
        has_changed |= publish_position(&places->written[i], columns->written[i]);
        has_changed |= publish_position(&places->synced[i], columns->synced[i]);
    }
    return has_changed;
}

/* With the mutex. True: something has changed. */
static bool publish(struct quorum *quorum) {
    struct columns columns;
    columns_sort(quorum, true, &columns);
    bool has_changed = publish_columns(&quorum->of_peers, &columns);
    if (quorum->has_peers) {
        columns_sort(quorum, false, &columns);
    }
    has_changed |= publish_columns(&quorum->all, &columns);
    has_changed |= atomic_load(&quorum->connected) != columns.count;
    for (uint32_t i = 0; i < QUORUM_MEMBERS_MAX; i++) {
        atomic_store_explicit(&quorum->heard_ms[i], columns.heard_ms[i], memory_order_relaxed);
    }
    atomic_store(&quorum->connected, columns.count);
    return has_changed;
}

/* With the mutex, of which it lets go. */
static void tell(struct quorum *quorum) {
    bool has_changed = publish(quorum);
    pthread_mutex_unlock(&quorum->mutex);
    if (has_changed && quorum->progress != NULL) {
        quorum->progress(quorum->context);
    }
}

void quorum_report(struct quorum *quorum, uint32_t member, const struct quorum_member *state) {
    ASSERT(member < QUORUM_MEMBERS_MAX);
    pthread_mutex_lock(&quorum->mutex);
    quorum->members[member] = *state;
    tell(quorum);
}

void quorum_set_peers(struct quorum *quorum, const unsigned char (*peers)[QUORUM_NODE_ID_BYTES],
                      uint32_t count) {
    pthread_mutex_lock(&quorum->mutex);
    quorum->has_peers = true;
    quorum->peers_count = count < QUORUM_MEMBERS_MAX ? count : QUORUM_MEMBERS_MAX;
    if (quorum->peers_count > 0) {
        memcpy(quorum->peers, peers, quorum->peers_count * sizeof(quorum->peers[0]));
    }
    tell(quorum);
}

void quorum_set_primary(struct quorum *quorum, bool is_primary) {
    atomic_store(&quorum->is_replica, !is_primary);
    if (quorum->progress != NULL) {
        quorum->progress(quorum->context);
    }
}

bool quorum_is_primary(const struct quorum *quorum) {
    return !atomic_load_explicit(&quorum->is_replica, memory_order_relaxed);
}

/* ---- questions ---- */

static uint64_t position_in(const struct quorum_columns *columns, uint32_t replicas,
                            bool is_synced) {
    if (replicas == 0) {
        return UINT64_MAX;
    }
    if (replicas > QUORUM_MEMBERS_MAX) {
        return 0;
    }
    const atomic_uint_least64_t *sorted = is_synced ? columns->synced : columns->written;
    return atomic_load_explicit(&sorted[replicas - 1], memory_order_acquire);
}

uint64_t quorum_position(const struct quorum *quorum, uint32_t peers, bool is_synced) {
    return position_in(&quorum->of_peers, peers, is_synced);
}

uint32_t quorum_count(const struct quorum *quorum, uint64_t position, bool is_synced) {
    uint32_t connected = quorum_connected(quorum);
    uint32_t count = 0;
    while (count < connected && position_in(&quorum->all, count + 1, is_synced) >= position) {
        count++;
    }
    return count;
}

uint32_t quorum_connected(const struct quorum *quorum) {
    return (uint32_t)atomic_load_explicit(&quorum->connected, memory_order_relaxed);
}

uint32_t quorum_heard_since(const struct quorum *quorum, int64_t since_ms) {
    uint32_t connected = quorum_connected(quorum);
    uint32_t count = 0;
    while (count < connected && quorum_heard_ms(quorum, count + 1) >= since_ms) {
        count++;
    }
    return count;
}

int64_t quorum_heard_ms(const struct quorum *quorum, uint32_t replicas) {
    if (replicas == 0) {
        return INT64_MAX;
    }
    return replicas > QUORUM_MEMBERS_MAX
               ? QUORUM_NEVER_HEARD
               : atomic_load_explicit(&quorum->heard_ms[replicas - 1], memory_order_relaxed);
}

void quorum_await_begin(struct quorum *quorum) {
    atomic_fetch_add(&quorum->waiters, 1);
}

void quorum_await_end(struct quorum *quorum) {
    ASSERT(atomic_load(&quorum->waiters) > 0);
    atomic_fetch_sub(&quorum->waiters, 1);
}
