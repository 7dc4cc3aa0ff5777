/* List pack: many small strings in one run of bytes, for small hashes (and later lists, sets,
 * sorted sets, stream nodes).
 *
 * The format is that of Redis' listpacks, byte for byte (so that DUMP and RDB files carry it as it
 * is):
 *
 *   OFFSET  SIZE  MEANING
 *   0       4     total bytes, little endian, header and end included
 *   4       2     number of elements, little endian; 65535: unknown, count by walking
 *   6       ...   elements: encoding + content, then the element's length backwards (1-5 bytes)
 *   last    1     0xFF
 *
 * The functions never own memory: they work on bytes[0..size) of the caller. A change is planned
 * first (listpack_element_bytes() and listpack_stored_bytes() give what it adds and
 * removes), then done in place in a run
 * that the caller made large enough: so a pack can live inside an entry. Walking positions are
 * offsets; LISTPACK_END is "no more". A pack that came from outside is checked whole by
 * listpack_is_valid() before anything else touches it.
 *
 * Source: antirez' listpack specification.
 */
#ifndef TARN_STRUCTURES_LISTPACK_H
#define TARN_STRUCTURES_LISTPACK_H

#include "base/span.h"

#include <stdint.h>

#define LISTPACK_EMPTY_BYTES ((size_t)7)
#define LISTPACK_END ((size_t)0)
#define LISTPACK_NUMBER_TEXT_MAX 21

/* An element: a string inside the pack, or a number (bytes == NULL), as it is stored. */
struct listpack_element {
    struct span string;
    int64_t number;
    bool is_number;
};

/* Writes an empty pack of LISTPACK_EMPTY_BYTES bytes. */
void listpack_init(unsigned char *pack);
size_t listpack_bytes(const unsigned char *pack);
size_t listpack_count(const unsigned char *pack);

/* Walking, from front or back. */
size_t listpack_first(const unsigned char *pack);
size_t listpack_last(const unsigned char *pack);
size_t listpack_next(const unsigned char *pack, size_t position);
size_t listpack_previous(const unsigned char *pack, size_t position);
/* Element by number from the front, or from the back for negative ones (-1 is the last). */
size_t listpack_seek(const unsigned char *pack, int64_t index);

struct listpack_element listpack_get(const unsigned char *pack, size_t position);
/* The element's text; numbers are written to scratch[LISTPACK_NUMBER_TEXT_MAX]. */
struct span listpack_text(const unsigned char *pack, size_t position, char *scratch);
bool listpack_equal(const unsigned char *pack, size_t position, struct span text);
/* The first element from position on whose text is `text`, looking at every (skip + 1)th only. */
size_t listpack_find(const unsigned char *pack, size_t position, struct span text, uint32_t skip);

/* Bytes that an element of this text takes in a pack. */
size_t listpack_element_bytes(struct span text);
/* Bytes that the element at position takes. */
size_t listpack_stored_bytes(const unsigned char *pack, size_t position);

/* Puts text before the element at position (LISTPACK_END: behind the last). The run has room for
 * listpack_element_bytes(text) more. Answers the new element's position. `text` must not point into
 * the pack. */
size_t listpack_insert(unsigned char *pack, size_t position, struct span text);
/* Puts text in the place of the element; room for the growth must be there. */
void listpack_replace(unsigned char *pack, size_t position, struct span text);
/* Removes count elements from position on. Answers the position that follows, or LISTPACK_END. */
size_t listpack_delete(unsigned char *pack, size_t position, size_t count);

/* True if bytes[0..size) is a well-formed pack, every length checked. */
bool listpack_is_valid(const unsigned char *bytes, size_t size);

#endif
