#include "decode/timestamp.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/calendar.h"
#include "base/number.h"
#include "base/word.h"

/* Bounds of SPEC 3.3: what a bare number counts. */
#define SECONDS_BELOW 1e11
#define MILLISECONDS_BELOW 1e14
#define MICROSECONDS_BELOW 1e17

/* The end of year 9999, where ISO 8601 with four digits ends too. */
#define LAST_US INT64_C(253402300799999999)

#define FRACTION_DIGITS 6

/* What is still to be read. */
struct cursor {
    const char *p, *end;
};

static bool skip(struct cursor *c, char what)
{
    if (c->p == c->end || *c->p != what) {
        return false;
    }
    c->p++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly n digits. */
static bool digits(struct cursor *c, int n, int *ret_value)
{
    if (c->end - c->p < n) {
        return false;
    }
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(c->p[i])) {
            return false;
        }
        value = value * 10 + (c->p[i] - '0');
    }
    c->p += n;
    *ret_value = value;
    return true;
}

/* YYYY-MM-DD or YYYYMMDD. */
static bool read_date(struct cursor *c, int64_t *ret_days)
{
    int year, month, day;
    if (!digits(c, 4, &year)) {
        return false;
    }
    bool extended = skip(c, '-');
    if (!digits(c, 2, &month) || (extended && !skip(c, '-')) || !digits(c, 2, &day) ||
        month < 1 || month > 12 || day < 1 || day > calendar_month_days(year, month)) {
        return false;
    }
    *ret_days = calendar_days(year, month, day);
    return true;
}

/* .digits or ,digits, if there; what is finer than a microsecond is cut. */
static bool read_fraction(struct cursor *c, int64_t *ret_us)
{
    *ret_us = 0;
    if (!skip(c, '.') && !skip(c, ',')) {
        return true;
    }
    int64_t us = 0;
    int n = 0;
    for (; c->p < c->end && is_digit(*c->p); c->p++, n++) {
        if (n < FRACTION_DIGITS) {
            us = us * 10 + (*c->p - '0');
        }
    }
    static const int unit_us[] = {100000, 10000, 1000, 100, 10, 1};
    us *= n > 0 && n < FRACTION_DIGITS ? unit_us[n - 1] : 1;
    *ret_us = us;
    return n > 0;
}

/* hh:mm[:ss[fraction]] or hhmm[ss[fraction]]; a second of 60 is the next minute's first.
 */
static bool read_time(struct cursor *c, int64_t *ret_us)
{
    int hour, minute, second = 0;
    int64_t fraction_us = 0;
    if (!digits(c, 2, &hour)) {
        return false;
    }
    bool extended = skip(c, ':');
    if (!digits(c, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    bool has_second = extended ? skip(c, ':') : c->p < c->end && is_digit(*c->p);
    if (has_second &&
        (!digits(c, 2, &second) || second > 60 || !read_fraction(c, &fraction_us))) {
        return false;
    }
    *ret_us = (((int64_t)hour * 60 + minute) * 60 + second) * US_PER_S + fraction_us;
    return true;
}

/* Z, +hh:mm, +hhmm, +hh, or nothing. */
static bool read_zone(struct cursor *c, int64_t *ret_us)
{
    *ret_us = 0;
    if (c->p == c->end || skip(c, 'Z') || skip(c, 'z')) {
        return true;
    }
    bool west = skip(c, '-');
    if (!west && !skip(c, '+')) {
        return false;
    }
    int hours, minutes = 0;
    if (!digits(c, 2, &hours)) {
        return false;
    }
    if (c->p < c->end) {
        (void)skip(c, ':'); /* either way is fine */
        if (!digits(c, 2, &minutes)) {
            return false;
        }
    }
    if (hours > 23 || minutes > 59) {
        return false;
    }
    int64_t us = ((int64_t)hours * 60 + minutes) * 60 * US_PER_S;
    *ret_us = west ? -us : us;
    return true;
}

/* --- the form that nearly every device sends: YYYY-MM-DDThh:mm:ss, at fixed places ---
 */

#define USUAL_BYTES (TIMESTAMP_MINUTE_BYTES + 3) /* and :ss */

/* Two digits; *odd becomes something but 0 where they are none. */
static inline int pair(const char *p, unsigned *odd)
{
    unsigned tens = (unsigned char)p[0] - (unsigned)'0';
    unsigned ones = (unsigned char)p[1] - (unsigned)'0';
    *odd |= (tens > 9) | (ones > 9);
    return (int)(tens * 10 + ones);
}

static bool read_minute(const char *p, int64_t *ret_us)
{
    if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':') {
        return false;
    }
    unsigned odd = 0;
    int year = pair(p, &odd) * 100 + pair(p + 2, &odd);
    int month = pair(p + 5, &odd), day = pair(p + 8, &odd);
    int hour = pair(p + 11, &odd), minute = pair(p + 14, &odd);
    if (odd || month < 1 || month > 12 || day < 1 ||
        day > calendar_month_days(year, month) || hour > 23 || minute > 59) {
        return false;
    }
    int64_t days = calendar_days(year, month, day);
    *ret_us = ((days * 24 + hour) * 60 + minute) * 60 * US_PER_S;
    return true;
}

static bool read_usual(struct text t, struct timestamp_memo *memo, int64_t *ret_us)
{
    unsigned odd = 0;
    if (t.n < USUAL_BYTES || t.p[TIMESTAMP_MINUTE_BYTES] != ':') {
        return false;
    }
    if (!memo->known || !word_same(t.p, memo->minute, TIMESTAMP_MINUTE_BYTES)) {
        memo->known = read_minute(t.p, &memo->us);
        memcpy(memo->minute, t.p, TIMESTAMP_MINUTE_BYTES);
    }
    int second = pair(t.p + TIMESTAMP_MINUTE_BYTES + 1, &odd);
    *ret_us = memo->us + second * US_PER_S;
    return memo->known && !odd && second <= 60;
}

/* --- all forms --- */

enum brink_status timestamp_parse(struct text t, struct wall *ret_at)
{
    struct timestamp_memo memo = {0};
    return timestamp_parse_near(t, &memo, ret_at);
}

enum brink_status timestamp_parse_near(struct text t, struct timestamp_memo *memo,
                                       struct wall *ret_at)
{
    struct cursor c = {t.p, t.p + t.n};
    int64_t days, time_us = 0, zone_us = 0, fraction_us;
    if (read_usual(t, memo, &time_us)) {
        c.p += USUAL_BYTES;
        if (!read_fraction(&c, &fraction_us) || !read_zone(&c, &zone_us) ||
            c.p != c.end) {
            return BRINK_E_SYNTAX;
        }
        ret_at->us = time_us + fraction_us - zone_us;
        return BRINK_OK;
    }
    if (t.n == 0 || !read_date(&c, &days)) {
        return BRINK_E_SYNTAX;
    }
    if (c.p < c.end) {
        if (!skip(&c, 'T') && !skip(&c, ' ') && !skip(&c, 't')) {
            return BRINK_E_SYNTAX;
        }
        if (!read_time(&c, &time_us) || !read_zone(&c, &zone_us) || c.p != c.end) {
            return BRINK_E_SYNTAX;
        }
    }
    ret_at->us = days * 86400 * US_PER_S + time_us - zone_us;
    return BRINK_OK;
}

enum brink_status timestamp_of_number(double v, struct wall *ret_at)
{
    double size = fabs(v);
    if (!(size < 1e21)) { /* far beyond any year 9999; also not a number */
        return BRINK_E_RANGE;
    }
    int64_t us;
    if (size < SECONDS_BELOW) {
        us = number_seconds_to_us(v);
    } else if (size < MILLISECONDS_BELOW) {
        /* Apart, since not every product is a double. */
        int64_t whole_ms = (int64_t)v;
        us = whole_ms * US_PER_MS + llround((v - (double)whole_ms) * 1e3);
    } else if (size < MICROSECONDS_BELOW) {
        us = llround(v);
    } else {
        us = llround(v / 1e3);
    }
    if (us > LAST_US || us < -LAST_US) {
        return BRINK_E_RANGE;
    }
    ret_at->us = us;
    return BRINK_OK;
}
