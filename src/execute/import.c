#include "execute/import.h"

#include "snapshot/rdb_file.h"
#include "store/value_codec.h"

#define MANIFEST_ENDING ".manifest"

/* Shows as much of a key or command as helps to find it. */
#define SHOWN_BYTES_MAX 64

struct import {
    const struct import_plan *plan;
    struct import_result *result;
    struct buffer *report;
    struct reply reply;
    const struct command *restore;
    bool keeps_expired;        /* commands that follow may need them */
    enum import_status reason; /* why the reader was stopped */
};

/* ---- reports ---- */

static void report_text(struct import *import, struct span text) {
    for (size_t i = 0; i < text.length && i < SHOWN_BYTES_MAX; i++) {
        char byte = text.bytes[i];
        buffer_append_byte(import->report, byte >= ' ' && byte <= '~' ? byte : '?');
    }
}

/* "key \"name\" of database 3: " and the reason. */
static bool stop_at_key(struct import *import, const struct rdb_key *key, enum import_status status,
                        const char *reason) {
    buffer_append_string(import->report, "key \"");
    report_text(import, key->key);
    buffer_format(import->report, "\" of database %u: %s", key->database, reason);
    import->reason = status;
    return false;
}

static bool stop_at_command(struct import *import, const struct aof_command *command,
                            const char *reason) {
    buffer_append_string(import->report, "command \"");
    report_text(import, command->args[0]);
    buffer_format(import->report, "\" in database %u: %s", command->database, reason);
    import->reason = IMPORT_REFUSED;
    return false;
}

/* ---- keys of RDB files ---- */

static int64_t access_of(const struct store *store, const struct rdb_key *key) {
    enum maxmemory_policy policy = store->options->maxmemory_policy;
    if (maxmemory_policy_is_lfu(policy) && key->frequency != RDB_NO_ACCESS) {
        return store_access_frequency(store, (uint8_t)key->frequency);
    }
    if (!maxmemory_policy_is_lfu(policy) && key->idle_seconds != RDB_NO_ACCESS) {
        return store_access_idle(store, (uint64_t)key->idle_seconds);
    }
    return VALUE_ACCESS_NEW;
}

static void emit_key(struct import *import, const struct rdb_key *key, struct place *place,
                     struct value_content *content) {
    struct call call = {
        .environment = import->plan->environment,
        .command = import->restore,
        .args = &key->key,
        .args_count = 1,
        .database = key->database,
        .reply = &import->reply,
    };
    call_emit(&call, place,
              &(struct effect){
                  .kind = EFFECT_VALUE_RESTORE,
                  .value = key->payload,
                  .content = content,
                  .number = access_of(place->store, key),
                  .expiry_ms = key->expiry_ms,
              });
    import->result->keys++;
}

static bool take_key(struct import *import, const struct rdb_key *key) {
    const struct keyspace *keyspace = import->plan->environment->keyspace;
    struct place place = {
        .key = key->key, .database = key->database, .slot = slot_of_key(key->key)};
    place.store = keyspace_store(keyspace, place.slot);
    place.hash = store_hash(place.store, key->key);
    place_find(&place);
    if (place.cell != NULL) {
        return stop_at_key(import, key, IMPORT_DAMAGED, "expected it once, found it twice");
    }
    struct value_content content;
    switch (value_decode(place.store, key->payload, &content)) {
    case VALUE_DECODED:
        emit_key(import, key, &place, &content);
        return true;
    case VALUE_EMPTY:
        import->result->empty_keys++;
        return true;
    case VALUE_NO_MEMORY:
        return stop_at_key(import, key, IMPORT_FAILED, "no memory for its value");
    default:
        return stop_at_key(import, key, IMPORT_DAMAGED, "expected a value, found a damaged one");
    }
}

static bool key_seen(void *context, const struct rdb_key *key) {
    struct import *import = context;
    if (key->database >= import->plan->environment->keyspace->database_count) {
        return stop_at_key(import, key, IMPORT_REFUSED, "there are not so many databases");
    }
    if (key->key.length > ENTRY_KEY_BYTES_MAX) {
        return stop_at_key(import, key, IMPORT_REFUSED, "a key of this length is too long");
    }
    bool is_expired = key->expiry_ms != ENTRY_NO_EXPIRY && key->expiry_ms <= import->plan->now_ms;
    if (is_expired && !import->keeps_expired) {
        import->result->expired_keys++;
        return true;
    }
    return take_key(import, key);
}

static void functions_seen(void *context, struct span code) {
    struct import *import = context;
    (void)code;
    import->result->libraries++;
}

/* ---- commands of append only files ---- */

static bool is_of_functions(struct span name) {
    return span_is(name, "function") || span_is(name, "script");
}

static void run(struct import *import, const struct command *row,
                const struct aof_command *command) {
    struct call call = {
        .environment = import->plan->environment,
        .command = row,
        .args = command->args,
        .args_count = command->args_count,
        .database = command->database,
        .reply = &import->reply,
    };
    row->run(&call);
    import->result->commands++;
    if (import->reply.buffer.length != 0 && import->reply.buffer.bytes[0] == '-') {
        import->result->failed_commands++;
    }
    reply_clear(&import->reply);
}

static bool command_seen(void *context, const struct aof_command *command) {
    struct import *import = context;
    if (command->database >= import->plan->environment->keyspace->database_count) {
        return stop_at_command(import, command, "there are not so many databases");
    }
    if (is_of_functions(command->args[0])) {
        import->result->libraries++;
        return true;
    }
    const struct command_slot *container;
    const struct command_slot *slot = command_table_resolve(import->plan->commands, command->args,
                                                            command->args_count, &container);
    if (slot == NULL || slot->command->run == NULL || (slot->command->flags & COMMAND_WRITE) == 0) {
        return stop_at_command(import, command,
                               "expected a command that writes data, which this version has");
    }
    if (!command_arity_fits(slot->command, command->args_count)) {
        return stop_at_command(import, command, "found the wrong number of arguments");
    }
    run(import, slot->command, command);
    return true;
}

/* ---- files ---- */

static void import_open(struct import *import, const struct import_plan *plan,
                        struct import_result *result, struct buffer *report) {
    *result = (struct import_result){0};
    *import = (struct import){
        .plan = plan,
        .result = result,
        .report = report,
        .restore =
            command_table_find(plan->commands, (struct span)SPAN_LITERAL("restore"))->command,
        .reason = IMPORT_FAILED,
    };
    reply_init(&import->reply, 2);
}

static struct rdb_observer observer_of(struct import *import) {
    return (struct rdb_observer){
        .context = import,
        .key = key_seen,
        .functions = functions_seen,
    };
}

enum import_status import_rdb(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report) {
    struct import import;
    import_open(&import, plan, result, report);
    const struct rdb_file_source source = {
        .disk = plan->disk, .name = name, .observer = observer_of(&import)};
    enum rdb_read_status status = rdb_file_read(&source, NULL, report);
    reply_free(&import.reply);
    switch (status) {
    case RDB_READ_DONE:
        return IMPORT_DONE;
    case RDB_READ_STOPPED:
        return import.reason;
    case RDB_READ_REFUSED:
        return IMPORT_REFUSED;
    case RDB_READ_FAILED:
        return IMPORT_FAILED;
    default:
        return IMPORT_DAMAGED;
    }
}

static bool is_manifest(const char *name) {
    size_t length = strlen(name);
    const size_t ending = sizeof(MANIFEST_ENDING) - 1;
    return length > ending && strcmp(name + length - ending, MANIFEST_ENDING) == 0;
}

enum import_status import_aof(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report) {
    struct import import;
    import_open(&import, plan, result, report);
    import.keeps_expired = true;
    const struct aof_source source = {
        .disk = plan->disk,
        .takes_truncated = plan->takes_truncated,
        .observer = observer_of(&import),
        .command = command_seen,
    };
    enum aof_read_status status =
        is_manifest(name) ? aof_read(&source, name, report) : aof_read_file(&source, name, report);
    reply_free(&import.reply);
    switch (status) {
    case AOF_READ_DONE:
        return IMPORT_DONE;
    case AOF_READ_TRUNCATED:
        return IMPORT_TRUNCATED;
    case AOF_READ_STOPPED:
        return import.reason;
    case AOF_READ_REFUSED:
        return IMPORT_REFUSED;
    case AOF_READ_FAILED:
        return IMPORT_FAILED;
    default:
        return IMPORT_DAMAGED;
    }
}
