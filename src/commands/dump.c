#include "commands/dump.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "commands/string.h"
#include "store/value_codec.h"

#define VERSION_BYTES ((size_t)2)
#define FOOTER_BYTES (VERSION_BYTES + sizeof(uint64_t))

/* ---- DUMP ---- */

void dump_append_footer(struct buffer *bytes, uint16_t version) {
    bytes_store_u16(buffer_reserve(bytes, VERSION_BYTES), version);
    buffer_commit(bytes, VERSION_BYTES);
    uint64_t crc = crc64_add(CRC64_EMPTY, buffer_span(bytes));
    bytes_store_u64(buffer_reserve(bytes, sizeof(crc)), crc);
    buffer_commit(bytes, sizeof(crc));
}

static void append_dump(const struct entry *entry, struct buffer *bytes) {
    value_encode(entry, true, bytes);
    dump_append_footer(bytes, RDB_VERSION);
}

/* A large one is made in a block, which goes to the client without a copy. */
static void reply_large_dump(struct call *call, const struct entry *entry, size_t bytes_max) {
    struct block *block = block_try_new(bytes_max);
    if (block == NULL) {
        string_reply_no_memory(call);
        return;
    }
    struct buffer bytes = {.bytes = block->bytes, .capacity = block->capacity};
    append_dump(entry, &bytes);
    ASSERT(bytes.bytes == block->bytes);
    block->length = bytes.length;
    reply_bulk_block(call->reply, block, 0, block->length);
    block_release(block);
}

static void dump(struct call *call) {
    const struct entry *entry = call_read(call, call->args[1]);
    if (entry == NULL) {
        reply_null(call->reply);
        return;
    }
    size_t bytes_max = value_encoded_bytes_max(entry) + FOOTER_BYTES;
    if (bytes_max >= BLOCK_BYTES_MIN) {
        reply_large_dump(call, entry, bytes_max);
        return;
    }
    struct buffer bytes = BUFFER_EMPTY;
    append_dump(entry, &bytes);
    reply_bulk(call->reply, buffer_span(&bytes));
    buffer_free(&bytes);
}

/* ---- RESTORE ---- */

enum { KEY = 1, TTL = 2, DUMPED = 3, FIRST_OPTION = 4 };

struct restore_options {
    bool replaces;
    bool is_absolute;
    int64_t idle_seconds; /* -1: not given */
    int64_t frequency;    /* -1: not given */
};

/* Parses the number behind option i. False: the reply says what is wrong. */
static bool parse_access(struct call *call, uint32_t i, struct restore_options *options) {
    if (span_is(call->args[i], "idletime")) {
        if (!call_integer(call, i + 1, &options->idle_seconds, NULL)) {
            return false;
        }
        if (options->idle_seconds < 0) {
            reply_error(call->reply, "ERR Invalid IDLETIME value, must be >= 0");
            return false;
        }
        return true;
    }
    if (!call_integer(call, i + 1, &options->frequency, NULL)) {
        return false;
    }
    if (options->frequency < 0 || options->frequency > UINT8_MAX) {
        reply_error(call->reply, "ERR Invalid FREQ value, must be >= 0 and <= 255");
        return false;
    }
    return true;
}

/* As in redis-server: of IDLETIME and FREQ only one may be given, but that several times. */
static bool parse_restore_options(struct call *call, struct restore_options *options) {
    *options = (struct restore_options){.idle_seconds = -1, .frequency = -1};
    for (uint32_t i = FIRST_OPTION; i < call->args_count; i++) {
        bool has_more = i + 1 < call->args_count;
        if (span_is(call->args[i], "replace")) {
            options->replaces = true;
        } else if (span_is(call->args[i], "absttl")) {
            options->is_absolute = true;
        } else if (has_more && ((span_is(call->args[i], "idletime") && options->frequency == -1) ||
                                (span_is(call->args[i], "freq") && options->idle_seconds == -1))) {
            if (!parse_access(call, i++, options)) {
                return false;
            }
        } else {
            call_reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The time of argument TTL: 0 is none. A sum that does not fit wraps round, as in redis-server, and
 * has passed then. */
static bool parse_expiry(struct call *call, bool is_absolute, int64_t *expiry_ms) {
    int64_t ttl;
    if (!call_integer(call, TTL, &ttl, NULL)) {
        return false;
    }
    if (ttl < 0) {
        reply_error(call->reply, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    *expiry_ms = ttl;
    if (ttl != 0 && !is_absolute) {
        *expiry_ms = (int64_t)((uint64_t)ttl + (uint64_t)call->now_ms);
    }
    return true;
}

bool dump_take_footer(struct span *dumped) {
    if (dumped->length < FOOTER_BYTES) {
        return false;
    }
    struct span payload = span_of(dumped->bytes, dumped->length - FOOTER_BYTES);
    const char *footer = payload.bytes + payload.length;
    uint64_t crc = crc64_add(CRC64_EMPTY, span_of(payload.bytes, payload.length + VERSION_BYTES));
    *dumped = payload;
    return bytes_load_u16(footer) <= RDB_VERSION && bytes_load_u64(footer + VERSION_BYTES) == crc;
}

/* False: the reply says what is wrong with the bytes. */
static bool decode(struct call *call, struct store *store, struct span *payload,
                   struct value_content *content) {
    *payload = call->args[DUMPED];
    if (!dump_take_footer(payload)) {
        reply_error(call->reply, "ERR DUMP payload version or checksum are wrong");
        return false;
    }
    switch (value_decode(store, *payload, content)) {
    case VALUE_DECODED:
        return true;
    case VALUE_NO_MEMORY:
        string_reply_no_memory(call);
        return false;
    default:
        reply_error(call->reply, "ERR Bad data format");
        return false;
    }
}

/* The entry's access data, from whichever option fits the policy. */
static int64_t access_of(const struct call *call, const struct store *store,
                         const struct restore_options *options) {
    if (maxmemory_policy_is_lfu(call->environment->options->maxmemory_policy)) {
        return options->frequency < 0
                   ? VALUE_ACCESS_NEW
                   : (int64_t)store_access_frequency(store, (uint8_t)options->frequency);
    }
    return options->idle_seconds < 0
               ? VALUE_ACCESS_NEW
               : (int64_t)store_access_idle(store, (uint64_t)options->idle_seconds);
}

/* What has expired already takes only the place of what was there. */
static void restore_expired(struct call *call, struct place *place) {
    if (place->cell != NULL) {
        call_emit(call, place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    }
}

static void restore(struct call *call) {
    struct restore_options options;
    if (!parse_restore_options(call, &options)) {
        return;
    }
    struct place place = call_place(call, call->args[KEY]);
    if (!options.replaces && place.cell != NULL) {
        reply_error(call->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    int64_t expiry_ms;
    struct span payload;
    struct value_content content;
    if (!parse_expiry(call, options.is_absolute, &expiry_ms) ||
        !decode(call, place.store, &payload, &content)) {
        return;
    }
    if (expiry_ms != 0 && call_is_past(call, expiry_ms)) {
        value_content_free(place.store, &content);
        restore_expired(call, &place);
    } else {
        /* Over a key that is there, too: in redis-server that one goes first. */
        call_notify(call, EVENT_NEW_ID, place.key);
        call_emit(call, &place,
                  &(struct effect){
                      .kind = EFFECT_VALUE_RESTORE,
                      .event = EVENT_RESTORE_ID,
                      .value = payload,
                      .content = &content,
                      .number = access_of(call, place.store, &options),
                      .expiry_ms = expiry_ms == 0 ? ENTRY_NO_EXPIRY : expiry_ms,
                  });
    }
    reply_ok(call->reply);
}

/* ---- rows ---- */

static const char *const tips_of_dump[] = {"nondeterministic_output", NULL};

#define RESTORE_ROW                                                                                \
    .arity = -4, .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,                             \
    .keys = {{.flags = KEY_OW | KEY_UPDATE, .begin = KEY, .step = 1}}, .run = restore,             \
    .complexity = "O(N) with N the bytes of the value",                                            \
    .syntax = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"

const struct command dump_commands[] = {
    {
        .name = "dump",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = KEY, .step = 1}},
        .run = dump,
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N) with N the bytes of the value",
        .summary = "Answers the value of a key as bytes for RESTORE.",
        .syntax = "key",
        .tips = tips_of_dump,
    },
    {
        .name = "restore",
        RESTORE_ROW,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .group = "generic",
        .since = "2.6.0",
        .summary = "Makes a key of the bytes that DUMP answered.",
    },
    {
        .name = "restore-asking",
        RESTORE_ROW,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_ASKING | COMMAND_SYSTEM,
        .group = "server",
        .since = "3.0.0",
        .summary = "RESTORE for a slot on its way to this node.",
    },
    {.name = NULL},
};
