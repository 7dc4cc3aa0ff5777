#include "store/digest.h"

#include "store/hash_value.h"
#include "store/value.h"

struct fields_digest {
    uint64_t seed;
    uint64_t sum;
};

static void field_visit(struct span field, struct span value, void *context) {
    struct fields_digest *digest = context;
    digest->sum += hash_bytes(value, hash_bytes(field, digest->seed));
}

uint64_t digest_entry(uint32_t database, const struct entry *entry, uint64_t seed) {
    const uint64_t head[] = {database, (uint64_t)value_type_of(entry),
                             (uint64_t)entry_expiry(entry)};
    seed = hash_bytes(entry_key(entry), hash_bytes(span_of(head, sizeof(head)), seed));
    if (value_type_of(entry) == VALUE_HASH) {
        struct fields_digest digest = {.seed = seed};
        hash_value_each(entry, field_visit, &digest);
        return digest.sum;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    return hash_bytes(value_string(entry, scratch), seed);
}

struct slot_digest {
    uint64_t seed;
    uint64_t sum;
    uint32_t database;
};

static void entry_visit(void *element, void *context) {
    struct slot_digest *digest = context;
    digest->sum += digest_entry(digest->database, element, digest->seed);
}

uint64_t digest_slot(const struct store *store, uint16_t slot, uint64_t seed) {
    struct slot_digest digest = {.seed = seed};
    for (; digest.database < store->database_count; digest.database++) {
        const struct table *table = store_table(store, digest.database, slot);
        for (uint32_t i = 0; table != NULL && i < table->bucket_count; i++) {
            table_visit_bucket(table, i, entry_visit, &digest);
        }
    }
    return digest.sum;
}
