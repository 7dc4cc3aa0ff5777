/* Numbers from text and to text, with Redis' rules: nothing but the number may stand in the
 * text. */
#ifndef TARN_BASE_NUMBERS_H
#define TARN_BASE_NUMBERS_H

#include "base/span.h"

#include <stdint.h>

#define NUMBER_TEXT_BYTES_MAX 32        /* longest decimal of 64 bits */
#define NUMBER_DOUBLE_TEXT_BYTES_MAX 64 /* longest text of number_format_double() */
#define NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX 5120

/* "-12": no spaces, no plus, no leading zeros; false when it is not a number or does not fit. */
bool number_parse(struct span text, int64_t *number);
bool number_parse_unsigned(struct span text, uint64_t *number);
/* Decimal or scientific, inf, +inf, -inf; no nan, no surrounding spaces, no hexadecimal surprises
 * beyond what redis-server's INCRBYFLOAT and HINCRBYFLOAT accept. */
bool number_parse_double(struct span text, double *number);
bool number_parse_long_double(struct span text, long double *number);
/* "100", "1k" (1000), "1kb" (1024), "1m", "1mb", "1g", "1gb", "b", in any case, as in redis.conf;
 * false for a sign, a fraction, another unit, or more than an int64_t holds. "" and "mb" are 0. */
bool number_parse_memory(struct span text, int64_t *size_bytes);

/* Writes decimal text, no terminator; answers its length. `place` has NUMBER_TEXT_BYTES_MAX. */
size_t number_format(char *place, int64_t number);
size_t number_format_unsigned(char *place, uint64_t number);
/* As redis-server 7.2 formats a score: the shortest text that reads back the same
 * (nearly: see decimal.h). Whole numbers up
 * to 2^62 stand plain; otherwise, with the shortest digits d x 10^e: plain when 0 <= e < 8, with a
 * point when -7 < e < 0 or the number is within 0.001 and 10000, else scientific with the exponent
 * unpadded ("3", "0.1", "1e+20", "1e-7", "1.2345678901234567e+4"); "-0", "inf", "-inf", "nan".
 * `place` has NUMBER_DOUBLE_TEXT_BYTES_MAX. */
size_t number_format_double(char *place, double number);
/* As redis-server formats INCRBYFLOAT's result: %.17Lf without trailing zeros, never "-0"; "inf",
 * "-inf", "nan". `place` has NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX. */
size_t number_format_long_double(char *place, long double number);
/* Decimal digits of a number, the sign included. */
size_t number_decimal_length(int64_t number);
/* "1.50M" and the like, for *_human fields of INFO; place has NUMBER_TEXT_BYTES_MAX. */
size_t number_format_human_bytes(char *place, uint64_t size_bytes);

#endif
