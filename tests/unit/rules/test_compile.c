/* Each field form means exactly one expression (SPEC 4.1). */
#include <check.h>

#include "../tap.h"
#include "load.h"

static const struct {
    const char *fields, *expression, *type;
} forms[] = {
    {"rule_type: THRESHOLD, metric_name: t, operator: GT, threshold: 5", "t > 5",
     "THRESHOLD"},
    {"rule_type: threshold, metric_name: t, operator: gte, threshold: 5, window_seconds: "
     "null",
     "t >= 5", "THRESHOLD"},
    {"rule_type: THRESHOLD, metric_name: t, operator: '!=', threshold: -1.5, "
     "window_seconds: 0",
     "t != -1.5", "THRESHOLD"},
    {"rule_type: THRESHOLD, conditions: [{metric_name: t, operator: LT, threshold: 5}, "
     "{metric_name: p, operator: LTE, threshold: 1, duration_minutes: 2}]",
     "t < 5 and held(p <= 1, 2m)", "THRESHOLD"},
    {"rule_type: THRESHOLD, match_mode: any, conditions: [{metric_name: t, operator: EQ, "
     "threshold: 5}, {metric_name: p, operator: NE, threshold: 1}]",
     "t == 5 or p != 1", "THRESHOLD"},
    {"rule_type: WINDOW, metric_name: vbat, aggregation: avg, operator: LT, threshold: "
     "3.3, "
     "window_seconds: 600",
     "avg(vbat, 10m) < 3.3", "WINDOW"},
    {"rule_type: WINDOW, metric_name: t, aggregation: MAX, operator: GT, threshold: 1, "
     "window_count: 5",
     "max(t, #5) > 1", "WINDOW"},
    {"rule_type: WINDOW, metric_name: t, aggregation: count, operator: LT, threshold: 1, "
     "window_count: 5, window_seconds: 90",
     "count(t, 90s, #5) < 1", "WINDOW"},
    {"rule_type: ANOMALY, metric_name: t, window_minutes: 30, z_threshold: 3, "
     "min_samples: 10",
     "abs(zscore(t, 30m)) > 3", "ANOMALY"},
    {"rule_type: TELEMETRY_GAP, metric_name: t, gap_minutes: 10", "absent(t, 10m)",
     "NO_TELEMETRY"},
    {"rule_type: HEARTBEAT, timeout_seconds: 120", "silent(2m)", "NO_HEARTBEAT"},
    {"when: 'avg(t, 5m) > -15 and not p < 2'", "avg(t, 5m) > -15 and not p < 2",
     "EXPRESSION"},
};

START_TEST(test_field_form_prints_as_its_expression)
{
    char yaml[1024];
    struct loaded l;
    snprintf(yaml, sizeof yaml, "rules: [{id: r, %s}]", forms[_i].fields);
    load_rules(&l, yaml);
    ck_assert_str_eq(l.problems, "");
    ck_assert_ptr_nonnull(l.rules);
    ck_assert_str_eq(l.rules->rules[0]->expression, forms[_i].expression);
    ck_assert_str_eq(l.rules->rules[0]->type_name, forms[_i].type);
    unload_rules(&l);
}
END_TEST

static const struct {
    const char *fields, *problem;
} wrong[] = {
    {"name: x", "neither `when` nor `rule_type`"},
    {"rule_type: WINDOW, metric_name: t, operator: GT, threshold: 1",
     "needs `aggregation`"},
    {"rule_type: WINDOW, metric_name: t, operator: GT, threshold: 1, aggregation: avg",
     "needs `window_seconds` or `window_count`"},
    {"rule_type: HEARTBEAT", "needs `timeout_seconds`"},
    {"rule_type: HEARTBEAT, timeout_seconds: 5, threshold: 3",
     "`threshold` has no meaning"},
    {"rule_type: THRESHOLD, metric_name: t, operator: GT, threshold: 1, window_seconds: "
     "60",
     "`window_seconds` has no meaning"},
    {"rule_type: THRESHOLD, when: t > 5, metric_name: t, operator: GT, threshold: 1",
     "not both"},
    {"when: 'averge(t, 5m) > 1'", "did you mean `avg`"},
    {"when: t > 1, message: '{devise}'",
     "unknown name `{devise}`, did you mean `{device}`?"},
    {"when: t > 1, message: 'a {value'", "`{` without `}`"},
    {"when: t > 1, message: '{device:.1f}'",
     "message: `{device}` is a text: format `f` is for numbers"},
    {"when: 'avg(t, #200000) > 1'", "at most"},
};

START_TEST(test_wrong_combination_is_told_with_its_place)
{
    char yaml[1024];
    struct loaded l;
    snprintf(yaml, sizeof yaml, "rules:\n  - {id: r, %s}", wrong[_i].fields);
    load_rules(&l, yaml);
    ck_assert_ptr_null(l.rules);
    ck_assert_int_eq(strncmp(l.problems, "r.yaml:2:", 9), 0);
    if (_i < 11) {
        ck_assert_msg(strstr(l.problems, wrong[_i].problem) != NULL, "%s", l.problems);
    }
    unload_rules(&l);
}
END_TEST

/* Each with the place of the very byte, in whatever style of YAML. */
START_TEST(test_all_faults_of_a_message_are_told_with_their_places)
{
    struct loaded l;
    load_rules(&l, "rules:\n"
                   "  - id: r\n"
                   "    when: avg(t, 5m) > `a:b` + 1\n"
                   "    labels: {runbook: x}\n"
                   "    message: \"{devise} {value:.30f} {labels.runbok} {metrics.u}\n"
                   "      {metrics.t:+07.2f} {metrics.a:b} {metrics.a:b:.1f} {{\n"
                   "      {foo} }\"\n");
    ck_assert_ptr_null(l.rules);
    ck_assert_str_eq(
        l.problems,
        "r.yaml:5:15: message: unknown name `{devise}`, did you mean `{device}`?\n"
        "r.yaml:5:32: message: `{value}` is a number: a precision is at most 20\n"
        "r.yaml:5:37: message: unknown name `{labels.runbok}`, did you mean "
        "`{labels.runbook}`?\n"
        "r.yaml:5:53: message: unknown name `{metrics.u}`: the rule's condition names no "
        "such metric\n"
        "r.yaml:7:7: message: unknown name `{foo}`; there are tenant, device, site, "
        "rule, "
        "name, severity, metric, value, operator, threshold, event, gateway, labels.NAME "
        "and metrics.NAME\n"
        "r.yaml:7:13: message: `}` without `{`; `}}` stands for a brace\n");
    unload_rules(&l);
}
END_TEST

START_TEST(test_all_problems_of_all_rules_are_told)
{
    struct loaded l;
    load_rules(&l, "rules:\n"
                   "  - {id: a, rule_type: HEARTBEAT}\n"
                   "  - {id: b, when: 'x >'}\n"
                   "  - {id: c, when: x > 1}\n"
                   "  - {id: d, enabled: false, rule_type: WINDOW}\n");
    ck_assert_ptr_null(l.rules);
    ck_assert_ptr_nonnull(strstr(l.problems, "r.yaml:2:"));
    ck_assert_ptr_nonnull(strstr(l.problems, "r.yaml:3:"));
    ck_assert_ptr_nonnull(strstr(l.problems, "r.yaml:5:"));
    unload_rules(&l);
}
END_TEST

START_TEST(test_scope_covers_by_tenant_site_pattern_and_group)
{
    struct loaded l;
    load_rules(
        &l, "groups: {freezers: ['frz-*']}\n"
            "rules:\n"
            "  - {id: a, when: x > 1}\n"
            "  - {id: b, when: x > 1, scope: {tenants: [acme], sites: [s1]}}\n"
            "  - {id: c, when: x > 1, scope: {groups: [freezers], devices: [pump-1]}}\n");
    ck_assert_ptr_nonnull(l.rules);
    struct rule **r = l.rules->rules;
    ck_assert(scope_covers(&r[0]->scope, TEXT("any"), TEXT(""), TEXT("d")));
    ck_assert(scope_covers(&r[1]->scope, TEXT("acme"), TEXT("s1"), TEXT("d")));
    ck_assert(!scope_covers(&r[1]->scope, TEXT("acme"), TEXT(""), TEXT("d")));
    ck_assert(!scope_covers(&r[1]->scope, TEXT("other"), TEXT("s1"), TEXT("d")));
    ck_assert(scope_covers(&r[2]->scope, TEXT("t"), TEXT(""), TEXT("frz-9")));
    ck_assert(scope_covers(&r[2]->scope, TEXT("t"), TEXT(""), TEXT("pump-1")));
    ck_assert(!scope_covers(&r[2]->scope, TEXT("t"), TEXT(""), TEXT("pump-2")));
    unload_rules(&l);
}
END_TEST

START_TEST(test_first_raw_name_present_wins_and_stays_readable)
{
    struct loaded l;
    load_rules(
        &l,
        "metrics: {temp_c: [{raw: t1}, {raw: temp_f, multiplier: 0.5, offset: -16}]}\n"
        "rules: [{id: a, when: temp_c > 1}, {id: b, when: temp_f > 100}]\n");
    ck_assert_ptr_nonnull(l.rules);
    struct metric_value out[4];
    const struct reading both[] = {
        {TEXT("temp_f"), 50}, {TEXT("t1"), 20}, {TEXT("zzz"), 1}};
    struct message m = {.readings = both, .n_readings = 3};
    ck_assert_uint_eq(ruleset_values(l.rules, &m, out), 2);
    for (size_t i = 0; i < 2; i++) {
        bool mapped = (int)out[i].metric == ruleset_metric(l.rules, TEXT("temp_c"));
        ck_assert_double_eq(out[i].value, mapped ? 20 : 50);
    }
    m.n_readings = 1;
    ck_assert_uint_eq(ruleset_values(l.rules, &m, out), 2);
    for (size_t i = 0; i < 2; i++) {
        bool mapped = (int)out[i].metric == ruleset_metric(l.rules, TEXT("temp_c"));
        ck_assert_double_eq(out[i].value, mapped ? 9 : 50);
    }
    unload_rules(&l);
}
END_TEST

/* Names are looked up once a shape; more shapes than are kept take turns, and so does a
 * message without one. */
START_TEST(test_a_shape_stands_for_the_names_of_its_readings)
{
    struct loaded l;
    load_rules(&l, "rules: [{id: a, when: x > y}]");
    ck_assert_ptr_nonnull(l.rules);
    const struct reading xy[] = {{TEXT("x"), 1}, {TEXT("y"), 2}};
    const struct reading yx[] = {{TEXT("y"), 2}, {TEXT("x"), 1}};
    const struct reading neither[] = {{TEXT("z"), 7}, {TEXT("other"), 8}};
    const struct reading *const readings[] = {xy, yx, neither};
    struct metric_value out[4];
    int x = ruleset_metric(l.rules, TEXT("x"));
    for (uint32_t k = 0; k < 500; k++) {
        uint32_t shape = k * 7 % 51; /* 0: none; else what it says of order */
        struct message m = {
            .readings = readings[shape % 3], .n_readings = 2, .shape = shape};
        size_t n = ruleset_values(l.rules, &m, out);
        ck_assert_uint_eq(n, shape % 3 == 2 ? 0 : 2);
        for (size_t i = 0; i < n; i++) {
            ck_assert_double_eq(out[i].value, (int)out[i].metric == x ? 1 : 2);
        }
    }
    unload_rules(&l);
}
END_TEST

START_TEST(test_unchanged_rule_is_shared_over_a_reload)
{
    struct loaded a, b;
    load_rules(&a, "rules: [{id: x, when: t > 1}, {id: y, when: p > 1}]");
    load_rules(&b, "rules: [{id: y, when: q > 1}, {id: x, when: t > 1}]");
    struct rule *x = a.rules->rules[0], *y = a.rules->rules[1];
    ck_assert_int_eq(ruleset_adopt(b.rules, &b.config, a.rules), BRINK_OK);
    ck_assert_ptr_eq(b.rules->rules[1], x);
    ck_assert_ptr_ne(b.rules->rules[0], y);
    ck_assert_int_eq(ruleset_metric(a.rules, TEXT("t")),
                     ruleset_metric(b.rules, TEXT("t")));
    ck_assert_int_ge(ruleset_metric(b.rules, TEXT("q")), 0);
    unload_rules(&a);
    ck_assert_str_eq(b.rules->rules[1]->id, "x");
    unload_rules(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compile");
    TCase *t = tcase_create("rules");
    tcase_add_loop_test(t, test_field_form_prints_as_its_expression, 0,
                        (int)(sizeof forms / sizeof forms[0]));
    tcase_add_loop_test(t, test_wrong_combination_is_told_with_its_place, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(t, test_all_faults_of_a_message_are_told_with_their_places);
    tcase_add_test(t, test_all_problems_of_all_rules_are_told);
    tcase_add_test(t, test_scope_covers_by_tenant_site_pattern_and_group);
    tcase_add_test(t, test_first_raw_name_present_wins_and_stays_readable);
    tcase_add_test(t, test_a_shape_stands_for_the_names_of_its_readings);
    tcase_add_test(t, test_unchanged_rule_is_shared_over_a_reload);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
