/* MEMORY: what memory is used for. */
#include "base/memory.h"
#include "server/info.h"
#include "server/memory_figures.h"

#include <stdio.h>

#define SAMPLES_DEFAULT 5
#define MIB ((uint64_t)1024 * 1024)

/* ---- USAGE ---- */

static void usage_command(struct call *call) {
    int64_t samples = SAMPLES_DEFAULT;
    for (uint32_t i = 3; i < call->args_count; i += 2) {
        if (!span_is(call->args[i], "samples") || i + 1 == call->args_count) {
            call_reply_syntax_error(call);
            return;
        }
        if (!call_integer(call, i + 1, &samples, NULL)) {
            return;
        }
        if (samples < 0) {
            call_reply_syntax_error(call);
            return;
        }
    }
    struct place place = call_place(call, call->args[2]);
    struct entry *entry = place_entry(&place);
    if (entry == NULL) {
        reply_null(call->reply);
        return;
    }
    reply_integer(call->reply, (int64_t)value_memory_bytes(place.store, entry, (size_t)samples));
}

/* ---- STATS ---- */

static void reply_number(struct reply *reply, const char *name, uint64_t number) {
    reply_bulk_string(reply, name);
    reply_integer(reply, (int64_t)number);
}

static void reply_ratio(struct reply *reply, const char *name, double ratio) {
    reply_bulk_string(reply, name);
    reply_double(reply, ratio);
}

static void reply_difference(struct reply *reply, const char *name, uint64_t a, uint64_t b) {
    reply_bulk_string(reply, name);
    reply_integer(reply, (int64_t)a - (int64_t)b);
}

/* One pair for each database that holds keys; answers how many. */
static size_t reply_databases(struct reply *reply, const struct keyspace *keyspace) {
    size_t count = 0;
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        if (keyspace_keys(keyspace, database) == 0) {
            continue;
        }
        uint64_t tables = 0;
        for (uint32_t i = 0; i < keyspace->store_count; i++) {
            tables += memory_figures_tables(keyspace->stores[i], database);
        }
        char name[32];
        snprintf(name, sizeof(name), "db.%u", database);
        reply_bulk_string(reply, name);
        reply_map(reply, 3);
        reply_number(reply, "overhead.hashtable.main", tables);
        reply_number(reply, "overhead.hashtable.expires", 0);
        reply_number(reply, "overhead.hashtable.slot-to-keys", 0);
        count++;
    }
    return count;
}

static void stats_command(struct session *session) {
    struct memory_figures figures;
    memory_figures_read(session_server(session), &figures);
    const struct memory_totals *allocator = &figures.allocator;
    struct reply *reply = session->reply;
    struct reply_mark mark = reply_mark_here(reply);
    reply_number(reply, "peak.allocated", figures.peak);
    reply_number(reply, "total.allocated", figures.used);
    reply_number(reply, "startup.allocated", figures.startup);
    reply_number(reply, "replication.backlog", figures.backlog);
    reply_number(reply, "clients.slaves", figures.links);
    reply_number(reply, "clients.normal", figures.clients);
    reply_number(reply, "cluster.links", 0);
    reply_number(reply, "aof.buffer", 0);
    reply_number(reply, "lua.caches", 0);
    reply_number(reply, "functions.caches", 0);
    size_t databases = reply_databases(reply, session_node(session)->keyspace);
    uint64_t beyond_startup = figures.used > figures.startup ? figures.used - figures.startup : 0;
    reply_number(reply, "overhead.total", figures.overhead);
    reply_number(reply, "keys.count", figures.keys);
    reply_number(reply, "keys.bytes-per-key",
                 figures.keys == 0 ? 0 : beyond_startup / figures.keys);
    reply_number(reply, "dataset.bytes", figures.dataset);
    reply_ratio(reply, "dataset.percentage", figures.dataset_share);
    reply_ratio(reply, "peak.percentage", 100 * memory_figures_ratio(figures.used, figures.peak));
    reply_number(reply, "allocator.allocated", allocator->allocated);
    reply_number(reply, "allocator.active", allocator->active);
    reply_number(reply, "allocator.resident", allocator->resident);
    reply_ratio(reply, "allocator-fragmentation.ratio",
                memory_figures_ratio(allocator->active, allocator->allocated));
    reply_difference(reply, "allocator-fragmentation.bytes", allocator->active,
                     allocator->allocated);
    reply_ratio(reply, "allocator-rss.ratio",
                memory_figures_ratio(allocator->resident, allocator->active));
    reply_difference(reply, "allocator-rss.bytes", allocator->resident, allocator->active);
    reply_ratio(reply, "rss-overhead.ratio",
                memory_figures_ratio(figures.resident, allocator->resident));
    reply_difference(reply, "rss-overhead.bytes", figures.resident, allocator->resident);
    reply_ratio(reply, "fragmentation", memory_figures_ratio(figures.resident, figures.used));
    reply_difference(reply, "fragmentation.bytes", figures.resident, figures.used);
    reply_map_at(reply, mark, 27 + databases);
}

/* ---- DOCTOR ---- */

/* Below this, shares say nothing. */
#define DOCTOR_BYTES_MIN (5 * MIB)
#define DOCTOR_PEAK_RATIO 1.5
#define DOCTOR_RATIO 1.4
#define DOCTOR_WASTE_BYTES_MIN (10 * MIB)
#define DOCTOR_CLIENT_BYTES ((uint64_t)200 * 1024)

static bool is_waste(uint64_t more, uint64_t less) {
    return more > less + DOCTOR_WASTE_BYTES_MIN && memory_figures_ratio(more, less) > DOCTOR_RATIO;
}

static void doctor_command(struct session *session) {
    struct memory_figures figures;
    memory_figures_read(session_server(session), &figures);
    const struct memory_totals *allocator = &figures.allocator;
    uint64_t clients = atomic_load(&session_node(session)->clients);
    struct buffer text = BUFFER_EMPTY;
    if (memory_figures_ratio(figures.peak, figures.used) > DOCTOR_PEAK_RATIO) {
        buffer_append_string(&text, " * Peak: much more memory was in use once than now. The "
                                    "allocator may keep some of it; MEMORY PURGE gives it "
                                    "back.\n");
    }
    if (is_waste(allocator->active, allocator->allocated)) {
        buffer_append_string(&text, " * Holes: the allocator's pages are only partly used. Where "
                                    "sizes of values change much, that is to be expected.\n");
    }
    if (is_waste(allocator->resident, allocator->active)) {
        buffer_append_string(&text, " * Free pages: the allocator keeps pages that it does not "
                                    "use; MEMORY PURGE gives them back.\n");
    }
    if (is_waste(figures.resident, allocator->resident)) {
        buffer_append_string(&text, " * Other memory: much of the process' memory is not the "
                                    "allocator's.\n");
    }
    if (clients > 0 && figures.clients / clients > DOCTOR_CLIENT_BYTES) {
        buffer_append_string(&text, " * Clients: their buffers are large. Some send faster than "
                                    "they read, or ask for much at once; CLIENT LIST shows "
                                    "which.\n");
    }
    struct buffer report = BUFFER_EMPTY;
    if (figures.used < DOCTOR_BYTES_MIN) {
        buffer_append_string(&report, "There is too little data here to judge by.\n");
    } else if (text.length == 0) {
        buffer_append_string(&report, "Memory is used as it should be.\n");
    } else {
        buffer_append_string(&report, "Worth a look:\n\n");
        buffer_append_span(&report, buffer_span(&text));
    }
    reply_verbatim(session->reply, "txt", buffer_span(&report));
    buffer_free(&text);
    buffer_free(&report);
}

static void malloc_stats_command(struct session *session) {
    char *report = memory_report();
    reply_verbatim(session->reply, "txt", span_of_string(report));
    memory_free(report);
}

static void purge_command(struct session *session) {
    memory_purge();
    reply_ok(session->reply);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

static const char *const figure_tips[] = {
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
    NULL,
};

static const struct command memory_subcommands[] = {
    {
        .name = "doctor",
        .arity = 2,
        .flags = COMMAND_ALL_WORKERS,
        .session = doctor_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Says whether memory is used as it should be.",
        .syntax = "",
        .tips = figure_tips,
    },
    {
        COMMAND_HELP,
        .session = help_command,
        .group = "server",
        .since = "4.0.0",
    },
    {
        .name = "malloc-stats",
        .arity = 2,
        .session = malloc_stats_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "Depends on how much memory is in use; may be slow.",
        .summary = "Answers the allocator's own report.",
        .syntax = "",
        .tips = figure_tips,
    },
    {
        .name = "purge",
        .arity = 2,
        .session = purge_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "Depends on how much memory is in use; may be slow.",
        .summary = "Gives free pages back to the system.",
        .syntax = "",
        .tips = COMMAND_TIPS("request_policy:all_shards", "response_policy:all_succeeded"),
    },
    {
        .name = "stats",
        .arity = 2,
        .flags = COMMAND_ALL_WORKERS,
        .session = stats_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Tells what memory is used for.",
        .syntax = "",
        .tips = figure_tips,
    },
    {
        .name = "usage",
        .arity = -3,
        .flags = COMMAND_READONLY,
        .keys = {{.flags = KEY_RO, .begin = 2, .step = 1}},
        .run = usage_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(N) with N the elements that are looked at",
        .summary = "Estimates the bytes that a key and its value take.",
        .syntax = "key [SAMPLES count]",
    },
    {0},
};

const struct command memory_commands[] = {
    {
        .name = "memory",
        .arity = -2,
        .subcommands = memory_subcommands,
        .group = "server",
        .since = "4.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Tells what memory is used for.",
        .syntax = "",
    },
    {0},
};
