#include "worker/session.h"

void session_reply_syntax_error(struct session *session) {
    reply_error(session->reply, "ERR syntax error");
}

bool session_integer(struct session *session, uint32_t i, int64_t *number, const char *error) {
    if (number_parse(session->args[i], number)) {
        return true;
    }
    reply_error(session->reply,
                error == NULL ? "ERR value is not an integer or out of range" : error);
    return false;
}

void session_reply_help(struct session *session, const char *const *lines) {
    size_t count = 0;
    while (lines[count] != NULL) {
        count++;
    }
    reply_array(session->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_status(session->reply, lines[i]);
    }
}
