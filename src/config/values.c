#include "config/values.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/number.h"

#define EXACT_DECIMALS_MAX 9 /* with more, steps are added as they are */
#define EXACT_MAX 9007199254740992.0

struct cursor {
    const char *begin, *p, *end;
    const char *why;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct cursor *c)
{
    return c->p < c->end ? *c->p : '\0';
}

static size_t skip_digits(struct cursor *c)
{
    const char *from = c->p;
    while (is_digit(peek(c))) {
        c->p++;
    }
    return (size_t)(c->p - from);
}

/* An exponent, if a whole one stands there: `1e-3`. */
static void skip_exponent(struct cursor *c)
{
    const char *from = c->p;
    if (peek(c) != 'e' && peek(c) != 'E') {
        return;
    }
    c->p++;
    if (peek(c) == '+' || peek(c) == '-') {
        c->p++;
    }
    if (skip_digits(c) == 0) {
        c->p = from;
    }
}

/* A number without its sign. *ret_decimals grows to what it has behind the point, or
 * beyond EXACT_DECIMALS_MAX when it has an exponent. */
static enum brink_status read_number(struct cursor *c, double *ret_value,
                                     unsigned *ret_decimals)
{
    const char *from = c->p;
    size_t decimals = 0;
    size_t n = skip_digits(c);
    if (peek(c) == '.') {
        c->p++;
        decimals = skip_digits(c);
    }
    if (n + decimals == 0) {
        c->p = from;
        c->why = "a number is missing here";
        return BRINK_E_SYNTAX;
    }
    const char *mantissa = c->p;
    skip_exponent(c);
    decimals = c->p > mantissa || decimals > EXACT_DECIMALS_MAX ? EXACT_DECIMALS_MAX + 1
                                                                : decimals;
    *ret_decimals = decimals > *ret_decimals ? (unsigned)decimals : *ret_decimals;
    if (number_parse((struct text){from, (size_t)(c->p - from)}, ret_value) != BRINK_OK) {
        c->p = from;
        c->why = "this number is too large, or too long";
        return BRINK_E_RANGE;
    }
    return BRINK_OK;
}

static enum brink_status read_count(struct cursor *c, uint32_t *ret_n)
{
    const char *from = c->p;
    uint64_t n = 0;
    size_t digits = skip_digits(c);
    enum brink_status status =
        digits > 0 ? number_parse_u64((struct text){from, digits}, &n) : BRINK_E_SYNTAX;
    if (status == BRINK_OK && n >= 1 && n <= VALUES_MAX) {
        *ret_n = (uint32_t)n;
        return BRINK_OK;
    }
    c->p = from;
    c->why = status == BRINK_E_SYNTAX ? "behind `x` belongs how often, as in 20x5"
                                      : "this count must be from 1 to 1000000";
    return status == BRINK_E_SYNTAX ? BRINK_E_SYNTAX : BRINK_E_RANGE;
}

static enum brink_status read_item(struct cursor *c, struct values_item *item)
{
    enum brink_status status = BRINK_OK;
    bool steps = false;
    *item = (struct values_item){.n = 1};
    if (peek(c) == '_') {
        item->missing = true;
        c->p++;
    } else {
        bool negative = peek(c) == '-';
        c->p += negative || peek(c) == '+';
        status = read_number(c, &item->first, &item->decimals);
        if (status) {
            return status;
        }
        item->first = negative ? -item->first : item->first;
        negative = peek(c) == '-';
        steps = negative || peek(c) == '+';
        if (steps) {
            c->p++;
            status = read_number(c, &item->step, &item->decimals);
            item->step = negative ? -item->step : item->step;
        }
    }
    if (status == BRINK_OK && peek(c) == 'x') {
        c->p++;
        status = read_count(c, &item->n);
    } else if (status == BRINK_OK && steps) {
        c->why = "a step needs a count behind it, as in 25+1x10";
        status = BRINK_E_SYNTAX;
    }
    if (status == BRINK_OK && c->p < c->end && !is_blank(*c->p)) {
        c->why =
            "items are numbers or _, such as 20 20x5 25+1x10 _x3, with blanks between";
        status = BRINK_E_SYNTAX;
    }
    if (status == BRINK_OK && !item->missing &&
        !isfinite(values_item_at(item, item->n - 1))) {
        c->why = "these steps lead beyond all numbers";
        status = BRINK_E_RANGE;
    }
    return status;
}

static enum brink_status add_item(struct values *v, size_t *cap, struct values_item item)
{
    if (v->n_items == *cap) {
        size_t more = *cap ? *cap * 2 : 8;
        struct values_item *items = realloc(v->items, more * sizeof *items);
        if (!items) {
            return BRINK_E_NOMEM;
        }
        v->items = items;
        *cap = more;
    }
    v->items[v->n_items++] = item;
    v->n += item.n;
    return BRINK_OK;
}

enum brink_status values_parse(struct text t, struct values *ret_values, size_t *ret_at,
                               const char **ret_why)
{
    struct cursor c = {t.p, t.p, t.p + t.n, NULL};
    struct values v = {0};
    size_t cap = 0;
    enum brink_status status = BRINK_OK;
    const char *from = c.p;
    while (status == BRINK_OK) {
        while (c.p < c.end && is_blank(*c.p)) {
            c.p++;
        }
        from = c.p;
        if (c.p == c.end) {
            break;
        }
        struct values_item item;
        status = read_item(&c, &item);
        if (status == BRINK_OK &&
            (v.n + item.n > VALUES_MAX || v.n_items == VALUES_ITEMS_MAX)) {
            c.why = "this makes more than 1000000 readings, or 100000 items";
            c.p = from;
            status = BRINK_E_LIMIT;
        } else if (status == BRINK_OK) {
            status = add_item(&v, &cap, item);
        }
    }
    if (status == BRINK_OK && v.n == 0) {
        c.why = "there is no reading in it";
        c.p = c.begin;
        status = BRINK_E_SYNTAX;
    }
    if (status) {
        values_finish(&v);
        if (status != BRINK_E_NOMEM) {
            *ret_at = (size_t)(c.p - c.begin);
            *ret_why = c.why;
        }
        return status;
    }
    *ret_values = v;
    return BRINK_OK;
}

void values_finish(struct values *v)
{
    free(v->items);
    *v = (struct values){0};
}

double values_item_at(const struct values_item *item, uint32_t k)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    static_assert(sizeof tens / sizeof *tens == EXACT_DECIMALS_MAX + 1, "one each");
    if (item->decimals <= EXACT_DECIMALS_MAX && k > 0) {
        /* Counted in units of the last decimal: whole numbers, of which the sum is exact.
         */
        double unit = tens[item->decimals];
        double units = round(item->first * unit) + (double)k * round(item->step * unit);
        if (fabs(units) < EXACT_MAX) {
            return units / unit;
        }
    }
    return item->first + (double)k * item->step;
}
