/* Quantiles against a sorted array: never off by more than a bin, and always a value that
 * came. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "../tap.h"
#include "prove/spread.h"

#define BIN 0.008 /* of a value's size */

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(test_quantiles_are_those_of_a_sorted_array)
{
    enum { N = 20000 };
    static double values[N];
    static const double shares[] = {0, .01, .05, .25, .5, .75, .95, .99, 1};
    uint64_t random = (uint64_t)_i + 1;
    struct spread s = {0};
    for (size_t i = 0; i < N; i++) {
        double unit = (double)(next_random(&random) >> 11) * 0x1p-53;
        values[i] = _i == 0   ? -20 + 10 * unit          /* around a freezer's */
                    : _i == 1 ? (double)(long)(unit * 8) /* few, whole */
                    : _i == 2 ? ldexp(unit - .5, (int)(next_random(&random) % 600) - 300)
                              : (unit < .5 ? -1 : 1) * exp(unit * 20);
        ck_assert(spread_add(&s, values[i]));
    }
    qsort(values, N, sizeof *values, rising);
    ck_assert(s.least == values[0] && s.most == values[N - 1]);
    ck_assert_uint_eq(s.n, N);
    for (size_t k = 0; k < sizeof shares / sizeof *shares; k++) {
        size_t rank = (size_t)fmax(1, ceil(shares[k] * N));
        double want = values[rank - 1], got = spread_quantile(&s, shares[k]);
        expect(fabs(got - want) <= BIN * fabs(want), "%g: %.17g, not %.17g", shares[k],
               got, want);
        expect(bsearch(&got, values, N, sizeof *values, rising), "%.17g never came", got);
    }
    spread_finish(&s);
}
END_TEST

START_TEST(test_extremes)
{
    struct spread s = {0};
    static const double all[] = {-DBL_MAX, -1,           -DBL_TRUE_MIN, -0.0,
                                 0,        DBL_TRUE_MIN, DBL_MAX};
    for (size_t i = 0; i < 7; i++) {
        ck_assert(spread_add(&s, all[i]));
    }
    ck_assert(spread_quantile(&s, 0) == -DBL_MAX);
    ck_assert(spread_quantile(&s, .5) == 0);
    ck_assert(spread_quantile(&s, 1) == DBL_MAX);
    spread_finish(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spread");
    TCase *t = tcase_create("quantiles");
    tcase_add_loop_test(t, test_quantiles_are_those_of_a_sorted_array, 0, 4);
    tcase_add_test(t, test_extremes);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
