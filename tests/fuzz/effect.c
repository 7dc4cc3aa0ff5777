/* Entries of the log from outside: whatever is read is written again as the same bytes, and a
 * replay either changes the store or refuses, whichever state that is in.
 *
 * The first byte of the input: bit 0 for three stores in place of one, bit 1 to put every key into
 * its own slot, which few changed bytes would. The others are entries. */
#include "commands/effect_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define DATABASES 4
/* No input asks for much memory. */
#define PATCH_OFFSET_MAX ((int64_t)64 * 1024)

static void check_encoding(const struct effect_record *record, struct span bytes) {
    struct buffer again = BUFFER_EMPTY;
    bool is_block_left = effect_write(&again, record);
    ASSERT(!is_block_left);
    ASSERT(span_equal(buffer_span(&again), bytes));
    ASSERT(again.length <= EFFECT_OVERHEAD_BYTES_MAX + record->key.length +
                               record->effect.field.length + record->effect.value.length);
    buffer_free(&again);
}

static void replay(const struct keyspace *keyspace, struct effect_record *record,
                   bool has_own_slot) {
    if (has_own_slot && record->slot != EFFECT_NODE_SLOT &&
        record->effect.kind != EFFECT_SLOT_DIGEST) {
        record->slot = slot_of_key(record->key);
    }
    if (record->effect.kind == EFFECT_STRING_PATCH && record->effect.number > PATCH_OFFSET_MAX) {
        return;
    }
    uint64_t before = keyspace_keys(keyspace, record->database % DATABASES);
    enum effect_replay_status status = effect_replay(keyspace, record);
    ASSERT(effect_replay_reason(status) != NULL);
    ASSERT(status == EFFECT_REPLAY_DONE ||
           keyspace_keys(keyspace, record->database % DATABASES) == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const uint64_t seeds[2] = {1, 2};
    if (length == 0) {
        return 0;
    }
    struct store_options options = {.hash_max_listpack_entries = 4, .hash_max_listpack_value = 16};
    uint32_t stores = (bytes[0] & 1) != 0 ? 3 : 1;
    struct keyspace *keyspace = keyspace_new(&options, stores, DATABASES, seeds);
    struct span content = span_of(bytes + 1, length - 1);
    enum effect_read_status status = EFFECT_READ_DONE;
    while (status == EFFECT_READ_DONE) {
        struct effect_record record;
        struct span before = content;
        status = effect_read(&content, &record);
        ASSERT((status == EFFECT_READ_END) == (before.length == 0));
        if (status == EFFECT_READ_DONE) {
            check_encoding(&record, span_of(before.bytes, before.length - content.length));
            replay(keyspace, &record, (bytes[0] & 2) != 0);
        }
    }
    keyspace_free(keyspace);
    return 0;
}
