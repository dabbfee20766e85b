#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "base/word.h"

/* Names longer than this are no misspelling of a keyword. */
#define NEAREST_BYTES_MAX 64

int text_compare(struct text a, struct text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_equal_nocase(struct text a, struct text b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

char *text_dup(struct text t)
{
    if (t.n == SIZE_MAX) {
        return NULL;
    }
    char *copy = malloc(t.n + 1);
    if (copy) {
        if (t.n > 0) {
            memcpy(copy, t.p, t.n);
        }
        copy[t.n] = '\0';
    }
    return copy;
}

static uint64_t find_not_plain(uint64_t w)
{
    return word_find_below(w, 0x20) | word_find(w, 0x7f) | word_find_high(w);
}

bool text_is_plain(struct text t)
{
    size_t i = 0;
    for (; t.n - i >= WORD_BYTES; i += WORD_BYTES) {
        if (find_not_plain(word_load(t.p + i))) {
            return false;
        }
    }
    size_t n = t.n - i;
    return n == 0 || !find_not_plain(word_load_short(t.p + i, n) |
                                     UINT64_C(0x2020202020202020) << 8 * n);
}

bool text_is_utf8(struct text t)
{
    for (size_t i = 0; i < t.n;) {
        if (t.n - i >= WORD_BYTES) {
            uint64_t w = word_load(t.p + i);
            if (!word_find_high(w) && !word_find(w, 0)) {
                i += WORD_BYTES;
                continue;
            }
        }
        uint32_t c;
        size_t length = utf8_decode(t.p + i, t.n - i, &c);
        if (length == 0 || c == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

bool text_has_control(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char b = (unsigned char)t.p[i];
        if (b < 0x20 || b == 0x7f ||
            (b == 0xc2 && i + 1 < t.n && (unsigned char)t.p[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}

/* Bytes that the i-th character of t takes in the escaped form; *ret_in what it takes in
 * t. */
static size_t escape_one(struct text t, size_t i, char to[4], size_t *ret_in)
{
    static const char hex[] = "0123456789abcdef";
    uint32_t c = 0;
    size_t length = utf8_decode(t.p + i, t.n - i, &c);
    if (length > 0 && c == '\\') {
        memcpy(to, "\\\\", 2);
        *ret_in = 1;
        return 2;
    }
    if (length > 0 && !utf8_is_control(c)) {
        memcpy(to, t.p + i, length);
        *ret_in = length;
        return length;
    }
    /* A C1 control is two bytes; the second follows as an ill-formed one. */
    unsigned char byte = (unsigned char)t.p[i];
    to[0] = '\\';
    to[1] = 'x';
    to[2] = hex[byte >> 4];
    to[3] = hex[byte & 15];
    *ret_in = 1;
    return 4;
}

size_t text_escape(struct text t, char *out, size_t out_bytes)
{
    size_t n = 0;
    size_t room = out_bytes - 1;
    size_t cut_at = 0; /* the last end of a character that leaves room for the dots */
    for (size_t i = 0, in; i < t.n; i += in) {
        char one[4];
        size_t length = escape_one(t, i, one, &in);
        if (n + length > room) {
            memcpy(out + cut_at, "...", 3);
            n = cut_at + 3;
            break;
        }
        memcpy(out + n, one, length);
        n += length;
        if (n + 3 <= room) {
            cut_at = n;
        }
    }
    out[n] = '\0';
    return n;
}

/* Changes, insertions, removals and swaps of neighbours, each counting one. */
static size_t edit_distance(struct text a, struct text b)
{
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
            size_t best = last[j - 1] + (x == y ? 0 : 1);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && y == lower(a.p[i - 2]) &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.n];
}

const char *text_nearest(struct text wrong, const char *const *candidates, size_t n)
{
    if (wrong.n > NEAREST_BYTES_MAX) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t best = wrong.n <= 3   ? 2
                  : wrong.n <= 8 ? 3
                                 : 4; /* one more than is near enough */
    for (size_t i = 0; i < n; i++) {
        struct text candidate = text_of(candidates[i]);
        if (candidate.n > NEAREST_BYTES_MAX) {
            continue;
        }
        size_t distance = edit_distance(wrong, candidate);
        if (distance < best && distance < wrong.n) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
