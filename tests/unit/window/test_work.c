/* What a reading costs, counted and not timed: window/ is compiled once more for this
 * test so that each basic block that runs is counted. The count is the same on every
 * machine.
 *
 * A reading's cost, its push and one question, must not depend on the window's length;
 * of percentiles it may grow as the logarithm does. Nor may it depend on the values: a
 * sensor that sends nonsense must not be able to slow the gateway down. */
#include <check.h>
#include <math.h>
#include <stdio.h>

#include "../tap.h"
#include "window/window.h"

void __sanitizer_cov_trace_pc(void);

static uint64_t blocks;

void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

/* --- streams of values, each a hard one for some function --- */

static uint64_t seed;

static double uniform(void)
{
    return (double)(next_random(&seed) >> 11) * 0x1p-53;
}

static double noise(uint64_t i)
{
    (void)i;
    return 20 + uniform();
}
static double flat(uint64_t i)
{
    (void)i;
    return 0.1;
}
static double steps(uint64_t i)
{
    (void)i;
    return 20 + floor(uniform() * 4) / 10;
}
static double far_off(uint64_t i)
{
    (void)i;
    return 1e9 + uniform() * 1e-3;
}
static double last_digit(uint64_t i)
{
    (void)i;
    return 1e9 + floor(uniform() * 3) * 0x1p-23;
}
static double ramp(uint64_t i)
{
    return 1e6 + 0.25 * (double)i;
}
static double counter(uint64_t i)
{
    return (double)(i % 1009) * 7;
}
static double level_shifts(uint64_t i)
{
    return (double)(i / 777 % 5) * 1e6 + uniform();
}
/* What a driver sends for "no value", now and then. */
static double spikes(uint64_t i)
{
    return i % 501 == 500 ? (i % 2 ? -1 : 1) * 3.4028234663852886e38 : 20 + uniform();
}
static double largest(uint64_t i)
{
    return i % 501 == 500 ? 1.7976931348623157e308 : 20 + uniform();
}
static double all_largest(uint64_t i)
{
    return i % 3 == 2 ? -1.7e308 : 1.7e308 - uniform();
}
static double smallest(uint64_t i)
{
    return (double)(i % 7) * 5e-324;
}
static double mostly_nought(uint64_t i)
{
    return i % 100 == 99 ? 5 : i % 2 ? -0.0 : 0.0;
}
static double all_sizes(uint64_t i)
{
    static const double sizes[] = {1e-320, 1e-200, 0, 1, 1e100, 1e200, 1e308, -1e308};
    return sizes[i % 8] * uniform();
}
static double decay(uint64_t i)
{
    return ldexp(1 + uniform(), 1000 - (int)(i % 2000));
}
static double regimes(uint64_t i)
{
    static const double sizes[] = {1e-310, 1, 1e308, 0, 1e-310, 1e308};
    return sizes[i / 1501 % 6] * (0.5 + uniform() / 2);
}

static double (*const streams[])(uint64_t) = {
    noise,         flat,         steps,  far_off, last_digit,  ramp,
    counter,       level_shifts, spikes, largest, all_largest, smallest,
    mostly_nought, all_sizes,    decay,  regimes};
#define N_STREAMS (sizeof streams / sizeof streams[0])

/* --- measuring --- */

enum shape { BY_WIDTH, BY_COUNT, BY_BOTH, BY_LIMIT, N_SHAPES, STUCK_CLOCK };

/* Blocks a reading, in a window that holds n readings and is full. */
static double work(enum window_fn fn, enum shape shape, size_t stream, uint32_t n)
{
    struct span_spec span = {
        .width_us = shape == BY_COUNT || shape == STUCK_CLOCK ? 0
                    : shape == BY_LIMIT                       ? 300 * 86400 * US_PER_S
                                        : (int64_t)(n - 1) * US_PER_S,
        .count = shape == BY_WIDTH || shape == BY_LIMIT ? 0 : n,
        .functions = 1u << fn,
    };
    struct window_spec spec = {&span, 1, shape == BY_LIMIT ? n : 0};
    struct window *w = window_new(&spec);
    double v;
    uint64_t total = n + (n < 4000 ? 8000 : 2 * (uint64_t)n);
    ck_assert_ptr_nonnull(w);
    seed = 1;
    for (uint64_t i = 0; i < total; i++) {
        int64_t second = shape == STUCK_CLOCK ? 0 : (int64_t)i;
        struct point p = {{second * US_PER_S}, streams[stream](i)};
        if (i == n) {
            ck_assert_uint_eq(window_count(w), n);
            blocks = 0;
        }
        (void)window_push(w, p, NULL, NULL);
        (void)span_value(w, 0, fn, 95, 1, p.at, &v);
    }
    uint64_t counted = blocks;
    window_free(w);
    return (double)counted / (double)(total - n);
}

static void check_work(enum window_fn fn, enum shape shape, size_t stream)
{
    double few = work(fn, shape, stream, 10), some = work(fn, shape, stream, 3000),
           day = work(fn, shape, stream, 86400);
    bool sorted = fn == FN_MEDIAN || fn == FN_PERCENTILE || shape == STUCK_CLOCK;
    double growth = sorted ? log2(86400) / log2(3000) : 1;
    printf("# blocks a reading: %s, stream %zu, shape %d: %.0f of 10, %.0f of 3000, %.0f "
           "of 86400\n",
           window_fn_name(fn), stream, (int)shape, few, some, day);
    expect(day <= some * growth * 1.05 + 3, "%s: %.1f of 3000, %.1f of 86400",
           window_fn_name(fn), some, day);
    expect(some <= few * (sorted ? 4 : 2.5), "%s: %.1f of 10, %.1f of 3000",
           window_fn_name(fn), few, some);
}

START_TEST(test_cost_of_a_reading_does_not_depend_on_the_length)
{
    for (enum shape shape = 0; shape < N_SHAPES; shape++) {
        check_work((enum window_fn)_i, shape, 0);
    }
}
END_TEST

/* Of the functions whose work could depend on what the values are. */
static const enum window_fn delicate[] = {FN_AVG,    FN_RATE,  FN_STDDEV,    FN_ZSCORE,
                                          FN_MEDIAN, FN_SLOPE, FN_PERCENTILE};

START_TEST(test_cost_of_a_reading_does_not_depend_on_the_values)
{
    for (size_t k = 0; k < sizeof delicate / sizeof delicate[0]; k++) {
        check_work(delicate[k], BY_WIDTH, (size_t)_i);
    }
}
END_TEST

/* A device whose clock died sends different values at one time. */
START_TEST(test_cost_of_a_reading_does_not_depend_on_the_clock)
{
    check_work(FN_AVG, STUCK_CLOCK, 0);
    check_work(FN_AVG, STUCK_CLOCK, 5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("window_work");
    TCase *t = tcase_create("work");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_cost_of_a_reading_does_not_depend_on_the_length, 0, FN_N);
    tcase_add_loop_test(t, test_cost_of_a_reading_does_not_depend_on_the_values, 1,
                        (int)N_STREAMS);
    tcase_add_test(t, test_cost_of_a_reading_does_not_depend_on_the_clock);
    suite_add_tcase(s, t);
    return run_tap(s);
}
