/* Strings as arrays of bits: bit 0 is the highest bit of byte 0. Pure functions over bytes. */
#ifndef TARN_COMMANDS_BITS_H
#define TARN_COMMANDS_BITS_H

#include "base/span.h"

#include <stdint.h>

#define BITS_NONE UINT64_MAX
/* Bytes that a field of 64 bits touches when it starts inside a byte. */
#define BITS_FIELD_BYTES_MAX 9

/* Ones among the bits first .. last; both are in bytes. */
uint64_t bits_count(struct span bytes, uint64_t first, uint64_t last);

/* The first bit with this value among first .. last, or BITS_NONE; both are in bytes. */
uint64_t bits_find(struct span bytes, bool value, uint64_t first, uint64_t last);

/* A field of 1 to 64 bits that starts `shift` (0 to 7) bits into bytes, the highest bit first.
 * Touches bits_field_bytes() bytes. */
size_t bits_field_bytes(unsigned shift, unsigned bits);
uint64_t bits_field_read(const unsigned char *bytes, unsigned shift, unsigned bits);
void bits_field_write(unsigned char *bytes, unsigned shift, unsigned bits, uint64_t value);

enum bits_operation { BITS_AND, BITS_OR, BITS_XOR, BITS_NOT };

/* result becomes (result operation source), bit by bit, over `length` bytes; a shorter source
 * ends in zeros. BITS_NOT: result becomes the opposite of source. */
void bits_combine(enum bits_operation operation, unsigned char *result, size_t length,
                  struct span source);

#endif
