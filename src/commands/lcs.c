#include "commands/lcs.h"

#include "base/assertion.h"
#include "base/memory.h"

static uint32_t *cell(const struct lcs *lcs, size_t i, size_t j) {
    return &lcs->lengths[i * (lcs->b.length + 1) + j];
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static void fill_row(struct lcs *lcs, size_t i) {
    const uint32_t *above = cell(lcs, i - 1, 0);
    uint32_t *row = cell(lcs, i, 0);
    char byte = lcs->a.bytes[i - 1];
    row[0] = 0;
    for (size_t j = 1; j <= lcs->b.length; j++) {
        row[j] = lcs->b.bytes[j - 1] == byte ? above[j - 1] + 1 : larger(above[j], row[j - 1]);
    }
}

size_t lcs_table_bytes(struct span a, struct span b) {
    size_t size_bytes;
    bool overflows =
        __builtin_mul_overflow((a.length + 1) * sizeof(uint32_t), b.length + 1, &size_bytes);
    return overflows ? SIZE_MAX : size_bytes;
}

bool lcs_init(struct lcs *lcs, struct span a, struct span b) {
    ASSERT(a.length <= LCS_BYTES_MAX && b.length <= LCS_BYTES_MAX);
    *lcs = (struct lcs){.a = a, .b = b};
    lcs->lengths = memory_try_alloc(lcs_table_bytes(a, b));
    if (lcs->lengths == NULL) {
        return false;
    }
    memset(lcs->lengths, 0, (b.length + 1) * sizeof(uint32_t));
    for (size_t i = 1; i <= a.length; i++) {
        fill_row(lcs, i);
    }
    lcs->length = *cell(lcs, a.length, b.length);
    return true;
}

void lcs_free(struct lcs *lcs) {
    memory_free(lcs->lengths);
}

/* The walk from the end: i and j bytes are left. */
struct walk {
    size_t i;
    size_t j;
};

/* Goes to the next byte that both have in common; false when there is none left. Of equal ways,
 * the one that gives up a byte of b. */
static bool walk_to_match(const struct lcs *lcs, struct walk *walk) {
    while (walk->i > 0 && walk->j > 0) {
        if (lcs->a.bytes[walk->i - 1] == lcs->b.bytes[walk->j - 1]) {
            return true;
        }
        if (*cell(lcs, walk->i - 1, walk->j) > *cell(lcs, walk->i, walk->j - 1)) {
            walk->i--;
        } else {
            walk->j--;
        }
    }
    return false;
}

void lcs_text(const struct lcs *lcs, char *text) {
    struct walk walk = {.i = lcs->a.length, .j = lcs->b.length};
    char *end = text + lcs->length;
    while (walk_to_match(lcs, &walk)) {
        *--end = lcs->a.bytes[--walk.i];
        walk.j--;
    }
    ASSERT(end == text);
}

void lcs_matches(const struct lcs *lcs, void (*visit)(const struct lcs_match *match, void *context),
                 void *context) {
    struct walk walk = {.i = lcs->a.length, .j = lcs->b.length};
    while (walk_to_match(lcs, &walk)) {
        struct walk end = walk;
        while (walk.i > 0 && walk.j > 0 && lcs->a.bytes[walk.i - 1] == lcs->b.bytes[walk.j - 1]) {
            walk.i--;
            walk.j--;
        }
        struct lcs_match match = {
            .a = (uint32_t)walk.i,
            .b = (uint32_t)walk.j,
            .length = (uint32_t)(end.i - walk.i),
        };
        visit(&match, context);
    }
}
