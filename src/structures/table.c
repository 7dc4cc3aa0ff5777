#include "structures/table.h"

#include "base/memory.h"

#define BUCKET_BYTES sizeof(struct table_bucket)
#define SEGMENT_BUCKETS (UINT32_C(1) << TABLE_SEGMENT_BITS)
#define SEGMENT_BYTES (SEGMENT_BUCKETS * BUCKET_BYTES)
#define GROUP_SEGMENTS (UINT32_C(1) << TABLE_GROUP_BITS)
#define LAST_CELL (TABLE_BUCKET_CELLS - 1)

_Static_assert(sizeof(struct table_bucket) == 64, "a bucket is a cache line");
_Static_assert(sizeof(struct table) == 16, "slot headers are small");

struct group {
    struct table_bucket *segments[GROUP_SEGMENTS];
};

struct directory {
    uint32_t groups_capacity;
    struct group *groups[];
};

/* ---- where buckets are ---- */

struct table_bucket *table_directory_bucket(const struct table *table, uint32_t index) {
    const struct directory *directory = table->root;
    const struct group *group = directory->groups[index >> (TABLE_SEGMENT_BITS + TABLE_GROUP_BITS)];
    struct table_bucket *segment =
        group->segments[(index >> TABLE_SEGMENT_BITS) & (GROUP_SEGMENTS - 1)];
    return segment + (index & (SEGMENT_BUCKETS - 1));
}

static size_t directory_bytes(uint32_t groups) {
    return sizeof(struct directory) + groups * sizeof(struct group *);
}

/* The buckets that the flat array of a table with `count` buckets has room for. */
static uint32_t flat_capacity(uint32_t count) {
    size_t capacity = heap_class_bytes(count * BUCKET_BYTES) / BUCKET_BYTES;
    return capacity > TABLE_FLAT_BUCKETS ? TABLE_FLAT_BUCKETS : (uint32_t)capacity;
}

static void directory_begin(struct table *table, struct heap *heap) {
    struct group *group = heap_alloc(heap, sizeof(struct group));
    group->segments[0] = table->root;
    struct directory *directory = heap_alloc(heap, directory_bytes(1));
    directory->groups_capacity = 1;
    directory->groups[0] = group;
    table->root = directory;
}

static void directory_end(struct table *table, struct heap *heap) {
    struct directory *directory = table->root;
    struct group *group = directory->groups[0];
    table->root = group->segments[0];
    heap_free(heap, group, sizeof(struct group));
    heap_free(heap, directory, directory_bytes(directory->groups_capacity));
}

/* Makes room for bucket number `index`, the first of a segment. */
static void segment_add(struct table *table, struct heap *heap, uint32_t index) {
    struct directory *directory = table->root;
    uint32_t group_index = index >> (TABLE_SEGMENT_BITS + TABLE_GROUP_BITS);
    if (group_index == directory->groups_capacity) {
        uint32_t capacity = directory->groups_capacity * 2;
        directory = heap_realloc(heap, directory, directory_bytes(directory->groups_capacity),
                                 directory_bytes(capacity));
        directory->groups_capacity = capacity;
        table->root = directory;
    }
    uint32_t segment_index = (index >> TABLE_SEGMENT_BITS) & (GROUP_SEGMENTS - 1);
    if (segment_index == 0) {
        directory->groups[group_index] = heap_alloc(heap, sizeof(struct group));
    }
    directory->groups[group_index]->segments[segment_index] = heap_alloc(heap, SEGMENT_BYTES);
}

static void segment_remove(struct table *table, struct heap *heap, uint32_t index) {
    struct directory *directory = table->root;
    uint32_t group_index = index >> (TABLE_SEGMENT_BITS + TABLE_GROUP_BITS);
    uint32_t segment_index = (index >> TABLE_SEGMENT_BITS) & (GROUP_SEGMENTS - 1);
    struct group *group = directory->groups[group_index];
    heap_free(heap, group->segments[segment_index], SEGMENT_BYTES);
    if (segment_index == 0) {
        heap_free(heap, group, sizeof(struct group));
    }
}

/* Adds an empty bucket at the end; answers it. */
static struct table_bucket *bucket_add(struct table *table, struct heap *heap) {
    uint32_t index = table->bucket_count;
    ASSERT(index < UINT32_C(1) << 31);
    if (index == 0) {
        table->root = heap_alloc(heap, BUCKET_BYTES);
    } else if (index < TABLE_FLAT_BUCKETS) {
        if (index == flat_capacity(index)) {
            table->root =
                heap_realloc(heap, table->root, index * BUCKET_BYTES, (index + 1) * BUCKET_BYTES);
        }
    } else {
        if (index == TABLE_FLAT_BUCKETS) {
            directory_begin(table, heap);
        }
        if ((index & (SEGMENT_BUCKETS - 1)) == 0) {
            segment_add(table, heap, index);
        }
    }
    table->bucket_count = index + 1;
    struct table_bucket *bucket = table_bucket(table, index);
    *bucket = (struct table_bucket){{0}};
    return bucket;
}

/* Takes the last bucket away; it is empty and has no child. */
static void bucket_remove(struct table *table, struct heap *heap) {
    uint32_t index = table->bucket_count - 1;
    if (index >= TABLE_FLAT_BUCKETS) {
        if ((index & (SEGMENT_BUCKETS - 1)) == 0) {
            segment_remove(table, heap, index);
        }
        if (index == TABLE_FLAT_BUCKETS) {
            directory_end(table, heap);
        }
    } else if (index == 0) {
        heap_free(heap, table->root, BUCKET_BYTES);
        table->root = NULL;
    } else if (flat_capacity(index) != flat_capacity(index + 1)) {
        table->root =
            heap_realloc(heap, table->root, (index + 1) * BUCKET_BYTES, index * BUCKET_BYTES);
    }
    table->bucket_count = index;
}

/* ---- elements of a bucket ---- */

static uint64_t cell_of(uint64_t hash, const void *element) {
    uint64_t address = (uint64_t)(uintptr_t)element;
    ASSERT(address != 0 && (address & ~TABLE_ADDRESS_MASK) == 0);
    return table_tag(hash) << TABLE_TAG_SHIFT | address;
}

static uint64_t *chain_insert(struct heap *heap, struct table_bucket *bucket, uint64_t cell) {
    for (;;) {
        for (int i = 0; i < TABLE_BUCKET_CELLS; i++) {
            if (bucket->cells[i] == 0) {
                bucket->cells[i] = cell;
                return &bucket->cells[i];
            }
        }
        struct table_bucket *child = table_child(bucket);
        if (child == NULL) {
            child = heap_alloc(heap, BUCKET_BYTES);
            *child = (struct table_bucket){{0}};
            child->cells[0] = bucket->cells[LAST_CELL];
            bucket->cells[LAST_CELL] =
                TABLE_CHILD_TAG << TABLE_TAG_SHIFT | (uint64_t)(uintptr_t)child;
        }
        bucket = child;
    }
}

/* Frees children at the end of the chain that have become empty. */
static void chain_trim(struct heap *heap, struct table_bucket *bucket) {
    struct table_bucket *child = table_child(bucket);
    if (child == NULL) {
        return;
    }
    /* A chain is a few buckets long: the loop finds the last one and its parent. */
    for (;;) {
        struct table_bucket *parent = bucket;
        child = table_child(parent);
        while (table_child(child) != NULL) {
            parent = child;
            child = table_child(child);
        }
        for (int i = 0; i < TABLE_BUCKET_CELLS; i++) {
            if (child->cells[i] != 0) {
                return;
            }
        }
        heap_free(heap, child, BUCKET_BYTES);
        parent->cells[LAST_CELL] = 0;
        if (parent == bucket) {
            return;
        }
    }
}

uint64_t *table_insert(struct table *table, struct heap *heap, uint64_t hash, void *element) {
    ASSERT(table->element_count < UINT32_MAX);
    if (table->bucket_count == 0) {
        bucket_add(table, heap);
    }
    table->element_count++;
    return chain_insert(heap, table_home(table, hash), cell_of(hash, element));
}

void table_remove(struct table *table, struct heap *heap, uint64_t hash, uint64_t *cell) {
    ASSERT(table->element_count > 0);
    ASSERT(*cell != 0 && *cell >> TABLE_TAG_SHIFT != TABLE_CHILD_TAG);
    *cell = 0;
    table->element_count--;
    chain_trim(heap, table_home(table, hash));
}

/* ---- growth ---- */

/* Takes the elements of a bucket and its children out; the children are freed. They are touched in
 * two rounds, so that the cache misses of their hashes overlap. */
static void split(struct table *table, struct heap *heap, const struct table_elements *elements) {
    uint32_t level_buckets = UINT32_C(1) << (31 - __builtin_clz(table->bucket_count));
    uint32_t source_index = table->bucket_count - level_buckets;
    struct table_bucket *target = bucket_add(table, heap);
    struct table_bucket *source = table_bucket(table, source_index);
    for (int i = 0; i < TABLE_BUCKET_CELLS; i++) {
        __builtin_prefetch(table_cell_element(source->cells[i]));
    }
    struct table_bucket *chain = source;
    struct table_bucket old = *source;
    *source = (struct table_bucket){{0}};
    chain = &old;
    while (chain != NULL) {
        struct table_bucket *child = table_child(chain);
        int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
        for (int i = 0; i < cells; i++) {
            uint64_t cell = chain->cells[i];
            if (cell != 0) {
                uint64_t hash = elements->hash(table_cell_element(cell), elements->context);
                chain_insert(heap, (hash & level_buckets) != 0 ? target : source, cell);
            }
        }
        if (chain != &old) {
            heap_free(heap, chain, BUCKET_BYTES);
        }
        chain = child;
    }
}

static void merge(struct table *table, struct heap *heap) {
    uint32_t last = table->bucket_count - 1;
    uint32_t level_buckets = UINT32_C(1) << (31 - __builtin_clz(last));
    struct table_bucket *target = table_bucket(table, last - level_buckets);
    struct table_bucket *source = table_bucket(table, last);
    struct table_bucket *chain = source;
    while (chain != NULL) {
        struct table_bucket *child = table_child(chain);
        int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
        for (int i = 0; i < cells; i++) {
            if (chain->cells[i] != 0) {
                chain_insert(heap, target, chain->cells[i]);
            }
        }
        if (chain != source) {
            heap_free(heap, chain, BUCKET_BYTES);
        }
        chain = child;
    }
    bucket_remove(table, heap);
}

void table_step(struct table *table, struct heap *heap, const struct table_elements *elements) {
    uint64_t halves = (uint64_t)table->element_count * 2;
    if (halves > (uint64_t)table->bucket_count * TABLE_GROW_HALVES) {
        split(table, heap, elements);
    } else if (table->bucket_count > 1) {
        merge(table, heap);
    } else if (table->element_count == 0) {
        bucket_remove(table, heap);
    }
}

void table_step_buckets(const struct table *table, uint32_t buckets[2]) {
    uint64_t halves = (uint64_t)table->element_count * 2;
    if (halves > (uint64_t)table->bucket_count * TABLE_GROW_HALVES) {
        uint32_t level_buckets = UINT32_C(1) << (31 - __builtin_clz(table->bucket_count));
        buckets[0] = table->bucket_count - level_buckets;
        buckets[1] = buckets[0];
        return;
    }
    uint32_t last = table->bucket_count - 1;
    buckets[1] = last;
    buckets[0] = last == 0 ? 0 : last - (UINT32_C(1) << (31 - __builtin_clz(last)));
}

/* ---- walking ---- */

static uint64_t reverse_bits(uint64_t bits) {
    bits = (bits >> 1 & UINT64_C(0x5555555555555555)) | (bits & UINT64_C(0x5555555555555555)) << 1;
    bits = (bits >> 2 & UINT64_C(0x3333333333333333)) | (bits & UINT64_C(0x3333333333333333)) << 2;
    bits = (bits >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (bits & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    return __builtin_bswap64(bits);
}

void table_visit_bucket(const struct table *table, uint32_t index,
                        void (*visit)(void *element, void *context), void *context) {
    for (const struct table_bucket *bucket = table_bucket(table, index); bucket != NULL;) {
        const struct table_bucket *child = table_child(bucket);
        int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
        for (int i = 0; i < cells; i++) {
            if (bucket->cells[i] != 0) {
                visit(table_cell_element(bucket->cells[i]), context);
            }
        }
        bucket = child;
    }
}

void table_prefetch_bucket(const struct table *table, uint32_t index, size_t element_bytes) {
    const struct table_bucket *bucket = table_bucket(table, index);
    for (int i = 0; i < LAST_CELL; i++) {
        const char *element = table_cell_element(bucket->cells[i]);
        for (size_t at = 0; element != NULL && at < element_bytes; at += BUCKET_BYTES) {
            __builtin_prefetch(element + at);
        }
    }
}

uint64_t table_scan(const struct table *table, uint64_t position,
                    void (*visit)(void *element, void *context), void *context) {
    const uint64_t space = UINT64_C(1) << TABLE_SCAN_BITS;
    if (table->bucket_count == 0 || position >= space) {
        return 0;
    }
    uint64_t hash = reverse_bits(position << (64 - TABLE_SCAN_BITS));
    uint32_t index = table_bucket_index(table, hash);
    uint32_t level = (uint32_t)(31 - __builtin_clz(table->bucket_count));
    uint32_t level_buckets = UINT32_C(1) << level;
    bool is_split = index >= level_buckets || index < table->bucket_count - level_buckets;
    uint32_t bits = level + (is_split ? 1 : 0);
    table_visit_bucket(table, index, visit, context);
    uint64_t step = space >> bits;
    uint64_t next = (position & ~(step - 1)) + step;
    return next >= space ? 0 : next;
}

static uint32_t chain_count(const struct table_bucket *bucket) {
    uint32_t count = 0;
    while (bucket != NULL) {
        const struct table_bucket *child = table_child(bucket);
        int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
        for (int i = 0; i < cells; i++) {
            count += bucket->cells[i] != 0;
        }
        bucket = child;
    }
    return count;
}

/* The element number `place` of a bucket's chain, or NULL. */
static void *chain_element(const struct table_bucket *bucket, uint32_t place) {
    uint32_t seen = 0;
    while (bucket != NULL) {
        const struct table_bucket *child = table_child(bucket);
        int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
        for (int i = 0; i < cells; i++) {
            if (bucket->cells[i] != 0 && seen++ == place) {
                return table_cell_element(bucket->cells[i]);
            }
        }
        bucket = child;
    }
    return NULL;
}

void *table_random(const struct table *table, struct random *random) {
    if (table->element_count == 0) {
        return NULL;
    }
    /* A bucket and a place in it, both by chance, until there is an element: each has the same
     * chance, but for those of a chain longer than the places, which have a little less. */
    const uint32_t places = TABLE_BUCKET_CELLS * 2;
    for (int tries = 0; tries < TABLE_RANDOM_TRIES_MAX; tries++) {
        uint32_t index = (uint32_t)random_below(random, table->bucket_count);
        const struct table_bucket *bucket = table_bucket(table, index);
        uint32_t place = (uint32_t)random_below(random, places);
        uint32_t count = chain_count(bucket);
        if (count > places) {
            place = (uint32_t)random_below(random, count);
        }
        if (place < count) {
            return chain_element(bucket, place);
        }
    }
    uint32_t index = (uint32_t)random_below(random, table->bucket_count);
    for (;;) {
        const struct table_bucket *bucket = table_bucket(table, index);
        uint32_t count = chain_count(bucket);
        if (count != 0) {
            return chain_element(bucket, (uint32_t)random_below(random, count));
        }
        index = index + 1 == table->bucket_count ? 0 : index + 1;
    }
}

/* ---- the end ---- */

static void chain_free_children(struct heap *heap, struct table_bucket *bucket) {
    struct table_bucket *child = table_child(bucket);
    while (child != NULL) {
        struct table_bucket *next = table_child(child);
        heap_free(heap, child, BUCKET_BYTES);
        child = next;
    }
    bucket->cells[LAST_CELL] = 0;
}

void table_free(struct table *table, struct heap *heap) {
    while (table->bucket_count > 0) {
        chain_free_children(heap, table_bucket(table, table->bucket_count - 1));
        bucket_remove(table, heap);
    }
    *table = TABLE_EMPTY;
}

bool table_drain(struct table *table, struct heap *heap, size_t count,
                 void (*drop)(void *element, void *context), void *context) {
    while (table->bucket_count > 0) {
        struct table_bucket *last = table_bucket(table, table->bucket_count - 1);
        for (struct table_bucket *bucket = last; bucket != NULL;) {
            struct table_bucket *child = table_child(bucket);
            int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
            for (int i = 0; i < cells; i++) {
                if (bucket->cells[i] == 0) {
                    continue;
                }
                if (count == 0) {
                    return false;
                }
                count--;
                void *element = table_cell_element(bucket->cells[i]);
                bucket->cells[i] = 0;
                table->element_count--;
                drop(element, context);
            }
            bucket = child;
        }
        chain_free_children(heap, last);
        bucket_remove(table, heap);
    }
    ASSERT(table->element_count == 0);
    return true;
}

/* ---- statistics ---- */

size_t table_bytes(const struct table *table) {
    size_t buckets = table->bucket_count * BUCKET_BYTES;
    return table->bucket_count <= 1 ? buckets : buckets + buckets / 8;
}

void table_statistics_read(const struct table *table, struct table_statistics *statistics) {
    *statistics = (struct table_statistics){.buckets = table->bucket_count};
    const uint32_t most = TABLE_BUCKET_CELLS * 4;
    for (uint32_t index = 0; index < table->bucket_count; index++) {
        uint32_t elements = 0;
        for (const struct table_bucket *bucket = table_bucket(table, index); bucket != NULL;) {
            const struct table_bucket *child = table_child(bucket);
            int cells = child == NULL ? TABLE_BUCKET_CELLS : LAST_CELL;
            for (int i = 0; i < cells; i++) {
                elements += bucket->cells[i] != 0;
            }
            statistics->children += child != NULL;
            bucket = child;
        }
        statistics->used_buckets += elements != 0;
        statistics->chains[elements < most ? elements : most]++;
        if (elements > statistics->chain_max) {
            statistics->chain_max = elements;
        }
    }
    statistics->size_bytes = (statistics->buckets + statistics->children) * BUCKET_BYTES;
}
