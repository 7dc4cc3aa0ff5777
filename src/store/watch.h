/* Watched keys of one store, for WATCH: each has a version that every effect on it, and every
 * flush, raises. A connection remembers the version that it saw; at EXEC an equal version means
 * that nobody changed the key. Cost for who does not use it: one compare with zero per effect.
 */
#ifndef TARN_STORE_WATCH_H
#define TARN_STORE_WATCH_H

#include "base/heap.h"
#include "base/span.h"
#include "structures/table.h"

#include <stdint.h>

struct store;

struct watch_table {
    struct table table; /* of struct watch */
    uint64_t secret;
    uint64_t last_version;
};

void watch_table_init(struct watch_table *watches, uint64_t secret);

static inline bool watch_table_is_used(const struct watch_table *watches) {
    return watches->table.element_count != 0;
}

/* No key has this version. */
#define WATCH_NO_MEMORY 0

/* One more watcher of this key; answers its version now, or WATCH_NO_MEMORY. */
uint64_t watch_add(struct watch_table *watches, struct heap *heap, uint32_t database,
                   struct span key);
/* One watcher fewer. */
void watch_drop(struct watch_table *watches, struct heap *heap, uint32_t database, struct span key);
/* The version now; the key must be watched. */
uint64_t watch_version(const struct watch_table *watches, uint32_t database, struct span key);

/* The key was changed. */
void watch_touch(struct watch_table *watches, uint32_t database, struct span key);
/* Every watched key of the database for which exists(key) holds was changed. */
void watch_touch_database(struct watch_table *watches, uint32_t database,
                          bool (*is_touched)(uint32_t database, struct span key, void *context),
                          void *context);

#endif
