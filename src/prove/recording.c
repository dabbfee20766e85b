#include "prove/recording.h"

#include <string.h>

#include "base/number.h"
#include "decode/timestamp.h"

const char *recording_fault_text(enum recording_fault f)
{
    static const char *const texts[RECORDING_FAULTS] = {
        [RECORDING_FINE] = "is fine",
        [RECORDING_BLANK] = "is blank",
        [RECORDING_NO_OBJECT] = "is not a JSON object",
        [RECORDING_BAD_TEXT] = "has a text with a bad escape",
        [RECORDING_NO_TIME] = "has no time (`tst`)",
        [RECORDING_NO_TOPIC] = "has no topic",
        [RECORDING_TOO_LONG] = "is too long",
    };
    return texts[f];
}

/* --- taking the object apart --- */

/* A value as it stands. */
struct span {
    char *p;
    size_t n;
    bool string; /* p and n are what is between the quotes */
    bool escaped;
};

enum { PLAIN, QUOTE, BACKSLASH, OPEN, CLOSE };

/* What ends a run of bytes that need no look. */
static const unsigned char in_string[256] = {['"'] = QUOTE, ['\\'] = BACKSLASH};
static const unsigned char in_value[256] = {
    ['"'] = QUOTE, ['{'] = OPEN, ['['] = OPEN, ['}'] = CLOSE, [']'] = CLOSE};

static char *skip_blanks(char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p;
}

/* p: behind the opening quote. Returns what is behind the closing one, or NULL. */
static char *read_string(char *p, char *end, struct span *ret)
{
    char *from = p;
    bool escaped = false;
    for (;;) {
        while (p < end && in_string[(unsigned char)*p] == PLAIN) {
            p++;
        }
        if (p >= end) {
            return NULL;
        }
        if (*p == '"') {
            *ret = (struct span){from, (size_t)(p - from), true, escaped};
            return p + 1;
        }
        if (end - p < 2) {
            return NULL;
        }
        escaped = true;
        p += 2;
    }
}

/* An object or a list, by its brackets alone. Returns what is behind it, or NULL. */
static char *skip_nested(char *p, char *end)
{
    size_t depth = 0;
    struct span ignored;
    for (;;) {
        while (p < end && in_value[(unsigned char)*p] == PLAIN) {
            p++;
        }
        if (p >= end) {
            return NULL;
        }
        switch (in_value[(unsigned char)*p++]) {
        case OPEN:
            depth++;
            break;
        case CLOSE:
            if (--depth == 0) {
                return p;
            }
            break;
        default:
            p = read_string(p, end, &ignored);
            if (!p) {
                return NULL;
            }
        }
    }
}

static char *read_value(char *p, char *end, struct span *ret)
{
    char *from = p;
    if (p < end && *p == '"') {
        return read_string(p + 1, end, ret);
    }
    if (p < end && (*p == '{' || *p == '[')) {
        p = skip_nested(p, end);
    } else {
        while (p < end && *p != ',' && *p != '}' && *p != ' ' && *p != '\t' &&
               *p != '\r') {
            p++;
        }
        p = p == from ? NULL : p;
    }
    if (p) {
        *ret = (struct span){from, (size_t)(p - from), false, false};
    }
    return p;
}

struct members {
    struct span tst, topic, payload, retain, payloadlen; /* p == NULL: not there */
};

static void keep(struct members *m, struct text key, struct span value)
{
    if (text_equal(key, TEXT("payload"))) {
        m->payload = value;
    } else if (text_equal(key, TEXT("topic"))) {
        m->topic = value;
    } else if (text_equal(key, TEXT("tst"))) {
        m->tst = value;
    } else if (text_equal(key, TEXT("payloadlen"))) {
        m->payloadlen = value;
    } else if (text_equal(key, TEXT("retain"))) {
        m->retain = value;
    }
}

static bool read_members(char *p, char *end, struct members *m)
{
    p = skip_blanks(p, end);
    if (p == end || *p++ != '{') {
        return false;
    }
    p = skip_blanks(p, end);
    for (bool first = true; p < end && *p != '}'; first = false) {
        struct span key, value;
        if (!first) {
            if (*p != ',') {
                return false;
            }
            p = skip_blanks(p + 1, end);
        }
        if (p == end || *p != '"' || !(p = read_string(p + 1, end, &key))) {
            return false;
        }
        p = skip_blanks(p, end);
        if (p == end || *p != ':') {
            return false;
        }
        p = read_value(skip_blanks(p + 1, end), end, &value);
        if (!p) {
            return false;
        }
        keep(m, (struct text){key.p, key.n}, value);
        p = skip_blanks(p, end);
    }
    return p < end && skip_blanks(p + 1, end) == end;
}

/* --- texts --- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hex digits at p; -1: there are not. */
static int read_hex4(const char *p, const char *end)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = p + i < end ? hex(p[i]) : -1;
        if (digit < 0) {
            return -1;
        }
        v = v * 16 + digit;
    }
    return v;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* \uXXXX, behind the `u`; of two that make one character, both. NULL: neither. */
static const char *read_unicode(const char *p, const char *end, unsigned *ret_c)
{
    int high = read_hex4(p, end);
    p += 4;
    if (high < 0 || (high >= 0xdc00 && high < 0xe000)) {
        return NULL;
    }
    *ret_c = (unsigned)high;
    if (high < 0xd800 || high >= 0xe000) {
        return p;
    }
    int low = end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? read_hex4(p + 2, end) : -1;
    if (low < 0xdc00 || low >= 0xe000) {
        return NULL;
    }
    *ret_c = 0x10000 + (((unsigned)high - 0xd800) << 10) + ((unsigned)low - 0xdc00);
    return p + 6;
}

/* In place: a text is never longer than its escapes. */
static bool unescape(struct span *s)
{
    if (!s->escaped) {
        return true;
    }
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *out = s->p;
    const char *p = s->p, *end = s->p + s->n;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((escape ? escape : end) - p);
        memmove(out, p, run);
        out += run;
        p += run;
        if (!escape) {
            break;
        }
        char kind = p[1]; /* a string does not end in half an escape */
        p += 2;
        const char *known = kind ? strchr(from, kind) : NULL;
        unsigned c;
        if (known) {
            *out++ = to[known - from];
        } else if (kind == 'u' && (p = read_unicode(p, end, &c))) {
            out = put_utf8(out, c);
        } else {
            return false;
        }
    }
    s->n = (size_t)(out - s->p);
    s->escaped = false;
    return true;
}

/* --- time --- */

/* Where the parts of 2026-11-27T09:56:05.746247+0000 stand. */
#define SECOND_AT 17
#define POINT_AT 19
#define MICROS_AT 20
#define ZONE_AT 26

static bool read_digits(const char *p, size_t n, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        v = v * 10 + (p[i] - '0');
    }
    *ret = v;
    return true;
}

/* Seconds and microseconds of a time that has all parts in their places. */
static bool read_second(struct text t, int64_t *ret_us)
{
    int64_t seconds, micros;
    if (t.n < ZONE_AT || t.p[POINT_AT] != '.' ||
        !read_digits(t.p + SECOND_AT, 2, &seconds) ||
        !read_digits(t.p + MICROS_AT, 6, &micros) || seconds > 59) {
        return false;
    }
    *ret_us = seconds * US_PER_S + micros;
    return true;
}

static bool same_minute(const struct recording_clock *clock, struct text t)
{
    return t.n == clock->n && t.n >= ZONE_AT &&
           memcmp(t.p, clock->text, SECOND_AT) == 0 &&
           memcmp(t.p + ZONE_AT, clock->text + ZONE_AT, t.n - ZONE_AT) == 0;
}

/* mosquitto_sub up to 2.0 writes Z and an offset behind it: the offset is what is meant.
 */
static bool parse_time(struct recording_clock *clock, struct text t, struct wall *ret_at)
{
    char text[sizeof clock->text];
    int64_t us;
    if (same_minute(clock, t) && read_second(t, &us)) {
        ret_at->us = clock->minute_us + us;
        return true;
    }
    if (t.n == 0 || t.n > sizeof text) {
        return false;
    }
    memcpy(text, t.p, t.n);
    size_t n = t.n;
    const char *z = memchr(text, 'Z', n);
    if (z && z + 1 < text + n) {
        size_t at = (size_t)(z - text);
        memmove(text + at, text + at + 1, n - at - 1);
        n--;
    }
    if (timestamp_parse((struct text){text, n}, ret_at) != BRINK_OK) {
        return false;
    }
    if (read_second(t, &us)) {
        memcpy(clock->text, t.p, t.n);
        clock->n = t.n;
        clock->minute_us = ret_at->us - us;
    }
    return true;
}

static bool read_time(struct recording_clock *clock, const struct span *s,
                      struct wall *ret_at)
{
    struct text t = {s->p, s->n};
    double number;
    if (!s->p) {
        return false;
    }
    if (s->string) {
        return parse_time(clock, t, ret_at);
    }
    return number_parse(t, &number) == BRINK_OK &&
           timestamp_of_number(number, ret_at) == BRINK_OK;
}

/* --- a line --- */

static bool is(const struct span *s, const char *word)
{
    return s->p && !s->string && text_equal((struct text){s->p, s->n}, text_of(word));
}

static bool read_payload(struct members *m, struct text *ret_payload)
{
    struct span *s = &m->payload;
    uint64_t bytes = 0;
    bool counted = m->payloadlen.p && !m->payloadlen.string &&
                   number_parse_u64((struct text){m->payloadlen.p, m->payloadlen.n},
                                    &bytes) == BRINK_OK;
    if (!s->p || (is(s, "null") && bytes != s->n)) {
        *ret_payload = TEXT("");
        return true;
    }
    *ret_payload = (struct text){s->p, s->n};
    if (!s->string) {
        return true;
    }
    if (!unescape(s)) {
        return false;
    }
    ret_payload->n = s->n;
    if (counted && bytes != s->n) { /* the string itself */
        s->p[s->n] = '"';           /* where its quote was, or an escape */
        *ret_payload = (struct text){s->p - 1, s->n + 2};
    }
    return true;
}

enum recording_fault recording_parse(struct recording_clock *clock, char *line, size_t n,
                                     struct recorded *ret)
{
    struct members m = {0};
    char *end = line + n;
    if (skip_blanks(line, end) == end) {
        return RECORDING_BLANK;
    }
    if (!read_members(line, end, &m)) {
        return RECORDING_NO_OBJECT;
    }
    if (!m.topic.p || !m.topic.string || m.topic.n == 0) {
        return RECORDING_NO_TOPIC;
    }
    if (!read_time(clock, &m.tst, &ret->at)) {
        return RECORDING_NO_TIME;
    }
    if (!unescape(&m.topic) || !read_payload(&m, &ret->payload)) {
        return RECORDING_BAD_TEXT;
    }
    ret->topic = (struct text){m.topic.p, m.topic.n};
    ret->retained = is(&m.retain, "1") || is(&m.retain, "true");
    return RECORDING_FINE;
}
