/* Digest: a number that is equal for equal content, whatever its encoding, its order and its
 * history. The sum of a checksum per logical element: a string with its key, a field with its hash.
 * Kept by nobody, computed when asked.
 */
#ifndef TARN_STORE_DIGEST_H
#define TARN_STORE_DIGEST_H

#include "store/store.h"

/* Of one key in a database, expiry included. */
uint64_t digest_entry(uint32_t database, const struct entry *entry, uint64_t seed);
/* Of all databases' keys in one slot. */
uint64_t digest_slot(const struct store *store, uint16_t slot, uint64_t seed);

#endif
