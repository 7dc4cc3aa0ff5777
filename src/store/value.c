#include "store/value.h"

#include "io/background.h"
#include "store/hash_value.h"

const char *value_type_name(enum value_type type) {
    switch (type) {
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return "list";
    case VALUE_SET:
        return "set";
    case VALUE_SORTED_SET:
        return "zset";
    case VALUE_HASH:
        return "hash";
    case VALUE_STREAM:
        return "stream";
    }
    ASSERT(false);
}

const char *value_encoding(const struct entry *entry) {
    switch (entry_kind(entry)) {
    case ENTRY_INTEGER:
        return "int";
    case ENTRY_BYTES:
        return entry_has(entry, ENTRY_FLAG_RAW) ||
                       entry_content(entry).length > VALUE_EMBSTR_BYTES_MAX
                   ? "raw"
                   : "embstr";
    case ENTRY_BLOCK:
        return "raw";
    case ENTRY_HASH_PACK:
        return "listpack";
    case ENTRY_HASH_TABLE:
        return "hashtable";
    case ENTRY_KINDS:
        break;
    }
    ASSERT(false);
}

struct span value_string(const struct entry *entry, char *scratch) {
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
        return entry_content(entry);
    case ENTRY_INTEGER:
        return span_of(scratch, number_format(scratch, entry_integer(entry)));
    case ENTRY_BLOCK:
        return block_span(entry_block(entry));
    default:
        ASSERT(false);
    }
}

size_t value_string_length(const struct entry *entry) {
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
        return entry_content(entry).length;
    case ENTRY_INTEGER:
        return number_decimal_length(entry_integer(entry));
    case ENTRY_BLOCK:
        return entry_block(entry)->length;
    default:
        ASSERT(false);
    }
}

bool value_string_is_integer(const struct entry *entry, int64_t *number) {
    switch (entry_kind(entry)) {
    case ENTRY_INTEGER:
        *number = entry_integer(entry);
        return true;
    case ENTRY_BYTES:
        return number_parse(entry_content(entry), number);
    default:
        return false;
    }
}

size_t value_elements(const struct entry *entry) {
    return value_type_of(entry) == VALUE_HASH ? hash_value_length(entry) : 1;
}

static void block_release_away(void *block) {
    block_release(block);
}

static void block_free(struct store *store, struct block *block) {
    heap_unaccount(&store->heap, block_occupied_bytes(block));
    if (store->background != NULL && block->capacity >= STORE_FREE_AWAY_BYTES) {
        background_submit(store->background, block_release_away, block);
    } else {
        block_release(block);
    }
}

/* Frees what the entry points at. */
static void content_free(struct store *store, struct entry *entry) {
    switch (entry_kind(entry)) {
    case ENTRY_BLOCK:
        block_free(store, entry_block(entry));
        break;
    case ENTRY_HASH_TABLE:
        hash_value_free_content(store, entry);
        break;
    default:
        break;
    }
}

void value_free(struct store *store, struct entry *entry) {
    content_free(store, entry);
    entry_free(&store->heap, entry);
}

size_t value_memory_bytes(const struct store *store, const struct entry *entry, size_t samples) {
    size_t size = heap_class_bytes(entry_bytes(entry));
    /* A key's share of its bucket at the load that tables grow at. */
    size += sizeof(struct table_bucket) * 2 / TABLE_GROW_HALVES;
    if (entry_kind(entry) == ENTRY_BLOCK) {
        size += block_occupied_bytes(entry_block(entry));
    } else if (entry_kind(entry) == ENTRY_HASH_TABLE) {
        size += hash_value_memory_bytes(store, entry, samples);
    }
    return size;
}

/* ---- strings ---- */

/* What the plan's value becomes for these bytes. */
static void plan_string(struct entry_plan *plan, const struct string_put *put) {
    int64_t number;
    plan->is_raw = put->is_raw;
    if (!put->is_raw && !put->is_text && put->bytes.length <= 20 &&
        number_parse(put->bytes, &number)) {
        plan->kind = ENTRY_INTEGER;
        plan->fixed = (uint64_t)number;
    } else if (put->bytes.length >= BLOCK_BYTES_MIN) {
        struct block *block = put->block;
        if (block == NULL) {
            block = block_try_new(put->bytes.length);
            ASSERT(block != NULL);
            memcpy(block->bytes, put->bytes.bytes, put->bytes.length);
            block->length = put->bytes.length;
        } else {
            block_hold(block);
        }
        plan->kind = ENTRY_BLOCK;
        plan->fixed = (uint64_t)(uintptr_t)block;
    } else {
        plan->kind = ENTRY_BYTES;
        plan->value = put->bytes;
    }
}

uint64_t *value_string_put(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                           struct span key, uint64_t *cell, const struct string_put *put) {
    struct entry_plan plan = {
        .expiry_ms = put->expiry_ms,
        .access = store_access_new(store),
        .key = key,
    };
    plan_string(&plan, put);
    if (plan.kind == ENTRY_BLOCK) {
        heap_account(&store->heap,
                     block_occupied_bytes((struct block *)(uintptr_t)plan.fixed)); // NOLINT
    }
    if (cell == NULL) {
        return store_add(store, database, slot, hash, entry_new(&store->heap, &plan));
    }
    struct entry *old = table_cell_element(*cell);
    int64_t old_expiry_ms = entry_expiry(old);
    content_free(store, old);
    plan.access = maxmemory_policy_is_lfu(store->options->maxmemory_policy) ? entry_access(old)
                                                                            : store->lru_clock;
    table_cell_move(cell, entry_rewrite(&store->heap, old, &plan));
    if (UNLIKELY(old_expiry_ms != put->expiry_ms)) {
        store_expiry_changed(store, database, slot, old_expiry_ms, put->expiry_ms);
    }
    return cell;
}

/* The string in a block of its own that may be written to, with room for `capacity` bytes. */
static struct block *block_for_patch(struct store *store, struct entry *entry, size_t capacity) {
    if (entry_kind(entry) == ENTRY_BLOCK) {
        struct block *block = entry_block(entry);
        size_t before = block_occupied_bytes(block);
        struct block *kept = block;
        if (block_is_shared(block)) {
            kept = block_try_copy(block, capacity > block->length ? capacity : block->length);
            if (kept == NULL) {
                return NULL;
            }
            block_release(block);
        } else if (capacity > block->capacity) {
            /* An append that repeats must not copy the whole each time. */
            if (!block_try_reserve(&kept, capacity + capacity / 4) &&
                !block_try_reserve(&kept, capacity)) {
                return NULL;
            }
        }
        heap_unaccount(&store->heap, before);
        heap_account(&store->heap, block_occupied_bytes(kept));
        entry_set_fixed(entry, (uint64_t)(uintptr_t)kept);
        return kept;
    }
    struct block *block = block_try_new(capacity);
    if (block != NULL) {
        char scratch[NUMBER_TEXT_BYTES_MAX];
        struct span old = value_string(entry, scratch);
        memcpy(block->bytes, old.bytes, old.length);
        block->length = old.length;
        heap_account(&store->heap, block_occupied_bytes(block));
    }
    return block;
}

static void patch_bytes(char *bytes, size_t old_length, size_t offset, struct span patch) {
    if (offset > old_length) {
        memset(bytes + old_length, 0, offset - old_length);
    }
    memcpy(bytes + offset, patch.bytes, patch.length);
}

bool value_string_patch(struct store *store, uint64_t *cell, size_t offset, struct span bytes) {
    struct entry *entry = table_cell_element(*cell);
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span old = value_string(entry, scratch);
    size_t length = offset + bytes.length > old.length ? offset + bytes.length : old.length;
    struct entry_plan plan = entry_plan_of(entry);
    plan.is_raw = true;
    if (entry_kind(entry) == ENTRY_BLOCK || length >= BLOCK_BYTES_MIN) {
        struct block *block = block_for_patch(store, entry, length);
        if (block == NULL) {
            return false;
        }
        patch_bytes(block->bytes, block->length, offset, bytes);
        block->length = length;
        if (entry_kind(entry) != ENTRY_BLOCK) {
            plan.kind = ENTRY_BLOCK;
            plan.fixed = (uint64_t)(uintptr_t)block;
            table_cell_move(cell, entry_rewrite(&store->heap, entry, &plan));
        }
        return true;
    }
    if (entry_kind(entry) == ENTRY_BYTES && length == old.length) {
        memcpy(entry_content_bytes(entry) + offset, bytes.bytes, bytes.length);
        entry->head[0] |= ENTRY_FLAG_RAW;
        return true;
    }
    char grown[BLOCK_BYTES_MIN];
    memcpy(grown, old.bytes, old.length);
    patch_bytes(grown, old.length, offset, bytes);
    plan.kind = ENTRY_BYTES;
    plan.value = span_of(grown, length);
    table_cell_move(cell, entry_rewrite(&store->heap, entry, &plan));
    return true;
}

bool value_string_reserve(struct store *store, uint64_t *cell, size_t length) {
    struct entry *entry = cell == NULL ? NULL : table_cell_element(*cell);
    if (length < BLOCK_BYTES_MIN && (entry == NULL || entry_kind(entry) != ENTRY_BLOCK)) {
        return true;
    }
    if (entry == NULL) {
        struct block *block = block_try_new(length);
        block_release(block);
        return block != NULL;
    }
    struct block *block = block_for_patch(store, entry, length);
    if (block == NULL) {
        return false;
    }
    if (entry_kind(entry) != ENTRY_BLOCK) {
        struct entry_plan plan = entry_plan_of(entry);
        plan.kind = ENTRY_BLOCK;
        plan.is_raw = true;
        plan.fixed = (uint64_t)(uintptr_t)block;
        table_cell_move(cell, entry_rewrite(&store->heap, entry, &plan));
    }
    return true;
}

void value_string_set_integer(struct store *store, uint64_t *cell, int64_t number) {
    struct entry *entry = table_cell_element(*cell);
    if (entry_kind(entry) == ENTRY_INTEGER) {
        entry_set_fixed(entry, (uint64_t)number);
        return;
    }
    content_free(store, entry);
    struct entry_plan plan = entry_plan_of(entry);
    plan.kind = ENTRY_INTEGER;
    plan.is_raw = false;
    plan.fixed = (uint64_t)number;
    plan.value = span_of(NULL, 0);
    table_cell_move(cell, entry_rewrite(&store->heap, entry, &plan));
}
