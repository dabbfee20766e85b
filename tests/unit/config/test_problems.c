#include <check.h>
#include <stdlib.h>

#include "util.h"

static struct position at(const char *file, unsigned line, unsigned column)
{
    return (struct position){file, line, column};
}

START_TEST(test_problems_come_by_file_as_first_seen_then_by_place)
{
    struct problems p = {0};
    problem_add(&p, at("b.yaml", 2, 1), "third");
    problem_add(&p, at("a.yaml", 1, 1), "fifth");
    problem_add(&p, at("b.yaml", 1, 9), "second, %d", 1);
    problem_warn(&p, at("b.yaml", 0, 0), "first");
    problem_add(&p, at("b.yaml", 2, 1), "fourth: same place, in the order of telling");
    char *got = printed(&p);
    ck_assert_str_eq(got, "b.yaml: warning: first\n"
                          "b.yaml:1:9: second, 1\n"
                          "b.yaml:2:1: third\n"
                          "b.yaml:2:1: fourth: same place, in the order of telling\n"
                          "a.yaml:1:1: fifth\n");
    ck_assert_uint_eq(p.errors, 4);
    free(got);
    problems_finish(&p);
}
END_TEST

START_TEST(test_problems_outlive_the_name_of_their_file)
{
    struct problems p = {0};
    char *file = text_dup(TEXT("gone.yaml"));
    problem_add(&p, at(file, 1, 1), "x");
    free(file);
    ck_assert_str_eq(p.items[0].at.file, "gone.yaml");
    problems_finish(&p);
    problems_finish(&p); /* finished is empty */
    ck_assert_uint_eq(p.errors, 0);
}
END_TEST

START_TEST(test_problems_beyond_the_limit_are_counted)
{
    struct problems p = {0};
    for (unsigned i = 0; i < PROBLEMS_MAX + 25; i++) {
        problem_add(&p, at("a.yaml", i + 1, 1), "x");
    }
    problem_warn(&p, at("a.yaml", 1, 1), "no room");
    ck_assert_uint_eq(p.n, PROBLEMS_MAX);
    ck_assert_uint_eq(p.errors, PROBLEMS_MAX + 25);
    char *got = printed(&p);
    ck_assert_ptr_nonnull(strstr(got, "\n25 more errors are not shown\n"));
    free(got);
    problems_finish(&p);
}
END_TEST

START_TEST(test_a_long_message_is_cut)
{
    struct problems p = {0};
    char *big = malloc(100001);
    ck_assert_ptr_nonnull(big);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    problem_add(&p, at("a.yaml", 1, 1), "%s", big);
    ck_assert_uint_lt(strlen(p.items[0].message), 2000);
    free(big);
    problems_finish(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_problems");
    TCase *c = tcase_create("problems");
    tcase_add_test(c, test_problems_come_by_file_as_first_seen_then_by_place);
    tcase_add_test(c, test_problems_outlive_the_name_of_their_file);
    tcase_add_test(c, test_problems_beyond_the_limit_are_counted);
    tcase_add_test(c, test_a_long_message_is_cut);
    suite_add_tcase(s, c);
    return run_suite(s);
}
