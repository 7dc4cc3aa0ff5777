#include "base/assertion.h"

#include "base/logger.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ASSERTION_TEXT_BYTES_MAX 512

/* Appends what fits of a string; the last byte stays free for the terminator. */
static size_t text_append(char *text, size_t length, const char *string) {
    size_t room = ASSERTION_TEXT_BYTES_MAX - 1 - length;
    size_t count = strnlen(string, room);
    memcpy(text + length, string, count);
    return length + count;
}

static size_t text_append_number(char *text, size_t length, unsigned number) {
    char digits[16];
    size_t place = sizeof(digits) - 1;
    digits[place] = '\0';
    do {
        digits[--place] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return text_append(text, length, digits + place);
}

/* No allocation, no stdio: the assertion that broke may be the allocator's, or stand in a signal
 * handler. */
_Noreturn void assertion_failed(const char *file, int line, const char *fact) {
    char text[ASSERTION_TEXT_BYTES_MAX];
    size_t length = text_append(text, 0, "\n=== ASSERTION FAILED ===\n==> ");
    length = text_append(text, length, file);
    length = text_append(text, length, ":");
    length = text_append_number(text, length, line < 0 ? 0u : (unsigned)line);
    length = text_append(text, length, " '");
    length = text_append(text, length, fact);
    length = text_append(text, length, "' is not true\n");
    text[length] = '\0';
    logger_write_raw(text);
    abort();
}
