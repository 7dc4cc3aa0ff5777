#include "tests/history/history.h"

#include "base/memory.h"

#include <stdlib.h>

/* The operations of one value. */
struct cluster {
    uint64_t value;
    int64_t first_end;  /* of all, the earliest */
    int64_t last_begin; /* and the latest */
};

static int compare(const void *one, const void *other) {
    const struct history_operation *a = one;
    const struct history_operation *b = other;
    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return (int)b->is_write - (int)a->is_write; /* Its write is the first of a value. */
}

static struct history_verdict refuse(const char *problem, uint64_t value, uint64_t other) {
    return (struct history_verdict){.problem = problem, .value = value, .other = other};
}

/* The operations of one value, its write first if there is one. False: *verdict says why not. */
static bool gather(const struct history_operation *operations, size_t count,
                   struct cluster *cluster, struct history_verdict *verdict) {
    uint64_t value = operations[0].value;
    bool is_initial = value == HISTORY_NOTHING;
    *cluster = (struct cluster){
        .value = value,
        .first_end = is_initial ? INT64_MIN : INT64_MAX,
        .last_begin = INT64_MIN,
    };
    if (!is_initial && !operations[0].is_write) {
        *verdict = refuse("was read, but nobody has written it", value, HISTORY_NOTHING);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct history_operation *operation = &operations[i];
        if (i > 0 && operation->is_write) {
            *verdict = refuse("was written twice", value, HISTORY_NOTHING);
            return false;
        }
        int64_t ended = operation->is_unknown ? INT64_MAX : operation->ended;
        if (!is_initial && ended < operations[0].began) {
            *verdict = refuse("was read before it was written", value, HISTORY_NOTHING);
            return false;
        }
        cluster->first_end = ended < cluster->first_end ? ended : cluster->first_end;
        cluster->last_begin =
            operation->began > cluster->last_begin ? operation->began : cluster->last_begin;
    }
    return true;
}

static bool precedes(const struct cluster *one, const struct cluster *other) {
    return one->first_end < other->last_begin;
}

static struct history_verdict order(const struct cluster *clusters, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (precedes(&clusters[i], &clusters[j]) && precedes(&clusters[j], &clusters[i])) {
                return refuse("can stand neither before nor behind the other", clusters[i].value,
                              clusters[j].value);
            }
        }
    }
    return (struct history_verdict){.problem = NULL};
}

struct history_verdict history_check(struct history_operation *operations, size_t count) {
    qsort(operations, count, sizeof(*operations), compare);
    struct cluster *clusters = memory_alloc((count + 1) * sizeof(*clusters));
    struct history_verdict verdict = {.problem = NULL};
    size_t clusters_count = 0;
    size_t next = 0;
    for (size_t at = 0; at < count && verdict.problem == NULL; at = next) {
        for (next = at + 1; next < count && operations[next].value == operations[at].value;) {
            next++;
        }
        bool may_be_nothing = next == at + 1 && operations[at].is_unknown;
        if (!may_be_nothing &&
            gather(operations + at, next - at, &clusters[clusters_count], &verdict)) {
            clusters_count++;
        }
    }
    if (verdict.problem == NULL) {
        verdict = order(clusters, clusters_count);
    }
    memory_free(clusters);
    return verdict;
}
