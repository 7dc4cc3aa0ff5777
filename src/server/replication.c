#include "server/replication.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "io/clock.h"

#include <string.h>

void replication_init(struct replication *replication) {
    memset(replication, 0, sizeof(*replication));
    replication->lineage_changes = 1;
    replication->needs = RETENTION_NOBODY;
    replication->reserved = RETENTION_NOBODY;
    int failed = pthread_mutex_init(&replication->mutex, NULL);
    ASSERT(failed == 0);
}

void replication_destroy(struct replication *replication) {
    pthread_mutex_destroy(&replication->mutex);
}

/* ---- role ---- */

enum replication_role replication_role(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    enum replication_role role = replication->role;
    pthread_mutex_unlock(&replication->mutex);
    return role;
}

void replication_set_role(struct replication *replication, enum replication_role role) {
    pthread_mutex_lock(&replication->mutex);
    replication->role = role;
    pthread_mutex_unlock(&replication->mutex);
}

/* ---- name ---- */

void replication_name(struct replication *replication, unsigned char id[MESSAGE_NODE_ID_BYTES]) {
    pthread_mutex_lock(&replication->mutex);
    memcpy(id, replication->is_in_cluster ? replication->cluster_id : replication->node_id,
           MESSAGE_NODE_ID_BYTES);
    pthread_mutex_unlock(&replication->mutex);
}

void replication_set_cluster_id(struct replication *replication,
                                const unsigned char id[MESSAGE_NODE_ID_BYTES]) {
    pthread_mutex_lock(&replication->mutex);
    memcpy(replication->cluster_id, id, MESSAGE_NODE_ID_BYTES);
    replication->is_in_cluster = true;
    pthread_mutex_unlock(&replication->mutex);
}

/* ---- lineage ---- */

bool replication_lineage_read(struct replication *replication, struct lineage *lineage,
                              uint64_t *changes) {
    pthread_mutex_lock(&replication->mutex);
    bool has_changed = *changes != replication->lineage_changes;
    if (has_changed) {
        *lineage = replication->lineage;
        *changes = replication->lineage_changes;
    }
    pthread_mutex_unlock(&replication->mutex);
    return has_changed;
}

bool replication_lineage_changes(struct replication *replication, uint64_t *changes) {
    pthread_mutex_lock(&replication->mutex);
    bool has_changed = *changes != replication->lineage_changes;
    *changes = replication->lineage_changes;
    pthread_mutex_unlock(&replication->mutex);
    return has_changed;
}

void replication_lineage_set(struct replication *replication, const struct lineage *lineage) {
    pthread_mutex_lock(&replication->mutex);
    replication->lineage = *lineage;
    replication->lineage_changes++;
    pthread_mutex_unlock(&replication->mutex);
}

void replication_lineage_turn(struct replication *replication, const struct history *history,
                              uint64_t begin) {
    pthread_mutex_lock(&replication->mutex);
    lineage_add(&replication->lineage, history, begin);
    replication->lineage_changes++;
    pthread_mutex_unlock(&replication->mutex);
}

void replication_lineage_begin(struct replication *replication, const struct history *history,
                               uint64_t begin) {
    pthread_mutex_lock(&replication->mutex);
    replication->lineage.count = 0;
    lineage_add(&replication->lineage, history, begin);
    replication->lineage_changes++;
    replication->absent_count = 0; /* They cannot go on. */
    pthread_mutex_unlock(&replication->mutex);
}

void replication_lineage_cut(struct replication *replication, const struct history *history) {
    pthread_mutex_lock(&replication->mutex);
    lineage_cut(&replication->lineage, history);
    replication->lineage_changes++;
    pthread_mutex_unlock(&replication->mutex);
}

struct history replication_history(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    struct history history = lineage_current(&replication->lineage);
    pthread_mutex_unlock(&replication->mutex);
    return history;
}

/* ---- digests ---- */

void replication_digests_publish(struct replication *replication,
                                 const struct digest_figures *figures, uint64_t healed) {
    pthread_mutex_lock(&replication->mutex);
    replication->digests = *figures;
    replication->healed = healed;
    pthread_mutex_unlock(&replication->mutex);
}

struct digest_figures replication_digests(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    struct digest_figures figures = replication->digests;
    pthread_mutex_unlock(&replication->mutex);
    return figures;
}

/* ---- settings ---- */

void replication_settings_set(struct replication *replication,
                              const struct replication_settings *settings) {
    pthread_mutex_lock(&replication->mutex);
    replication->settings = *settings;
    pthread_mutex_unlock(&replication->mutex);
}

struct replication_settings replication_settings(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    struct replication_settings settings = replication->settings;
    pthread_mutex_unlock(&replication->mutex);
    return settings;
}

/* ---- replicas ---- */

void replication_links_publish(struct replication *replication,
                               const struct replication_link *links, uint32_t count,
                               uint64_t needs) {
    ASSERT(count <= REPLICATION_LINKS_MAX);
    pthread_mutex_lock(&replication->mutex);
    memcpy(replication->links, links, count * sizeof(links[0]));
    replication->links_count = count;
    replication->needs = needs;
    replication->reserved = RETENTION_NOBODY;
    pthread_mutex_unlock(&replication->mutex);
}

uint32_t replication_links_read(struct replication *replication,
                                struct replication_link links[REPLICATION_LINKS_MAX]) {
    pthread_mutex_lock(&replication->mutex);
    uint32_t count = replication->links_count;
    memcpy(links, replication->links, count * sizeof(links[0]));
    pthread_mutex_unlock(&replication->mutex);
    return count;
}

void replication_client_set(struct replication *replication, uint32_t number,
                            const struct client_link *client) {
    ASSERT(number < REPLICATION_LINKS_MAX);
    pthread_mutex_lock(&replication->mutex);
    replication->clients[number] = *client;
    pthread_mutex_unlock(&replication->mutex);
}

uint32_t replication_clients_read(struct replication *replication,
                                  struct client_link clients[REPLICATION_LINKS_MAX]) {
    pthread_mutex_lock(&replication->mutex);
    uint32_t count = replication->links_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct replication_link *link = &replication->links[i];
        clients[i] = replication->clients[link->number];
        clients[i].heard_ms = link->waits ? link->began_ms : link->figures.heard_ms;
        clients[i].output_bytes = link->held_bytes;
    }
    pthread_mutex_unlock(&replication->mutex);
    return count;
}

bool replication_has_room(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    bool has_room = replication->links_count < REPLICATION_LINKS_MAX;
    pthread_mutex_unlock(&replication->mutex);
    return has_room;
}

/* With the mutex. */
static void absent_take_out(struct replication *replication, uint32_t at) {
    replication->absent_count--;
    memmove(replication->absent + at, replication->absent + at + 1,
            (replication->absent_count - at) * sizeof(replication->absent[0]));
}

/* With the mutex. */
static void absent_forget(struct replication *replication,
                          const unsigned char node_id[MESSAGE_NODE_ID_BYTES]) {
    for (uint32_t i = 0; i < replication->absent_count; i++) {
        if (memcmp(replication->absent[i].node_id, node_id, MESSAGE_NODE_ID_BYTES) == 0) {
            absent_take_out(replication, i);
            return;
        }
    }
}

void replication_absent_add(struct replication *replication,
                            const struct replication_absent *absent) {
    pthread_mutex_lock(&replication->mutex);
    absent_forget(replication, absent->node_id);
    if (replication->absent_count == REPLICATION_ABSENT_MAX) {
        absent_take_out(replication, 0);
    }
    replication->absent[replication->absent_count++] = *absent;
    pthread_mutex_unlock(&replication->mutex);
}

void replication_absent_remove(struct replication *replication,
                               const unsigned char node_id[MESSAGE_NODE_ID_BYTES]) {
    pthread_mutex_lock(&replication->mutex);
    absent_forget(replication, node_id);
    pthread_mutex_unlock(&replication->mutex);
}

void replication_set_backlog(struct replication *replication, bool has_backlog) {
    pthread_mutex_lock(&replication->mutex);
    replication->has_backlog = has_backlog;
    pthread_mutex_unlock(&replication->mutex);
}

/* ---- the log ---- */

void replication_set_log(struct replication *replication, const struct oplog *log) {
    pthread_mutex_lock(&replication->mutex);
    replication->log = log;
    pthread_mutex_unlock(&replication->mutex);
}

uint64_t replication_log_end(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    uint64_t end = replication->log == NULL ? 0 : oplog_end_position(replication->log);
    pthread_mutex_unlock(&replication->mutex);
    return end;
}

uint64_t replication_log_start(struct replication *replication, struct oplog *log) {
    pthread_mutex_lock(&replication->mutex);
    size_t count;
    struct oplog_segment *segments = oplog_segments(log, &count);
    uint64_t start = segments[0].first;
    for (size_t i = 1; i < count && segments[i].first <= replication->trimmed; i++) {
        start = segments[i].first;
    }
    memory_free(segments);
    replication->reserved = start;
    pthread_mutex_unlock(&replication->mutex);
    return start;
}

/* With the mutex: the least that one who is away needs. Who is away for too long is forgotten. */
static uint64_t absent_needs(struct replication *replication, const struct retention *retention) {
    uint64_t needs = RETENTION_NOBODY;
    for (uint32_t i = replication->absent_count; i > 0; i--) {
        const struct replication_absent *absent = &replication->absent[i - 1];
        if (retention->absent_ms_max != RETENTION_NO_LIMIT &&
            retention->now_ms - absent->since_ms > retention->absent_ms_max) {
            absent_take_out(replication, i - 1);
        } else if (absent->position < needs) {
            needs = absent->position;
        }
    }
    return needs;
}

static uint64_t bytes_kept(const struct replication *replication, bool is_memory) {
    const struct replication_settings *settings = &replication->settings;
    uint64_t backlog = replication->has_backlog ? settings->backlog_bytes : 0;
    if (!is_memory) {
        return UINT64_MAX;
    }
    return settings->memory_bytes_max > backlog ? settings->memory_bytes_max : backlog;
}

uint64_t replication_trim(struct replication *replication, struct retention *retention,
                          bool is_memory) {
    pthread_mutex_lock(&replication->mutex);
    const struct replication_settings *settings = &replication->settings;
    retention->now_ms = clock_wall_ms();
    retention->backlog_bytes = replication->has_backlog ? settings->backlog_bytes : 0;
    retention->absent_bytes_max = is_memory ? retention->backlog_bytes : settings->absent_bytes;
    retention->absent_ms_max = settings->absent_ms;
    retention->connected =
        replication->needs < replication->reserved ? replication->needs : replication->reserved;
    retention->absent = absent_needs(replication, retention);
    uint64_t position = retention_position(retention);
    uint64_t held_max = bytes_kept(replication, is_memory);
    if (retention->end > held_max && position < retention->end - held_max) {
        position = retention->end - held_max;
    }
    if (replication->trimmed < position) {
        replication->trimmed = position;
    }
    pthread_mutex_unlock(&replication->mutex);
    return position;
}

uint64_t replication_trimmed(struct replication *replication) {
    pthread_mutex_lock(&replication->mutex);
    uint64_t trimmed = replication->trimmed;
    pthread_mutex_unlock(&replication->mutex);
    return trimmed;
}

/* ---- how replicas go on ---- */

void replication_count_sync(struct replication *replication, enum plan_mode mode) {
    pthread_mutex_lock(&replication->mutex);
    bool is_partial = mode == PLAN_GO_ON || mode == PLAN_CUT;
    replication->partial_syncs += is_partial;
    replication->full_syncs += mode == PLAN_RESET;
    replication->partial_syncs_refused += !is_partial;
    pthread_mutex_unlock(&replication->mutex);
}

const char *replication_plan_name(enum plan_mode mode) {
    switch (mode) {
    case PLAN_GO_ON:
        return "goes on where its log ends";
    case PLAN_CUT:
        return "cuts off what this node's log does not hold, and goes on";
    case PLAN_CHANGED:
        return "takes the slots that have changed since its log ends";
    case PLAN_RESET:
        break;
    }
    return "takes all slots";
}
