#include "base/counters.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "../tap.h"

static bool is_metric_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (!islower((unsigned char)name[i]) && name[i] != '_') {
            return false;
        }
    }
    return n > 6 && strcmp(name + n - 6, "_total") == 0;
}

START_TEST(test_counters_are_what_prometheus_takes)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *c = &counter_info[i];
        ck_assert_msg(is_metric_name(c->name), "%s", c->name);
        size_t n = strlen(c->label);
        ck_assert_msg(n == 0 || (strstr(c->label, "=\"") && c->label[n - 1] == '"'), "%s",
                      c->label);
        /* One metric's rows stand together, told apart by label, the first one with help.
         */
        bool first = i == 0 || strcmp(c->name, counter_info[i - 1].name) != 0;
        ck_assert_msg(!first || c->help[0], "%s has no help", c->name);
        for (size_t j = 0; j < i; j++) {
            bool same = strcmp(c->name, counter_info[j].name) == 0;
            ck_assert_msg(!(same && first), "%s stands apart", c->name);
            ck_assert_msg(!same || strcmp(c->label, counter_info[j].label) != 0,
                          "%s twice", c->name);
        }
    }
}
END_TEST

#define ADDS 100000

static void *add(void *unused)
{
    (void)unused;
    for (int i = 0; i < ADDS; i++) {
        count(COUNT_READINGS);
        count_add(COUNT_MESSAGES, 3);
    }
    return NULL;
}

START_TEST(test_counters_lose_nothing_between_threads)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_uint_eq(counter_value(COUNT_READINGS), 4 * ADDS);
    ck_assert_uint_eq(counter_value(COUNT_MESSAGES), 12 * ADDS);
    ck_assert_uint_eq(counter_value(COUNT_RELOADS), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("counters");
    TCase *t = tcase_create("counters");
    tcase_add_test(t, test_counters_are_what_prometheus_takes);
    tcase_add_test(t, test_counters_lose_nothing_between_threads);
    suite_add_tcase(s, t);
    return run_tap(s);
}
