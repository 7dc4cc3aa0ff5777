/* A node whose workers have no threads, sockets or clock: a simulation runs commands on it and
 * ticks it by hand. The same calls leave the same data.
 *
 * What a command changed goes the way that it goes in a server: into its worker's batch, and from
 * there into the log, if the node has one.
 */
#ifndef TARN_TESTS_SIMULATION_DATASET_H
#define TARN_TESTS_SIMULATION_DATASET_H

#include "worker/worker.h"

#define DATASET_ARGS_MAX 128

struct dataset {
    struct node node;
    struct worker_options options;
    struct store_options store_options;
    uint64_t seed;
    /* The digest of each slot when it was last looked at, and their sum. */
    uint64_t digests[SLOTS];
    uint64_t digest;
};

/* A command with its arguments, which are its own. */
struct dataset_command {
    struct span args[DATASET_ARGS_MAX];
    struct block *blocks[DATASET_ARGS_MAX];
    uint32_t count;
    uint32_t database;
};

struct dataset_plan {
    uint32_t workers;
    uint32_t databases;
    uint64_t seed; /* of the digests, and of what commands draw */
    int64_t now_ms;
};

struct dataset *dataset_new(const struct dataset_plan *plan);
void dataset_free(struct dataset *dataset);

void dataset_set_time(struct dataset *dataset, int64_t now_ms);

/* Appends an argument to a command that begins as {0}; large ones as blocks, as from a socket. */
void dataset_command_add(struct dataset_command *command, struct span argument);
void dataset_command_clear(struct dataset_command *command);

/* The worker that owns all its keys; NULL: there is none, so all must stand still. */
struct worker *dataset_worker_of(const struct dataset *dataset,
                                 const struct dataset_command *command);
/* Runs it on this worker. Aborts if it is no command, or if it leaves no reply. */
void dataset_run(struct worker *worker, const struct dataset_command *command);

/* The digest of all data, from what the worker's batch says to have changed. Before its append. */
uint64_t dataset_digest_changed(struct dataset *dataset, const struct worker *worker);
/* The same, looking at everything. */
uint64_t dataset_digest(struct dataset *dataset);

#endif
