/* What one node acknowledged alone is there in the end, or in a divergence file of that node; but
 * for what it lost with its power, before it was synced. */
#include "oplog/divergence.h"
#include "tests/simulation/shard.h"

struct search {
    const struct shard *shard;
    bool is_found[SHARD_OPS_MAX];
};

static bool frame_is_kept(void *context, const struct history *history,
                          const struct oplog_frame *frame) {
    struct search *search = context;
    for (size_t i = 0; i < search->shard->ops_count; i++) {
        const struct shard_op *op = &search->shard->ops[i];
        search->is_found[i] |=
            op->position == frame->position && history_equal(&op->history, history);
    }
    return true;
}

static void search_node(struct search *search, struct shard_node *node) {
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    struct divergence_reading reading = {
        .kept = &node->kept, .frame = frame_is_kept, .context = search, .report = &report};
    shard_check(node->shard, divergence_files_read(&files, &node->kept) == 0,
                "divergence files are read");
    for (size_t i = 0; i < files.count; i++) {
        shard_check(node->shard, divergence_file_read(&reading, &files.found[i]) == OPLOG_DONE,
                    "divergence files are whole");
    }
    divergence_files_free(&files);
    buffer_free(&report);
}

void shard_losses_check(struct shard *shard, const struct shard_node *primary) {
    struct search search = {.shard = shard};
    for (size_t i = 0; i < shard->count; i++) {
        search_node(&search, &shard->nodes[i]);
    }
    for (size_t i = 0; i < shard->ops_count; i++) {
        const struct shard_op *op = &shard->ops[i];
        struct lineage_part place = {.history = op->history, .position = op->end};
        bool is_there = lineage_holds(&primary->lineage, &place);
        shard->lost += op->is_acknowledged && !is_there;
        shard_check(shard,
                    !op->is_acknowledged || is_there || op->may_be_gone || search.is_found[i],
                    "what was acknowledged and is lost is in a divergence file");
    }
}
