#include "store/digest.h"

#include "store/hash_value.h"

uint64_t digest_owner_seed(const struct digest_owner *owner, uint64_t seed) {
    const uint64_t head[] = {owner->database, (uint64_t)owner->type, (uint64_t)owner->expiry_ms};
    return hash_bytes(owner->key, hash_bytes(span_of(head, sizeof(head)), seed));
}

uint64_t digest_field(struct span field, struct span value, uint64_t owner_seed) {
    return hash_bytes(value, hash_bytes(field, owner_seed));
}

uint64_t digest_string(struct span part, uint64_t offset, uint64_t owner_seed) {
    ASSERT(offset % DIGEST_PIECE_BYTES == 0);
    uint64_t sum = 0;
    do {
        size_t length = part.length < DIGEST_PIECE_BYTES ? part.length : DIGEST_PIECE_BYTES;
        sum += hash_bytes(span_of(part.bytes, length), owner_seed + offset);
        part = span_of(part.bytes + length, part.length - length);
        offset += length;
    } while (part.length > 0);
    return sum;
}

struct fields_digest {
    uint64_t seed;
    uint64_t sum;
};

static void field_visit(struct span field, struct span value, void *context) {
    struct fields_digest *digest = context;
    digest->sum += digest_field(field, value, digest->seed);
}

uint64_t digest_entry(uint32_t database, const struct entry *entry, uint64_t seed) {
    struct digest_owner owner = {
        .key = entry_key(entry),
        .database = database,
        .type = value_type_of(entry),
        .expiry_ms = entry_expiry(entry),
    };
    struct fields_digest digest = {.seed = digest_owner_seed(&owner, seed)};
    if (owner.type == VALUE_HASH) {
        hash_value_each(entry, field_visit, &digest);
        return digest.sum;
    }
    char scratch[NUMBER_TEXT_BYTES_MAX];
    return digest_string(value_string(entry, scratch), 0, digest.seed);
}

struct slot_sum {
    uint64_t seed;
    uint64_t sum;
    uint32_t database;
};

static void entry_visit(void *element, void *context) {
    struct slot_sum *slot = context;
    slot->sum += digest_entry(slot->database, element, slot->seed);
}

uint64_t digest_slot(const struct store *store, uint16_t slot, uint64_t seed) {
    struct slot_sum sum = {.seed = seed};
    for (; sum.database < store->database_count; sum.database++) {
        const struct table *table = store_table(store, sum.database, slot);
        for (uint32_t i = 0; table != NULL && i < table->bucket_count; i++) {
            table_visit_bucket(table, i, entry_visit, &sum);
        }
    }
    return sum.sum;
}
