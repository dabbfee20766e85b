/* Bytes that grow. A failed allocation is remembered: further appends do nothing and
 * buffer_ok() says so, so that a writer checks once, at its end. */
#ifndef BRINK_BASE_BUFFER_H
#define BRINK_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct buffer {
    char *p; /* NUL-terminated whenever n > 0 or buffer_cstr() was called */
    size_t n;
    size_t cap;
    bool failed;
};

void buffer_finish(
    struct buffer *b); /* frees; a zeroed or finished buffer is empty and usable */
void buffer_clear(struct buffer *b); /* n = 0, keeps the memory, forgets a failure */
bool buffer_ok(const struct buffer *b);
void buffer_put(struct buffer *b, const void *bytes, size_t n);
void buffer_text(struct buffer *b, struct text t);
void buffer_cstring(struct buffer *b, const char *s);
void buffer_char(struct buffer *b, char c);
void buffer_int(struct buffer *b, int64_t v); /* in decimal; far quicker than a format */
void buffer_format(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* As a JSON string, in quotes. What is no UTF-8 stays as it is. */
void buffer_json_string(struct buffer *b, struct text t);
/* Makes room for n more bytes and returns where they go, or NULL; then buffer_advance().
 */
char *buffer_reserve(struct buffer *b, size_t n);
void buffer_advance(struct buffer *b, size_t n);
const char *buffer_cstr(struct buffer *b); /* "" when empty; never NULL */
static inline struct text buffer_view(const struct buffer *b)
{
    return (struct text){b->p, b->n};
}

#endif
