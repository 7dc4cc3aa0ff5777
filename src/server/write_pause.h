/* Write pause: the server itself holds its clients' writes, as CLIENT PAUSE WRITE does: nothing is
 * changed, nor does anything expire, until the last holder lets go. A CLIENT PAUSE that is on goes
 * on behind it. Who holds writes waits for what replicas report of those before: it is read at
 * once.
 *
 * Thread: all functions under a stop of all workers.
 */
#ifndef TARN_SERVER_WRITE_PAUSE_H
#define TARN_SERVER_WRITE_PAUSE_H

#include <stdint.h>

struct node;

struct write_pause {
    struct node *node;
    uint32_t holders;
    int mode; /* what there was before: enum pause_mode */
    int64_t until_ms;
};

void write_pause_begin(struct write_pause *pause);
void write_pause_end(struct write_pause *pause);

#endif
