#include "mute/calendar.h"

#include <stdint.h>
#include <time.h>

#include "base/calendar.h"

#define WEEK_DAYS 7
#define NEVER_S (INT64_MAX / US_PER_S)

void calendar_zone(void)
{
    tzset();
}

/* What local clocks show at `t`, as if it were UTC. Seconds. */
static int64_t shown_at(int64_t t)
{
    struct tm tm;
    time_t at = (time_t)t;
    if (at != t || !localtime_r(&at, &tm)) {
        return t; /* beyond what the C library can tell: as UTC */
    }
    return calendar_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * CALENDAR_DAY_S +
           (tm.tm_hour * 60 + tm.tm_min) * 60 + tm.tm_sec;
}

/* The first moment behind `low` at which clocks show more than `shown`, which they do at
 * `high`. */
static int64_t jump_between(int64_t low, int64_t high, int64_t shown)
{
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (shown_at(middle) > shown) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return high;
}

/* When do local clocks show this? The zone's offsets a day before and a day after are all
 * that can hold then: no zone changes its clocks twice within two days. */
static int64_t moment_of(int64_t shown, bool last)
{
    int64_t early = shown - CALENDAR_DAY_S, late = shown + CALENDAR_DAY_S;
    int64_t with_old = shown - (shown_at(early) - early);
    int64_t with_new = shown - (shown_at(late) - late);
    bool old = shown_at(with_old) == shown, new = shown_at(with_new) == shown;
    if (old && new) {
        return (with_old < with_new) == last ? with_new : with_old;
    }
    if (old || new) {
        return old ? with_old : with_new;
    }
    return with_new < with_old ? jump_between(with_new - 1, with_old, shown) : with_old;
}

static int64_t moment_of_date(const struct local_time *t, bool last)
{
    int64_t shown = t->day * CALENDAR_DAY_S + t->second;
    return t->has_zone ? shown - t->zone_s : moment_of(shown, last);
}

static bool begins_on(const struct calendar_window *w, int64_t day)
{
    return w->days == 0 || (w->days >> calendar_weekday(day) & 1);
}

static void earlier(int64_t *next, int64_t at, int64_t now)
{
    if (at > now && at < *next) {
        *next = at;
    }
}

bool calendar_is_open(const struct calendar_window *w, struct wall now,
                      struct wall *ret_next)
{
    int64_t now_s = now.us / US_PER_S - (now.us % US_PER_S < 0), next = NEVER_S;
    bool open = false;
    int64_t shown = shown_at(now_s);
    int64_t today = shown / CALENDAR_DAY_S - (shown % CALENDAR_DAY_S < 0);
    bool once = w->from.has_date;
    /* One that began yesterday may go on; the next begins within a week and a day, or a
     * week later where clocks skip that one. */
    for (int64_t day = today - 1; day <= today + 2 * WEEK_DAYS + 1; day++) {
        int64_t from, until;
        if (once) {
            from = moment_of_date(&w->from, false);
            until = moment_of_date(&w->until, true);
        } else if (begins_on(w, day)) {
            int64_t end = w->until.second > w->from.second ? day : day + 1;
            from = moment_of(day * CALENDAR_DAY_S + w->from.second, false);
            until = moment_of(end * CALENDAR_DAY_S + w->until.second, true);
        } else {
            continue;
        }
        if (from < until) { /* else clocks jumped over the whole of it */
            open = open || (from <= now_s && now_s < until);
            earlier(&next, from, now_s);
            earlier(&next, until, now_s);
        }
        if (once || (day > today && next != NEVER_S)) {
            break;
        }
    }
    ret_next->us = next == NEVER_S ? INT64_MAX : next * US_PER_S;
    return open;
}
