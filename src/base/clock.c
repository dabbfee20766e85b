#include "base/clock.h"

#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define YEAR_0000_S INT64_C(-62167219200)
#define YEAR_9999_END_S INT64_C(253402300799)
/* The two clocks are read one after the other. A process held up between the two would
 * see a jump where there is none, so they count as one reading only if they were this
 * close. */
#define PAIR_US 10000
#define PAIR_TRIES 5

static int64_t read_us(clockid_t id)
{
    struct timespec t = {0};
    (void)clock_gettime(id, &t); /* cannot fail for these two clocks */
    return (int64_t)t.tv_sec * US_PER_S + (int64_t)(t.tv_nsec / 1000);
}

static struct mono system_mono(void *ctx)
{
    (void)ctx;
    return (struct mono){read_us(CLOCK_MONOTONIC)};
}

static struct wall system_wall(void *ctx)
{
    (void)ctx;
    return (struct wall){read_us(CLOCK_REALTIME)};
}

static bool system_corrected(void *ctx)
{
    (void)ctx;
    struct timex t;
    memset(&t, 0, sizeof t); /* modes 0: only asks */
    int state = adjtimex(&t);
    return state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

const struct clock clock_system = {
    .mono = system_mono, .wall = system_wall, .corrected = system_corrected, .ctx = NULL};

static void read_pair(const struct clock *clock, struct mono *ret_mono,
                      struct wall *ret_wall)
{
    for (int i = 0; i < PAIR_TRIES; i++) {
        *ret_mono = clock->mono(clock->ctx);
        *ret_wall = clock->wall(clock->ctx);
        if (clock->mono(clock->ctx).us - ret_mono->us <= PAIR_US) {
            return;
        }
    }
}

void arrival_init(struct arrival_clock *a, const struct clock *clock)
{
    *a = (struct arrival_clock){0};
    read_pair(clock, &a->base_mono, &a->base_wall);
}

struct wall arrival_at(const struct arrival_clock *a, struct mono now)
{
    return (struct wall){a->base_wall.us + (now.us - a->base_mono.us)};
}

enum arrival_step arrival_check(struct arrival_clock *a, const struct clock *clock,
                                int64_t *ret_by_us)
{
    struct mono now;
    struct wall system;
    read_pair(clock, &now, &system);
    int64_t by_us = system.us - arrival_at(a, now).us;
    if (by_us >= -ARRIVAL_STEP_US && by_us <= ARRIVAL_STEP_US) {
        a->jump_seen = false;
        return ARRIVAL_STEADY;
    }
    if (clock->corrected(clock->ctx)) {
        *a = (struct arrival_clock){.base_wall = system, .base_mono = now};
        *ret_by_us = by_us;
        return ARRIVAL_STEPPED;
    }
    if (a->jump_seen) {
        return ARRIVAL_STEADY;
    }
    a->jump_seen = true;
    *ret_by_us = by_us;
    return ARRIVAL_IGNORED;
}

static void put_digits(char *out, unsigned value, int digits)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void wall_format_iso(struct wall at, char out[CLOCK_ISO_BYTES])
{
    int64_t s = at.us / US_PER_S;
    int64_t us = at.us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        s--;
    }
    if (s < YEAR_0000_S) {
        s = YEAR_0000_S;
        us = 0;
    } else if (s > YEAR_9999_END_S) {
        s = YEAR_9999_END_S;
        us = US_PER_S - 1;
    }
    int64_t days = (s - YEAR_0000_S) / DAY_S; /* since 0000-01-01 */
    unsigned rest = (unsigned)((s - YEAR_0000_S) % DAY_S);

    /* Years that begin in March put the leap day at their end; 400 of them are 146097
     * days. 0000-01-01 is 60 days before such an era begins: count from the one before.
     */
    unsigned d = (unsigned)days + 146097 - 60;
    unsigned era = d / 146097;
    unsigned day_of_era = d % 146097;
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = era * 400 + year_of_era + (month <= 2 ? 1 : 0) - 400;

    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_ISO_BYTES);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, rest / 3600, 2);
    put_digits(out + 14, rest / 60 % 60, 2);
    put_digits(out + 17, rest % 60, 2);
    put_digits(out + 20, (unsigned)(us / US_PER_MS), 3);
}
