#include "server/config_entries.h"

#include "base/glob.h"
#include "base/memory.h"
#include "server/server.h"

#include <stdlib.h>
#include <unistd.h>

const struct option_table *const config_tables[CONFIG_TABLE_COUNT] = {
    &server_option_table,      &worker_option_table,  &store_option_table,
    &replication_option_table, &cluster_option_table, &unused_option_table,
};

static void entries_add(struct config *config, const struct option_table *table, void *options) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (option_is_title(row)) {
            continue;
        }
        struct config_entry *entry = &config->entries[config->count];
        config->count++;
        *entry = (struct config_entry){.row = row};
        entry->owns_place = row->offset == OPTION_NO_FIELD;
        entry->place = entry->owns_place ? memory_alloc_zeroed(option_place_bytes(row))
                                         : option_place(row, options);
        memset(entry->place, 0, option_place_bytes(row));
        option_init(row, entry->place);
    }
}

struct config *config_new(struct options *options) {
    struct config *config = memory_alloc(sizeof(*config));
    size_t rows = 0;
    for (size_t i = 0; i < CONFIG_TABLE_COUNT; i++) {
        rows += config_tables[i]->count;
    }
    *config = (struct config){
        .options = options,
        .commands = command_table_new(server_command_families, server_command_families_count),
        .entries = memory_alloc(rows * sizeof(struct config_entry)),
        .file = memory_copy_string(""),
        .standard_input = BUFFER_EMPTY,
    };
    char *start_dir = getcwd(NULL, 0);
    config->start_dir = memory_copy_string(start_dir == NULL ? "." : start_dir);
    free(start_dir);
    entries_add(config, &server_option_table, &options->server);
    entries_add(config, &worker_option_table, &options->worker);
    entries_add(config, &store_option_table, &options->store);
    entries_add(config, &replication_option_table, &options->server);
    entries_add(config, &cluster_option_table, &options->cluster);
    entries_add(config, &unused_option_table, NULL);
    return config;
}

void config_free(struct config *config) {
    for (size_t i = 0; i < config->count; i++) {
        option_clear(config->entries[i].row, config->entries[i].place);
        if (config->entries[i].owns_place) {
            memory_free(config->entries[i].place);
        }
    }
    for (size_t i = 0; i < config->argument_count; i++) {
        memory_free(config->arguments[i]);
    }
    memory_free(config->arguments);
    memory_free(config->entries);
    command_table_free(config->commands);
    memory_free(config->start_dir);
    memory_free(config->file);
    buffer_free(&config->standard_input);
    memory_free(config);
}

const struct command_table *config_command_table(const struct config *config) {
    return config->commands;
}

struct config_entry *config_find(const struct config *config, struct span name) {
    for (size_t i = 0; i < config->count; i++) {
        if (option_is_named(config->entries[i].row, name)) {
            return &config->entries[i];
        }
    }
    return NULL;
}

const char *config_file(const struct config *config) {
    return config->file;
}

bool config_is_sensitive(const struct config *config, struct span name) {
    const struct config_entry *entry = config_find(config, name);
    return entry != NULL && (entry->row->flags & OPTION_SENSITIVE) != 0;
}

void config_on_change(struct config *config, const char *name, config_change function,
                      void *context) {
    struct config_entry *entry = config_find(config, span_of_string(name));
    ASSERT(entry != NULL);
    ASSERT(entry->change == NULL);
    entry->change = function;
    entry->change_context = context;
}

/* CONFIG GET */

static bool is_plain(struct span pattern) {
    for (size_t i = 0; i < pattern.length; i++) {
        if (strchr("*?[", pattern.bytes[i]) != NULL && pattern.bytes[i] != '\0') {
            return false;
        }
    }
    return true;
}

/* A name that was asked for in full is answered as it was written, the others as the row has it. */
static void get_name(const struct config_entry *entry, const char *name,
                     const struct span *patterns, size_t count, config_found found, void *context) {
    bool hidden = (entry->row->flags & OPTION_HIDDEN) != 0;
    for (size_t i = 0; i < count; i++) {
        bool plain = is_plain(patterns[i]);
        bool matches = plain ? span_is(patterns[i], name)
                             : !hidden && glob_match_nocase(patterns[i], span_of_string(name));
        if (matches) {
            struct buffer value = BUFFER_EMPTY;
            option_format(entry->row, entry->place, &value);
            found(context, plain ? patterns[i] : span_of_string(name), buffer_span(&value));
            buffer_free(&value);
            return;
        }
    }
}

void config_get(const struct config *config, const struct span *patterns, size_t count,
                config_found found, void *context) {
    for (size_t i = 0; i < config->count; i++) {
        const struct config_entry *entry = &config->entries[i];
        get_name(entry, entry->row->name, patterns, count, found, context);
        if (entry->row->alias != NULL) {
            get_name(entry, entry->row->alias, patterns, count, found, context);
        }
    }
}

/* CONFIG SET: every new value is read into a place of its own first, then all are exchanged with
 * the old ones, then the changes are put into effect. Undoing is exchanging back. */

struct assignment {
    struct config_entry *entry;
    struct span name; /* as the client wrote it */
    struct span text;
    void *other; /* the new value, and once exchanged, the old one */
    bool changes;
};

static void assignment_exchange(struct assignment *assignment) {
    char *place = assignment->entry->place;
    char *other = assignment->other;
    for (size_t i = 0; i < option_place_bytes(assignment->entry->row); i++) {
        char byte = place[i];
        place[i] = other[i];
        other[i] = byte;
    }
}

static bool assignment_read(struct assignment *assignment, struct buffer *reason) {
    const struct option *row = assignment->entry->row;
    assignment->other = memory_alloc_zeroed(option_place_bytes(row));
    if (row->type == OPTION_CUSTOM) {
        /* What the text does not name stays as it is. */
        memcpy(assignment->other, assignment->entry->place, option_place_bytes(row));
    }
    if (!option_parse_text(row, assignment->other, assignment->text, reason)) {
        return false;
    }
    if ((row->flags & OPTION_UNSUPPORTED) != 0 && !option_is_default(row, assignment->other)) {
        buffer_append_string(reason, "this server does not support it");
        return false;
    }
    struct buffer texts = BUFFER_EMPTY;
    option_format(row, assignment->entry->place, &texts);
    size_t length = texts.length;
    option_format(row, assignment->other, &texts);
    assignment->changes = !span_equal(span_of(texts.bytes, length),
                                      span_of(texts.bytes + length, texts.length - length));
    buffer_free(&texts);
    return true;
}

/* True when an earlier assignment has already called the same function. */
static bool is_called(const struct assignment *assignments, size_t i) {
    const struct config_entry *entry = assignments[i].entry;
    for (size_t j = 0; j < i; j++) {
        if (assignments[j].changes && assignments[j].entry->change == entry->change &&
            assignments[j].entry->change_context == entry->change_context) {
            return true;
        }
    }
    return false;
}

/* Puts the first `count` into effect; answers how many it did, count unless one failed. */
static size_t assignments_apply(const struct assignment *assignments, size_t count,
                                struct buffer *reason) {
    for (size_t i = 0; i < count; i++) {
        const struct config_entry *entry = assignments[i].entry;
        bool due = assignments[i].changes && entry->change != NULL && !is_called(assignments, i);
        if (due && !entry->change(entry->change_context, reason)) {
            return i;
        }
    }
    return count;
}

/* Answers count, or the index of the assignment that failed: then nothing has changed. */
static size_t assignments_run(struct assignment *assignments, size_t count, struct buffer *reason) {
    for (size_t i = 0; i < count; i++) {
        if (!assignment_read(&assignments[i], reason)) {
            return i;
        }
    }
    for (size_t i = 0; i < count; i++) {
        assignment_exchange(&assignments[i]);
    }
    size_t applied = assignments_apply(assignments, count, reason);
    if (applied == count) {
        return count;
    }
    for (size_t i = count; i-- > 0;) {
        assignment_exchange(&assignments[i]);
    }
    /* What worked before should work again; if it does not, there is nothing better to do. */
    struct buffer ignored = BUFFER_EMPTY;
    for (size_t i = 0; i <= applied; i++) {
        const struct config_entry *entry = assignments[i].entry;
        if (assignments[i].changes && entry->change != NULL && !is_called(assignments, i)) {
            entry->change(entry->change_context, &ignored);
        }
    }
    buffer_free(&ignored);
    return applied;
}

static void assignments_free(struct assignment *assignments, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (assignments[i].other != NULL) {
            option_clear(assignments[i].entry->row, assignments[i].other);
            memory_free(assignments[i].other);
        }
    }
    memory_free(assignments);
}

static bool is_allowed(enum access_scope scope, bool local) {
    return scope == ACCESS_ANYBODY || (scope == ACCESS_LOCAL && local);
}

/* Why this option may not be set, or NULL. */
static const char *set_refusal(const struct config *config, const struct assignment *assignments,
                               size_t i, bool local) {
    const struct config_entry *entry = assignments[i].entry;
    if ((entry->row->flags & OPTION_IMMUTABLE) != 0) {
        return "can't set immutable config";
    }
    if ((entry->row->flags & OPTION_PROTECTED) != 0 &&
        !is_allowed(config->options->server.enable_protected_configs, local)) {
        return "can't set protected config";
    }
    for (size_t j = 0; j < i; j++) {
        /* By either name once is no duplicate for Redis: the last one counts. */
        bool by_alias = entry->row->alias != NULL &&
                        !span_equal_nocase(assignments[j].name, assignments[i].name);
        if (assignments[j].entry == entry && !by_alias) {
            return "duplicate parameter";
        }
    }
    return NULL;
}

/* A reply is one line. */
static void error_append(struct buffer *error, struct span text) {
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.bytes[i];
        buffer_append_byte(error, byte == '\r' || byte == '\n' ? ' ' : byte);
    }
}

static void set_failed(struct span name, struct span reason, struct buffer *error) {
    buffer_append_string(error, "ERR CONFIG SET failed (possibly related to argument '");
    error_append(error, name);
    buffer_append_string(error, reason.length == 0 ? "')" : "') - ");
    error_append(error, reason);
}

bool config_set(struct config *config, const struct span *pairs, size_t count, bool local,
                struct buffer *error) {
    ASSERT(count != 0);
    struct assignment *assignments = memory_alloc_zeroed(count * sizeof(*assignments));
    struct buffer reason = BUFFER_EMPTY;
    bool done = false;
    for (size_t i = 0; i < count; i++) {
        assignments[i].name = pairs[2 * i];
        assignments[i].text = pairs[2 * i + 1];
        assignments[i].entry = config_find(config, pairs[2 * i]);
        if (assignments[i].entry == NULL) {
            buffer_append_string(error,
                                 "ERR Unknown option or number of arguments for CONFIG SET - '");
            error_append(error, pairs[2 * i]);
            buffer_append_byte(error, '\'');
            goto out;
        }
        const char *refusal = set_refusal(config, assignments, i, local);
        if (refusal != NULL) {
            set_failed(pairs[2 * i], span_of_string(refusal), error);
            goto out;
        }
    }
    size_t failed = assignments_run(assignments, count, &reason);
    done = failed == count;
    if (!done) {
        set_failed(assignments[failed].name, buffer_span(&reason), error);
    }
out:
    buffer_free(&reason);
    assignments_free(assignments, count);
    return done;
}

/* Reloading: a second configuration is loaded from the same sources, and what differs is set. */

static struct config *config_load_again(const struct config *config, struct options *options,
                                        struct buffer *error) {
    struct config *fresh = config_new(options);
    memory_free(fresh->start_dir);
    fresh->start_dir = memory_copy_string(config->start_dir);
    buffer_append_span(&fresh->standard_input, buffer_span(&config->standard_input));
    fresh->arguments = memory_alloc_zeroed((config->argument_count + 1) * sizeof(char *));
    fresh->argument_count = config->argument_count;
    for (size_t i = 0; i < config->argument_count; i++) {
        fresh->arguments[i] = memory_copy_string(config->arguments[i]);
    }
    struct buffer notes = BUFFER_EMPTY; /* they were logged at the start */
    enum config_request request = config_load(fresh, &notes, error);
    buffer_free(&notes);
    if (request == CONFIG_REQUEST_FAIL) {
        config_free(fresh);
        return NULL;
    }
    return fresh;
}

bool config_reload(struct config *config, struct buffer *notes, struct buffer *error) {
    struct options *options = memory_alloc_zeroed(sizeof(*options));
    struct config *fresh = config_load_again(config, options, error);
    if (fresh == NULL) {
        memory_free(options);
        return false;
    }
    struct assignment *assignments = memory_alloc_zeroed(config->count * sizeof(*assignments));
    struct buffer *texts = memory_alloc_zeroed(config->count * sizeof(*texts));
    size_t count = 0;
    ASSERT(fresh->count == config->count);
    for (size_t i = 0; i < config->count; i++) {
        const struct option *row = config->entries[i].row;
        struct buffer now = BUFFER_EMPTY;
        option_format(row, config->entries[i].place, &now);
        option_format(row, fresh->entries[i].place, &texts[i]);
        bool same = span_equal(buffer_span(&now), buffer_span(&texts[i]));
        buffer_free(&now);
        if (!same && (row->flags & OPTION_IMMUTABLE) != 0) {
            buffer_format(notes, "The option '%s' has a new value, which needs a restart\n",
                          row->name);
        } else if (!same) {
            assignments[count].entry = &config->entries[i];
            assignments[count].name = span_of_string(row->name);
            assignments[count].text = buffer_span(&texts[i]);
            count++;
        }
    }
    struct buffer reason = BUFFER_EMPTY;
    size_t failed = assignments_run(assignments, count, &reason);
    if (failed != count) {
        buffer_format(error,
                      "The option '%s' could not be set: ", assignments[failed].entry->row->name);
        buffer_append_span(error, buffer_span(&reason));
        buffer_append_byte(error, '\n');
    }
    buffer_free(&reason);
    assignments_free(assignments, count);
    for (size_t i = 0; i < config->count; i++) {
        buffer_free(&texts[i]);
    }
    memory_free(texts);
    config_free(fresh);
    memory_free(options);
    return failed == count;
}
