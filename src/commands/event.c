#include "commands/event.h"

#include "base/assertion.h"

#include <stddef.h>

struct event_row {
    const char *name;
    enum event_class class;
};

static const struct event_row event_rows[] = {
#define EVENT_ROW(number, word, text, class_bit) [number] = {.name = (text), .class = (class_bit)},
    EVENT_ROWS(EVENT_ROW)
#undef EVENT_ROW
};

static const struct event_row *row_of(enum event event) {
    ASSERT((size_t)event < sizeof(event_rows) / sizeof(event_rows[0]));
    ASSERT(event_rows[event].name != NULL);
    return &event_rows[event];
}

const char *event_name(enum event event) {
    return row_of(event)->name;
}

enum event_class event_class_of(enum event event) {
    return row_of(event)->class;
}
