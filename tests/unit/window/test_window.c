/* What a window promises, one promise a test. That its values are right is the business
 * of oracle_window.py, which recomputes thousands of windows exactly. */
#include "window/window.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "window/order.h"

#define ALL ((1u << FN_N) - 1)
#define S US_PER_S

static struct span_spec spans[4];
static struct window_spec spec;
static struct window *w;

static void start(uint32_t n_spans, uint32_t points_max)
{
    spec = (struct window_spec){
        .spans = spans, .n_spans = n_spans, .points_max = points_max};
    w = window_new(&spec);
    ck_assert_ptr_nonnull(w);
}

static void start_one(int64_t width_us, uint32_t count, uint32_t functions)
{
    spans[0] = (struct span_spec){width_us, count, functions};
    start(1, 100000);
}

static void stop(void)
{
    window_free(w);
    w = NULL;
}

static enum window_push push(int64_t us, double value)
{
    return window_push(w, (struct point){{us}, value}, NULL, NULL);
}

/* NAN for unknown, at the time of the newest reading. */
static double value_min(enum window_fn fn, uint32_t min_points)
{
    double v;
    return span_value(w, 0, fn, 50, min_points, window_newest(w), &v) ? v : NAN;
}

static double value(enum window_fn fn)
{
    return value_min(fn, 1);
}

START_TEST(test_window_keeps_reading_at_its_closed_bound)
{
    start_one(10 * S, 0, ALL);
    push(0, 1);
    push(10 * S, 2);
    ck_assert_uint_eq(window_count(w), 2);
    push(10 * S + 1, 3);
    ck_assert_uint_eq(window_count(w), 2);
    ck_assert_double_eq(window_at(w, 0).value, 2);
}
END_TEST

START_TEST(test_window_says_what_expired_and_what_was_too_many)
{
    start_one(10 * S, 0, ALL);
    for (int i = 0; i < 5; i++) {
        push(i, i);
    }
    size_t expired, over;
    window_push(w, (struct point){{10 * S + 3}, 9}, &expired, &over);
    ck_assert_uint_eq(expired, 3);
    ck_assert_uint_eq(over, 0);
    stop();
    start(1, 3);
    push(0, 1);
    push(1, 1);
    push(2, 1);
    window_push(w, (struct point){{3}, 1}, &expired, &over);
    ck_assert_uint_eq(expired, 1);
    ck_assert_uint_eq(over, 1);
    ck_assert_uint_eq(window_count(w), 3);
}
END_TEST

START_TEST(test_span_empties_at_newest_plus_width)
{
    start_one(10 * S, 0, ALL);
    double v;
    ck_assert(span_is_empty(w, 0, (struct wall){0}));
    push(5 * S, 1);
    push(6 * S, 3);
    ck_assert(!span_is_empty(w, 0, (struct wall){16 * S - 1}));
    ck_assert(span_value(w, 0, FN_AVG, 0, 0, (struct wall){16 * S - 1}, &v));
    ck_assert_double_eq(v, 2);
    ck_assert(span_is_empty(w, 0, (struct wall){16 * S}));
    ck_assert_uint_eq(span_count(w, 0, (struct wall){16 * S}), 0);
    ck_assert(!span_value(w, 0, FN_SUM, 0, 1, (struct wall){16 * S}, &v));
    ck_assert(span_value(w, 0, FN_COUNT, 0, 7, (struct wall){16 * S}, &v));
    ck_assert_double_eq(v, 0);
}
END_TEST

START_TEST(test_span_by_count_never_empties)
{
    start_one(0, 2, ALL);
    push(0, 1);
    push(S, 3);
    push(2 * S, 5);
    double v;
    ck_assert(span_value(w, 0, FN_AVG, 0, 0, (struct wall){INT64_MAX}, &v));
    ck_assert_double_eq(v, 4);
    ck_assert_uint_eq(window_count(w), 2);
}
END_TEST

START_TEST(test_window_inserts_late_reading_behind_equal_times)
{
    start_one(10 * S, 0, ALL);
    push(1 * S, 1);
    push(3 * S, 3);
    push(5 * S, 5);
    ck_assert_int_eq(push(3 * S, 4), WINDOW_INSERTED);
    ck_assert_double_eq(window_at(w, 2).value, 4);
    ck_assert_double_eq(value(FN_LAST), 5);
    ck_assert_double_eq(value(FN_SUM), 13);
    ck_assert_double_eq(value(FN_CHANGES), 3);
    ck_assert_int_eq(push(-5 * S - 1, 4), WINDOW_LATE);
    ck_assert_int_eq(push(-5 * S, 4), WINDOW_INSERTED);
    ck_assert_int_eq(window_cutoff(w).us, -5 * S);
}
END_TEST

START_TEST(test_window_ignores_redelivery)
{
    start_one(10 * S, 0, ALL);
    push(1 * S, 1);
    push(3 * S, 3);
    ck_assert_int_eq(push(3 * S, 3), WINDOW_DUPLICATE);
    ck_assert_int_eq(push(1 * S, 1), WINDOW_DUPLICATE);
    ck_assert_int_eq(push(3 * S, 3.5), WINDOW_APPENDED);
    ck_assert_int_eq(push(3 * S, 3), WINDOW_DUPLICATE);
    ck_assert_uint_eq(window_count(w), 3);
}
END_TEST

/* A clock that stands still: what left the window may come again, what is in it not. */
START_TEST(test_redelivery_is_known_among_many_of_equal_time)
{
    start_one(0, 500, ALL);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(push(7, i), WINDOW_APPENDED);
    }
    ck_assert_uint_eq(window_count(w), 500);
    ck_assert_int_eq(push(7, 1500), WINDOW_DUPLICATE);
    ck_assert_int_eq(push(7, 1999), WINDOW_DUPLICATE);
    ck_assert_int_eq(push(7, 1499), WINDOW_APPENDED);
    ck_assert_int_eq(push(7, 1500), WINDOW_APPENDED);
    ck_assert_int_eq(push(7, -0.0), WINDOW_APPENDED);
    ck_assert_int_eq(push(7, 0.0), WINDOW_DUPLICATE);
    size_t stuck = window_bytes(w);
    ck_assert_int_eq(push(8, 1999), WINDOW_APPENDED);
    ck_assert_uint_lt(window_bytes(w), stuck - 10000); /* no longer remembered */
    ck_assert_int_eq(push(7, 1998), WINDOW_DUPLICATE); /* looked for, as it is late */
    ck_assert_int_eq(push(8, 1999), WINDOW_DUPLICATE);
}
END_TEST

START_TEST(test_span_by_count_takes_late_reading_until_full)
{
    start_one(0, 3, ALL);
    push(10, 1);
    push(20, 2);
    ck_assert_int_eq(window_cutoff(w).us, INT64_MIN);
    ck_assert_int_eq(push(5, 0), WINDOW_INSERTED);
    ck_assert_int_eq(window_cutoff(w).us, 5);
    ck_assert_int_eq(push(4, 0), WINDOW_LATE);
    ck_assert_int_eq(push(15, 9), WINDOW_INSERTED);
    ck_assert_double_eq(window_at(w, 0).value, 1);
    ck_assert_uint_eq(window_count(w), 3);
}
END_TEST

START_TEST(test_window_keeps_what_its_widest_span_needs)
{
    spans[0] = (struct span_spec){10 * S, 0, ALL};
    spans[1] = (struct span_spec){0, 4, ALL};
    spans[2] = (struct span_spec){60 * S, 2, ALL};
    start(3, 100000);
    for (int i = 0; i < 10; i++) {
        push(i * 100 * S, i);
    }
    ck_assert_uint_eq(window_count(w), 4);
    ck_assert_uint_eq(span_count(w, 0, window_newest(w)), 1);
    ck_assert_uint_eq(span_count(w, 1, window_newest(w)), 4);
    ck_assert_uint_eq(span_count(w, 2, window_newest(w)), 1);
    ck_assert_double_eq(span_at(w, 1, 0).value, 6);
}
END_TEST

START_TEST(test_functions_want_the_readings_that_the_spec_says)
{
    struct span_spec width = {S, 0, ALL}, count = {0, 5, ALL}, both = {S, 5, ALL};
    ck_assert_uint_eq(span_min_points(&width, FN_AVG, 0), 2);
    ck_assert_uint_eq(span_min_points(&width, FN_ZSCORE, 0), 2);
    ck_assert_uint_eq(span_min_points(&width, FN_SUM, 0), 1);
    ck_assert_uint_eq(span_min_points(&width, FN_FIRST, 0), 1);
    ck_assert_uint_eq(span_min_points(&width, FN_LAST, 0), 1);
    ck_assert_uint_eq(span_min_points(&count, FN_SUM, 0), 5);
    ck_assert_uint_eq(span_min_points(&both, FN_AVG, 0), 5);
    ck_assert_uint_eq(span_min_points(&both, FN_AVG, 3), 3);
    ck_assert_uint_eq(span_min_points(&both, FN_COUNT, 3), 0);
}
END_TEST

START_TEST(test_functions_of_one_reading)
{
    start_one(10 * S, 0, ALL);
    push(0, 7);
    ck_assert(isnan(value_min(FN_AVG, 0)));
    ck_assert_double_eq(value_min(FN_SUM, 0), 7);
    ck_assert_double_eq(value(FN_AVG), 7);
    ck_assert_double_eq(value(FN_MEDIAN), 7);
    ck_assert_double_eq(value(FN_RANGE), 0);
    ck_assert_double_eq(value(FN_CHANGES), 0);
    ck_assert(isnan(value(FN_DELTA)) && isnan(value(FN_RATE)) && isnan(value(FN_SLOPE)) &&
              isnan(value(FN_STDDEV)) && isnan(value(FN_ZSCORE)));
}
END_TEST

START_TEST(test_deviation_of_nought_is_unknown)
{
    start_one(10 * S, 0, ALL);
    for (int i = 0; i < 5; i++) {
        push(i, 0.1);
    }
    ck_assert(isnan(value(FN_STDDEV)));
    push(5, 99);
    ck_assert(isnan(value(FN_ZSCORE))); /* the others are all equal */
    ck_assert_double_gt(value(FN_STDDEV), 40);
    push(6, 98);
    ck_assert(!isnan(value(FN_ZSCORE)));
}
END_TEST

START_TEST(test_zscore_compares_latest_with_the_others)
{
    start_one(60 * S, 0, 1u << FN_ZSCORE);
    push(1 * S, 10);
    push(2 * S, 12);
    ck_assert(isnan(value(FN_ZSCORE)));
    push(3 * S, 1e300);
    ck_assert_double_eq_tol(value(FN_ZSCORE) / (1e300 / sqrt(2)), 1, 1e-12);
    stop();
    start_one(60 * S, 0, 1u << FN_ZSCORE);
    push(1 * S, 10);
    push(2 * S, 12);
    push(3 * S, 14);
    ck_assert_double_eq_tol(value(FN_ZSCORE), 3 / sqrt(2), 1e-12);
}
END_TEST

START_TEST(test_rate_counts_a_fall_as_reset)
{
    start_one(60 * S, 0, ALL);
    push(0, 100);
    push(2 * S, 110);
    push(4 * S, 4);
    push(8 * S, 10);
    ck_assert_double_eq(value(FN_RATE), (10 + 4 + 6) / 8.0);
    stop();
    start_one(60 * S, 0, ALL);
    push(0, 100);
    push(0, 110);
    ck_assert(isnan(value(FN_RATE)) && isnan(value(FN_SLOPE)));
}
END_TEST

START_TEST(test_slope_is_per_second_also_far_from_1970)
{
    start_one(600 * S, 0, 1u << FN_SLOPE);
    for (int64_t i = 0; i < 5000; i++) {
        push(1767225600 * S + i * S, 1e6 - 0.25 * (double)i);
        if (i > 1) {
            ck_assert_double_eq_tol(value(FN_SLOPE), -0.25, 1e-12);
        }
    }
}
END_TEST

START_TEST(test_sum_that_overflows_is_unknown_until_the_value_left)
{
    start_one(0, 3, ALL);
    push(0, 1.5e308);
    push(1, 1.5e308);
    ck_assert(isnan(value(FN_SUM)));
    ck_assert_double_eq(value(FN_AVG), 1.5e308);
    push(2, 1);
    push(3, 1);
    ck_assert_double_eq(value(FN_SUM), 1.5e308);
    push(4, 1);
    ck_assert_double_eq(value(FN_SUM), 3);
    ck_assert_double_eq(value(FN_AVG), 1);
}
END_TEST

START_TEST(test_clear_gives_everything_back)
{
    start_one(1000 * S, 0, ALL);
    size_t bare = window_bytes(w);
    for (int i = 0; i < 1000; i++) {
        push(i, i);
    }
    ck_assert_uint_gt(window_bytes(w), bare + 16000);
    window_clear(w);
    ck_assert_uint_eq(window_bytes(w), bare);
    ck_assert_uint_eq(window_count(w), 0);
    push(-5, 3);
    push(-4, 4);
    ck_assert_double_eq(value(FN_MEDIAN), 3.5);
    ck_assert_double_eq(value(FN_AVG), 3.5);
}
END_TEST

START_TEST(test_window_of_a_minute_is_small)
{
    start_one(60 * S, 0, 1u << FN_AVG);
    for (int64_t i = 0; i < 500; i++) {
        push(i * S, (double)i);
    }
    ck_assert_uint_eq(window_count(w), 61);
    ck_assert_uint_lt(window_bytes(w), 640);
}
END_TEST

START_TEST(test_room_for_what_is_expected_is_made_at_once)
{
    for (int n = 1; n <= 500; n += 7) {
        start_one(1000 * S, 0, 1u << FN_AVG);
        window_expect(w, (size_t)n, (struct point){{0}, 20});
        size_t made = window_bytes(w);
        for (int i = 0; i < n; i++) {
            ck_assert_int_eq(push(i * S, 20 + i % 3), WINDOW_APPENDED);
            ck_assert_uint_eq(window_bytes(w), made);
        }
        window_expect(w, 10000, (struct point){{0}, 20}); /* not empty: it says nothing */
        ck_assert_uint_eq(window_bytes(w), made);
        stop();
    }
    start_one(0, 10, 1u << FN_AVG); /* no more than it may ever hold */
    window_expect(w, SIZE_MAX, (struct point){{0}, 20});
    ck_assert_uint_lt(window_bytes(w), 500);
}
END_TEST

START_TEST(test_window_gives_memory_back_when_it_shrank)
{
    start_one(60 * S, 0, (1u << FN_AVG) | (1u << FN_MEDIAN));
    int64_t t = 0;
    for (int i = 0; i < 100000; i++) {
        push(t += 500, i);
    }
    size_t full = window_bytes(w);
    ck_assert_uint_lt(full, 100000 * (16 + 24) * 5 / 4);
    for (int i = 0; i < 200; i++) {
        push(t += S, i);
    }
    ck_assert_uint_eq(window_count(w), 61);
    ck_assert_uint_lt(window_bytes(w), full / 100);
}
END_TEST

START_TEST(test_times_at_the_ends_of_the_calendar_do_no_harm)
{
    start_one(366 * 86400 * S, 0, ALL);
    ck_assert_int_eq(push(INT64_MIN, 1), WINDOW_APPENDED);
    ck_assert_int_eq(push(INT64_MIN + 1, 2), WINDOW_APPENDED);
    ck_assert_int_eq(push(INT64_MAX, 2), WINDOW_APPENDED);
    ck_assert_uint_eq(window_count(w), 1);
    ck_assert(!span_is_empty(w, 0, (struct wall){INT64_MAX}));
    ck_assert_int_eq(push(INT64_MAX - 5 * S, 1), WINDOW_INSERTED);
    ck_assert_double_eq_tol(value(FN_SLOPE), 0.2, 1e-15);
}
END_TEST

/* --- drift --- */

static uint64_t random_state;

static double uniform(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

static void compare_with_recomputation(void)
{
    size_t n = span_count(w, 0, window_newest(w));
    long double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += span_at(w, 0, i).value;
    }
    long double mean = sum / (long double)n;
    for (size_t i = 0; i < n; i++) {
        long double off = span_at(w, 0, i).value - mean;
        squares += off * off;
    }
    double deviation = (double)sqrtl(squares / (long double)(n - 1));
    ck_assert_double_lt(fabs(value(FN_SUM) - (double)sum), 1e-12 * fabs((double)sum));
    ck_assert_double_lt(fabs(value(FN_AVG) - (double)mean), 1e-12 * fabs((double)mean));
    ck_assert_double_lt(fabs(value(FN_STDDEV) - deviation), 1e-11 * deviation);
}

START_TEST(test_ten_million_readings_leave_no_drift)
{
    start_one(60 * S, 0, (1u << FN_AVG) | (1u << FN_SUM) | (1u << FN_STDDEV));
    random_state = 88172645463325252u;
    double mean = 20;
    for (int64_t i = 0; i < 10 * 1000 * 1000; i++) {
        double v = mean + uniform();
        if (i % 1000000 == 500000) {
            v = i % 2000000 < 1000000 ? 1e15
                                      : 1e308; /* leaves before the next comparison */
        }
        if (i % 3000000 == 0) {
            mean = mean * 1000 + 3; /* the level shifts, far beyond the noise */
        }
        push(i * 20000, v);
        if (i % 5 == 0) {
            (void)value(FN_AVG);
            (void)value(FN_STDDEV);
        }
        if (i % 100003 == 99999) {
            compare_with_recomputation();
        }
    }
}
END_TEST

/* Ten years later or earlier, every function says the same, and goes on to. */
START_TEST(test_window_that_was_shifted_goes_on_as_before)
{
    enum { N = 500, AT = 300 };
    const int64_t by[] = {0, 3652 * 86400 * S, -3652 * 86400 * S};
    static double values[3][N][FN_N];
    for (size_t run = 0; run < 3; run++) {
        random_state = 5;
        start_one(60 * S, 0, ALL);
        int64_t at = INT64_C(1767225600) * S;
        for (int i = 0; i < N; i++) {
            at += (int64_t)(uniform() * (double)S);
            push(at + (i < AT ? 0 : by[run]), uniform() * 100);
            if (i == AT - 1) {
                window_shift(w, by[run]);
                ck_assert_int_eq(window_newest(w).us, at + by[run]);
            }
            for (unsigned fn = 0; fn < FN_N; fn++) {
                values[run][i][fn] = value((enum window_fn)fn);
            }
        }
        stop();
    }
    ck_assert_int_eq(memcmp(values[0], values[1], sizeof values[0]), 0);
    ck_assert_int_eq(memcmp(values[0], values[2], sizeof values[0]), 0);
}
END_TEST

START_TEST(test_figures_recover_as_soon_as_a_huge_value_left)
{
    static const double huge[] = {1e6, 1e9, 1e15, 1e150, 1e308};
    for (size_t k = 0; k < sizeof huge / sizeof huge[0]; k++) {
        start_one(0, 100, (1u << FN_AVG) | (1u << FN_SUM) | (1u << FN_STDDEV));
        random_state = 88172645463325252u;
        for (int i = 0; i < 1000; i++) {
            push(i, i % 350 == 130 + i / 350 ? huge[k] : 50 + uniform() * 1e-3);
            (void)value(FN_AVG);
            (void)value(FN_STDDEV);
            if (i % 350 > 233 && i % 350 < 480) {
                compare_with_recomputation();
            }
        }
        stop();
    }
}
END_TEST

/* --- the order-statistic tree --- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(test_order_finds_what_sorting_finds)
{
    random_state = 4101842887655102017u;
    for (int round = 0; round < 40; round++) {
        struct order o = {0};
        double held[300], sorted[300];
        uint32_t n = 0, of = round % 2 ? 10 : 1000;
        for (int step = 0; step < 2000; step++) {
            bool grow = (step / 300) % 2 == 0;
            if (n == 0 || (n < 300 && uniform() < (grow ? 0.8 : 0.2))) {
                held[n] = floor(uniform() * of);
                ck_assert(order_reserve(&o));
                order_add(&o, held[n++]);
            } else {
                uint32_t i = (uint32_t)(uniform() * n);
                order_remove(&o, held[i]);
                held[i] = held[--n];
                order_trim(&o);
            }
            for (uint32_t i = 0; i < n; i++) {
                sorted[i] = held[i];
            }
            qsort(sorted, n, sizeof *sorted, by_value);
            for (uint32_t i = 0; i < n; i += 1 + n / 10) {
                ck_assert_double_eq(order_at(&o, i), sorted[i]);
            }
        }
        order_finish(&o);
    }
}
END_TEST

START_TEST(test_order_stays_fast_for_sorted_input)
{
    struct order o = {0};
    for (uint32_t i = 0; i < 200000; i++) { /* a list would take minutes */
        ck_assert(order_reserve(&o));
        order_add(&o, i);
        if (i >= 100000) {
            order_remove(&o, i - 100000);
        }
    }
    ck_assert_double_eq(order_at(&o, 50000), 150000);
    order_finish(&o);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("window");
    TCase *t = tcase_create("window");
    tcase_set_timeout(t, 100);
    tcase_add_checked_fixture(t, NULL, stop);
    tcase_add_test(t, test_window_keeps_reading_at_its_closed_bound);
    tcase_add_test(t, test_window_says_what_expired_and_what_was_too_many);
    tcase_add_test(t, test_span_empties_at_newest_plus_width);
    tcase_add_test(t, test_span_by_count_never_empties);
    tcase_add_test(t, test_window_inserts_late_reading_behind_equal_times);
    tcase_add_test(t, test_window_ignores_redelivery);
    tcase_add_test(t, test_redelivery_is_known_among_many_of_equal_time);
    tcase_add_test(t, test_span_by_count_takes_late_reading_until_full);
    tcase_add_test(t, test_window_keeps_what_its_widest_span_needs);
    tcase_add_test(t, test_functions_want_the_readings_that_the_spec_says);
    tcase_add_test(t, test_functions_of_one_reading);
    tcase_add_test(t, test_deviation_of_nought_is_unknown);
    tcase_add_test(t, test_zscore_compares_latest_with_the_others);
    tcase_add_test(t, test_rate_counts_a_fall_as_reset);
    tcase_add_test(t, test_slope_is_per_second_also_far_from_1970);
    tcase_add_test(t, test_sum_that_overflows_is_unknown_until_the_value_left);
    tcase_add_test(t, test_clear_gives_everything_back);
    tcase_add_test(t, test_window_of_a_minute_is_small);
    tcase_add_test(t, test_room_for_what_is_expected_is_made_at_once);
    tcase_add_test(t, test_window_gives_memory_back_when_it_shrank);
    tcase_add_test(t, test_times_at_the_ends_of_the_calendar_do_no_harm);
    tcase_add_test(t, test_ten_million_readings_leave_no_drift);
    tcase_add_test(t, test_window_that_was_shifted_goes_on_as_before);
    tcase_add_test(t, test_figures_recover_as_soon_as_a_huge_value_left);
    tcase_add_test(t, test_order_finds_what_sorting_finds);
    tcase_add_test(t, test_order_stays_fast_for_sorted_input);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
