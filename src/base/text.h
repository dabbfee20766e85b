/* A view of bytes that somebody else owns: not NUL-terminated, may hold anything. */
#ifndef BRINK_BASE_TEXT_H
#define BRINK_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    const char *p;
    size_t n;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline struct text text_of(const char *s)
{
    return (struct text){s, s ? strlen(s) : 0};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* memcmp order, the shorter first among equals: <0, 0, >0. */
int text_compare(struct text a, struct text b);

/* ASCII only, no locale. */
bool text_equal_nocase(struct text a, struct text b);

/* A NUL-terminated copy (free() it), or NULL when memory is out. */
char *text_dup(struct text t);

/* Well-formed UTF-8 without NUL (SPEC 3.4)? Overlong forms and surrogates are not. */
bool text_is_utf8(struct text t);

/* Nothing but printable ASCII (0x20 to 0x7e)? Most names are, and then need no closer
 * look. */
bool text_is_plain(struct text t);

/* C0, DEL or C1, in what is known to be UTF-8? */
bool text_has_control(struct text t);

/* For logs and terminals: printable ASCII and well-formed UTF-8 above U+009F stay, all
 * else becomes \xNN (and \\ for a backslash); cut with "..." when it would not fit.
 * Always NUL-terminated; returns the bytes written without the NUL. out_bytes >= 8. */
size_t text_escape(struct text t, char *out, size_t out_bytes);

/* The candidate nearest to `wrong` by edit distance, if near enough to be meant, for
 * "did you mean"; NULL if none is. */
const char *text_nearest(struct text wrong, const char *const *candidates, size_t n);

#endif
