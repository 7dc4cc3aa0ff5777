/* The digest that DEBUG DIGEST shows: the same number that redis-server gives for the same data.
 *
 *   mix(digest, bytes)  digest = SHA1(digest ^ SHA1(bytes))
 *   add(digest, bytes)  digest = digest ^ SHA1(bytes), where order must not count
 *
 *   data set  per database that is not empty: mix its number, then add each key's digest
 *   key       mix the key, then its value
 *   value     mix the type's number; a string: mix its bytes; a hash: per field add the digest of
 *             (mix field, mix value); last, if it has an expiry: add "!!expire!!"
 *
 * Numbers are four bytes, big endian; every digest begins as zeros. See store/digest.h for the
 * digest that is fast.
 */
#ifndef TARN_STORE_DEBUG_DIGEST_H
#define TARN_STORE_DEBUG_DIGEST_H

#include "base/sha1.h"
#include "store/keyspace.h"

/* Of a value, mixed into the digest. */
void debug_digest_value(const struct entry *entry, unsigned char digest[SHA1_BYTES]);
/* Of all that is stored. While all owners stand still. */
void debug_digest_keyspace(const struct keyspace *keyspace, unsigned char digest[SHA1_BYTES]);

#endif
