/* Arguments: what several families read from them in the same way.
 *
 * Ranges: a start and an end, both inside, as GETRANGE, BITCOUNT and BITPOS take them. Negative
 * ones count from the end.
 */
#ifndef TARN_COMMANDS_ARGUMENTS_H
#define TARN_COMMANDS_ARGUMENTS_H

#include "commands/call.h"

struct range {
    int64_t start;
    int64_t end;
};

/* Reads arguments i and i + 1. False: the reply says that one is no integer. */
static inline bool arguments_range(struct call *call, uint32_t i, struct range *range) {
    return call_integer(call, i, &range->start, NULL) &&
           call_integer(call, i + 1, &range->end, NULL);
}

/* Both negative and the wrong way round: empty, before anything is cut to length. */
static inline bool range_is_backward(const struct range *range) {
    return range->start < 0 && range->end < 0 && range->start > range->end;
}

static inline int64_t range_place(int64_t index, int64_t length) {
    int64_t place = index < 0 ? length + index : index;
    return place < 0 ? 0 : place;
}

/* Brings both to places in 0 .. length - 1. Afterwards the range is empty when start > end. An end
 * before the first place means the first place: Redis' way, kept. */
static inline void range_cut(struct range *range, int64_t length) {
    range->start = range_place(range->start, length);
    range->end = range_place(range->end, length);
    if (range->end >= length) {
        range->end = length - 1;
    }
}

/* Tells that a key comes into being, if the place is empty. Before the effect that makes it. */
static inline void arguments_notify_new(struct call *call, const struct place *place) {
    if (place->cell == NULL) {
        call_notify(call, EVENT_NEW_ID, place->key);
    }
}

#endif
