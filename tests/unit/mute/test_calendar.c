/* Maintenance windows against an oracle that knows nothing but what clocks show: it goes
 * over the quarters of an hour around. Zones as POSIX writes them need no tzdata. */
#include "mute/calendar.h"

#include <stdio.h>
#include <time.h>

#include "../tap.h"
#include "base/calendar.h"

#define MINUTE INT64_C(60)
#define QUARTER (15 * MINUTE) /* all that is at odds here is a multiple of it */
#define HOUR (60 * MINUTE)
#define DAY CALENDAR_DAY_S

static const char *const zones[] = {
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",       /* Berlin: an hour, at 02:00 and 03:00 */
    "EST5EDT,M3.2.0,M11.1.0",           /* New York */
    "LHST-10:30LHDT-11,M10.1.0,M4.1.0", /* Lord Howe: half an hour */
    "XST3XDT,M10.3.0/0,M2.3.0/0",       /* at midnight: a day begins at 01:00 */
    "IST-5:30",
};

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    calendar_zone();
}

/* In UTC. */
static int64_t moment(int year, int month, int day, int hour, int minute)
{
    return calendar_days(year, month, day) * DAY + hour * HOUR + minute * MINUTE;
}

static int64_t shown(int64_t t)
{
    time_t at = (time_t)t;
    struct tm tm;
    localtime_r(&at, &tm);
    return moment(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min) +
           tm.tm_sec;
}

/* The first (or last) quarter of an hour at which clocks show `local`; where they never
 * do, the one at which they first show more. */
static int64_t oracle_moment(int64_t local, bool last)
{
    int64_t found = INT64_MIN, jump = INT64_MIN;
    for (int64_t t = local - 30 * HOUR; t < local + 30 * HOUR; t += QUARTER) {
        if (shown(t) == local && (last || found == INT64_MIN)) {
            found = t;
        }
        if (jump == INT64_MIN && shown(t) > local) {
            jump = t;
        }
    }
    return found != INT64_MIN ? found : jump;
}

static bool oracle_open(const struct calendar_window *w, int64_t now)
{
    if (w->from.has_date) {
        return oracle_moment(w->from.day * DAY + w->from.second, false) <= now &&
               now < oracle_moment(w->until.day * DAY + w->until.second, true);
    }
    int64_t today = shown(now) / DAY;
    for (int64_t day = today - 2; day <= today + 1; day++) {
        int64_t end = w->until.second > w->from.second ? day : day + 1;
        if ((w->days == 0 || (w->days >> ((day + 3) % 7) & 1)) &&
            oracle_moment(day * DAY + w->from.second, false) <= now &&
            now < oracle_moment(end * DAY + w->until.second, true)) {
            return true;
        }
    }
    return false;
}

static bool is_open(const struct calendar_window *w, int64_t now, int64_t *ret_next)
{
    struct wall next;
    bool open = calendar_is_open(w, (struct wall){now * US_PER_S + 1}, &next);
    *ret_next = next.us == INT64_MAX ? INT64_MAX : next.us / US_PER_S;
    return open;
}

static struct calendar_window random_window(uint64_t *random, int64_t near)
{
    struct calendar_window w = {0};
    /* Half of the times are from 00:00 to 04:00, where clocks jump. */
    w.from.second = (int32_t)(next_random(random) % (next_random(random) % 2 ? 96 : 16));
    w.until.second =
        1 + (int32_t)(next_random(random) % (next_random(random) % 2 ? 96 : 16));
    w.from.second *= 900;
    w.until.second *= 900;
    if (next_random(random) % 3 == 0) {
        w.from.has_date = w.until.has_date = true;
        w.from.day = shown(near) / DAY - (int64_t)(next_random(random) % 3);
        w.until.day = w.from.day + (int64_t)(next_random(random) % 4);
    } else {
        w.days = (unsigned)next_random(random) & 127;
    }
    return w;
}

START_TEST(test_windows_are_open_when_the_clocks_on_the_wall_say_so)
{
    uint64_t random = (uint64_t)_i + 1;
    set_zone(zones[_i]);
    /* Around each change of 2026 that one of the zones has, and a plain day. */
    const int64_t around[] = {moment(2026, 3, 29, 1, 0), moment(2026, 10, 25, 1, 0),
                              moment(2026, 3, 8, 7, 0),  moment(2026, 11, 1, 6, 0),
                              moment(2026, 4, 4, 15, 0), moment(2026, 10, 3, 15, 30),
                              moment(2026, 2, 15, 2, 0), moment(2026, 10, 18, 3, 0),
                              moment(2026, 6, 17, 12, 0)};
    for (size_t a = 0; a < sizeof around / sizeof *around; a++) {
        for (int n = 0; n < 500; n++) {
            int64_t now = around[a] + (int64_t)(next_random(&random) % 65 - 32) * QUARTER;
            struct calendar_window w = random_window(&random, now);
            int64_t next, later;
            bool open = is_open(&w, now, &next);
            expect(open == oracle_open(&w, now),
                   "zone %s at %lld: days %x from %d until %d: open is %d", zones[_i],
                   (long long)now, w.days, w.from.second, w.until.second, open);
            ck_assert_int_gt(next, now);
            /* Nothing changes before `next`; what is told then goes on from there. */
            for (int k = 0; k < 4 && now + 1 < next; k++) {
                int64_t span = next == INT64_MAX ? 20 * DAY : next - now;
                int64_t between = now + (int64_t)(next_random(&random) % (uint64_t)span);
                expect(is_open(&w, between, &later) == open && later == next,
                       "changed before it was said to");
            }
        }
    }
}
END_TEST

START_TEST(test_jumps_of_the_clock_are_taken_as_promised)
{
    int64_t next;
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    int64_t forward = moment(2026, 3, 29, 1, 0); /* 02:00 becomes 03:00 */
    struct calendar_window w = {.from = {.second = 90 * 60},
                                .until = {.second = 150 * 60}};
    /* 01:30 until 02:30, which does not exist: until the jump. */
    ck_assert(!is_open(&w, forward - 31 * MINUTE, &next));
    ck_assert_int_eq(next, forward - 30 * MINUTE);
    ck_assert(is_open(&w, forward - 1, &next));
    ck_assert_int_eq(next, forward);
    ck_assert(!is_open(&w, forward, &next));
    /* 02:15 until 02:45: skipped whole, not made up for. */
    w.from.second = 135 * 60;
    w.until.second = 165 * 60;
    ck_assert(!is_open(&w, forward, &next));
    ck_assert_int_eq(next, moment(2026, 3, 30, 0, 15));
    int64_t back = moment(2026, 10, 25, 1, 0); /* 03:00 becomes 02:00 */
    ck_assert(!is_open(&w, back - 46 * MINUTE, &next));
    ck_assert(is_open(&w, back - 45 * MINUTE, &next)); /* 02:15 for the first time */
    ck_assert_int_eq(next, back + 45 * MINUTE);        /* 02:45 for the second */
    ck_assert(!is_open(&w, back + 45 * MINUTE, &next));
}
END_TEST

START_TEST(test_times_that_name_their_zone_are_taken_by_it)
{
    int64_t next;
    set_zone("EST5EDT,M3.2.0,M11.1.0");
    struct calendar_window w = {
        .from = {.has_date = true, .has_zone = true, .day = 20000, .second = 3600},
        .until = {.has_date = true,
                  .has_zone = true,
                  .day = 20000,
                  .second = 7200,
                  .zone_s = -1800}};
    ck_assert(!is_open(&w, 20000 * DAY + 3599, &next));
    ck_assert_int_eq(next, 20000 * DAY + 3600);
    ck_assert(is_open(&w, next, &next));
    ck_assert_int_eq(next, 20000 * DAY + 9000);
    ck_assert(!is_open(&w, next, &next));
    ck_assert_int_eq(next, INT64_MAX);
}
END_TEST

START_TEST(test_days_that_follow_one_another_are_one_window)
{
    int64_t next;
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    struct calendar_window w = {.days = 1u << 5 | 1u << 6, .until = {.second = 86400}};
    int64_t saturday = moment(2026, 6, 19, 22, 0); /* local midnight */
    ck_assert(!is_open(&w, saturday - 1, &next));
    ck_assert_int_eq(next, saturday);
    for (int64_t t = saturday; t < saturday + 2 * DAY; t += HOUR) {
        ck_assert(is_open(&w, t, &next));
    }
    ck_assert_int_eq(next, saturday + 2 * DAY);
    ck_assert(!is_open(&w, next, &next));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calendar");
    TCase *t = tcase_create("windows");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_windows_are_open_when_the_clocks_on_the_wall_say_so, 0,
                        (int)(sizeof zones / sizeof *zones));
    tcase_add_test(t, test_jumps_of_the_clock_are_taken_as_promised);
    tcase_add_test(t, test_times_that_name_their_zone_are_taken_by_it);
    tcase_add_test(t, test_days_that_follow_one_another_are_one_window);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
