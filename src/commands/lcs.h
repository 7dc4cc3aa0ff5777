/* The longest common subsequence of two strings, by the table of all prefixes' answers.
 *
 * lengths[i][j] is the length for the first i bytes of a and the first j bytes of b. From its
 * last corner a walk back to the start meets the bytes of one longest subsequence, the last one
 * first. Time and memory are the product of both lengths.
 */
#ifndef TARN_COMMANDS_LCS_H
#define TARN_COMMANDS_LCS_H

#include "base/span.h"

#include <stdint.h>

/* Longer strings have lengths that the table cannot count. */
#define LCS_BYTES_MAX ((size_t)UINT32_MAX - 2)

struct lcs {
    struct span a;
    struct span b;
    uint32_t *lengths;
    uint32_t length; /* of the longest common subsequence */
};

/* Bytes that the table for these strings takes; SIZE_MAX when no size_t can tell. */
size_t lcs_table_bytes(struct span a, struct span b);
/* The strings must outlive it, and be LCS_BYTES_MAX bytes at most. False: no memory for the
 * table. */
bool lcs_init(struct lcs *lcs, struct span a, struct span b);
void lcs_free(struct lcs *lcs);

/* Writes the subsequence: `length` bytes. */
void lcs_text(const struct lcs *lcs, char *text);

/* A run of the subsequence that stands in one piece in both strings. */
struct lcs_match {
    uint32_t a; /* where it starts */
    uint32_t b;
    uint32_t length;
};

/* Gives the runs to visit, the last one first. */
void lcs_matches(const struct lcs *lcs, void (*visit)(const struct lcs_match *match, void *context),
                 void *context);

#endif
