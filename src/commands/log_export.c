#include "commands/log_export.h"

#include "base/assertion.h"
#include "base/bytes.h"
#include "base/crc64.h"
#include "base/numbers.h"
#include "base/option.h"
#include "store/entry.h"

#define ARGUMENTS_MAX 8
#define LINE_PART_BYTES_MAX ((size_t)200)
/* Of RDB payloads: the version of Redis 7.0, which all that load them know. */
#define FOOTER_VERSION 10
#define FOOTER_BYTES 10

/* ---- commands ---- */

struct command_text {
    struct span arguments[ARGUMENTS_MAX];
    char numbers[ARGUMENTS_MAX][NUMBER_TEXT_BYTES_MAX];
    size_t count;
};

static void add(struct command_text *command, struct span argument) {
    ASSERT(command->count < ARGUMENTS_MAX);
    command->arguments[command->count++] = argument;
}

static void add_word(struct command_text *command, const char *word) {
    add(command, span_of_string(word));
}

static void add_number(struct command_text *command, int64_t number) {
    char *place = command->numbers[command->count];
    add(command, span_of(place, number_format(place, number)));
}

static void finish(const struct command_text *command, struct buffer *commands) {
    buffer_format(commands, "*%zu\r\n", command->count);
    for (size_t i = 0; i < command->count; i++) {
        buffer_format(commands, "$%zu\r\n", command->arguments[i].length);
        buffer_append_span(commands, command->arguments[i]);
        buffer_append_string(commands, "\r\n");
    }
}

static void select_database(struct log_export *export, int64_t database, struct buffer *commands) {
    if (export->database != database) {
        struct command_text command = {.count = 0};
        add_word(&command, "SELECT");
        add_number(&command, database);
        finish(&command, commands);
        export->database = database;
    }
}

/* To another key or another database, taking the place of what is there. */
static void move_commands(const struct effect_record *record, struct buffer *commands) {
    const struct effect *effect = &record->effect;
    struct command_text command = {.count = 0};
    bool is_rename = effect->number == (int64_t)record->database;
    add_word(&command, is_rename ? "RENAME" : "COPY");
    add(&command, record->key);
    add(&command, effect->field);
    if (!is_rename) {
        add_word(&command, "DB");
        add_number(&command, effect->number);
        add_word(&command, "REPLACE");
        finish(&command, commands);
        command.count = 0;
        add_word(&command, "DEL");
        add(&command, record->key);
    }
    finish(&command, commands);
}

/* The payload with a footer, as RESTORE wants it. */
static void restore_command(const struct effect_record *record, struct buffer *commands) {
    struct buffer dumped = BUFFER_EMPTY;
    buffer_append_span(&dumped, record->effect.value);
    char footer[FOOTER_BYTES];
    bytes_store_u16(footer, FOOTER_VERSION);
    buffer_append(&dumped, footer, 2);
    bytes_store_u64(footer, crc64_add(CRC64_EMPTY, buffer_span(&dumped)));
    buffer_append(&dumped, footer, 8);
    struct command_text command = {.count = 0};
    bool expires = record->effect.expiry_ms != ENTRY_NO_EXPIRY;
    add_word(&command, "RESTORE");
    add(&command, record->key);
    add_number(&command, expires ? record->effect.expiry_ms : 0);
    add(&command, buffer_span(&dumped));
    add_word(&command, "REPLACE");
    if (expires) {
        add_word(&command, "ABSTTL");
    }
    finish(&command, commands);
    buffer_free(&dumped);
}

static void value_put_command(const struct effect_record *record, struct command_text *command) {
    add_word(command, "SET");
    add(command, record->key);
    add(command, record->effect.value);
    if (record->effect.expiry_ms != ENTRY_NO_EXPIRY) {
        add_word(command, "PXAT");
        add_number(command, record->effect.expiry_ms);
    }
}

static void expire_command(const struct effect_record *record, struct command_text *command) {
    bool expires = record->effect.expiry_ms != ENTRY_NO_EXPIRY;
    add_word(command, expires ? "PEXPIREAT" : "PERSIST");
    add(command, record->key);
    if (expires) {
        add_number(command, record->effect.expiry_ms);
    }
}

/* Those of one command. */
static void simple_command(const struct effect_record *record, struct command_text *command) {
    const struct effect *effect = &record->effect;
    switch (effect->kind) {
    case EFFECT_VALUE_PUT:
        value_put_command(record, command);
        break;
    case EFFECT_KEY_DELETE:
        add_word(command, "DEL");
        add(command, record->key);
        break;
    case EFFECT_KEY_EXPIRE_AT:
        expire_command(record, command);
        break;
    case EFFECT_STRING_PATCH:
        add_word(command, "SETRANGE");
        add(command, record->key);
        add_number(command, effect->number);
        add(command, effect->value);
        break;
    case EFFECT_INTEGER_PUT:
        add_word(command, "SET");
        add(command, record->key);
        add_number(command, effect->number);
        add_word(command, "KEEPTTL");
        break;
    case EFFECT_HASH_PUT:
        add_word(command, "HSET");
        add(command, record->key);
        add(command, effect->field);
        add(command, effect->value);
        break;
    case EFFECT_HASH_DELETE:
        add_word(command, "HDEL");
        add(command, record->key);
        add(command, effect->field);
        break;
    case EFFECT_DATABASE_FLUSH:
        add_word(command, "FLUSHDB");
        break;
    case EFFECT_DATABASE_SWAP:
        add_word(command, "SWAPDB");
        add_number(command, (int64_t)((uint64_t)effect->number >> 32));
        add_number(command, (int64_t)(uint32_t)effect->number);
        break;
    default:
        break;
    }
}

void log_export_commands(struct log_export *export, const struct effect_record *record,
                         struct buffer *commands) {
    const struct effect *effect = &record->effect;
    if (effect->kind == EFFECT_SLOT_DIGEST) {
        return;
    }
    if (effect->kind == EFFECT_DATABASE_FLUSH) {
        select_database(export, effect->number, commands);
    } else if (effect->kind != EFFECT_DATABASE_SWAP) {
        select_database(export, (int64_t)record->database, commands);
    }
    if (effect->kind == EFFECT_KEY_MOVE) {
        move_commands(record, commands);
    } else if (effect->kind == EFFECT_VALUE_RESTORE) {
        restore_command(record, commands);
    } else {
        struct command_text command = {.count = 0};
        simple_command(record, &command);
        ASSERT(command.count > 0);
        finish(&command, commands);
    }
}

/* ---- text ---- */

static void part(struct buffer *text, const char *name, struct span bytes) {
    size_t shown = bytes.length < LINE_PART_BYTES_MAX ? bytes.length : LINE_PART_BYTES_MAX;
    buffer_format(text, " %s=", name);
    option_quote(span_of(bytes.bytes, shown), text);
    if (shown < bytes.length) {
        buffer_format(text, "...(%zu bytes)", bytes.length);
    }
}

void log_export_line(const struct effect_record *record, struct buffer *text) {
    const struct effect *effect = &record->effect;
    const struct effect_kind_row *row = effect_kind_find((unsigned)effect->kind);
    ASSERT(row != NULL);
    buffer_append_string(text, row->name);
    if ((row->parts & EFFECT_PART_SLOT) != 0) {
        buffer_format(text, " slot=%u", record->slot);
    }
    if ((row->parts & EFFECT_PART_KEY) != 0) {
        buffer_format(text, " database=%u slot=%u", record->database, record->slot);
        part(text, "key", record->key);
    }
    if ((row->parts & EFFECT_PART_FIELD) != 0) {
        part(text, "field", effect->field);
    }
    if ((row->parts & EFFECT_PART_VALUE) != 0) {
        part(text, "value", effect->value);
    }
    if ((row->parts & EFFECT_PART_NUMBER) != 0) {
        buffer_format(text, " number=%lld", (long long)effect->number);
    }
    if ((row->parts & EFFECT_PART_EXPIRY) != 0 && effect->expiry_ms != ENTRY_NO_EXPIRY) {
        buffer_format(text, " expiry_ms=%lld", (long long)effect->expiry_ms);
    }
    if (effect->event != EVENT_NONE) {
        buffer_format(text, " event=%s", event_name(effect->event));
    }
    buffer_append_byte(text, '\n');
}
