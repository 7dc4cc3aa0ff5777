/* COMMAND INFO's description of a row: flags, categories, key specs and the key range that stood
 * for them before. What the rest of COMMAND needs of it is here too. */
#ifndef TARN_SERVER_COMMAND_INFO_H
#define TARN_SERVER_COMMAND_INFO_H

#include "server/server_commands.h"

/* The row and its subcommands. */
void command_reply_info(struct session *session, const struct command_slot *slot);

/* The categories of the row, and those that follow from its group and flags. */
unsigned command_categories(const struct command *command);
/* The category of this name, without '@'; 0: there is none. */
unsigned command_category_named(struct span name);

int command_specs_count(const struct command *command);
/* A set of the words for enum key_flag. */
void command_reply_key_flags(struct reply *reply, unsigned flags);

#endif
