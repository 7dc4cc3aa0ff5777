/* Place: where a key is, or would be. It is found once and carried along, so that a command that
 * looks a key up and then changes it hashes and searches once.
 */
#ifndef TARN_STORE_PLACE_H
#define TARN_STORE_PLACE_H

#include "store/store.h"

struct place {
    struct store *store;
    struct span key;
    uint64_t hash;
    uint64_t *cell; /* NULL: no such key; true while change_count is the store's */
    uint32_t database;
    uint32_t change_count;
    uint16_t slot;
};

/* Looks the key up. store, key, hash, database and slot are set. */
static inline void place_find(struct place *place) {
    place->cell = store_find(place->store, place->database, place->slot, place->hash, place->key);
    place->change_count = place->store->change_count;
}

/* Looks again if anything came or went since. */
static inline void place_refresh(struct place *place) {
    if (UNLIKELY(place->change_count != place->store->change_count)) {
        place_find(place);
    }
}

static inline struct entry *place_entry(struct place *place) {
    place_refresh(place);
    return place->cell == NULL ? NULL : table_cell_element(*place->cell);
}

#endif
