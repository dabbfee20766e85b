#include "base/fields.h"

#include <stdlib.h>

#include "base/number.h"

void fields_escape(struct buffer *out, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *plain = s; /* what stands as it is and is not yet put begins here */
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == '%' || c == '=' || c == '@' || c == 0x7f) {
            const char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            buffer_put(out, plain, (size_t)(s - plain));
            buffer_put(out, escape, sizeof escape);
            plain = s + 1;
        }
    }
    buffer_put(out, plain, (size_t)(s - plain));
}

static void put_key(struct buffer *out, const char *key)
{
    buffer_char(out, ' ');
    buffer_cstring(out, key);
    buffer_char(out, '=');
}

void fields_put_int(struct buffer *out, const char *key, int64_t v)
{
    put_key(out, key);
    buffer_int(out, v);
}

void fields_put_text(struct buffer *out, const char *key, const char *s)
{
    if (s) {
        put_key(out, key);
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
