/* LZF: the fast compression that Redis uses for strings in DUMP payloads and RDB files.
 *
 * A compressed run is a sequence of
 *
 *   FIRST BYTE  FOLLOWED BY             MEANING
 *   000nnnnn    n + 1 bytes             these bytes
 *   nnnddddd    d'                      n + 2 bytes from d * 256 + d' + 1 bytes back (n: 1 to 6)
 *   111ddddd    n', d'                  n' + 9 bytes from there
 *
 * What is copied may overlap what it becomes: a byte repeated is a copy from one byte back.
 * Any thread; no memory of its own but some of the stack.
 * Source of the format: LibLZF's description of it.
 */
#ifndef TARN_BASE_LZF_H
#define TARN_BASE_LZF_H

#include "base/span.h"

/* No run of n bytes expands to more than n times this: three bytes say 264. */
#define LZF_EXPANSION_MAX 88

/* Compresses into target[0..room). Answers the bytes written, or 0 when they would not fit. */
size_t lzf_compress(struct span source, char *target, size_t room);

/* Expands into target[0..length). True if the run is well-formed and makes exactly length bytes;
 * whatever it is, nothing is read or written outside. */
bool lzf_expand(struct span source, char *target, size_t length);

#endif
