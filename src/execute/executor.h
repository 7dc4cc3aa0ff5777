/* Executor: runs data commands for one worker: time, statistics, record.
 *
 * Durations are wall microseconds from the monotonic clock. Reading it twice costs as much as a
 * small command, so commands that take the same time whatever the data (COMMAND_FAST,
 * COMMAND_SAMPLED) are timed one run in EXECUTOR_SAMPLE, with that weight, and the first, unless
 * everything is to be timed (a slow log threshold below EXECUTOR_EXACT_BELOW_US, or latency
 * monitoring).
 */
#ifndef TARN_EXECUTE_EXECUTOR_H
#define TARN_EXECUTE_EXECUTOR_H

#include "base/histogram.h"
#include "commands/command.h"

#include <stdint.h>

#define EXECUTOR_SAMPLE 16
#define EXECUTOR_EXACT_BELOW_US 1000
#define EXECUTOR_ERROR_CODES_MAX 128
#define EXECUTOR_ERROR_CODE_BYTES_MAX 32

struct command_statistics {
    uint64_t calls;
    uint64_t duration_us;
    uint64_t timed_calls;           /* runs that were timed, each with its weight */
    uint64_t rejected;              /* refused before the run */
    uint64_t failed;                /* answered an error */
    struct histogram *durations_ns; /* NULL until first timed, or with latency-tracking off */
};

/* Errors by their first word, for INFO errorstats. Those without one, or with one of
 * EXECUTOR_ERROR_CODE_BYTES_MAX - 1 bytes and more, count as ERR. */
struct error_statistics {
    char code[EXECUTOR_ERROR_CODE_BYTES_MAX];
    uint64_t count;
};

struct executor {
    struct call_environment environment;
    struct command_statistics *statistics; /* by command number */
    size_t statistics_count;
    struct error_statistics errors[EXECUTOR_ERROR_CODES_MAX];
    uint32_t errors_count;
    uint64_t error_replies;
    uint64_t commands_processed;
    uint64_t changes;
    uint32_t sample;
    bool times_all;
    bool tracks_latency;
    int64_t (*clock_us)(void);
};

void executor_init(struct executor *executor, const struct command_table *commands,
                   int64_t (*clock_us)(void));
void executor_free(struct executor *executor);
void executor_reset_statistics(struct executor *executor);

/* A run: begin, then the command (a call by executor_run(), or a session command), then end. */
struct execution_timer {
    int64_t started_us; /* 0: not timed */
    uint64_t weight;
    size_t reply_at;
    bool ignores_error; /* what looks like an error in the reply is none */
};
static inline struct execution_timer executor_begin(struct executor *executor,
                                                    const struct command_slot *command,
                                                    const struct reply *reply) {
    struct execution_timer timer = {.reply_at = reply->buffer.length, .weight = 1};
    if ((command->command->flags & (COMMAND_FAST | COMMAND_SAMPLED)) != 0 && !executor->times_all) {
        /* The first run is timed, so that every command that ran has a duration. */
        bool is_first = executor->statistics[command->number].timed_calls == 0;
        if (LIKELY(++executor->sample % EXECUTOR_SAMPLE != 0 && !is_first)) {
            return timer;
        }
        timer.weight = is_first ? 1 : EXECUTOR_SAMPLE;
    }
    timer.started_us = executor->clock_us();
    return timer;
}

static inline void executor_run(struct executor *executor, struct call *call) {
    call->command->run(call);
    executor->changes += call->changes;
}

/* The rare halves of executor_end(): the reply from reply_at on is an error; the run was timed. */
void executor_count_failure(struct executor *executor, struct command_statistics *statistics,
                            const struct reply *reply, size_t reply_at);
int64_t executor_count_duration(struct executor *executor, struct command_statistics *statistics,
                                const struct execution_timer *timer);

/* Answers the duration in microseconds if it was timed, else 0. */
static inline int64_t executor_end(struct executor *executor, const struct command_slot *command,
                                   const struct reply *reply, const struct execution_timer *timer) {
    struct command_statistics *statistics = &executor->statistics[command->number];
    statistics->calls++;
    executor->commands_processed++;
    if (UNLIKELY(reply->buffer.length > timer->reply_at &&
                 reply->buffer.bytes[timer->reply_at] == '-' && !timer->ignores_error)) {
        executor_count_failure(executor, statistics, reply, timer->reply_at);
    }
    return LIKELY(timer->started_us == 0) ? 0
                                          : executor_count_duration(executor, statistics, timer);
}

/* An error reply was written, "-CODE ...": counts it. text is without the dash. */
void executor_count_error(struct executor *executor, struct span text);

#endif
