/* What one topic sends too fast is dropped early, and nothing else. */
#include "../tap.h"

#include <stdio.h>

#include "ingest/policer.h"

static struct policer policer;

static void limit(uint32_t per_second)
{
    policer = (struct policer){.per_second = per_second};
}

static bool admits(const char *topic, int64_t at_ms)
{
    return policer_admits(&policer, text_of(topic), (struct mono){at_ms * 1000});
}

static unsigned passed(const char *topic, unsigned n, int64_t from_ms, int64_t step_ms)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        found += admits(topic, from_ms + i * step_ms);
    }
    return found;
}

START_TEST(test_without_a_limit_all_pass)
{
    limit(0);
    ck_assert_uint_eq(passed("noisy", 100000, 5000, 0), 100000);
}
END_TEST

START_TEST(test_a_burst_passes_then_the_rate_and_one_a_second_to_be_told)
{
    limit(20);
    ck_assert_uint_eq(passed("noisy", 50000, 5000, 0), 20 * RATE_BURST_S + 1);
    /* Ten seconds of a message a millisecond. */
    unsigned n = passed("noisy", 10000, 5001, 1);
    ck_assert_uint_ge(n, 20 * 10);
    ck_assert_uint_le(n, 20 * 10 + 11);
}
END_TEST

START_TEST(test_others_pass_beside_a_noisy_one)
{
    char topic[32];
    limit(20);
    for (int64_t at_ms = 5000; at_ms < 15000; at_ms += 1000) {
        for (unsigned d = 0; d < 5000; d++) { /* more than have a place */
            snprintf(topic, sizeof topic, "d%u", d);
            ck_assert(admits(topic, at_ms));
        }
        /* The first second is the burst. */
        unsigned n = passed("noisy", 1000, at_ms, 0);
        ck_assert_uint_le(n, at_ms == 5000 ? 20 * RATE_BURST_S + 1 : 20 + 2);
    }
}
END_TEST

START_TEST(test_a_silence_gives_the_burst_back)
{
    limit(20);
    (void)passed("noisy", 1000, 5000, 0);
    ck_assert_uint_ge(passed("noisy", 1000, 5000 + RATE_BURST_S * 1000, 0),
                      20 * RATE_BURST_S);
}
END_TEST

START_TEST(test_another_limit_holds_at_once)
{
    limit(20);
    (void)passed("noisy", 1000, 5000, 0);
    atomic_store(&policer.per_second, 0);
    ck_assert_uint_eq(passed("noisy", 1000, 5001, 0), 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policer");
    TCase *t = tcase_create("policer");
    tcase_add_test(t, test_without_a_limit_all_pass);
    tcase_add_test(t, test_a_burst_passes_then_the_rate_and_one_a_second_to_be_told);
    tcase_add_test(t, test_others_pass_beside_a_noisy_one);
    tcase_add_test(t, test_a_silence_gives_the_burst_back);
    tcase_add_test(t, test_another_limit_holds_at_once);
    suite_add_tcase(s, t);
    return run_tap(s);
}
