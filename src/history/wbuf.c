#include "history/wbuf.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/number.h"

/* Stamps of 1970 to 2200: each microsecond is a double of its own there, so that up to
 * six decimals are the shortest text. */
#define SECONDS_PLAIN_MAX UINT64_C(7258118400)
/* Decimals of so many digits are doubles of their own, each. */
#define DIGITS_UNIQUE 15
/* Beyond it a stamp has no whole microseconds in 64 bits. */
#define SECONDS_MAX 9e12

/* --- printing --- */

size_t wbuf_print_entry(struct point p, char out[WBUF_ENTRY_BYTES])
{
    size_t n = 0;
    out[n++] = '[';
    n += number_print_seconds(p.at.us, out + n);
    out[n++] = ',';
    n += number_print(p.value, out + n);
    out[n++] = ']';
    return n;
}

size_t wbuf_entry_bytes(struct point p)
{
    char text[WBUF_ENTRY_BYTES];
    return wbuf_print_entry(p, text);
}

size_t wbuf_offset(struct text t, size_t k)
{
    size_t at = 1;
    for (; k > 0 && at < t.n; k--) {
        const char *close = memchr(t.p + at, ']', t.n - at);
        if (!close) {
            return t.n;
        }
        at = (size_t)(close - t.p) + 2;
    }
    return at;
}

/* --- the canonical form, read in one pass; any doubt is left to the lenient reader ---
 */

struct scan {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct scan *s, char c)
{
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    return false;
}

/* A plain decimal, digits.digits, taken apart. */
struct decimal {
    bool negative;
    uint64_t digits; /* without the point */
    uint64_t whole;
    unsigned n;     /* digits in all */
    unsigned after; /* of these, behind the point */
};

/* False: not of this form, or not as short as it could be, or too long to tell. */
static bool plain_decimal(struct scan *s, struct decimal *ret)
{
    struct decimal d = {.negative = take(s, '-')};
    const char *start = s->at;
    while (s->at < s->end && is_digit(*s->at)) {
        d.whole = d.whole * 10 + (uint64_t)(*s->at++ - '0');
        if (s->at - start > 16) {
            return false;
        }
    }
    d.n = (unsigned)(s->at - start);
    if (d.n == 0 || (d.n > 1 && *start == '0') || !take(s, '.')) {
        return false;
    }
    d.digits = d.whole;
    const char *fraction = s->at;
    while (s->at < s->end && is_digit(*s->at)) {
        d.digits = d.digits * 10 + (uint64_t)(*s->at++ - '0');
        if (s->at - start > 18) {
            return false;
        }
    }
    d.after = (unsigned)(s->at - fraction);
    d.n += d.after;
    if (d.after == 0 || (d.after > 1 && s->at[-1] == '0') ||
        (s->at < s->end && (*s->at == 'e' || *s->at == 'E'))) {
        return false;
    }
    *ret = d;
    return true;
}

static struct text number_token(struct scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && (is_digit(*s->at) || *s->at == '-' || *s->at == '+' ||
                              *s->at == '.' || *s->at == 'e' || *s->at == 'E')) {
        s->at++;
    }
    return (struct text){start, (size_t)(s->at - start)};
}

static bool strict_stamp(struct scan *s, struct wall *ret)
{
    static const int64_t us_of[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    struct scan again = *s;
    struct decimal d;
    if (plain_decimal(s, &d) && !d.negative && d.after <= 6 && d.whole > 0 &&
        d.whole < SECONDS_PLAIN_MAX) {
        ret->us = (int64_t)d.digits * us_of[d.after];
        return true;
    }
    *s = again;
    struct text token = number_token(s);
    double seconds;
    if (number_parse(token, &seconds) != BRINK_OK || fabs(seconds) >= SECONDS_MAX) {
        return false;
    }
    char text[NUMBER_BYTES];
    ret->us = number_seconds_to_us(seconds);
    size_t n = number_print_seconds(ret->us, text);
    return text_equal(token, (struct text){text, n});
}

static bool strict_value(struct scan *s, double *ret)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    struct scan again = *s;
    struct decimal d;
    if (plain_decimal(s, &d) && d.n <= DIGITS_UNIQUE) {
        double v = (double)d.digits / powers[d.after];
        if (v == 0 ? d.after == 1 : v >= 1e-4) {
            *ret = d.negative ? -v : v;
            return true;
        }
    }
    *s = again;
    struct text token = number_token(s);
    char text[NUMBER_BYTES];
    if (number_parse(token, ret) != BRINK_OK) {
        return false;
    }
    size_t n = number_print(*ret, text);
    return text_equal(token, (struct text){text, n});
}

static bool is_duplicate(const struct points *a, struct point p)
{
    size_t look = a->n < POINTS_SAME_TIME_MAX ? a->n : POINTS_SAME_TIME_MAX;
    for (size_t i = 1; i <= look && a->p[a->n - i].at.us == p.at.us; i++) {
        if (a->p[a->n - i].value == p.value) {
            return true;
        }
    }
    return false;
}

/* E_SYNTAX: not the canonical form. */
static enum brink_status parse_strict(struct text t, struct points *out)
{
    struct scan s = {t.p, t.p + t.n};
    if (!take(&s, '[')) {
        return BRINK_E_SYNTAX;
    }
    do {
        struct point p;
        if (!take(&s, '[') || !strict_stamp(&s, &p.at) || !take(&s, ',') ||
            !strict_value(&s, &p.value) || !take(&s, ']')) {
            return BRINK_E_SYNTAX;
        }
        if (out->n > 0 && (p.at.us < out->p[out->n - 1].at.us || is_duplicate(out, p))) {
            return BRINK_E_SYNTAX;
        }
        enum brink_status status = points_put(out, p);
        if (status) {
            return status;
        }
    } while (take(&s, ','));
    return take(&s, ']') && s.at == s.end ? BRINK_OK : BRINK_E_SYNTAX;
}

/* --- any other form: JSON as Python's json.loads takes it --- */

static void skip_space(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) {
        s->at++;
    }
}

static bool take_word(struct scan *s, struct text word)
{
    if ((size_t)(s->end - s->at) < word.n || memcmp(s->at, word.p, word.n) != 0) {
        return false;
    }
    s->at += word.n;
    return true;
}

static bool skip_digits(struct scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && is_digit(*s->at)) {
        s->at++;
    }
    return s->at > start;
}

/* A JSON number, NaN or Infinity. *ret_finite: it has a value. */
static bool lenient_number(struct scan *s, double *ret, bool *ret_finite)
{
    const char *start = s->at;
    *ret_finite = false;
    if (take_word(s, TEXT("NaN"))) {
        return true;
    }
    (void)take(s, '-');
    if (take_word(s, TEXT("Infinity"))) {
        return true;
    }
    const char *digits = s->at;
    if (!skip_digits(s) || (*digits == '0' && s->at > digits + 1) ||
        (take(s, '.') && !skip_digits(s))) {
        return false;
    }
    if (take(s, 'e') || take(s, 'E')) {
        (void)(take(s, '-') || take(s, '+'));
        if (!skip_digits(s)) {
            return false;
        }
    }
    struct text token = {start, (size_t)(s->at - start)};
    *ret_finite = number_parse(token, ret) == BRINK_OK;
    return true;
}

static bool skip_string(struct scan *s)
{
    if (!take(s, '"')) {
        return false;
    }
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"') {
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        if (s->at == s->end) {
            return false;
        }
        c = (unsigned char)*s->at++;
        if (c == 'u') {
            for (int i = 0; i < 4; i++) {
                if (s->at == s->end || !strchr("0123456789abcdefABCDEF", *s->at) ||
                    *s->at == '\0') {
                    return false;
                }
                s->at++;
            }
        } else if (c == '\0' || !strchr("\"\\/bfnrt", c)) {
            return false;
        }
    }
    return false;
}

static bool skip_value(struct scan *s, unsigned depth);

static bool skip_container(struct scan *s, unsigned depth, bool object)
{
    char close = object ? '}' : ']';
    s->at++;
    skip_space(s);
    if (take(s, close)) {
        return true;
    }
    do {
        skip_space(s);
        if (object) {
            if (!skip_string(s)) {
                return false;
            }
            skip_space(s);
            if (!take(s, ':')) {
                return false;
            }
        }
        if (!skip_value(s, depth + 1)) {
            return false;
        }
        skip_space(s);
    } while (take(s, ','));
    return take(s, close);
}

/* Recursion is bounded by WBUF_DEPTH_MAX. */
static bool skip_value(struct scan *s, unsigned depth)
{
    skip_space(s);
    if (s->at == s->end || depth > WBUF_DEPTH_MAX) {
        return false;
    }
    double number;
    bool finite;
    switch (*s->at) {
    case '[':
        return skip_container(s, depth, false);
    case '{':
        return skip_container(s, depth, true);
    case '"':
        return skip_string(s);
    case 't':
        return take_word(s, TEXT("true"));
    case 'f':
        return take_word(s, TEXT("false"));
    case 'n':
        return take_word(s, TEXT("null"));
    default:
        return lenient_number(s, &number, &finite);
    }
}

/* One entry of the list. *ret_is_pair: it is two finite numbers. False: no JSON. */
static bool lenient_entry(struct scan *s, struct point *ret, bool *ret_is_pair)
{
    *ret_is_pair = false;
    skip_space(s);
    if (s->at == s->end || *s->at != '[') {
        return skip_value(s, 1);
    }
    s->at++;
    skip_space(s);
    if (take(s, ']')) {
        return true;
    }
    double pair[2] = {0, 0};
    size_t n = 0;
    bool usable = true;
    do {
        skip_space(s);
        bool number = s->at < s->end &&
                      (is_digit(*s->at) || strchr("-NI", *s->at) != NULL) &&
                      *s->at != '\0';
        double v = 0;
        bool finite = false;
        if (number ? !lenient_number(s, &v, &finite) : !skip_value(s, 2)) {
            return false;
        }
        usable = usable && finite;
        if (n < 2) {
            pair[n] = v;
        }
        n++;
        skip_space(s);
    } while (take(s, ','));
    if (!take(s, ']')) {
        return false;
    }
    if (usable && n == 2 && fabs(pair[0]) < SECONDS_MAX) {
        *ret = (struct point){{number_seconds_to_us(pair[0])}, pair[1]};
        *ret_is_pair = true;
    }
    return true;
}

/* E_SYNTAX: not a JSON list. */
static enum brink_status parse_lenient(struct text t, struct points *out)
{
    struct scan s = {t.p, t.p + t.n};
    skip_space(&s);
    if (!take(&s, '[')) {
        return BRINK_E_SYNTAX;
    }
    skip_space(&s);
    if (!take(&s, ']')) {
        do {
            struct point p;
            bool is_pair;
            if (!lenient_entry(&s, &p, &is_pair)) {
                return BRINK_E_SYNTAX;
            }
            enum brink_status status = is_pair ? points_put(out, p) : BRINK_OK;
            if (status) {
                return status;
            }
            skip_space(&s);
        } while (take(&s, ','));
        if (!take(&s, ']')) {
            return BRINK_E_SYNTAX;
        }
    }
    skip_space(&s);
    return s.at == s.end ? BRINK_OK : BRINK_E_SYNTAX;
}

static void drop_duplicates(struct points *a)
{
    struct points kept = {a->p, 0, a->cap};
    for (size_t i = 0; i < a->n; i++) {
        if (!is_duplicate(&kept, a->p[i])) {
            kept.p[kept.n++] = a->p[i];
        }
    }
    a->n = kept.n;
}

enum brink_status wbuf_parse(struct text t, struct points *out, enum wbuf_form *ret_form)
{
    if (t.n > WBUF_BYTES_MAX) {
        return BRINK_E_LIMIT;
    }
    enum brink_status status = parse_strict(t, out);
    if (status != BRINK_E_SYNTAX) {
        if (status == BRINK_OK) {
            *ret_form = WBUF_CANONICAL;
        }
        return status;
    }
    out->n = 0;
    status = parse_lenient(t, out);
    if (status == BRINK_E_SYNTAX) {
        out->n = 0;
        *ret_form = WBUF_NOT_A_LIST;
        return BRINK_OK;
    }
    if (status == BRINK_OK) {
        status = points_sort(out);
    }
    if (status == BRINK_OK) {
        drop_duplicates(out);
        *ret_form = WBUF_OTHER;
    }
    return status;
}
