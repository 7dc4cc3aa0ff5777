/* Ziplist: what held small hashes, lists and sorted sets in Redis before 7.0, and stands in RDB
 * files and DUMP payloads of that time. It is only read here.
 *
 *   OFFSET  SIZE  MEANING
 *   0       4     total bytes, little endian, header and end included
 *   4       4     offset of the last entry (of the end byte, when there is none), little endian
 *   8       2     number of entries, little endian; 65535: unknown
 *   10      ...   entries
 *   last    1     0xFF
 *
 * An entry begins with the bytes of the entry before it: 1 byte below 254, or 254 and 4 bytes,
 * little endian. Then follows:
 *
 *   FIRST BYTE     FOLLOWED BY  MEANING
 *   00nnnnnn       n bytes      a string
 *   01nnnnnn       1 + n bytes  a string; n has 14 bits, the high ones first
 *   10......       4 + n bytes  a string; n is big endian
 *   0xc0           2 bytes      a number, signed, little endian
 *   0xd0           4 bytes      the same
 *   0xe0           8 bytes      the same
 *   0xf0           3 bytes      the same
 *   0xfe           1 byte       the same
 *   0xf1 - 0xfd                 the number of the low four bits - 1
 *
 * Nothing here owns memory. ziplist_is_valid() comes before anything else. Walking positions are
 * offsets, ZIPLIST_END is "no more".
 * Source: the answers of redis-server 6, and the public descriptions of the format.
 */
#ifndef TARN_STRUCTURES_ZIPLIST_H
#define TARN_STRUCTURES_ZIPLIST_H

#include "base/span.h"

#include <stdint.h>

#define ZIPLIST_EMPTY_BYTES ((size_t)11)
#define ZIPLIST_END ((size_t)0)
#define ZIPLIST_NUMBER_TEXT_MAX 21

/* True if bytes[0..size) is a well-formed ziplist, every length checked. */
bool ziplist_is_valid(const unsigned char *bytes, size_t size);

size_t ziplist_first(const unsigned char *bytes);
size_t ziplist_next(const unsigned char *bytes, size_t position);
/* The entry's text; numbers are written to scratch[ZIPLIST_NUMBER_TEXT_MAX]. */
struct span ziplist_text(const unsigned char *bytes, size_t position, char *scratch);

#endif
