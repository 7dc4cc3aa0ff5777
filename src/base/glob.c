#include "base/glob.h"

#include <stdint.h>

/* A byte as a class compares it: signed where case counts; otherwise what the C library's tolower()
 * makes of it, which is unsigned but for 0xff. Only the bounds of ranges show the difference. */
static inline int byte_fold(char byte, bool nocase) {
    signed char number = (signed char)byte;
    if (!nocase || number == -1) {
        return number;
    }
    if (number < 0) {
        return number + 256;
    }
    return number >= 'A' && number <= 'Z' ? number - 'A' + 'a' : number;
}

/* A class such as [a-z], `pattern` standing behind its opening bracket: the number of pattern bytes
 * up to and including the closing one. The oddities are redis-server's: a class that does not end
 * takes the rest of the pattern; a range may be written backwards, its bounds are ordered as signed
 * bytes, and its right bound may be a "]"; an escaped byte never folds its case. */
static inline size_t class_match(struct span pattern, char byte, bool nocase, bool *matches) {
    size_t place = 0;
    bool inverted = pattern.length != 0 && pattern.bytes[0] == '^';
    bool found = false;
    place += inverted;
    while (place < pattern.length && pattern.bytes[place] != ']') {
        const char *member = pattern.bytes + place;
        size_t rest = pattern.length - place;
        if (member[0] == '\\' && rest >= 2) {
            found = found || member[1] == byte;
            place += 2;
        } else if (rest >= 3 && member[1] == '-') {
            bool ordered = (signed char)member[0] <= (signed char)member[2];
            int low = byte_fold(member[ordered ? 0 : 2], nocase);
            int high = byte_fold(member[ordered ? 2 : 0], nocase);
            int folded = byte_fold(byte, nocase);
            found = found || (folded >= low && folded <= high);
            place += 3;
        } else {
            found = found || byte_fold(member[0], nocase) == byte_fold(byte, nocase);
            place += 1;
        }
    }
    *matches = found != inverted;
    return place < pattern.length ? place + 1 : place;
}

/* One element that is not a star against one byte: the number of pattern bytes that it has, which
 * does not depend on the byte. */
static inline size_t element_match(struct span pattern, char byte, bool nocase, bool *matches) {
    char first = pattern.bytes[0];
    if (first == '?') {
        *matches = true;
        return 1;
    }
    if (first == '[') {
        struct span rest = span_of(pattern.bytes + 1, pattern.length - 1);
        return 1 + class_match(rest, byte, nocase, matches);
    }
    size_t used = first == '\\' && pattern.length >= 2 ? 2 : 1;
    *matches = byte_fold(pattern.bytes[used - 1], nocase) == byte_fold(byte, nocase);
    return used;
}

/* Every element but a star takes exactly one byte, so only the last star seen can still be made
 * longer with profit: that bounds the work by pattern length x text length. */
static inline bool match(struct span pattern, struct span text, bool nocase) {
    if (text.length == 0) {
        /* Not even "*" matches nothing: redis-server's answer. */
        return pattern.length == 0;
    }
    size_t place = 0;
    size_t position = 0;
    size_t star_place = SIZE_MAX; /* behind the last star */
    size_t star_position = 0;     /* the byte that it has not yet taken */
    while (position < text.length) {
        if (place < pattern.length && pattern.bytes[place] == '*') {
            do {
                place++;
            } while (place < pattern.length && pattern.bytes[place] == '*');
            if (place == pattern.length) {
                return true;
            }
            star_place = place;
            star_position = position;
        }
        bool matches = false;
        size_t used = 0;
        if (place < pattern.length) {
            struct span rest = span_of(pattern.bytes + place, pattern.length - place);
            used = element_match(rest, text.bytes[position], nocase, &matches);
        }
        if (matches) {
            place += used;
            position++;
        } else if (star_place != SIZE_MAX) {
            place = star_place;
            position = ++star_position;
        } else {
            return false;
        }
    }
    while (place < pattern.length && pattern.bytes[place] == '*') {
        place++;
    }
    return place == pattern.length;
}

bool glob_match(struct span pattern, struct span text) {
    return match(pattern, text, false);
}

bool glob_match_nocase(struct span pattern, struct span text) {
    return match(pattern, text, true);
}
