#include "store/debug_digest.h"

#include "store/hash_value.h"
#include "store/value.h"

static void add(unsigned char digest[SHA1_BYTES], struct span bytes) {
    unsigned char one[SHA1_BYTES];
    sha1_bytes(bytes, one);
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        digest[i] ^= one[i];
    }
}

static void mix(unsigned char digest[SHA1_BYTES], struct span bytes) {
    unsigned char sum[SHA1_BYTES];
    add(digest, bytes);
    sha1_bytes(span_of(digest, SHA1_BYTES), sum);
    memcpy(digest, sum, sizeof(sum));
}

static void mix_number(unsigned char digest[SHA1_BYTES], uint32_t number) {
    const unsigned char bytes[] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                   (unsigned char)(number >> 8), (unsigned char)number};
    mix(digest, span_of(bytes, sizeof(bytes)));
}

static void field_visit(struct span field, struct span value, void *context) {
    unsigned char *digest = context;
    unsigned char one[SHA1_BYTES] = {0};
    mix(one, field);
    mix(one, value);
    add(digest, span_of(one, sizeof(one)));
}

void debug_digest_value(const struct entry *entry, unsigned char digest[SHA1_BYTES]) {
    enum value_type type = value_type_of(entry);
    mix_number(digest, (uint32_t)type);
    if (type == VALUE_HASH) {
        hash_value_each(entry, field_visit, digest);
    } else {
        char scratch[NUMBER_TEXT_BYTES_MAX];
        mix(digest, value_string(entry, scratch));
    }
    if (entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        add(digest, span_of_string("!!expire!!"));
    }
}

static void entry_visit(void *element, void *context) {
    const struct entry *entry = element;
    unsigned char *digest = context;
    unsigned char one[SHA1_BYTES] = {0};
    mix(one, entry_key(entry));
    debug_digest_value(entry, one);
    add(digest, span_of(one, sizeof(one)));
}

static void add_database(const struct store *store, uint32_t database, unsigned char *digest) {
    for (uint32_t slot = store_next_slot(store, database, store->slot_first); slot < SLOTS;
         slot = store_next_slot(store, database, slot + 1)) {
        const struct table *table = store_table(store, database, (uint16_t)slot);
        for (uint32_t i = 0; i < table->bucket_count; i++) {
            table_visit_bucket(table, i, entry_visit, digest);
        }
    }
}

void debug_digest_keyspace(const struct keyspace *keyspace, unsigned char digest[SHA1_BYTES]) {
    memset(digest, 0, SHA1_BYTES);
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        if (keyspace_keys(keyspace, database) == 0) {
            continue;
        }
        mix_number(digest, database);
        for (uint32_t i = 0; i < keyspace->store_count; i++) {
            add_database(keyspace->stores[i], database, digest);
        }
    }
}
