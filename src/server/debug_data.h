/* DEBUG's subcommands that look at all data or bring it back from disk: RELOAD, LOADAOF, DIGEST,
 * DIGEST-VALUE. While all workers stand still.
 */
#ifndef TARN_SERVER_DEBUG_DATA_H
#define TARN_SERVER_DEBUG_DATA_H

#include "server/server_commands.h"

void debug_reload(struct session *session);
void debug_load_log(struct session *session);
void debug_digest(struct session *session);
void debug_digest_values(struct session *session);

#endif
