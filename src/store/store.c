#include "store/store.h"

#include "base/memory.h"
#include "store/cut.h"
#include "store/value.h"

#define LRU_CLOCK_MASK ((UINT32_C(1) << 24) - 1)
#define LFU_START 5
/* The bytes that a burial frees are looked at after so many elements. */
#define BURY_PIECE_ELEMENTS 16

/* Something dropped whole, to be freed by and by. */
struct grave {
    struct list link;
    struct table table;
    void (*drop)(void *element, void *store);
    /* A dropped database: its slots come into `table` one after the other. */
    struct database *database;
    uint32_t slot_next;
};

static uint64_t element_hash(const void *element, const void *context) {
    return store_hash(context, entry_key(element));
}

struct table_elements store_elements(const struct store *store) {
    return (struct table_elements){.hash = element_hash, .context = store};
}

/* ---- lifecycle ---- */

struct store *store_new(const struct store_plan *plan) {
    ASSERT(plan->slot_first + plan->slot_count <= SLOTS);
    ASSERT(plan->database_count >= 1 && plan->database_count <= STORE_DATABASES_MAX);
    /* Of their own cache lines: the stores' owners are different threads. */
    struct store *store = memory_alloc_aligned(STORE_ALIGNMENT, sizeof(*store));
    memset(store, 0, sizeof(*store));
    heap_init(&store->heap);
    store->options = plan->options;
    store->secret = plan->secret;
    store->slot_first = plan->slot_first;
    store->slot_count = plan->slot_count;
    store->database_count = plan->database_count;
    store->databases = memory_alloc_zeroed(plan->database_count * sizeof(struct database *));
    store->expiry_earliest_ms = STORE_NO_EARLIEST;
    random_seed(&store->random, plan->seed);
    watch_table_init(&store->watches, plan->secret);
    list_init(&store->graveyard);
    return store;
}

static size_t bitmap_words(const struct store *store) {
    return (store->slot_count + 63) / 64;
}

static size_t group_count(const struct store *store) {
    return (store->slot_count + STORE_GROUP_SLOTS - 1) / STORE_GROUP_SLOTS;
}

static struct database *database_new(const struct store *store) {
    struct database *database = memory_alloc_zeroed(sizeof(*database));
    size_t slots_bytes = store->slot_count * sizeof(struct table);
    database->slots = memory_alloc_aligned(64, (slots_bytes + 63) & ~(size_t)63);
    memset(database->slots, 0, slots_bytes);
    database->non_empty = memory_alloc_zeroed(bitmap_words(store) * sizeof(uint64_t));
    database->group_keys = memory_alloc_zeroed(group_count(store) * sizeof(uint32_t));
    database->earliest_ms = STORE_NO_EARLIEST;
    return database;
}

static void database_free(struct database *database) {
    memory_free(database->slots);
    memory_free(database->expiries);
    memory_free(database->group_earliest_ms);
    memory_free(database->non_empty);
    memory_free(database->group_keys);
    memory_free(database);
}

void store_free(struct store *store) {
    for (uint32_t i = 0; i < store->database_count; i++) {
        store_flush(store, i);
    }
    while (!store_bury_step(store, SIZE_MAX)) {
    }
    ASSERT(!watch_table_is_used(&store->watches));
    heap_free_all(&store->heap);
    memory_free(store->eviction_pool);
    memory_free(store->databases);
    memory_free(store);
}

void store_tick(struct store *store, int64_t now_ms) {
    store->now_ms = now_ms;
    store->lru_clock = (uint32_t)(now_ms / 1000) & LRU_CLOCK_MASK;
}

/* ---- entries come and go ---- */

static void take_steps(struct store *store, struct table *table) {
    struct table_elements elements = store_elements(store);
    for (int i = 0; i < TABLE_STEPS_MAX && table_wants_step(table); i++) {
        cut_before_step(store, table);
        table_step(table, &store->heap, &elements);
        store->table_steps++;
    }
}

uint64_t *store_add(struct store *store, uint32_t database_index, uint16_t slot, uint64_t hash,
                    struct entry *entry) {
    struct database *database = store->databases[database_index];
    if (UNLIKELY(database == NULL)) {
        database = database_new(store);
        store->databases[database_index] = database;
    }
    uint32_t index = slot - store->slot_first;
    struct table *table = &database->slots[index];
    uint64_t *cell = table_insert(table, &store->heap, hash, entry);
    if (table->element_count == 1) {
        database->non_empty[index / 64] |= UINT64_C(1) << index % 64;
    }
    database->group_keys[index / STORE_GROUP_SLOTS]++;
    database->keys++;
    store->change_count++;
    if (entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        store_expiry_changed(store, database_index, slot, ENTRY_NO_EXPIRY, entry_expiry(entry));
    }
    if (UNLIKELY(table_wants_step(table))) {
        take_steps(store, table);
        struct span key = entry_key(entry);
        cell = table_find(table, hash, entry_equals_key, &key);
    }
    return cell;
}

struct entry *store_take(struct store *store, uint32_t database_index, uint16_t slot, uint64_t hash,
                         uint64_t *cell) {
    struct database *database = store->databases[database_index];
    uint32_t index = slot - store->slot_first;
    struct table *table = &database->slots[index];
    struct entry *entry = table_cell_element(*cell);
    if (entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        store_expiry_changed(store, database_index, slot, entry_expiry(entry), ENTRY_NO_EXPIRY);
    }
    table_remove(table, &store->heap, hash, cell);
    if (table->element_count == 0) {
        database->non_empty[index / 64] &= ~(UINT64_C(1) << index % 64);
    }
    database->group_keys[index / STORE_GROUP_SLOTS]--;
    database->keys--;
    store->change_count++;
    take_steps(store, table);
    return entry;
}

void store_remove(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                  uint64_t *cell) {
    value_free(store, store_take(store, database, slot, hash, cell));
}

static void expiries_begin(const struct store *store, struct database *database) {
    database->expiries = memory_alloc(store->slot_count * sizeof(struct slot_expiry));
    for (uint32_t i = 0; i < store->slot_count; i++) {
        database->expiries[i] = (struct slot_expiry){.earliest_ms = STORE_NO_EARLIEST};
    }
    database->group_earliest_ms = memory_alloc(group_count(store) * sizeof(int64_t));
    for (size_t i = 0; i < group_count(store); i++) {
        database->group_earliest_ms[i] = STORE_NO_EARLIEST;
    }
}

static void lower(int64_t *earliest_ms, int64_t ms) {
    *earliest_ms = ms < *earliest_ms ? ms : *earliest_ms;
}

/* An entry of the slot expires at new_ms now. */
static void lower_earliest(struct store *store, struct database *database, uint32_t index,
                           int64_t new_ms) {
    for (int i = 0; i < EXPIRY_WALKS; i++) {
        /* It may stand in the part that this walk has done. */
        if (database->walks[i].slot == index) {
            lower(&database->walks[i].earliest_ms, new_ms);
        }
    }
    if (new_ms < database->expiries[index].earliest_ms) {
        database->expiries[index].earliest_ms = new_ms;
        lower(&database->group_earliest_ms[index / STORE_GROUP_SLOTS], new_ms);
        lower(&database->earliest_ms, new_ms);
        lower(&store->expiry_earliest_ms, new_ms);
    }
}

void store_expiry_changed(struct store *store, uint32_t database_index, uint16_t slot,
                          int64_t old_ms, int64_t new_ms) {
    struct database *database = store->databases[database_index];
    if (database->expiries == NULL) {
        if (new_ms == ENTRY_NO_EXPIRY) {
            return;
        }
        expiries_begin(store, database);
    }
    uint32_t index = slot - store->slot_first;
    struct slot_expiry *expiry = &database->expiries[index];
    if (old_ms != ENTRY_NO_EXPIRY) {
        ASSERT(expiry->volatile_count > 0 && database->volatile_keys > 0);
        expiry->volatile_count--;
        database->volatile_keys--;
    }
    if (new_ms != ENTRY_NO_EXPIRY) {
        expiry->volatile_count++;
        database->volatile_keys++;
        lower_earliest(store, database, index, store_earliest_of(new_ms));
    }
    if (expiry->volatile_count == 0) {
        expiry->earliest_ms = STORE_NO_EARLIEST;
    }
}

/* ---- whole databases ---- */

uint64_t store_flush(struct store *store, uint32_t database_index) {
    struct database *database = store->databases[database_index];
    if (database == NULL) {
        return 0;
    }
    uint64_t keys = database->keys;
    store->databases[database_index] = NULL;
    store->change_count++;
    uint64_t kept = cut_takes_database(store, database);
    struct grave *grave = memory_alloc_zeroed(sizeof(*grave));
    grave->database = database;
    list_push_back(&store->graveyard, &grave->link);
    store->graveyard_count += keys - kept;
    return keys;
}

void store_swap(struct store *store, uint32_t first, uint32_t second) {
    struct database *database = store->databases[first];
    store->databases[first] = store->databases[second];
    store->databases[second] = database;
    store->change_count++;
}

/* A slot's table with its expiries leaves its database, or comes. */
struct slot_content {
    struct table table;
    struct slot_expiry expiry;
};

static struct slot_content slot_take(const struct store *store, struct database *database,
                                     uint16_t slot) {
    uint32_t index = slot - store->slot_first;
    struct slot_content content = {
        .table = database->slots[index],
        .expiry = {.earliest_ms = STORE_NO_EARLIEST},
    };
    database->slots[index] = TABLE_EMPTY;
    database->keys -= content.table.element_count;
    database->group_keys[index / STORE_GROUP_SLOTS] -= content.table.element_count;
    database->non_empty[index / 64] &= ~(UINT64_C(1) << index % 64);
    if (database->expiries != NULL) {
        content.expiry = database->expiries[index];
        database->volatile_keys -= content.expiry.volatile_count;
        database->expiries[index] = (struct slot_expiry){.earliest_ms = STORE_NO_EARLIEST};
    }
    return content;
}

static void slot_put(struct store *store, struct database *database, uint16_t slot,
                     const struct slot_content *content) {
    uint32_t index = slot - store->slot_first;
    database->slots[index] = content->table;
    database->keys += content->table.element_count;
    database->group_keys[index / STORE_GROUP_SLOTS] += content->table.element_count;
    if (content->table.element_count > 0) {
        database->non_empty[index / 64] |= UINT64_C(1) << index % 64;
    }
    if (content->expiry.volatile_count > 0) {
        if (database->expiries == NULL) {
            expiries_begin(store, database);
        }
        database->expiries[index].volatile_count = content->expiry.volatile_count;
        database->volatile_keys += content->expiry.volatile_count;
        lower_earliest(store, database, index, content->expiry.earliest_ms);
    }
}

uint64_t store_flush_slot(struct store *store, uint32_t database_index, uint16_t slot) {
    struct database *database = store->databases[database_index];
    if (database == NULL) {
        return 0;
    }
    struct slot_content content = slot_take(store, database, slot);
    uint64_t keys = content.table.element_count;
    store->change_count++;
    cut_takes_table(store, &database->slots[slot - store->slot_first], &content.table);
    if (content.table.root != NULL) {
        store_bury_dropped(store, &content.table);
    }
    return keys;
}

void store_swap_slot(struct store *store, uint32_t first, uint32_t second, uint16_t slot) {
    const uint32_t indexes[2] = {first, second};
    struct slot_content contents[2];
    for (int i = 0; i < 2; i++) {
        if (store->databases[indexes[i]] == NULL) {
            store->databases[indexes[i]] = database_new(store);
        }
        contents[i] = slot_take(store, store->databases[indexes[i]], slot);
    }
    slot_put(store, store->databases[first], slot, &contents[1]);
    slot_put(store, store->databases[second], slot, &contents[0]);
    store->change_count++;
    struct cut_place places[2];
    for (int i = 0; i < 2; i++) {
        struct database *database = store->databases[indexes[i]];
        places[i] = (struct cut_place){
            .database = database,
            .table = &database->slots[slot - store->slot_first],
        };
    }
    cut_after_swap(store, &places[0], &places[1]);
}

uint32_t store_next_slot(const struct store *store, uint32_t database_index, uint32_t slot) {
    const struct database *database = store->databases[database_index];
    if (database == NULL) {
        return SLOTS;
    }
    uint32_t index = slot < store->slot_first ? 0 : slot - store->slot_first;
    while (index < store->slot_count) {
        uint64_t word = database->non_empty[index / 64] >> index % 64;
        if (word != 0) {
            return store->slot_first + index + (uint32_t)__builtin_ctzll(word);
        }
        index = (index / 64 + 1) * 64;
    }
    return SLOTS;
}

struct entry *store_random(const struct store *store, uint32_t database_index,
                           struct random *random, uint16_t *slot_found) {
    const struct database *database = store->databases[database_index];
    if (database == NULL || database->keys == 0) {
        return NULL;
    }
    uint64_t place = random_below(random, database->keys);
    uint32_t group = 0;
    while (place >= database->group_keys[group]) {
        place -= database->group_keys[group++];
    }
    uint32_t index = group * STORE_GROUP_SLOTS;
    while (place >= database->slots[index].element_count) {
        place -= database->slots[index++].element_count;
    }
    *slot_found = (uint16_t)(store->slot_first + index);
    return table_random(&database->slots[index], random);
}

/* ---- the graveyard ---- */

static void entry_drop(void *element, void *store) {
    value_free(store, element);
}

void store_bury_table(struct store *store, struct table *table,
                      void (*drop)(void *element, void *store)) {
    struct grave *grave = memory_alloc_zeroed(sizeof(*grave));
    grave->table = *table;
    grave->drop = drop;
    *table = TABLE_EMPTY;
    store->graveyard_count++;
    list_push_back(&store->graveyard, &grave->link);
}

void store_bury_dropped(struct store *store, struct table *table) {
    store_bury_table(store, table, entry_drop);
}

struct burial {
    struct store *store;
    struct grave *grave;
    size_t elements_left;
    size_t heap_bytes_end; /* enough is freed when the heap uses less */
};

static void count_drop(void *element, void *context) {
    struct burial *burial = context;
    burial->elements_left--;
    burial->store->buried_elements++;
    if (burial->grave->database != NULL) {
        entry_drop(element, burial->store);
        burial->store->graveyard_count--;
        burial->store->statistics.lazyfreed_objects++;
    } else {
        burial->grave->drop(element, burial->store);
    }
}

/* Goes on with the database's next slot that holds something. False: there is none left. */
static bool grave_next_slot(const struct store *store, struct grave *grave) {
    while (grave->database != NULL && grave->slot_next < store->slot_count) {
        grave->table = grave->database->slots[grave->slot_next++];
        if (grave->table.root != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_enough(const struct burial *burial) {
    return burial->elements_left == 0 || burial->store->heap.used_bytes < burial->heap_bytes_end;
}

/* Frees of the grave what the burial may. True: all of it. */
static bool grave_empty(struct burial *burial) {
    struct store *store = burial->store;
    struct table *table = &burial->grave->table;
    do {
        for (;;) {
            if (is_enough(burial)) {
                return false;
            }
            size_t left = burial->elements_left;
            size_t piece = left < BURY_PIECE_ELEMENTS ? left : BURY_PIECE_ELEMENTS;
            if (table_drain(table, &store->heap, piece, count_drop, burial)) {
                break;
            }
        }
    } while (grave_next_slot(store, burial->grave));
    return true;
}

bool store_bury_step(struct store *store, size_t elements) {
    size_t used = store->heap.used_bytes;
    bool is_bounded = elements != SIZE_MAX && used > STORE_BURY_STEP_BYTES;
    struct burial burial = {
        .store = store,
        .elements_left = elements,
        .heap_bytes_end = is_bounded ? used - STORE_BURY_STEP_BYTES : 0,
    };
    while (!list_is_empty(&store->graveyard)) {
        struct grave *grave = LIST_ENTRY(store->graveyard.next, struct grave, link);
        burial.grave = grave;
        if (!grave_empty(&burial)) {
            return false;
        }
        if (grave->database != NULL) {
            database_free(grave->database);
        } else {
            store->graveyard_count--;
            store->statistics.lazyfreed_objects++;
        }
        list_remove(&grave->link);
        memory_free(grave);
    }
    return true;
}

/* ---- access ---- */

static uint32_t lfu_minutes(const struct store *store) {
    return (uint32_t)(store->now_ms / 60000) & 0xffff;
}

static uint32_t lfu_pack(uint32_t minutes, uint32_t counter) {
    return minutes << 8 | counter;
}

static uint8_t lfu_decayed(const struct store *store, uint32_t access) {
    uint32_t counter = access & 0xff;
    uint32_t elapsed = (lfu_minutes(store) - (access >> 8)) & 0xffff;
    if (store->options->lfu_decay_time == 0) {
        return (uint8_t)counter;
    }
    int64_t periods = elapsed / store->options->lfu_decay_time;
    return (uint8_t)(periods >= counter ? 0 : counter - (uint32_t)periods);
}

uint32_t store_access_new(const struct store *store) {
    if (maxmemory_policy_is_lfu(store->options->maxmemory_policy)) {
        return lfu_pack(lfu_minutes(store), LFU_START);
    }
    return store->lru_clock;
}

/* Longer than half a round of the clock would look like the future. */
uint32_t store_access_idle(const struct store *store, uint64_t idle_seconds) {
    uint64_t most = LRU_CLOCK_MASK / 2;
    uint64_t idle = idle_seconds < most ? idle_seconds : most;
    return (store->lru_clock - (uint32_t)idle) & LRU_CLOCK_MASK;
}

uint32_t store_access_frequency(const struct store *store, uint8_t frequency) {
    return lfu_pack(lfu_minutes(store), frequency);
}

/* Morris counter: the larger the count, the less likely it rises. */
static uint32_t lfu_raised(struct store *store, uint32_t counter) {
    if (counter == UINT8_MAX) {
        return counter;
    }
    uint64_t base = counter > LFU_START ? counter - LFU_START : 0;
    uint64_t odds = base * (uint64_t)store->options->lfu_log_factor + 1;
    return counter + (random_below(&store->random, odds) == 0);
}

void store_touch(struct store *store, struct entry *entry) {
    if (UNLIKELY(maxmemory_policy_is_lfu(store->options->maxmemory_policy))) {
        uint32_t counter = lfu_raised(store, lfu_decayed(store, entry_access(entry)));
        entry_set_access(entry, lfu_pack(lfu_minutes(store), counter));
        return;
    }
    entry_set_access(entry, store->lru_clock);
}

uint64_t store_idle_seconds(const struct store *store, const struct entry *entry) {
    return (store->lru_clock - entry_access(entry)) & LRU_CLOCK_MASK;
}

uint8_t store_frequency(const struct store *store, const struct entry *entry) {
    return lfu_decayed(store, entry_access(entry));
}
