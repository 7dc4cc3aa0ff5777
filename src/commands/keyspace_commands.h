/* Commands on databases and on the key space as a whole: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHDB,
 * FLUSHALL, SWAPDB.
 *
 * SCAN walks the slots in their order, and each slot's table in the order of table_scan(). Its
 * cursor says where it goes on. It stays below 2^53 for tables of any size, since clients read it
 * as a double:
 *
 *   bits 0-13   slot
 *   bits 14-61  place in the table's scan order, its bits reversed; 0: the slot's beginning
 *
 * A call looks at one store alone. Where that ends, the cursor is the first slot behind it, whoever
 * owns that; 0 when there is none. So a reply may hold fewer keys than asked for, or none, before
 * the end.
 */
#ifndef TARN_COMMANDS_KEYSPACE_COMMANDS_H
#define TARN_COMMANDS_KEYSPACE_COMMANDS_H

#include "commands/command.h"

#define SCAN_SLOT_BITS 14
#define SCAN_COUNT_DEFAULT 10
/* Buckets that a SCAN looks at in a table for each element of its COUNT, as in Redis. */
#define SCAN_BUCKETS_PER_COUNT 10

static inline uint16_t scan_cursor_slot(uint64_t cursor) {
    return (uint16_t)(cursor & (SLOTS - 1));
}

/* A cursor from a client: decimal. False: it is none. */
bool scan_cursor_parse(struct span text, uint64_t *cursor);

extern const struct command keyspace_commands[];

#endif
