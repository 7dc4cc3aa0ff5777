/* Little endian numbers in bytes of any alignment: what files, links and packed structures hold.
 * One load or store each. */
#ifndef TARN_BASE_BYTES_H
#define TARN_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

/* To little endian, or back. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES_ORDER_16(number) (number)
#define BYTES_ORDER_32(number) (number)
#define BYTES_ORDER_64(number) (number)
#else
#define BYTES_ORDER_16(number) __builtin_bswap16(number)
#define BYTES_ORDER_32(number) __builtin_bswap32(number)
#define BYTES_ORDER_64(number) __builtin_bswap64(number)
#endif

static inline uint16_t bytes_load_u16(const void *place) {
    uint16_t number;
    memcpy(&number, place, sizeof(number));
    return BYTES_ORDER_16(number);
}

static inline uint32_t bytes_load_u32(const void *place) {
    uint32_t number;
    memcpy(&number, place, sizeof(number));
    return BYTES_ORDER_32(number);
}

static inline uint64_t bytes_load_u64(const void *place) {
    uint64_t number;
    memcpy(&number, place, sizeof(number));
    return BYTES_ORDER_64(number);
}

static inline void bytes_store_u16(void *place, uint16_t number) {
    number = BYTES_ORDER_16(number);
    memcpy(place, &number, sizeof(number));
}

static inline void bytes_store_u32(void *place, uint32_t number) {
    number = BYTES_ORDER_32(number);
    memcpy(place, &number, sizeof(number));
}

static inline void bytes_store_u64(void *place, uint64_t number) {
    number = BYTES_ORDER_64(number);
    memcpy(place, &number, sizeof(number));
}

#endif
