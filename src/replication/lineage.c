#include "replication/lineage.h"

#include "base/assertion.h"

#include <string.h>

void lineage_add(struct lineage *lineage, const struct history *history, uint64_t begin) {
    ASSERT(lineage->count == 0 || lineage->parts[lineage->count - 1].position <= begin);
    if (lineage->count == LINEAGE_PARTS_MAX) {
        memmove(lineage->parts, lineage->parts + 1,
                (LINEAGE_PARTS_MAX - 1) * sizeof(lineage->parts[0]));
        lineage->count--;
    }
    lineage->parts[lineage->count++] =
        (struct lineage_part){.history = *history, .position = begin};
}

/* Its index, or count. */
static size_t find(const struct lineage *lineage, const struct history *history) {
    size_t i = lineage->count;
    while (i > 0 && !history_equal(&lineage->parts[i - 1].history, history)) {
        i--;
    }
    return i == 0 ? lineage->count : i - 1;
}

void lineage_cut(struct lineage *lineage, const struct history *history) {
    size_t i = find(lineage, history);
    ASSERT(i < lineage->count);
    lineage->count = i + 1;
}

struct history lineage_current(const struct lineage *lineage) {
    return lineage->count == 0 ? (struct history){0} : lineage->parts[lineage->count - 1].history;
}

const struct lineage_part *lineage_next(const struct lineage *lineage, const struct history *after,
                                        uint64_t position) {
    size_t i = find(lineage, after) + 1;
    return i < lineage->count && lineage->parts[i].position <= position ? &lineage->parts[i] : NULL;
}

/* Where history i ends in this log. */
static uint64_t part_end(const struct lineage_log *log, size_t i) {
    const struct lineage *lineage = log->lineage;
    return i + 1 < lineage->count ? lineage->parts[i + 1].position : log->end;
}

bool lineage_common(const struct lineage_log *one, const struct lineage_log *other,
                    struct lineage_part *common) {
    for (size_t i = one->lineage->count; i > 0; i--) {
        const struct lineage_part *part = &one->lineage->parts[i - 1];
        size_t j = find(other->lineage, &part->history);
        if (j == other->lineage->count) {
            continue;
        }
        uint64_t end = part_end(one, i - 1);
        uint64_t other_end = part_end(other, j);
        end = end < other_end ? end : other_end;
        /* A log that began anew in the midst of a history may begin behind the other's end. */
        if (end >= part->position && end >= other->lineage->parts[j].position) {
            *common = (struct lineage_part){.history = part->history, .position = end};
            return true;
        }
    }
    return false;
}

bool lineage_holds(const struct lineage *lineage, const struct lineage_part *place) {
    struct lineage_log log = {.lineage = lineage, .end = UINT64_MAX};
    size_t i = find(lineage, &place->history);
    return i < lineage->count && place->position <= part_end(&log, i);
}
