#include "store/slot_digest.h"

#include "base/memory.h"
#include "store/digest.h"
#include "store/digest_keys.h"
#include "structures/listpack.h"

_Static_assert(CUT_BYTES_AT_ONCE == DIGEST_PIECE_BYTES, "parts of a string begin where pieces do");

struct slot_digest {
    struct slot_digest_plan plan;
    struct cut *cut; /* NULL: done */
    struct buffer content;
    uint64_t sum;
    uint64_t keys;
    struct buffer rows;
    bool is_incomplete;
};

/* ---- records ---- */

static uint64_t pack_sum(struct span value, uint64_t seed) {
    const unsigned char *pack = (const unsigned char *)value.bytes;
    uint64_t sum = 0;
    for (size_t at = listpack_first(pack); at != LISTPACK_END;) {
        char field_scratch[LISTPACK_NUMBER_TEXT_MAX];
        char value_scratch[LISTPACK_NUMBER_TEXT_MAX];
        struct span field = listpack_text(pack, at, field_scratch);
        at = listpack_next(pack, at);
        sum += digest_field(field, listpack_text(pack, at, value_scratch), seed);
        at = listpack_next(pack, at);
    }
    return sum;
}

static uint64_t fields_sum(struct span fields, uint64_t seed) {
    struct span field;
    struct span value;
    uint64_t sum = 0;
    while (image_next_field(&fields, &field, &value)) {
        sum += digest_field(field, value, seed);
    }
    return sum;
}

static uint64_t record_sum(const struct image_record *record, uint64_t seed) {
    struct digest_owner owner = {
        .key = record->key.key,
        .database = record->database,
        .type = record->kind == IMAGE_HASH_PACK || record->kind == IMAGE_HASH_FIELDS ? VALUE_HASH
                                                                                     : VALUE_STRING,
        .expiry_ms = record->key.expiry_ms,
    };
    seed = digest_owner_seed(&owner, seed);
    char text[NUMBER_TEXT_BYTES_MAX];
    switch (record->kind) {
    case IMAGE_STRING:
        return digest_string(record->value, 0, seed);
    case IMAGE_INTEGER:
        return digest_string(span_of(text, number_format(text, record->integer)), 0, seed);
    case IMAGE_STRING_PART:
        return digest_string(record->value, record->offset, seed);
    case IMAGE_HASH_PACK:
        return pack_sum(record->value, seed);
    case IMAGE_HASH_FIELDS:
        return fields_sum(record->value, seed);
    case IMAGE_SLOT:
        break;
    }
    ASSERT(false);
}

static void row_add(struct slot_digest *digest, const struct image_record *record, uint64_t sum) {
    struct span key = record->key.key;
    if (digest->rows.length + DIGEST_KEY_HEAD_BYTES + key.length > SLOT_DIGEST_KEYS_BYTES_MAX) {
        digest->is_incomplete = true;
        return;
    }
    digest_keys_add(&digest->rows, &(struct digest_key){
                                       .key = key,
                                       .database = record->database,
                                       .digest = sum,
                                   });
}

/* ---- what the cut gives ---- */

static uint64_t no_position(void *context) {
    (void)context;
    return 0;
}

static void chunk_take(void *context, struct image_chunk *chunk) {
    struct slot_digest *digest = context;
    struct image_reader reader;
    struct image_record record;
    enum image_status status;
    buffer_clear(&digest->content);
    image_chunk_join(chunk, &digest->content);
    image_chunk_free(chunk);
    image_reader_init(&reader, buffer_span(&digest->content));
    while ((status = image_read(&reader, &record)) == IMAGE_DONE) {
        uint64_t sum = record_sum(&record, digest->plan.seed);
        digest->sum += sum;
        if (digest->plan.has_keys) {
            row_add(digest, &record, sum);
        }
    }
    ASSERT(status == IMAGE_END);
}

static void slot_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    (void)slot;
    (void)position;
    ((struct slot_digest *)context)->keys = keys;
}

/* ---- the whole ---- */

/* Another cut may be half done: it stays the store's open one, unless this one becomes it. */
struct slot_digest *slot_digest_new(const struct slot_digest_plan *plan) {
    struct slot_digest *digest = memory_alloc_zeroed(sizeof(*digest));
    digest->plan = *plan;
    digest->cut = cut_new(&(struct cut_plan){
        .store = plan->store,
        .target = {.context = digest,
                   .position = no_position,
                   .chunk = chunk_take,
                   .slot_done = slot_done},
        .slot_first = plan->slot,
        .slot_count = 1,
        .step_bytes = plan->step_bytes,
    });
    struct cut *other = plan->store->open_cut;
    struct cut_work work = {0};
    if (!slot_digest_step(digest, &work) && other != NULL) {
        slot_digest_free(digest);
        digest = NULL;
    }
    if (other != NULL) {
        plan->store->open_cut = other;
    }
    return digest;
}

void slot_digest_free(struct slot_digest *digest) {
    if (digest == NULL) {
        return;
    }
    if (digest->cut != NULL) {
        cut_free(digest->cut);
    }
    buffer_free(&digest->content);
    buffer_free(&digest->rows);
    memory_free(digest);
}

bool slot_digest_step(struct slot_digest *digest, struct cut_work *work) {
    if (digest->cut == NULL || !cut_step(digest->cut, work)) {
        return digest->cut == NULL;
    }
    cut_free(digest->cut);
    digest->cut = NULL;
    buffer_free(&digest->content);
    digest_keys_sort(&digest->rows);
    return true;
}

bool slot_digest_is_done(const struct slot_digest *digest) {
    return digest->cut == NULL;
}

void slot_digest_result(struct slot_digest *digest, struct slot_digest_result *result) {
    ASSERT(digest->cut == NULL);
    *result = (struct slot_digest_result){
        .sum = digest->sum,
        .keys = digest->keys,
        .rows = buffer_span(&digest->rows),
        .is_incomplete = digest->is_incomplete,
    };
}
