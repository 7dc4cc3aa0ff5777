/* CLIENT: what one connection may know and do about itself and others.
 */
#ifndef TARN_WORKER_CLIENT_COMMANDS_H
#define TARN_WORKER_CLIENT_COMMANDS_H

#include "worker/session.h"

/* Copies a name, or forgets the old one when it is empty. */
void client_text_set(char **place, struct span text);

/* LIST, KILL and UNBLOCK: client_list.c. */
void client_list_command(struct session *session);
void client_kill_command(struct session *session);
void client_unblock_command(struct session *session);
/* QUORUM: client_quorum.c. */
void client_quorum_command(struct session *session);

extern const struct command client_commands[];

#endif
