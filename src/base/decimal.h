/* The shortest decimal digits that read back as the same double.
 *
 * number = digits x 10^exponent, where digits is a whole number without a sign. Now and then (about
 * one double in a thousand, never one of few digits) the answer is a digit longer than possible: the
 * algorithm is Grisu2, and its choice of powers is that of redis-server 7.2, so that both print the
 * same.
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
