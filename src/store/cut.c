#include "store/cut.h"

#include "base/memory.h"
#include "store/hash_value.h"
#include "store/value.h"

#define WORD_BITS 64
/* Bytes of each entry that are fetched ahead of its turn. */
#define FETCH_BYTES 256

/* A walk over the buckets that a table had when it began. */
struct walk {
    struct table *table;
    uint32_t bucket_count; /* when it began */
    uint32_t next;
    uint64_t *early; /* a bit per bucket that was done before its turn; NULL: none was */
};

struct cut_table {
    struct walk walk;
    const struct database *home; /* NULL: the table was dropped, `owned` is it */
    struct table owned;
    size_t owned_bytes; /* estimated when it was dropped */
    uint32_t database;  /* its number when the slot's cut began */
};

/* A value that is cut in pieces. */
struct cut_value {
    struct list link;
    struct image_key key; /* with bytes of its own */
    uint64_t hash;        /* of the key */
    uint32_t database;
    bool is_begun;
    bool is_changed;     /* the key, since: then the block may be nobody else's any more */
    struct block *block; /* a large string, held; or NULL */
    size_t offset;
    struct walk fields; /* a large hash */
    struct table owned; /* its table when the hash was dropped */
    size_t owned_bytes; /* estimated then */
};

struct cut {
    struct cut_plan plan;
    struct image_chunk *chunk;
    uint32_t chunk_database; /* that the chunk's last slot record names */
    bool has_slot_record;

    uint32_t slot; /* being cut, or the next to begin */
    bool is_inside;
    uint64_t position;
    uint64_t keys;
    struct cut_table *tables;
    uint32_t tables_count;
    uint32_t tables_capacity;
    uint32_t table_next;
    struct list values;
    uint64_t early_buckets;
    size_t bytes; /* by steps so far */
    bool ends_at_slot;
    struct cut_work *work;
};

struct cut *cut_new(const struct cut_plan *plan) {
    ASSERT(plan->slot_first >= plan->store->slot_first);
    ASSERT(plan->slot_first + plan->slot_count <=
           plan->store->slot_first + plan->store->slot_count);
    struct cut *cut = memory_alloc_zeroed(sizeof(*cut));
    cut->plan = *plan;
    cut->slot = plan->slot_first;
    list_init(&cut->values);
    return cut;
}

bool cut_is_inside(const struct cut *cut, uint16_t *slot) {
    *slot = (uint16_t)cut->slot;
    return cut->is_inside;
}

uint64_t cut_early_buckets(const struct cut *cut) {
    return cut->early_buckets;
}

/* ---- chunks ---- */

static void chunk_give(struct cut *cut) {
    if (cut->chunk != NULL) {
        struct image_chunk *chunk = cut->chunk;
        cut->chunk = NULL;
        cut->plan.target.chunk(cut->plan.target.context, chunk);
    }
}

/* The chunk for the next record, which is of that database. */
static struct image_chunk *chunk_for(struct cut *cut, uint32_t database) {
    if (cut->chunk != NULL && image_chunk_bytes(cut->chunk) >= IMAGE_CHUNK_BYTES) {
        chunk_give(cut);
    }
    if (cut->chunk == NULL) {
        cut->chunk = image_chunk_new();
        cut->has_slot_record = false;
    }
    if (!cut->has_slot_record || cut->chunk_database != database) {
        image_write_slot(cut->chunk, (uint16_t)cut->slot, database);
        cut->has_slot_record = true;
        cut->chunk_database = database;
    }
    return cut->chunk;
}

/* ---- walks ---- */

static void walk_begin(struct walk *walk, struct table *table) {
    *walk = (struct walk){.table = table, .bucket_count = table->bucket_count};
}

static bool walk_is_early(const struct walk *walk, uint32_t index) {
    return walk->early != NULL && (walk->early[index / WORD_BITS] >> index % WORD_BITS & 1) != 0;
}

static bool walk_has_done(const struct walk *walk, uint32_t index) {
    return index < walk->next || index >= walk->bucket_count || walk_is_early(walk, index);
}

static void walk_mark(struct walk *walk, uint32_t index) {
    if (walk->early == NULL) {
        size_t words = (walk->bucket_count + WORD_BITS - 1) / WORD_BITS;
        walk->early = memory_alloc_zeroed(words * sizeof(uint64_t));
    }
    walk->early[index / WORD_BITS] |= UINT64_C(1) << index % WORD_BITS;
}

/* The next bucket that is not done; false when there is none. */
static bool walk_next(struct walk *walk, uint32_t *index) {
    /* Buckets that are gone were merged into others: they were done before. */
    while (walk->next < walk->bucket_count && walk->next < walk->table->bucket_count) {
        *index = walk->next++;
        if (!walk_is_early(walk, *index)) {
            return true;
        }
    }
    walk->next = walk->bucket_count;
    return false;
}

static void walk_end(struct walk *walk) {
    memory_free(walk->early);
    walk->early = NULL;
}

/* ---- values in pieces ---- */

static void value_begin(struct cut *cut, uint32_t database, const struct entry *entry,
                        bool is_dropped) {
    struct cut_value *value = memory_alloc_zeroed(sizeof(*value));
    value->key = image_key_of(entry, cut->plan.has_access);
    value->key.key.bytes = memory_copy(value->key.key.bytes, value->key.key.length);
    value->hash = store_hash(cut->plan.store, value->key.key);
    value->database = database;
    value->is_changed = is_dropped;
    if (entry_kind(entry) == ENTRY_BLOCK) {
        value->block = block_hold(entry_block(entry));
    } else {
        walk_begin(&value->fields, hash_value_table(entry));
    }
    list_push_back(&cut->values, &value->link);
}

static void value_end(struct cut *cut, struct cut_value *value) {
    block_release(value->block);
    if (value->owned.root != NULL) {
        hash_value_bury_table(cut->plan.store, &value->owned);
    }
    walk_end(&value->fields);
    list_remove(&value->link);
    memory_free((char *)value->key.key.bytes);
    memory_free(value);
}

static void field_visit(struct span field, struct span value, void *context) {
    image_write_field(context, field, value);
}

/* A record of fields, begun with the first one: buckets may be empty, records are not. */
struct fields_visit {
    struct image_chunk *chunk;
    struct cut_value *value;
    bool has_record;
};

static void piece_visit(struct span field, struct span value, void *context) {
    struct fields_visit *visit = context;
    if (!visit->has_record) {
        image_write_fields(visit->chunk, &visit->value->key, visit->value->is_begun);
        visit->value->is_begun = true;
        visit->has_record = true;
    }
    image_write_field(visit->chunk, field, value);
}

/* A record of the fields of a bucket and, with the walk, of those that follow it. False: the walk
 * has come to its end. */
static bool write_fields(struct cut *cut, struct cut_value *value, uint32_t index, bool walks) {
    struct image_chunk *chunk = chunk_for(cut, value->database);
    struct fields_visit visit = {.chunk = chunk, .value = value};
    size_t before = image_chunk_bytes(chunk);
    uint32_t count = 0;
    bool has_next = true;
    do {
        hash_value_visit_bucket(value->fields.table, index, piece_visit, &visit);
        count++;
    } while (walks && count < CUT_FIELD_BUCKETS &&
             image_chunk_bytes(chunk) - before < CUT_BYTES_AT_ONCE &&
             (has_next = walk_next(&value->fields, &index)));
    if (visit.has_record) {
        image_write_fields_end(chunk);
    }
    if (cut->work != NULL) {
        cut->work->bytes += image_chunk_bytes(chunk) - before;
        cut->work->buckets += count;
    }
    return has_next;
}

/* The next piece; true when it was the last. */
static bool fields_step(struct cut *cut, struct cut_value *value) {
    uint32_t index;
    return !walk_next(&value->fields, &index) || !write_fields(cut, value, index, true);
}

static bool string_step(struct cut *cut, struct cut_value *value) {
    struct image_chunk *chunk = chunk_for(cut, value->database);
    size_t left = value->block->length - value->offset;
    size_t length = left < CUT_BYTES_AT_ONCE ? left : CUT_BYTES_AT_ONCE;
    image_write_string_part(chunk, &value->key, value->block, value->offset, length);
    value->offset += length;
    cut->work->bytes += length;
    return value->offset == value->block->length;
}

static void value_step(struct cut *cut) {
    struct cut_value *value = LIST_ENTRY(cut->values.next, struct cut_value, link);
    bool is_done = value->block != NULL ? string_step(cut, value) : fields_step(cut, value);
    if (is_done) {
        value_end(cut, value);
    }
}

/* ---- buckets ---- */

struct bucket_visit {
    struct cut *cut;
    uint32_t database;
    bool is_dropped; /* the table */
};

static void field_weigh(struct span field, struct span value, void *context) {
    *(size_t *)context += field.length + value.length;
}

static bool is_long_string(const struct entry *entry) {
    return entry_kind(entry) == ENTRY_BLOCK && entry_block(entry)->length > CUT_BYTES_AT_ONCE;
}

/* Looks at what is to be written anyway, and at no more of it than is written at once. */
static bool is_long_hash(const struct entry *entry) {
    if (hash_value_length(entry) > CUT_FIELDS_AT_ONCE) {
        return true;
    }
    const struct table *table = hash_value_table(entry);
    size_t bytes = 0;
    for (uint32_t i = 0; i < table->bucket_count && bytes <= CUT_BYTES_AT_ONCE; i++) {
        hash_value_visit_bucket(table, i, field_weigh, &bytes);
    }
    return bytes > CUT_BYTES_AT_ONCE;
}

static void entry_visit(void *element, void *context) {
    const struct bucket_visit *visit = context;
    struct cut *cut = visit->cut;
    const struct entry *entry = element;
    cut->keys++;
    bool is_long =
        is_long_string(entry) || (entry_kind(entry) == ENTRY_HASH_TABLE && is_long_hash(entry));
    if (is_long) {
        value_begin(cut, visit->database, entry, visit->is_dropped);
        return;
    }
    struct image_chunk *chunk = chunk_for(cut, visit->database);
    size_t before = image_chunk_bytes(chunk);
    if (entry_kind(entry) == ENTRY_HASH_TABLE) {
        struct image_key key = image_key_of(entry, cut->plan.has_access);
        image_write_fields(chunk, &key, false);
        hash_value_each(entry, field_visit, chunk);
        image_write_fields_end(chunk);
    } else {
        image_write_entry(chunk, entry, cut->plan.has_access);
    }
    if (cut->work != NULL) {
        cut->work->bytes += image_chunk_bytes(chunk) - before;
    }
}

static void write_bucket(struct cut *cut, const struct cut_table *table, uint32_t index) {
    struct bucket_visit visit = {
        .cut = cut, .database = table->database, .is_dropped = table->home == NULL};
    table_visit_bucket(table->walk.table, index, entry_visit, &visit);
}

/* Serialises a bucket whose turn has not come, if that is still to be done. */
static void write_bucket_early(struct cut *cut, struct cut_table *table, uint32_t index) {
    if (!walk_has_done(&table->walk, index)) {
        walk_mark(&table->walk, index);
        cut->early_buckets++;
        write_bucket(cut, table, index);
    }
}

static void write_fields_early(struct cut *cut, struct cut_value *value, uint32_t index) {
    if (!walk_has_done(&value->fields, index)) {
        walk_mark(&value->fields, index);
        cut->early_buckets++;
        write_fields(cut, value, index, false);
    }
}

/* ---- slots ---- */

static void table_add(struct cut *cut, uint32_t number, const struct database *home,
                      struct table *table) {
    if (cut->tables_count == cut->tables_capacity) {
        cut->tables_capacity = cut->tables_capacity == 0 ? 4 : cut->tables_capacity * 2;
        cut->tables = memory_realloc(cut->tables, cut->tables_capacity * sizeof(struct cut_table));
    }
    struct cut_table *added = &cut->tables[cut->tables_count++];
    *added = (struct cut_table){.home = home, .database = number};
    walk_begin(&added->walk, table);
}

static void slot_begin(struct cut *cut) {
    const struct store *store = cut->plan.store;
    cut->position = cut->plan.target.position(cut->plan.target.context);
    cut->keys = 0;
    cut->tables_count = 0;
    cut->table_next = 0;
    cut->is_inside = true;
    cut->has_slot_record = false;
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct table *table = store_table(store, i, (uint16_t)cut->slot);
        if (table != NULL && table->element_count > 0) {
            table_add(cut, i, store->databases[i], table);
        }
    }
}

static void slot_end(struct cut *cut) {
    cut->is_inside = false;
    cut->plan.target.slot_done(cut->plan.target.context, (uint16_t)cut->slot, cut->position,
                               cut->keys);
    cut->slot++;
}

static void table_end(struct cut *cut, struct cut_table *table) {
    walk_end(&table->walk);
    if (table->home == NULL) {
        store_bury_dropped(cut->plan.store, &table->owned);
    }
}

/* Entries lie anywhere: those of the next bucket are on their way while one is written. */
static void fetch_ahead(const struct walk *walk, uint32_t index) {
    if (index == 0) {
        table_prefetch_bucket(walk->table, index, FETCH_BYTES);
    }
    if (index + 1 < walk->table->bucket_count) {
        table_prefetch_bucket(walk->table, index + 1, FETCH_BYTES);
    }
}

/* A piece of the slot; true when the slot is done. */
static bool slot_step(struct cut *cut) {
    if (!list_is_empty(&cut->values)) {
        value_step(cut);
        return false;
    }
    if (cut->table_next == cut->tables_count) {
        return true;
    }
    struct cut_table *table = &cut->tables[cut->table_next];
    uint32_t index;
    if (walk_next(&table->walk, &index)) {
        cut->work->buckets++;
        fetch_ahead(&table->walk, index);
        write_bucket(cut, table, index);
    } else {
        table_end(cut, table);
        cut->table_next++;
    }
    return false;
}

/* Passes over slots that are not wanted. False: there are no more, or it has been enough. */
static bool slot_find(struct cut *cut, size_t bytes) {
    const uint32_t end = cut->plan.slot_first + cut->plan.slot_count;
    if (cut->plan.bytes_max != 0 && bytes >= cut->plan.bytes_max) {
        cut->slot = end;
    }
    while (cut->slot < end && cut->plan.slots != NULL &&
           !slot_set_has(cut->plan.slots, (uint16_t)cut->slot)) {
        cut->slot++;
    }
    return cut->slot < end;
}

bool cut_step(struct cut *cut, struct cut_work *work) {
    struct store *store = cut->plan.store;
    const uint32_t slot_end_number = cut->plan.slot_first + cut->plan.slot_count;
    const size_t bytes_begin = work->bytes;
    const size_t bytes_max = work->bytes + cut->plan.step_bytes;
    const uint32_t buckets_max = work->buckets + CUT_STEP_BUCKETS;
    cut->work = work;
    store->open_cut = NULL;
    while (work->bytes < bytes_max && work->buckets < buckets_max &&
           (cut->is_inside || slot_find(cut, cut->bytes + work->bytes - bytes_begin))) {
        if (!cut->is_inside) {
            slot_begin(cut);
            work->buckets += store->database_count; /* It looked for a table in each. */
        }
        if (slot_step(cut)) {
            slot_end(cut);
            if (cut->ends_at_slot) {
                break;
            }
        }
    }
    cut->bytes += work->bytes - bytes_begin;
    cut->work = NULL;
    if (cut->is_inside) {
        store->open_cut = cut;
    }
    if (cut->slot == slot_end_number) {
        chunk_give(cut);
        return true;
    }
    return false;
}

void cut_set_step(struct cut *cut, size_t bytes) {
    cut->plan.step_bytes = bytes;
}

void cut_set_end(struct cut *cut, bool is_slot_end) {
    cut->ends_at_slot = is_slot_end;
}

void cut_free(struct cut *cut) {
    if (cut->is_inside) {
        cut->plan.store->open_cut = NULL;
        while (!list_is_empty(&cut->values)) {
            value_end(cut, LIST_ENTRY(cut->values.next, struct cut_value, link));
        }
        for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
            table_end(cut, &cut->tables[i]);
        }
    }
    if (cut->chunk != NULL) {
        image_chunk_free(cut->chunk);
    }
    memory_free(cut->tables);
    memory_free(cut);
}

/* ---- what it keeps ---- */

/* Buckets that are looked at for an estimate. */
#define SAMPLE_BUCKETS 32

struct weight {
    size_t bytes;
    const struct store *store;
};

static void entry_weigh(void *element, void *context) {
    struct weight *weight = context;
    const struct entry *entry = element;
    weight->bytes += value_memory_bytes(weight->store, entry, SAMPLE_BUCKETS);
}

/* Of what was seen of a table's first buckets. */
static size_t scale_up(const struct table *table, size_t bytes) {
    return table->bucket_count <= SAMPLE_BUCKETS
               ? bytes
               : (size_t)((double)bytes * table->bucket_count / SAMPLE_BUCKETS);
}

static size_t entries_weigh(const struct store *store, const struct table *table) {
    struct weight weight = {.store = store};
    for (uint32_t i = 0; i < table->bucket_count && i < SAMPLE_BUCKETS; i++) {
        table_visit_bucket(table, i, entry_weigh, &weight);
    }
    return scale_up(table, weight.bytes);
}

static size_t fields_weigh(const struct table *fields) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < fields->bucket_count && i < SAMPLE_BUCKETS; i++) {
        hash_value_visit_bucket(fields, i, field_weigh, &bytes);
    }
    return scale_up(fields, bytes);
}

size_t cut_held_bytes(const struct cut *cut) {
    size_t bytes = 0;
    for (uint32_t i = cut->table_next; cut->is_inside && i < cut->tables_count; i++) {
        bytes += cut->tables[i].owned_bytes;
    }
    LIST_FOR_EACH(link, &cut->values) {
        const struct cut_value *value = LIST_ENTRY(link, struct cut_value, link);
        bytes += value->owned_bytes;
        bytes += value->block != NULL && value->is_changed ? value->block->length : 0;
    }
    return bytes;
}

/* For the long strings of that hash. */
struct string_search {
    const struct store *store;
    uint64_t hash;
    size_t bytes;
};

static void string_find(void *element, void *context) {
    struct string_search *search = context;
    const struct entry *entry = element;
    if (is_long_string(entry) && store_hash(search->store, entry_key(entry)) == search->hash) {
        search->bytes += entry_block(entry)->length;
    }
}

size_t cut_change_bytes(const struct cut *cut, uint16_t slot, uint64_t hash) {
    struct string_search search = {.store = cut->plan.store, .hash = hash};
    if (!cut->is_inside || slot != cut->slot) {
        return 0;
    }
    LIST_FOR_EACH(link, &cut->values) {
        const struct cut_value *value = LIST_ENTRY(link, struct cut_value, link);
        if (value->hash == hash && value->block != NULL && !value->is_changed) {
            search.bytes += value->block->length;
        }
    }
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        const struct cut_table *table = &cut->tables[i];
        if (table->home != NULL && table->walk.table->bucket_count > 0) {
            uint32_t index = table_bucket_index(table->walk.table, hash);
            if (!walk_has_done(&table->walk, index)) {
                table_visit_bucket(table->walk.table, index, string_find, &search);
            }
        }
    }
    return search.bytes;
}

/* ---- what the store tells ---- */

void cut_change(struct cut *cut, uint32_t database, uint16_t slot, uint64_t hash) {
    if (slot != cut->slot) {
        return;
    }
    const struct table *table = store_table(cut->plan.store, database, slot);
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        struct cut_table *found = &cut->tables[i];
        if (found->walk.table == table && table->bucket_count > 0) {
            write_bucket_early(cut, found, table_bucket_index(table, hash));
            break;
        }
    }
    LIST_FOR_EACH(link, &cut->values) {
        struct cut_value *value = LIST_ENTRY(link, struct cut_value, link);
        value->is_changed |= value->hash == hash;
    }
}

static struct cut_value *value_of(const struct cut *cut, const struct table *fields) {
    LIST_FOR_EACH(link, &cut->values) {
        struct cut_value *value = LIST_ENTRY(link, struct cut_value, link);
        if (value->block == NULL && value->fields.table == fields) {
            return value;
        }
    }
    return NULL;
}

void cut_table_step(struct cut *cut, const struct table *table) {
    uint32_t indexes[2];
    table_step_buckets(table, indexes);
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        struct cut_table *found = &cut->tables[i];
        if (found->walk.table == table) {
            write_bucket_early(cut, found, indexes[0]);
            write_bucket_early(cut, found, indexes[1]);
            return;
        }
    }
    struct cut_value *value = value_of(cut, table);
    if (value != NULL) {
        write_fields_early(cut, value, indexes[0]);
        write_fields_early(cut, value, indexes[1]);
    }
}

void cut_fields_change(struct cut *cut, const struct table *fields, uint64_t hash) {
    struct cut_value *value = value_of(cut, fields);
    if (value != NULL && fields->bucket_count > 0) {
        write_fields_early(cut, value, table_bucket_index(fields, hash));
    }
}

bool cut_take_fields(struct cut *cut, const struct table *fields) {
    struct cut_value *value = value_of(cut, fields);
    if (value == NULL) {
        return false;
    }
    value->owned = *fields;
    value->owned_bytes = fields_weigh(fields);
    value->fields.table = &value->owned;
    return true;
}

/* A database was dropped, or a slot of it: any value may have been there. */
static void values_change(struct cut *cut) {
    LIST_FOR_EACH(link, &cut->values) {
        LIST_ENTRY(link, struct cut_value, link)->is_changed = true;
    }
}

static void table_take(struct cut *cut, struct cut_table *table, struct table *content) {
    table->owned = *content;
    *content = TABLE_EMPTY;
    table->owned_bytes = entries_weigh(cut->plan.store, &table->owned);
    table->walk.table = &table->owned;
    table->home = NULL;
}

uint64_t cut_take_database(struct cut *cut, const struct database *database) {
    uint64_t taken = 0;
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        struct cut_table *table = &cut->tables[i];
        if (table->home == database) {
            taken += table->walk.table->element_count;
            table_take(cut, table, table->walk.table);
        }
    }
    values_change(cut);
    return taken;
}

void cut_take_table(struct cut *cut, const struct table *place, struct table *content) {
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        struct cut_table *table = &cut->tables[i];
        if (table->walk.table == place) {
            table_take(cut, table, content);
        }
    }
    values_change(cut);
}

void cut_swap_tables(struct cut *cut, const struct cut_place *one, const struct cut_place *other) {
    for (uint32_t i = cut->table_next; i < cut->tables_count; i++) {
        struct cut_table *table = &cut->tables[i];
        const struct cut_place *target = table->walk.table == one->table     ? other
                                         : table->walk.table == other->table ? one
                                                                             : NULL;
        if (target != NULL) {
            table->walk.table = target->table;
            table->home = target->database;
        }
    }
}
