/* RDB form: how Redis' DUMP payloads and RDB files write lengths and strings.
 *
 * A length, or in its place what kind of string follows:
 *
 *   FIRST BYTE  FOLLOWED BY        MEANING
 *   00nnnnnn                       length n
 *   01nnnnnn    1 byte             length of 14 bits, the high ones first
 *   0x80        4 bytes            length, big endian
 *   0x81        8 bytes            length, big endian
 *   0xc0        1 byte             a string: the decimal text of this signed number
 *   0xc1        2 bytes            the same, little endian
 *   0xc2        4 bytes            the same, little endian
 *   0xc3        length, length,    a string compressed by LZF: bytes here, bytes of the string, and
 *               bytes              what base/lzf.h expands
 *
 * A string is a length and as many bytes, or one of the last four.
 *
 * Reading takes from a span whose first byte is the next one. Everything may be hostile: lengths
 * are compared with what is there before anything else happens. Writing is infallible; see
 * RDB_STRING_MORE_BYTES_MAX for how much room it takes.
 * Source: the answers of redis-server 7, and the public descriptions of the format.
 */
#ifndef TARN_STORE_RDB_FORM_H
#define TARN_STORE_RDB_FORM_H

#include "base/buffer.h"
#include "base/span.h"

#include <stdint.h>

#define RDB_LENGTH_BYTES_MAX ((size_t)9)
/* Appending a string never asks for more room than this beyond its own length. */
#define RDB_STRING_MORE_BYTES_MAX ((size_t)16)
/* A longer one is damage, not data: keeps sums of lengths from overflowing. */
#define RDB_LENGTH_MAX ((uint64_t)1 << 48)

enum rdb_status {
    RDB_DONE,
    RDB_INCOMPLETE, /* the span ends too early */
    RDB_DAMAGED,
    RDB_NO_MEMORY,
};

/* ---- writing ---- */

void rdb_length_append(struct buffer *buffer, uint64_t length);
/* Numbers of up to 32 bits as such; if compresses, longer strings by LZF when that is shorter. */
void rdb_string_append(struct buffer *buffer, struct span string, bool compresses);
void rdb_integer_append(struct buffer *buffer, int64_t number);

/* ---- reading ---- */

enum rdb_string_form { RDB_STRING_PLAIN, RDB_STRING_NUMBER, RDB_STRING_COMPRESSED };

struct rdb_string {
    enum rdb_string_form form;
    struct span bytes;   /* plain or compressed: they point into what was read */
    int64_t number;      /* of RDB_STRING_NUMBER */
    size_t length;       /* bytes of the text */
    size_t stored_bytes; /* bytes in the form; when INCOMPLETE: that many are needed, or 0 when even
                            the head is cut off */
};

/* Both move *left behind what they read, if DONE. A length may not be the head of a string. */
enum rdb_status rdb_length_read(struct span *left, uint64_t *length);
enum rdb_status rdb_string_read(struct span *left, struct rdb_string *string);

/* Writes the text, string->length bytes, to target. False: damaged. */
bool rdb_string_copy(const struct rdb_string *string, char *target);

/* Where a text stands that is not there as it is. Grows as needed. */
struct rdb_scratch {
    char *bytes;
    size_t capacity;
};

#define RDB_SCRATCH_EMPTY ((struct rdb_scratch){.bytes = NULL, .capacity = 0})

/* The text: in what was read, or in scratch, until that is used again. DONE, DAMAGED or
 * NO_MEMORY. */
enum rdb_status rdb_string_text(const struct rdb_string *string, struct rdb_scratch *scratch,
                                struct span *text);
/* Reads a string and its text in one. INCOMPLETE too. */
enum rdb_status rdb_text_read(struct span *left, struct rdb_scratch *scratch, struct span *text);
/* Copies a text that stands elsewhere into the scratch. DONE or NO_MEMORY. */
enum rdb_status rdb_scratch_keep(struct rdb_scratch *scratch, struct span *text);
void rdb_scratch_free(struct rdb_scratch *scratch);

#endif
