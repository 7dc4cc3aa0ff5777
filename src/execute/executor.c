#include "execute/executor.h"

#include "base/memory.h"

void executor_init(struct executor *executor, const struct command_table *commands,
                   int64_t (*clock_us)(void)) {
    *executor = (struct executor){
        .statistics_count = command_table_count(commands),
        .clock_us = clock_us,
        .tracks_latency = true,
    };
    executor->statistics =
        memory_alloc_zeroed(executor->statistics_count * sizeof(struct command_statistics));
}

void executor_free(struct executor *executor) {
    executor_reset_statistics(executor);
    memory_free(executor->statistics);
}

void executor_reset_statistics(struct executor *executor) {
    for (size_t i = 0; i < executor->statistics_count; i++) {
        memory_free(executor->statistics[i].durations_ns);
        executor->statistics[i] = (struct command_statistics){0};
    }
    memset(executor->errors, 0, sizeof(executor->errors));
    executor->errors_count = 0;
    executor->error_replies = 0;
    executor->commands_processed = 0;
}

/* As in Redis: a first word that is no word, or too long for one, stands for ERR. */
static struct span code_of(struct span text) {
    const size_t most = EXECUTOR_ERROR_CODE_BYTES_MAX - 1;
    const char *end = memchr(text.bytes, ' ', text.length < most ? text.length : most);
    return end == NULL ? span_of_string("ERR") : span_of(text.bytes, (size_t)(end - text.bytes));
}

void executor_count_error(struct executor *executor, struct span text) {
    executor->error_replies++;
    struct span code = code_of(text);
    for (uint32_t i = 0; i < executor->errors_count; i++) {
        if (span_equal(span_of_string(executor->errors[i].code), code)) {
            executor->errors[i].count++;
            return;
        }
    }
    /* Scripts may invent codes without end: those beyond the table are counted in the sum only. */
    if (executor->errors_count < EXECUTOR_ERROR_CODES_MAX) {
        struct error_statistics *added = &executor->errors[executor->errors_count++];
        memcpy(added->code, code.bytes, code.length);
        added->count = 1;
    }
}

void executor_count_failure(struct executor *executor, struct command_statistics *statistics,
                            const struct reply *reply, size_t reply_at) {
    const char *line = reply->buffer.bytes + reply_at + 1;
    size_t length = reply->buffer.length - reply_at - 1;
    const char *end = memchr(line, '\r', length);
    statistics->failed++;
    executor_count_error(executor, span_of(line, end == NULL ? length : (size_t)(end - line)));
}

int64_t executor_count_duration(struct executor *executor, struct command_statistics *statistics,
                                const struct execution_timer *timer) {
    int64_t duration_us = executor->clock_us() - timer->started_us;
    statistics->duration_us += (uint64_t)duration_us * timer->weight;
    statistics->timed_calls += timer->weight;
    if (executor->tracks_latency) {
        if (statistics->durations_ns == NULL) {
            statistics->durations_ns = memory_alloc_zeroed(sizeof(struct histogram));
        }
        histogram_add(statistics->durations_ns, (uint64_t)duration_us * 1000, timer->weight);
    }
    return duration_us;
}
