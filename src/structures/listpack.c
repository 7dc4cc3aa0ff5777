#include "structures/listpack.h"

#include "base/assertion.h"
#include "base/bytes.h"
#include "base/numbers.h"

/* The first byte of an element says what follows:
 *
 *   BITS      SIZE               MEANING
 *   0xxxxxxx  1                  number 0..127
 *   10xxxxxx  1 + length         string of up to 63 bytes
 *   110xxxxx  2                  number of 13 bits, the high ones first
 *   1110xxxx  2 + length         string of up to 4095 bytes, length with the high bits first
 *   11110000  5 + length         string, 4 bytes of length
 *   11110001  3                  number of 16 bits
 *   11110010  4                  number of 24 bits
 *   11110011  5                  number of 32 bits
 *   11110100  9                  number of 64 bits
 *   11111111  1                  end of the pack
 *
 * Numbers are signed but for the first; those of whole bytes, and the 4 bytes of length, are little
 * endian. Then comes the size of all this, written to be read from its end: seven bits a byte, the
 * high ones first, the top bit set in all but the first byte. */
#define HEADER_BYTES ((size_t)6)
#define COUNT_PLACE ((size_t)4)
#define COUNT_UNKNOWN 65535u
#define ENCODING_STRING_32 0xf0
#define ENCODING_NUMBER_16 0xf1
#define ENCODING_NUMBER_24 0xf2
#define ENCODING_NUMBER_32 0xf3
#define ENCODING_NUMBER_64 0xf4
#define ENCODING_END 0xff

#define STRING_6_BYTES_MAX 63
#define STRING_12_BYTES_MAX 4095
#define NUMBER_7_MAX 127
#define NUMBER_13_MIN (-4096)
#define NUMBER_13_MAX 4095
#define NUMBER_24_MIN (-(1 << 23))
#define NUMBER_24_MAX ((1 << 23) - 1)

#define PREFIX_BYTES_MAX 9 /* first byte and what it announces, the string's own bytes excepted */
#define BACKWARDS_BYTES_MAX 5

/* How an element is going to be written. */
struct plan {
    unsigned char prefix[PREFIX_BYTES_MAX];
    size_t prefix_bytes;
    struct span string; /* empty for a number */
};

static size_t plan_body_bytes(const struct plan *plan) {
    return plan->prefix_bytes + plan->string.length;
}

static struct plan plan_number(int64_t number) {
    struct plan plan = {.string = {NULL, 0}};
    unsigned char *prefix = plan.prefix;
    uint64_t bits = (uint64_t)number;
    if (number >= 0 && number <= NUMBER_7_MAX) {
        prefix[0] = (unsigned char)bits;
        plan.prefix_bytes = 1;
    } else if (number >= NUMBER_13_MIN && number <= NUMBER_13_MAX) {
        prefix[0] = (unsigned char)(0xc0 | (bits >> 8 & 0x1f));
        prefix[1] = (unsigned char)bits;
        plan.prefix_bytes = 2;
    } else if (number >= INT16_MIN && number <= INT16_MAX) {
        prefix[0] = ENCODING_NUMBER_16;
        bytes_store_u16(prefix + 1, (uint16_t)bits);
        plan.prefix_bytes = 3;
    } else if (number >= NUMBER_24_MIN && number <= NUMBER_24_MAX) {
        prefix[0] = ENCODING_NUMBER_24;
        bytes_store_u32(prefix + 1, (uint32_t)bits);
        plan.prefix_bytes = 4;
    } else if (number >= INT32_MIN && number <= INT32_MAX) {
        prefix[0] = ENCODING_NUMBER_32;
        bytes_store_u32(prefix + 1, (uint32_t)bits);
        plan.prefix_bytes = 5;
    } else {
        prefix[0] = ENCODING_NUMBER_64;
        bytes_store_u64(prefix + 1, bits);
        plan.prefix_bytes = 9;
    }
    return plan;
}

static struct plan plan_string(struct span text) {
    struct plan plan = {.string = text};
    if (text.length <= STRING_6_BYTES_MAX) {
        plan.prefix[0] = (unsigned char)(0x80 | text.length);
        plan.prefix_bytes = 1;
    } else if (text.length <= STRING_12_BYTES_MAX) {
        plan.prefix[0] = (unsigned char)(0xe0 | text.length >> 8);
        plan.prefix[1] = (unsigned char)text.length;
        plan.prefix_bytes = 2;
    } else {
        ASSERT(text.length <= UINT32_MAX);
        plan.prefix[0] = ENCODING_STRING_32;
        bytes_store_u32(plan.prefix + 1, (uint32_t)text.length);
        plan.prefix_bytes = 5;
    }
    return plan;
}

/* Only the canonical text of a number becomes one, so that it reads back the same. */
static struct plan plan_text(struct span text) {
    int64_t number;
    return number_parse(text, &number) ? plan_number(number) : plan_string(text);
}

/* Bytes of the size behind a body of this size. (The limits are one less than seven bits a byte
 * would allow: that is the format as Redis writes it.) */
static inline size_t backwards_bytes(size_t body_bytes) {
    if (LIKELY(body_bytes <= 127)) {
        return 1;
    }
    if (body_bytes < 16383) {
        return 2;
    }
    if (body_bytes < 2097151) {
        return 3;
    }
    return body_bytes < 268435455 ? 4 : 5;
}

static void backwards_write(unsigned char *place, size_t body_bytes) {
    size_t count = backwards_bytes(body_bytes);
    for (size_t i = count; i-- != 0; body_bytes >>= 7) {
        place[i] = (unsigned char)((body_bytes & 127) | (i != 0 ? 128u : 0));
    }
}

/* The size that ends right before `end`. */
static inline size_t backwards_read(const unsigned char *end) {
    const unsigned char *place = end - 1;
    if (LIKELY(*place <= 127)) {
        return *place;
    }
    size_t size = 0;
    for (int shift = 0; shift < 7 * BACKWARDS_BYTES_MAX; shift += 7, place--) {
        size |= (size_t)(*place & 127) << shift;
        if (*place <= 127) {
            break;
        }
    }
    return size;
}

/* Bytes of the first byte and what it announces besides a string: what must be there before
 * body_bytes() can look. 0 for bytes that begin no element. */
static inline size_t prefix_bytes(unsigned char first) {
    static const unsigned char sizes[16] = {[0x0] = 5, [0x1] = 3, [0x2] = 4, [0x3] = 5, [0x4] = 9};
    if (first < 0xc0) {
        return 1;
    }
    return first < 0xf0 ? 2 : sizes[first & 0xf];
}

static inline size_t string_12_length(const unsigned char *place) {
    return (size_t)(place[0] & 0xf) << 8 | place[1];
}

/* Bytes of an element, the size behind it excepted. */
static inline size_t body_bytes(const unsigned char *place) {
    unsigned char first = place[0];
    if (first < 0xc0) {
        return 1 + (first < 0x80 ? 0 : (size_t)(first & 0x3f));
    }
    if (first < 0xe0) {
        return 2;
    }
    if (first < 0xf0) {
        return 2 + string_12_length(place);
    }
    if (first == ENCODING_STRING_32) {
        return 5 + (size_t)bytes_load_u32(place + 1);
    }
    return prefix_bytes(first);
}

static inline size_t element_bytes(const unsigned char *place) {
    size_t body = body_bytes(place);
    return body + backwards_bytes(body);
}

/* The string of an element, or false: it is a number. */
static inline bool string_read(const unsigned char *place, struct span *string) {
    unsigned char first = place[0];
    if ((first & 0xc0) == 0x80) {
        *string = span_of(place + 1, first & 0x3f);
        return true;
    }
    if ((first & 0xf0) == 0xe0) {
        *string = span_of(place + 2, string_12_length(place));
        return true;
    }
    if (first == ENCODING_STRING_32) {
        *string = span_of(place + 5, bytes_load_u32(place + 1));
        return true;
    }
    return false;
}

/* The low `bits` bits as a signed number. */
static inline int64_t sign_extend(uint64_t number, int bits) {
    return (int64_t)(number << (64 - bits)) >> (64 - bits);
}

static inline int64_t number_read(const unsigned char *place) {
    unsigned char first = place[0];
    if (first < 0x80) {
        return first;
    }
    if ((first & 0xe0) == 0xc0) {
        return sign_extend((uint64_t)(first & 0x1f) << 8 | place[1], 13);
    }
    switch (first) {
    case ENCODING_NUMBER_16:
        return (int16_t)bytes_load_u16(place + 1);
    case ENCODING_NUMBER_24:
        return sign_extend(bytes_load_u16(place + 1) | (uint64_t)place[3] << 16, 24);
    case ENCODING_NUMBER_32:
        return (int32_t)bytes_load_u32(place + 1);
    default:
        ASSERT(first == ENCODING_NUMBER_64);
        return (int64_t)bytes_load_u64(place + 1);
    }
}

static unsigned stored_count(const unsigned char *pack) {
    return bytes_load_u16(pack + COUNT_PLACE);
}

/* A count that is unknown stays so, and the highest one known is followed by unknown. */
static void count_add(unsigned char *pack) {
    unsigned count = stored_count(pack);
    if (count != COUNT_UNKNOWN) {
        bytes_store_u16(pack + COUNT_PLACE, (uint16_t)(count + 1));
    }
}

static void count_subtract(unsigned char *pack, size_t removed) {
    unsigned count = stored_count(pack);
    if (count != COUNT_UNKNOWN) {
        ASSERT(removed <= count);
        bytes_store_u16(pack + COUNT_PLACE, (uint16_t)(count - removed));
    }
}

/* The bytes from `from` to the end of the pack move to `to`. */
static void tail_move(unsigned char *pack, size_t from, size_t to) {
    size_t total = listpack_bytes(pack);
    ASSERT(from < total);
    ASSERT(pack[total - 1] == ENCODING_END);
    size_t total_after = total - from + to;
    ASSERT(total_after <= UINT32_MAX);
    memmove(pack + to, pack + from, total - from);
    bytes_store_u32(pack, (uint32_t)total_after);
}

static void plan_write(unsigned char *place, const struct plan *plan) {
    memcpy(place, plan->prefix, plan->prefix_bytes);
    if (plan->string.length != 0) {
        memcpy(place + plan->prefix_bytes, plan->string.bytes, plan->string.length);
    }
    size_t body = plan_body_bytes(plan);
    backwards_write(place + body, body);
}

static bool points_into(const unsigned char *pack, struct span text) {
    uintptr_t start = (uintptr_t)pack;
    uintptr_t place = (uintptr_t)text.bytes;
    return text.length != 0 && place >= start && place < start + listpack_bytes(pack);
}

static inline size_t position_or_end(const unsigned char *pack, size_t position) {
    return pack[position] == ENCODING_END ? LISTPACK_END : position;
}

void listpack_init(unsigned char *pack) {
    bytes_store_u32(pack, LISTPACK_EMPTY_BYTES);
    bytes_store_u16(pack + COUNT_PLACE, 0);
    pack[HEADER_BYTES] = ENCODING_END;
}

size_t listpack_bytes(const unsigned char *pack) {
    return bytes_load_u32(pack);
}

size_t listpack_count(const unsigned char *pack) {
    unsigned stored = stored_count(pack);
    if (stored != COUNT_UNKNOWN) {
        return stored;
    }
    size_t count = 0;
    for (size_t place = HEADER_BYTES; pack[place] != ENCODING_END;
         place += element_bytes(pack + place)) {
        count++;
    }
    return count;
}

size_t listpack_first(const unsigned char *pack) {
    return position_or_end(pack, HEADER_BYTES);
}

size_t listpack_last(const unsigned char *pack) {
    size_t end = listpack_bytes(pack) - 1;
    return end == HEADER_BYTES ? LISTPACK_END : listpack_previous(pack, end);
}

size_t listpack_next(const unsigned char *pack, size_t position) {
    ASSERT(position >= HEADER_BYTES);
    return position_or_end(pack, position + element_bytes(pack + position));
}

size_t listpack_previous(const unsigned char *pack, size_t position) {
    ASSERT(position >= HEADER_BYTES);
    if (position == HEADER_BYTES) {
        return LISTPACK_END;
    }
    size_t body = backwards_read(pack + position);
    size_t size = body + backwards_bytes(body);
    ASSERT(position >= HEADER_BYTES + size);
    return position - size;
}

size_t listpack_seek(const unsigned char *pack, int64_t index) {
    unsigned count = stored_count(pack);
    if (count != COUNT_UNKNOWN) {
        if (index >= (int64_t)count || index < -(int64_t)count) {
            return LISTPACK_END;
        }
        /* From the nearer end. */
        if (index >= 0 && index > (int64_t)count / 2) {
            index -= (int64_t)count;
        } else if (index < 0 && -index > (int64_t)count / 2) {
            index += (int64_t)count;
        }
    }
    size_t position;
    if (index >= 0) {
        position = listpack_first(pack);
        for (; position != LISTPACK_END && index != 0; index--) {
            position = listpack_next(pack, position);
        }
    } else {
        position = listpack_last(pack);
        for (; position != LISTPACK_END && index != -1; index++) {
            position = listpack_previous(pack, position);
        }
    }
    return position;
}

struct listpack_element listpack_get(const unsigned char *pack, size_t position) {
    struct listpack_element element = {.string = {NULL, 0}};
    element.is_number = !string_read(pack + position, &element.string);
    if (element.is_number) {
        element.number = number_read(pack + position);
    }
    return element;
}

struct span listpack_text(const unsigned char *pack, size_t position, char *scratch) {
    struct span text;
    if (string_read(pack + position, &text)) {
        return text;
    }
    return span_of(scratch, number_format(scratch, number_read(pack + position)));
}

bool listpack_equal(const unsigned char *pack, size_t position, struct span text) {
    struct span string;
    if (string_read(pack + position, &string)) {
        return span_equal(string, text);
    }
    int64_t number;
    return number_parse(text, &number) && number_read(pack + position) == number;
}

/* The text as a number is worked out once. Most elements are short strings that differ in length or
 * last byte (fields of one hash tend to begin alike): they are told apart without a call. An
 * element that others wrote need not have its shortest form, so its content decides, not its
 * encoding. */
size_t listpack_find(const unsigned char *pack, size_t position, struct span text, uint32_t skip) {
    if (position == LISTPACK_END) {
        return LISTPACK_END;
    }
    int64_t number = 0;
    bool is_number = number_parse(text, &number);
    unsigned char last = text.length == 0 ? 0 : (unsigned char)text.bytes[text.length - 1];
    const unsigned char *place = pack + position;
    for (;;) {
        unsigned char first = *place;
        if (LIKELY((first & 0xc0) == 0x80)) {
            size_t length = first & 0x3f;
            if (length == text.length &&
                (length == 0 ||
                 (place[length] == last && memcmp(place + 1, text.bytes, length) == 0))) {
                return (size_t)(place - pack);
            }
        } else {
            if (first == ENCODING_END) {
                return LISTPACK_END;
            }
            struct span string;
            bool found = string_read(place, &string) ? span_equal(string, text)
                                                     : is_number && number_read(place) == number;
            if (found) {
                return (size_t)(place - pack);
            }
        }
        place += element_bytes(place);
        for (uint32_t left = skip; left != 0; left--) {
            if (*place == ENCODING_END) {
                return LISTPACK_END;
            }
            place += element_bytes(place);
        }
    }
}

size_t listpack_element_bytes(struct span text) {
    struct plan plan = plan_text(text);
    size_t body = plan_body_bytes(&plan);
    return body + backwards_bytes(body);
}

size_t listpack_stored_bytes(const unsigned char *pack, size_t position) {
    return element_bytes(pack + position);
}

size_t listpack_insert(unsigned char *pack, size_t position, struct span text) {
    ASSERT(!points_into(pack, text));
    size_t place = position == LISTPACK_END ? listpack_bytes(pack) - 1 : position;
    struct plan plan = plan_text(text);
    size_t body = plan_body_bytes(&plan);
    tail_move(pack, place, place + body + backwards_bytes(body));
    plan_write(pack + place, &plan);
    count_add(pack);
    return place;
}

void listpack_replace(unsigned char *pack, size_t position, struct span text) {
    ASSERT(!points_into(pack, text));
    struct plan plan = plan_text(text);
    size_t body = plan_body_bytes(&plan);
    size_t size_before = element_bytes(pack + position);
    size_t size_after = body + backwards_bytes(body);
    if (size_before != size_after) {
        tail_move(pack, position + size_before, position + size_after);
    }
    plan_write(pack + position, &plan);
}

size_t listpack_delete(unsigned char *pack, size_t position, size_t count) {
    size_t end = position;
    size_t removed = 0;
    while (removed < count && pack[end] != ENCODING_END) {
        end += element_bytes(pack + end);
        removed++;
    }
    if (removed != 0) {
        tail_move(pack, end, position);
        count_subtract(pack, removed);
    }
    return position_or_end(pack, position);
}

/* One element of a pack that nobody has vouched for, of which `size` bytes are left before the end
 * byte: its bytes, or 0 when it is broken. */
static size_t element_check(const unsigned char *place, size_t size) {
    size_t prefix = prefix_bytes(place[0]);
    if (prefix == 0 || prefix > size) {
        return 0;
    }
    size_t body = body_bytes(place);
    if (body > size) {
        return 0;
    }
    size_t backwards = backwards_bytes(body);
    if (backwards > size - body) {
        return 0;
    }
    unsigned char expected[BACKWARDS_BYTES_MAX];
    backwards_write(expected, body);
    return memcmp(place + body, expected, backwards) == 0 ? body + backwards : 0;
}

bool listpack_is_valid(const unsigned char *bytes, size_t size) {
    if (size < LISTPACK_EMPTY_BYTES || listpack_bytes(bytes) != size ||
        bytes[size - 1] != ENCODING_END) {
        return false;
    }
    size_t count = 0;
    size_t place = HEADER_BYTES;
    while (place < size - 1) {
        size_t element = element_check(bytes + place, size - 1 - place);
        if (element == 0) {
            return false;
        }
        place += element;
        count++;
    }
    unsigned stored = stored_count(bytes);
    return stored == COUNT_UNKNOWN || stored == count;
}
