/* Digest keys: the digests of single keys, which tell which keys of a slot differ. A run of rows:
 *
 *   OFFSET  SIZE  MEANING
 *   0       8     digest: of the key's elements (digest.h)
 *   8       4     database
 *   12      4     length of the key in bytes, which follows
 *
 * Numbers are little endian. Sorted, rows stand by database and then by key, each key once. Reading
 * takes bytes from outside: all is checked. No state, any thread.
 */
#ifndef TARN_STORE_DIGEST_KEYS_H
#define TARN_STORE_DIGEST_KEYS_H

#include "base/buffer.h"

#define DIGEST_KEY_HEAD_BYTES 16

struct digest_key {
    struct span key;
    uint32_t database;
    uint64_t digest;
};

void digest_keys_add(struct buffer *rows, const struct digest_key *key);
/* Sorts; rows of the same key become one, with the sum of their digests. */
void digest_keys_sort(struct buffer *rows);

/* Takes the first row off; false: there is none, and bytes that are left are none. */
bool digest_keys_read(struct span *rows, struct digest_key *key);

enum digest_keys_difference {
    DIGEST_KEY_DIFFERS,
    DIGEST_KEY_ONLY_FIRST,
    DIGEST_KEY_ONLY_SECOND,
};

typedef void digest_keys_visit(void *context, const struct digest_key *key,
                               enum digest_keys_difference difference);

/* Visits the keys in which two sorted runs differ. False: one of them is none, or not sorted; what
 * was visited before is true. */
bool digest_keys_compare(struct span first, struct span second, digest_keys_visit *visit,
                         void *context);

#endif
