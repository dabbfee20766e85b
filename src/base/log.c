#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/number.h"
#include "base/utf8.h"

/* A write of at most PIPE_BUF (4096) bytes is not torn apart by other writers of a pipe.
 */
#define LINE_BYTES 4096
#define LIMIT_US US_PER_S

static atomic_int configured_level = LOG_LEVEL_INFO;
static atomic_int configured_format = LOG_FORMAT_TEXT;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const journal_prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

struct line {
    char bytes[LINE_BYTES];
    size_t n;
    size_t cap; /* bytes that may be used so far; the end of the line is kept free */
    bool full;  /* something did not fit: n is to be set back to where it was whole */
};

static void put(struct line *l, const char *p, size_t n)
{
    if (l->full || n > l->cap - l->n) {
        l->full = true;
        return;
    }
    memcpy(l->bytes + l->n, p, n);
    l->n += n;
}

static void put_string(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Quoted where a reader could not tell the value's end otherwise. */
static void put_text_value(struct line *l, struct text t)
{
    char escaped[LOG_VALUE_BYTES + 1];
    size_t n = text_escape(t, escaped, sizeof escaped);
    if (n > 0 && strcspn(escaped, " =\"") == n) {
        put(l, escaped, n);
        return;
    }
    put(l, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        put(l, escaped[i] == '"' ? "\\\"" : &escaped[i], escaped[i] == '"' ? 2 : 1);
    }
    put(l, "\"", 1);
}

/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. */
static void put_json_string(struct line *l, struct text t)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    put(l, "\"", 1);
    for (size_t i = 0; i < t.n;) {
        uint32_t c = 0;
        size_t length = utf8_decode(t.p + i, t.n - i, &c);
        if (used + (length ? length : 1) > LOG_VALUE_BYTES) {
            put(l, "...", 3);
            break;
        }
        if (length == 0) {
            put(l, "\\ufffd", 6);
        } else if (c == '"' || c == '\\') {
            put(l, "\\", 1);
            put(l, t.p + i, 1);
        } else if (utf8_is_control(c)) {
            char u[6] = {'\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15]};
            put(l, u, sizeof u);
        } else {
            put(l, t.p + i, length);
        }
        used += length ? length : 1;
        i += length ? length : 1;
    }
    put(l, "\"", 1);
}

static void put_field(struct line *l, const struct log_field *f, bool json)
{
    put_string(l, json ? ",\"" : " ");
    put_string(l, f->key);
    put_string(l, json ? "\":" : "=");

    struct text value = f->text;
    char number[NUMBER_BYTES];
    bool bare = false;
    if (f->kind == LOG_INTEGER) {
        int n = snprintf(number, sizeof number, "%lld", (long long)f->integer);
        value = (struct text){number, n > 0 ? (size_t)n : 0};
        bare = true;
    } else if (f->kind == LOG_NUMBER) {
        bare = isfinite(f->number);
        value = bare ? (struct text){number, number_print_plain(f->number, number)}
                : isnan(f->number) ? TEXT("nan")
                : f->number < 0    ? TEXT("-inf")
                                   : TEXT("inf");
    }
    if (bare) {
        put(l, value.p, value.n);
    } else if (json) {
        put_json_string(l, value);
    } else {
        put_text_value(l, value);
    }
}

/* A field goes in whole or not at all, so that the line stays well-formed. */
static void add_field(struct line *l, const struct log_field *f, bool json, bool *cut)
{
    size_t before = l->n;
    put_field(l, f, json);
    if (l->full) {
        l->n = before;
        l->full = false;
        *cut = true;
    }
}

static void begin(struct line *l, enum log_level level, enum log_format format,
                  const char *event)
{
    if (format == LOG_FORMAT_JOURNAL) { /* the journal has its own stamp and level */
        put_string(l, journal_prefixes[level]);
        put_string(l, event);
        return;
    }
    /* A stamp for people and log collectors; nothing is decided by it. */
    char stamp[CLOCK_ISO_BYTES];
    wall_format_iso(clock_system.wall(clock_system.ctx), stamp);
    if (format == LOG_FORMAT_JSON) {
        put_string(l, "{\"time\":\"");
        put_string(l, stamp);
        put_string(l, "\",\"level\":\"");
        put_string(l, level_names[level]);
        put_string(l, "\",\"msg\":");
        put_json_string(l, text_of(event));
        return;
    }
    put_string(l, stamp);
    put(l, " ", 1);
    put_string(l, level_names[level]);
    put(l, " ", 1);
    put_string(l, event);
}

static void write_line(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(STDERR_FILENO, p, n);
        if (wrote < 0 && errno != EINTR) {
            return; /* there is nobody to tell */
        }
        if (wrote > 0) {
            p += wrote;
            n -= (size_t)wrote;
        }
    }
}

static void emit(enum log_level level, const char *event, const struct log_field *fields,
                 uint64_t held_back)
{
    int saved_errno = errno;
    enum log_format format = (enum log_format)atomic_load(&configured_format);
    bool json = format == LOG_FORMAT_JSON;
    static const char cut_text[] = " cut=1\n", cut_json[] = ",\"cut\":1}\n";
    struct line l;
    l.n = 0;
    l.full = false;
    l.cap = LINE_BYTES - sizeof cut_json;
    begin(&l, level, format, event);
    bool cut = false;
    if (held_back > 0) {
        add_field(&l, &LOG_I("held_back", held_back), json, &cut);
    }
    for (const struct log_field *f = fields; f && f->key; f++) {
        add_field(&l, f, json, &cut);
    }
    l.cap = LINE_BYTES;
    put_string(&l, json ? (cut ? cut_json : "}\n") : cut ? cut_text : "\n");
    write_line(l.bytes, l.n);
    errno = saved_errno;
}

static bool enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&configured_level, memory_order_relaxed);
}

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&configured_level, (int)level);
    atomic_store(&configured_format, (int)format);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields)
{
    if (enabled(level)) {
        emit(level, event, fields, 0);
    }
}

void log_fields_limited(struct log_limit *limit, struct mono now, enum log_level level,
                        const char *event, const struct log_field *fields)
{
    if (!enabled(level)) {
        return;
    }
    if (now.us < limit->next_us) {
        limit->held_back++;
        return;
    }
    emit(level, event, fields, limit->held_back);
    limit->next_us = now.us + LIMIT_US;
    limit->held_back = 0;
}
