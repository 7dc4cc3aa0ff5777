/* Histories never merge silently: what stands at a place of a history is what its primary put
 * there, whoever received it, by whatever link, or recovered it from whatever disk. */
#include "tests/simulation/shard.h"

struct shard_frame *shard_histories_find(struct shard *shard, const struct history *history,
                                         uint64_t position) {
    uint64_t at = (position * UINT64_C(0x9e3779b97f4a7c15) + history->epoch) % SHARD_FRAMES;
    struct shard_frame *frame = &shard->frames[at];
    while (!history_is_none(&frame->history) &&
           !(frame->position == position && history_equal(&frame->history, history))) {
        at = (at + 1) % SHARD_FRAMES;
        frame = &shard->frames[at];
    }
    return frame;
}

void shard_histories_made(struct shard *shard, const struct history *history,
                          const struct shard_frame *frame) {
    struct shard_frame *known = shard_histories_find(shard, history, frame->position);
    shard_check(shard, history_is_none(&known->history), "a place of a history is filled once");
    *known = *frame;
    known->history = *history;
}

void shard_histories_check(struct shard *shard, const struct history *history,
                           const struct shard_frame *frame) {
    const struct shard_frame *known = shard_histories_find(shard, history, frame->position);
    shard_check(shard,
                !history_is_none(&known->history) && known->end == frame->end &&
                    known->sum == frame->sum,
                "a place of a history holds the same on all nodes");
}
