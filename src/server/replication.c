#include "server/replication.h"

#include "base/assertion.h"

#include <string.h>

void replication_init(struct replication *replication) {
    memset(replication, 0, sizeof(*replication));
    replication->lineage_changes = 1;
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
