/* What many rules cost a reading: those that concern its device, and no others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../tap.h"
#include "base/counters.h"
#include "world.h"

#define MANY 10000
#define READINGS 20000

/* Three rules for device d1, the rest for others. */
static char *rules_text(int n)
{
    struct buffer b = {0};
    buffer_cstring(&b, "rules:\n");
    for (int i = 0; i < n; i++) {
        buffer_format(&b,
                      "  - {id: rule-%d, when: 'avg(x, 60s) > %d and x < 1000', "
                      "scope: {tenants: [acme], devices: [%s-%d]}}\n",
                      i, 10 + i % 3, i < 3 ? "d" : "other", i < 3 ? 1 : i);
    }
    char *text = text_dup(buffer_view(&b));
    buffer_finish(&b);
    ck_assert_ptr_nonnull(text);
    return text;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds of the processor, without what is done once a second; the evaluations. */
static double readings(struct world *w, uint64_t *ret_evaluations)
{
    uint64_t before = counter_value(COUNT_EVALUATIONS);
    double start = cpu_s();
    for (int i = 0; i < READINGS; i++) {
        add(w, "d-1", NULL, i % 10);
        w->at_us += 1000;
        if (i % 100 == 99) {
            apply(w);
        }
    }
    *ret_evaluations = counter_value(COUNT_EVALUATIONS) - before;
    return cpu_s() - start;
}

START_TEST(test_reading_pays_only_for_the_rules_of_its_device)
{
    char *few_text = rules_text(3), *many_text = rules_text(MANY);
    static struct world few, many;
    world_begin(&few, "", few_text);
    world_begin(&many, "", many_text);
    uint64_t few_evaluations, many_evaluations;
    double few_s = 1e9, many_s = 1e9;
    for (int turn = 0; turn < 5; turn++) { /* in turns: the machine is not alone */
        double a = readings(&few, &few_evaluations);
        double b = readings(&many, &many_evaluations);
        few_s = a < few_s ? a : few_s;
        many_s = b < many_s ? b : many_s;
        ck_assert_uint_eq(few_evaluations, 3 * READINGS);
        ck_assert_uint_eq(many_evaluations, few_evaluations);
    }
    printf("# %.2f us a reading with 3 rules, %.2f us with %d\n", few_s * 1e6 / READINGS,
           many_s * 1e6 / READINGS, MANY);
    ck_assert_double_lt(many_s, 1.5 * few_s);
    world_end(&few);
    world_end(&many);
    free(few_text);
    free(many_text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost");
    TCase *t = tcase_create("cost");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_reading_pays_only_for_the_rules_of_its_device);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
