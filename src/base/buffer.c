#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"

#define FIRST_CAP 64

void buffer_finish(struct buffer *b)
{
    if (b) {
        free(b->p);
        *b = (struct buffer){0};
    }
}

void buffer_clear(struct buffer *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p) {
        b->p[0] = '\0';
    }
}

bool buffer_ok(const struct buffer *b)
{
    return !b->failed;
}

char *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->failed) {
        return NULL;
    }
    /* cap > n always leaves room for the NUL. */
    if (n < b->cap - b->n) {
        return b->p + b->n;
    }
    if (n > SIZE_MAX / 2 - b->n - 1) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need) {
        cap *= 2;
    }
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    b->p[b->n] = '\0';
    return b->p + b->n;
}

void buffer_advance(struct buffer *b, size_t n)
{
    if (n > 0) {
        b->n += n;
        b->p[b->n] = '\0';
    }
}

void buffer_put(struct buffer *b, const void *bytes, size_t n)
{
    if (n == 0) {
        return;
    }
    char *to = buffer_reserve(b, n);
    if (to) {
        memcpy(to, bytes, n);
        buffer_advance(b, n);
    }
}

void buffer_text(struct buffer *b, struct text t)
{
    buffer_put(b, t.p, t.n);
}

void buffer_cstring(struct buffer *b, const char *s)
{
    buffer_put(b, s, strlen(s));
}

void buffer_char(struct buffer *b, char c)
{
    buffer_put(b, &c, 1);
}

void buffer_int(struct buffer *b, int64_t v)
{
    char *to = buffer_reserve(b, NUMBER_BYTES);
    if (to) {
        buffer_advance(b, number_print_int(v, to));
    }
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else {
        char *to = buffer_reserve(b, (size_t)n);
        if (to) {
            (void)vsnprintf(to, (size_t)n + 1, format, again); /* measured above */
            buffer_advance(b, (size_t)n);
        }
    }
    va_end(again);
}

const char *buffer_cstr(struct buffer *b)
{
    return b->n > 0 ? b->p : "";
}

void buffer_json_string(struct buffer *b, struct text t)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0; /* what stands as it is and is not yet put begins here */
    buffer_char(b, '"');
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        buffer_put(b, t.p + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\') {
            const char escape[2] = {'\\', (char)c};
            buffer_put(b, escape, sizeof escape);
        } else {
            const char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buffer_put(b, escape, sizeof escape);
        }
    }
    if (t.n > plain) {
        buffer_put(b, t.p + plain, t.n - plain);
    }
    buffer_char(b, '"');
}
