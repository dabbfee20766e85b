#include "decode/grammar.h"

#include "decode/lexeme.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One or more. */
static const char *skip_digits(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p > from ? p : NULL;
}

static const char *skip_number(const char *p, const char *end)
{
    const char *from = p;
    p += p < end && *p == '-';
    p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
    if (p && p < end && *p == '.') {
        p = skip_digits(p + 1, end);
    }
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        p = skip_digits(p, end);
    }
    return p && p - from <= JSON_NUMBER_BYTES_MAX ? p : NULL;
}

static const char *skip_hex4(const char *p, const char *end, unsigned *ret_unit)
{
    if (end - p < 4) {
        return NULL;
    }
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        char d = *p++;
        unsigned lower = (unsigned char)d | 0x20u;
        if (is_digit(d)) {
            unit = unit * 16 + (unsigned)(d - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            unit = unit * 16 + (lower - 'a' + 10);
        } else {
            return NULL;
        }
    }
    *ret_unit = unit;
    return p;
}

const char *json_escape(const char *p, const char *end)
{
    if (p == end) {
        return NULL;
    }
    if (*p != 'u') {
        return memchr("\"\\/bfnrt", *p, 8) ? p + 1 : NULL;
    }
    unsigned unit, low;
    p = skip_hex4(p + 1, end, &unit);
    if (!p || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return NULL;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        p = json_word(p, end, TEXT("\\u"));
        p = p ? skip_hex4(p, end, &low) : NULL;
        return p && low >= 0xdc00 && low <= 0xdfff ? p : NULL;
    }
    return p;
}

static const char *skip_string(const char *p, const char *end, unsigned *seen)
{
    if (p == end || *p != '"') {
        return NULL;
    }
    p = json_string(p + 1, end, seen);
    return p ? p + 1 : NULL;
}

static const char *skip_scalar(const char *p, const char *end, unsigned *seen)
{
    switch (p < end ? *p : '\0') {
    case '"':
        return skip_string(p, end, seen);
    case 't':
        return json_word(p, end, TEXT("true"));
    case 'f':
        return json_word(p, end, TEXT("false"));
    case 'n':
        return json_word(p, end, TEXT("null"));
    default:
        return skip_number(p, end);
    }
}

/* "name": of an object's member, and the spaces around. */
static const char *skip_name(const char *p, const char *end, unsigned *seen)
{
    p = skip_string(json_spaces(p, end), end, seen);
    p = p ? json_spaces(p, end) : NULL;
    return p && p < end && *p == ':' ? json_spaces(p + 1, end) : NULL;
}

/* A loop with its own small stack: nothing that is sent can make it deeper. */
const char *json_value(const char *p, const char *end, size_t depth, unsigned *seen)
{
    char closing[JSON_DEPTH_MAX];
    const size_t outside = depth;
    for (;;) {
        if (p < end && (*p == '{' || *p == '[')) {
            if (depth == JSON_DEPTH_MAX) {
                return NULL;
            }
            bool object = *p == '{';
            closing[depth++] = object ? '}' : ']';
            p = json_spaces(p + 1, end);
            if (p == end || *p != closing[depth - 1]) {
                p = object ? skip_name(p, end, seen) : p;
                if (!p) {
                    return NULL;
                }
                continue;
            }
        } else {
            p = skip_scalar(p, end, seen);
            if (!p) {
                return NULL;
            }
        }
        /* A value has ended, or an empty array or object is about to. */
        for (bool more = false; !more;) {
            if (depth == outside) {
                return p;
            }
            p = json_spaces(p, end);
            if (p == end) {
                return NULL;
            }
            if (*p == closing[depth - 1]) {
                depth--;
                p++;
            } else if (*p == ',') {
                p = json_spaces(p + 1, end);
                p = closing[depth - 1] == '}' ? skip_name(p, end, seen) : p;
                more = true;
            } else {
                return NULL;
            }
            if (!p) {
                return NULL;
            }
        }
    }
}

bool json_is_valid(struct text t)
{
    if (t.n == 0) {
        return false;
    }
    unsigned seen = 0;
    const char *end = t.p + t.n;
    const char *p = json_value(json_spaces(t.p, end), end, 0, &seen);
    /* Outside of strings only ASCII was let pass. */
    return p && json_spaces(p, end) == end &&
           (!(seen & JSON_SEEN_HIGH) || text_is_utf8(t));
}

struct text json_next_value(struct text t)
{
    unsigned seen = 0;
    const char *end = t.p + t.n, *from = json_spaces(t.p, end);
    if (from < end && *from == ',') {
        from = json_spaces(from + 1, end);
    }
    const char *p = json_value(from, end, 0, &seen); /* valid, as was asked for */
    return (struct text){from, p ? (size_t)(p - from) : 0};
}

struct text json_number_at(struct text value, size_t n)
{
    unsigned seen = 0;
    const char *p = value.p, *end = value.p + value.n;
    while (p && p < end) {
        const char *from = p;
        if (*from == '"') {
            p = skip_string(p, end, &seen);
        } else if (*from == '-' || is_digit(*from)) {
            p = skip_number(p, end);
            if (p && n-- == 0) {
                return (struct text){from, (size_t)(p - from)};
            }
        } else {
            p++;
        }
    }
    return (struct text){NULL, 0};
}
