#include "ingest/owed.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"

static struct owed owed;

static void setup(void)
{
    owed_clear(&owed);
    owed_set_level(&owed, 1);
}

#define admits(topic) owed_admits(&owed, TEXT(topic))

START_TEST(test_one_message_of_a_device)
{
    ck_assert(admits("t/one/a"));
    ck_assert(admits("t/two/a"));
    ck_assert(!admits("t/one/a"));
    ck_assert(!admits("other/one/b"));
    ck_assert(!admits("t/two"));
    ck_assert(admits("t/three"));
    owed_clear(&owed);
    ck_assert(admits("t/one/a"));
}
END_TEST

START_TEST(test_a_refused_message_is_not_owed)
{
    ck_assert(admits("t/one"));
    ck_assert(!admits("t/one"));
    owed_clear(&owed);
    ck_assert(admits("t/one"));
}
END_TEST

START_TEST(test_without_a_level_each_for_itself)
{
    owed_set_level(&owed, -1);
    ck_assert(admits("t/one"));
    ck_assert(!admits("t/two"));
    owed_clear(&owed);
    ck_assert(admits("t/two"));
}
END_TEST

/* Which no pattern takes. */
START_TEST(test_a_topic_of_too_few_levels)
{
    owed_set_level(&owed, 3);
    ck_assert(admits("t/one"));
    ck_assert(admits("t/two"));
    ck_assert(!admits("t/one"));
    ck_assert(admits("t/a/b/"));
    ck_assert(!admits("/x/y/"));
}
END_TEST

START_TEST(test_no_more_than_the_most)
{
    char topic[32];
    for (int i = 0; i < OWED_MAX; i++) {
        int n = snprintf(topic, sizeof topic, "t/%d", i);
        ck_assert(owed_admits(&owed, (struct text){topic, (size_t)n}));
    }
    ck_assert(!admits("t/more"));
    owed_clear(&owed);
    ck_assert(admits("t/more"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("owed");
    TCase *t = tcase_create("owed");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, test_one_message_of_a_device);
    tcase_add_test(t, test_a_refused_message_is_not_owed);
    tcase_add_test(t, test_without_a_level_each_for_itself);
    tcase_add_test(t, test_a_topic_of_too_few_levels);
    tcase_add_test(t, test_no_more_than_the_most);
    suite_add_tcase(s, t);
    return run_tap(s);
}
