#include "worker/session.h"

/* Longest part of a client's words that an error repeats. */
#define QUOTED_BYTES_MAX 128

void session_reply_syntax_error(struct session *session) {
    reply_error(session->reply, "ERR syntax error");
}

void session_reply_usage_error(struct session *session) {
    char container[sizeof(session->command->full_name)];
    const char *name = session->command->parent->command->name;
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        char c = name[length];
        container[length] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    size_t shown =
        session->args[1].length < QUOTED_BYTES_MAX ? session->args[1].length : QUOTED_BYTES_MAX;
    reply_error_format(session->reply,
                       "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %.*s "
                       "HELP.",
                       (int)shown, session->args[1].bytes, (int)length, container);
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
