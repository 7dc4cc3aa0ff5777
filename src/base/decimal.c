#include "base/decimal.h"

#include "base/assertion.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRACTION_BITS 52
#define HIDDEN_BIT ((uint64_t)1 << FRACTION_BITS)
#define EXPONENT_BIAS (1023 + FRACTION_BITS)

/* significand x 2^exponent */
struct scaled {
    uint64_t significand;
    int exponent;
};

#define POWER_FIRST (-348)
#define POWER_STEP 8
#define POWER_COUNT 87

/* The scaled boundaries have an exponent in this range: the whole part then fits 32 bits, and ten
 * times the fractional part fits 64. */
#define SCALED_EXPONENT_MIN (-60)
#define SCALED_EXPONENT_MAX (-32)

/* 10^(POWER_FIRST + i x POWER_STEP), rounded to 64 bits. */
static const struct scaled powers_of_ten[POWER_COUNT] = {
    {0xfa8fd5a0081c0288, -1220}, {0xbaaee17fa23ebf76, -1193}, {0x8b16fb203055ac76, -1166},
    {0xcf42894a5dce35ea, -1140}, {0x9a6bb0aa55653b2d, -1113}, {0xe61acf033d1a45df, -1087},
    {0xab70fe17c79ac6ca, -1060}, {0xff77b1fcbebcdc4f, -1034}, {0xbe5691ef416bd60c, -1007},
    {0x8dd01fad907ffc3c, -980},  {0xd3515c2831559a83, -954},  {0x9d71ac8fada6c9b5, -927},
    {0xea9c227723ee8bcb, -901},  {0xaecc49914078536d, -874},  {0x823c12795db6ce57, -847},
    {0xc21094364dfb5637, -821},  {0x9096ea6f3848984f, -794},  {0xd77485cb25823ac7, -768},
    {0xa086cfcd97bf97f4, -741},  {0xef340a98172aace5, -715},  {0xb23867fb2a35b28e, -688},
    {0x84c8d4dfd2c63f3b, -661},  {0xc5dd44271ad3cdba, -635},  {0x936b9fcebb25c996, -608},
    {0xdbac6c247d62a584, -582},  {0xa3ab66580d5fdaf6, -555},  {0xf3e2f893dec3f126, -529},
    {0xb5b5ada8aaff80b8, -502},  {0x87625f056c7c4a8b, -475},  {0xc9bcff6034c13053, -449},
    {0x964e858c91ba2655, -422},  {0xdff9772470297ebd, -396},  {0xa6dfbd9fb8e5b88f, -369},
    {0xf8a95fcf88747d94, -343},  {0xb94470938fa89bcf, -316},  {0x8a08f0f8bf0f156b, -289},
    {0xcdb02555653131b6, -263},  {0x993fe2c6d07b7fac, -236},  {0xe45c10c42a2b3b06, -210},
    {0xaa242499697392d3, -183},  {0xfd87b5f28300ca0e, -157},  {0xbce5086492111aeb, -130},
    {0x8cbccc096f5088cc, -103},  {0xd1b71758e219652c, -77},   {0x9c40000000000000, -50},
    {0xe8d4a51000000000, -24},   {0xad78ebc5ac620000, 3},     {0x813f3978f8940984, 30},
    {0xc097ce7bc90715b3, 56},    {0x8f7e32ce7bea5c70, 83},    {0xd5d238a4abe98068, 109},
    {0x9f4f2726179a2245, 136},   {0xed63a231d4c4fb27, 162},   {0xb0de65388cc8ada8, 189},
    {0x83c7088e1aab65db, 216},   {0xc45d1df942711d9a, 242},   {0x924d692ca61be758, 269},
    {0xda01ee641a708dea, 295},   {0xa26da3999aef774a, 322},   {0xf209787bb47d6b85, 348},
    {0xb454e4a179dd1877, 375},   {0x865b86925b9bc5c2, 402},   {0xc83553c5c8965d3d, 428},
    {0x952ab45cfa97a0b3, 455},   {0xde469fbd99a05fe3, 481},   {0xa59bc234db398c25, 508},
    {0xf6c69a72a3989f5c, 534},   {0xb7dcbf5354e9bece, 561},   {0x88fcf317f22241e2, 588},
    {0xcc20ce9bd35c78a5, 614},   {0x98165af37b2153df, 641},   {0xe2a0b5dc971f303a, 667},
    {0xa8d9d1535ce3b396, 694},   {0xfb9b7cd9a4a7443c, 720},   {0xbb764c4ca7a44410, 747},
    {0x8bab8eefb6409c1a, 774},   {0xd01fef10a657842c, 800},   {0x9b10a4e5e9913129, 827},
    {0xe7109bfba19c0c9d, 853},   {0xac2820d9623bf429, 880},   {0x80444b5e7aa7cf85, 907},
    {0xbf21e44003acdd2d, 933},   {0x8e679c2f5e44ff8f, 960},   {0xd433179d9c8cb841, 986},
    {0x9e19db92b4e31ba9, 1013},  {0xeb96bf6ebadf77d9, 1039},  {0xaf87023b9bf0ee6b, 1066},
};

static struct scaled scaled_normal(uint64_t significand, int exponent) {
    int shift = __builtin_clzll(significand);
    return (struct scaled){significand << shift, exponent - shift};
}

static struct scaled scaled_product(struct scaled a, struct scaled b) {
    unsigned __int128 product = (unsigned __int128)a.significand * b.significand;
    product += (uint64_t)1 << 63;
    return (struct scaled){(uint64_t)(product >> 64), a.exponent + b.exponent + 64};
}

/* The power that brings a normal number of this binary exponent into the range above. More than one
 * may do; which one is taken decides the rare last digit, so the estimate is redis-server's. */
static struct scaled power_choose(int exponent, int *power) {
    const double log10_of_2 = 0.30102999566398114;
    int estimate = (int)(-(exponent + POWER_COUNT) * log10_of_2);
    int i = (estimate - POWER_FIRST) / POWER_STEP;
    for (;;) {
        ASSERT(i >= 0);
        ASSERT(i < POWER_COUNT);
        int scaled_exponent = exponent + powers_of_ten[i].exponent + 64;
        if (scaled_exponent < SCALED_EXPONENT_MIN) {
            i++;
        } else if (scaled_exponent > SCALED_EXPONENT_MAX) {
            i--;
        } else {
            *power = POWER_FIRST + i * POWER_STEP;
            return powers_of_ten[i];
        }
    }
}

/* Distances below the upper boundary, in units of the scaled exponent times some power of ten. */
struct interval {
    uint64_t width;  /* to the lower boundary */
    uint64_t number; /* to the number itself */
};

/* The digits so far lie `rest` below the upper boundary. Takes the last one down, `unit` each time,
 * while that comes nearer to the number and stays above the lower boundary. */
static void last_digit_lower(struct decimal *decimal, struct interval interval, uint64_t rest,
                             uint64_t unit) {
    char *last = &decimal->digits[decimal->count - 1];
    while (
        rest < interval.number && interval.width - rest >= unit &&
        (rest + unit < interval.number || interval.number - rest > rest + unit - interval.number)) {
        (*last)--;
        rest += unit;
    }
}

static void digit_append(struct decimal *decimal, uint64_t digit) {
    if (digit != 0 || decimal->count != 0) {
        ASSERT(decimal->count < (int)sizeof(decimal->digits));
        decimal->digits[decimal->count++] = (char)('0' + digit);
    }
}

/* Digits of the upper boundary, from the left, until what is left out is less than the width. */
static void digits_generate(struct decimal *decimal, struct scaled upper,
                            struct interval interval) {
    int shift = -upper.exponent;
    uint64_t one = (uint64_t)1 << shift;
    uint64_t whole = upper.significand >> shift;
    uint64_t fraction = upper.significand & (one - 1);
    uint64_t divisor = 1000000000;
    for (int exponent = 9; exponent >= 0; exponent--, divisor /= 10) {
        digit_append(decimal, whole / divisor);
        whole %= divisor;
        uint64_t rest = (whole << shift) + fraction;
        if (rest <= interval.width) {
            decimal->exponent += exponent;
            last_digit_lower(decimal, interval, rest, divisor << shift);
            return;
        }
    }
    for (int exponent = -1;; exponent--) {
        fraction *= 10;
        interval.width *= 10;
        interval.number *= 10;
        digit_append(decimal, fraction >> shift);
        fraction &= one - 1;
        if (fraction < interval.width) {
            decimal->exponent += exponent;
            last_digit_lower(decimal, interval, fraction, one);
            return;
        }
    }
}

void decimal_from_double(struct decimal *decimal, double number) {
    ASSERT(isfinite(number));
    ASSERT(number > 0);
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    uint64_t significand = bits & (HIDDEN_BIT - 1);
    int exponent = (int)(bits >> FRACTION_BITS);
    if (exponent != 0) {
        significand += HIDDEN_BIT;
        exponent -= EXPONENT_BIAS;
    } else {
        exponent = 1 - EXPONENT_BIAS;
    }

    /* Half way to the neighbours; below a power of two the lower one is twice as near. */
    struct scaled upper = scaled_normal((significand << 1) + 1, exponent - 1);
    int nearer = significand == HIDDEN_BIT ? 2 : 1;
    struct scaled lower = {(significand << nearer) - 1, exponent - nearer};
    lower.significand <<= lower.exponent - upper.exponent;
    lower.exponent = upper.exponent;

    int power;
    struct scaled factor = power_choose(upper.exponent, &power);
    struct scaled middle = scaled_product(scaled_normal(significand, exponent), factor);
    upper = scaled_product(upper, factor);
    lower = scaled_product(lower, factor);
    /* A product may be off by one: inside these bounds every digit string is right. */
    lower.significand++;
    upper.significand--;

    decimal->count = 0;
    decimal->exponent = -power;
    struct interval interval = {
        .width = upper.significand - lower.significand,
        .number = upper.significand - middle.significand,
    };
    digits_generate(decimal, upper, interval);
    ASSERT(decimal->count <= DECIMAL_DIGITS_MAX);
}
