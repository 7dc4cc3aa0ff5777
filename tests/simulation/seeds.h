/* How many seeds a simulation takes unless it is told, and how much else is repeated: with a
 * sanitizer each lasts several times as long, so they are fewer. */
#ifndef TARN_TESTS_SIMULATION_SEEDS_H
#define TARN_TESTS_SIMULATION_SEEDS_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS_PART 10
#else
#define SEEDS_PART 1
#endif
#define SEEDS_OF(count) (((count) + SEEDS_PART - 1) / SEEDS_PART)

#endif
