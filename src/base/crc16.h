/* CRC16-CCITT (XMODEM): polynomial 0x1021, start 0, as Redis Cluster maps keys to slots.
 * Computed by slices of eight bytes. crc16("123456789") is 0x31c3. */
#ifndef TARN_BASE_CRC16_H
#define TARN_BASE_CRC16_H

#include "base/span.h"

#include <stdint.h>

uint16_t crc16(struct span bytes);

#endif
