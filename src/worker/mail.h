/* Mail: what workers send each other, taken in at the begin of a tick and sent at its end:
 * connections that travel, and posts (worker_post()).
 */
#ifndef TARN_WORKER_MAIL_H
#define TARN_WORKER_MAIL_H

#include "worker/connection.h"

/* Takes in what has come: posts run, connections become runnable. */
void mail_receive_stage(struct worker *worker);
/* Runs the posts alone. */
void mail_run_posts(struct worker *worker);

/* The connection goes on at that worker: now, or with the tick's mail. */
void mail_send(struct worker *worker, struct connection *connection, uint32_t target);
/* Sends what leaves with this tick. */
void mail_send_stage(struct worker *worker);

#endif
