/* History: what clients saw of one key, and whether one copy of it could have shown them that.
 *
 * Operations are writes of values that no other write has, and reads. The history is linearizable
 * if each operation can take effect at one moment between its begin and its end so that every read
 * shows the write before it. A write whose outcome is not known may take effect at any time after
 * its begin, or never.
 *
 * The operations of one value, its write and the reads that showed it, must stand together. So
 * value A comes before B if anything of A ended before anything of B began; and there is an order
 * unless two values come before each other. (Gibbons and Korach, Testing Shared Memories, 1997.)
 */
#ifndef TARN_TESTS_HISTORY_HISTORY_H
#define TARN_TESTS_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a read before the first write took effect. */
#define HISTORY_NOTHING UINT64_MAX

struct history_operation {
    uint64_t value; /* written or read */
    int64_t began;  /* any clock, the same one for all */
    int64_t ended;  /* unless it is unknown */
    bool is_write;
    bool is_unknown; /* a write: whether it took effect, and when */
};

struct history_verdict {
    const char *problem; /* NULL: linearizable */
    uint64_t value;      /* about which */
    uint64_t other;      /* the value that it cannot be ordered with, or HISTORY_NOTHING */
};

/* Sorts the operations. Takes time with the square of the number of values. */
struct history_verdict history_check(struct history_operation *operations, size_t count);

#endif
