#include "server/primary_log.h"

#include "base/memory.h"
#include "oplog/segment.h"
#include "replication/handshake.h"
#include "replication/message.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_BYTES 32

__attribute__((format(printf, 2, 3))) static bool fail(const struct primary_log *log,
                                                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(log->client.report, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- messages ---- */

/* Takes the next message; the body is valid until the next call. */
static bool message_next(struct primary_log *log, enum message_kind *kind, struct span *body) {
    struct resp_client *client = &log->client;
    buffer_consume(&client->input, client->taken);
    client->taken = 0;
    for (;;) {
        struct span rest = buffer_span(&client->input);
        enum message_status status = message_read(&rest, log->seed, kind, body);
        if (status == MESSAGE_DONE) {
            client->taken = client->input.length - rest.length;
            return true;
        }
        if (status == MESSAGE_DAMAGED) {
            return fail(log, "the primary sent what is no message");
        }
        if (!resp_client_more(client, RESP_CLIENT_TIMEOUT_MS)) {
            return false;
        }
    }
}

static bool send_all(struct primary_log *log, struct buffer *out) {
    bool is_sent = resp_client_send(&log->client, buffer_span(out));
    buffer_free(out);
    return is_sent;
}

/* ---- the beginning ---- */

static bool shake_hands(struct primary_log *log) {
    char version[TEXT_BYTES];
    char nonce[HANDSHAKE_NONCE_BYTES];
    snprintf(version, sizeof(version), "%d", MESSAGE_VERSION);
    handshake_nonce_draw(nonce);
    const char *const words[] = {"REPLCONF", HANDSHAKE_WORD, version, nonce, NULL};
    struct resp_reply reply;
    struct span answered;
    if (!resp_client_say(&log->client, words) || !resp_client_read(&log->client, &reply)) {
        return false;
    }
    if (reply.kind != RESP_STATUS || !handshake_read_answer(reply.text, &answered)) {
        return fail(log, "the server is no primary that gives its log: %.*s",
                    (int)reply.text.length, reply.text.bytes);
    }
    log->seed = handshake_seed(span_of_string(nonce), answered);
    return true;
}

static bool plan_fits(const struct primary_log *log, const struct message_plan *plan,
                      const struct lineage_part *place) {
    if (plan->mode == PLAN_GO_ON && plan->position == place->position) {
        return true;
    }
    if (plan->mode == PLAN_CUT) {
        return fail(log,
                    "the primary's log has never held what the files go on from at position "
                    "%" PRIu64 ": it left that history at %" PRIu64,
                    place->position, plan->position);
    }
    return fail(log,
                "the primary does not hold its log back to the fork at position %" PRIu64
                " any more: which keys it has written since cannot be known",
                place->position);
}

static bool plan_read(struct primary_log *log, const struct lineage_part *place) {
    enum message_kind kind;
    struct span body;
    if (!message_next(log, &kind, &body)) {
        return false;
    }
    if (kind == MESSAGE_REFUSAL) {
        return fail(log, "the primary refuses: %.*s", (int)body.length, body.bytes);
    }
    struct message_plan *plan = memory_alloc(sizeof(*plan));
    bool fits = kind == MESSAGE_PLAN && message_read_plan(body, plan)
                    ? plan_fits(log, plan, place)
                    : fail(log, "the primary sent no plan");
    memory_free(plan);
    return fits;
}

static bool hello_send(struct primary_log *log, const struct lineage_part *place) {
    struct message_hello *hello = memory_alloc_zeroed(sizeof(*hello));
    struct buffer out = BUFFER_EMPTY;
    hello->version = MESSAGE_VERSION;
    hello->position = place->position;
    lineage_add(&hello->lineage, &place->history, place->position);
    message_write_hello(&out, log->seed, hello);
    memory_free(hello);
    return send_all(log, &out);
}

bool primary_log_open(struct primary_log *log, const struct resp_client_plan *plan,
                      const struct lineage_part *place) {
    *log = (struct primary_log){.position = place->position, .content = BUFFER_EMPTY};
    if (!resp_client_open(&log->client, plan) || !shake_hands(log) || !hello_send(log, place) ||
        !plan_read(log, place)) {
        return false;
    }
    const struct slot_set none = {{0}};
    struct buffer out = BUFFER_EMPTY;
    message_write_want(&out, log->seed, &none);
    return send_all(log, &out);
}

void primary_log_close(struct primary_log *log) {
    resp_client_close(&log->client);
    buffer_free(&log->content);
}

/* ---- the log ---- */

/* A beat is answered: the primary wants to hear something. */
static bool report_send(struct primary_log *log) {
    struct buffer out = BUFFER_EMPTY;
    message_write_report(&out, log->seed, &(struct message_report){0});
    return send_all(log, &out);
}

static bool part_add(struct primary_log *log, struct span part, primary_log_frame *frame,
                     void *context) {
    if (part.length > log->length - log->content.length) {
        return fail(log, "the primary sent more of a frame than it had said");
    }
    buffer_append_span(&log->content, part);
    if (log->content.length < log->length) {
        return true;
    }
    struct diverged_frame whole = {
        .content = buffer_span(&log->content),
        .time_ms = log->time_ms,
    };
    bool goes_on = frame(context, &whole);
    log->position += OPLOG_FRAME_HEADER_BYTES + log->length;
    log->length = 0;
    buffer_clear(&log->content);
    return goes_on;
}

static bool frame_came(struct primary_log *log, struct span body, primary_log_frame *frame,
                       void *context) {
    struct message_frame read;
    if (log->length != 0 || !message_read_frame(body, &read) || read.position != log->position) {
        return fail(log, "the primary sent a frame that does not go on where its log was");
    }
    log->length = read.length;
    log->time_ms = read.time_ms;
    return part_add(log, read.part, frame, context);
}

bool primary_log_read(struct primary_log *log, uint64_t position, primary_log_frame *frame,
                      void *context) {
    while (log->position < position) {
        enum message_kind kind;
        struct span body;
        bool goes_on = message_next(log, &kind, &body);
        if (!goes_on) {
            return false;
        }
        switch (kind) {
        case MESSAGE_FRAME:
            goes_on = frame_came(log, body, frame, context);
            break;
        case MESSAGE_MORE:
            goes_on = part_add(log, body, frame, context);
            break;
        case MESSAGE_BEAT:
            goes_on = report_send(log);
            break;
        case MESSAGE_COMPLETE:
        case MESSAGE_TURN:
            break;
        default:
            return fail(log, "the primary sent a message of kind %d out of its turn", (int)kind);
        }
        if (!goes_on) {
            return false;
        }
    }
    return true;
}
