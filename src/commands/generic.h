/* Commands on keys of any type, on databases and on the key space as a whole.
 */
#ifndef TARN_COMMANDS_GENERIC_H
#define TARN_COMMANDS_GENERIC_H

#include "commands/command.h"

/* SCAN's cursor: the slot that it goes on with, and the place in that slot's table (table_scan()).
 *
 *   bits 0-47   place in the table's scan order; 0: the slot's beginning
 *   bits 48-61  slot
 */
#define SCAN_SLOT_SHIFT 48

static inline uint16_t scan_cursor_slot(uint64_t cursor) {
    return (uint16_t)(cursor >> SCAN_SLOT_SHIFT & (SLOTS - 1));
}

extern const struct command generic_commands[];

#endif
