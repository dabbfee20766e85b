/* For the tests of config/: what brink check would print, as a string. */
#ifndef TESTS_UNIT_CONFIG_UTIL_H
#define TESTS_UNIT_CONFIG_UTIL_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/draft.h"

/* Sorted and printed; free() it. */
static inline char *printed(struct problems *problems)
{
    char *out = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&out, &n);
    ck_assert_ptr_nonnull(to);
    problems_sort(problems);
    problems_print(problems, to);
    fclose(to);
    return out;
}

static inline char *check_config(struct text yaml, struct problems *problems)
{
    struct config *config = NULL;
    enum brink_status status = config_parse("c.yaml", yaml, false, problems, &config);
    ck_assert_int_eq(status, problems->errors ? BRINK_E_SYNTAX : BRINK_OK);
    ck_assert_int_eq(config != NULL, problems->errors == 0);
    config_free(config);
    return printed(problems);
}

static inline char *check_rules(struct text yaml, struct problems *problems)
{
    struct rule_file *file = NULL;
    enum brink_status status = rule_file_parse("r.yaml", yaml, problems, &file);
    ck_assert_int_eq(status, problems->errors ? BRINK_E_SYNTAX : BRINK_OK);
    ck_assert_int_eq(file != NULL, problems->errors == 0);
    rule_file_free(file);
    return printed(problems);
}

static inline int run_suite(Suite *s)
{
    SRunner *runner = srunner_create(s);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
