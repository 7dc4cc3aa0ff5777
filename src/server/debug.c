/* DEBUG: for those who test clients and the server itself. Refused unless enable-debug-command says
 * otherwise.
 *
 * One command for COMMAND's eyes, as in Redis; its subcommands are rows of a table of their own.
 * All workers stand still meanwhile: it may look at any key, and DEBUG SLEEP holds up everybody.
 */
#include "base/glob.h"
#include "base/logger.h"
#include "base/memory.h"
#include "server/debug_data.h"
#include "server/server_commands.h"
#include "store/hash_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define PACKED_THRESHOLD_MAX ((int64_t)4 * 1024 * 1024 * 1024)
/* Where the length of a string takes one, two or five bytes in Redis' own files. */
#define SHORT_LENGTH_MAX 63
#define MIDDLE_LENGTH_MAX 16383

static void reply_usage_error(struct session *session) {
    size_t shown = session->args[1].length < 128 ? session->args[1].length : 128;
    reply_error_format(session->reply,
                       "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG "
                       "HELP.",
                       (int)shown, session->args[1].bytes);
}

/* ---- keys ---- */

/* The key's entry and its store. NULL: the reply says that there is none. */
static struct entry *find_key(struct session *session, struct span key, struct store **store) {
    uint16_t slot = slot_of_key(key);
    *store = keyspace_store(session_node(session)->keyspace, slot);
    const uint64_t *cell =
        store_find(*store, session->connection->database, slot, store_hash(*store, key), key);
    struct entry *entry = cell == NULL ? NULL : table_cell_element(*cell);
    bool is_expired = entry != NULL && entry_has(entry, ENTRY_FLAG_EXPIRY) &&
                      entry_expiry(entry) <= session->worker->now_ms;
    if (entry == NULL || is_expired) {
        reply_error(session->reply, "ERR no such key");
        return NULL;
    }
    return entry;
}

/* Bytes that a string takes in Redis' own files, uncompressed. */
static size_t string_serialized_bytes(const struct entry *entry) {
    int64_t number = 0;
    if (value_string_is_integer(entry, &number) && number >= INT32_MIN && number <= INT32_MAX) {
        return number == (int8_t)number ? 2 : number == (int16_t)number ? 3 : 5;
    }
    size_t length = value_string_length(entry);
    return length + (length <= SHORT_LENGTH_MAX ? 1 : length <= MIDDLE_LENGTH_MAX ? 2 : 5);
}

static void object_command(struct session *session) {
    struct store *store = NULL;
    const struct entry *entry = find_key(session, session->args[2], &store);
    if (entry == NULL) {
        return;
    }
    size_t serialized = value_type_of(entry) == VALUE_STRING ? string_serialized_bytes(entry)
                                                             : value_memory_bytes(store, entry, 0);
    char text[256];
    snprintf(text, sizeof(text),
             "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:%llu",
             (const void *)entry, value_encoding(entry), serialized, entry_access(entry),
             (unsigned long long)store_idle_seconds(store, entry));
    reply_status(session->reply, text);
}

static void flip_bit_command(struct session *session) {
    struct store *store = NULL;
    int64_t bit = 0;
    if (!session_integer(session, 3, &bit, NULL)) {
        return;
    }
    if (bit < 0) {
        reply_error(session->reply, "ERR value is out of range, must be positive");
        return;
    }
    if (find_key(session, session->args[2], &store) == NULL) {
        return;
    }
    struct span key = session->args[2];
    struct place place = {
        .store = store,
        .key = key,
        .hash = store_hash(store, key),
        .database = session->connection->database,
        .slot = slot_of_key(key),
    };
    place_find(&place);
    if (effect_flip_bit(&place, (uint64_t)bit)) {
        reply_ok(session->reply);
    } else {
        reply_error(session->reply, "ERR the value has no bytes");
    }
}

static void populate_one(struct call *call, struct buffer *key, struct buffer *value) {
    struct place place = call_place(call, buffer_span(key));
    if (place.cell == NULL) {
        struct effect effect = {
            .kind = EFFECT_VALUE_PUT,
            .value = buffer_span(value),
            .expiry_ms = ENTRY_NO_EXPIRY,
        };
        call_emit(call, &place, &effect);
    }
}

static void populate_command(struct session *session) {
    int64_t count = 0;
    int64_t size = 0;
    for (uint32_t i = 2; i < session->args_count; i += 2) {
        if (!number_parse(session->args[i], i == 2 ? &count : &size) ||
            (i == 2 ? count : size) < 0) {
            reply_error(session->reply, "ERR value is out of range, must be positive");
            return;
        }
    }
    struct span prefix = session->args_count > 3 ? session->args[3] : span_of_string("key");
    struct call call = {
        .environment = &session->worker->executor.environment,
        .command = session->command->command,
        .args = session->args,
        .args_count = session->args_count,
        .database = session->connection->database,
        .reply = session->reply,
        .now_ms = session->worker->now_ms,
    };
    struct buffer key = BUFFER_EMPTY;
    struct buffer value = BUFFER_EMPTY;
    for (int64_t i = 0; i < count; i++) {
        buffer_clear(&key);
        buffer_clear(&value);
        buffer_append_span(&key, prefix);
        buffer_format(&key, ":%lld", (long long)i);
        buffer_format(&value, "value:%lld", (long long)i);
        if (size > 0 && value.length > (size_t)size) {
            value.length = (size_t)size;
        } else if (size > 0) {
            size_t rest = (size_t)size - value.length;
            memset(buffer_reserve(&value, rest), 0, rest);
            buffer_commit(&value, rest);
        }
        populate_one(&call, &key, &value);
    }
    buffer_free(&key);
    buffer_free(&value);
    session->worker->executor.changes += call.changes;
    reply_ok(session->reply);
}

/* ---- tables ---- */

static void add_statistics(struct table_statistics *sum, const struct table_statistics *one) {
    sum->size_bytes += one->size_bytes;
    sum->buckets += one->buckets;
    sum->children += one->children;
    sum->used_buckets += one->used_buckets;
    sum->chain_max = one->chain_max > sum->chain_max ? one->chain_max : sum->chain_max;
    for (size_t i = 0; i < sizeof(sum->chains) / sizeof(sum->chains[0]); i++) {
        sum->chains[i] += one->chains[i];
    }
}

static void append_statistics(struct buffer *text, const struct table_statistics *statistics,
                              uint64_t elements) {
    if (elements == 0) {
        buffer_append_string(text, "No stats available for empty dictionaries\n");
        return;
    }
    uint32_t used = statistics->used_buckets == 0 ? 1 : statistics->used_buckets;
    buffer_format(text,
                  " table size: %u\n number of elements: %llu\n different slots: %u\n"
                  " overflow buckets: %u\n bytes: %zu\n max chain length: %u\n"
                  " avg chain length (counted): %.02f\n Chain length distribution:\n",
                  statistics->buckets, (unsigned long long)elements, statistics->used_buckets,
                  statistics->children, statistics->size_bytes, statistics->chain_max,
                  (double)elements / used);
    for (size_t i = 0; i < sizeof(statistics->chains) / sizeof(statistics->chains[0]); i++) {
        if (statistics->chains[i] != 0) {
            buffer_format(text, "   %zu: %u (%.02f%%)\n", i, statistics->chains[i],
                          100.0 * statistics->chains[i] / statistics->buckets);
        }
    }
}

static void htstats_command(struct session *session) {
    const struct keyspace *keyspace = session_node(session)->keyspace;
    int64_t database = 0;
    if (!session_integer(session, 2, &database, NULL)) {
        return;
    }
    if (database < 0 || database >= keyspace->database_count) {
        reply_error(session->reply, "ERR Out of range database");
        return;
    }
    struct table_statistics sum = {0};
    uint32_t tables = 0;
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        const struct store *store = keyspace->stores[i];
        for (uint32_t slot = store_next_slot(store, (uint32_t)database, store->slot_first);
             slot < SLOTS; slot = store_next_slot(store, (uint32_t)database, slot + 1)) {
            struct table_statistics one;
            table_statistics_read(store_table(store, (uint32_t)database, (uint16_t)slot), &one);
            add_statistics(&sum, &one);
            tables++;
        }
    }
    struct buffer text = BUFFER_EMPTY;
    buffer_format(&text, "[Dictionary HT]\nHash tables of %u slots:\n", tables);
    append_statistics(&text, &sum, keyspace_keys(keyspace, (uint32_t)database));
    buffer_format(&text, "[Expires HT]\nKeys with an expiry, which stands in their entry: %llu\n",
                  (unsigned long long)keyspace_volatile_keys(keyspace, (uint32_t)database));
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

static void htstats_key_command(struct session *session) {
    struct store *store = NULL;
    const struct entry *entry = find_key(session, session->args[2], &store);
    struct table_statistics statistics;
    if (entry == NULL) {
        return;
    }
    if (value_type_of(entry) != VALUE_HASH || !hash_value_table_statistics(entry, &statistics)) {
        reply_error(session->reply, "ERR The value stored at the specified key is not represented "
                                    "using an hash table");
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    buffer_append_string(&text, "Hash table 0 stats (main hash table):\n");
    append_statistics(&text, &statistics, value_elements(entry));
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

/* ---- time and replies ---- */

static void sleep_command(struct session *session) {
    double seconds = 0;
    if (!number_parse_double(session->args[2], &seconds) || !(seconds > 0)) {
        seconds = 0;
    }
    double whole = 0;
    double part = modf(seconds, &whole);
    struct timespec rest = {.tv_sec = (time_t)whole, .tv_nsec = (long)(part * 1e9)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
    reply_ok(session->reply);
}

/* Whatever bytes they are, but for the ends of lines: this is no error that happened. */
static void error_command(struct session *session) {
    struct buffer *buffer = &session->reply->buffer;
    struct span text = session->args[2];
    buffer_append_byte(buffer, '-');
    for (size_t i = 0; i < text.length; i++) {
        bool ends_line = text.bytes[i] == '\r' || text.bytes[i] == '\n';
        buffer_append_byte(buffer, ends_line ? ' ' : text.bytes[i]);
    }
    buffer_append_string(buffer, "\r\n");
    session->is_no_error = true;
}

static void log_command(struct session *session) {
    struct span text = session->args[2];
    log_warning("DEBUG LOG: %.*s", (int)text.length, text.bytes);
    reply_ok(session->reply);
}

static void reply_string_example(struct reply *reply) {
    reply_bulk_string(reply, "Hello World");
}

static void reply_integer_example(struct reply *reply) {
    reply_integer(reply, 12345);
}

static void reply_double_example(struct reply *reply) {
    reply_double(reply, 3.141);
}

static void reply_null_example(struct reply *reply) {
    reply_null(reply);
}

static void reply_array_example(struct reply *reply) {
    reply_array(reply, 3);
    for (int i = 0; i < 3; i++) {
        reply_integer(reply, i);
    }
}

static void reply_set_example(struct reply *reply) {
    reply_set(reply, 3);
    for (int i = 0; i < 3; i++) {
        reply_integer(reply, i);
    }
}

static void reply_map_example(struct reply *reply) {
    reply_map(reply, 3);
    for (int i = 0; i < 3; i++) {
        reply_integer(reply, i);
        reply_boolean(reply, i == 1);
    }
}

static void reply_attribute_example(struct reply *reply) {
    if (reply->protocol == 3) {
        reply_attribute(reply, 1);
        reply_bulk_string(reply, "key-popularity");
        reply_array(reply, 2);
        reply_bulk_string(reply, "key:123");
        reply_integer(reply, 90);
    }
    reply_bulk_string(reply, "Some real reply following the attribute");
}

static void reply_push_example(struct reply *reply) {
    if (reply->protocol != 3) {
        reply_error(reply, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(reply, 2);
    reply_bulk_string(reply, "server-cpu-usage");
    reply_integer(reply, 42);
    reply_bulk_string(reply, "Some real reply following the push reply");
}

static void reply_big_number_example(struct reply *reply) {
    reply_big_number(reply, span_of_string("1234567999999999999999999999999999999"));
}

static void reply_verbatim_example(struct reply *reply) {
    reply_verbatim(reply, "txt", span_of_string("This is a verbatim\nstring"));
}

static void reply_true_example(struct reply *reply) {
    reply_boolean(reply, true);
}

static void reply_false_example(struct reply *reply) {
    reply_boolean(reply, false);
}

static void protocol_command(struct session *session) {
    static const struct {
        const char *name;
        void (*reply)(struct reply *reply);
    } examples[] = {
        {"string", reply_string_example},     {"integer", reply_integer_example},
        {"double", reply_double_example},     {"null", reply_null_example},
        {"array", reply_array_example},       {"set", reply_set_example},
        {"map", reply_map_example},           {"attrib", reply_attribute_example},
        {"push", reply_push_example},         {"bignum", reply_big_number_example},
        {"verbatim", reply_verbatim_example}, {"true", reply_true_example},
        {"false", reply_false_example},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        if (span_is(session->args[2], examples[i].name)) {
            examples[i].reply(session->reply);
            return;
        }
    }
    reply_error(session->reply,
                "ERR Wrong protocol type name. Please use one of the following: "
                "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}

static void stringmatch_command(struct session *session) {
    reply_integer(session->reply, glob_match(session->args[2], session->args[3]) ? 1 : 0);
}

/* ---- switches ---- */

static void set_active_expire_command(struct session *session) {
    int64_t is_on = 0;
    if (!number_parse(session->args[2], &is_on)) {
        is_on = 0;
    }
    atomic_store(&session_node(session)->active_expire_is_off, is_on == 0);
    reply_ok(session->reply);
}

static void change_replication_id_command(struct session *session) {
    server_draw_id(session_server(session)->replication_id);
    reply_ok(session->reply);
}

/* What has no counterpart here, and is accepted since tests of clients use it. */
static void accept_command(struct session *session) {
    reply_ok(session->reply);
}

static void packed_threshold_command(struct session *session) {
    int64_t size = 0;
    if (!number_parse_memory(session->args[2], &size) || size < 0 || size > PACKED_THRESHOLD_MAX) {
        reply_error(session->reply,
                    "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
        return;
    }
    reply_ok(session->reply);
}

static void reply_buffer_command(struct session *session) {
    int64_t number = 0;
    if (span_is(session->args[2], "peak-reset-time")) {
        if (!span_is(session->args[3], "never") && !span_is(session->args[3], "reset") &&
            !session_integer(session, 3, &number, NULL)) {
            return;
        }
        reply_ok(session->reply);
    } else if (span_is(session->args[2], "resizing")) {
        reply_ok(session->reply);
    } else {
        reply_usage_error(session);
    }
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANGE-REPL-ID",
        "    Draw a new replication id.",
        "DIGEST",
        "    Answer a digest of all data, the one that redis-server has for the same data.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Answer a digest of each key's value.",
        "ERROR <string>",
        "    Answer this error.",
        "FLIP-BIT <key> <bit>",
        "    Flip a bit of the key's value in this node's memory, as bad memory would: nobody is",
        "    told of it, neither the log nor replicas.",
        "HTSTATS <dbid>",
        "    Show statistics of a database's hash tables.",
        "HTSTATS-KEY <key>",
        "    Show statistics of the hash table that a key holds.",
        "LOADAOF",
        "    Load the last snapshot and the log again, as at the start.",
        "LOG <message>",
        "    Write a line to the log.",
        "OBJECT <key>",
        "    Show how a key is kept.",
        "PAUSE-CRON <0|1>",
        "    Accepted; changes nothing.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create keys <prefix>:<number> that are not there yet, of <size> bytes.",
        "PROTOCOL <type>",
        "    Answer an example: string, integer, double, bignum, null, array, set, map,",
        "    attrib, push, verbatim, true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Accepted; changes nothing.",
        "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
        "    Save all data, drop it, load it again. NOSAVE loads the last snapshot, NOFLUSH",
        "    drops nothing, MERGE has what is loaded take the place of keys that are there.",
        "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>",
        "REPLYBUFFER RESIZING <0|1>",
        "    Accepted; change nothing.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Whether expired keys go by themselves.",
        "SET-DISABLE-DENY-SCRIPTS <0|1>",
        "    Accepted; changes nothing.",
        "SLEEP <seconds>",
        "    Hold up the server.",
        "STRINGMATCH-LEN <pattern> <string>",
        "    Answer 1 if the pattern matches.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

/* ---- the command ---- */

static const struct subcommand {
    const char *name;
    uint32_t args_min; /* with DEBUG and the name */
    uint32_t args_max;
    void (*run)(struct session *session);
} subcommands[] = {
    {"change-repl-id", 2, 2, change_replication_id_command},
    {"digest", 2, 2, debug_digest},
    {"digest-value", 2, UINT32_MAX, debug_digest_values},
    {"error", 3, 3, error_command},
    {"flip-bit", 4, 4, flip_bit_command},
    {"help", 2, 2, help_command},
    {"htstats", 3, 3, htstats_command},
    {"htstats-key", 3, 3, htstats_key_command},
    {"loadaof", 2, 2, debug_load_log},
    {"log", 3, 3, log_command},
    {"object", 3, 4, object_command},
    {"pause-cron", 3, 3, accept_command},
    {"populate", 3, 5, populate_command},
    {"protocol", 3, 3, protocol_command},
    {"quicklist-packed-threshold", 3, 3, packed_threshold_command},
    {"reload", 2, UINT32_MAX, debug_reload},
    {"replybuffer", 4, 4, reply_buffer_command},
    {"set-active-expire", 3, 3, set_active_expire_command},
    {"set-disable-deny-scripts", 3, 3, accept_command},
    {"sleep", 3, 3, sleep_command},
    {"stringmatch-len", 4, 4, stringmatch_command},
};

static bool is_allowed(const struct server *server, const struct connection *connection) {
    switch (server->options->server.enable_debug_command) {
    case ACCESS_NOBODY:
        return false;
    case ACCESS_LOCAL:
        return (connection->flags & (CONNECTION_LOCAL | CONNECTION_UNIX)) != 0;
    case ACCESS_ANYBODY:
        return true;
    }
    return false;
}

const char *debug_refusal(const struct node *node, const struct connection *connection,
                          const struct command *command) {
    if (command != &debug_commands[0] || is_allowed(node->server, connection)) {
        return NULL;
    }
    return "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
           "\"local\", you can run it from a local connection, otherwise you need to set "
           "this option in the configuration file, and then restart the server.";
}

static void debug_command(struct session *session) {
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        const struct subcommand *row = &subcommands[i];
        if (span_is(session->args[1], row->name) && session->args_count >= row->args_min &&
            session->args_count <= row->args_max) {
            row->run(session);
            return;
        }
    }
    reply_usage_error(session);
}

const struct command debug_commands[] = {
    {
        .name = "debug",
        .arity = -2,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE |
                 COMMAND_PROTECTED | COMMAND_SYSTEM | COMMAND_ALL_WORKERS,
        .session = debug_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Helps to test clients and the server itself.",
        .syntax = "",
    },
    {0},
};
