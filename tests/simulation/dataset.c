#include "tests/simulation/dataset.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "commands/bitmap.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"
#include "store/digest.h"
#include "worker/cutting.h"
#include "worker/gate.h"

static const struct command *const families[] = {
    string_commands,  string_part_commands, string_number_commands,
    bitmap_commands,  bitfield_commands,    hash_commands,
    generic_commands, expire_commands,      keyspace_commands,
};

/* Time does not pass while something runs. */
static int64_t no_clock(void) {
    return 1;
}

/* ---- lifecycle ---- */

struct dataset *dataset_new(const struct dataset_plan *plan) {
    const uint64_t seeds[2] = {plan->seed, ~plan->seed};
    struct dataset *dataset = memory_alloc_zeroed(sizeof(*dataset));
    struct node *node = &dataset->node;
    dataset->seed = plan->seed;
    store_options_init(&dataset->store_options);
    worker_options_init(&dataset->options);
    node->worker_count = plan->workers;
    node->keyspace = keyspace_new(&dataset->store_options, plan->workers, plan->databases, seeds);
    node->commands = command_table_new(families, sizeof(families) / sizeof(families[0]));
    node->options = &dataset->options;
    node->store_options = &dataset->store_options;
    node->password = "";
    stop_init(&node->stop);
    quorum_init(&node->quorum, NULL, NULL);
    slow_log_init(&node->slow_log);
    for (uint32_t i = 0; i < plan->workers; i++) {
        struct worker *worker = worker_new(node, i);
        ASSERT(worker != NULL);
        node->workers[i] = worker;
        worker->executor.clock_us = no_clock;
        random_seed(&worker->random, plan->seed + i);
        gate_configure(worker);
    }
    dataset_set_time(dataset, plan->now_ms);
    return dataset;
}

void dataset_free(struct dataset *dataset) {
    struct node *node = &dataset->node;
    if (node->cutting != NULL) {
        cutting_end(node->cutting);
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_free(node->workers[i]);
    }
    slow_log_free(&node->slow_log);
    stop_destroy(&node->stop);
    keyspace_free(node->keyspace);
    command_table_free((struct command_table *)(uintptr_t)node->commands);
    store_options_clear(&dataset->store_options);
    worker_options_clear(&dataset->options);
    memory_free(dataset);
}

void dataset_set_time(struct dataset *dataset, int64_t now_ms) {
    for (uint32_t i = 0; i < dataset->node.worker_count; i++) {
        struct worker *worker = dataset->node.workers[i];
        worker->now_ms = now_ms;
        store_tick(worker->store, now_ms);
    }
}

/* ---- commands ---- */

void dataset_command_add(struct dataset_command *command, struct span argument) {
    ASSERT(command->count < DATASET_ARGS_MAX);
    uint32_t i = command->count++;
    if (argument.length < BLOCK_BYTES_MIN) {
        command->args[i] = span_of(memory_copy(argument.bytes, argument.length), argument.length);
        return;
    }
    struct block *block = block_try_new(argument.length);
    ASSERT(block != NULL);
    memcpy(block->bytes, argument.bytes, argument.length);
    block->length = argument.length;
    command->blocks[i] = block;
    command->args[i] = block_span(block);
}

void dataset_command_clear(struct dataset_command *command) {
    for (uint32_t i = 0; i < command->count; i++) {
        if (command->blocks[i] != NULL) {
            block_release(command->blocks[i]);
        } else {
            memory_free((void *)(uintptr_t)command->args[i].bytes);
        }
    }
    *command = (struct dataset_command){0};
}

static const struct command *row_of(const struct dataset_command *command) {
    for (size_t family = 0; family < sizeof(families) / sizeof(families[0]); family++) {
        for (const struct command *row = families[family]; row->name != NULL; row++) {
            if (span_is(command->args[0], row->name)) {
                return row;
            }
        }
    }
    ASSERT(false);
    return NULL;
}

/* Of all slots that the specs name; -1: there are none, or of several workers. */
static int owner_of(const struct keyspace *keyspace, const struct dataset_command *command) {
    int owner = -1;
    for (const struct key_spec *spec = row_of(command)->keys; spec->flags != 0; spec++) {
        uint32_t first = (uint32_t)spec->begin;
        uint32_t last =
            spec->last < 0 ? command->count - (uint32_t)-spec->last : first + (uint32_t)spec->last;
        for (uint32_t i = first; i <= last; i += (uint32_t)spec->step) {
            int other = keyspace->owners[slot_of_key(command->args[i])];
            if (owner >= 0 && owner != other) {
                return -1;
            }
            owner = other;
        }
    }
    return owner;
}

struct worker *dataset_worker_of(const struct dataset *dataset,
                                 const struct dataset_command *command) {
    int owner = owner_of(dataset->node.keyspace, command);
    return owner < 0 ? NULL : dataset->node.workers[owner];
}

void dataset_run(struct worker *worker, const struct dataset_command *command) {
    struct reply reply;
    reply_init(&reply, 2);
    struct call call = {
        .environment = &worker->executor.environment,
        .command = row_of(command),
        .args = command->args,
        .blocks = command->blocks,
        .args_count = command->count,
        .database = command->database,
        .reply = &reply,
        .now_ms = worker->now_ms,
    };
    ASSERT(command_arity_fits(call.command, call.args_count));
    executor_run(&worker->executor, &call);
    ASSERT(reply_bytes(&reply) != 0);
    reply_free(&reply);
}

/* ---- digests ---- */

static void look_at(struct dataset *dataset, uint16_t slot) {
    const struct store *store = keyspace_store(dataset->node.keyspace, slot);
    uint64_t digest = digest_slot(store, slot, dataset->seed);
    dataset->digest += digest - dataset->digests[slot];
    dataset->digests[slot] = digest;
}

/* A slot that holds nothing has the digest 0: of so few keys most do not. */
uint64_t dataset_digest(struct dataset *dataset) {
    const struct keyspace *keyspace = dataset->node.keyspace;
    memset(dataset->digests, 0, sizeof(dataset->digests));
    dataset->digest = 0;
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        const struct store *store = keyspace->stores[i];
        for (uint32_t database = 0; database < keyspace->database_count; database++) {
            for (uint32_t slot = store_next_slot(store, database, store->slot_first); slot < SLOTS;
                 slot = store_next_slot(store, database, slot + 1)) {
                look_at(dataset, (uint16_t)slot);
            }
        }
    }
    return dataset->digest;
}

uint64_t dataset_digest_changed(struct dataset *dataset, const struct worker *worker) {
    if (worker->has_changed_all) {
        return dataset_digest(dataset);
    }
    for (uint32_t i = 0; i < worker->changed_count; i++) {
        look_at(dataset, worker->changed_slots[i]);
    }
    return dataset->digest;
}
