#include "structures/ziplist.h"

#include "base/assertion.h"
#include "base/bytes.h"
#include "base/numbers.h"

_Static_assert(ZIPLIST_NUMBER_TEXT_MAX <= NUMBER_TEXT_BYTES_MAX, "a text holds any number");

#define LAST_PLACE 4
#define COUNT_PLACE 8
#define COUNT_UNKNOWN UINT16_MAX
#define HEADER_BYTES ((size_t)10)
#define END_BYTE 0xff
#define BACKWARDS_LONG 254

enum encoding {
    STRING_6 = 0x00,
    STRING_14 = 0x40,
    STRING_32 = 0x80,
    STRING_MASK = 0xc0,
    NUMBER_16 = 0xc0,
    NUMBER_32 = 0xd0,
    NUMBER_64 = 0xe0,
    NUMBER_24 = 0xf0,
    NUMBER_8 = 0xfe,
    NUMBER_4_MIN = 0xf1,
    NUMBER_4_MAX = 0xfd,
};

/* Where the parts of an entry are. */
struct parts {
    size_t before;  /* bytes that the entry before is said to have */
    size_t head_at; /* the encoding byte */
    size_t content_at;
    size_t content_bytes;
};

/* Bytes of a number's content; -1: no such encoding. */
static int number_bytes(unsigned char encoding) {
    switch (encoding) {
    case NUMBER_8:
        return 1;
    case NUMBER_16:
        return 2;
    case NUMBER_24:
        return 3;
    case NUMBER_32:
        return 4;
    case NUMBER_64:
        return 8;
    default:
        return encoding >= NUMBER_4_MIN && encoding <= NUMBER_4_MAX ? 0 : -1;
    }
}

/* The head at parts->head_at, of which `size` bytes are there. */
static bool head_read(const unsigned char *bytes, size_t size, struct parts *parts) {
    const unsigned char *head = bytes + parts->head_at;
    size_t head_bytes = 1;
    switch (size == 0 ? STRING_MASK : head[0] & STRING_MASK) {
    case STRING_6:
        parts->content_bytes = head[0];
        break;
    case STRING_14:
        head_bytes = 2;
        if (size >= head_bytes) {
            parts->content_bytes = (size_t)(head[0] & 0x3f) << 8 | head[1];
        }
        break;
    case STRING_32:
        head_bytes = 5;
        if (size >= head_bytes) {
            parts->content_bytes = __builtin_bswap32(bytes_load_u32(head + 1));
        }
        break;
    default: {
        int number = size == 0 ? -1 : number_bytes(head[0]);
        if (number < 0) {
            return false;
        }
        parts->content_bytes = (size_t)number;
    }
    }
    parts->content_at = parts->head_at + head_bytes;
    return size >= head_bytes && parts->content_bytes <= size - head_bytes;
}

/* False: the entry reaches beyond `end`, or is none. */
static bool parts_read(const unsigned char *bytes, size_t position, size_t end,
                       struct parts *parts) {
    if (position >= end) {
        return false;
    }
    parts->before = bytes[position];
    parts->head_at = position + 1;
    if (parts->before >= BACKWARDS_LONG) {
        if (parts->before != BACKWARDS_LONG || end - position < 1 + sizeof(uint32_t)) {
            return false;
        }
        parts->before = bytes_load_u32(bytes + position + 1);
        parts->head_at += sizeof(uint32_t);
    }
    return head_read(bytes, end - parts->head_at, parts);
}

bool ziplist_is_valid(const unsigned char *bytes, size_t size) {
    if (size < ZIPLIST_EMPTY_BYTES || bytes_load_u32(bytes) != size ||
        bytes[size - 1] != END_BYTE) {
        return false;
    }
    size_t end = size - 1;
    size_t count = 0;
    size_t before = 0;
    size_t last = HEADER_BYTES;
    for (size_t position = HEADER_BYTES; position < end; count++) {
        struct parts parts;
        if (!parts_read(bytes, position, end, &parts) || parts.before != before) {
            return false;
        }
        size_t next = parts.content_at + parts.content_bytes;
        last = position;
        before = next - position;
        position = next;
    }
    size_t stored = bytes_load_u16(bytes + COUNT_PLACE);
    return bytes_load_u32(bytes + LAST_PLACE) == last &&
           (stored == COUNT_UNKNOWN || stored == count);
}

static struct parts parts_of(const unsigned char *bytes, size_t position) {
    struct parts parts;
    bool is_entry = parts_read(bytes, position, bytes_load_u32(bytes) - 1, &parts);
    ASSERT(is_entry);
    return parts;
}

size_t ziplist_first(const unsigned char *bytes) {
    return bytes[HEADER_BYTES] == END_BYTE ? ZIPLIST_END : HEADER_BYTES;
}

size_t ziplist_next(const unsigned char *bytes, size_t position) {
    struct parts parts = parts_of(bytes, position);
    size_t next = parts.content_at + parts.content_bytes;
    return next == bytes_load_u32(bytes) - 1 ? ZIPLIST_END : next;
}

static int64_t number_of(const unsigned char *bytes, const struct parts *parts) {
    const unsigned char *content = bytes + parts->content_at;
    switch (bytes[parts->head_at]) {
    case NUMBER_8:
        return (int8_t)content[0];
    case NUMBER_16:
        return (int16_t)bytes_load_u16(content);
    case NUMBER_24: {
        uint32_t number = bytes_load_u16(content) | (uint32_t)content[2] << 16;
        return (int32_t)(number << 8) >> 8;
    }
    case NUMBER_32:
        return (int32_t)bytes_load_u32(content);
    case NUMBER_64:
        return (int64_t)bytes_load_u64(content);
    default:
        return (bytes[parts->head_at] & 0x0f) - 1;
    }
}

struct span ziplist_text(const unsigned char *bytes, size_t position, char *scratch) {
    struct parts parts = parts_of(bytes, position);
    if ((bytes[parts.head_at] & STRING_MASK) != STRING_MASK) {
        return span_of(bytes + parts.content_at, parts.content_bytes);
    }
    return span_of(scratch, number_format(scratch, number_of(bytes, &parts)));
}
