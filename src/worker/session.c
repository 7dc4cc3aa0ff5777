#include "worker/session.h"

const char *command_title(const struct command_slot *container, char title[COMMAND_TITLE_BYTES]) {
    const char *name = command_slot_name(container);
    size_t length = 0;
    for (; name[length] != '\0' && length + 1 < COMMAND_TITLE_BYTES; length++) {
        char c = name[length];
        title[length] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    title[length] = '\0';
    return title;
}

void session_reply_syntax_error(struct session *session) {
    reply_error(session->reply, "ERR syntax error");
}

void session_reply_usage_error(struct session *session) {
    char container[COMMAND_TITLE_BYTES];
    struct span word = quoted_part(session->args[1], QUOTED_BYTES_MAX);
    reply_error_format(session->reply,
                       "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s "
                       "HELP.",
                       (int)word.length, word.bytes,
                       command_title(session->command->parent, container));
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
