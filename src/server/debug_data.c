#include "server/debug_data.h"

#include "base/logger.h"
#include "server/reload.h"
#include "server/saving.h"
#include "store/debug_digest.h"

static void reply_digest(struct reply *reply, const unsigned char digest[SHA1_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    char text[2 * SHA1_BYTES + 1];
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * SHA1_BYTES] = '\0';
    reply_status(reply, text);
}

void debug_digest(struct session *session) {
    unsigned char digest[SHA1_BYTES];
    debug_digest_keyspace(session_node(session)->keyspace, digest);
    reply_digest(session->reply, digest);
}

/* DIGEST-VALUE key...: a key that is not there has zeros. */
void debug_digest_values(struct session *session) {
    reply_array(session->reply, session->args_count - 2);
    for (uint32_t i = 2; i < session->args_count; i++) {
        struct span key = session->args[i];
        uint16_t slot = slot_of_key(key);
        const struct store *store = keyspace_store(session_node(session)->keyspace, slot);
        const uint64_t *cell =
            store_find(store, session->connection->database, slot, store_hash(store, key), key);
        const struct entry *entry = cell == NULL ? NULL : table_cell_element(*cell);
        bool is_expired = entry != NULL && entry_has(entry, ENTRY_FLAG_EXPIRY) &&
                          entry_expiry(entry) <= session->worker->now_ms;
        unsigned char digest[SHA1_BYTES] = {0};
        if (entry != NULL && !is_expired) {
            debug_digest_value(entry, digest);
        }
        reply_digest(session->reply, digest);
    }
}

static void reply_reloaded(struct session *session, enum reload_status status,
                           const struct buffer *report, const char *load_error) {
    if (status != RELOAD_DONE) {
        log_warning("DEBUG: cannot %s: %.*s",
                    status == RELOAD_NOT_SAVED ? "save" : "load what was saved",
                    (int)report->length, report->bytes);
    }
    switch (status) {
    case RELOAD_DONE:
        log_warning("DB reloaded by DEBUG");
        reply_ok(session->reply);
        break;
    case RELOAD_NOT_SAVED:
        reply_error(session->reply, "ERR");
        break;
    case RELOAD_NOT_LOADED:
        reply_error(session->reply, load_error);
        break;
    }
}

static bool parse_options(const struct session *session, struct reload_options *options) {
    for (uint32_t i = 2; i < session->args_count; i++) {
        if (span_is(session->args[i], "merge")) {
            options->merges = true;
        } else if (span_is(session->args[i], "noflush")) {
            options->no_flush = true;
        } else if (span_is(session->args[i], "nosave")) {
            options->no_save = true;
        } else {
            return false;
        }
    }
    return true;
}

void debug_reload(struct session *session) {
    struct server *server = session_server(session);
    struct reload_options options = {.no_save = false};
    if (!parse_options(session, &options)) {
        reply_error(session->reply,
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
        return;
    }
    if (atomic_load(&server->node.is_loading)) {
        reply_error(session->reply, "LOADING Redis is loading the dataset in memory");
        return;
    }
    struct buffer report = BUFFER_EMPTY;
    enum reload_status status = reload_snapshot(server, &options, &report);
    reply_reloaded(session, status, &report,
                   "ERR Error trying to load the RDB dump, check server logs.");
    buffer_free(&report);
}

void debug_load_log(struct session *session) {
    struct server *server = session_server(session);
    struct saving *saving = atomic_load(&server->saving);
    if (saving == NULL || atomic_load(&server->node.is_loading)) {
        reply_error(session->reply, "LOADING Redis is loading the dataset in memory");
        return;
    }
    if (server->node.log == NULL || !server->node.log_gates) {
        reply_error(session->reply, "ERR The log is off: appendonly is no");
        return;
    }
    if (saving_is_running(saving)) {
        reply_error(session->reply, "ERR Background save already in progress");
        return;
    }
    struct buffer report = BUFFER_EMPTY;
    enum reload_status status = reload_log(server, &report);
    reply_reloaded(session, status, &report,
                   "ERR Error trying to load the log, check server logs.");
    buffer_free(&report);
}
