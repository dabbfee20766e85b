/* Rule files: every key of SPEC 4 becomes what model/rule.h says. */
#include <check.h>
#include <stdlib.h>

#include "util.h"

static struct problems problems;
static struct rule_file *file;

static void setup(void)
{
    problems = (struct problems){0};
    file = NULL;
}

static void teardown(void)
{
    rule_file_free(file);
    problems_finish(&problems);
}

static void load(const char *yaml)
{
    teardown();
    setup();
    enum brink_status status = rule_file_parse("r.yaml", text_of(yaml), &problems, &file);
    char *got = printed(&problems);
    ck_assert_str_eq(got, "");
    free(got);
    ck_assert_int_eq(status, BRINK_OK);
}

static void expect_placed(const struct placed *p, const char *s, unsigned line,
                          unsigned column)
{
    ck_assert_str_eq(p->s, s);
    ck_assert_str_eq(p->at.file, "r.yaml");
    ck_assert_uint_eq(p->at.line, line);
    ck_assert_uint_eq(p->at.column, column);
}

START_TEST(test_every_key_of_a_rule_is_read)
{
    load("rules:\n"
         "  - id: freezer-warm\n"
         "    name: Freezer too warm\n"
         "    severity: critical\n"
         "    enabled: false\n"
         "    scope: {tenants: [acme, 7], sites: [s1], devices: [\"frz-*\"], groups: "
         "[freezers]}\n"
         "    when: avg(temp_c, 5m) > -15\n"
         "    clear: \"avg(temp_c, 5m) < -18\"\n"
         "    for: 2m\n"
         "    keep_firing_for: 5m\n"
         "    cooldown: 10m\n"
         "    repeat: 1h\n"
         "    escalate: {after: 30m, severity: info}\n"
         "    on_no_data: resolve\n"
         "    no_data_after: 15m\n"
         "    min_points: 3\n"
         "    message: \"{device}: {value:.1f} over {threshold} ${X}\"\n"
         "    labels: {runbook: https://wiki.example/freezer, n: 5}\n"
         "groups: {freezers: [a, b*]}\n");
    ck_assert_uint_eq(file->n_rules, 1);
    const struct rule_def *r = &file->rules[0];
    ck_assert_uint_eq(r->at.line, 2);
    ck_assert_uint_eq(r->at.column, 5);
    expect_placed(&r->id, "freezer-warm", 2, 9);
    ck_assert_str_eq(r->name.s, "Freezer too warm");
    ck_assert_int_eq(r->severity, SEVERITY_CRITICAL);
    ck_assert(!r->enabled);
    ck_assert_uint_eq(r->scope.tenants.n, 2);
    expect_placed(&r->scope.tenants.items[1], "7", 6, 29);
    ck_assert_str_eq(r->scope.sites.items[0].s, "s1");
    expect_placed(&r->scope.devices.items[0], "frz-*", 6, 57);
    ck_assert_str_eq(r->scope.groups.items[0].s, "freezers");
    expect_placed(&r->when, "avg(temp_c, 5m) > -15", 7, 11);
    expect_placed(&r->clear, "avg(temp_c, 5m) < -18", 8, 13);
    ck_assert_int_eq(r->type, RULE_TYPE_NONE);
    ck_assert_int_eq(r->for_us, 120000000);
    ck_assert_uint_eq(r->for_at.line, 9);
    ck_assert_int_eq(r->keep_firing_for_us, 300000000);
    ck_assert_int_eq(r->cooldown_us, 600000000);
    ck_assert_int_eq(r->repeat_us, INT64_C(3600000000));
    ck_assert(r->escalate.given);
    ck_assert_uint_eq(r->escalate.at.line, 13);
    ck_assert_int_eq(r->escalate.after_us, 1800000000);
    ck_assert_int_eq(r->escalate.severity, SEVERITY_INFO);
    ck_assert_int_eq(r->on_no_data, ON_NO_DATA_RESOLVE);
    ck_assert_int_eq(r->no_data_after_us, 900000000);
    ck_assert_uint_eq(r->min_points, 3);
    /* The environment is the configuration file's: a price in ${value} stays. */
    ck_assert_str_eq(r->message.s, "{device}: {value:.1f} over {threshold} ${X}");
    ck_assert_uint_eq(r->n_labels, 2);
    ck_assert_str_eq(r->labels[0].key.s, "runbook");
    ck_assert_str_eq(r->labels[0].value.s, "https://wiki.example/freezer");
    ck_assert_str_eq(r->labels[1].value.s, "5");
    ck_assert_uint_eq(file->n_groups, 1);
    expect_placed(&file->groups[0].name, "freezers", 19, 10);
    ck_assert_str_eq(file->groups[0].patterns.items[1].s, "b*");
}
END_TEST

START_TEST(test_every_field_of_the_field_form_is_read)
{
    load("rules:\n"
         "  - {id: w, rule_type: WINDOW, metric_name: vbat, aggregation: avg, operator: "
         "LT,\n"
         "     threshold: 3.3, window_seconds: 600, window_count: 5, duration_seconds: "
         "90}\n"
         "  - id: t\n"
         "    rule_type: threshold\n"
         "    match_mode: ANY\n"
         "    duration_minutes: 0.5\n"
         "    conditions:\n"
         "      - {metric_name: a, operator: gte, threshold: -1e3, duration_minutes: 2}\n"
         "      - {metric_name: b, operator: \"!=\", threshold: 0}\n"
         "  - {id: a, rule_type: Anomaly, metric_name: m, window_minutes: 60, "
         "z_threshold: 3.5,\n"
         "     min_samples: 30}\n"
         "  - {id: g, rule_type: TELEMETRY_GAP, metric_name: m, gap_minutes: 10}\n"
         "  - {id: h, rule_type: heartbeat, timeout_seconds: 120}\n");
    const struct rule_def *w = &file->rules[0], *t = w + 1, *a = w + 2, *g = w + 3,
                          *h = w + 4;
    ck_assert_int_eq(w->type, RULE_TYPE_WINDOW);
    ck_assert_uint_eq(w->type_at.line, 2);
    ck_assert_str_eq(w->single.metric_name.s, "vbat");
    ck_assert_str_eq(w->single.op.s, "<");
    ck_assert(w->single.has_threshold);
    ck_assert_double_eq(w->single.threshold, 3.3);
    ck_assert_uint_eq(w->single.at.line, 2);
    ck_assert_str_eq(w->aggregation.s, "avg");
    ck_assert_int_eq(w->window_us, 600000000);
    ck_assert_uint_eq(w->window_count, 5);
    ck_assert_uint_eq(w->window_at.line, 3);
    ck_assert_int_eq(w->for_us, 90000000);
    ck_assert_int_eq(t->type, RULE_TYPE_THRESHOLD);
    ck_assert(t->has_conditions && t->has_match_mode && t->match_any);
    ck_assert_int_eq(t->for_us, 30000000);
    ck_assert_uint_eq(t->n_conditions, 2);
    ck_assert_str_eq(t->conditions[0].op.s, ">=");
    ck_assert_double_eq(t->conditions[0].threshold, -1000);
    ck_assert_int_eq(t->conditions[0].duration_us, 120000000);
    ck_assert_uint_eq(t->conditions[1].at.line, 10);
    ck_assert_str_eq(t->conditions[1].op.s, "!=");
    ck_assert_int_eq(t->conditions[1].duration_us, 0);
    ck_assert(!t->single.has_threshold);
    ck_assert_int_eq(a->type, RULE_TYPE_ANOMALY);
    ck_assert_int_eq(a->window_us, INT64_C(3600000000));
    ck_assert(a->has_z_threshold);
    ck_assert_double_eq(a->z_threshold, 3.5);
    ck_assert_uint_eq(a->min_samples, 30);
    ck_assert_int_eq(g->type, RULE_TYPE_TELEMETRY_GAP);
    ck_assert_int_eq(g->gap_us, 600000000);
    ck_assert_int_eq(h->type, RULE_TYPE_HEARTBEAT);
    ck_assert_int_eq(h->timeout_us, 120000000);
}
END_TEST

START_TEST(test_operators_and_names_come_in_either_case)
{
    static const struct {
        const char *written, *op;
    } cases[] = {
        {"GT", ">"},  {"gte", ">="}, {"Lt", "<"},    {"LTE", "<="},
        {"eq", "=="}, {"NE", "!="},  {"\">\"", ">"}, {"\">=\"", ">="},
        {"<", "<"},   {"<=", "<="},  {"==", "=="},   {"'!='", "!="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "rules: [{id: a, operator: %s, aggregation: MAX}]\n",
                 cases[i].written);
        load(yaml);
        ck_assert_str_eq(file->rules[0].single.op.s, cases[i].op);
        ck_assert_str_eq(file->rules[0].aggregation.s, "max");
    }
}
END_TEST

START_TEST(test_a_field_that_is_null_or_zero_is_as_if_absent)
{
    load("rules:\n"
         "  - {id: a, rule_type: THRESHOLD, metric_name: x, operator: GT, threshold: 1,\n"
         "     window_seconds: null, window_count: , conditions: null, match_mode: ~,\n"
         "     duration_seconds: null, duration_minutes: 5, scope: , labels: null}\n"
         "  - {id: b, window_seconds: 0, when: null}\n");
    const struct rule_def *r = &file->rules[0];
    ck_assert_int_eq(r->window_us, 0);
    ck_assert_uint_eq(r->window_count, 0);
    ck_assert_uint_eq(r->window_at.line, 0);
    ck_assert(!r->has_conditions && !r->has_match_mode);
    ck_assert_int_eq(r->for_us, 300000000);
    ck_assert(!r->scope.devices.given);
    ck_assert_uint_eq(r->n_labels, 0);
    ck_assert_int_eq(file->rules[1].window_us, 0);
    ck_assert_ptr_null(file->rules[1].when.s);
}
END_TEST

START_TEST(test_what_a_rule_leaves_out_takes_its_default)
{
    load("rules: [{id: a}]\n");
    const struct rule_def *r = &file->rules[0];
    ck_assert_int_eq(r->severity, SEVERITY_WARNING);
    ck_assert(r->enabled);
    ck_assert_ptr_null(r->name.s);
    ck_assert_ptr_null(r->when.s);
    ck_assert_int_eq(r->for_us, 0);
    ck_assert(!r->escalate.given);
    ck_assert_int_eq(r->on_no_data, ON_NO_DATA_HOLD);
    ck_assert_int_eq(r->no_data_after_us, 0);
    ck_assert_uint_eq(r->min_points, 0);
    load("rules: [{id: a, escalate: {after: 1m}}]\n");
    ck_assert_int_eq(file->rules[0].escalate.severity, SEVERITY_CRITICAL);
}
END_TEST

START_TEST(test_metric_mappings_are_read)
{
    load("metrics:\n"
         "  temp_c: [{raw: t1}, {raw: temp_f, multiplier: 0.5556, offset: -17.78}]\n");
    ck_assert_uint_eq(file->n_metrics, 1);
    const struct metric_mapping *m = &file->metrics[0];
    expect_placed(&m->name, "temp_c", 2, 3);
    ck_assert_uint_eq(m->n, 2);
    expect_placed(&m->sources[0].raw, "t1", 2, 18);
    ck_assert_double_eq(m->sources[0].multiplier, 1);
    ck_assert_double_eq(m->sources[0].offset, 0);
    ck_assert_double_eq(m->sources[1].multiplier, 0.5556);
    ck_assert_double_eq(m->sources[1].offset, -17.78);
}
END_TEST

START_TEST(test_maintenance_windows_are_read)
{
    load("groups: {g: [x]}\n"
         "rules: [{id: r1}]\n"
         "maintenance:\n"
         "  - name: refit\n"
         "    from: 2026-12-24T08:00\n"
         "    until: 2026-12-25 12:30:15\n"
         "    scope: {tenants: [acme], sites: [s1], devices: [\"frz-*\"], groups: [g]}\n"
         "    rules: [r1, \"r*\"]\n"
         "  - {name: nights, days: [Sat, sunday], from: \"22:00\", until: 24:00}\n"
         "  - {name: far, from: 2026-12-24T08:00Z, until: 2026-12-24T08:00-02:30}\n");
    ck_assert_uint_eq(file->n_maintenance, 3);
    const struct maintenance_def *m = file->maintenance;
    expect_placed(&m->name, "refit", 4, 11);
    ck_assert(m->from.has_date && m->until.has_date && !m->from.has_zone);
    ck_assert_int_eq(m->from.day, 20811);
    ck_assert_int_eq(m->from.second, 8 * 3600);
    ck_assert_uint_eq(m->from.at.line, 5);
    ck_assert_int_eq(m->until.day, 20812);
    ck_assert_int_eq(m->until.second, 12 * 3600 + 30 * 60 + 15);
    ck_assert_uint_eq(m->days, 0);
    expect_placed(&m->scope.devices.items[0], "frz-*", 7, 54);
    ck_assert_str_eq(m->scope.tenants.items[0].s, "acme");
    ck_assert_str_eq(m->scope.sites.items[0].s, "s1");
    ck_assert_str_eq(m->scope.groups.items[0].s, "g");
    expect_placed(&m->rules.items[1], "r*", 8, 18);
    m++;
    ck_assert(!m->from.has_date && !m->until.has_date);
    ck_assert_uint_eq(m->days, 1u << 5 | 1u << 6);
    ck_assert_int_eq(m->from.second, 22 * 3600);
    ck_assert_int_eq(m->until.second, 24 * 3600);
    m++;
    ck_assert(m->from.has_zone && m->until.has_zone);
    ck_assert_int_eq(m->from.zone_s, 0);
    ck_assert_int_eq(m->until.zone_s, -9000);
}
END_TEST

START_TEST(test_what_holds_back_what_is_read)
{
    load("rules: [{id: a}, {id: b}, {id: c}]\n"
         "inhibit:\n"
         "  - {source: a, target: [b, \"c*\"], equal: [site, device]}\n"
         "  - {source: c, target: [\"*\"]}\n");
    ck_assert_uint_eq(file->n_inhibit, 2);
    const struct inhibit_def *d = file->inhibit;
    expect_placed(&d->source, "a", 3, 14);
    expect_placed(&d->target.items[1], "c*", 3, 30);
    expect_placed(&d->equal.items[0], "site", 3, 44);
    ck_assert_uint_eq(d->equal.n, 2);
    ck_assert(inhibit_targets(d, TEXT("b")) && inhibit_targets(d, TEXT("c1")));
    ck_assert(!inhibit_targets(d, TEXT("a")) && !inhibit_targets(d, TEXT("d")));
    d++;
    ck_assert_uint_eq(d->equal.n, 0);
    ck_assert(inhibit_targets(d, TEXT("b")));
    ck_assert(!inhibit_targets(d, TEXT("c")) && !inhibit_targets(d, TEXT("a")));
}
END_TEST

START_TEST(test_an_expression_over_lines_keeps_its_place)
{
    load("rules:\n  - id: a\n    when: |\n      x > 1\n      and y > 2\n");
    expect_placed(&file->rules[0].when, "x > 1\nand y > 2\n", 4, 7);
}
END_TEST

START_TEST(test_an_empty_rule_file_has_no_rules)
{
    load("# nothing yet\n");
    ck_assert_uint_eq(file->n_rules, 0);
    load("rules:\ngroups:\nmetrics:\n");
    ck_assert_uint_eq(file->n_rules, 0);
}
END_TEST

START_TEST(test_conditions_and_labels_are_bounded)
{
    struct buffer yaml = {0};
    buffer_cstring(&yaml, "rules:\n- id: a\n  conditions:\n");
    for (int i = 0; i <= RULE_CONDITIONS_MAX; i++) {
        buffer_cstring(&yaml, "  - {metric_name: x}\n");
    }
    buffer_cstring(&yaml, "  labels:\n");
    for (int i = 0; i <= RULE_LABELS_MAX; i++) {
        buffer_format(&yaml, "    l%d: x\n", i);
    }
    char *got = check_rules(buffer_view(&yaml), &problems);
    ck_assert_str_eq(got, "r.yaml:4:3: `conditions` has more than 32 items\n"
                          "r.yaml:38:5: `labels` has more than 32 names\n");
    free(got);
    buffer_finish(&yaml);
}
END_TEST

/* 20 000 rules are a large site: seconds would be too long for a reload. */
START_TEST(test_many_rules_with_unique_ids_are_read)
{
    struct buffer yaml = {0};
    buffer_cstring(&yaml, "rules:\n");
    for (int i = 0; i < 20000; i++) {
        buffer_format(&yaml, "- {id: rule-%d, when: \"avg(temp_c, 5m) > %d\", for: 1m}\n",
                      i, i);
    }
    ck_assert_int_eq(rule_file_parse("r.yaml", buffer_view(&yaml), &problems, &file),
                     BRINK_OK);
    ck_assert_uint_eq(file->n_rules, 20000);
    buffer_finish(&yaml);
}
END_TEST

/* Looking for a similar name of each of 9000 among 90 000 took minutes. */
START_TEST(test_many_unknown_groups_among_many_are_told_in_time)
{
    struct buffer yaml = {0};
    buffer_cstring(&yaml, "groups:\n");
    for (int i = 0; i < 90000; i++) {
        buffer_format(&yaml, "  g%d: [a]\n", i);
    }
    buffer_cstring(&yaml, "rules: [{id: a, scope: {groups: [");
    for (int i = 0; i < 9000; i++) {
        buffer_format(&yaml, "x%d, ", i);
    }
    buffer_cstring(&yaml, "x]}}]\n");
    ck_assert_int_eq(rule_file_parse("r.yaml", buffer_view(&yaml), &problems, &file),
                     BRINK_E_SYNTAX);
    ck_assert_uint_eq(problems.errors, 9001);
    buffer_finish(&yaml);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_rulefile");
    TCase *c = tcase_create("rulefile");
    tcase_set_timeout(c, 60); /* a sanitizer or an emulator takes its time */
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_every_key_of_a_rule_is_read);
    tcase_add_test(c, test_every_field_of_the_field_form_is_read);
    tcase_add_test(c, test_operators_and_names_come_in_either_case);
    tcase_add_test(c, test_a_field_that_is_null_or_zero_is_as_if_absent);
    tcase_add_test(c, test_what_a_rule_leaves_out_takes_its_default);
    tcase_add_test(c, test_metric_mappings_are_read);
    tcase_add_test(c, test_maintenance_windows_are_read);
    tcase_add_test(c, test_what_holds_back_what_is_read);
    tcase_add_test(c, test_an_expression_over_lines_keeps_its_place);
    tcase_add_test(c, test_an_empty_rule_file_has_no_rules);
    tcase_add_test(c, test_conditions_and_labels_are_bounded);
    tcase_add_test(c, test_many_rules_with_unique_ids_are_read);
    tcase_add_test(c, test_many_unknown_groups_among_many_are_told_in_time);
    suite_add_tcase(s, c);
    return run_suite(s);
}
