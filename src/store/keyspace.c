#include "store/keyspace.h"

#include "base/memory.h"

struct keyspace *keyspace_new(const struct store_options *options, uint32_t store_count,
                              uint32_t database_count, const uint64_t seeds[2]) {
    ASSERT(store_count >= 1 && store_count <= KEYSPACE_STORES_MAX);
    struct keyspace *keyspace = memory_alloc_zeroed(sizeof(*keyspace));
    keyspace->store_count = store_count;
    keyspace->database_count = database_count;
    keyspace->secret = seeds[0];
    for (uint32_t i = 0; i < store_count; i++) {
        uint32_t first = SLOTS * i / store_count;
        uint32_t next = SLOTS * (i + 1) / store_count;
        keyspace->stores[i] = store_new(&(struct store_plan){
            .options = options,
            .secret = seeds[0],
            .seed = seeds[1] + i,
            .slot_first = first,
            .slot_count = next - first,
            .database_count = database_count,
        });
        memset(&keyspace->owners[first], (int)i, next - first);
    }
    return keyspace;
}

void keyspace_free(struct keyspace *keyspace) {
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        store_free(keyspace->stores[i]);
    }
    memory_free(keyspace);
}

uint64_t keyspace_keys(const struct keyspace *keyspace, uint32_t database) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        keys += store_keys(keyspace->stores[i], database);
    }
    return keys;
}

uint64_t keyspace_volatile_keys(const struct keyspace *keyspace, uint32_t database) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        const struct database *found = keyspace->stores[i]->databases[database];
        keys += found == NULL ? 0 : found->volatile_keys;
    }
    return keys;
}
