/* HMAC-SHA256 (RFC 2104, FIPS 180-4) by OpenSSL's libcrypto: proof that bytes come from who knows a
 * key. One owner, one thread at a time.
 */
#ifndef TARN_BASE_HMAC_H
#define TARN_BASE_HMAC_H

#include "base/span.h"

#include <stdbool.h>

#define HMAC_BYTES 32

struct hmac;

/* The key has a byte at least. */
struct hmac *hmac_new(struct span key);
void hmac_free(struct hmac *hmac); /* NULL is allowed */

/* The code of the parts, one behind the other. */
void hmac_code(struct hmac *hmac, const struct span *parts, size_t count,
               unsigned char code[HMAC_BYTES]);

/* In a time that tells nothing of where they differ. */
bool hmac_equal(const void *a, const void *b, size_t length);

#endif
