/* Message templates: what they say, and what is told of faulty ones. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "model/template.h"

static const char *const labels[] = {"runbook", "a:b"};
static char *const label_values[] = {"https://w", "colon"};
static const char *const metrics[] = {"temp_c", "x"};
static const struct template_scope scope = {labels, metrics, 2, 2, false};

static char faults[1024];

static void note(void *ctx, size_t at, const char *fault)
{
    (void)ctx;
    size_t n = strlen(faults);
    snprintf(faults + n, sizeof faults - n, "%s%zu: %s", n ? "\n" : "", at, fault);
}

static bool metric(const void *ctx, size_t index, double *ret)
{
    *ret = *(const double *)ctx;
    return index == 0;
}

static const char *fill(const char *source, size_t cap)
{
    static char out[4096];
    const double temp = 21.456;
    const struct template_values v = {
        .texts = {[TEMPLATE_TENANT] = "acme",
                  [TEMPLATE_DEVICE] = "d\xc3\xa9j\xc3\xa0-1",
                  [TEMPLATE_RULE] = "r",
                  [TEMPLATE_NAME] = "",
                  [TEMPLATE_GATEWAY] = "gw"},
        .compared = true,
        .value = -3.14159,
        .threshold = 5,
        .labels = label_values,
        .metric = metric,
        .ctx = &temp,
    };
    struct bounded text = {.p = out, .cap = cap};
    faults[0] = '\0';
    struct template *t = template_new(text_of(source), &scope, note, NULL);
    ck_assert_msg(t != NULL, "%s: %s", source, faults);
    ck_assert(text_equal(template_source(t), text_of(source)));
    template_print(t, &v, &text);
    free(t);
    out[text.n] = '\0';
    return out;
}

static const struct {
    const char *source, *text;
} filled[] = {
    {"", ""},
    {"plain", "plain"},
    {"{{}}", "{}"},
    {"{{{tenant}}}", "{acme}"},
    {"}}{{ {{tenant}}", "}{ {tenant}"},
    {"{tenant}{rule}", "acmer"},
    {"{value} {threshold}", "-3.14159 5"},
    {"{value:.1f}|{value:8.2f}|{value:<8.2f}|{value:^8.2f}|{value:08.2f}",
     "-3.1|   -3.14|-3.14   | -3.14  |-0003.14"},
    {"{threshold:+}|{threshold: d}|{threshold:%}|{threshold:.1e}|{threshold:5}",
     "+5| 5|500.000000%|5.0e+00|    5"},
    {"{device:8}|{device:>8}|{device:^9}|{device:.3}|{device:3.2s}",
     "d\xc3\xa9j\xc3\xa0-1  |  d\xc3\xa9j\xc3\xa0-1| d\xc3\xa9j\xc3\xa0-1  |"
     "d\xc3\xa9j|d\xc3\xa9 "},
    {"{site}|{site:9}|{site:>9}|{site:.2}|{name}|", "unknown|unknown  |  unknown|un||"},
    {"{labels.runbook} {labels.a:b} {labels.a:b:>7}", "https://w colon   colon"},
    {"{metrics.temp_c:.1f}|{metrics.x:9.1f}|{metrics.x:<9.1f}|{metrics.x:.1f}",
     "21.5|  unknown|unknown  |unknown"},
};

START_TEST(test_names_and_formats_are_filled_in)
{
    ck_assert_str_eq(fill(filled[_i].source, 4000), filled[_i].text);
}
END_TEST

static const struct {
    const char *source, *faults;
} faulty[] = {
    {"a {value", "2: `{` without `}`; `{{` stands for a brace"},
    {"a} {", "1: `}` without `{`; `}}` stands for a brace\n"
             "3: `{` without `}`; `{{` stands for a brace"},
    {"{devise}", "0: unknown name `{devise}`, did you mean `{device}`?"},
    {"{metrics.tempc}",
     "0: unknown name `{metrics.tempc}`, did you mean `{metrics.temp_c}`?"},
    {"{metrics.pressure}",
     "0: unknown name `{metrics.pressure}`: the rule's condition names no such metric"},
    {"{labels.zzz}", "0: unknown name `{labels.zzz}`: the rule has no such label"},
    {"{device:.1f}", "10: `{device}` is a text: format `f` is for numbers"},
    {"{value:s}", "7: `{value}` is a number: format `s` is for texts"},
    {"{value:5.}", "9: `{value}` is a number: a number stands behind the point"},
    {"{value:.2d}",
     "9: `{value}` is a number: format `d` has no digits behind a point; `f` has"},
    {"{value:100}", "7: `{value}` is a number: a width is at most 99"},
    {"{value:99999999999999999999}", "7: `{value}` is a number: a width is at most 99"},
    {"{value:.21f}", "8: `{value}` is a number: a precision is at most 20"},
    {"{value:>05}",
     "8: `{value}` is a number: `0` fills up behind the sign; no alignment goes with it"},
    {"{device:05}", "8: `{device}` is a text: `0` before a width is for numbers"},
    {"{device:+5}", "8: `{device}` is a text: a sign is for numbers"},
    {"{value:x}", "7: `{value}` is a number: a format is [<>^][+- ][0][width][.digits][f "
                  "e g d or %]"},
    {"{value:,}", "7: `{value}` is a number: a format is [<>^][+- ][0][width][.digits][f "
                  "e g d or %]"},
    {"{device:ss}", "8: `{device}` is a text: a format is [<>^][width][.characters][s]"},
};

START_TEST(test_faults_are_told_with_their_places)
{
    faults[0] = '\0';
    ck_assert_ptr_null(template_new(text_of(faulty[_i].source), &scope, note, NULL));
    ck_assert_str_eq(faults, faulty[_i].faults);
}
END_TEST

START_TEST(test_name_that_nothing_is_near_lists_all)
{
    faults[0] = '\0';
    ck_assert_ptr_null(template_new(TEXT("{} {wibble}"), &scope, note, NULL));
    ck_assert_int_eq(strncmp(faults, "0: unknown name `{}`; there are tenant, ", 40), 0);
    ck_assert_ptr_nonnull(strstr(faults, "\n3: unknown name `{wibble}`; there are "));
}
END_TEST

/* Never in the middle of a character, and nothing behind what was left out. */
START_TEST(test_long_text_is_cut_at_a_character)
{
    ck_assert_str_eq(fill("{device}!", 3), "d\xc3\xa9");
    ck_assert_str_eq(fill("{device}!", 2), "d");
    ck_assert_str_eq(fill("{device}!", 5), "d\xc3\xa9j");
    ck_assert_str_eq(fill("{device}!", 9), "d\xc3\xa9j\xc3\xa0-1!");
    ck_assert_str_eq(fill("{value:20}", 5), "     ");
    ck_assert_str_eq(fill("abc", 0), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("template");
    TCase *t = tcase_create("template");
    tcase_add_loop_test(t, test_names_and_formats_are_filled_in, 0,
                        (int)(sizeof filled / sizeof filled[0]));
    tcase_add_loop_test(t, test_faults_are_told_with_their_places, 0,
                        (int)(sizeof faulty / sizeof faulty[0]));
    tcase_add_test(t, test_name_that_nothing_is_near_lists_all);
    tcase_add_test(t, test_long_text_is_cut_at_a_character);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
