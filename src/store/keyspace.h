/* Keyspace: the stores of all workers of a node, and which of them owns a slot. Each worker owns a
 * run of neighbouring slots. Made at startup, then constant; what it points at has one owner each.
 */
#ifndef TARN_STORE_KEYSPACE_H
#define TARN_STORE_KEYSPACE_H

#include "store/store.h"

#define KEYSPACE_STORES_MAX 64
_Static_assert(KEYSPACE_STORES_MAX <= UINT8_MAX + 1, "owners are bytes");

struct keyspace {
    struct store *stores[KEYSPACE_STORES_MAX];
    uint32_t store_count;
    uint32_t database_count;
    bool has_one_database; /* a cluster's: commands name no other than the first */
    uint64_t secret;
    uint8_t owners[SLOTS]; /* index of the store that owns the slot */
};

struct keyspace *keyspace_new(const struct store_options *options, uint32_t store_count,
                              uint32_t database_count, const uint64_t seeds[2]);
void keyspace_free(struct keyspace *keyspace);

static inline struct store *keyspace_store(const struct keyspace *keyspace, uint16_t slot) {
    return keyspace->stores[keyspace->owners[slot]];
}

/* Over all stores: for a caller for whom all their owners stand still. */
uint64_t keyspace_keys(const struct keyspace *keyspace, uint32_t database);
uint64_t keyspace_volatile_keys(const struct keyspace *keyspace, uint32_t database);

#endif
