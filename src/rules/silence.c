#include "rules/silence.h"

#include <inttypes.h>

#include "base/fields.h"
#include "base/number.h"

/* Longer than a gateway lives is nonsense, which the next run would go on from. */
#define TOTAL_US_MAX (INT64_C(100) * 366 * 24 * 3600 * US_PER_S)

int64_t silence_now(const struct silence_clock *c, struct mono now)
{
    return c->before_us + (c->runs ? now.us - c->since.us : 0);
}

void silence_start(struct silence_clock *c, struct mono now)
{
    if (!c->runs) {
        c->runs = true;
        c->since = now;
    }
}

void silence_stop(struct silence_clock *c, struct mono now)
{
    c->before_us = silence_now(c, now);
    c->runs = false;
}

void silence_put_total(const struct silence_clock *c, struct mono now, struct buffer *out)
{
    buffer_format(out, " " SILENCE_TOTAL "=%" PRId64 "@%" PRId64, c->series,
                  c->total_us + silence_now(c, now));
}

void silence_read_total(struct text value, struct silence_total *ret)
{
    int64_t series, us;
    if (fields_int(fields_cut(&value, '@'), &series) && fields_int(value, &us) &&
        series >= 0 && us >= 0 && us <= TOTAL_US_MAX) {
        *ret = (struct silence_total){true, series, us};
    }
}

int64_t silence_saved_at(const struct silence_clock *c, const struct silence_total *total,
                         struct wall saved, struct wall alive)
{
    int64_t since = alive.us - saved.us;
    bool known = c->series != 0 || c->total_us > 0;
    if (total->said && known && total->series == c->series) {
        since = c->total_us - total->us;
    }
    return since > 0 ? -since : 0;
}

void gateway_state_print(const struct silence_clock *c, struct wall alive,
                         struct mono now, struct buffer *out)
{
    char text[NUMBER_BYTES];
    size_t n = number_print_seconds(alive.us, text);
    buffer_put(out, text, n);
    silence_put_total(c, now, out);
}

void gateway_state_apply(struct silence_clock *c, struct text line, struct wall *alive)
{
    struct text rest = line, first = fields_cut(&rest, ' '), key, value;
    struct silence_total total = {0};
    double seconds;
    if (number_parse(first, &seconds) != BRINK_OK || !(seconds > 0 && seconds < 9e9)) {
        return;
    }
    int64_t us = number_seconds_to_us(seconds);
    bool newer = us > alive->us;
    alive->us = newer ? us : alive->us;
    while (fields_next(&rest, &key, &value)) {
        if (text_equal(key, TEXT(SILENCE_TOTAL))) {
            silence_read_total(value, &total);
        }
    }
    if (!total.said) {
        return;
    }
    if (total.series == c->series) { /* the wall clock may have been set back */
        c->total_us = total.us > c->total_us ? total.us : c->total_us;
    } else if (c->series == 0) {
        c->series = total.series;
        c->total_us += total.us;
    } else if (total.series != 0 && newer) {
        c->series = total.series;
        c->total_us = total.us;
    }
}
