/* Digest: a number that is equal for equal content, whatever its encoding, its order and its
 * history. The sum of a checksum per logical element, each seeded with its key, database, type and
 * expiry: a string in pieces of DIGEST_PIECE_BYTES with their offsets, a hash field by field. Kept
 * by nobody, computed when asked.
 *
 * Nodes compare digests: what goes into them is as permanent as a format.
 */
#ifndef TARN_STORE_DIGEST_H
#define TARN_STORE_DIGEST_H

#include "store/store.h"
#include "store/value.h"

#define DIGEST_PIECE_BYTES ((size_t)64 * 1024)

/* The key that an element belongs to. */
struct digest_owner {
    struct span key;
    uint32_t database;
    enum value_type type;
    int64_t expiry_ms;
};

/* The seed of the elements of one key. */
uint64_t digest_owner_seed(const struct digest_owner *owner, uint64_t seed);
/* Of a field of a hash, and of a part of a string that begins at a multiple of
 * DIGEST_PIECE_BYTES. */
uint64_t digest_field(struct span field, struct span value, uint64_t owner_seed);
uint64_t digest_string(struct span part, uint64_t offset, uint64_t owner_seed);

/* Of one key in a database, expiry included. */
uint64_t digest_entry(uint32_t database, const struct entry *entry, uint64_t seed);
/* Of all databases' keys in one slot, in one go. */
uint64_t digest_slot(const struct store *store, uint16_t slot, uint64_t seed);

#endif
