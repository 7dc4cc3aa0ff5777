#include "store/watch.h"

#include "base/hash.h"

struct watch {
    uint64_t version;
    uint32_t watchers;
    uint32_t database;
    uint32_t key_length;
    char key[];
};

struct sought {
    uint32_t database;
    struct span key;
};

static bool equal(const void *element, const void *wanted) {
    const struct watch *watch = element;
    const struct sought *sought = wanted;
    return watch->database == sought->database &&
           span_equal(span_of(watch->key, watch->key_length), sought->key);
}

static uint64_t hash_of(uint32_t database, struct span key, uint64_t secret) {
    return hash_bytes(key, secret ^ (uint64_t)database << 32);
}

static uint64_t element_hash(const void *element, const void *context) {
    const struct watch *watch = element;
    const struct watch_table *watches = context;
    return hash_of(watch->database, span_of(watch->key, watch->key_length), watches->secret);
}

static uint64_t *find(const struct watch_table *watches, uint32_t database, struct span key) {
    struct sought sought = {.database = database, .key = key};
    return table_find(&watches->table, hash_of(database, key, watches->secret), equal, &sought);
}

static void take_steps(struct watch_table *watches, struct heap *heap) {
    struct table_elements elements = {.hash = element_hash, .context = watches};
    for (int i = 0; i < TABLE_STEPS_MAX && table_wants_step(&watches->table); i++) {
        table_step(&watches->table, heap, &elements);
    }
}

void watch_table_init(struct watch_table *watches, uint64_t secret) {
    *watches = (struct watch_table){.table = TABLE_EMPTY, .secret = secret};
}

uint64_t watch_add(struct watch_table *watches, struct heap *heap, uint32_t database,
                   struct span key) {
    uint64_t *cell = find(watches, database, key);
    if (cell != NULL) {
        struct watch *watch = table_cell_element(*cell);
        watch->watchers++;
        return watch->version;
    }
    struct watch *watch =
        key.length > UINT32_MAX ? NULL : heap_try_alloc(heap, sizeof(*watch) + key.length);
    if (watch == NULL) {
        return WATCH_NO_MEMORY;
    }
    *watch = (struct watch){
        .version = ++watches->last_version,
        .watchers = 1,
        .database = database,
        .key_length = (uint32_t)key.length,
    };
    memcpy(watch->key, key.bytes, key.length);
    table_insert(&watches->table, heap, hash_of(database, key, watches->secret), watch);
    take_steps(watches, heap);
    return watch->version;
}

void watch_drop(struct watch_table *watches, struct heap *heap, uint32_t database,
                struct span key) {
    uint64_t *cell = find(watches, database, key);
    ASSERT(cell != NULL);
    struct watch *watch = table_cell_element(*cell);
    if (--watch->watchers > 0) {
        return;
    }
    table_remove(&watches->table, heap, hash_of(database, key, watches->secret), cell);
    heap_free(heap, watch, sizeof(*watch) + watch->key_length);
    take_steps(watches, heap);
}

uint64_t watch_version(const struct watch_table *watches, uint32_t database, struct span key) {
    const uint64_t *cell = find(watches, database, key);
    ASSERT(cell != NULL);
    const struct watch *watch = table_cell_element(*cell);
    return watch->version;
}

void watch_touch(struct watch_table *watches, uint32_t database, struct span key) {
    const uint64_t *cell = find(watches, database, key);
    if (cell != NULL) {
        struct watch *watch = table_cell_element(*cell);
        watch->version = ++watches->last_version;
    }
}

struct database_touch {
    struct watch_table *watches;
    uint32_t database;
    bool (*is_touched)(uint32_t database, struct span key, void *context);
    void *context;
};

static void touch_visit(void *element, void *context) {
    struct watch *watch = element;
    const struct database_touch *touch = context;
    if (watch->database == touch->database &&
        touch->is_touched(watch->database, span_of(watch->key, watch->key_length),
                          touch->context)) {
        watch->version = ++touch->watches->last_version;
    }
}

void watch_touch_database(struct watch_table *watches, uint32_t database,
                          bool (*is_touched)(uint32_t database, struct span key, void *context),
                          void *context) {
    struct database_touch touch = {
        .watches = watches, .database = database, .is_touched = is_touched, .context = context};
    uint64_t position = 0;
    do {
        position = table_scan(&watches->table, position, touch_visit, &touch);
    } while (position != 0);
}
