#include "base/fields.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/number.h"

void fields_escape(struct buffer *out, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == '%' || c == '=' || c == '@' || c == 0x7f) {
            char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
            buffer_put(out, esc, 3);
        } else {
            buffer_char(out, *s);
        }
    }
}

void fields_put_int(struct buffer *out, const char *key, int64_t v)
{
    buffer_format(out, " %s=%" PRId64, key, v);
}

void fields_put_text(struct buffer *out, const char *key, const char *s)
{
    if (s) {
        buffer_format(out, " %s=", key);
        fields_escape(out, s);
    }
}

struct text fields_cut(struct text *rest, char at)
{
    const char *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    struct text head = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t skip = head.n + (end != NULL);
    rest->p += skip;
    rest->n -= skip;
    return head;
}

bool fields_next(struct text *rest, struct text *ret_key, struct text *ret_value)
{
    if (rest->n == 0) {
        return false;
    }
    *ret_value = fields_cut(rest, ' ');
    *ret_key = fields_cut(ret_value, '=');
    return true;
}

bool fields_int(struct text t, int64_t *ret)
{
    bool negative = t.n > 0 && t.p[0] == '-';
    uint64_t v;
    if (negative) {
        t.p++;
        t.n--;
    }
    if (number_parse_u64(t, &v) != BRINK_OK || v > (uint64_t)INT64_MAX) {
        return false;
    }
    *ret = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *fields_unescape(struct text t)
{
    char *s = malloc(t.n + 1);
    size_t n = 0;
    for (size_t i = 0; s && i < t.n; i++) {
        int high = t.p[i] == '%' && i + 2 < t.n ? hex_digit(t.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(t.p[i + 2]) : -1;
        if (low >= 0 && high * 16 + low != 0) {
            s[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            s[n++] = t.p[i];
        }
    }
    if (s) {
        s[n] = '\0';
    }
    return s;
}
