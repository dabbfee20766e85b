#include "window/ring.h"

#include <check.h>
#include <string.h>

#include "../tap.h"

#define CAP 64
#define EXTRA 5 /* doubles of the owner's */
#define MS INT64_C(1000)

static struct ring ring;
static struct point plain[CAP]; /* the same, oldest first */
static uint32_t n;

static void setup(void)
{
    ring = (struct ring){0};
    n = 0;
}

static void teardown(void)
{
    ring_free(&ring);
}

static void check_all(void)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = ring_place(&ring, i);
        expect(ring_time(&ring, place).us == plain[i].at.us, "time %u of %u", i, n);
        expect(ring.values[place] == plain[i].value, "value %u of %u", i, n);
    }
}

static void drop_oldest(void)
{
    ring.at = ring_place(&ring, 1);
    memmove(plain, plain + 1, --n * sizeof plain[0]);
}

static void put_last(struct point p)
{
    if (n == CAP) {
        drop_oldest();
    }
    if (n == ring.cap || !ring_takes(&ring, p.at)) {
        uint32_t cap = n == ring.cap ? n + 4 : ring.cap;
        ck_assert(ring_resize(&ring, cap, EXTRA, n, p.at));
        for (int k = 0; k < EXTRA; k++) {
            ring.values[cap + (uint32_t)k] = -1; /* ours */
        }
    }
    expect(ring_takes(&ring, p.at), "made anew for it and does not take it");
    ring_set(&ring, ring_place(&ring, n), p);
    plain[n++] = p;
}

static const int64_t starts[] = {0,
                                 -7 * MS,
                                 INT64_C(1767225600000000),
                                 INT64_C(1767225600000001),
                                 INT64_MIN,
                                 INT64_MAX - 50 * MS};

static int64_t step_of(int kind, uint64_t r)
{
    switch (kind) {
    case 0:
        return MS; /* narrow, milliseconds */
    case 1:
        return (int64_t)(r % 5000); /* narrow, microseconds */
    case 2:
        return (int64_t)(r % 8) * UINT32_MAX / 4; /* at the edges of a reach */
    case 3:
        return (int64_t)(r % 8) * UINT32_MAX * 250; /* likewise in milliseconds */
    case 4:
        return r % 50 == 0 ? 1 : MS; /* rarely not whole */
    default:
        return -(int64_t)(r % 3) * MS; /* older and older */
    }
}

START_TEST(test_times_come_back_as_they_were_put)
{
    enum { TURNS = 20000 };
    for (size_t k = 0; k < sizeof starts / sizeof starts[0]; k++) {
        uint64_t random = 11 * (uint64_t)_i + k;
        struct wall at = {starts[k]};
        for (int turn = 0; turn < TURNS; turn++) {
            uint64_t r = next_random(&random);
            at = wall_shifted(at, step_of(_i, r >> 8));
            put_last((struct point){at, (double)turn});
            if (r % 97 == 0) {
                int64_t by = (int64_t)(r >> 20) - (INT64_C(1) << 43);
                ring_shift(&ring, n, by);
                at = wall_shifted(at, by);
                for (uint32_t i = 0; i < n; i++) {
                    plain[i].at = wall_shifted(plain[i].at, by);
                }
            }
            if (r % 31 == 0 && n > 2) {
                ring_copy(&ring, ring_place(&ring, n - 1), ring_place(&ring, n - 2));
                plain[n - 1] = plain[n - 2];
            }
            while (r % 61 == 0 && n > 1) {
                drop_oldest();
            }
            if (turn % 16 == 0) {
                check_all();
            }
        }
        check_all();
        ring_free(&ring);
        n = 0;
    }
}
END_TEST

START_TEST(test_readings_of_a_minute_take_twelve_bytes)
{
    static const int64_t steps[] = {US_PER_S, US_PER_MS, 999983, 3};
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        struct wall at = {starts[3]};
        /* Long enough to leave a first reach behind. */
        for (int i = 0; i < 20000; i++) {
            put_last((struct point){at, i});
            at.us += steps[k];
        }
        ck_assert_uint_eq(ring_bytes(&ring, 0), 12 * CAP);
        ring_free(&ring);
        n = 0;
    }
}
END_TEST

static Suite *ring_suite(void)
{
    Suite *s = suite_create("ring");
    TCase *t = tcase_create("ring");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_times_come_back_as_they_were_put, 0, 6);
    tcase_add_test(t, test_readings_of_a_minute_take_twelve_bytes);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(ring_suite());
}
