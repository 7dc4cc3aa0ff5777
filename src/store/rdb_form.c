#include "store/rdb_form.h"

#include "base/bytes.h"
#include "base/lzf.h"
#include "base/memory.h"
#include "base/numbers.h"

#define LENGTH_14 0x40
#define LENGTH_32 0x80
#define LENGTH_64 0x81
#define FORM_MASK 0xc0
#define STRING_NUMBER_8 0xc0
#define STRING_NUMBER_16 0xc1
#define STRING_NUMBER_32 0xc2
#define STRING_COMPRESSED 0xc3

/* Longest text that is tried as a number; shortest string that is worth compressing, and the bytes
 * that it must gain: redis-server's. */
#define NUMBER_TEXT_MAX ((size_t)11)
#define COMPRESSED_BYTES_MIN ((size_t)21)
#define COMPRESSED_GAIN_MIN ((size_t)4)

/* A compressed string is made behind room for its head: a byte and two lengths. */
#define COMPRESSED_HEAD_BYTES_MAX (1 + 2 * RDB_LENGTH_BYTES_MAX)

_Static_assert(RDB_STRING_MORE_BYTES_MAX >= RDB_LENGTH_BYTES_MAX &&
                   RDB_STRING_MORE_BYTES_MAX >= COMPRESSED_HEAD_BYTES_MAX - COMPRESSED_GAIN_MIN,
               "appending finds its room");

/* ---- writing ---- */

static size_t length_write(char *place, uint64_t length) {
    unsigned char *bytes = (unsigned char *)place;
    if (length < LENGTH_14) {
        bytes[0] = (unsigned char)length;
        return 1;
    }
    if (length < (LENGTH_14 << 8)) {
        bytes[0] = (unsigned char)(LENGTH_14 | length >> 8);
        bytes[1] = (unsigned char)length;
        return 2;
    }
    if (length <= UINT32_MAX) {
        bytes[0] = LENGTH_32;
        bytes_store_u32(bytes + 1, __builtin_bswap32((uint32_t)length));
        return 1 + sizeof(uint32_t);
    }
    bytes[0] = LENGTH_64;
    bytes_store_u64(bytes + 1, __builtin_bswap64(length));
    return 1 + sizeof(uint64_t);
}

void rdb_length_append(struct buffer *buffer, uint64_t length) {
    char *place = buffer_reserve(buffer, RDB_LENGTH_BYTES_MAX);
    buffer_commit(buffer, length_write(place, length));
}

/* False: it needs more than 32 bits. */
static bool number_append(struct buffer *buffer, int64_t number) {
    unsigned char bytes[1 + sizeof(uint32_t)];
    size_t length;
    if (number >= INT8_MIN && number <= INT8_MAX) {
        bytes[0] = STRING_NUMBER_8;
        bytes[1] = (unsigned char)number;
        length = 1 + sizeof(uint8_t);
    } else if (number >= INT16_MIN && number <= INT16_MAX) {
        bytes[0] = STRING_NUMBER_16;
        bytes_store_u16(bytes + 1, (uint16_t)number);
        length = 1 + sizeof(uint16_t);
    } else if (number >= INT32_MIN && number <= INT32_MAX) {
        bytes[0] = STRING_NUMBER_32;
        bytes_store_u32(bytes + 1, (uint32_t)number);
        length = 1 + sizeof(uint32_t);
    } else {
        return false;
    }
    buffer_append(buffer, bytes, length);
    return true;
}

/* Compresses into the room behind the longest head, then moves it to its own. */
static bool compressed_append(struct buffer *buffer, struct span string) {
    const size_t head_max = COMPRESSED_HEAD_BYTES_MAX;
    size_t room = string.length - COMPRESSED_GAIN_MIN;
    char *place = buffer_reserve(buffer, head_max + room);
    size_t length = lzf_compress(string, place + head_max, room);
    if (length == 0) {
        return false;
    }
    *place = (char)STRING_COMPRESSED;
    size_t head = 1 + length_write(place + 1, length);
    head += length_write(place + head, string.length);
    memmove(place + head, place + head_max, length);
    buffer_commit(buffer, head + length);
    return true;
}

static void plain_append(struct buffer *buffer, struct span string) {
    rdb_length_append(buffer, string.length);
    buffer_append_span(buffer, string);
}

void rdb_string_append(struct buffer *buffer, struct span string, bool compresses) {
    int64_t number;
    if (string.length <= NUMBER_TEXT_MAX && number_parse(string, &number) &&
        number_append(buffer, number)) {
        return;
    }
    if (compresses && string.length >= COMPRESSED_BYTES_MIN && compressed_append(buffer, string)) {
        return;
    }
    plain_append(buffer, string);
}

void rdb_integer_append(struct buffer *buffer, int64_t number) {
    if (!number_append(buffer, number)) {
        char text[NUMBER_TEXT_BYTES_MAX];
        plain_append(buffer, span_of(text, number_format(text, number)));
    }
}

/* ---- reading ---- */

/* A length, or the first byte of a string that is no plain one. */
struct head {
    uint64_t length;
    unsigned special; /* 0: a length */
};

static enum rdb_status head_read(struct span *left, struct head *head) {
    if (left->length == 0) {
        return RDB_INCOMPLETE;
    }
    const unsigned char *bytes = (const unsigned char *)left->bytes;
    size_t stored = 1;
    *head = (struct head){.length = bytes[0]};
    switch (bytes[0] & FORM_MASK) {
    case 0:
        break;
    case LENGTH_14:
        stored = 2;
        break;
    case FORM_MASK:
        head->special = bytes[0];
        break;
    default:
        if (bytes[0] > LENGTH_64) {
            return RDB_DAMAGED;
        }
        stored = 1 + (bytes[0] == LENGTH_32 ? sizeof(uint32_t) : sizeof(uint64_t));
    }
    if (left->length < stored) {
        return RDB_INCOMPLETE;
    }
    if (stored == 2) {
        head->length = (bytes[0] & ~(unsigned)FORM_MASK) << 8 | bytes[1];
    } else if (stored == 1 + sizeof(uint32_t)) {
        head->length = __builtin_bswap32(bytes_load_u32(bytes + 1));
    } else if (stored == 1 + sizeof(uint64_t)) {
        head->length = __builtin_bswap64(bytes_load_u64(bytes + 1));
    }
    if (head->length > RDB_LENGTH_MAX) {
        return RDB_DAMAGED;
    }
    *left = span_of(left->bytes + stored, left->length - stored);
    return RDB_DONE;
}

enum rdb_status rdb_length_read(struct span *left, uint64_t *length) {
    struct span before = *left;
    struct head head;
    enum rdb_status status = head_read(left, &head);
    if (status != RDB_DONE) {
        return status;
    }
    if (head.special != 0) {
        *left = before;
        return RDB_DAMAGED;
    }
    *length = head.length;
    return RDB_DONE;
}

/* The head is read, `left` begins with the number. */
static enum rdb_status number_read(struct span left, unsigned special, struct rdb_string *string) {
    size_t size = (size_t)1 << (special - STRING_NUMBER_8);
    string->form = RDB_STRING_NUMBER;
    string->stored_bytes = 1 + size;
    if (left.length < size) {
        return RDB_INCOMPLETE;
    }
    if (special == STRING_NUMBER_8) {
        string->number = (int8_t)left.bytes[0];
    } else if (special == STRING_NUMBER_16) {
        string->number = (int16_t)bytes_load_u16(left.bytes);
    } else {
        string->number = (int32_t)bytes_load_u32(left.bytes);
    }
    string->length = number_decimal_length(string->number);
    return RDB_DONE;
}

/* The same for a plain or compressed one, of which `head` bytes are read. */
static enum rdb_status bytes_read(struct span left, size_t head, uint64_t stored,
                                  struct rdb_string *string) {
    string->stored_bytes = head + (size_t)stored;
    if (left.length < stored) {
        return RDB_INCOMPLETE;
    }
    string->bytes = span_of(left.bytes, (size_t)stored);
    return RDB_DONE;
}

static enum rdb_status compressed_read(struct span left, struct rdb_string *string) {
    struct span after = left;
    uint64_t stored;
    uint64_t length;
    enum rdb_status status = rdb_length_read(&after, &stored);
    if (status == RDB_DONE) {
        status = rdb_length_read(&after, &length);
    }
    if (status != RDB_DONE) {
        return status;
    }
    /* So that nobody takes memory for what can never come. */
    if (length == 0 || length > stored * LZF_EXPANSION_MAX) {
        return RDB_DAMAGED;
    }
    string->form = RDB_STRING_COMPRESSED;
    string->length = (size_t)length;
    return bytes_read(after, 1 + (size_t)(after.bytes - left.bytes), stored, string);
}

enum rdb_status rdb_string_read(struct span *left, struct rdb_string *string) {
    *string = (struct rdb_string){.form = RDB_STRING_PLAIN};
    struct span after = *left;
    struct head head;
    enum rdb_status status = head_read(&after, &head);
    if (status != RDB_DONE) {
        return status;
    }
    if (head.special == 0) {
        string->length = (size_t)head.length;
        status = bytes_read(after, (size_t)(after.bytes - left->bytes), head.length, string);
    } else if (head.special == STRING_COMPRESSED) {
        status = compressed_read(after, string);
    } else if (head.special < STRING_COMPRESSED) {
        status = number_read(after, head.special, string);
    } else {
        status = RDB_DAMAGED;
    }
    if (status == RDB_DONE) {
        *left = span_of(left->bytes + string->stored_bytes, left->length - string->stored_bytes);
    }
    return status;
}

bool rdb_string_copy(const struct rdb_string *string, char *target) {
    if (string->form == RDB_STRING_COMPRESSED) {
        return lzf_expand(string->bytes, target, string->length);
    }
    if (string->form == RDB_STRING_NUMBER) {
        char text[NUMBER_TEXT_BYTES_MAX];
        memcpy(target, text, number_format(text, string->number));
    } else if (string->length != 0) {
        memcpy(target, string->bytes.bytes, string->length);
    }
    return true;
}

static bool scratch_reserve(struct rdb_scratch *scratch, size_t size) {
    if (scratch->bytes != NULL && scratch->capacity >= size) {
        return true;
    }
    char *bytes = memory_try_alloc(size == 0 ? 1 : size);
    if (bytes == NULL) {
        return false;
    }
    memory_free(scratch->bytes);
    *scratch = (struct rdb_scratch){.bytes = bytes, .capacity = size};
    return true;
}

enum rdb_status rdb_string_text(const struct rdb_string *string, struct rdb_scratch *scratch,
                                struct span *text) {
    if (string->form == RDB_STRING_PLAIN) {
        *text = string->bytes;
        return RDB_DONE;
    }
    if (!scratch_reserve(scratch, string->length)) {
        return RDB_NO_MEMORY;
    }
    if (!rdb_string_copy(string, scratch->bytes)) {
        return RDB_DAMAGED;
    }
    *text = span_of(scratch->bytes, string->length);
    return RDB_DONE;
}

enum rdb_status rdb_text_read(struct span *left, struct rdb_scratch *scratch, struct span *text) {
    struct rdb_string string;
    enum rdb_status status = rdb_string_read(left, &string);
    return status == RDB_DONE ? rdb_string_text(&string, scratch, text) : status;
}

enum rdb_status rdb_scratch_keep(struct rdb_scratch *scratch, struct span *text) {
    if (!scratch_reserve(scratch, text->length)) {
        return RDB_NO_MEMORY;
    }
    if (text->length != 0) {
        memcpy(scratch->bytes, text->bytes, text->length);
    }
    text->bytes = scratch->bytes;
    return RDB_DONE;
}

void rdb_scratch_free(struct rdb_scratch *scratch) {
    memory_free(scratch->bytes);
    *scratch = RDB_SCRATCH_EMPTY;
}
