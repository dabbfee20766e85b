#include "decode/grammar.h"

/* What is still to be read. Every step leaves p <= end. */
struct cursor {
    const char *p, *end;
    bool beyond_ascii; /* a string had a byte above 0x7f */
};

static bool at(const struct cursor *c, char what)
{
    return c->p < c->end && *c->p == what;
}

static bool skip(struct cursor *c, char what)
{
    if (!at(c, what)) {
        return false;
    }
    c->p++;
    return true;
}

static void skip_spaces(struct cursor *c)
{
    while (c->p < c->end &&
           (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t')) {
        c->p++;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One or more. */
static bool skip_digits(struct cursor *c)
{
    const char *from = c->p;
    while (c->p < c->end && is_digit(*c->p)) {
        c->p++;
    }
    return c->p > from;
}

static bool skip_number(struct cursor *c)
{
    const char *from = c->p;
    (void)skip(c, '-');
    if (!skip(c, '0') && !skip_digits(c)) {
        return false;
    }
    if (skip(c, '.') && !skip_digits(c)) {
        return false;
    }
    if (at(c, 'e') || at(c, 'E')) {
        c->p++;
        if (!skip(c, '+')) {
            (void)skip(c, '-');
        }
        if (!skip_digits(c)) {
            return false;
        }
    }
    return c->p - from <= JSON_NUMBER_BYTES_MAX;
}

static bool skip_word(struct cursor *c, struct text word)
{
    if ((size_t)(c->end - c->p) < word.n || memcmp(c->p, word.p, word.n) != 0) {
        return false;
    }
    c->p += word.n;
    return true;
}

static bool skip_hex4(struct cursor *c, unsigned *ret_unit)
{
    if (c->end - c->p < 4) {
        return false;
    }
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        char d = *c->p++;
        unsigned lower = (unsigned char)d | 0x20u;
        if (is_digit(d)) {
            unit = unit * 16 + (unsigned)(d - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            unit = unit * 16 + (lower - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret_unit = unit;
    return true;
}

/* Behind the backslash. */
static bool skip_escape(struct cursor *c)
{
    if (c->p == c->end) {
        return false;
    }
    char what = *c->p++;
    if (what != 'u') {
        return memchr("\"\\/bfnrt", what, 8) != NULL;
    }
    unsigned unit, low;
    if (!skip_hex4(c, &unit) || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return false;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        return skip(c, '\\') && skip(c, 'u') && skip_hex4(c, &low) && low >= 0xdc00 &&
               low <= 0xdfff;
    }
    return true;
}

static bool skip_string(struct cursor *c)
{
    if (!skip(c, '"')) {
        return false;
    }
    const char *p = c->p;
    while (p < c->end) {
        unsigned char b = (unsigned char)*p++;
        if (b >= 0x80) {
            c->beyond_ascii = true;
        } else if (b == '"') {
            c->p = p;
            return true;
        } else if (b < 0x20) {
            return false;
        } else if (b == '\\') {
            c->p = p;
            if (!skip_escape(c)) {
                return false;
            }
            p = c->p;
        }
    }
    return false;
}

static bool skip_scalar(struct cursor *c)
{
    if (c->p == c->end) {
        return false;
    }
    switch (*c->p) {
    case '"':
        return skip_string(c);
    case 't':
        return skip_word(c, TEXT("true"));
    case 'f':
        return skip_word(c, TEXT("false"));
    case 'n':
        return skip_word(c, TEXT("null"));
    default:
        return skip_number(c);
    }
}

/* "name": of an object's member. */
static bool skip_name(struct cursor *c)
{
    skip_spaces(c);
    if (!skip_string(c)) {
        return false;
    }
    skip_spaces(c);
    return skip(c, ':');
}

/* One value and the spaces before it. A loop with its own small stack: nothing that is
 * sent can make it deeper. */
static bool skip_value(struct cursor *c)
{
    char closing[JSON_DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        skip_spaces(c);
        if (at(c, '{') || at(c, '[')) {
            if (depth == JSON_DEPTH_MAX) {
                return false;
            }
            bool object = *c->p++ == '{';
            closing[depth++] = object ? '}' : ']';
            skip_spaces(c);
            if (!at(c, closing[depth - 1])) {
                if (object && !skip_name(c)) {
                    return false;
                }
                continue;
            }
        } else if (!skip_scalar(c)) {
            return false;
        }
        /* A value has ended, or an empty array or object is about to. */
        bool more = false;
        while (depth > 0 && !more) {
            skip_spaces(c);
            if (skip(c, closing[depth - 1])) {
                depth--;
            } else if (skip(c, ',') && (closing[depth - 1] == ']' || skip_name(c))) {
                more = true;
            } else {
                return false;
            }
        }
        if (!more) {
            return true;
        }
    }
}

bool json_is_valid(struct text t)
{
    struct cursor c = {.p = t.p, .end = t.p + t.n};
    if (t.n == 0 || !skip_value(&c)) {
        return false;
    }
    skip_spaces(&c);
    /* Outside of strings only ASCII was let pass. */
    return c.p == c.end && (!c.beyond_ascii || text_is_utf8(t));
}

struct text json_next_value(struct text t)
{
    struct cursor c = {.p = t.p, .end = t.p + t.n};
    skip_spaces(&c);
    if (skip(&c, ',')) {
        skip_spaces(&c);
    }
    const char *from = c.p;
    (void)skip_value(&c); /* valid, as was asked for */
    return (struct text){from, (size_t)(c.p - from)};
}

struct text json_number_at(struct text value, size_t n)
{
    struct cursor c = {.p = value.p, .end = value.p + value.n};
    while (c.p < c.end) {
        const char *from = c.p;
        if (*from == '"') {
            (void)skip_string(&c);
        } else if (*from == '-' || is_digit(*from)) {
            (void)skip_number(&c);
            if (n-- == 0) {
                return (struct text){from, (size_t)(c.p - from)};
            }
        } else {
            c.p++;
        }
    }
    return (struct text){NULL, 0};
}
