/* The shortest decimal digits that read back as the same double, nearly.
 *
 * number = digits x 10^exponent, where digits is a whole number without a sign. One double in a few
 * hundred gets up to 17 digits where fewer would do, since the algorithm is Grisu2, whose bounds
 * are a little too careful. It is taken nevertheless, with the powers of ten that redis-server 7.2
 * takes, so that both print every double the same.
 *
 * Source: Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers".
 */
#ifndef TARN_BASE_DECIMAL_H
#define TARN_BASE_DECIMAL_H

#define DECIMAL_DIGITS_MAX 17

struct decimal {
    char digits[DECIMAL_DIGITS_MAX + 1]; /* "1".."9" first; no terminator */
    int count;
    int exponent; /* of the last digit */
};

/* number is finite and greater than 0. */
void decimal_from_double(struct decimal *decimal, double number);

#endif
