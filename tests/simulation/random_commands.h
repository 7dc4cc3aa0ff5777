/* Random commands that change data: strings with patches, hashes of both encodings, expiries, keys
 * that move between slots and databases, whole databases that go or change places. Few keys, so
 * that the commands meet; those of one hash tag share a slot, which is larger than a cut's step.
 */
#ifndef TARN_TESTS_SIMULATION_RANDOM_COMMANDS_H
#define TARN_TESTS_SIMULATION_RANDOM_COMMANDS_H

#include "tests/simulation/dataset.h"

#define RANDOM_COMMANDS_DATABASES 4

/* The command is {0}; the caller clears it. now_ms: for expiries. */
void random_command_make(struct dataset_command *command, struct random *random, int64_t now_ms);

#endif
