/* CLIENT QUORUM: what one connection asks of its quorum, instead of the node's options. */
#include "worker/client_commands.h"
#include "worker/quorum_gate.h"

struct wishes {
    int64_t write;
    int64_t read;
    int64_t timeout_ms; /* -1: the node's */
};

/* The word at i and the number behind it. False: the reply says what is wrong. */
static bool parse_wish(struct session *session, uint32_t i, struct wishes *wishes) {
    const struct {
        const char *word;
        int64_t *number;
        int64_t min;
        int64_t max;
    } words[] = {
        {"write", &wishes->write, 1, QUORUM_GATE_MEMBERS_MAX},
        {"read", &wishes->read, 1, QUORUM_GATE_MEMBERS_MAX},
        {"timeout", &wishes->timeout_ms, 0, INT32_MAX},
    };
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        if (!span_is(session->args[i], words[w].word)) {
            continue;
        }
        if (!session_integer(session, i + 1, words[w].number, NULL)) {
            return false;
        }
        if (*words[w].number < words[w].min || *words[w].number > words[w].max) {
            reply_error_format(session->reply, "ERR %s must be between %lld and %lld",
                               words[w].word, (long long)words[w].min, (long long)words[w].max);
            return false;
        }
        return true;
    }
    session_reply_syntax_error(session);
    return false;
}

void client_quorum_command(struct session *session) {
    struct wishes wishes = {.read = 1, .timeout_ms = -1};
    for (uint32_t i = 2; i < session->args_count; i += 2) {
        if (i + 1 == session->args_count) {
            session_reply_syntax_error(session);
            return;
        }
        if (!parse_wish(session, i, &wishes)) {
            return;
        }
    }
    if (wishes.write == 0) {
        reply_error(session->reply, "ERR CLIENT QUORUM needs WRITE and a number of members");
        return;
    }
    if (wishes.read > 1) {
        reply_error(
            session->reply,
            "ERR READ above 1 is not supported: a primary of a cluster answers under a lease "
            "of its shard's members, any other server for itself");
        return;
    }
    quorum_gate_choose(session->connection, (uint32_t)wishes.write, wishes.timeout_ms);
    reply_ok(session->reply);
}
