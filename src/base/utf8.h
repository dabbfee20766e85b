/* One character of UTF-8, strictly: overlong forms, surrogates and anything above
 * U+10FFFF are ill-formed. */
#ifndef BRINK_BASE_UTF8_H
#define BRINK_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length of the character that p begins with (1 to 4), or 0 when the n bytes do not
 * begin with a well-formed one; n >= 1. */
static inline size_t utf8_decode(const char *p, size_t n, uint32_t *ret_char)
{
    const unsigned char *b = (const unsigned char *)p;
    uint32_t c = b[0];
    if (c < 0x80) {
        *ret_char = c;
        return 1;
    }
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || length > n) {
        return 0;
    }
    c &= 0xffU >> (length + 1);
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (b[i] & 0x3fU);
    }
    if ((length == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
        (length == 4 && (c < 0x10000 || c > 0x10ffff))) {
        return 0;
    }
    *ret_char = c;
    return length;
}

/* C0, DEL and C1: what terminals act on and MQTT servers may refuse. */
static inline int utf8_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

#endif
