/* A rate: never more than its average and one burst, in any stretch of time; and an even
 * pace at the rate is never refused. */
#include <check.h>

#include "../tap.h"
#include "base/rate.h"

#define US INT64_C(1000000)

START_TEST(test_any_stretch_of_time_holds_at_most_rate_and_burst)
{
    enum { EVENTS = 4000 };
    static int64_t passed[EVENTS];
    static const uint32_t rates[] = {1, 3, 17, 250};
    for (size_t k = 0; k < sizeof rates / sizeof rates[0]; k++) {
        struct rate r = {0};
        struct mono now = {123 * US};
        size_t n = 0;
        uint64_t seed = k + 1;
        for (size_t i = 0; i < EVENTS; i++) {
            now.us += (int64_t)(next_random(&seed) % (uint64_t)(2 * US / rates[k]));
            now.us += next_random(&seed) % 500 == 0 ? 30 * US : 0;
            for (uint64_t burst = next_random(&seed) % 4; burst > 0 && n < EVENTS;
                 burst--) {
                if (rate_allows(&r, rates[k], now)) {
                    rate_count(&r, rates[k], 1, now);
                    passed[n++] = now.us;
                }
            }
        }
        ck_assert_uint_gt(n, 1000);
        for (size_t i = 0; i < n; i += 7) {
            for (size_t j = i; j < n; j += 11) {
                double most = (double)rates[k] * RATE_BURST_S + 1 +
                              (double)rates[k] * (double)(passed[j] - passed[i]) / US;
                ck_assert_double_le((double)(j - i), most);
            }
        }
    }
}
END_TEST

START_TEST(test_an_even_pace_at_the_rate_passes_for_ever)
{
    struct rate r = {0};
    struct mono now = {5};
    for (int i = 0; i < 100000; i++, now.us += US / 100) {
        ck_assert(rate_allows(&r, 100, now));
        rate_count(&r, 100, 1, now);
    }
}
END_TEST

START_TEST(test_a_burst_passes_at_once_and_then_none_until_time_passes)
{
    struct rate r = {0};
    struct mono now = {77 * US};
    uint32_t n = 0;
    while (rate_allows(&r, 5, now)) {
        rate_count(&r, 5, 1, now);
        n++;
    }
    ck_assert_uint_eq(n, 5 * RATE_BURST_S);
    now.us += US / 5;
    ck_assert(rate_allows(&r, 5, now));
    rate_count(&r, 5, 1000, now); /* a large array: counted though more than is left */
    now.us += 100 * US;
    ck_assert(!rate_allows(&r, 5, now));
    now.us += 100 * US;
    ck_assert(rate_allows(&r, 5, now));
}
END_TEST

START_TEST(test_no_rate_is_no_limit)
{
    struct rate r = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert(rate_allows(&r, 0, (struct mono){1}));
        rate_count(&r, 0, UINT32_MAX, (struct mono){1});
    }
    ck_assert_int_eq(r.even_ns, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rate");
    TCase *t = tcase_create("rate");
    tcase_add_test(t, test_any_stretch_of_time_holds_at_most_rate_and_burst);
    tcase_add_test(t, test_an_even_pace_at_the_rate_passes_for_ever);
    tcase_add_test(t, test_a_burst_passes_at_once_and_then_none_until_time_passes);
    tcase_add_test(t, test_no_rate_is_no_limit);
    suite_add_tcase(s, t);
    return run_tap(s);
}
