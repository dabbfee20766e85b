/* Any bytes as the times of a maintenance window: refused with a reason, or a date is the
 * day that timegm() makes of it, and the window is open when mktime() says so. What
 * calendar_is_open() promises not to change before a moment does not. Input: a byte for
 * the zone, one for the days, eight for the moment, then "from\nuntil". */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* timegm() */
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/calendar.h"
#include "config/draft.h"
#include "mute/calendar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 10
#define LAST_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define DAY CALENDAR_DAY_S
#define CHANGE_S (16 * DAY) /* clocks skip a weekly window once, not twice running */

static const char *const zones[] = {
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "LHST-10:30LHDT-11,M10.1.0,M4.1.0", /* half an hour */
    "XST3XDT,M10.3.0/0,M2.3.0/0",       /* at midnight */
    "IST-5:30",
    "MART9:30",
    "LINT-14",
};

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* --- by the C library --- */

static struct tm civil(int64_t day, int32_t second)
{
    time_t at = (time_t)(day * DAY);
    struct tm tm;
    must(gmtime_r(&at, &tm) != NULL, "a day");
    tm.tm_hour = second / 3600;
    tm.tm_min = second / 60 % 60;
    tm.tm_sec = second % 60;
    if (tm.tm_hour == 24) {
        tm.tm_hour = 0;
        tm.tm_mday++;
    }
    return tm;
}

/* Does the text's date, if it has the form, stand for this day? */
static void check_date(struct text t, const struct local_time *at)
{
    char copy[11] = {0};
    struct tm tm = {0};
    must(t.n >= 10, "a date is that long");
    memcpy(copy, t.p, 10);
    must(sscanf(copy, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) == 3,
         "a date");
    int month = tm.tm_mon, day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    must(timegm(&tm) == at->day * DAY, "the day that timegm() makes of it");
    must(tm.tm_mon == month - 1 && tm.tm_mday == day, "a day that there is");
}

/* The moments at which clocks show this; 0: none, or not as far as mktime() can tell. */
static int moments(int64_t day, int32_t second, int64_t ret[2])
{
    int n = 0;
    for (int dst = 0; dst <= 1; dst++) {
        struct tm tm = civil(day, second), back;
        tm.tm_isdst = dst;
        time_t t = mktime(&tm);
        struct tm want = civil(day + (second == DAY), second % (int32_t)DAY);
        if (!localtime_r(&t, &back) || back.tm_year != want.tm_year ||
            back.tm_yday != want.tm_yday || back.tm_hour != want.tm_hour ||
            back.tm_min != want.tm_min || back.tm_sec != want.tm_sec) {
            continue;
        }
        if (n == 0 || ret[0] != t) {
            ret[n++] = t;
        }
    }
    if (n == 2 && ret[0] > ret[1]) {
        int64_t later = ret[0];
        ret[0] = ret[1];
        ret[1] = later;
    }
    return n;
}

/* Is the window of these local times open? -1: clocks skip one of them. */
static int is_open_between(int64_t from_day, int32_t from, int64_t until_day,
                           int32_t until, int64_t now)
{
    int64_t begins[2], ends[2];
    int n_begins = moments(from_day, from, begins),
        n_ends = moments(until_day, until, ends);
    if (n_begins == 0 || n_ends == 0) {
        return -1;
    }
    return begins[0] <= now && now < ends[n_ends - 1];
}

static int oracle(const struct calendar_window *w, int64_t now)
{
    const struct local_time *from = &w->from, *until = &w->until;
    if (from->has_zone) {
        return from->day * DAY + from->second - from->zone_s <= now &&
               now < until->day * DAY + until->second - until->zone_s;
    }
    if (from->has_date) {
        return is_open_between(from->day, from->second, until->day, until->second, now);
    }
    struct tm tm;
    time_t at = (time_t)now;
    must(localtime_r(&at, &tm) != NULL, "a moment");
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    int weekday = (tm.tm_wday + 6) % 7;
    int64_t today = timegm(&tm) / DAY;
    int open = 0;
    for (int back = 0; back <= 1; back++) {
        if (w->days != 0 && !(w->days >> ((weekday - back + 7) % 7) & 1)) {
            continue;
        }
        int64_t day = today - back, end = until->second > from->second ? day : day + 1;
        int is = is_open_between(day, from->second, end, until->second, now);
        if (is != 0) {
            open = is < 0 || open < 0 ? -1 : 1;
        }
    }
    return open;
}

/* --- ours --- */

static void put_quoted(struct buffer *out, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            buffer_format(out, "\\x%02x", (unsigned)c);
        } else {
            buffer_char(out, (char)c);
        }
    }
}

static bool read_window(struct text from, struct text until, struct calendar_window *w)
{
    struct buffer yaml = {0};
    struct problems problems = {0};
    struct rule_file *file = NULL;
    buffer_cstring(&yaml, "maintenance: [{name: m, from: \"");
    put_quoted(&yaml, from);
    buffer_cstring(&yaml, "\", until: \"");
    put_quoted(&yaml, until);
    buffer_cstring(&yaml, "\"}]\n");
    bool is = rule_file_parse("r.yaml", buffer_view(&yaml), &problems, &file) == BRINK_OK;
    must(is == (problems.errors == 0), "an error is told");
    if (is) {
        must(file->n_maintenance == 1, "the window");
        w->from = file->maintenance[0].from;
        w->until = file->maintenance[0].until;
    }
    rule_file_free(file);
    problems_finish(&problems);
    buffer_finish(&yaml);
    return is;
}

static void check_at(const struct calendar_window *w, int64_t now)
{
    struct wall next = {0}, ignored;
    bool open = calendar_is_open(w, (struct wall){now * US_PER_S}, &next);
    int expected = oracle(w, now);
    must(expected < 0 || open == (expected == 1), "open when the C library says so");
    must(next.us > now * US_PER_S, "the next change is to come");
    must(w->from.has_date || next.us <= (now + CHANGE_S) * US_PER_S,
         "a weekly window opens once more");
    if (next.us < LAST_S * US_PER_S) {
        int64_t last = next.us / US_PER_S - 1, middle = now + (last - now) / 2;
        must(calendar_is_open(w, (struct wall){last * US_PER_S}, &ignored) == open &&
                 calendar_is_open(w, (struct wall){middle * US_PER_S}, &ignored) == open,
             "nothing changes before");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct calendar_window w = {0};
    uint64_t moment;
    if (size < HEAD_BYTES) {
        return 0;
    }
    memcpy(&moment, data + 2, sizeof moment);
    const char *p = (const char *)data + HEAD_BYTES, *end = (const char *)data + size;
    const char *newline = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    struct text from = {p, (size_t)((newline ? newline : end) - p)};
    struct text until = {newline ? newline + 1 : end, 0};
    until.n = (size_t)(end - until.p);
    setenv("TZ", zones[data[0] % (sizeof zones / sizeof *zones)], 1);
    calendar_zone();
    if (!read_window(from, until, &w)) {
        return 0;
    }
    if (w.from.has_date) {
        check_date(from, &w.from);
        check_date(until, &w.until);
    } else {
        w.days = data[1] & 0x7f;
    }
    check_at(&w, (int64_t)(moment % (uint64_t)LAST_S));
    /* Near the window itself more is to be seen. */
    if (w.from.has_date) {
        int64_t near =
            w.from.day * DAY + w.from.second + (int64_t)(moment % (3 * DAY)) - DAY;
        check_at(&w, near < 0 || near > LAST_S ? 0 : near);
    }
    return 0;
}
