#include "base/span.h"

#include <strings.h>

int span_compare(struct span a, struct span b) {
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
    if (order != 0) {
        return order;
    }
    return a.length < b.length ? -1 : a.length > b.length;
}

bool span_equal_nocase(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || strncasecmp(a.bytes, b.bytes, a.length) == 0);
}

bool span_is(struct span a, const char *word) {
    return span_equal_nocase(a, span_of_string(word));
}
