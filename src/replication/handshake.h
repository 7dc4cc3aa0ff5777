/* Handshake: what the two sides of a link say before its messages, in the protocol of clients on
 * the primary's port.
 *
 *   replica   [AUTH ...] PING, REPLCONF listening-port P [ip-address A],
 *             REPLCONF capa eof capa psync2, REPLCONF tarn-link VERSION NONCE
 *   primary   +TARN VERSION NONCE2
 *
 * From the next byte on both speak message.h. The seed of its checksums is drawn from both nonces,
 * so the replica can send nothing behind its last word before that is answered, and what belongs to
 * another link is no message on this one.
 */
#ifndef TARN_REPLICATION_HANDSHAKE_H
#define TARN_REPLICATION_HANDSHAKE_H

#include "base/buffer.h"
#include "replication/message.h"

#define HANDSHAKE_WORD "tarn-link" /* of REPLCONF */
#define HANDSHAKE_NONCE_DIGITS 32  /* hexadecimal, in lower case */
#define HANDSHAKE_NONCE_BYTES (HANDSHAKE_NONCE_DIGITS + 1)

void handshake_nonce_draw(char nonce[HANDSHAKE_NONCE_BYTES]);
bool handshake_nonce_is_valid(struct span nonce);

/* The seed of the link; each nonce has HANDSHAKE_NONCE_DIGITS digits. */
uint64_t handshake_seed(struct span of_replica, struct span of_primary);

/* Appends the status without its "+": "TARN VERSION NONCE". */
void handshake_write_answer(struct buffer *out, const char nonce[HANDSHAKE_NONCE_BYTES]);
/* The same read. False: no answer of this version. The nonce points into the text. */
bool handshake_read_answer(struct span text, struct span *nonce);

#endif
