/* Bitmaps: strings as arrays of bits (bits.h). Only the bytes that a command touches are
 * written.
 *
 *     bitmap.c     bits and ranges of them, BITOP
 *     bitfield.c   integers of any width inside a string
 */
#ifndef TARN_COMMANDS_BITMAP_H
#define TARN_COMMANDS_BITMAP_H

#include "commands/command.h"

extern const struct command bitmap_commands[];
extern const struct command bitfield_commands[];

/* The place of a bit from argument i; "#n" means n fields of field_bits, when those are not 0.
 * False: the reply says that it is none. */
bool bitmap_parse_offset(struct call *call, uint32_t i, unsigned field_bits, uint64_t *offset);

/* A bit write that changes no bit still leaves a plain string, as in Redis: OBJECT ENCODING says
 * raw. */
void bitmap_make_raw(struct call *call, struct place *place);

#endif
