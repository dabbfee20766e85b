/* State as text: one line, a version, then space-separated key=value. Bytes that would
 * break it (space and below, `%` `=` `@`, DEL) are %XX in a text. It is stored outside of
 * the process: reading trusts nothing and leaves out what does not parse. */
#ifndef BRINK_BASE_FIELDS_H
#define BRINK_BASE_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* --- writing: " key=value" --- */
void fields_put_int(struct buffer *out, const char *key, int64_t v);
void fields_put_text(struct buffer *out, const char *key, const char *s); /* NULL: none */
void fields_escape(struct buffer *out, const char *s);

/* --- reading --- */
/* What stands before the first `at`, or all; *rest goes on behind it. */
struct text fields_cut(struct text *rest, char at);
/* Takes the next field off *rest; false: no more. */
bool fields_next(struct text *rest, struct text *ret_key, struct text *ret_value);
bool fields_int(struct text t, int64_t *ret);
char *fields_unescape(struct text t); /* free() it; NULL: out of memory */

#endif
