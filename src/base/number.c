#include "base/number.h"

#include <math.h>

#include "base/number_digits.h"
#include "base/word.h"

#define NUMBER_TEXT_MAX 400
#define EXACT_POWER_MAX 22 /* 10^22 is the last exact power of ten */
#define EXACT_MANTISSA_MAX (UINT64_C(1) << 53)
#define MANTISSA_DIGITS 19 /* so many nines fit into 64 bits */
#define FAST_DECIMALS 6
#define US_PER_SECOND INT64_C(1000000)
#define DURATION_MAX_US (INT64_C(36525) * 86400 * US_PER_SECOND) /* 100 years */
/* Up to here doubles lie less than a microsecond apart. */
#define SECONDS_EXACT_US ((INT64_C(1) << 33) * US_PER_SECOND)

static const double powers[EXACT_POWER_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum brink_status parse_slowly(struct text t, double *ret_value)
{
    char copy[NUMBER_TEXT_MAX + 1];
    memcpy(copy, t.p, t.n);
    copy[t.n] = '\0';
    double value = digits_read(copy);
    if (!isfinite(value)) {
        return BRINK_E_RANGE;
    }
    *ret_value = value;
    return BRINK_OK;
}

/* What the digits of a number say: mantissa * 10^exponent, and if `cut` there were more
 * digits than the mantissa has. */
struct decimal {
    uint64_t mantissa;
    int exponent;
    bool negative, cut;
};

/* Without the C library: false where that cannot be exact. */
static inline bool convert(const struct decimal *d, double *ret_value)
{
    double value, above;
    int e = d->exponent;
    if (!d->cut && d->mantissa <= EXACT_MANTISSA_MAX && e >= -EXACT_POWER_MAX &&
        e <= EXACT_POWER_MAX) {
        /* Both factors exact, so the one operation rounds correctly. */
        value = (double)(int64_t)d->mantissa;
        value = e < 0 ? value / powers[-e] : value * powers[e];
    } else if (!digits_round(d->mantissa, e, &value)) {
        return false;
    } else if (d->cut && (!digits_round(d->mantissa + 1, e, &above) || above != value)) {
        return false; /* the digits that were cut off decide */
    }
    *ret_value = d->negative ? -value : value;
    return true;
}

/* Behind the e: [+-]digits, added to the exponent. NULL: not that. */
static const char *read_exponent(const char *p, const char *end, int *exponent)
{
    bool down = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }
    if (p == end || !is_digit(*p)) {
        return NULL;
    }
    int given = 0;
    for (; p < end && is_digit(*p); p++) {
        given = given < 100000 ? given * 10 + (*p - '0') : given;
    }
    *exponent += down ? -given : given;
    return p;
}

enum brink_status number_parse(struct text t, double *ret_value)
{
    if (t.n == 0 || t.n > NUMBER_TEXT_MAX) {
        return BRINK_E_SYNTAX;
    }
    const char *p = t.p, *end = t.p + t.n;
    struct decimal d = {.negative = *p == '-'};
    if (*p == '-' || *p == '+') {
        p++;
    }
    int digits = 0, significant = 0;
    bool point = false;
    for (; p < end; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*p)) {
            break;
        }
        digits++;
        if (d.mantissa > 0 || *p != '0') {
            significant++;
        }
        if (significant <= MANTISSA_DIGITS) {
            d.mantissa = d.mantissa * 10 + (uint64_t)(*p - '0');
            d.exponent -= point ? 1 : 0;
        } else {
            d.cut = d.cut || *p != '0';
            d.exponent += point ? 0 : 1;
        }
    }
    if (digits == 0) {
        return BRINK_E_SYNTAX;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = read_exponent(p + 1, end, &d.exponent);
    }
    if (p != end) {
        return BRINK_E_SYNTAX;
    }
    return convert(&d, ret_value) ? BRINK_OK : parse_slowly(t, ret_value);
}

/* The digits from p on, as many as there are; more than 19 make nonsense of *value. */
static inline const char *take_digits(const char *p, const char *end, uint64_t *value)
{
    uint64_t v = *value;
    for (; p < end && is_digit(*p); p++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *value = v;
    return p;
}

/* The number in t, which has JSON's form, for what the scan is not sure of. */
static size_t scan_slowly(struct text t, double *ret_value)
{
    enum brink_status status = number_parse(t, ret_value);
    if (status == BRINK_E_RANGE) {
        *ret_value = *t.p == '-' ? -(double)INFINITY : (double)INFINITY;
    } else if (status != BRINK_OK) {
        return 0; /* longer than it takes */
    }
    return t.n;
}

/* Any number of digits. Apart (GCC's and clang's word), so that the other need not save
 * what this one needs. */
static __attribute__((noinline)) size_t scan_long(struct text t, double *ret_value)
{
    const char *const end = t.p + t.n, *from = t.p;
    struct decimal d = {.negative = *from == '-'};
    from += d.negative;
    const char *p = take_digits(from, end, &d.mantissa), *point = NULL;
    if (p == from) {
        return 0;
    }
    if (*from == '0' && p > from + 1) {
        p = from + 1; /* JSON has no leading zeros: it ends here */
        d.mantissa = 0;
    }
    if (p < end && *p == '.') {
        point = p++;
        p = take_digits(p, end, &d.mantissa);
        if (p == point + 1) {
            return 0;
        }
        d.exponent = -(int)(p - point - 1);
    }
    bool many = p - from > MANTISSA_DIGITS;
    if (p < end && (*p | 0x20) == 'e') {
        p = read_exponent(p + 1, end, &d.exponent);
        if (!p) {
            return 0;
        }
    }
    size_t n = (size_t)(p - t.p);
    return !many && convert(&d, ret_value)
               ? n
               : scan_slowly((struct text){t.p, n}, ret_value);
}

/* Eight digits from 0 to 9, the first in the lowest byte. */
static uint32_t eight_digits(uint64_t w)
{
    w = (w * 10 + (w >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    w = (w * 100 + (w >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(w * 10000 + (w >> 32));
}

static unsigned char byte_at(uint64_t w, size_t i)
{
    return (unsigned char)(w >> 8 * i);
}

/* What sensors send, "21.37" or "412": at most seven digits, perhaps a point between
 * them, and behind them something else (a 0 where the text ends), in eight bytes.
 * Returns the length, 0: it is not so simple. */
static inline size_t scan_short(uint64_t bytes, double *ret_value)
{
    uint64_t digits = bytes ^ '0' * WORD_ONES;
    /* Above 9, or above 0x7f to begin with. */
    uint64_t others = ((digits & ~WORD_HIGHS) + (0x80 - 10) * WORD_ONES) | digits;
    others &= WORD_HIGHS;
    if (!others) {
        return 0;
    }
    size_t whole = word_first(others), n = whole, decimals = 0;
    if (whole == 0 || (whole > 1 && byte_at(bytes, 0) == '0')) {
        return 0;
    }
    if (byte_at(bytes, whole) == '.') {
        others &= others - 1;
        if (!others) {
            return 0;
        }
        n = word_first(others);
        decimals = n - whole - 1;
        if (decimals == 0) {
            return 0;
        }
        uint64_t before = (UINT64_C(1) << 8 * whole) - 1;
        digits = (digits & before) | (digits >> 8 & ~before); /* the point goes */
    }
    if ((byte_at(bytes, n) | 0x20) == 'e') {
        return 0;
    }
    /* The last one to the highest byte; zeros come before the first. */
    digits <<= 8 * (WORD_BYTES - whole - decimals);
    *ret_value = eight_digits(digits) / powers[decimals];
    return n;
}

size_t number_scan(struct text t, double *ret_value)
{
    if (t.n == 0) {
        return 0;
    }
    bool negative = *t.p == '-';
    const char *p = t.p + negative;
    size_t n = t.n - negative;
    n = scan_short(n < WORD_BYTES ? word_load_short(p, n) : word_load(p), ret_value);
    if (n == 0) {
        return scan_long(t, ret_value);
    }
    *ret_value = negative ? -*ret_value : *ret_value;
    return n + negative;
}

enum brink_status number_parse_u64(struct text t, uint64_t *ret_value)
{
    uint64_t value = 0;
    bool over = false;
    if (t.n == 0) {
        return BRINK_E_SYNTAX;
    }
    for (size_t i = 0; i < t.n; i++) {
        if (!is_digit(t.p[i])) {
            return BRINK_E_SYNTAX;
        }
        uint64_t digit = (uint64_t)(t.p[i] - '0');
        over = over || value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (over) {
        return BRINK_E_RANGE;
    }
    *ret_value = value;
    return BRINK_OK;
}

/* value with at least min_digits digits; returns their count. */
static size_t put_integer(char *out, uint64_t value, size_t min_digits)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n < min_digits) {
        digits[n++] = '0';
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = digits[n - 1 - i];
    }
    return n;
}

/* whole.fraction, the fraction being `decimals` digits, ".0" when it has none. */
static size_t put_fixed(char *out, uint64_t whole, uint64_t fraction, size_t decimals)
{
    size_t n = put_integer(out, whole, 1);
    out[n++] = '.';
    n += put_integer(out + n, fraction, decimals ? decimals : 1);
    return n;
}

/* Python's layout: fixed from 1e-4 to below 1e16, otherwise with an exponent. */
static size_t put_digits(char *out, const char *digits, size_t count, int point)
{
    size_t n = 0;
    if (point > -4 && point <= 0) {
        out[n++] = '0';
        out[n++] = '.';
        for (int i = point; i < 0; i++) {
            out[n++] = '0';
        }
        memcpy(out + n, digits, count);
        return n + count;
    }
    if (point > 0 && point <= 16) {
        for (size_t i = 0; i < count || i < (size_t)point; i++) {
            if (i == (size_t)point) {
                out[n++] = '.';
            }
            out[n++] = i < count ? digits[i] : '0';
        }
        if (count <= (size_t)point) {
            out[n++] = '.';
            out[n++] = '0';
        }
        return n;
    }
    out[n++] = digits[0];
    if (count > 1) {
        out[n++] = '.';
        memcpy(out + n, digits + 1, count - 1);
        n += count - 1;
    }
    out[n++] = 'e';
    int exponent = point - 1;
    out[n++] = exponent < 0 ? '-' : '+';
    return n + put_integer(out + n, (uint64_t)(exponent < 0 ? -exponent : exponent), 2);
}

size_t number_print(double v, char out[NUMBER_BYTES])
{
    size_t n = 0;
    if (signbit(v)) {
        out[n++] = '-';
        v = -v;
    }
    if (v == 0) {
        memcpy(out + n, "0.0", 4);
        return n + 3;
    }
    /* No two decimals of 15 digits read as the same double: the first number of decimals
     * that reads back is the shortest text. */
    if (v >= 1e-4 && v < powers[DIGITS_UNIQUE]) {
        for (size_t decimals = 0; decimals <= FAST_DECIMALS; decimals++) {
            double scaled = v * powers[decimals];
            if (scaled >= powers[DIGITS_UNIQUE]) {
                break;
            }
            uint64_t rounded = (uint64_t)(scaled + 0.5);
            if ((double)rounded / powers[decimals] == v) {
                uint64_t unit = (uint64_t)powers[decimals];
                n += put_fixed(out + n, rounded / unit, rounded % unit, decimals);
                out[n] = '\0';
                return n;
            }
        }
    }
    char digits[DIGITS_MAX];
    int point;
    size_t count = digits_shortest(v, digits, &point);
    n += put_digits(out + n, digits, count, point);
    out[n] = '\0';
    return n;
}

size_t number_print_plain(double v, char out[NUMBER_BYTES])
{
    size_t n = number_print(v, out);
    if (fabs(v) < powers[15] && n > 2 && out[n - 1] == '0' && out[n - 2] == '.') {
        n -= 2;
        out[n] = '\0';
    }
    return n;
}

size_t number_print_seconds(int64_t us, char out[NUMBER_BYTES])
{
    uint64_t a = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    if (a >= (uint64_t)SECONDS_EXACT_US || (a > 0 && a < 100)) { /* 1e-4: an exponent */
        return number_print((double)us / 1e6, out);
    }
    size_t n = 0;
    if (us < 0) {
        out[n++] = '-';
    }
    n += put_fixed(out + n, a / US_PER_SECOND, a % US_PER_SECOND, 6);
    while (out[n - 1] == '0' && out[n - 2] != '.') {
        n--;
    }
    out[n] = '\0';
    return n;
}

size_t number_print_int(int64_t v, char out[NUMBER_BYTES])
{
    size_t n = 0;
    if (v < 0) {
        out[n++] = '-';
    }
    n += put_integer(out + n, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 1);
    out[n] = '\0';
    return n;
}

/* To nearest, halves away from zero; exact, which adding 0.5 is not. */
static int64_t round_whole(double v)
{
    int64_t whole = (int64_t)v;
    double rest = v - (double)whole;
    return whole + (rest >= 0.5) - (rest <= -0.5);
}

int64_t number_seconds_to_us(double v)
{
    /* Apart, since the product of a stamp and 1e6 has no bits left for the rounding. */
    int64_t whole = (int64_t)v;
    return whole * US_PER_SECOND + round_whole((v - (double)whole) * 1e6);
}

static const struct unit {
    const char *name;
    int64_t us;
} units[] = {
    {"d", 86400 * US_PER_SECOND},
    {"h", 3600 * US_PER_SECOND},
    {"m", 60 * US_PER_SECOND},
    {"s", US_PER_SECOND},
    {"ms", 1000},
};
#define UNITS (sizeof units / sizeof units[0])

enum brink_status number_parse_duration(struct text t, int64_t *ret_us)
{
    struct text number = t;
    while (number.n > 0 && number.p[number.n - 1] >= 'a' &&
           number.p[number.n - 1] <= 'z') {
        number.n--;
    }
    struct text name = {number.p ? number.p + number.n : NULL, t.n - number.n};
    int64_t unit_us = name.n == 0 ? US_PER_SECOND : 0;
    for (size_t i = 0; i < UNITS; i++) {
        if (text_equal(name, text_of(units[i].name))) {
            unit_us = units[i].us;
        }
    }
    if (unit_us == 0) {
        return BRINK_E_SYNTAX;
    }
    double value = 0;
    enum brink_status status = number_parse(number, &value);
    if (status) {
        return status;
    }
    double us = value * (double)unit_us;
    if (us < 0 || us > (double)DURATION_MAX_US) {
        return BRINK_E_RANGE;
    }
    *ret_us = round_whole(us);
    return BRINK_OK;
}

size_t number_print_duration(int64_t us, char out[NUMBER_BYTES])
{
    size_t n = 0;
    uint64_t a = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    if (us < 0) {
        out[n++] = '-';
    }
    for (size_t i = 0; i < UNITS; i++) {
        uint64_t unit_us = (uint64_t)units[i].us;
        if (a % unit_us == 0 && (a > 0 || unit_us == (uint64_t)US_PER_SECOND)) {
            n += put_integer(out + n, a / unit_us, 1);
            memcpy(out + n, units[i].name, strlen(units[i].name) + 1);
            return n + strlen(units[i].name);
        }
    }
    n += put_fixed(out + n, a / US_PER_SECOND, a % US_PER_SECOND, 6);
    while (out[n - 1] == '0') {
        n--;
    }
    out[n++] = 's';
    out[n] = '\0';
    return n;
}
