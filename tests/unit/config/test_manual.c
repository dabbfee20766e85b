/* The example files load, and they and the manual say what the tables of keys say. */
#include <check.h>
#include <stdlib.h>

#include "base/number.h"
#include "config/file.h"
#include "config/rulefile.h"
#include "util.h"

static struct problems problems;

static void load_without_problems(const char *path)
{
    struct config *config = NULL;
    enum brink_status status = config_load(path, &problems, &config);
    char *got = printed(&problems);
    ck_assert_str_eq(got, "");
    free(got);
    ck_assert_int_eq(status, BRINK_OK);
    ck_assert_uint_ge(config->n_rule_files, 4);
    config_free(config);
}

START_TEST(test_the_examples_load_without_problems)
{
    unsetenv("STATE_DIRECTORY");
    load_without_problems(SOURCE_ROOT "/config/brink.yaml");
    load_without_problems(SOURCE_ROOT "/config/minimal.yaml");
}
END_TEST

static struct buffer read_whole(const char *path)
{
    struct buffer bytes = {0};
    ck_assert_int_eq(file_read(path, CONFIG_FILE_BYTES_MAX, &problems,
                               (struct position){path, 0, 0}, &bytes),
                     BRINK_OK);
    (void)buffer_cstr(&bytes);
    return bytes;
}

/* The manual's row for a key, copied; free() it. */
static char *manual_row(const char *manual, const char *key)
{
    char start[160];
    snprintf(start, sizeof start, "\n| `%s`", key);
    const char *row = strstr(manual, start);
    ck_assert_msg(row != NULL, "docs/CONFIGURATION.md has no row for `%s`", key);
    return text_dup((struct text){row + 1, strcspn(row + 1, "\n")});
}

static void expect_in_row(const char *row, const char *key, const char *what)
{
    ck_assert_msg(strstr(row, what) != NULL, "the manual's row for `%s` does not say %s",
                  key, what);
}

static void print_limit(const struct key *k, double v, char out[NUMBER_BYTES])
{
    if (k->kind == KEY_DURATION) {
        number_print_duration((int64_t)v, out);
    } else {
        number_print_plain(v, out);
    }
}

static void check_row(const char *manual, const struct schema *s, const struct key *k)
{
    char name[128], low[NUMBER_BYTES], high[NUMBER_BYTES], what[160];
    snprintf(name, sizeof name, "%s%s", s->prefix, k->name);
    char *row = manual_row(manual, name);
    if (k->initial) {
        snprintf(what, sizeof what, "`%s`", k->initial);
        expect_in_row(row, name, what);
    }
    bool ranged = k->kind == KEY_WHOLE || k->kind == KEY_DURATION ||
                  k->kind == KEY_AMOUNT || (k->kind == KEY_NUMBER && k->max < 1e300);
    if (ranged) {
        print_limit(k, k->min, low);
        print_limit(k, k->max, high);
        snprintf(what, sizeof what, "%s to %s", low, high);
        expect_in_row(row, name, what);
    }
    if (k->kind == KEY_SECRET) {
        snprintf(what, sizeof what, "`%s_file`", name);
        expect_in_row(row, name, what);
    }
    if (k->flags & KEY_REQUIRED) {
        expect_in_row(row, name, "must be given");
    }
    for (const struct choice *c = k->choices; c && c->name; c++) {
        snprintf(what, sizeof what, "`%s`", c->name);
        if (!strstr(row, what)) {
            snprintf(what, sizeof what, "`\"%s\"`", c->name);
        }
        if (strcmp(name, "conditions.operator") != 0) { /* "as `operator`" */
            expect_in_row(row, name, what);
        }
    }
    free(row);
    for (size_t i = 0; k->within && i < k->within->n; i++) {
        check_row(manual, k->within, &k->within->keys[i]);
    }
}

START_TEST(test_the_manual_tells_each_key_with_its_range_and_default)
{
    static const struct schema *const all[] = {
        &config_schema,    &telemetry_schema, &rule_file_schema,   &rule_schema,
        &condition_schema, &source_schema,    &maintenance_schema, &inhibit_schema};
    struct buffer manual = read_whole(SOURCE_ROOT "/docs/CONFIGURATION.md");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (size_t k = 0; k < all[i]->n; k++) {
            const struct key *key = &all[i]->keys[k];
            if (strcmp(all[i]->prefix, "") == 0 && key->kind == KEY_MAPPING &&
                !key->given) {
                for (size_t m = 0; m < key->within->n; m++) { /* a section has no row */
                    check_row(manual.p, key->within, &key->within->keys[m]);
                }
            } else {
                check_row(manual.p, all[i], key);
            }
        }
    }
    buffer_finish(&manual);
}
END_TEST

static void expect_in_example(const char *example, const struct schema *s)
{
    for (size_t i = 0; i < s->n; i++) {
        char plain[64], file[64];
        snprintf(plain, sizeof plain, " %s: ", s->keys[i].name);
        snprintf(file, sizeof file, " %s_file: ", s->keys[i].name);
        if (s->keys[i].within) {
            expect_in_example(example, s->keys[i].within);
        } else if (s->prefix[0]) {
            ck_assert_msg(strstr(example, plain) || strstr(example, file),
                          "config/brink.yaml does not show `%s%s`", s->prefix,
                          s->keys[i].name);
        }
    }
}

START_TEST(test_the_complete_example_shows_each_key)
{
    struct buffer example = read_whole(SOURCE_ROOT "/config/brink.yaml");
    expect_in_example(example.p, &config_schema);
    expect_in_example(example.p, &telemetry_schema);
    buffer_finish(&example);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_manual");
    TCase *c = tcase_create("manual");
    tcase_add_test(c, test_the_examples_load_without_problems);
    tcase_add_test(c, test_the_manual_tells_each_key_with_its_range_and_default);
    tcase_add_test(c, test_the_complete_example_shows_each_key);
    suite_add_tcase(s, c);
    return run_suite(s);
}
