#include "base/crc16.h"

/* x^16, x^17, ... x^79 modulo the polynomial: a bit of a byte that has k bytes behind it
 * contributes one of them, since a CRC is linear. All tables below are sums of these, made by the
 * compiler. */
#define POLYNOMIAL 0x1021
#define NEXT(power) ((((power) << 1) & 0xffff) ^ (((power)&0x8000) != 0 ? POLYNOMIAL : 0))
#define NEXT_POWERS(name, before)                                                                  \
    name##0 = NEXT(before), name##1 = NEXT(name##0), name##2 = NEXT(name##1),                      \
    name##3 = NEXT(name##2), name##4 = NEXT(name##3), name##5 = NEXT(name##4),                     \
    name##6 = NEXT(name##5), name##7 = NEXT(name##6)

enum {
    POWER_15 = 0x8000,
    NEXT_POWERS(A, POWER_15),
    NEXT_POWERS(B, A7),
    NEXT_POWERS(C, B7),
    NEXT_POWERS(D, C7),
    NEXT_POWERS(E, D7),
    NEXT_POWERS(F, E7),
    NEXT_POWERS(G, F7),
    NEXT_POWERS(H, G7),
};

#define BIT(name, byte, bit) (((byte) >> (bit)&1) != 0 ? name##bit : 0)
#define SUM(name, byte)                                                                            \
    BIT(name, byte, 0) ^ BIT(name, byte, 1) ^ BIT(name, byte, 2) ^ BIT(name, byte, 3) ^            \
        BIT(name, byte, 4) ^ BIT(name, byte, 5) ^ BIT(name, byte, 6) ^ BIT(name, byte, 7)
#define SUMS_4(name, byte)                                                                         \
    SUM(name, byte), SUM(name, (byte) + 1), SUM(name, (byte) + 2), SUM(name, (byte) + 3)
#define SUMS_16(name, byte)                                                                        \
    SUMS_4(name, byte), SUMS_4(name, (byte) + 4), SUMS_4(name, (byte) + 8),                        \
        SUMS_4(name, (byte) + 12)
#define SUMS_64(name, byte)                                                                        \
    SUMS_16(name, byte), SUMS_16(name, (byte) + 16), SUMS_16(name, (byte) + 32),                   \
        SUMS_16(name, (byte) + 48)
#define SUMS_256(name)                                                                             \
    { SUMS_64(name, 0), SUMS_64(name, 64), SUMS_64(name, 128), SUMS_64(name, 192) }

/* slices[k][b]: the CRC of byte b with k zero bytes behind it. */
static const uint16_t slices[8][256] = {
    SUMS_256(A), SUMS_256(B), SUMS_256(C), SUMS_256(D),
    SUMS_256(E), SUMS_256(F), SUMS_256(G), SUMS_256(H),
};

uint16_t crc16(struct span bytes) {
    const unsigned char *place = (const unsigned char *)bytes.bytes;
    size_t rest = bytes.length;
    unsigned crc = 0;
    for (; rest >= 8; rest -= 8, place += 8) {
        crc = (unsigned)(slices[7][place[0] ^ (crc >> 8)] ^ slices[6][place[1] ^ (crc & 0xff)] ^
                         slices[5][place[2]] ^ slices[4][place[3]] ^ slices[3][place[4]] ^
                         slices[2][place[5]] ^ slices[1][place[6]] ^ slices[0][place[7]]);
    }
    if (rest >= 4) {
        crc = (unsigned)(slices[3][place[0] ^ (crc >> 8)] ^ slices[2][place[1] ^ (crc & 0xff)] ^
                         slices[1][place[2]] ^ slices[0][place[3]]);
        rest -= 4;
        place += 4;
    }
    for (; rest != 0; rest--, place++) {
        crc = (crc << 8 & 0xffff) ^ slices[0][*place ^ (crc >> 8)];
    }
    return (uint16_t)crc;
}
