#include "base/numbers.h"

#include "base/assertion.h"
#include "base/decimal.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_SAFE 19 /* so many digits never overflow 64 bits */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

bool number_parse_unsigned(struct span text, uint64_t *number) {
    if (text.length == 0 || text.length > DIGITS_SAFE + 1) {
        return false;
    }
    if (text.bytes[0] == '0' && text.length != 1) {
        return false;
    }
    uint64_t value = 0;
    size_t safe = text.length < DIGITS_SAFE ? text.length : DIGITS_SAFE;
    for (size_t i = 0; i < safe; i++) {
        if (!is_digit(text.bytes[i])) {
            return false;
        }
        value = value * 10 + (uint64_t)(text.bytes[i] - '0');
    }
    if (text.length > safe) {
        char last = text.bytes[safe];
        if (!is_digit(last) || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(last - '0'), &value)) {
            return false;
        }
    }
    *number = value;
    return true;
}

bool number_parse(struct span text, int64_t *number) {
    bool negative = text.length != 0 && text.bytes[0] == '-';
    if (negative) {
        text = span_of(text.bytes + 1, text.length - 1);
    }
    uint64_t value;
    if (!number_parse_unsigned(text, &value)) {
        return false;
    }
    if (negative) {
        if (value == 0 || value > (uint64_t)INT64_MAX + 1) {
            return false;
        }
        *number = (int64_t)-value;
        return true;
    }
    if (value > INT64_MAX) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}

/* A strtod that overflowed or underflowed to nothing did not read the number that was written. */
static bool range_is_broken(bool infinite, bool zero) {
    return errno == ERANGE && (infinite || zero);
}

bool number_parse_double(struct span text, double *number) {
    if (text.length == 0 || is_space(text.bytes[0])) {
        return false;
    }
    char small[128];
    char *copy = text.length < sizeof(small) ? small : memory_try_alloc(text.length + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    bool whole = (size_t)(end - copy) == text.length;
    bool broken = range_is_broken(isinf(value), value == 0);
    if (copy != small) {
        memory_free(copy);
    }
    if (!whole || broken || isnan(value)) {
        return false;
    }
    *number = value;
    return true;
}

bool number_parse_long_double(struct span text, long double *number) {
    char copy[NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX];
    if (text.length == 0 || text.length >= sizeof(copy) || is_space(text.bytes[0])) {
        return false;
    }
    memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    if ((size_t)(end - copy) != text.length || isnan(value) ||
        range_is_broken(isinf(value), value == 0)) {
        return false;
    }
    *number = value;
    return true;
}

/* A unit alone, or nothing at all, is 0, as redis-server takes it. */
bool number_parse_memory(struct span text, int64_t *size_bytes) {
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1000},
        {"kb", 1024},
        {"m", (int64_t)1000 * 1000},
        {"mb", (int64_t)1024 * 1024},
        {"g", (int64_t)1000 * 1000 * 1000},
        {"gb", (int64_t)1024 * 1024 * 1024},
    };
    size_t place = 0;
    int64_t value = 0;
    for (; place < text.length && is_digit(text.bytes[place]); place++) {
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(text.bytes[place] - '0'), &value)) {
            return false;
        }
    }
    struct span unit = span_of(text.bytes + place, text.length - place);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (span_is(unit, units[i].name)) {
            return !__builtin_mul_overflow(value, units[i].bytes, size_bytes);
        }
    }
    return false;
}

static size_t decimal_length(uint64_t number) {
    size_t length = 1;
    for (;;) {
        if (number < 10) {
            return length;
        }
        if (number < 100) {
            return length + 1;
        }
        if (number < 1000) {
            return length + 2;
        }
        if (number < 10000) {
            return length + 3;
        }
        number /= 10000;
        length += 4;
    }
}

size_t number_format_unsigned(char *place, uint64_t number) {
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    size_t length = decimal_length(number);
    char *end = place + length;
    while (number >= 100) {
        end -= 2;
        memcpy(end, pairs + number % 100 * 2, 2);
        number /= 100;
    }
    if (number >= 10) {
        memcpy(place, pairs + number * 2, 2);
    } else {
        *place = (char)('0' + number);
    }
    return length;
}

static uint64_t magnitude(int64_t number) {
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

size_t number_format(char *place, int64_t number) {
    size_t sign = number < 0;
    if (sign != 0) {
        *place = '-';
    }
    return sign + number_format_unsigned(place + sign, magnitude(number));
}

size_t number_decimal_length(int64_t number) {
    return (size_t)(number < 0) + decimal_length(magnitude(number));
}

static size_t text_put(char *place, const char *text, size_t length) {
    memcpy(place, text, length);
    return length;
}

/* Lays digits out as redis-server 7.2 does: up to seven zeros behind a whole number; a point inside
 * or before the digits when fewer than seven stand behind it, or the number is within 0.001 and
 * 10000; else scientific. (So 12345.67890123 is "1.234567890123e+4": its rule, not a slip of
 * ours.) */
static size_t decimal_layout(char *place, const struct decimal *decimal) {
    const char *digits = decimal->digits;
    size_t count = (size_t)decimal->count;
    int exponent = decimal->exponent;
    int scientific = exponent + decimal->count - 1;
    if (exponent >= 0 && exponent < 8) {
        memcpy(place, digits, count);
        memset(place + count, '0', (size_t)exponent);
        return count + (size_t)exponent;
    }
    if (exponent < 0 && (exponent > -7 || abs(scientific) < 4)) {
        size_t behind = (size_t)-exponent;
        if (behind < count) {
            size_t before = count - behind;
            memcpy(place, digits, before);
            place[before] = '.';
            memcpy(place + before + 1, digits + before, behind);
            return count + 1;
        }
        size_t zeros = behind - count;
        size_t length = text_put(place, "0.", 2);
        memset(place + length, '0', zeros);
        memcpy(place + length + zeros, digits, count);
        return length + zeros + count;
    }
    size_t length = text_put(place, digits, 1);
    if (count > 1) {
        place[length++] = '.';
        length += text_put(place + length, digits + 1, count - 1);
    }
    place[length++] = 'e';
    place[length++] = scientific < 0 ? '-' : '+';
    return length + number_format_unsigned(place + length, (uint64_t)abs(scientific));
}

size_t number_format_double(char *place, double number) {
    /* Within these bounds a double without a fraction is written as the integer that it is. */
    const double integer_max = 0x1p62;
    if (isnan(number)) {
        return text_put(place, "nan", 3);
    }
    if (isinf(number)) {
        return number < 0 ? text_put(place, "-inf", 4) : text_put(place, "inf", 3);
    }
    if (number == 0) {
        return signbit(number) ? text_put(place, "-0", 2) : text_put(place, "0", 1);
    }
    if (number >= -integer_max && number <= integer_max && (double)(int64_t)number == number) {
        return number_format(place, (int64_t)number);
    }
    size_t sign = number < 0 ? text_put(place, "-", 1) : 0;
    struct decimal decimal;
    decimal_from_double(&decimal, fabs(number));
    return sign + decimal_layout(place + sign, &decimal);
}

size_t number_format_long_double(char *place, long double number) {
    if (isnan(number)) {
        return text_put(place, "nan", 3);
    }
    if (isinf(number)) {
        return number < 0 ? text_put(place, "-inf", 4) : text_put(place, "inf", 3);
    }
    int written = snprintf(place, NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX, "%.17Lf", number);
    ASSERT(written > 0);
    ASSERT(written < NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX);
    size_t length = (size_t)written;
    while (place[length - 1] == '0') {
        length--;
    }
    if (place[length - 1] == '.') {
        length--;
    }
    if (length == 2 && place[0] == '-' && place[1] == '0') {
        return text_put(place, "0", 1);
    }
    return length;
}

size_t number_format_human_bytes(char *place, uint64_t size_bytes) {
    static const char units[] = "BKMGTP";
    int unit = 0;
    uint64_t unit_bytes = 1;
    while (unit < 5 && size_bytes / unit_bytes >= 1024) {
        unit_bytes *= 1024;
        unit++;
    }
    int written;
    if (unit == 0) {
        written = snprintf(place, NUMBER_TEXT_BYTES_MAX, "%lluB", (unsigned long long)size_bytes);
    } else {
        written = snprintf(place, NUMBER_TEXT_BYTES_MAX, "%.2f%c",
                           (double)size_bytes / (double)unit_bytes, units[unit]);
    }
    ASSERT(written > 0);
    ASSERT(written < NUMBER_TEXT_BYTES_MAX);
    return (size_t)written;
}
