#include "base/number_digits.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- with the C library ---- */

/* Its conversions follow the thread's locale; ours must not. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t enter_c_locale(void)
{
    (void)pthread_once(&c_locale_once, make_c_locale);
    return uselocale(c_locale);
}

double digits_read(const char *text)
{
    locale_t previous = enter_c_locale();
    double v = strtod(text, NULL);
    (void)uselocale(previous);
    return v;
}

static size_t shortest_by_trial(double v, char digits[DIGITS_MAX], int *ret_point)
{
    char text[32];
    int half;
    /* Below a power of two doubles lie half as far apart as above it, so that the nearest
     * of 16 digits may miss while the one above hits. */
    bool power_of_two = v > DBL_MIN && frexp(v, &half) == 0.5;
    locale_t previous = enter_c_locale();
    for (int n = v < DBL_MIN ? 1 : DIGITS_UNIQUE; n <= DIGITS_MAX; n++) {
        (void)snprintf(text, sizeof text, "%.*e", n - 1, v);
        if (strtod(text, NULL) == v) {
            break;
        }
        if (power_of_two && n == DIGITS_UNIQUE + 1 && text[n] < '9') {
            text[n]++; /* d.ddd: the n-th digit stands at n */
            if (strtod(text, NULL) == v) {
                break;
            }
        }
    }
    char *e = strchr(text, 'e');
    *ret_point = (int)strtol(e + 1, NULL, 10) + 1;
    (void)uselocale(previous);

    size_t n = 0;
    for (const char *p = text; p < e; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    return n;
}

/* ---- with 128-bit integers ---- */

#ifdef __SIZEOF_INT128__

/* Not ISO C, hence the guard: 32-bit machines have none and go by trial. */
__extension__ typedef unsigned __int128 u128;

#define EXACT_FROM 1e-5
#define EXACT_BELOW 1e15
#define DECIMALS_MAX 21   /* of 17 digits from EXACT_FROM */
#define POWER_OF_5_MAX 27 /* the last in 64 bits */

static uint64_t power_of_5(int n)
{
    static const uint64_t powers[POWER_OF_5_MAX + 1] = {
        1,
        5,
        25,
        125,
        625,
        3125,
        15625,
        78125,
        390625,
        1953125,
        9765625,
        48828125,
        244140625,
        1220703125,
        UINT64_C(6103515625),
        UINT64_C(30517578125),
        UINT64_C(152587890625),
        UINT64_C(762939453125),
        UINT64_C(3814697265625),
        UINT64_C(19073486328125),
        UINT64_C(95367431640625),
        UINT64_C(476837158203125),
        UINT64_C(2384185791015625),
        UINT64_C(11920928955078125),
        UINT64_C(59604644775390625),
        UINT64_C(298023223876953125),
        UINT64_C(1490116119384765625),
        UINT64_C(7450580596923828125),
    };
    return powers[n];
}

/* Decimals that leave 17 digits, perhaps 18. */
static int decimals_for(double v)
{
    static const double steps[] = {1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2,
                                   1e3,  1e4,  1e5,  1e6,  1e7, 1e8, 1e9,
                                   1e10, 1e11, 1e12, 1e13, 1e14};
    int decimals = DECIMALS_MAX;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && v >= steps[i]; i++) {
        decimals--;
    }
    return decimals;
}

/* v = mantissa * 2^exponent. All decimals that read as v lie between the middles to its
 * two neighbours. Times 4 * 10^decimals / 2^(exponent + decimals), v and both middles are
 * integers below 2^104: a multiple of 5^decimals, of which the last `shift` bits are what
 * 17 digits do not show. */
static size_t shortest_exactly(double v, char digits[DIGITS_MAX], int *ret_point)
{
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(v, &exponent), DBL_MANT_DIG);
    exponent -= DBL_MANT_DIG;
    bool power_of_two = mantissa == UINT64_C(1) << (DBL_MANT_DIG - 1);
    int decimals = decimals_for(v);
    int shift = 2 - exponent - decimals; /* 3 to 51 in this range */
    const u128 unit = power_of_5(decimals);
    u128 low = (4 * mantissa - (power_of_two ? 1 : 2)) * unit;
    u128 high = (4 * mantissa + 2) * unit;
    u128 exact = 4 * mantissa * unit;

    /* The first and last integer that read as v. A middle is none itself: an odd number,
     * or twice one, has no 2^shift in it. So it does not matter to which side it rounds.
     */
    u128 below_one = ((u128)1 << shift) - 1;
    uint64_t first = (uint64_t)((low + below_one) >> shift);
    uint64_t last = (uint64_t)(high >> shift);

    /* Drop digits while a number of fewer remains between the two. */
    uint64_t power = 1;
    while ((first + 9) / 10 <= last / 10) {
        first = (first + 9) / 10;
        last /= 10;
        power *= 10;
        decimals--;
    }
    uint64_t whole = (uint64_t)(exact >> shift);
    uint64_t nearest = whole / power;
    u128 twice_rest = ((u128)(whole % power) << shift | (exact & below_one)) * 2;
    u128 one = (u128)power << shift;
    nearest += twice_rest > one || (twice_rest == one && nearest % 2 == 1);
    nearest = nearest < first ? first : nearest > last ? last : nearest;

    char reversed[20];
    size_t n = 0;
    for (; nearest > 0; nearest /= 10) {
        reversed[n++] = (char)('0' + nearest % 10);
    }
    for (size_t i = 0; i < n; i++) {
        digits[i] = reversed[n - 1 - i];
    }
    *ret_point = (int)n - decimals;
    return n;
}

/* GCC's and clang's: the bits in front of the highest one; v > 0. */
static int zeros_before(uint64_t v)
{
    return __builtin_clzll(v);
}

/* v * 2^exponent, v an integer of at most 53 bits and the result an ordinary double. */
static double scale(uint64_t v, int exponent)
{
    uint64_t bits = (uint64_t)(exponent + DBL_MAX_EXP - 1) << (DBL_MANT_DIG - 1);
    double power;
    memcpy(&power, &bits, sizeof power);
    return (double)v * power;
}

/* v * 2^exponent to the nearest double, to the even one of two; more: v is a little more
 * than it says. */
static double round_even(uint64_t v, int exponent, bool more)
{
    int drop = 64 - zeros_before(v) - DBL_MANT_DIG;
    if (drop <= 0) {
        return scale(v, exponent);
    }
    uint64_t half = UINT64_C(1) << (drop - 1), rest = v & (2 * half - 1);
    v >>= drop;
    v += rest > half || (rest == half && (more || v % 2 == 1));
    return scale(v, exponent + drop);
}

bool digits_round(uint64_t digits, int exponent, double *ret_value)
{
    if (digits == 0 || exponent < -POWER_OF_5_MAX || exponent > POWER_OF_5_MAX) {
        return false;
    }
    if (exponent >= 0) {
        u128 exact = (u128)digits * power_of_5(exponent);
        uint64_t high = (uint64_t)(exact >> 64);
        int drop = high > 0 ? 64 - zeros_before(high) : 0;
        bool more = (exact & (((u128)1 << drop) - 1)) != 0;
        *ret_value = round_even((uint64_t)(exact >> drop), exponent + drop, more);
        return true;
    }
    /* Both with their highest bit at the top: the quotient has 63 or 64 bits, ten more
     * than a double keeps, and whether something remains tells the rest. */
    uint64_t divisor = power_of_5(-exponent);
    int up = zeros_before(digits), divisor_up = zeros_before(divisor);
    u128 dividend = (u128)(digits << up) << 63;
    divisor <<= divisor_up;
    uint64_t quotient = (uint64_t)(dividend / divisor);
    bool more = (uint64_t)dividend != quotient * divisor;
    *ret_value = round_even(quotient, exponent - 63 - up + divisor_up, more);
    return true;
}

#else

bool digits_round(uint64_t digits, int exponent, double *ret_value)
{
    (void)digits;
    (void)exponent;
    (void)ret_value;
    return false;
}

#endif

size_t digits_shortest(double v, char digits[DIGITS_MAX], int *ret_point)
{
#ifdef __SIZEOF_INT128__
    if (v >= EXACT_FROM && v < EXACT_BELOW) {
        return shortest_exactly(v, digits, ret_point);
    }
#endif
    return shortest_by_trial(v, digits, ret_point);
}
