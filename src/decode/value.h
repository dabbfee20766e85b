/* One value of a payload: reading a scalar, and keeping what a pointer names. Private to
 * decode/. */
#ifndef BRINK_DECODE_VALUE_H
#define BRINK_DECODE_VALUE_H

#include "base/number.h"
#include "decode/grammar.h"
#include "decode/json.h"
#include "decode/lexeme.h"

/* A string, number or word at p, which is before end; returns the place behind it, NULL:
 * none of them. A string's text is as written: *seen says whether something in it is
 * escaped. A number has its text, too. */
static inline const char *value_read(const char *p, const char *end,
                                     struct json_value *ret_value, unsigned *seen)
{
    if (*p == '"') {
        const char *from = p + 1;
        ret_value->kind = JSON_STRING;
        p = json_string(from, end, seen);
        ret_value->text = (struct text){from, p ? (size_t)(p - from) : 0};
        return p ? p + 1 : NULL;
    }
    if (*p >= 'a') {
        ret_value->kind = *p == 'n' ? JSON_NULL : JSON_BOOLEAN;
        ret_value->number = *p == 't';
        return json_word(p, end,
                         *p == 'n'   ? TEXT("null")
                         : *p == 't' ? TEXT("true")
                                     : TEXT("false"));
    }
    ret_value->kind = JSON_NUMBER;
    size_t n = number_scan((struct text){p, (size_t)(end - p)}, &ret_value->number);
    ret_value->text = (struct text){p, n};
    return n > 0 && n <= JSON_NUMBER_BYTES_MAX ? p + n : NULL;
}

/* A value that pointers (1 << id) beside `metrics` name. */
static inline void value_keep(struct json_payload *to, unsigned pointers,
                              const struct json_value *value)
{
    if (pointers & 1u << JSON_POINTER_TIMESTAMP) {
        to->timestamp = *value;
    }
    if (pointers & 1u << JSON_POINTER_SITE) {
        to->site = *value;
    }
    if (pointers & 1u << JSON_POINTER_SEQ) {
        to->seq = *value;
    }
}

#endif
