/* Counts the replies in a connection's input as cheaply as possible: only the first line of a reply
 * is looked at, its body is stepped over. A cut at any byte is fine. Knows simple strings, numbers,
 * bulk strings and nulls; anything else, an error above all, ends the program. */

#ifndef BENCHMARK_REPLIES_H
#define BENCHMARK_REPLIES_H

#include <stddef.h>
#include <stdint.h>

enum { REPLIES_LINE_MAX = 128 };

/* All zero at a connection's start. */
struct replies {
    size_t skip;                 /* bytes of the current reply's body still to come */
    char line[REPLIES_LINE_MAX]; /* the beginning of a first line that a read has cut */
    size_t line_size;
    uint64_t nulls; /* seen so far */
};

/* Returns how many replies end in these bytes. */
size_t replies_count(struct replies *replies, const char *input, size_t size);

#endif
