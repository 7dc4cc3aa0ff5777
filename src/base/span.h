/* A span: a borrowed run of bytes, never owned, never terminated by a zero.
 *
 * Arguments, keys and values travel as spans into the query buffer or into an
 * entry; whoever keeps one must know how long the bytes behind it live.
 */
#ifndef TARN_BASE_SPAN_H
#define TARN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *bytes;
    size_t length;
};

static inline struct span span_of(const void *bytes, size_t length) {
    return (struct span){.bytes = bytes, .length = length};
}

static inline struct span span_of_string(const char *string) {
    return span_of(string, strlen(string));
}

/* A span over a string literal, usable in constant tables. */
#define SPAN_LITERAL(literal)                                                                      \
    { .bytes = (literal), .length = sizeof(literal) - 1 }

static inline bool span_equal(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/* Orders as memcmp does, a prefix before what it is a prefix of. */
int span_compare(struct span a, struct span b);

/* ASCII letters compare without case, as Redis compares command and option names. */
bool span_equal_nocase(struct span a, struct span b);
bool span_is(struct span a, const char *word); /* span_equal_nocase against a C string */

#endif
