#include "oplog/retention.h"

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t bytes_back(uint64_t end, uint64_t bytes) {
    return end > bytes ? end - bytes : 0;
}

/* The first position of the oldest segment that may hold a frame that is young enough: the frames
 * of a segment are not younger than the first one of the next. */
static uint64_t time_back(const struct retention *retention) {
    if (retention->absent_ms_max == RETENTION_NO_LIMIT) {
        return 0;
    }
    int64_t oldest_ms = retention->now_ms - retention->absent_ms_max;
    uint64_t position = 0;
    for (size_t i = 0; i + 1 < retention->segments_count; i++) {
        int64_t next_ms = retention->segments[i + 1].time_ms;
        if (next_ms == 0 || next_ms >= oldest_ms) {
            break;
        }
        position = retention->segments[i + 1].first;
    }
    return position;
}

uint64_t retention_position(const struct retention *retention) {
    if (retention->is_short) {
        return least(least(retention->snapshot, retention->connected), retention->end);
    }
    uint64_t limit =
        most(bytes_back(retention->end, retention->absent_bytes_max), time_back(retention));
    uint64_t absent = most(retention->absent, limit);
    uint64_t backlog = bytes_back(retention->end, retention->backlog_bytes);
    return least(least(retention->snapshot, retention->connected), least(absent, backlog));
}
