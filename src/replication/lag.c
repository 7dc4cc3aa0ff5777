#include "replication/lag.h"

#include <stddef.h>
#include <string.h>

static void thin_out(struct lag *lag) {
    for (uint32_t i = 0; i < LAG_MARKS_MAX / 2; i++) {
        lag->marks[i] = (struct lag_mark){
            .position = lag->marks[2 * i + 1].position,
            .at_ms = lag->marks[2 * i].at_ms,
        };
    }
    lag->count = LAG_MARKS_MAX / 2;
    lag->apart_ms *= 2;
}

void lag_note(struct lag *lag, uint64_t end, int64_t now_ms) {
    struct lag_mark *last = lag->count == 0 ? NULL : &lag->marks[lag->count - 1];
    if (last == NULL) {
        lag->apart_ms = LAG_MARK_MS;
    } else if (end <= last->position) {
        return;
    } else if (now_ms - last->at_ms < lag->apart_ms) {
        last->position = end;
        return;
    }
    if (lag->count == LAG_MARKS_MAX) {
        thin_out(lag);
    }
    lag->marks[lag->count++] = (struct lag_mark){.position = end, .at_ms = now_ms};
}

int64_t lag_since(struct lag *lag, uint64_t position) {
    uint32_t passed = 0;
    while (passed < lag->count && lag->marks[passed].position <= position) {
        passed++;
    }
    lag->count -= passed;
    memmove(lag->marks, lag->marks + passed, lag->count * sizeof(lag->marks[0]));
    return lag->count == 0 ? 0 : lag->marks[0].at_ms;
}
