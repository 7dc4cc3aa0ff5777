#include "oplog/history.h"

#include "base/random.h"

#include <stdio.h>
#include <string.h>

struct history history_fork(const struct history *parent) {
    struct history child = {.epoch = parent->epoch + 1};
    random_seed_bytes(child.id, sizeof(child.id));
    return child;
}

bool history_equal(const struct history *a, const struct history *b) {
    return a->epoch == b->epoch && memcmp(a->id, b->id, HISTORY_ID_BYTES) == 0;
}

bool history_is_none(const struct history *history) {
    return history_equal(history, &(struct history){0});
}

const char *history_format(char text[HISTORY_TEXT_BYTES], const struct history *history) {
    static const char digits[] = "0123456789abcdef";
    size_t length =
        (size_t)snprintf(text, HISTORY_TEXT_BYTES, "%llu:", (unsigned long long)history->epoch);
    for (int i = 0; i < HISTORY_ID_BYTES; i++) {
        text[length++] = digits[history->id[i] >> 4];
        text[length++] = digits[history->id[i] & 15];
    }
    text[length] = '\0';
    return text;
}
