/* The config file: any text is either refused with a reason, or gives values that, written out as
 * the lines of a file, are read back as the same values. The text is also given to CONFIG SET,
 * which must change nothing when it refuses. Inputs that include files are left out, since they
 * would read this machine's. */
#include "server/config.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static bool includes_files(struct span text) {
    static const char word[] = "include";
    for (size_t i = 0; i + sizeof(word) - 1 <= text.length; i++) {
        if (span_is(span_of(text.bytes + i, sizeof(word) - 1), word)) {
            return true;
        }
    }
    return false;
}

static void collect(void *context, struct span name, struct span value) {
    struct buffer *all = context;
    buffer_append_span(all, name);
    buffer_append_byte(all, ' ');
    option_quote(value, all);
    buffer_append_byte(all, '\n');
}

static void get_all(const struct config *config, struct buffer *all) {
    struct span star = SPAN_LITERAL("*");
    config_get(config, &star, 1, collect, all);
}

static void check_round_trip(struct span values, struct buffer *notes) {
    struct options options;
    struct config *config = config_new(&options);
    struct buffer error = BUFFER_EMPTY;
    struct buffer again = BUFFER_EMPTY;
    bool loaded = config_load_text(config, "written", values, notes, &error);
    ASSERT(loaded);
    get_all(config, &again);
    ASSERT(span_equal(values, buffer_span(&again)));
    buffer_free(&again);
    buffer_free(&error);
    config_free(config);
}

/* The input's lines in turn are names and values. */
static void check_set(struct config *config, struct span text) {
    enum { PAIRS_MAX = 4 };
    struct span pairs[2 * PAIRS_MAX];
    size_t count = 0;
    while (count < 2 * PAIRS_MAX && text.length != 0) {
        const char *end = memchr(text.bytes, '\n', text.length);
        size_t used = end == NULL ? text.length : (size_t)(end - text.bytes);
        pairs[count] = span_of(text.bytes, used);
        count++;
        used += end != NULL;
        text = span_of(text.bytes + used, text.length - used);
    }
    if (count < 2) {
        return;
    }
    struct buffer before = BUFFER_EMPTY;
    struct buffer after = BUFFER_EMPTY;
    struct buffer error = BUFFER_EMPTY;
    get_all(config, &before);
    if (!config_set(config, pairs, count / 2, true, &error)) {
        get_all(config, &after);
        ASSERT(span_equal(buffer_span(&before), buffer_span(&after)));
        ASSERT(error.length > 4 && memcmp(error.bytes, "ERR ", 4) == 0);
        ASSERT(memchr(error.bytes, '\n', error.length) == NULL);
    }
    buffer_free(&before);
    buffer_free(&after);
    buffer_free(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct span text = span_of(bytes, length);
    if (includes_files(text)) {
        return 0;
    }
    struct options options;
    struct config *config = config_new(&options);
    struct buffer notes = BUFFER_EMPTY;
    struct buffer error = BUFFER_EMPTY;
    if (config_load_text(config, "input", text, &notes, &error)) {
        struct buffer all = BUFFER_EMPTY;
        get_all(config, &all);
        check_round_trip(buffer_span(&all), &notes);
        buffer_free(&all);
    } else {
        ASSERT(error.length != 0);
    }
    check_set(config, text);
    buffer_free(&notes);
    buffer_free(&error);
    config_free(config);
    return 0;
}
