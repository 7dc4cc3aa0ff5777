/* Keys: how commands that care for no type look one up.
 */
#ifndef TARN_COMMANDS_KEYS_H
#define TARN_COMMANDS_KEYS_H

#include "commands/call.h"

/* The entry, for a look that is no access. Counts a hit or miss, and tells keymiss. */
static inline struct entry *keys_peek(struct call *call, struct span key) {
    bool no_touch = call->no_touch;
    call->no_touch = true;
    struct entry *entry = call_read(call, key);
    call->no_touch = no_touch;
    return entry;
}

/* Place and entry, for a command that writes: touches the access data, counts nothing. */
static inline struct entry *keys_write(struct call *call, struct span key, struct place *place) {
    *place = call_place(call, key);
    if (place->cell == NULL) {
        return NULL;
    }
    struct entry *entry = table_cell_element(*place->cell);
    if (!call->no_touch) {
        store_touch(place->store, entry);
    }
    return entry;
}

static inline bool keys_is_expired(const struct call *call, const struct entry *entry) {
    return entry_has(entry, ENTRY_FLAG_EXPIRY) && entry_expiry(entry) <= call->now_ms;
}

#endif
