/* A shard under everything that may happen to its nodes, their disks, clocks and links: see shard.h
 * for the properties. Here: when faults stop, all nodes become one history, within a bound.
 *
 * shard_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that
 * failed and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/logger.h"
#include "base/numbers.h"
#include "tests/simulation/seeds.h"
#include "tests/simulation/shard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (1500 / SEEDS_PART)
#define STEPS 3000
#define SETTLE_STEPS 20000

static struct shard_node *any_node(struct shard *shard) {
    return &shard->nodes[shard_below(shard, shard->count)];
}

/* ---- faults ---- */

/* Its disk fails from some write on, and soon it goes down. */
static void break_disk(struct shard_node *node) {
    struct shard *shard = node->shard;
    if (node->is_up && node->crash_at == 0) {
        simulated_disk_fail(node->simulated, shard_below(shard, 8), UINT64_MAX,
                            shard_below(shard, 2) == 0 ? EIO : ENOSPC);
        node->crash_at = shard->steps + 1 + shard_below(shard, 30);
    }
}

static void misfortune(struct shard *shard) {
    struct shard_node *node = any_node(shard);
    size_t other = shard_below(shard, shard->count);
    switch (shard_below(shard, 8)) {
    case 0:
        break_disk(node);
        break;
    case 1:
        shard_node_stop(node, shard->syncs_always && shard_below(shard, 2) == 0);
        break;
    case 2:
        node->paused_until = shard->steps + shard_below(shard, 200);
        break;
    case 3:
        shard->is_seen[node->number] = false;
        break;
    case 4:
    case 5:
        shard->is_cut[node->number][other] = true;
        break;
    default:
        shard->is_cut[other][node->number] = false;
        shard->is_seen[node->number] = true;
        break;
    }
}

static void crash_due(struct shard *shard) {
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        if (node->crash_at != 0 && node->crash_at <= shard->steps) {
            shard_node_stop(node, shard->syncs_always && shard_below(shard, 2) == 0);
        }
    }
}

/* ---- steps ---- */

/* Syncs are rare, so that there is something to lose. */
static void log_step(struct shard_node *node) {
    if (shard_node_runs(node) && shard_below(node->shard, 8) != 0) {
        oplog_step_write(node->oplog);
    } else if (shard_node_runs(node)) {
        oplog_step_sync(node->oplog);
    }
}

static void step(struct shard *shard) {
    struct shard_node *node = any_node(shard);
    uint64_t dice = shard_below(shard, 1000);
    shard->steps++;
    shard->now_ms += (int64_t)shard_below(shard, 20);
    crash_due(shard);
    if (dice < 100 && shard_node_runs(node) && node->is_primary) {
        shard_request(node);
    } else if (dice < 400) {
        log_step(node);
    } else if (dice < 950) {
        shard_link_step(node, true);
    } else if (dice < 975) {
        shard_operate(shard);
    } else if (dice < 985) {
        misfortune(shard);
    } else if (dice < 990) {
        shard_node_start(node);
    }
    shard_acknowledge(shard);
}

/* ---- the end ---- */

static bool is_settled(const struct shard *shard) {
    const struct shard_node *primary = &shard->nodes[shard->primary];
    for (size_t i = 0; i < shard->count; i++) {
        const struct shard_node *node = &shard->nodes[i];
        struct history own = lineage_current(&primary->lineage);
        struct history theirs = lineage_current(&node->lineage);
        if (node->is_primary != (i == shard->primary) || !history_equal(&own, &theirs) ||
            oplog_synced_position(node->oplog) != oplog_end_position(primary->oplog)) {
            return false;
        }
    }
    return true;
}

static void faults_stop(struct shard *shard) {
    memset(shard->is_cut, 0, sizeof(shard->is_cut));
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        shard->is_seen[i] = true;
        node->paused_until = 0;
        if (node->crash_at != 0) {
            shard_node_stop(node, false);
        }
        shard_node_start(node);
        shard_link_close(node); /* Its bytes may have been changed. */
    }
}

static void settle(struct shard *shard) {
    uint64_t steps = 0;
    faults_stop(shard);
    shard_operate(shard);
    while (shard->broken == NULL && !is_settled(shard) &&
           shard_check(shard, steps++ < SETTLE_STEPS, "when faults stop, all nodes catch up")) {
        shard->steps++;
        shard->now_ms += 10;
        shard_operate(shard);
        for (size_t i = 0; i < shard->count; i++) {
            log_step(&shard->nodes[i]);
            shard_link_step(&shard->nodes[i], false);
        }
        shard_acknowledge(shard);
    }
    const struct shard_node *primary = &shard->nodes[shard->primary];
    if (shard->broken == NULL) {
        shard_acknowledged_check(shard, primary);
        shard_acknowledged_check_data(shard, primary);
        shard_losses_check(shard, primary);
    }
}

struct totals {
    uint64_t ops;
    uint64_t acknowledged;
    uint64_t lost;
    uint64_t promotions;
    uint64_t cuts;
    uint64_t crashes;
    uint64_t links;
};

static const char *run(uint64_t seed, struct totals *totals) {
    struct shard *shard = shard_new(seed);
    for (int i = 0; i < STEPS && shard->broken == NULL; i++) {
        step(shard);
    }
    if (shard->broken == NULL) {
        settle(shard);
    }
    const char *broken = shard->broken;
    totals->ops += shard->ops_count;
    totals->acknowledged += shard->acknowledged;
    totals->lost += shard->lost;
    totals->promotions += shard->promotions;
    totals->cuts += shard->cuts;
    totals->crashes += shard->crashes;
    totals->links += shard->links;
    shard_free(shard);
    return broken;
}

static bool number_argument(const char *text, uint64_t *number) {
    return text != NULL && number_parse_unsigned(span_of_string(text), number);
}

int main(int count, char **arguments) {
    uint64_t seed = 1;
    uint64_t seeds = SEEDS_DEFAULT;
    for (int i = 1; i < count; i += 2) {
        bool is_seed = strcmp(arguments[i], "--seed") == 0;
        bool is_known = is_seed || strcmp(arguments[i], "--seeds") == 0;
        if (!is_known || !number_argument(arguments[i + 1], is_seed ? &seed : &seeds)) {
            fprintf(stderr, "usage: %s [--seed N] [--seeds COUNT]\n", arguments[0]);
            return 64;
        }
    }
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    struct totals totals = {0};
    uint64_t failures = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        const char *broken = run(seed + i, &totals);
        if (broken != NULL) {
            failures++;
            printf("FAILED: %s\nseed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   broken, (unsigned long long)(seed + i), arguments[0],
                   (unsigned long long)(seed + i));
        }
    }
    printf("%llu requests, %llu acknowledged by a quorum, %llu that one node acknowledged alone "
           "lost; %llu promotions, %llu logs cut, %llu ends of nodes, %llu links\n",
           (unsigned long long)totals.ops, (unsigned long long)totals.acknowledged,
           (unsigned long long)totals.lost, (unsigned long long)totals.promotions,
           (unsigned long long)totals.cuts, (unsigned long long)totals.crashes,
           (unsigned long long)totals.links);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
