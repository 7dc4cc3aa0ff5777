#include "store/hash_value.h"

#include "store/cut.h"
#include "structures/listpack.h"

_Static_assert(HASH_SCRATCH_BYTES >= LISTPACK_NUMBER_TEXT_MAX, "a scratch holds any number");

/* A field of a table is one allocation:
 *
 *   OFFSET  SIZE    MEANING
 *   0       1 - 10  length of the field: seven bits a byte, the low ones first, the top bit set in
 *                   all bytes but the last
 *   ...     1 - 10  length of the value, likewise
 *   ...             the field, the value
 */
#define LENGTH_BITS 7
#define LENGTH_MORE 0x80
#define LENGTH_MASK (LENGTH_MORE - 1)

struct pair {
    struct span field;
    struct span value;
};

/* ---- fields of tables ---- */

static size_t length_bytes(size_t length) {
    size_t bytes = 1;
    for (; length > LENGTH_MASK; length >>= LENGTH_BITS) {
        bytes++;
    }
    return bytes;
}

static char *length_write(char *place, size_t length) {
    for (; length > LENGTH_MASK; length >>= LENGTH_BITS) {
        *place++ = (char)(length | LENGTH_MORE);
    }
    *place++ = (char)length;
    return place;
}

static inline const char *length_read(const char *place, size_t *length) {
    size_t bits = (unsigned char)*place++;
    if (UNLIKELY((bits & LENGTH_MORE) != 0)) {
        size_t part;
        bits &= LENGTH_MASK;
        for (unsigned shift = LENGTH_BITS;; shift += LENGTH_BITS) {
            part = (unsigned char)*place++;
            bits |= (part & LENGTH_MASK) << shift;
            if ((part & LENGTH_MORE) == 0) {
                break;
            }
        }
    }
    *length = bits;
    return place;
}

static inline struct pair field_read(const void *element) {
    struct pair pair;
    const char *place = length_read(element, &pair.field.length);
    pair.field.bytes = length_read(place, &pair.value.length);
    pair.value.bytes = pair.field.bytes + pair.field.length;
    return pair;
}

static size_t pair_bytes(const struct pair *pair) {
    return length_bytes(pair->field.length) + length_bytes(pair->value.length) +
           pair->field.length + pair->value.length;
}

static size_t field_bytes(const void *element) {
    struct pair pair = field_read(element);
    return (size_t)(pair.value.bytes - (const char *)element) + pair.value.length;
}

static void copy(char *place, struct span bytes) {
    if (bytes.length != 0) {
        memcpy(place, bytes.bytes, bytes.length);
    }
}

static void *field_new(struct heap *heap, const struct pair *pair) {
    char *element = heap_alloc(heap, pair_bytes(pair));
    char *place = length_write(length_write(element, pair->field.length), pair->value.length);
    copy(place, pair->field);
    copy(place + pair->field.length, pair->value);
    return element;
}

static void field_free(void *element, void *store) {
    heap_free(&((struct store *)store)->heap, element, field_bytes(element));
}

/* Puts a value in the place of the field's, where it is if its size class allows. */
static void field_set(struct heap *heap, uint64_t *cell, struct span value) {
    char *element = table_cell_element(*cell);
    struct pair pair = field_read(element);
    size_t old_bytes = field_bytes(element);
    bool is_same_head = length_bytes(pair.value.length) == length_bytes(value.length);
    pair.value = value;
    size_t new_bytes = pair_bytes(&pair);
    if (is_same_head && heap_class_bytes(old_bytes) == heap_class_bytes(new_bytes)) {
        char *place = length_write(element + length_bytes(pair.field.length), value.length);
        copy(place + pair.field.length, value);
        return;
    }
    table_cell_move(cell, field_new(heap, &pair));
    heap_free(heap, element, old_bytes);
}

static uint64_t field_hash(const void *element, const void *context) {
    const struct store *store = context;
    return hash_bytes(field_read(element).field, store->secret);
}

static bool field_equals(const void *element, const void *sought) {
    return span_equal(field_read(element).field, *(const struct span *)sought);
}

/* ---- tables ---- */

static struct table *table_of(const struct entry *entry) {
    return (struct table *)(uintptr_t)entry_fixed(entry); // NOLINT
}

static void take_steps(struct store *store, struct table *table) {
    struct table_elements elements = {.hash = field_hash, .context = store};
    for (int i = 0; i < TABLE_STEPS_MAX && table_wants_step(table); i++) {
        cut_before_step(store, table);
        table_step(table, &store->heap, &elements);
        store->table_steps++;
    }
}

static uint64_t *field_find(const struct table *table, uint64_t hash, struct span field) {
    return table_find(table, hash, field_equals, &field);
}

static void field_add(struct store *store, struct table *table, uint64_t hash,
                      const struct pair *pair) {
    table_insert(table, &store->heap, hash, field_new(&store->heap, pair));
    take_steps(store, table);
}

static bool fields_put(struct store *store, struct table *table, const struct pair *pair) {
    uint64_t hash = hash_bytes(pair->field, store->secret);
    cut_before_field_change(store, table, hash);
    uint64_t *cell = field_find(table, hash, pair->field);
    if (cell != NULL) {
        field_set(&store->heap, cell, pair->value);
        return false;
    }
    field_add(store, table, hash, pair);
    return true;
}

static bool fields_delete(struct store *store, struct table *table, struct span field) {
    uint64_t hash = hash_bytes(field, store->secret);
    uint64_t *cell = field_find(table, hash, field);
    if (cell == NULL) {
        return false;
    }
    cut_before_field_change(store, table, hash);
    void *element = table_cell_element(*cell);
    table_remove(table, &store->heap, hash, cell);
    field_free(element, store);
    take_steps(store, table);
    return true;
}

/* ---- packs ---- */

static const unsigned char *pack_of(const struct entry *entry) {
    return (const unsigned char *)entry_content(entry).bytes;
}

/* The pack gets a room of size_bytes; the entry may move. */
static unsigned char *pack_resize(struct store *store, uint64_t *cell, size_t size_bytes) {
    struct entry *entry = table_cell_element(*cell);
    entry = entry_resize(&store->heap, entry, size_bytes);
    table_cell_move(cell, entry);
    return entry_content_bytes(entry);
}

static void pack_add(struct store *store, uint64_t *cell, const struct pair *pair) {
    size_t size = listpack_bytes(pack_of(table_cell_element(*cell)));
    size += listpack_element_bytes(pair->field) + listpack_element_bytes(pair->value);
    unsigned char *pack = pack_resize(store, cell, size);
    listpack_insert(pack, LISTPACK_END, pair->field);
    listpack_insert(pack, LISTPACK_END, pair->value);
}

/* Puts a value in the place of the one at `position`. */
static void pack_set(struct store *store, uint64_t *cell, size_t position, struct span value) {
    unsigned char *pack = entry_content_bytes(table_cell_element(*cell));
    size_t size = listpack_bytes(pack);
    size_t before = listpack_stored_bytes(pack, position);
    size_t after = listpack_element_bytes(value);
    if (after > before) {
        pack = pack_resize(store, cell, size - before + after);
    }
    listpack_replace(pack, position, value);
    if (after < before) {
        pack_resize(store, cell, size - before + after);
    }
}

static bool pack_delete(struct store *store, uint64_t *cell, struct span field) {
    unsigned char *pack = entry_content_bytes(table_cell_element(*cell));
    size_t position = listpack_find(pack, listpack_first(pack), field, 1);
    if (position == LISTPACK_END) {
        return false;
    }
    listpack_delete(pack, position, 2);
    pack_resize(store, cell, listpack_bytes(pack));
    return true;
}

static void pack_each(const unsigned char *pack, hash_visit *visit, void *context) {
    char scratches[2][HASH_SCRATCH_BYTES];
    for (size_t position = listpack_first(pack); position != LISTPACK_END;) {
        struct span field = listpack_text(pack, position, scratches[0]);
        position = listpack_next(pack, position);
        ASSERT(position != LISTPACK_END);
        struct span value = listpack_text(pack, position, scratches[1]);
        position = listpack_next(pack, position);
        visit(field, value, context);
    }
}

struct conversion {
    struct store *store;
    struct table *table;
};

static void convert_visit(struct span field, struct span value, void *context) {
    const struct conversion *conversion = context;
    struct pair pair = {.field = field, .value = value};
    field_add(conversion->store, conversion->table, hash_bytes(field, conversion->store->secret),
              &pair);
}

/* The pack becomes a table. */
static struct table *convert(struct store *store, uint64_t *cell) {
    struct entry *entry = table_cell_element(*cell);
    struct table *table = hash_fields_new(store);
    struct conversion conversion = {.store = store, .table = table};
    pack_each(pack_of(entry), convert_visit, &conversion);
    struct entry_plan plan = entry_plan_of(entry);
    plan.kind = ENTRY_HASH_TABLE;
    plan.value = span_of(NULL, 0);
    plan.fixed = (uint64_t)(uintptr_t)table;
    table_cell_move(cell, entry_rewrite(&store->heap, entry, &plan));
    return table;
}

/* As redis-server decides: an update, too, converts a hash that is larger than the limit became. */
static bool pack_put(struct store *store, uint64_t *cell, const struct pair *pair) {
    const struct store_options *options = store->options;
    const unsigned char *pack = pack_of(table_cell_element(*cell));
    size_t length_max = (size_t)options->hash_max_listpack_value;
    size_t added = pair->field.length + pair->value.length;
    if (pair->field.length > length_max || pair->value.length > length_max ||
        listpack_bytes(pack) + added > HASH_PACK_BYTES_MAX) {
        return fields_put(store, convert(store, cell), pair);
    }
    size_t position = listpack_find(pack, listpack_first(pack), pair->field, 1);
    bool is_new = position == LISTPACK_END;
    size_t count = listpack_count(pack) / 2 + (is_new ? 1 : 0);
    if (count > (size_t)options->hash_max_listpack_entries) {
        return fields_put(store, convert(store, cell), pair);
    }
    if (is_new) {
        pack_add(store, cell, pair);
    } else {
        pack_set(store, cell, listpack_next(pack, position), pair->value);
    }
    return is_new;
}

/* ---- tables that no entry holds yet ---- */

struct table *hash_fields_new(struct store *store) {
    struct table *table = heap_alloc(&store->heap, sizeof(*table));
    *table = TABLE_EMPTY;
    return table;
}

bool hash_fields_add(struct store *store, struct table *table, struct span field,
                     struct span value) {
    struct pair pair = {.field = field, .value = value};
    uint64_t hash = hash_bytes(field, store->secret);
    if (field_find(table, hash, field) != NULL) {
        return false;
    }
    field_add(store, table, hash, &pair);
    return true;
}

/* ---- hashes ---- */

size_t hash_value_length(const struct entry *entry) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        return listpack_count(pack_of(entry)) / 2;
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    return table_of(entry)->element_count;
}

bool hash_value_get(const struct store *store, const struct entry *entry, struct span field,
                    char *scratch, struct span *value) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        const unsigned char *pack = pack_of(entry);
        size_t position = listpack_find(pack, listpack_first(pack), field, 1);
        if (position == LISTPACK_END) {
            return false;
        }
        *value = listpack_text(pack, listpack_next(pack, position), scratch);
        return true;
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    const uint64_t *cell = field_find(table_of(entry), hash_bytes(field, store->secret), field);
    if (cell == NULL) {
        return false;
    }
    *value = field_read(table_cell_element(*cell)).value;
    return true;
}

uint64_t *hash_value_new(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                         struct span key) {
    unsigned char pack[LISTPACK_EMPTY_BYTES];
    listpack_init(pack);
    struct entry_plan plan = {
        .kind = ENTRY_HASH_PACK,
        .expiry_ms = ENTRY_NO_EXPIRY,
        .access = store_access_new(store),
        .key = key,
        .value = span_of(pack, sizeof(pack)),
    };
    return store_add(store, database, slot, hash, entry_new(&store->heap, &plan));
}

bool hash_value_put(struct store *store, uint64_t *cell, struct span field, struct span value) {
    struct entry *entry = table_cell_element(*cell);
    struct pair pair = {.field = field, .value = value};
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        return pack_put(store, cell, &pair);
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    return fields_put(store, table_of(entry), &pair);
}

void hash_value_make_table(struct store *store, uint64_t *cell) {
    if (entry_kind(table_cell_element(*cell)) == ENTRY_HASH_PACK) {
        convert(store, cell);
    }
}

bool hash_value_delete(struct store *store, uint64_t *cell, struct span field) {
    struct entry *entry = table_cell_element(*cell);
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        return pack_delete(store, cell, field);
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    return fields_delete(store, table_of(entry), field);
}

/* ---- walking ---- */

struct field_visit {
    hash_visit *visit;
    void *context;
};

static void visit_field(void *element, void *context) {
    const struct field_visit *visit = context;
    struct pair pair = field_read(element);
    visit->visit(pair.field, pair.value, visit->context);
}

void hash_value_each(const struct entry *entry, hash_visit *visit, void *context) {
    uint64_t position = 0;
    do {
        position = hash_value_scan(entry, position, visit, context);
    } while (position != 0);
}

uint64_t hash_value_scan(const struct entry *entry, uint64_t position, hash_visit *visit,
                         void *context) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        pack_each(pack_of(entry), visit, context);
        return 0;
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    struct field_visit field_visit = {.visit = visit, .context = context};
    return table_scan(table_of(entry), position, visit_field, &field_visit);
}

void hash_value_random(const struct entry *entry, struct random *random, struct hash_pair *pair) {
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        const unsigned char *pack = pack_of(entry);
        uint64_t index = random_below(random, listpack_count(pack) / 2);
        size_t position = listpack_seek(pack, (int64_t)index * 2);
        pair->field = listpack_text(pack, position, pair->field_scratch);
        pair->value = listpack_text(pack, listpack_next(pack, position), pair->value_scratch);
        return;
    }
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    const void *element = table_random(table_of(entry), random);
    ASSERT(element != NULL);
    struct pair found = field_read(element);
    pair->field = found.field;
    pair->value = found.value;
}

/* ---- the end, and memory ---- */

struct table *hash_value_table(const struct entry *entry) {
    return entry_kind(entry) == ENTRY_HASH_TABLE ? table_of(entry) : NULL;
}

void hash_value_visit_bucket(const struct table *table, uint32_t index, hash_visit *visit,
                             void *context) {
    struct field_visit field_visit = {.visit = visit, .context = context};
    table_visit_bucket(table, index, visit_field, &field_visit);
}

void hash_value_bury_table(struct store *store, struct table *table) {
    store_bury_table(store, table, field_free);
}

void hash_value_free_content(struct store *store, struct entry *entry) {
    ASSERT(entry_kind(entry) == ENTRY_HASH_TABLE);
    struct table *table = table_of(entry);
    if (cut_takes_fields(store, table)) {
        heap_free(&store->heap, table, sizeof(*table));
        return;
    }
    hash_fields_free(store, table);
}

void hash_fields_free(struct store *store, struct table *table) {
    if (table->element_count > STORE_FREE_AT_ONCE_MAX) {
        store_bury_table(store, table, field_free);
    } else {
        bool is_empty = table_drain(table, &store->heap, SIZE_MAX, field_free, store);
        ASSERT(is_empty);
    }
    heap_free(&store->heap, table, sizeof(*table));
}

struct sample {
    size_t fields;
    size_t size_bytes;
};

static void sample_visit(void *element, void *context) {
    struct sample *sample = context;
    sample->fields++;
    sample->size_bytes += heap_class_bytes(field_bytes(element));
}

size_t hash_value_memory_bytes(const struct store *store, const struct entry *entry,
                               size_t samples) {
    (void)store;
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        return 0;
    }
    const struct table *table = table_of(entry);
    size_t size = heap_class_bytes(sizeof(*table)) + table_bytes(table);
    struct sample sample = {0};
    uint64_t position = 0;
    do {
        position = table_scan(table, position, sample_visit, &sample);
    } while (position != 0 && (samples == 0 || sample.fields < samples));
    if (sample.fields != 0) {
        size += (size_t)((double)sample.size_bytes / (double)sample.fields *
                         (double)table->element_count);
    }
    return size;
}

bool hash_value_table_statistics(const struct entry *entry, struct table_statistics *statistics) {
    if (entry_kind(entry) != ENTRY_HASH_TABLE) {
        return false;
    }
    table_statistics_read(table_of(entry), statistics);
    return true;
}
