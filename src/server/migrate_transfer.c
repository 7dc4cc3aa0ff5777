#include "base/bytes.h"
#include "base/crc64.h"
#include "base/numbers.h"
#include "io/clock.h"
#include "server/migrate.h"
#include "snapshot/rdb_writer.h"

enum attempt {
    ATTEMPT_OVER, /* the answer is set, if it is not OK */
    ATTEMPT_UNREACHABLE,
    ATTEMPT_WRITE_FAILED,
    ATTEMPT_READ_FAILED,
};

struct transfer {
    struct migrate_job *job;
    struct migrate_target *target;
    uint32_t next_answer; /* the key whose answer is next */
    bool has_answers;
    bool is_timed_out;
};

/* The target's error, which is told once. */
static void answer_error(struct transfer *transfer, struct span line) {
    struct buffer *answer = &transfer->job->answer;
    transfer->target->database = -1;
    if (answer->length == 0) {
        buffer_format(answer, "-ERR Target instance replied with error: %.*s", (int)line.length - 1,
                      line.bytes + 1);
    }
}

static bool is_error(struct span line) {
    return line.length > 0 && line.bytes[0] == '-';
}

/* ---- AUTH and SELECT ---- */

static void append_word(struct buffer *command, struct span word) {
    buffer_format(command, "$%zu\r\n", word.length);
    buffer_append_span(command, word);
    buffer_append_string(command, "\r\n");
}

/* Answers how many commands there are. */
static int append_login(const struct migrate_plan *plan, bool selects, struct buffer *commands) {
    int count = 0;
    if (plan->password.bytes != NULL) {
        buffer_append_string(commands, plan->user.bytes == NULL ? "*2\r\n" : "*3\r\n");
        append_word(commands, span_of_string("AUTH"));
        if (plan->user.bytes != NULL) {
            append_word(commands, plan->user);
        }
        append_word(commands, plan->password);
        count++;
    }
    if (selects) {
        char number[NUMBER_TEXT_BYTES_MAX];
        buffer_append_string(commands, "*2\r\n");
        append_word(commands, span_of_string("SELECT"));
        append_word(commands, span_of(number, number_format(number, plan->database_there)));
        count++;
    }
    return count;
}

/* Logs in and selects the database, where that is to be done. */
static enum attempt log_in(struct transfer *transfer) {
    const struct migrate_plan *plan = &transfer->job->plan;
    struct migrate_target *target = transfer->target;
    struct buffer commands = BUFFER_EMPTY;
    int count = append_login(plan, target->database != plan->database_there, &commands);
    bool is_sent = migrate_target_send(target, buffer_span(&commands));
    buffer_free(&commands);
    if (!is_sent) {
        return ATTEMPT_WRITE_FAILED;
    }
    target->database = plan->database_there;
    for (int i = 0; i < count; i++) {
        struct span line;
        if (!migrate_target_line(target, true, &line)) {
            return ATTEMPT_READ_FAILED;
        }
        if (is_error(line)) {
            answer_error(transfer, line);
        }
    }
    return ATTEMPT_OVER;
}

/* ---- RESTORE ---- */

struct sending {
    const struct migrate_sink *sink;
    uint64_t crc; /* of the payload that is sent in parts */
};

static bool send(const struct sending *sending, struct span bytes) {
    return bytes.length == 0 || sending->sink->take(sending->sink->context, bytes);
}

static bool send_part(struct sending *sending, struct span bytes) {
    sending->crc = crc64_add(sending->crc, bytes);
    return send(sending, bytes);
}

/* A payload's footer: commands/dump.h. */
static bool send_footer(struct sending *sending) {
    char version[sizeof(uint16_t)];
    char crc[sizeof(uint64_t)];
    bytes_store_u16(version, RDB_WRITER_VERSION);
    if (!send_part(sending, span_of(version, sizeof(version)))) {
        return false;
    }
    bytes_store_u64(crc, sending->crc);
    sending->crc = CRC64_EMPTY;
    return send(sending, span_of(crc, sizeof(crc)));
}

static bool send_piece(struct sending *sending, const struct migrate_piece *piece) {
    return !piece->is_broken && send(sending, buffer_span(&piece->head)) &&
           send_part(sending, buffer_span(&piece->part)) &&
           (piece->block == NULL || send_part(sending, block_span(piece->block))) &&
           (!piece->ends_payload || send_footer(sending)) &&
           send(sending, buffer_span(&piece->tail));
}

bool migrate_send_all(struct migrate_job *job, const struct migrate_sink *sink) {
    struct sending sending = {.sink = sink, .crc = CRC64_EMPTY};
    migrate_keys_rewind(job);
    do {
        migrate_step(job, MIGRATE_PIECE);
        if (!send_piece(&sending, &job->piece)) {
            return false;
        }
    } while (!job->piece.is_last);
    return true;
}

static bool target_take(void *target, struct span bytes) {
    return migrate_target_send(target, bytes);
}

/* ---- what the target answers ---- */

/* Until all is answered, or as far as answers have come. False: some are missing. */
static bool read_answers(struct transfer *transfer, bool waits) {
    struct migrate_job *job = transfer->job;
    for (; transfer->next_answer < job->plan.keys_count; transfer->next_answer++) {
        struct migrate_key *key = &job->keys[transfer->next_answer];
        struct span line;
        if (!key->is_sent) {
            continue;
        }
        if (!migrate_target_line(transfer->target, waits, &line) ||
            (!is_error(line) && !span_equal(line, span_of_string("+OK")))) {
            return false;
        }
        transfer->has_answers = true;
        if (is_error(line)) {
            answer_error(transfer, line);
        } else {
            key->is_taken = true;
        }
    }
    return true;
}

/* ---- the whole ---- */

static enum attempt talk(struct transfer *transfer) {
    enum attempt attempt = log_in(transfer);
    if (attempt != ATTEMPT_OVER || transfer->job->answer.length > 0) {
        return attempt;
    }
    struct migrate_sink sink = {.take = target_take, .context = transfer->target};
    if (!migrate_send_all(transfer->job, &sink)) {
        /* What it has answered before counts. */
        read_answers(transfer, false);
        return ATTEMPT_WRITE_FAILED;
    }
    return read_answers(transfer, true) ? ATTEMPT_OVER : ATTEMPT_READ_FAILED;
}

static enum attempt try_once(struct transfer *transfer) {
    const struct migrate_plan *plan = &transfer->job->plan;
    switch (migrate_target_take(&transfer->job->migrate->targets, plan->host.bytes,
                                plan->port.bytes, plan->timeout_ms, &transfer->target)) {
    case MIGRATE_UNREACHABLE:
        return ATTEMPT_UNREACHABLE;
    case MIGRATE_REFUSED:
        return ATTEMPT_WRITE_FAILED;
    case MIGRATE_CONNECTED:
        break;
    }
    enum attempt attempt = talk(transfer);
    transfer->is_timed_out = transfer->target->has_timed_out;
    if (attempt == ATTEMPT_OVER) {
        migrate_target_give(transfer->target, clock_monotonic_us() / 1000);
    } else {
        migrate_target_close(transfer->target);
    }
    return attempt;
}

/* As in redis-server: a kept connection may be one that the target has closed, so what failed
 * before there was an answer is tried once more, unless that took the time that there was. */
void migrate_transfer(struct migrate_job *job) {
    struct transfer transfer = {.job = job};
    enum attempt attempt = try_once(&transfer);
    if ((attempt == ATTEMPT_WRITE_FAILED || attempt == ATTEMPT_READ_FAILED) &&
        !transfer.is_timed_out && !transfer.has_answers && job->answer.length == 0) {
        transfer = (struct transfer){.job = job};
        attempt = try_once(&transfer);
    }
    if (attempt == ATTEMPT_OVER || job->answer.length > 0) {
        return;
    }
    const char *what = attempt == ATTEMPT_WRITE_FAILED ? "writing" : "reading";
    if (attempt == ATTEMPT_UNREACHABLE) {
        buffer_append_string(&job->answer, "-IOERR error or timeout connecting to the client");
    } else {
        buffer_format(&job->answer, "-IOERR error or timeout %s to target instance", what);
    }
}
