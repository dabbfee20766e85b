/* The pieces that JSON is made of, one function each: what grammar.c checks by and scan.c
 * reads by. Private to decode/.
 *
 * Each takes a place p in a text that ends at `end` and returns the place behind what it
 * read, or NULL where that does not stand there. */
#ifndef BRINK_DECODE_LEXEME_H
#define BRINK_DECODE_LEXEME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "base/word.h"

/* What was seen in strings, to be added to. */
#define JSON_SEEN_ESCAPE 1u
#define JSON_SEEN_HIGH 2u /* a byte from 0x80 on: is it UTF-8? Perhaps one behind it */

static inline const char *json_spaces(const char *p, const char *end)
{
    /* Mostly there are none: one comparison tells. */
    while (p < end && (unsigned char)*p <= ' ' &&
           (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    return p;
}

static inline const char *json_word(const char *p, const char *end, struct text word)
{
    bool is = (size_t)(end - p) >= word.n && memcmp(p, word.p, word.n) == 0;
    return is ? p + word.n : NULL;
}

/* Behind a backslash. */
const char *json_escape(const char *p, const char *end);

/* Behind the opening quote; returns the place of the closing one. */
static inline const char *json_string(const char *p, const char *end, unsigned *seen)
{
    for (;;) {
        size_t step = 1;
        if (end - p >= WORD_BYTES) {
            uint64_t w = word_load(p);
            uint64_t finds =
                word_find(w, '"') | word_find(w, '\\') | word_find_below(w, 0x20);
            *seen |= word_find_high(w) ? JSON_SEEN_HIGH : 0;
            if (!finds) {
                p += WORD_BYTES;
                continue;
            }
            p += word_first(finds);
        } else if (p == end) {
            return NULL;
        }
        unsigned char b = (unsigned char)*p;
        if (b == '"') {
            return p;
        }
        if (b < 0x20) {
            return NULL;
        }
        if (b == '\\') {
            *seen |= JSON_SEEN_ESCAPE;
            p = json_escape(p + 1, end);
            if (!p) {
                return NULL;
            }
            step = 0;
        } else if (b >= 0x80) {
            *seen |= JSON_SEEN_HIGH;
        }
        p += step;
    }
}

/* A value with no space before it, inside `depth` arrays and objects. */
const char *json_value(const char *p, const char *end, size_t depth, unsigned *seen);

#endif
