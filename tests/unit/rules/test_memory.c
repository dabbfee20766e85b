/* What a rule costs that covers no device yet, each kind by itself: its definition is
 * gone once it is compiled. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "rules/ruleset.h"

#define BYTES_A_RULE_MAX 1024
#define RULES 10000
#define GROUP_DEVICES 200 /* in the one group that the file has */

#define CONDITION(metric, more)                                                          \
    "{metric_name: " metric ", operator: GT, threshold: 8.25" more "}"

static const struct kind {
    const char *name, *keys;
} kinds[] = {
    {"threshold", "rule_type: THRESHOLD, metric_name: humidity, operator: GT, "
                  "threshold: 90, name: Too humid"},
    {"threshold by expression", "when: humidity > 90"},
    {"clear", "when: 'avg(temp_c, 5m) > -15', clear: 'avg(temp_c, 5m) < -18', for: 2m"},
    {"message and labels",
     "when: 'temp_c > 8', for: 2m, message: '{device}: {value:.1f} over {threshold} C', "
     "labels: {runbook: 'https://wiki.example/freezer', team: cold-chain}"},
    {"clear, message and labels",
     "when: 'avg(temp_c, 5m) > -15', clear: 'avg(temp_c, 5m) < -18', for: 2m, "
     "name: Freezer too warm, message: '{device}: {value:.1f} over {threshold} C', "
     "labels: {runbook: 'https://wiki.example/freezer', team: cold-chain}"},
    {"window", "rule_type: WINDOW, metric_name: temp_c, aggregation: avg, operator: GT, "
               "threshold: 8, window_seconds: 300, severity: critical"},
    {"window by count", "when: 'avg(temp_c, #5) > 8'"},
    {"conditions",
     "rule_type: THRESHOLD, match_mode: any, conditions: [" CONDITION(
         "temp_c", "") ", " CONDITION("humidity", "") ", " CONDITION("pressure", "") "]"},
    {"conditions with durations",
     "rule_type: THRESHOLD, match_mode: all, conditions: [" CONDITION(
         "temp_c", ", duration_minutes: 5") ", " CONDITION("humidity",
                                                           ", duration_minutes: 10") "]"},
    {"anomaly", "rule_type: ANOMALY, metric_name: temp_c, window_minutes: 60, "
                "z_threshold: 3, min_samples: 20"},
    {"gap", "rule_type: TELEMETRY_GAP, metric_name: temp_c, gap_minutes: 10"},
    {"heartbeat", "rule_type: HEARTBEAT, timeout_seconds: 90"},
    {"patterns", "when: 'temp_c > 8', scope: {tenants: [acme, 'umbrella-*'], "
                 "sites: [berlin, hamburg], devices: ['frz-1*', 'frz-2*', 'cold-*']}"},
    {"group", "when: 'temp_c > 8', scope: {tenants: [acme], groups: [freezers]}"},
    {"every timer", "when: 'temp_c > 8', for: 2m, keep_firing_for: 5m, cooldown: 10m, "
                    "repeat: 1h, escalate: {after: 30m, severity: critical}, "
                    "on_no_data: resolve, no_data_after: 15m"},
};

static size_t held_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void write_rules(FILE *f, const struct kind *kind, size_t n)
{
    fprintf(f, "groups: {freezers: [");
    for (size_t i = 0; i < GROUP_DEVICES; i++) {
        fprintf(f, "%sfreezer-%06zu", i > 0 ? ", " : "", i);
    }
    fprintf(f, "]}\nrules:\n");
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "  - {id: rule-%06zu, %s", i, kind->keys);
        if (!strstr(kind->keys, "scope:")) {
            fprintf(f, ", scope: {devices: [frz-%06zu]}", i);
        }
        fprintf(f, "}\n");
    }
}

/* The bytes that a configuration and its n rules of one kind hold. */
static size_t bytes_of(const struct kind *kind, size_t n)
{
    char folder[] = "/tmp/brink-test-XXXXXX", config[64], rules[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/brink.yaml", folder);
    snprintf(rules, sizeof rules, "%s/rules.yaml", folder);
    FILE *f = fopen(config, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "gateway: {id: g, state_dir: %s}\n"
            "telemetry: [{topic: 't/{tenant}/{device}'}]\n"
            "store: {address: memory}\nrules: [rules.yaml]\n",
            folder);
    fclose(f);
    f = fopen(rules, "w");
    ck_assert_ptr_nonnull(f);
    write_rules(f, kind, n);
    fclose(f);
    struct problems problems = {0};
    struct config *c = NULL;
    struct ruleset *set = NULL;
    size_t before = held_bytes();
    enum brink_status status = ruleset_load(config, &problems, &c, &set);
    problems_print(&problems, stderr);
    problems_finish(&problems);
    ck_assert_int_eq(status, BRINK_OK);
    ck_assert_uint_eq(set->n_rules, n);
    size_t bytes = held_bytes() - before;
    ruleset_free(set);
    config_free(c);
    unlink(config);
    unlink(rules);
    rmdir(folder);
    return bytes;
}

START_TEST(test_a_rule_without_state_is_below_a_kibibyte)
{
    const struct kind *kind = &kinds[_i];
    size_t none = bytes_of(kind, 1); /* once before it counts: what is allocated once */
    none = bytes_of(kind, 1);
    size_t a_rule = (bytes_of(kind, RULES) - none) / (RULES - 1);
    printf("# %4zu bytes a rule: %s\n", a_rule, kind->name);
    ck_assert_msg(a_rule < BYTES_A_RULE_MAX, "%s: %zu bytes a rule", kind->name, a_rule);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("rules");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_a_rule_without_state_is_below_a_kibibyte, 0,
                        sizeof kinds / sizeof kinds[0]);
    suite_add_tcase(s, t);
    return run_tap(s);
}
