/* Expected alerts are paired with those that came as well as can be: against all
 * permutations. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"
#include "prove/compare.h"

enum { SIDE = 5 };

static const char *const rules[] = {"a", "b"};
static const char *const devices[] = {"x", "y", "z"};

static bool fits(const struct test_alert *e, const struct came *c)
{
    return strcmp(e->texts[TEST_RULE].s, c->texts[TEST_RULE]) == 0 &&
           (!e->texts[TEST_DEVICE].s ||
            strcmp(e->texts[TEST_DEVICE].s, c->texts[TEST_DEVICE]) == 0);
}

/* The most that can be paired, by trying everything. */
static size_t most(const struct test_alert *e, size_t n, const struct came_list *came,
                   unsigned taken)
{
    if (n == 0) {
        return 0;
    }
    size_t best = most(e + 1, n - 1, came, taken);
    for (size_t c = 0; c < came->n; c++) {
        if (!(taken & 1u << c) && fits(e, &came->items[c])) {
            size_t with = 1 + most(e + 1, n - 1, came, taken | 1u << c);
            best = with > best ? with : best;
        }
    }
    return best;
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

START_TEST(test_as_many_are_paired_as_can_be)
{
    uint64_t random = 3;
    for (int i = 0; i < 3000; i++) {
        struct test_alert expected[SIDE] = {0};
        struct test_alerts list = {expected,
                                   (size_t)(next_random(&random) % (SIDE + 1)),
                                   {"t.yaml", 3, 4},
                                   true};
        struct came_list came = {0};
        struct buffer out = {0};
        for (size_t k = 0; k < list.n; k++) {
            expected[k].at = (struct position){"t.yaml", 5, (unsigned)k + 1};
            expected[k].texts[TEST_RULE].s =
                (char *)(uintptr_t)rules[next_random(&random) % 2];
            if (next_random(&random) % 2) {
                expected[k].texts[TEST_DEVICE].s =
                    (char *)(uintptr_t)devices[next_random(&random) % 3];
            }
        }
        for (size_t n = (size_t)(next_random(&random) % (SIDE + 1)); n > 0; n--) {
            ck_assert(came_add_state(&came, text_of(rules[next_random(&random) % 2]),
                                     TEXT("t"),
                                     text_of(devices[next_random(&random) % 3])));
        }
        ck_assert_int_eq(
            compare_alerts(&list, &came, "by 1s", "MISSING", "UNASKED", &out), BRINK_OK);
        size_t paired = most(expected, list.n, &came, 0);
        const char *text = buffer_cstr(&out);
        expect(times(text, "MISSING") == list.n - paired, "%s", text);
        expect(times(text, "UNASKED") + times(text, "instead came") == came.n - paired,
               "%s", text);
        expect((out.n == 0) == (paired == list.n && paired == came.n), "%s", text);
        buffer_finish(&out);
        came_finish(&came);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *t = tcase_create("pairs");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_as_many_are_paired_as_can_be);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
