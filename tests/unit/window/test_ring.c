#include "window/ring.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "../tap.h"

#define CAP 64
#define EXTRA 5 /* doubles of the owner's */
#define MS INT64_C(1000)

static struct ring ring;
static struct point plain[CAP]; /* the same, oldest first */
static uint32_t n;
static int made; /* how often the ring was made anew, but for its size */

static void setup(void)
{
    ring = (struct ring){0};
    n = 0;
    made = 0;
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
        double v = ring_value(&ring, place);
        expect(memcmp(&v, &plain[i].value, sizeof v) == 0, "value %u of %u: %a for %a", i,
               n, v, plain[i].value);
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
    if (n == ring.cap || !ring_takes(&ring, p)) {
        uint32_t cap = n == ring.cap ? n + 3 : ring.cap;
        made += n < ring.cap;
        ck_assert(ring_resize(&ring, cap, EXTRA, n, p));
        for (int k = 0; k < EXTRA; k++) {
            ring_extra(&ring)[k] = -1; /* ours */
        }
    }
    expect(ring_takes(&ring, p), "made anew for it and does not take it");
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

static double value_of(int kind, uint64_t r)
{
    static const double odd[] = {-0.0,
                                 0.0,
                                 1.0 / 3,
                                 1e300,
                                 -1e-300,
                                 5e-324,
                                 32767,
                                 -32767,
                                 32768,
                                 -32768,
                                 0.1 + 0.2,
                                 INT32_MAX,
                                 INT32_MIN,
                                 2147483648.0,
                                 214.7483648,
                                 1e-7,
                                 1e-8,
                                 0.1,
                                 9007199254740993.0,
                                 INFINITY};
    int64_t whole = (int64_t)(r >> 40) - (1 << 23);
    switch (kind) {
    case 0:
        return (double)(whole % 400);
    case 1:
        return (double)(whole % 10000) / 100;
    case 2:
        return (double)whole / 1e7; /* as many places as there are */
    case 3:
        return (double)whole /
               pow(10, (double)(r % 9)); /* finer and finer, and one too fine */
    case 4:
        return r % 64 == 0 ? odd[(r >> 8) % (sizeof odd / sizeof odd[0])]
                           : (double)(whole % 100) / 10;
    default: { /* any double */
        double v;
        memcpy(&v, &r, sizeof v);
        return v;
    }
    }
}

START_TEST(test_values_come_back_to_the_bit)
{
    enum { TURNS = 20000 };
    uint64_t random = 7 + (uint64_t)_i;
    struct wall at = {starts[2]};
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t r = next_random(&random);
        at = wall_shifted(at, US_PER_S);
        put_last((struct point){at, value_of(_i, next_random(&random))});
        if (r % 31 == 0 && n > 2) {
            ring_copy(&ring, ring_place(&ring, n - 1), ring_place(&ring, n - 2));
            plain[n - 1] = plain[n - 2];
        }
        while (r % 61 == 0 && n > 1) {
            drop_oldest();
        }
        check_all();
    }
}
END_TEST

/* However values come, their form only gets wider or finer. */
START_TEST(test_a_value_rarely_makes_the_ring_anew)
{
    struct wall at = {0};
    uint64_t random = 3;
    for (int i = 0; i < 200000; i++) {
        put_last((struct point){at, value_of(i % 6, next_random(&random))});
    }
    ck_assert_int_le(made, RING_PLACES_MAX + 3);
}
END_TEST

START_TEST(test_bytes_a_reading)
{
    static const struct {
        int64_t step;
        double unit;
        unsigned bytes;
    } rows[] = {{US_PER_S, 0.01, 2 + 2},
                {US_PER_S, 1e-6, 2 + 4},
                {US_PER_S, 1.0 / 3, 2 + 8},
                {US_PER_MS, 0.5, 4 + 2},
                {999983, 1, 4 + 2},
                {3, 100, 4 + 4},
                {20 * 60 * US_PER_S, 1, 4 + 2}, /* 64 of them are longer than 18 h */
                {INT64_C(31) * 24 * 3600 * US_PER_S, 1, 8 + 2}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct wall at = {starts[3]};
        /* Long enough to leave a first reach behind. */
        for (int i = 0; i < 20000; i++) {
            double v = i % 1000;
            v = rows[k].unit < 1 ? v / (1 / rows[k].unit) : v * rows[k].unit;
            put_last((struct point){at, v});
            at.us += rows[k].step;
        }
        expect(ring_bytes(&ring, 0) <= rows[k].bytes * ring.cap + 8,
               "row %zu: %zu bytes for %u", k, ring_bytes(&ring, 0), ring.cap);
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
    tcase_add_loop_test(t, test_values_come_back_to_the_bit, 0, 6);
    tcase_add_test(t, test_a_value_rarely_makes_the_ring_anew);
    tcase_add_test(t, test_bytes_a_reading);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(ring_suite());
}
