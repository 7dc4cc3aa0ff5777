#include "base/crc64.h"

#include "base/bytes.h"

/* A CRC is linear: that of a byte is the sum of those of its bits. These are the CRCs of one bit
 * with 0 (A) to 7 (H) zero bytes behind its byte; all tables below are sums of them, made by the
 * compiler. */
#define A0 UINT64_C(0x7ad870c830358979)
#define A1 UINT64_C(0xf5b0e190606b12f2)
#define A2 UINT64_C(0xc038e5739841b68f)
#define A3 UINT64_C(0xab28ecb46814fe75)
#define A4 UINT64_C(0x7d08ff3b88be6f81)
#define A5 UINT64_C(0xfa11fe77117cdf02)
#define A6 UINT64_C(0xdf7adabd7a6e2d6f)
#define A7 UINT64_C(0x95ac9329ac4bc9b5)
#define B0 UINT64_C(0x89e99ffd73bddf69)
#define B1 UINT64_C(0x388a19a9bfec2db9)
#define B2 UINT64_C(0x711433537fd85b72)
#define B3 UINT64_C(0xe22866a6ffb0b6e4)
#define B4 UINT64_C(0xef09eb1ea7f6fea3)
#define B5 UINT64_C(0xf54af06e177a6e2d)
#define B6 UINT64_C(0xc1ccc68f76634f31)
#define B7 UINT64_C(0xa8c0ab4db4510d09)
#define C0 UINT64_C(0xf4125129ce4038be)
#define C1 UINT64_C(0xc37d8400c417e217)
#define C2 UINT64_C(0xada22e52d0b85745)
#define C3 UINT64_C(0x701d7af6f9e73de1)
#define C4 UINT64_C(0xe03af5edf3ce7bc2)
#define C5 UINT64_C(0xeb2ccd88bf0b64ef)
#define C6 UINT64_C(0xfd00bd4226815ab5)
#define C7 UINT64_C(0xd1585cd715952601)
#define D0 UINT64_C(0x8ce168638c796306)
#define D1 UINT64_C(0x329bf69440655567)
#define D2 UINT64_C(0x6537ed2880caaace)
#define D3 UINT64_C(0xca6fda510195559c)
#define D4 UINT64_C(0xbf8692f15bbd3853)
#define D5 UINT64_C(0x545403b1efede3cd)
#define D6 UINT64_C(0xa8a80763dfdbc79a)
#define D7 UINT64_C(0x7a092894e7201c5f)
#define E0 UINT64_C(0x3504e58b9ba6dd1e)
#define E1 UINT64_C(0x6a09cb17374dba3c)
#define E2 UINT64_C(0xd413962e6e9b7478)
#define E3 UINT64_C(0x837e0a0f85a17b9b)
#define E4 UINT64_C(0x2da5324c53d5645d)
#define E5 UINT64_C(0x5b4a6498a7aac8ba)
#define E6 UINT64_C(0xb694c9314f559174)
#define E7 UINT64_C(0x4670b431c63cb183)
#define F0 UINT64_C(0xe39d1389931b9354)
#define F1 UINT64_C(0xec6301407ea0b5c3)
#define F2 UINT64_C(0xf39f24d3a5d6f8ed)
#define F3 UINT64_C(0xcc676ff4133a62b1)
#define F4 UINT64_C(0xb397f9bb7ee35609)
#define F5 UINT64_C(0x4c76d525a5513f79)
#define F6 UINT64_C(0x98edaa4b4aa27ef2)
#define F7 UINT64_C(0x1a8272c5cdd36e8f)
#define G0 UINT64_C(0x62a95de6e302eff2)
#define G1 UINT64_C(0xc552bbcdc605dfe4)
#define G2 UINT64_C(0xa1fc51c8d49c2ca3)
#define G3 UINT64_C(0x68a185c2f1afca2d)
#define G4 UINT64_C(0xd1430b85e35f945a)
#define G5 UINT64_C(0x89df31589e28bbdf)
#define G6 UINT64_C(0x38e744e264c6e4d5)
#define G7 UINT64_C(0x71ce89c4c98dc9aa)
#define H0 UINT64_C(0x381d0015c96f4444)
#define H1 UINT64_C(0x703a002b92de8888)
#define H2 UINT64_C(0xe074005725bd1110)
#define H3 UINT64_C(0xebb126fd13edb14b)
#define H4 UINT64_C(0xfc3b6ba97f4cf1fd)
#define H5 UINT64_C(0xd32ff101a60e7091)
#define H6 UINT64_C(0x8d06c450148b7249)
#define H7 UINT64_C(0x3154aef3718177f9)

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
static const uint64_t slices[8][256] = {
    SUMS_256(A), SUMS_256(B), SUMS_256(C), SUMS_256(D),
    SUMS_256(E), SUMS_256(F), SUMS_256(G), SUMS_256(H),
};

uint64_t crc64_add(uint64_t crc, struct span bytes) {
    const unsigned char *place = (const unsigned char *)bytes.bytes;
    size_t rest = bytes.length;
    for (; rest >= 8; rest -= 8, place += 8) {
        uint64_t word = bytes_load_u64(place) ^ crc;
        crc = slices[7][word & 0xff] ^ slices[6][word >> 8 & 0xff] ^ slices[5][word >> 16 & 0xff] ^
              slices[4][word >> 24 & 0xff] ^ slices[3][word >> 32 & 0xff] ^
              slices[2][word >> 40 & 0xff] ^ slices[1][word >> 48 & 0xff] ^ slices[0][word >> 56];
    }
    for (; rest != 0; rest--, place++) {
        crc = slices[0][(crc ^ *place) & 0xff] ^ crc >> 8;
    }
    return crc;
}
