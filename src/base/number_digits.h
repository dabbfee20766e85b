/* Private to number.c: the conversions between a double and decimal digits that need more
 * than one operation of the machine. Nothing here depends on the locale. */
#ifndef BRINK_BASE_NUMBER_DIGITS_H
#define BRINK_BASE_NUMBER_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGITS_MAX 17    /* enough for any double */
#define DIGITS_UNIQUE 15 /* never two numbers of so many digits to one double */

/* The shortest digits that read back as v, which is finite and above 0, and among those
 * the nearest to it: v is 0.digits * 10^point. No trailing zeros. Returns their count.
 * About 40 ns from 1e-5 to 1e15 where the compiler has 128-bit integers, otherwise 1 us.
 */
size_t digits_shortest(double v, char digits[DIGITS_MAX], int *ret_point);

/* digits * 10^exponent, correctly rounded, in about 8 ns. False: by digits_read() then
 * (digits 0, an exponent beyond 27, or a compiler without 128-bit integers). */
bool digits_round(uint64_t digits, int exponent, double *ret_value);

/* strtod() of the whole text; infinite when it overflows. About 90 ns. */
double digits_read(const char *text);

#endif
