/* A shortage of memory: from here on the process gets no more than a little address space.
 *
 *     if (shortage_begin(SHORTAGE_ROOM_BYTES)) {
 *         ck_assert_ptr_null(memory_try_alloc(100 * SHORTAGE_ROOM_BYTES));
 *         shortage_end();
 *     }
 *
 * For tests in a process of their own. What the allocator holds already it may still give, so
 * sizes that must fail are much larger than what was allocated and freed before.
 */
#ifndef TARN_TESTS_UNIT_SHORTAGE_H
#define TARN_TESTS_UNIT_SHORTAGE_H

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Enough for small allocations. */
#define SHORTAGE_ROOM_BYTES ((size_t)1024 * 1024)

static inline void shortage_set(rlim_t bytes) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* False: this build's allocator needs the address space for itself. */
static inline bool shortage_begin(size_t room_bytes) {
#ifdef TARN_SANITIZED
    (void)room_bytes;
    return false;
#else
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    shortage_set((rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + room_bytes);
    return true;
#endif
}

static inline void shortage_end(void) {
    shortage_set(RLIM_INFINITY);
}

#endif
