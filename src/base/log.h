/* Events on standard error: one line each, lower-case event then key=value (text), a JSON
 * object (json), or journald's native protocol as far as stderr takes it (journal: a <N>
 * priority prefix before the text form). Values from outside are escaped and cut at
 * LOG_VALUE_BYTES. errno is preserved. Thread-safe: a line is one write(2). */
#ifndef BRINK_BASE_LOG_H
#define BRINK_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

#define LOG_VALUE_BYTES 256

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

struct log_field {
    const char *key; /* NULL ends a list */
    enum { LOG_TEXT, LOG_INTEGER, LOG_NUMBER } kind;
    struct text text;
    int64_t integer;
    double number;
};

#define LOG_T(k, t) ((struct log_field){.key = (k), .kind = LOG_TEXT, .text = (t)})
#define LOG_S(k, s) ((struct log_field){.key = (k), .kind = LOG_TEXT, .text = text_of(s)})
#define LOG_I(k, i)                                                                      \
    ((struct log_field){.key = (k), .kind = LOG_INTEGER, .integer = (int64_t)(i)})
#define LOG_N(k, d) ((struct log_field){.key = (k), .kind = LOG_NUMBER, .number = (d)})

/* Ends a list; an event without fields is log_event(level, "event", LOG_END). */
#define LOG_END ((struct log_field){.key = NULL})

/* May be called again at a reload; any thread. Default: info, text. */
void log_configure(enum log_level level, enum log_format format);

/* log_event(LOG_LEVEL_INFO, "subscribed", LOG_S("filter", f), LOG_I("qos", 1)) */
#define log_event(level, event, ...)                                                     \
    log_fields((level), (event), (const struct log_field[]){__VA_ARGS__, LOG_END})
void log_fields(enum log_level level, const char *event, const struct log_field *fields);

/* At most one line a second for one limit; the next line that goes out says held_back=N.
 * Zero-initialized is ready. One thread each limit. */
struct log_limit {
    int64_t next_us; /* monotonic */
    uint64_t held_back;
};
#define log_limited(limit, now, level, event, ...)                                       \
    log_fields_limited((limit), (now), (level), (event),                                 \
                       (const struct log_field[]){__VA_ARGS__, LOG_END})
void log_fields_limited(struct log_limit *limit, struct mono now, enum log_level level,
                        const char *event, const struct log_field *fields);

#endif
