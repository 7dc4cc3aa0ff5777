/* LATENCY: events that took long, and how long commands take. */
#include "base/memory.h"
#include "io/clock.h"
#include "server/command_docs.h"
#include "server/info.h"

#include <math.h>
#include <stdio.h>

#define GRAPH_COLUMNS_MAX 80
#define GRAPH_ROWS 4
/* As in Redis: below 33 ms a pause is no matter for most. */
#define LEAST_WORRYING_MS 33

static struct latency *session_latency(const struct session *session) {
    return &session_server(session)->latency;
}

static const struct latency_sample *last_sample(const struct latency_event *event) {
    return latency_sample_at(event, event->count - 1);
}

static void latest_command(struct session *session) {
    struct latency_event event;
    struct reply_mark mark = reply_mark_here(session->reply);
    uint32_t count = 0;
    for (; latency_read_at(session_latency(session), count, &event); count++) {
        reply_array(session->reply, 4);
        reply_bulk_string(session->reply, event.name);
        reply_integer(session->reply, last_sample(&event)->second);
        reply_integer(session->reply, last_sample(&event)->duration_ms);
        reply_integer(session->reply, event.max_ms);
    }
    reply_array_at(session->reply, mark, count);
}

static void history_command(struct session *session) {
    struct latency_event event;
    if (!latency_read(session_latency(session), session->args[2], &event)) {
        reply_array(session->reply, 0);
        return;
    }
    reply_array(session->reply, event.count);
    for (uint32_t i = 0; i < event.count; i++) {
        const struct latency_sample *sample = latency_sample_at(&event, i);
        reply_array(session->reply, 2);
        reply_integer(session->reply, sample->second);
        reply_integer(session->reply, sample->duration_ms);
    }
}

static void reset_command(struct session *session) {
    uint32_t count = 0;
    if (session->args_count == 2) {
        count = latency_reset_all(session_latency(session));
    }
    for (uint32_t i = 2; i < session->args_count; i++) {
        count += latency_reset(session_latency(session), session->args[i]) ? 1 : 0;
    }
    reply_integer(session->reply, count);
}

/* ---- GRAPH ---- */

struct range {
    int64_t low;
    int64_t high;
};

static struct range range_of(const struct latency_event *event) {
    struct range range = {.low = INT64_MAX, .high = 0};
    for (uint32_t i = 0; i < event->count; i++) {
        int64_t duration = latency_sample_at(event, i)->duration_ms;
        range.low = duration < range.low ? duration : range.low;
        range.high = duration > range.high ? duration : range.high;
    }
    return range;
}

/* How long ago, in three signs: "5s", "12m", "3h", "2d". */
static void age_text(int64_t seconds, char text[8]) {
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{24 * 3600, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i + 1 < sizeof(units) / sizeof(units[0]) && seconds < units[i].seconds) {
        i++;
    }
    int64_t amount = seconds / units[i].seconds;
    snprintf(text, 8, "%d%c", (int)(amount > 9999 ? 9999 : amount), units[i].unit);
}

/* A column per sample: its height by its share of the range, its age below, from top to bottom. */
static void append_graph(struct buffer *text, const struct latency_event *event, int64_t now) {
    struct range range = range_of(event);
    uint32_t columns = event->count < GRAPH_COLUMNS_MAX ? event->count : GRAPH_COLUMNS_MAX;
    uint32_t first = event->count - columns;
    int64_t span = range.high - range.low + 1;
    for (int row = GRAPH_ROWS; row-- > 0;) {
        for (uint32_t i = 0; i < columns; i++) {
            int64_t above = latency_sample_at(event, first + i)->duration_ms - range.low;
            int64_t level = above * GRAPH_ROWS * 2 / span; /* half rows */
            int64_t here = level - 2 * row;
            buffer_append_byte(text, here < 0 || (here == 0 && row > 0) ? ' '
                                     : here >= 2                        ? '|'
                                     : here == 1                        ? 'o'
                                                                        : '_');
        }
        buffer_append_byte(text, '\n');
    }
    buffer_append_byte(text, '\n');
    bool goes_on = true;
    for (size_t letter = 0; goes_on; letter++) {
        goes_on = false;
        for (uint32_t i = 0; i < columns; i++) {
            char age[8];
            age_text(now - latency_sample_at(event, first + i)->second, age);
            bool has_letter = letter < strlen(age);
            buffer_append_byte(text, has_letter ? age[letter] : ' ');
            goes_on |= letter + 1 < strlen(age);
        }
        buffer_append_byte(text, '\n');
    }
}

static void graph_command(struct session *session) {
    struct latency_event event;
    if (!latency_read(session_latency(session), session->args[2], &event)) {
        reply_error_format(session->reply, "ERR No samples available for event '%.*s'",
                           (int)session->args[2].length, session->args[2].bytes);
        return;
    }
    struct range range = range_of(&event);
    struct buffer text = BUFFER_EMPTY;
    buffer_format(&text, "%s - high %lld ms, low %lld ms (all time high %lld ms)\n", event.name,
                  (long long)range.high, (long long)range.low, (long long)event.max_ms);
    for (int i = 0; i < GRAPH_COLUMNS_MAX; i++) {
        buffer_append_byte(&text, '-');
    }
    buffer_append_byte(&text, '\n');
    append_graph(&text, &event, clock_wall_ms() / 1000);
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

/* ---- DOCTOR ---- */

static void append_event_report(struct buffer *text, uint32_t number,
                                const struct latency_event *event) {
    double sum = 0;
    for (uint32_t i = 0; i < event->count; i++) {
        sum += (double)latency_sample_at(event, i)->duration_ms;
    }
    double mean = sum / event->count;
    double deviation = 0;
    for (uint32_t i = 0; i < event->count; i++) {
        deviation += fabs((double)latency_sample_at(event, i)->duration_ms - mean);
    }
    int64_t period = last_sample(event)->second - latency_sample_at(event, 0)->second;
    buffer_format(text,
                  "%u. %s: in %u of the seconds observed, on average %.0f ms with a mean deviation "
                  "of %.0f ms, every %.2f seconds. The longest ever took %lld ms.\n",
                  number, event->name, event->count, mean, deviation / event->count,
                  (double)period / event->count, (long long)event->max_ms);
}

static bool is_about(const struct latency_event *event, const char *word) {
    return strstr(event->name, word) != NULL;
}

static void append_advice(struct buffer *text, const struct latency_event *event) {
    if (is_about(event, "command")) {
        buffer_append_string(
            text, "- Commands: SLOWLOG GET shows which ones; LATENCY HISTOGRAM how often. Commands "
                  "over many elements (KEYS, HGETALL of large hashes) hold up all others of "
                  "their worker: use SCAN and HSCAN.\n");
    }
    if (is_about(event, "expire")) {
        buffer_append_string(text, "- Expiry: many keys expire at once. Spread their times a "
                                   "little, or lower active-expire-effort.\n");
    }
    if (is_about(event, "evict")) {
        buffer_append_string(text, "- Eviction: memory fills faster than it is freed. Raise "
                                   "maxmemory, or write less at a time.\n");
    }
    if (event->max_ms >= LEAST_WORRYING_MS && !is_about(event, "command")) {
        buffer_append_string(text, "- Look whether the machine swaps, or whether other processes "
                                   "take the processors.\n");
    }
}

static void doctor_command(struct session *session) {
    const struct node *node = session_node(session);
    struct buffer text = BUFFER_EMPTY;
    struct latency_event event;
    uint32_t count = 0;
    for (; latency_read_at(session_latency(session), count, &event); count++) {
        append_event_report(&text, count + 1, &event);
    }
    if (count > 0) {
        buffer_append_string(&text, "\nWhat may help:\n");
    } else if (node->options->latency_monitor_threshold == 0) {
        buffer_append_string(&text, "Latency is not monitored. To have events of so many "
                                    "milliseconds or more noted: CONFIG SET "
                                    "latency-monitor-threshold <milliseconds>.\n");
    } else {
        buffer_format(&text, "Nothing has taken %lld ms or longer.\n",
                      (long long)node->options->latency_monitor_threshold);
    }
    for (uint32_t i = 0; latency_read_at(session_latency(session), i, &event); i++) {
        append_advice(&text, &event);
    }
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

/* ---- HISTOGRAM ---- */

/* Redis' buckets: a power of two times 1.024 microseconds, and what it takes for equal. */
static uint64_t bucket_end_ns(unsigned power) {
    uint64_t end = UINT64_C(1024) << power;
    return end + end / 128 - 1;
}

/* Name and distribution of one command, if it was timed. */
static bool reply_histogram(struct session *session, const struct command_slot *slot) {
    struct command_statistics sum;
    struct histogram durations;
    info_command_statistics(session_node(session), slot->number, &sum, &durations);
    if (durations.total == 0) {
        return false;
    }
    struct reply *reply = session->reply;
    reply_bulk_string(reply, slot->full_name);
    reply_map(reply, 2);
    reply_bulk_string(reply, "calls");
    reply_integer(reply, (int64_t)sum.calls);
    reply_bulk_string(reply, "histogram_usec");
    struct reply_mark mark = reply_mark_here(reply);
    size_t pairs = 0;
    uint64_t seen = 0;
    uint32_t bucket = 0;
    for (unsigned power = 0; seen < durations.total; power++) {
        uint64_t before = seen;
        while (bucket < HISTOGRAM_BUCKETS && histogram_bucket_max(bucket) <= bucket_end_ns(power)) {
            seen += durations.counts[bucket++];
        }
        if (seen > before) {
            reply_integer(reply, (int64_t)(bucket_end_ns(power) / 1000));
            /* What was timed stands for all calls. */
            reply_integer(reply,
                          llround((double)seen * (double)sum.calls / (double)durations.total));
            pairs++;
        }
    }
    reply_map_at(reply, mark, pairs);
    return true;
}

static void histogram_command(struct session *session) {
    const struct command_table *table = session_node(session)->commands;
    struct reply_mark mark = reply_mark_here(session->reply);
    size_t count = 0;
    for (size_t i = 0; session->args_count == 2 && i < command_table_count(table); i++) {
        count += reply_histogram(session, command_table_at(table, i)) ? 1 : 0;
    }
    for (uint32_t i = 2; i < session->args_count; i++) {
        const struct command_slot *slot = command_named(table, session->args[i]);
        if (slot == NULL) {
            continue;
        }
        count += reply_histogram(session, slot) ? 1 : 0;
        for (const struct command *sub = slot->command->subcommands;
             sub != NULL && sub->name != NULL; sub++) {
            const struct command_slot *subslot =
                command_table_subcommand(table, slot, span_of_string(sub->name));
            count += reply_histogram(session, subslot) ? 1 : 0;
        }
    }
    reply_map_at(session->reply, mark, count);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the "
        "specified command names.",
        "    If no commands are specified then all histograms are replied.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

#define LATENCY_FLAGS (COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE)

static const char *const figure_tips[] = {
    "nondeterministic_output",
    "request_policy:all_nodes",
    "response_policy:special",
    NULL,
};

static const struct command latency_subcommands[] = {
    {
        .name = "doctor",
        .arity = 2,
        .flags = LATENCY_FLAGS,
        .session = doctor_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Explains what took long, and what may help.",
        .syntax = "",
        .tips = figure_tips,
    },
    {
        .name = "graph",
        .arity = 3,
        .flags = LATENCY_FLAGS,
        .session = graph_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Draws the samples of an event.",
        .syntax = "event",
        .tips = figure_tips,
    },
    {
        COMMAND_HELP,
        .session = help_command,
        .group = "server",
        .since = "2.8.13",
    },
    {
        .name = "histogram",
        .arity = -2,
        .flags = LATENCY_FLAGS | COMMAND_ALL_WORKERS,
        .session = histogram_command,
        .group = "server",
        .since = "7.0.0",
        .complexity = "O(N) with N the commands that have run",
        .summary = "Answers how long commands took, in cumulative steps.",
        .syntax = "[command ...]",
        .tips = figure_tips,
    },
    {
        .name = "history",
        .arity = 3,
        .flags = LATENCY_FLAGS,
        .session = history_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Answers the samples of an event.",
        .syntax = "event",
        .tips = figure_tips,
    },
    {
        .name = "latest",
        .arity = 2,
        .flags = LATENCY_FLAGS,
        .session = latest_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Answers the last sample of each event.",
        .syntax = "",
        .tips = figure_tips,
    },
    {
        .name = "reset",
        .arity = -2,
        .flags = LATENCY_FLAGS,
        .session = reset_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Forgets the samples of events, or of all.",
        .syntax = "[event ...]",
        .tips = COMMAND_TIPS("request_policy:all_nodes", "response_policy:all_succeeded"),
    },
    {0},
};

const struct command latency_commands[] = {
    {
        .name = "latency",
        .arity = -2,
        .subcommands = latency_subcommands,
        .group = "server",
        .since = "2.8.13",
        .complexity = "That of the subcommand.",
        .summary = "Tells what took long.",
        .syntax = "",
    },
    {0},
};
