#include "snapshot/aof_reader.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "protocol/parser.h"
#include "snapshot/aof_manifest.h"
#include "snapshot/rdb_file.h"
#include "snapshot/rdb_format.h"

#include <string.h>

#define READ_BYTES ((size_t)256 * 1024)
/* No argument is longer: the largest string that redis-server can be configured to take. */
#define ARGUMENT_BYTES_MAX ((size_t)1 << 40)

/* A transaction is read twice: to its EXEC, then once more to give its commands. */
enum transaction { NO_TRANSACTION, SEEKING_EXEC, GIVING };

/* bytes[at..length) are not parsed yet; bytes[0] stands at `base` in the file. */
struct reader {
    const struct aof_source *source;
    const char *name;
    struct buffer *report;
    struct disk_file *file;
    char *bytes;
    size_t at;
    size_t length;
    size_t capacity;
    uint64_t base;
    struct parser parser;
    bool is_inside; /* the parser holds a part of a command, whose arguments move with the bytes */
    uint32_t database;
    enum transaction transaction;
    uint32_t transaction_database; /* before its MULTI */
    uint64_t transaction_at;       /* MULTI */
    uint64_t transaction_body;     /* what follows it */
};

/* What the search for the next command came to. */
enum step { STEP_COMMAND, STEP_END, STEP_CUT_OFF, STEP_DAMAGED, STEP_FAILED };

static uint64_t offset_of(const struct reader *reader) {
    return reader->base + reader->at;
}

/* ---- bytes ---- */

static void rebase(struct reader *reader, const char *before) {
    if (reader->is_inside) {
        parser_rebase(&reader->parser, before, reader->bytes + reader->at);
    }
}

/* What is parsed goes, what is not moves down; room for READ_BYTES more. */
static bool make_room(struct reader *reader) {
    size_t left = reader->length - reader->at;
    if (reader->at != 0) {
        const char *before = reader->bytes + reader->at;
        memmove(reader->bytes, before, left);
        reader->base += reader->at;
        reader->at = 0;
        reader->length = left;
        rebase(reader, before);
    }
    if (reader->capacity - left >= READ_BYTES) {
        return true;
    }
    size_t capacity = left + READ_BYTES + left / 2;
    const char *before = reader->bytes;
    char *bytes = memory_try_realloc(reader->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    reader->bytes = bytes;
    reader->capacity = capacity;
    rebase(reader, before);
    return true;
}

/* COMMAND: there is more now. */
static enum step fill(struct reader *reader) {
    if (!make_room(reader)) {
        buffer_format(reader->report, "AOF file \"%s\" at byte %llu: no memory for a command",
                      reader->name, (unsigned long long)offset_of(reader));
        return STEP_FAILED;
    }
    int64_t count = reader->source->disk->read(reader->file, reader->bytes + reader->length,
                                               reader->capacity - reader->length,
                                               reader->base + reader->length);
    if (count < 0) {
        buffer_format(reader->report, "AOF file \"%s\": cannot read: %s", reader->name,
                      strerror((int)-count));
        return STEP_FAILED;
    }
    if (count == 0) {
        return reader->at == reader->length ? STEP_END : STEP_CUT_OFF;
    }
    reader->length += (size_t)count;
    return STEP_COMMAND;
}

/* Goes on reading at this place of the file. */
static void seek(struct reader *reader, uint64_t offset) {
    parser_free(&reader->parser);
    parser_init(&reader->parser);
    reader->is_inside = false;
    if (offset >= reader->base && offset <= reader->base + reader->length) {
        reader->at = (size_t)(offset - reader->base);
        return;
    }
    reader->base = offset;
    reader->at = 0;
    reader->length = 0;
}

/* ---- commands ---- */

static enum step damaged(struct reader *reader, const char *expected, const char *found) {
    buffer_format(reader->report, "AOF file \"%s\" at byte %llu: expected %s, found %s",
                  reader->name, (unsigned long long)offset_of(reader), expected, found);
    return STEP_DAMAGED;
}

/* A comment goes. False: its end is still to come. */
static bool skip_comment(struct reader *reader) {
    const char *start = reader->bytes + reader->at;
    const char *end = memchr(start, '\n', reader->length - reader->at);
    if (end == NULL) {
        return false;
    }
    reader->at += (size_t)(end - start) + 1;
    return true;
}

/* The next command's arguments are in the parser; `at` is still its first byte. */
static enum step next_command(struct reader *reader) {
    const struct parser_limits limits = {.bulk_bytes_max = ARGUMENT_BYTES_MAX,
                                         .authenticated = true};
    for (;;) {
        char first = reader->at == reader->length ? '\0' : reader->bytes[reader->at];
        if (first == '#' && skip_comment(reader)) {
            continue;
        }
        if (reader->at != reader->length && first != '#') {
            if (first != '*') {
                return damaged(reader, "a command or a comment", "something else");
            }
            enum parser_status status = parser_next(&reader->parser, reader->bytes + reader->at,
                                                    reader->length - reader->at, &limits);
            reader->is_inside = status == PARSER_INCOMPLETE;
            switch (status) {
            case PARSER_READY:
                return reader->parser.arguments.count != 0
                           ? STEP_COMMAND
                           : damaged(reader, "a command", "one without arguments");
            case PARSER_ERROR:
                return damaged(reader, "a command", reader->parser.error);
            default:
                break;
            }
        }
        enum step filled = fill(reader);
        if (filled != STEP_COMMAND) {
            return filled;
        }
    }
}

static bool is_word(const struct reader *reader, const char *word, uint32_t args_count) {
    const struct arguments *arguments = &reader->parser.arguments;
    return arguments->count == args_count && span_is(arguments->items[0], word);
}

/* SELECT, MULTI and EXEC are the reader's. True: the command was one of them. */
static enum step follow(struct reader *reader, bool *is_followed) {
    uint64_t next = offset_of(reader) + reader->parser.consumed;
    *is_followed = true;
    if (is_word(reader, "select", 2)) {
        int64_t database;
        if (!number_parse(reader->parser.arguments.items[1], &database) || database < 0 ||
            database > INT32_MAX) {
            return damaged(reader, "the number of a database", "something else");
        }
        reader->database = (uint32_t)database;
    } else if (is_word(reader, "multi", 1) && reader->transaction == NO_TRANSACTION) {
        reader->transaction = SEEKING_EXEC;
        reader->transaction_at = offset_of(reader);
        reader->transaction_body = next;
        reader->transaction_database = reader->database;
    } else if (is_word(reader, "exec", 1) && reader->transaction == SEEKING_EXEC) {
        reader->transaction = GIVING;
        reader->database = reader->transaction_database;
        seek(reader, reader->transaction_body);
        return STEP_END;
    } else if (is_word(reader, "exec", 1) && reader->transaction == GIVING) {
        reader->transaction = NO_TRANSACTION;
    } else {
        *is_followed = false;
    }
    return STEP_COMMAND;
}

static bool give(struct reader *reader) {
    const struct aof_command command = {
        .args = reader->parser.arguments.items,
        .args_count = reader->parser.arguments.count,
        .database = reader->database,
        .is_in_transaction = reader->transaction == GIVING,
    };
    return reader->source->command(reader->source->observer.context, &command);
}

/* The file ends inside a command or a transaction. */
static enum aof_read_status cut_off(struct reader *reader) {
    bool is_transaction = reader->transaction == SEEKING_EXEC;
    buffer_format(reader->report,
                  "AOF file \"%s\" at byte %llu: expected %s whole, found the end of the file",
                  reader->name,
                  (unsigned long long)(is_transaction ? reader->transaction_at : offset_of(reader)),
                  is_transaction ? "a transaction" : "a command");
    return reader->source->takes_truncated ? AOF_READ_TRUNCATED : AOF_READ_DAMAGED;
}

static enum aof_read_status read_commands(struct reader *reader) {
    for (;;) {
        bool is_followed = false;
        enum step step = next_command(reader);
        size_t consumed = reader->parser.consumed;
        if (step == STEP_COMMAND) {
            step = follow(reader, &is_followed);
            if (step == STEP_END) {
                continue;
            }
        }
        switch (step) {
        case STEP_COMMAND:
            break;
        case STEP_END:
            return reader->transaction == NO_TRANSACTION ? AOF_READ_DONE : cut_off(reader);
        case STEP_CUT_OFF:
            return cut_off(reader);
        case STEP_DAMAGED:
            return AOF_READ_DAMAGED;
        case STEP_FAILED:
            return AOF_READ_FAILED;
        }
        if (!is_followed && reader->transaction != SEEKING_EXEC && !give(reader)) {
            buffer_format(reader->report, " (AOF file \"%s\" at byte %llu)", reader->name,
                          (unsigned long long)offset_of(reader));
            return AOF_READ_STOPPED;
        }
        reader->at += consumed;
    }
}

/* ---- files ---- */

static enum aof_read_status status_of_rdb(enum rdb_read_status status) {
    switch (status) {
    case RDB_READ_DONE:
        return AOF_READ_DONE;
    case RDB_READ_REFUSED:
        return AOF_READ_REFUSED;
    case RDB_READ_STOPPED:
        return AOF_READ_STOPPED;
    case RDB_READ_FAILED:
        return AOF_READ_FAILED;
    default:
        return AOF_READ_DAMAGED;
    }
}

/* An RDB file at the start, if there is one; *length is how long it is. */
static enum aof_read_status read_rdb_part(const struct reader *reader, uint64_t *length) {
    const size_t magic = sizeof(RDB_MAGIC) - 1;
    char start[sizeof(RDB_MAGIC)];
    *length = 0;
    int64_t count = reader->source->disk->read(reader->file, start, magic, 0);
    if (count != (int64_t)magic || memcmp(start, RDB_MAGIC, magic) != 0) {
        return AOF_READ_DONE;
    }
    const struct rdb_file_source source = {
        .disk = reader->source->disk,
        .name = reader->name,
        .observer = reader->source->observer,
    };
    return status_of_rdb(rdb_file_read(&source, length, reader->report));
}

enum aof_read_status aof_read_file(const struct aof_source *source, const char *name,
                                   struct buffer *report) {
    int error;
    struct disk_file *file = source->disk->open(source->disk->context, name, false, &error);
    if (file == NULL) {
        buffer_format(report, "AOF file \"%s\": cannot open: %s", name, strerror(-error));
        return AOF_READ_FAILED;
    }
    struct reader reader = {.source = source, .name = name, .report = report, .file = file};
    parser_init(&reader.parser);
    enum aof_read_status status = read_rdb_part(&reader, &reader.base);
    if (status == AOF_READ_DONE) {
        status = read_commands(&reader);
    }
    parser_free(&reader.parser);
    memory_free(reader.bytes);
    source->disk->close(file);
    return status;
}

static enum aof_read_status read_manifest(const struct aof_source *source, const char *name,
                                          struct aof_manifest *manifest, struct buffer *report) {
    int error;
    struct disk_file *file = source->disk->open(source->disk->context, name, false, &error);
    if (file == NULL) {
        buffer_format(report, "AOF manifest \"%s\": cannot open: %s", name, strerror(-error));
        return AOF_READ_FAILED;
    }
    char *text = memory_alloc(AOF_MANIFEST_BYTES_MAX);
    int64_t count = source->disk->read(file, text, AOF_MANIFEST_BYTES_MAX, 0);
    source->disk->close(file);
    enum aof_read_status status = AOF_READ_DONE;
    if (count < 0) {
        buffer_format(report, "AOF manifest \"%s\": cannot read: %s", name, strerror((int)-count));
        status = AOF_READ_FAILED;
    } else if (!aof_manifest_parse(manifest, name, span_of(text, (size_t)count), report)) {
        status = AOF_READ_DAMAGED;
    }
    memory_free(text);
    return status;
}

enum aof_read_status aof_read(const struct aof_source *source, const char *manifest,
                              struct buffer *report) {
    struct aof_manifest files;
    enum aof_read_status status = read_manifest(source, manifest, &files, report);
    if (status != AOF_READ_DONE) {
        return status;
    }
    struct aof_source part = *source;
    for (size_t i = 0; i < files.count && status == AOF_READ_DONE; i++) {
        /* Only the last one can have been written to when a crash came. */
        part.takes_truncated = source->takes_truncated && i + 1 == files.count;
        status = aof_read_file(&part, files.names[i], report);
    }
    aof_manifest_free(&files);
    return status;
}
