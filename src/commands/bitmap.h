/* Bitmaps: strings as arrays of bits (bits.h). Only the bytes that a command touches are
 * written. */
#ifndef TARN_COMMANDS_BITMAP_H
#define TARN_COMMANDS_BITMAP_H

#include "commands/command.h"

extern const struct command bitmap_commands[];

#endif
