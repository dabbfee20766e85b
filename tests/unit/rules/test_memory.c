/* What a rule costs that covers no device yet: its definition is gone once it is
 * compiled. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../tap.h"
#include "rules/ruleset.h"

#define BYTES_A_RULE_MAX 1024

static size_t held_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* A configuration with n rules of the usual kinds; the bytes that it and they hold. */
static size_t bytes_of(size_t n)
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
    fprintf(f, "rules:\n");
    for (size_t i = 0; i < n; i++) {
        static const char *const kinds[] = {
            "when: 'avg(temp_c, 5m) > -15', clear: 'avg(temp_c, 5m) < -18', for: 2m",
            "rule_type: WINDOW, metric_name: temp_c, aggregation: avg, operator: GT, "
            "threshold: 8, window_seconds: 300, severity: critical",
            "rule_type: THRESHOLD, metric_name: humidity, operator: GT, threshold: 90, "
            "name: Too humid",
            "rule_type: TELEMETRY_GAP, metric_name: temp_c, gap_minutes: 10",
        };
        fprintf(f, "  - {id: rule-%06zu, scope: {devices: [frz-%06zu]}, %s}\n", i, i,
                kinds[i % 4]);
    }
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

START_TEST(test_a_rule_without_state_is_below_a_kibibyte_on_average)
{
    (void)bytes_of(10); /* what is allocated once */
    size_t few = bytes_of(1000), many = bytes_of(10000);
    ck_assert_uint_gt(many, few);
    printf("# %zu bytes a rule\n", (many - few) / 9000);
    ck_assert_uint_lt((many - few) / 9000, BYTES_A_RULE_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("rules");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_a_rule_without_state_is_below_a_kibibyte_on_average);
    suite_add_tcase(s, t);
    return run_tap(s);
}
