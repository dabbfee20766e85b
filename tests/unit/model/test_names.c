#include "model/function.h"
#include "model/rule.h"

#include <string.h>

#include "../tap.h"

START_TEST(test_functions_have_the_names_of_the_language)
{
    /* SPEC 4.2, in its order. */
    static const char *const names[] = {
        "avg",    "min",    "max",        "sum",  "count", "first", "last",   "range",
        "stddev", "median", "percentile", "rate", "delta", "slope", "zscore", "changes"};
    ck_assert_uint_eq(sizeof names / sizeof names[0], FN_N);
    for (int i = 0; i < FN_N; i++) {
        bool found = false;
        for (int j = 0; j < FN_N; j++) {
            found = found || strcmp(window_fn_name((enum window_fn)j), names[i]) == 0;
        }
        ck_assert_msg(found, "%s", names[i]);
    }
    ck_assert_str_eq(window_fn_name(FN_PERCENTILE), "percentile");
    ck_assert_str_eq(window_fn_name(FN_ZSCORE), "zscore");
}
END_TEST

START_TEST(test_severities_and_types_have_their_names)
{
    ck_assert_str_eq(severity_name(SEVERITY_INFO), "info");
    ck_assert_str_eq(severity_name(SEVERITY_WARNING), "warning");
    ck_assert_str_eq(severity_name(SEVERITY_CRITICAL), "critical");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_NONE), "EXPRESSION");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_THRESHOLD), "THRESHOLD");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_WINDOW), "WINDOW");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_ANOMALY), "ANOMALY");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_TELEMETRY_GAP), "TELEMETRY_GAP");
    ck_assert_str_eq(rule_type_name(RULE_TYPE_HEARTBEAT), "HEARTBEAT");
}
END_TEST

static struct placed placed(const char *s)
{
    return (struct placed){.s = text_dup(text_of(s))};
}

static struct strings strings(size_t n)
{
    struct strings list = {.items = calloc(n, sizeof *list.items), .n = n, .given = true};
    for (size_t i = 0; i < n; i++) {
        list.items[i] = placed("pattern");
    }
    return list;
}

/* Everything that can be owned is; a leak shows under the address sanitizer. */
START_TEST(test_rule_file_frees_all_it_owns)
{
    struct rule_file *f = calloc(1, sizeof *f);
    f->path = text_dup(TEXT("rules.yaml"));
    f->n_rules = 2; /* the second one is half built: all NULL */
    f->rules = calloc(2, sizeof *f->rules);
    struct rule_def *r = &f->rules[0];
    r->id = placed("id");
    r->name = placed("name");
    r->scope.tenants = strings(1);
    r->scope.sites = strings(2);
    r->scope.devices = strings(3);
    r->scope.groups = strings(1);
    r->when = placed("a > 1");
    r->clear = placed("a < 1");
    r->single = (struct rule_condition){.metric_name = placed("m"), .op = placed(">")};
    r->aggregation = placed("avg");
    r->conditions = calloc(1, sizeof *r->conditions);
    r->n_conditions = 1;
    r->conditions[0] =
        (struct rule_condition){.metric_name = placed("n"), .op = placed("<")};
    r->message = placed("text");
    r->labels = calloc(1, sizeof *r->labels);
    r->n_labels = 1;
    r->labels[0] = (struct rule_label){placed("k"), placed("v")};
    f->groups = calloc(1, sizeof *f->groups);
    f->n_groups = 1;
    f->groups[0] = (struct device_group){placed("freezers"), strings(2)};
    f->metrics = calloc(1, sizeof *f->metrics);
    f->n_metrics = 1;
    f->metrics[0] =
        (struct metric_mapping){.name = placed("temp_c"),
                                .sources = calloc(1, sizeof(struct metric_source)),
                                .n = 1};
    f->metrics[0].sources[0] = (struct metric_source){.raw = placed("t1")};
    rule_file_free(f);
    rule_file_free(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("names");
    TCase *t = tcase_create("names");
    tcase_add_test(t, test_functions_have_the_names_of_the_language);
    tcase_add_test(t, test_severities_and_types_have_their_names);
    tcase_add_test(t, test_rule_file_frees_all_it_owns);
    suite_add_tcase(s, t);
    return run_tap(s);
}
