/* What both benchmark programs need to end early with a reason. */

#ifndef BENCHMARK_PROGRAM_H
#define BENCHMARK_PROGRAM_H

#include <stddef.h>

/* Writes "NAME: message" on stderr and exits with code 1. */
_Noreturn void program_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory; fails instead of returning NULL. */
void *program_allocate(size_t size);

#endif
