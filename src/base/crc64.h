/* CRC-64 of Redis' DUMP payloads and RDB files: the "Jones" polynomial 0xad93d23594c935a9, bits
 * reflected on both sides, nothing inverted. "123456789" has 0xe9c6d914c4b8d9ca.
 */
#ifndef TARN_BASE_CRC64_H
#define TARN_BASE_CRC64_H

#include "base/span.h"

#include <stdint.h>

#define CRC64_EMPTY UINT64_C(0)

/* The CRC of what crc stands for with bytes behind it. Begin with CRC64_EMPTY. */
uint64_t crc64_add(uint64_t crc, struct span bytes);

#endif
