/* The text and its source are walked side by side. All styles of YAML keep what is not
 * white space, in order; only the space between is folded, indented and escaped. So white
 * space is passed over on both sides, and everything else is passed pair by pair. */
#include "config/place.h"

#include <stdint.h>
#include <stdlib.h>

struct walk {
    const struct scalar_source *s;
    size_t i, j;        /* bytes of raw and of the text that are behind */
    struct position at; /* of raw's byte i */
};

size_t place_line_break(struct text s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p + i;
    size_t n = s.n - i;
    if (p[0] == '\r') {
        return n > 1 && p[1] == '\n' ? 2 : 1;
    }
    if (p[0] == '\n') {
        return 1;
    }
    if (p[0] == 0xc2 && n > 1 && p[1] == 0x85) {
        return 2;
    }
    bool separator =
        p[0] == 0xe2 && n > 2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
    return separator ? 3 : 0;
}

/* Bytes of the white space at i, or 0. */
static size_t white(struct text t, size_t i)
{
    if (i >= t.n) {
        return 0;
    }
    return t.p[i] == ' ' || t.p[i] == '\t' ? 1 : place_line_break(t, i);
}

static size_t character(struct text t, size_t i)
{
    size_t n = 1;
    while (i + n < t.n && ((unsigned char)t.p[i + n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

/* Bytes of the escape at i, 0 if there is none; *ret_white: it stands for white space. */
static size_t escape(const struct scalar_source *s, size_t i, bool *ret_white)
{
    struct text raw = s->raw;
    *ret_white = false;
    if (s->quote == '\'' && i + 1 < raw.n && raw.p[i] == '\'' && raw.p[i + 1] == '\'') {
        return 2;
    }
    if (s->quote != '"' || i + 1 >= raw.n || raw.p[i] != '\\') {
        return 0;
    }
    size_t digits = raw.p[i + 1] == 'x'   ? 2
                    : raw.p[i + 1] == 'u' ? 4
                    : raw.p[i + 1] == 'U' ? 8
                                          : 0;
    uint32_t code = 0;
    for (size_t k = i + 2; k < i + 2 + digits && k < raw.n; k++) {
        char c = raw.p[k];
        uint32_t digit = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 32) - 'a' + 10);
        code = code * 16 + digit;
    }
    if (digits > 0) {
        *ret_white = code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 ||
                     code == 0x2028 || code == 0x2029;
        return i + 2 + digits <= raw.n ? 2 + digits : raw.n - i;
    }
    size_t broken = place_line_break(raw, i + 1); /* the line goes on below */
    *ret_white = broken > 0 || memchr("tnrNLP \t", raw.p[i + 1], 8) != NULL;
    return 1 + (broken > 0 ? broken : character(raw, i + 1));
}

static void pass(struct walk *w, size_t n)
{
    for (size_t end = w->i + n; w->i < end;) {
        size_t broken = place_line_break(w->s->raw, w->i);
        if (broken > 0) {
            w->at.line++;
            w->at.column = 1;
        } else {
            w->at.column++;
        }
        w->i += broken > 0 ? broken : character(w->s->raw, w->i);
    }
}

/* Comes to the next character that is not white space; false: there is none. */
static bool come_to_next(struct walk *w)
{
    size_t n;
    while ((n = white(w->s->text, w->j)) > 0) {
        w->j += n;
    }
    if (w->j >= w->s->text.n) {
        return false;
    }
    for (;;) {
        bool is_white = true;
        n = white(w->s->raw, w->i);
        n = n > 0 ? n : escape(w->s, w->i, &is_white);
        if (n == 0 || !is_white) {
            return w->i < w->s->raw.n;
        }
        pass(w, n);
    }
}

static void pass_pair(struct walk *w)
{
    bool is_white;
    size_t n = escape(w->s, w->i, &is_white);
    pass(w, n > 0 ? n : character(w->s->raw, w->i));
    w->j += character(w->s->text, w->j);
}

static unsigned characters(struct text t, size_t from, size_t to)
{
    unsigned n = 0;
    for (size_t i = from; i < to && i < t.n; i++) {
        n += ((unsigned char)t.p[i] & 0xc0) != 0x80;
    }
    return n;
}

struct position place_find(const struct scalar_source *s, size_t offset)
{
    struct walk w = {.s = s, .at = s->at};
    if (!s->raw.p) {
        w.at.column += characters(s->text, 0, offset);
        return w.at;
    }
    struct position behind = w.at;
    while (come_to_next(&w) && w.j <= offset) {
        if (w.j == offset) {
            return w.at;
        }
        pass_pair(&w);
        behind = w.at;
    }
    return behind;
}

struct place_mark *place_marks(const struct scalar_source *s)
{
    if (!s->raw.p || s->text.n >= PLACE_MARKS_END) {
        return NULL;
    }
    struct place_mark *marks = NULL;
    struct walk w = {.s = s, .at = s->at};
    struct position expected = s->at;
    size_t n = 0, told = 0; /* expected is where the text's byte `told` would stand */
    while (come_to_next(&w)) {
        expected.column += characters(s->text, told, w.j);
        told = w.j;
        if (w.at.line != expected.line || w.at.column != expected.column) {
            /* Room for one more and the end, grown at each power of two. */
            if ((n & (n + 1)) == 0) {
                struct place_mark *grown = realloc(marks, (2 * n + 2) * sizeof *grown);
                if (!grown) {
                    free(marks);
                    return NULL;
                }
                marks = grown;
            }
            marks[n++] = (struct place_mark){(uint32_t)w.j, w.at.line, w.at.column};
            marks[n].offset = PLACE_MARKS_END;
            expected = w.at;
        }
        pass_pair(&w);
    }
    return marks;
}
