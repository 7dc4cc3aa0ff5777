/* COMMAND DOCS, and what it shares with the rest of COMMAND. */
#ifndef TARN_SERVER_COMMAND_DOCS_H
#define TARN_SERVER_COMMAND_DOCS_H

#include "server/server_commands.h"

void command_docs(struct session *session);

/* The row of "get" or "config|get", or NULL. */
const struct command_slot *command_named(const struct command_table *table, struct span name);
/* It is no subcommand, and can be called. */
bool command_is_shown(const struct command_slot *slot);
/* Rows that are shown. */
size_t command_top_count(const struct command_table *table);

#endif
