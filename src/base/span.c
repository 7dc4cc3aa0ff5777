#include "base/span.h"

int span_compare(struct span a, struct span b) {
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
    if (order != 0) {
        return order;
    }
    return a.length < b.length ? -1 : a.length > b.length;
}

static unsigned char byte_lower(char byte) {
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
}

/* Not strncasecmp, which would stop at a zero byte and ask the locale. */
bool span_equal_nocase(struct span a, struct span b) {
    if (a.length != b.length) {
        return false;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (byte_lower(a.bytes[i]) != byte_lower(b.bytes[i])) {
            return false;
        }
    }
    return true;
}

bool span_is(struct span a, const char *word) {
    return span_equal_nocase(a, span_of_string(word));
}
