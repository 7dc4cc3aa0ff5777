#include "server/command_docs.h"

#include "base/memory.h"
#include "server/syntax.h"

static void reply_pair(struct reply *reply, const char *name, const char *text) {
    reply_bulk_string(reply, name);
    reply_bulk_string(reply, text);
}

static void reply_span_pair(struct reply *reply, const char *name, struct span text) {
    reply_bulk_string(reply, name);
    reply_bulk(reply, text);
}

/* ---- arguments ---- */

static void reply_argument_flags(struct reply *reply, const struct syntax_node *node) {
    reply_bulk_string(reply, "flags");
    reply_set(reply, (size_t)node->is_optional + node->is_multiple + node->is_multiple_token);
    if (node->is_optional) {
        reply_status(reply, "optional");
    }
    if (node->is_multiple) {
        reply_status(reply, "multiple");
    }
    if (node->is_multiple_token) {
        reply_status(reply, "multiple_token");
    }
}

static void reply_arguments(struct reply *reply, const struct syntax *syntax, uint32_t first);

static void reply_argument(struct reply *reply, const struct syntax *syntax,
                           const struct syntax_node *node) {
    bool has_children = node->type == SYNTAX_ONE_OF || node->type == SYNTAX_BLOCK;
    bool has_flags = node->is_optional || node->is_multiple;
    reply_map(reply, (size_t)3 + (node->key_index >= 0) + (node->token.length != 0) +
                         (node->since.length != 0) + (node->deprecated_since.length != 0) +
                         has_flags);
    reply_pair(reply, "name", node->name);
    reply_pair(reply, "type", syntax_type_name(node->type));
    if (!has_children) {
        reply_pair(reply, "display_text", node->name);
    }
    if (node->key_index >= 0) {
        reply_bulk_string(reply, "key_spec_index");
        reply_integer(reply, node->key_index);
    }
    if (node->token.length != 0) {
        reply_span_pair(reply, "token", node->token);
    }
    if (node->since.length != 0) {
        reply_span_pair(reply, "since", node->since);
    }
    if (node->deprecated_since.length != 0) {
        reply_span_pair(reply, "deprecated_since", node->deprecated_since);
    }
    if (has_flags) {
        reply_argument_flags(reply, node);
    }
    if (has_children) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, syntax, node->first_child);
    }
}

static void reply_arguments(struct reply *reply, const struct syntax *syntax, uint32_t first) {
    size_t count = 0;
    for (uint32_t i = first; i != SYNTAX_NONE; i = syntax->nodes[i].next) {
        count++;
    }
    reply_array(reply, count);
    for (uint32_t i = first; i != SYNTAX_NONE; i = syntax->nodes[i].next) {
        reply_argument(reply, syntax, &syntax->nodes[i]);
    }
}

/* ---- commands ---- */

static void reply_docs(struct session *session, const struct command_slot *slot);

static void reply_subcommands(struct session *session, const struct command_slot *slot) {
    const struct command_table *table = session_node(session)->commands;
    struct reply_mark mark = reply_mark_here(session->reply);
    size_t count = 0;
    for (const struct command *row = slot->command->subcommands; row->name != NULL; row++) {
        reply_docs(session, command_table_subcommand(table, slot, span_of_string(row->name)));
        count++;
    }
    reply_map_at(session->reply, mark, count);
}

/* Name and documentation. */
static void reply_docs(struct session *session, const struct command_slot *slot) {
    const struct command *command = slot->command;
    struct reply *reply = session->reply;
    bool is_deprecated = command->deprecated_since != NULL;
    bool is_system = (command->flags & COMMAND_SYSTEM) != 0;
    reply_bulk_string(reply, slot->full_name);

    size_t pairs = 0;
    struct reply_mark mark = reply_mark_here(reply);
    const char *const texts[][2] = {
        {"summary", command->summary},
        {"since", command->since},
        {"group", command->group},
        {"complexity", command->complexity},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i][1] != NULL) {
            reply_pair(reply, texts[i][0], texts[i][1]);
            pairs++;
        }
    }
    if (is_deprecated || is_system) {
        reply_bulk_string(reply, "doc_flags");
        reply_set(reply, (size_t)is_deprecated + is_system);
        if (is_deprecated) {
            reply_status(reply, "deprecated");
        }
        if (is_system) {
            reply_status(reply, "syscmd");
        }
        pairs++;
    }
    if (is_deprecated) {
        reply_pair(reply, "deprecated_since", command->deprecated_since);
        pairs++;
    }
    if (command->replaced_by != NULL) {
        reply_pair(reply, "replaced_by", command->replaced_by);
        pairs++;
    }
    if (command->syntax != NULL && command->syntax[0] != '\0') {
        struct syntax *syntax = memory_alloc(sizeof(*syntax));
        int specs = 0;
        while (specs < COMMAND_KEY_SPECS_MAX && command->keys[specs].flags != 0) {
            specs++;
        }
        syntax_parse(syntax, command->syntax, specs);
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, syntax, syntax->first);
        memory_free(syntax);
        pairs++;
    }
    if (command->subcommands != NULL) {
        reply_bulk_string(reply, "subcommands");
        reply_subcommands(session, slot);
        pairs++;
    }
    reply_map_at(reply, mark, pairs);
}

void command_docs(struct session *session) {
    const struct command_table *table = session_node(session)->commands;
    struct reply_mark mark = reply_mark_here(session->reply);
    size_t count = 0;
    for (size_t i = 0; session->args_count == 2 && i < command_table_count(table); i++) {
        const struct command_slot *slot = command_table_at(table, i);
        if (command_is_shown(slot)) {
            reply_docs(session, slot);
            count++;
        }
    }
    for (uint32_t i = 2; i < session->args_count; i++) {
        const struct command_slot *slot = command_named(table, session->args[i]);
        if (slot != NULL) {
            reply_docs(session, slot);
            count++;
        }
    }
    reply_map_at(session->reply, mark, count);
}
