#include "snapshot/rdb_reader.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"
#include "snapshot/rdb_format.h"

/* Bytes that are copied and parsed at once. */
#define PIECE_BYTES ((size_t)1024 * 1024)
/* Bytes of an item that a report shows. */
#define SHOWN_BYTES_MAX 8
#define SHOWN_KEY_BYTES_MAX 64

enum state { STATE_HEADER, STATE_ITEM, STATE_VALUE, STATE_CHECKSUM, STATE_END };

/* bytes[at..length) are not consumed yet; in STATE_VALUE the byte before them is the reader's own,
 * for the type, so that a payload is in one run. */
struct rdb_reader {
    const char *name;
    struct rdb_observer observer;
    struct buffer *report;
    char *bytes;
    size_t length;
    size_t capacity;
    size_t at;
    size_t needed;   /* bytes from `at` on without which parsing is of no use */
    uint64_t offset; /* of bytes[at] in the file */
    uint64_t crc;
    unsigned version;
    enum state state;
    uint8_t type;
    struct value_extent extent;
    struct rdb_key key;
    struct rdb_scratch key_text;
    struct rdb_scratch scratches[2];
};

struct rdb_reader *rdb_reader_new(const char *name, const struct rdb_observer *observer,
                                  struct buffer *report) {
    struct rdb_reader *reader = memory_alloc(sizeof(*reader));
    *reader = (struct rdb_reader){
        .name = name,
        .observer = *observer,
        .report = report,
        .crc = CRC64_EMPTY,
        .state = STATE_HEADER,
        .key = {.expiry_ms = ENTRY_NO_EXPIRY,
                .idle_seconds = RDB_NO_ACCESS,
                .frequency = RDB_NO_ACCESS},
    };
    return reader;
}

void rdb_reader_free(struct rdb_reader *reader) {
    memory_free(reader->bytes);
    rdb_scratch_free(&reader->key_text);
    rdb_scratch_free(&reader->scratches[0]);
    rdb_scratch_free(&reader->scratches[1]);
    memory_free(reader);
}

uint64_t rdb_reader_offset(const struct rdb_reader *reader) {
    return reader->offset;
}

static struct span unread(const struct rdb_reader *reader) {
    return span_of(reader->bytes + reader->at, reader->length - reader->at);
}

/* ---- reports ---- */

static void report_place(struct rdb_reader *reader) {
    buffer_format(reader->report, "RDB file \"%s\" at byte %llu: ", reader->name,
                  (unsigned long long)reader->offset);
}

/* The bytes at the place, as far as they are there. */
static void report_found(struct rdb_reader *reader) {
    struct span left = unread(reader);
    buffer_append_string(reader->report, "found");
    for (size_t i = 0; i < left.length && i < SHOWN_BYTES_MAX; i++) {
        buffer_format(reader->report, " %02x", (unsigned char)left.bytes[i]);
    }
    if (left.length == 0) {
        buffer_append_string(reader->report, " the end");
    }
}

static enum rdb_read_status damaged(struct rdb_reader *reader, const char *expected) {
    report_place(reader);
    buffer_format(reader->report, "expected %s, ", expected);
    report_found(reader);
    return RDB_READ_DAMAGED;
}

/* Printable characters of a text that may hold any. */
static void report_text(struct rdb_reader *reader, struct span text) {
    for (size_t i = 0; i < text.length && i < SHOWN_KEY_BYTES_MAX; i++) {
        char byte = text.bytes[i];
        buffer_append_byte(reader->report, byte >= ' ' && byte <= '~' ? byte : '?');
    }
    if (text.length > SHOWN_KEY_BYTES_MAX) {
        buffer_append_string(reader->report, "...");
    }
}

static enum rdb_read_status no_memory(struct rdb_reader *reader) {
    report_place(reader);
    buffer_append_string(reader->report, "no memory for what it holds");
    return RDB_READ_FAILED;
}

/* What a status of the form means: MORE when it only waits. */
static enum rdb_read_status waits_or_failed(struct rdb_reader *reader, enum rdb_status status,
                                            const char *expected) {
    switch (status) {
    case RDB_INCOMPLETE:
        return RDB_READ_MORE;
    case RDB_NO_MEMORY:
        return no_memory(reader);
    default:
        return damaged(reader, expected);
    }
}

/* ---- steps: each consumes something whole, or answers why not ---- */

/* RDB_READ_DONE means that a step was done, until STATE_END. */
static enum rdb_read_status consume(struct rdb_reader *reader, size_t count) {
    reader->crc = crc64_add(reader->crc, span_of(reader->bytes + reader->at, count));
    reader->at += count;
    reader->offset += count;
    reader->needed = 0;
    return RDB_READ_DONE;
}

static enum rdb_read_status consume_to(struct rdb_reader *reader, struct span left) {
    return consume(reader, (size_t)(left.bytes - (reader->bytes + reader->at)));
}

static enum rdb_read_status read_header(struct rdb_reader *reader) {
    const char *expected = "\"REDIS\" and a version of four digits";
    const size_t magic = sizeof(RDB_MAGIC) - 1;
    struct span left = unread(reader);
    size_t there = left.length < magic ? left.length : magic;
    if (memcmp(left.bytes, RDB_MAGIC, there) != 0) {
        return damaged(reader, expected);
    }
    if (left.length < RDB_HEADER_BYTES) {
        return RDB_READ_MORE;
    }
    for (size_t i = magic; i < RDB_HEADER_BYTES; i++) {
        if (left.bytes[i] < '0' || left.bytes[i] > '9') {
            return damaged(reader, expected);
        }
        reader->version = reader->version * 10 + (unsigned)(left.bytes[i] - '0');
    }
    if (reader->version < 1 || reader->version > RDB_VERSION) {
        report_place(reader);
        buffer_format(reader->report, "expected a version from 1 to %d, found %u", RDB_VERSION,
                      reader->version);
        return RDB_READ_REFUSED;
    }
    reader->state = STATE_ITEM;
    return consume(reader, RDB_HEADER_BYTES);
}

/* The reason why the key must stay where it is. */
static enum rdb_read_status refuse_type(struct rdb_reader *reader, struct span key) {
    const char *name = rdb_type_name(reader->type);
    report_place(reader);
    buffer_append_string(reader->report, "key \"");
    report_text(reader, key);
    buffer_format(reader->report, "\" of database %u is a %s, and this version has no such values",
                  reader->key.database, name);
    return RDB_READ_REFUSED;
}

/* A type byte and a key; the value follows. */
static enum rdb_read_status read_key(struct rdb_reader *reader, struct span left) {
    if (rdb_type_name(reader->type) == NULL) {
        return damaged(reader, "an opcode or a type of value");
    }
    struct span key;
    struct rdb_string string;
    enum rdb_status status = rdb_string_read(&left, &string);
    if (status == RDB_INCOMPLETE) {
        reader->needed = 1 + string.stored_bytes;
    }
    if (status == RDB_DONE) {
        status = rdb_string_text(&string, &reader->key_text, &key);
    }
    /* The bytes may move before the value is whole. */
    if (status == RDB_DONE && key.bytes != reader->key_text.bytes) {
        status = rdb_scratch_keep(&reader->key_text, &key);
    }
    if (status != RDB_DONE) {
        return waits_or_failed(reader, status, "a key");
    }
    if (!rdb_type_is_decoded(reader->type)) {
        return refuse_type(reader, key);
    }
    reader->key.key = key;
    value_extent_begin(&reader->extent, reader->type);
    reader->state = STATE_VALUE;
    return consume_to(reader, left);
}

static enum rdb_read_status read_value(struct rdb_reader *reader) {
    struct span left = unread(reader);
    enum rdb_status status = value_extent_find(&reader->extent, left);
    if (status != RDB_DONE) {
        reader->needed = reader->extent.needed;
        return waits_or_failed(reader, status, rdb_type_name(reader->type));
    }
    size_t start = reader->at - 1;
    consume(reader, reader->extent.length);
    /* The byte before the value was the key's, which is done with. */
    reader->bytes[start] = (char)reader->type;
    reader->key.payload = span_of(reader->bytes + start, reader->extent.length + 1);
    if (!reader->observer.key(reader->observer.context, &reader->key)) {
        buffer_format(reader->report, " (RDB file \"%s\", before byte %llu)", reader->name,
                      (unsigned long long)reader->offset);
        return RDB_READ_STOPPED;
    }
    reader->key.expiry_ms = ENTRY_NO_EXPIRY;
    reader->key.idle_seconds = RDB_NO_ACCESS;
    reader->key.frequency = RDB_NO_ACCESS;
    reader->state = STATE_ITEM;
    return RDB_READ_DONE;
}

static enum rdb_read_status read_checksum(struct rdb_reader *reader) {
    struct span left = unread(reader);
    if (left.length < RDB_CHECKSUM_BYTES) {
        return RDB_READ_MORE;
    }
    uint64_t expected = reader->crc;
    uint64_t found = bytes_load_u64(left.bytes);
    if (found != 0 && found != expected) {
        report_place(reader);
        buffer_format(reader->report, "expected the checksum %016llx, found %016llx",
                      (unsigned long long)expected, (unsigned long long)found);
        return RDB_READ_DAMAGED;
    }
    reader->state = STATE_END;
    return consume(reader, RDB_CHECKSUM_BYTES);
}

/* ---- opcodes: `left` is what follows the first byte ---- */

static enum rdb_status read_field(struct rdb_reader *reader, struct span *left) {
    struct rdb_string strings[2];
    struct span name;
    struct span value;
    enum rdb_status status = rdb_string_read(left, &strings[0]);
    if (status == RDB_DONE) {
        status = rdb_string_read(left, &strings[1]);
    }
    if (status == RDB_DONE) {
        status = rdb_string_text(&strings[0], &reader->scratches[0], &name);
    }
    if (status == RDB_DONE) {
        status = rdb_string_text(&strings[1], &reader->scratches[1], &value);
    }
    if (status == RDB_DONE && reader->observer.field != NULL) {
        reader->observer.field(reader->observer.context, name, value);
    }
    return status;
}

static enum rdb_status read_sizes(struct rdb_reader *reader, struct span *left) {
    uint64_t keys;
    uint64_t volatile_keys;
    enum rdb_status status = rdb_length_read(left, &keys);
    if (status == RDB_DONE) {
        status = rdb_length_read(left, &volatile_keys);
    }
    if (status == RDB_DONE && reader->observer.sizes != NULL) {
        reader->observer.sizes(reader->observer.context, reader->key.database, keys, volatile_keys);
    }
    return status;
}

static enum rdb_status read_functions(struct rdb_reader *reader, struct span *left) {
    struct rdb_string string;
    struct span code;
    enum rdb_status status = rdb_string_read(left, &string);
    if (status == RDB_INCOMPLETE) {
        reader->needed = 1 + string.stored_bytes;
    }
    if (status == RDB_DONE) {
        status = rdb_string_text(&string, &reader->scratches[0], &code);
    }
    if (status == RDB_DONE && reader->observer.functions != NULL) {
        reader->observer.functions(reader->observer.context, code);
    }
    return status;
}

static enum rdb_status read_idle(struct rdb_reader *reader, struct span *left) {
    uint64_t seconds;
    enum rdb_status status = rdb_length_read(left, &seconds);
    if (status == RDB_DONE) {
        reader->key.idle_seconds = (int64_t)seconds;
    }
    return status;
}

static enum rdb_status read_database(struct rdb_reader *reader, struct span *left) {
    uint64_t database;
    enum rdb_status status = rdb_length_read(left, &database);
    if (status == RDB_DONE) {
        if (database > UINT32_MAX) {
            return RDB_DAMAGED;
        }
        reader->key.database = (uint32_t)database;
    }
    return status;
}

/* `size` bytes, little endian. */
static enum rdb_status read_number(struct span *left, size_t size, int64_t *number) {
    if (left->length < size) {
        return RDB_INCOMPLETE;
    }
    if (size == sizeof(uint64_t)) {
        *number = (int64_t)bytes_load_u64(left->bytes);
    } else if (size == sizeof(uint32_t)) {
        *number = (int32_t)bytes_load_u32(left->bytes);
    } else {
        *number = (unsigned char)left->bytes[0];
    }
    *left = span_of(left->bytes + size, left->length - size);
    return RDB_DONE;
}

static enum rdb_status read_expiry_seconds(struct rdb_reader *reader, struct span *left) {
    int64_t seconds;
    enum rdb_status status = read_number(left, sizeof(uint32_t), &seconds);
    if (status == RDB_DONE) {
        reader->key.expiry_ms = seconds * 1000;
    }
    return status;
}

/* The module's name is in its number: nine characters of six bits above ten of a version. */
static enum rdb_read_status refuse_module(struct rdb_reader *reader, struct span left) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t id;
    struct span rest = left;
    /* Its range is wider than that of any other length. */
    if (rest.length < 1 + sizeof(uint64_t)) {
        return RDB_READ_MORE;
    }
    report_place(reader);
    buffer_append_string(reader->report, "data of the module \"");
    if ((unsigned char)rest.bytes[0] == 0x81) {
        id = __builtin_bswap64(bytes_load_u64(rest.bytes + 1));
        for (int shift = 58; shift >= 10; shift -= 6) {
            buffer_append_byte(reader->report, letters[id >> shift & 0x3f]);
        }
    }
    buffer_append_string(reader->report, "\", and this version has no modules");
    return RDB_READ_REFUSED;
}

static enum rdb_read_status refuse_old_functions(struct rdb_reader *reader) {
    report_place(reader);
    buffer_append_string(reader->report,
                         "functions in the form of a release candidate of Redis 7.0");
    return RDB_READ_REFUSED;
}

static enum rdb_read_status read_end(struct rdb_reader *reader) {
    reader->state = reader->version >= RDB_CHECKSUM_VERSION_MIN ? STATE_CHECKSUM : STATE_END;
    return consume(reader, 1);
}

static enum rdb_read_status read_item(struct rdb_reader *reader) {
    struct span left = unread(reader);
    unsigned opcode = (unsigned char)left.bytes[0];
    left = span_of(left.bytes + 1, left.length - 1);
    enum rdb_status status;
    const char *expected;
    switch (opcode) {
    case RDB_OPCODE_FIELD:
        expected = "a field of text";
        status = read_field(reader, &left);
        break;
    case RDB_OPCODE_SIZES:
        expected = "the sizes of a database";
        status = read_sizes(reader, &left);
        break;
    case RDB_OPCODE_FUNCTIONS:
        expected = "a library of functions";
        status = read_functions(reader, &left);
        break;
    case RDB_OPCODE_IDLE:
        expected = "seconds without access";
        status = read_idle(reader, &left);
        break;
    case RDB_OPCODE_FREQUENCY:
        expected = "an access counter";
        status = read_number(&left, 1, &reader->key.frequency);
        break;
    case RDB_OPCODE_EXPIRY_MS:
        expected = "an expiry";
        status = read_number(&left, sizeof(uint64_t), &reader->key.expiry_ms);
        break;
    case RDB_OPCODE_EXPIRY_SECONDS:
        expected = "an expiry";
        status = read_expiry_seconds(reader, &left);
        break;
    case RDB_OPCODE_DATABASE:
        expected = "the number of a database";
        status = read_database(reader, &left);
        break;
    case RDB_OPCODE_MODULE:
        return refuse_module(reader, left);
    case RDB_OPCODE_FUNCTIONS_OLD:
        return refuse_old_functions(reader);
    case RDB_OPCODE_END:
        return read_end(reader);
    default:
        reader->type = (uint8_t)opcode;
        return read_key(reader, left);
    }
    return status == RDB_DONE ? consume_to(reader, left)
                              : waits_or_failed(reader, status, expected);
}

/* ---- feeding ---- */

static enum rdb_read_status step(struct rdb_reader *reader) {
    switch (reader->state) {
    case STATE_HEADER:
        return read_header(reader);
    case STATE_ITEM:
        return read_item(reader);
    case STATE_VALUE:
        return read_value(reader);
    default:
        return read_checksum(reader);
    }
}

static enum rdb_read_status parse(struct rdb_reader *reader) {
    enum rdb_read_status status = RDB_READ_DONE;
    while (status == RDB_READ_DONE && reader->state != STATE_END) {
        size_t there = reader->length - reader->at;
        /* An empty value is whole without a byte. */
        if (there < reader->needed || (there == 0 && reader->state != STATE_VALUE)) {
            return RDB_READ_MORE;
        }
        status = step(reader);
    }
    return status;
}

/* Room for `count` bytes more; the buffer grows with what is really there. */
static bool make_room(struct rdb_reader *reader, size_t count) {
    size_t kept = reader->at == 0 ? 0 : reader->at - 1;
    if (kept != 0) {
        memmove(reader->bytes, reader->bytes + kept, reader->length - kept);
        reader->at -= kept;
        reader->length -= kept;
    }
    if (reader->capacity - reader->length >= count) {
        return true;
    }
    size_t capacity = reader->length + count + reader->length / 2;
    char *bytes = memory_try_realloc(reader->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    reader->bytes = bytes;
    reader->capacity = capacity;
    return true;
}

enum rdb_read_status rdb_reader_feed(struct rdb_reader *reader, struct span *bytes) {
    ASSERT(reader->state != STATE_END);
    enum rdb_read_status status = RDB_READ_MORE;
    while (status == RDB_READ_MORE && bytes->length != 0) {
        size_t count = bytes->length < PIECE_BYTES ? bytes->length : PIECE_BYTES;
        if (!make_room(reader, count)) {
            return no_memory(reader);
        }
        memcpy(reader->bytes + reader->length, bytes->bytes, count);
        reader->length += count;
        *bytes = span_of(bytes->bytes + count, bytes->length - count);
        status = parse(reader);
    }
    if (status == RDB_READ_DONE) {
        size_t behind = reader->length - reader->at;
        *bytes = span_of(bytes->bytes - behind, bytes->length + behind);
    }
    return status;
}

enum rdb_read_status rdb_reader_end(struct rdb_reader *reader) {
    static const char *const expected[] = {
        [STATE_HEADER] = "\"REDIS\" and a version of four digits",
        [STATE_ITEM] = "another item whole, or the end mark",
        [STATE_CHECKSUM] = "a checksum",
    };
    report_place(reader);
    buffer_format(reader->report, "expected %s, found only %zu bytes to the end of the file",
                  reader->state == STATE_VALUE ? rdb_type_name(reader->type)
                                               : expected[reader->state],
                  reader->length - reader->at);
    return RDB_READ_DAMAGED;
}
