#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../tap.h"

/* A clock that stands still until it is moved. */
struct fake {
    int64_t mono_us, wall_us;
    int64_t stall_us; /* passes on both clocks between two readings, `stalls` times */
    int stalls;
    bool corrected;
};

static void stall(struct fake *f)
{
    if (f->stalls > 0) {
        f->stalls--;
        f->mono_us += f->stall_us;
        f->wall_us += f->stall_us;
    }
}

static struct mono fake_mono(void *ctx)
{
    struct fake *f = ctx;
    struct mono now = {f->mono_us};
    stall(f);
    return now;
}

static struct wall fake_wall(void *ctx)
{
    return (struct wall){((struct fake *)ctx)->wall_us};
}

static bool fake_corrected(void *ctx)
{
    return ((struct fake *)ctx)->corrected;
}

#define START_WALL (INT64_C(1767225600) * US_PER_S)

static struct fake fake;
static struct clock clock_fake;
static struct arrival_clock arrival;

static void setup(void)
{
    fake = (struct fake){.mono_us = 5000, .wall_us = START_WALL};
    clock_fake = (struct clock){fake_mono, fake_wall, fake_corrected, &fake};
    arrival_init(&arrival, &clock_fake);
}

static void pass(int64_t us)
{
    fake.mono_us += us;
    fake.wall_us += us;
}

static int64_t arrival_now(void)
{
    return arrival_at(&arrival, (struct mono){fake.mono_us}).us;
}

START_TEST(test_arrival_is_carried_on_monotonically)
{
    pass(10 * US_PER_S);
    ck_assert_int_eq(arrival_now(), START_WALL + 10 * US_PER_S);
    fake.wall_us -= 3600 * US_PER_S; /* nobody looked yet */
    pass(US_PER_S);
    ck_assert_int_eq(arrival_now(), START_WALL + 11 * US_PER_S);
}
END_TEST

START_TEST(test_arrival_ignores_a_hand_at_the_clock_and_tells_once)
{
    int64_t by_us = 0;
    fake.wall_us += 3600 * US_PER_S;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_IGNORED);
    ck_assert_int_eq(by_us, 3600 * US_PER_S);
    pass(US_PER_S);
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEADY);
    ck_assert_int_eq(arrival_now(), START_WALL + US_PER_S);
    fake.wall_us -= 3600 * US_PER_S; /* put right again: the next jump is a new one */
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEADY);
    fake.wall_us -= 60 * US_PER_S;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_IGNORED);
    ck_assert_int_eq(by_us, -60 * US_PER_S);
}
END_TEST

START_TEST(test_arrival_follows_a_clock_that_a_time_service_holds)
{
    int64_t by_us = 0;
    fake.corrected = true;
    fake.wall_us -= 100 * US_PER_S;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEPPED);
    ck_assert_int_eq(by_us, -100 * US_PER_S);
    ck_assert_int_eq(arrival_now(), fake.wall_us);
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEADY);
}
END_TEST

START_TEST(test_arrival_steps_once_an_ignored_jump_turns_out_corrected)
{
    int64_t by_us = 0;
    fake.wall_us +=
        86400 * US_PER_S; /* a gateway without a battery, NTP not yet settled */
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_IGNORED);
    fake.corrected = true;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEPPED);
    ck_assert_int_eq(arrival_now(), fake.wall_us);
}
END_TEST

START_TEST(test_arrival_leaves_differences_up_to_the_step_alone)
{
    int64_t by_us = 77;
    fake.corrected = true;
    fake.wall_us += ARRIVAL_STEP_US;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEADY);
    ck_assert_int_eq(by_us, 77);
    ck_assert_int_eq(arrival_now(), START_WALL);
    fake.wall_us += 1;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEPPED);
}
END_TEST

START_TEST(test_arrival_takes_a_stalled_process_for_no_jump)
{
    int64_t by_us = 0;
    fake.stalls = 1;
    fake.stall_us = 10 * US_PER_S;
    ck_assert_int_eq(arrival_check(&arrival, &clock_fake, &by_us), ARRIVAL_STEADY);
    fake.stalls = 1000; /* every time: it gives up, and does not hang */
    (void)arrival_check(&arrival, &clock_fake, &by_us);
}
END_TEST

START_TEST(test_system_clock_runs)
{
    int64_t before = clock_system.mono(NULL).us;
    ck_assert_int_ge(clock_system.mono(NULL).us, before);
    int64_t wall = clock_system.wall(NULL).us / US_PER_S;
    int64_t now = (int64_t)time(NULL);
    ck_assert_int_le(wall, now + 1);
    ck_assert_int_ge(wall, now - 60);
    (void)clock_system.corrected(NULL);
}
END_TEST

START_TEST(test_iso_agrees_with_gmtime)
{
    const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
    uint64_t random = 5;
    for (int i = 0; i < 300000; i++) {
        int64_t s =
            first + (int64_t)(next_random(&random) % (uint64_t)(last - first + 1));
        if (i < 150000) { /* every day around 2000 and its leap years */
            s = (i - 75000) * INT64_C(86400) + 946684799 + (i & 1);
        }
        int64_t us = (int64_t)(next_random(&random) % 1000000);
        time_t when = (time_t)s;
        struct tm tm;
        char want[64], got[CLOCK_ISO_BYTES];
        gmtime_r(&when, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                 tm.tm_sec, (int)(us / 1000));
        wall_format_iso((struct wall){s * US_PER_S + us}, got);
        expect(strcmp(got, want) == 0, "%lld: %s, not %s", (long long)s, got, want);
    }
}
END_TEST

START_TEST(test_iso_clamps_to_four_digit_years)
{
    char out[CLOCK_ISO_BYTES];
    wall_format_iso((struct wall){INT64_MIN}, out);
    ck_assert_str_eq(out, "0000-01-01T00:00:00.000Z");
    wall_format_iso((struct wall){INT64_MAX}, out);
    ck_assert_str_eq(out, "9999-12-31T23:59:59.999Z");
    wall_format_iso((struct wall){-1}, out);
    ck_assert_str_eq(out, "1969-12-31T23:59:59.999Z");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("clock");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_arrival_is_carried_on_monotonically);
    tcase_add_test(t, test_arrival_ignores_a_hand_at_the_clock_and_tells_once);
    tcase_add_test(t, test_arrival_follows_a_clock_that_a_time_service_holds);
    tcase_add_test(t, test_arrival_steps_once_an_ignored_jump_turns_out_corrected);
    tcase_add_test(t, test_arrival_leaves_differences_up_to_the_step_alone);
    tcase_add_test(t, test_arrival_takes_a_stalled_process_for_no_jump);
    tcase_add_test(t, test_system_clock_runs);
    tcase_add_test(t, test_iso_agrees_with_gmtime);
    tcase_add_test(t, test_iso_clamps_to_four_digit_years);
    suite_add_tcase(s, t);
    return run_tap(s);
}
