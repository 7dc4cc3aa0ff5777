#include "execute/importer.h"

#include "store/value_codec.h"

/* Shows as much of a key or command as helps to find it. */
#define SHOWN_BYTES_MAX 64

void importer_init(struct importer *importer, const struct importer_plan *plan) {
    *importer = (struct importer){
        .environment = plan->environment,
        .commands = plan->commands,
        .now_ms = plan->now_ms,
        .keeps_expired = plan->keeps_expired,
        .reason = IMPORT_FAILED,
        .restore = command_table_row(plan->commands, "restore"),
    };
    reply_init(&importer->reply, 2);
}

void importer_free(struct importer *importer) {
    reply_free(&importer->reply);
}

/* ---- reports ---- */

static void report_text(struct buffer *report, struct span text) {
    for (size_t i = 0; i < text.length && i < SHOWN_BYTES_MAX; i++) {
        char byte = text.bytes[i];
        buffer_append_byte(report, byte >= ' ' && byte <= '~' ? byte : '?');
    }
}

/* What is refused: "key \"name\" of database 3: " and the reason. */
struct refusal {
    enum import_status status;
    const char *reason;
};

static bool refuse_key(struct importer *importer, const struct rdb_key *key, struct refusal refusal,
                       struct buffer *report) {
    buffer_append_string(report, "key \"");
    report_text(report, key->key);
    buffer_format(report, "\" of database %u: %s", key->database, refusal.reason);
    importer->reason = refusal.status;
    return false;
}

static bool refuse_command(struct importer *importer, const struct aof_command *command,
                           const char *reason, struct buffer *report) {
    buffer_append_string(report, "command \"");
    report_text(report, command->args[0]);
    buffer_format(report, "\" in database %u: %s", command->database, reason);
    importer->reason = IMPORT_REFUSED;
    return false;
}

/* ---- keys ---- */

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

static void emit_key(struct importer *importer, const struct rdb_key *key, struct place *place,
                     struct value_content *content) {
    struct call call = {
        .environment = importer->environment,
        .command = importer->restore,
        .args = &key->key,
        .args_count = 1,
        .database = key->database,
        .reply = &importer->reply,
    };
    call_emit(&call, place,
              &(struct effect){
                  .kind = EFFECT_VALUE_RESTORE,
                  .value = key->payload,
                  .content = content,
                  .number = access_of(place->store, key),
                  .expiry_ms = key->expiry_ms,
              });
    importer->result.keys++;
}

static bool take_key(struct importer *importer, const struct rdb_key *key, struct buffer *report) {
    struct place place = {
        .key = key->key, .database = key->database, .slot = slot_of_key(key->key)};
    place.store = keyspace_store(importer->environment->keyspace, place.slot);
    place.hash = store_hash(place.store, key->key);
    place_find(&place);
    if (place.cell != NULL) {
        return refuse_key(importer, key,
                          (struct refusal){IMPORT_DAMAGED, "expected it once, found it twice"},
                          report);
    }
    struct value_content content;
    switch (value_decode(place.store, key->payload, &content)) {
    case VALUE_DECODED:
        emit_key(importer, key, &place, &content);
        return true;
    case VALUE_EMPTY:
        importer->result.empty_keys++;
        return true;
    case VALUE_NO_MEMORY:
        return refuse_key(importer, key, (struct refusal){IMPORT_FAILED, "no memory for its value"},
                          report);
    default:
        return refuse_key(importer, key,
                          (struct refusal){IMPORT_DAMAGED, "expected a value, found a damaged one"},
                          report);
    }
}

bool importer_key(struct importer *importer, const struct rdb_key *key, struct buffer *report) {
    if (key->database >= importer->environment->keyspace->database_count) {
        return refuse_key(importer, key,
                          (struct refusal){IMPORT_REFUSED, "there are not so many databases"},
                          report);
    }
    if (key->key.length > ENTRY_KEY_BYTES_MAX) {
        return refuse_key(importer, key,
                          (struct refusal){IMPORT_REFUSED, "a key of this length is too long"},
                          report);
    }
    bool is_expired = key->expiry_ms != ENTRY_NO_EXPIRY && key->expiry_ms <= importer->now_ms;
    if (is_expired && !importer->keeps_expired) {
        importer->result.expired_keys++;
        return true;
    }
    return take_key(importer, key, report);
}

/* ---- commands ---- */

static bool is_of_functions(struct span name) {
    return span_is(name, "function") || span_is(name, "script");
}

static void run(struct importer *importer, const struct command *row,
                const struct aof_command *command) {
    struct call call = {
        .environment = importer->environment,
        .command = row,
        .args = command->args,
        .args_count = command->args_count,
        .database = command->database,
        .reply = &importer->reply,
        .now_ms = importer->now_ms,
        .is_of_primary = true,
    };
    row->run(&call);
    importer->result.commands++;
    if (importer->reply.buffer.length != 0 && importer->reply.buffer.bytes[0] == '-') {
        importer->result.failed_commands++;
    }
    reply_clear(&importer->reply);
}

bool importer_command(struct importer *importer, const struct aof_command *command,
                      struct buffer *report) {
    if (command->database >= importer->environment->keyspace->database_count) {
        return refuse_command(importer, command, "there are not so many databases", report);
    }
    if (is_of_functions(command->args[0])) {
        importer->result.libraries++;
        return true;
    }
    const struct command_slot *container;
    const struct command_slot *slot =
        command_table_resolve(importer->commands, command->args, command->args_count, &container);
    if (slot == NULL || slot->command->run == NULL || (slot->command->flags & COMMAND_WRITE) == 0) {
        return refuse_command(importer, command,
                              "expected a command that writes data, which this version has",
                              report);
    }
    if (!command_arity_fits(slot->command, command->args_count)) {
        return refuse_command(importer, command, "found the wrong number of arguments", report);
    }
    run(importer, slot->command, command);
    return true;
}
