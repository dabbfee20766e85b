#include "base/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The longest number: 1e308 with all its digits, a point, decimals, a sign and `%`. */
#define DIGITS_BYTES (310 + FORMAT_PRECISION_MAX + 4)
#define PLAIN_DIGITS 9

/* --- bounded --- */

void bounded_put(struct bounded *out, struct text t)
{
    size_t n = t.n;
    if (out->cut || n == 0) {
        return;
    }
    if (n > out->cap - out->n) {
        out->cut = true;
        n = out->cap - out->n;
        while (n > 0 && ((unsigned char)t.p[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    memcpy(out->p + out->n, t.p, n);
    out->n += n;
}

static void put_run(struct bounded *out, char c, size_t n)
{
    char run[FORMAT_WIDTH_MAX];
    memset(run, c, n);
    bounded_put(out, (struct text){run, n});
}

/* --- reading a specification --- */

struct reader {
    struct text spec;
    size_t at;
    bool of_number;
    char *fault;
};

static char look(const struct reader *r)
{
    return r->at < r->spec.n ? r->spec.p[r->at] : '\0';
}

/* One of them, if it is next. */
static char one_of(struct reader *r, const char *chars)
{
    char c = look(r);
    if (c == '\0' || !strchr(chars, c)) {
        return '\0';
    }
    r->at++;
    return c;
}

static bool fail(struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->fault, FORMAT_FAULT_BYTES, format, args);
    va_end(args);
    return false;
}

/* Digits, if any are next; -1: none. */
static bool whole(struct reader *r, const char *what, int most, int *ret)
{
    size_t from = r->at;
    int v = 0;
    for (; look(r) >= '0' && look(r) <= '9'; r->at++) {
        v = v > most ? v : v * 10 + (look(r) - '0');
    }
    *ret = r->at > from ? v : -1;
    if (v > most) {
        r->at = from;
        return fail(r, "a %s is at most %d", what, most);
    }
    return true;
}

static bool read_type(struct reader *r, struct format *f)
{
    static const char numbers[] = "feg%d", texts[] = "s";
    char c = look(r);
    if (c == '\0') {
        return true;
    }
    if (r->at + 1 == r->spec.n && strchr(r->of_number ? texts : numbers, c)) {
        return fail(r, "format `%c` is for %s", c, r->of_number ? "texts" : "numbers");
    }
    if (r->at + 1 != r->spec.n || !strchr(r->of_number ? numbers : texts, c)) {
        return fail(r, "a format is %s",
                    r->of_number ? "[<>^][+- ][0][width][.digits][f e g d or %]"
                                 : "[<>^][width][.characters][s]");
    }
    if (c == 'd' && f->precision >= 0) {
        return fail(r, "format `d` has no digits behind a point; `f` has");
    }
    f->type = c;
    r->at++;
    return true;
}

bool format_parse(struct text spec, bool of_number, struct format *ret, size_t *ret_at,
                  char fault[FORMAT_FAULT_BYTES])
{
    struct reader r = {spec, 0, of_number, fault};
    struct format f = FORMAT_PLAIN;
    int width = -1, precision = -1;
    bool ok = true;
    f.align = one_of(&r, "<>^");
    char sign = look(&r);
    if (one_of(&r, "+- ")) {
        f.sign = sign == '-' ? '\0' : sign;
        if (!of_number) {
            r.at--;
            ok = fail(&r, "a sign is for numbers");
        }
    }
    if (ok && (f.zeros = one_of(&r, "0") != '\0') && (!of_number || f.align)) {
        r.at--;
        ok =
            fail(&r, of_number ? "`0` fills up behind the sign; no alignment goes with it"
                               : "`0` before a width is for numbers");
    }
    ok = ok && whole(&r, "width", FORMAT_WIDTH_MAX, &width);
    if (ok && one_of(&r, ".")) {
        ok = whole(&r, "precision", FORMAT_PRECISION_MAX, &precision);
        if (ok && precision < 0) {
            ok = fail(&r, "a number stands behind the point");
        }
    }
    f.width = (uint8_t)(width > 0 ? width : 0);
    f.precision = (int8_t)precision;
    ok = ok && read_type(&r, &f);
    *ret_at = r.at;
    if (ok) {
        *ret = f;
    }
    return ok;
}

/* --- writing --- */

static void put_aligned(const struct format *f, char usual, struct text sign,
                        struct text t, size_t characters, struct bounded *out)
{
    size_t space = f->width > characters ? f->width - characters : 0;
    char align = f->align ? f->align : usual;
    size_t before = align == '>' ? space : align == '^' ? space / 2 : 0;
    put_run(out, ' ', f->zeros ? 0 : before);
    bounded_put(out, sign);
    put_run(out, '0', f->zeros ? space : 0);
    bounded_put(out, t);
    put_run(out, ' ', f->zeros ? 0 : space - before);
}

/* Without its sign. */
static size_t digits_of(const struct format *f, double v, char out[DIGITS_BYTES])
{
    int precision = f->precision < 0 ? 6 : f->precision, n;
    switch (f->type) {
    case 'd':
        n = snprintf(out, DIGITS_BYTES, "%.0f", v);
        break;
    case 'e':
        n = snprintf(out, DIGITS_BYTES, "%.*e", precision, v);
        break;
    case 'f':
        n = snprintf(out, DIGITS_BYTES, "%.*f", precision, v);
        break;
    case '%':
        n = snprintf(out, DIGITS_BYTES, "%.*f%%", precision, v * 100);
        break;
    case 'g':
        n = snprintf(out, DIGITS_BYTES, "%.*g", precision, v);
        break;
    default:
        /* For people: an average's last bits say nothing. */
        n = snprintf(out, DIGITS_BYTES, "%.*g",
                     f->precision < 0 ? PLAIN_DIGITS : f->precision, v);
    }
    return (size_t)n;
}

void format_number(const struct format *f, double value, struct bounded *out)
{
    char digits[DIGITS_BYTES];
    size_t n = digits_of(f, fabs(value), digits);
    bool negative = signbit(value) && !(f->type == 'd' && digits[0] == '0');
    const char sign[2] = {negative ? '-' : f->sign, '\0'};
    put_aligned(f, '>', text_of(sign), (struct text){digits, n}, n + strlen(sign), out);
}

void format_text(const struct format *f, struct text value, struct bounded *out)
{
    size_t n = 0, characters = 0;
    while (n < value.n && (f->precision < 0 || characters < (size_t)f->precision)) {
        uint32_t c;
        size_t length = utf8_decode(value.p + n, value.n - n, &c);
        n += length ? length : 1;
        characters++;
    }
    put_aligned(f, '<', (struct text){0}, (struct text){value.p, n}, characters, out);
}
