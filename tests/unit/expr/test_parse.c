/* Parsing and printing. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "random_tree.h"

static struct expr_error error;

static struct expr *parsed(struct text t)
{
    struct expr *e = NULL;
    enum brink_status status = expr_parse(t, &e, &error);
    ck_assert((status == BRINK_OK) == (e != NULL));
    return e;
}

/* The canonical text of a text; NULL when it does not parse. free() it. */
static char *canonical(const char *source)
{
    struct expr *e = parsed(text_of(source));
    if (!e) {
        return NULL;
    }
    struct buffer b = {0};
    expr_print(e, &b);
    expr_free(e);
    ck_assert(buffer_ok(&b));
    char *s = text_dup(buffer_view(&b));
    buffer_finish(&b);
    return s;
}

START_TEST(test_printed_trees_parse_to_equal_trees)
{
    for (int i = 0; i < 50000; i++) {
        struct expr *e = random_tree(1 + (int)below(6));
        struct buffer b = {0};
        expr_print(e, &b);
        struct expr *again = parsed(buffer_view(&b));
        ck_assert_msg(again, "%u: %s in %s", error.column, error.message,
                      buffer_cstr(&b));
        ck_assert_msg(expr_equal(e, again), "%s", buffer_cstr(&b));
        buffer_finish(&b);
        expr_free(e);
        expr_free(again);
    }
}
END_TEST

/* Where the parenthesis at `open` closes, backquotes aside. */
static size_t closes(const char *s, size_t open)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = open;; i++) {
        quoted ^= s[i] == '`';
        depth += quoted ? 0 : (s[i] == '(') - (s[i] == ')');
        if (depth == 0) {
            return i;
        }
    }
}

START_TEST(test_printed_trees_have_no_parentheses_to_spare)
{
    for (int i = 0; i < 5000; i++) {
        struct expr *e = random_tree(1 + (int)below(4));
        struct buffer b = {0};
        expr_print(e, &b);
        char *s = text_dup(buffer_view(&b));
        bool quoted = false;
        for (size_t k = 0; s[k]; k++) {
            quoted ^= s[k] == '`';
            bool of_call = k > 0 && s[k - 1] >= 'a' && s[k - 1] <= 'z';
            if (quoted || s[k] != '(' || of_call) {
                continue;
            }
            size_t end = closes(s, k);
            s[k] = s[end] = ' ';
            struct expr *without = parsed(text_of(s));
            ck_assert_msg(!without || !expr_equal(e, without), "needless in %s",
                          buffer_cstr(&b));
            expr_free(without);
            s[k] = '(';
            s[end] = ')';
        }
        free(s);
        buffer_finish(&b);
        expr_free(e);
    }
}
END_TEST

START_TEST(test_texts_print_canonically)
{
    static const char *const cases[][2] = {
        {"avg(temp_c,5m)>-15", "avg(temp_c, 5m) > -15"},
        {"((a))>(1)", "a > 1"},
        {"a>1 AND b<2 Or not c==3", "a > 1 and b < 2 or not c == 3"},
        {"a > 1 and (b < 2 or c == 3)", "a > 1 and (b < 2 or c == 3)"},
        {"(a > 1 and b > 1) and c > 1", "a > 1 and b > 1 and c > 1"},
        {"a > 1 and (b > 1 and c > 1)", "a > 1 and (b > 1 and c > 1)"},
        {"not (a > 1)", "not a > 1"},
        {"not not a > 1", "not not a > 1"},
        {"not (a > 1 and b > 1)", "not (a > 1 and b > 1)"},
        {"1 - (2 - 3) != (1 - 2) - 3", "1 - (2 - 3) != 1 - 2 - 3"},
        {"-(a + b) * c / (d * e) >= +0", NULL},
        {"-(a + b) * c / (d * e) >= 0", "-(a + b) * c / (d * e) >= 0"},
        {"a - -5 < - 5 + - a", "a - -5 < -5 + -a"},
        {"-(5) > - -5", "-(5) > --5"},
        {"percentile(`x y`, 99.90, 90s, #7) > 1.50e3",
         "percentile(`x y`, 99.9, 90s, #7) > 1500"},
        {"avg(x, 300) > .5", "avg(x, 5m) > 0.5"},
        {"`temp` > 1 or `or` > 2", "temp > 1 or `or` > 2"},
        {"held(\n a > 1 ,\t5m )", "held(a > 1, 5m)"},
        {"absent(x, 10m) or silent(2m)", "absent(x, 10m) or silent(2m)"},
        {"avg > max", "avg > max"},
        {"abs(delta(x, #2)) > 3", "abs(delta(x, #2)) > 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = canonical(cases[i][0]);
        ck_assert_pstr_eq(got, cases[i][1]);
        free(got);
    }
}
END_TEST

START_TEST(test_errors_say_what_is_meant_and_where)
{
    static const struct {
        const char *source;
        unsigned column;
        const char *message;
    } cases[] = {
        {"averge(t, 5m) > 1", 1, "unknown function `averge`, did you mean `avg`?"},
        {"a > MAX(t, 5m)", 5, "unknown function `MAX`, did you mean `max`?"},
        {"a > wibble(t, 5m)", 5, "unknown function `wibble`"},
        {"avg_over_time(t, 5m) > 1", 1,
         "unknown function `avg_over_time`, did you mean `avg`?"},
        {"quantile_over_time(t, 5m) > 1", 1,
         "unknown function `quantile_over_time`, did you mean `percentile`?"},
        {"nodata(5m)", 1, "unknown function `nodata`, did you mean `absent`?"},
        {"diff(t, 5m) > 1", 1, "unknown function `diff`, did you mean `delta`?"},
        {"a > 5m", 5, "`5m` is a duration; only windows take one"},
        {"a > #5", 5, "`#5` is a number of readings; only windows take one"},
        {"(a > 1", 7, "expected `)` before the end"},
        {"a > 1)", 6, "this `)` closes nothing"},
        {"a > 1 b", 7, "expected an operator before `b`"},
        {"a b > 1", 3,
         "expected an operator before `b`; a metric's name with a space goes in "
         "backquotes"},
        {"a > 1,5", 6, "expected an operator before `,`; decimals stand behind a point"},
        {"a,5 > 1", 2, "expected an operator before `,`"},
        {"a >", 4, "expected a value before the end"},
        {"a > * 3", 5, "expected a value before `*`"},
        {"  ", 1, "there is no condition here"},
        {"a > \n ", 4, "expected a value before the end"},
        {"temp", 1, "a rule needs a condition here, such as a comparison, not a number"},
        {"a > 1 and b", 11,
         "`and` needs a condition here, such as a comparison, not a number"},
        {"not b", 5, "`not` needs a condition here, such as a comparison, not a number"},
        {"held(b, 5m)", 6,
         "`held` needs a condition here, such as a comparison, not a number"},
        {"1 + (a > 1) > 2", 5, "`+` needs a number here, not a condition"},
        {"abs(a > 1) > 2", 5, "`abs` needs a number here, not a condition"},
        {"-(a > 1) > 2", 2, "`-` needs a number here, not a condition"},
        {"(a > 1) == 1", 1, "`==` needs a number here, not a condition"},
        {"1 < a < 3", 7,
         "comparisons do not chain: join them with `and`, as in 1 < t and t < 3"},
        {"a == b == c", 8,
         "comparisons do not chain: join them with `and`, as in 1 < t and t < 3"},
        {"1 + not a > 3", 5, "`not` needs parentheses around it here"},
        {"a = 1", 3, "`=` is no operator; to compare, use `==`"},
        {"a > 1 && b > 1", 7, "`&&` is no operator; use `and`"},
        {"a > 1 & b > 1", 7, "`&` is no operator; use `and`"},
        {"a > 1 || b > 1", 7, "`||` is no operator; use `or`"},
        {"a > 1 | b > 1", 7, "`|` is no operator; use `or`"},
        {"a <> 1", 3, "`<>` is no operator; use `!=`"},
        {"a =< 1", 3, "`=<` is no operator; use `<=`"},
        {"a => 1", 3, "`=>` is no operator; use `>=`"},
        {"a === 1", 5, "`=` is no operator; to compare, use `==`"},
        {"a[5m] > 1", 2,
         "`[` has no meaning here; a window is an argument, as in avg(temp, 5m)"},
        {"a{x=1} > 1", 2,
         "`{` has no meaning here; which devices a rule is for stands in `scope`"},
        {"!(a > 1)", 1, "`!` is no operator; use `not`"},
        {"a == \"ON\"", 6,
         "quotation marks have no meaning here: a metric's name goes in backquotes, and "
         "a "
         "text becomes a number by `values` of its telemetry entry"},
        {"'a' > 1", 1,
         "quotation marks have no meaning here: a metric's name goes in backquotes, and "
         "a "
         "text becomes a number by `values` of its telemetry entry"},
        {"\xc3\xa9 > 1", 1,
         "unexpected `\xc3\xa9`; a metric's name that has one goes in backquotes"},
        {"a:b > 1", 2, "unexpected `:`; a metric's name that has one goes in backquotes"},
        {"$a > 1", 1, "unexpected `$`; a metric's name that has one goes in backquotes"},
        {"`\xc3\xa9` > 1 % 3", 9, "unexpected `%`"},
        {"a > 1 \x01", 7, "unexpected `\\x01`"},
        {"`a > 1", 1, "this backquote is never closed"},
        {"`` > 1", 1, "a metric's name cannot be empty"},
        {"`a\nb` > 1", 1, "a metric's name must be UTF-8 without control characters"},
        {"`\xff` > 1", 1, "a metric's name must be UTF-8 without control characters"},
        {"a > 3x", 5,
         "`3x` is neither a number nor a duration such as 5m; a metric's name that "
         "begins "
         "with a digit goes in backquotes"},
        {"a > 1.2.3", 5, "`1.2.3` is not a number"},
        {"a > 1e999", 5, "`1e999` is too large a number"},
        {"avg(5, 5m) > 1", 5, "`avg` takes a metric's name, not `5`"},
        {"avg(a * 2, 5m) > 1", 7, "`avg` takes a metric's name, not an expression"},
        {"avg(a-b, 5m) > 1", 6,
         "`avg` takes a metric's name, not an expression; a name with `-` goes in "
         "backquotes"},
        {"avg(a, 5 min) > 1", 8, "a duration is one word, did you mean `5m`?"},
        {"held(a > 1, 2 Hours)", 13, "a duration is one word, did you mean `2h`?"},
        {"avg(a, 5 b) > 1", 10, "expected `)` before `b`"},
        {"avg(a, 5min) > 1", 8, "`5min` is no duration, did you mean `5m`?"},
        {"avg(a, 5M) > 1", 8, "`5M` is no duration, did you mean `5m`?"},
        {"avg(a, 1h30m) > 1", 8, "`1h30m` is no duration, did you mean `90m`?"},
        {"avg(a, 2w) > 1", 8, "`2w` is no duration, did you mean `14d`?"},
        {"avg(a, 99w) > 1", 8,
         "`99w` is neither a number nor a duration such as 5m; a metric's name that "
         "begins with a digit goes in backquotes"},
        {"avg(a) > 1", 6, "`avg` needs a window after the metric, such as 5m"},
        {"avg(a 5m) > 1", 7, "expected `,` before `5m`"},
        {"avg(a, b) > 1", 8, "expected a duration such as 5m before `b`"},
        {"avg(a, 0s) > 1", 8, "`0s` is too short"},
        {"avg(a, 367d) > 1", 8, "`367d` is too long; 366d is the most"},
        {"avg(a, #0) > 1", 8, "`#` takes 1 to 100000 readings"},
        {"avg(a, #100001) > 1", 8, "`#` takes 1 to 100000 readings"},
        {"avg(a, #99999999999999999999) > 1", 8, "`#` takes 1 to 100000 readings"},
        {"avg(a, #x) > 1", 8, "expected a number of readings after `#`, such as #5"},
        {"avg(a, #5, 5m) > 1", 10, "the number of readings comes last, as in 10m, #5"},
        {"avg(a, 5m, 5m) > 1", 12,
         "expected a number of readings, such as #5, before `5m`"},
        {"avg(a, 5m, #5, 1) > 1", 14, "the number of readings comes last, as in 10m, #5"},
        {"percentile(a, 5m) > 1", 15,
         "`percentile` takes a number from 0 to 100, not `5m`"},
        {"percentile(a, 101, 5m) > 1", 15,
         "`percentile` takes a number from 0 to 100, not `101`"},
        {"absent(a, #5)", 11, "expected a duration such as 5m before `#5`"},
        {"silent(a)", 8, "expected a duration such as 5m before `a`"},
        {"silent(5m) > 3", 1, "`>` needs a number here, not a condition"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *e = NULL;
        ck_assert_int_eq(expr_parse(text_of(cases[i].source), &e, &error),
                         BRINK_E_SYNTAX);
        ck_assert_ptr_null(e);
        ck_assert_str_eq(error.message, cases[i].message);
        ck_assert_msg(error.column == cases[i].column, "%s: at %u", cases[i].source,
                      error.column);
    }
}
END_TEST

START_TEST(test_an_error_knows_its_column_in_characters_and_in_bytes)
{
    struct expr *e = NULL;
    ck_assert_int_eq(expr_parse(TEXT("`\xc3\xa9\xe2\x82\xac` > 1 und b"), &e, &error),
                     BRINK_E_SYNTAX);
    ck_assert_uint_eq(error.column, 10);
    ck_assert_uint_eq(error.offset, 12);
    ck_assert_int_eq(expr_parse(TEXT("a >"), &e, &error), BRINK_E_SYNTAX);
    ck_assert_uint_eq(error.offset, 3);
}
END_TEST

START_TEST(test_what_is_likely_meant_otherwise_is_warned_of)
{
    static const struct {
        const char *source;
        unsigned column; /* 0: no warning */
        const char *warning;
    } cases[] = {
        {"1 < frz-temp", 5,
         "`frz-temp` is read as a difference: a metric of that name goes in backquotes, "
         "a minus sign has a space on each side"},
        {"temp-2 > 1 or frz-temp > 1", 1,
         "`temp-2` is read as a difference: a metric of that name goes in backquotes, a "
         "minus sign has a space on each side"},
        {"x + a.b-c * 2 > 1", 5,
         "`a.b-c` is read as a difference: a metric of that name goes in backquotes, a "
         "minus sign has a space on each side"},
        {"frz - temp > 1", 0, ""},
        {"frz -temp > 1", 0, ""},
        {"frz- temp > 1", 0, ""},
        {"`frz-temp` > 1", 0, ""},
        {"5-temp > 1", 0, ""},
        {"temp-avg(temp, 5m) > 1", 0, ""},
        {"(a)-b > 1", 0, ""},
        {"a > -1 and b>-1", 0, ""},
        {"door == true", 9,
         "`true` is read as a metric's name; what is true or false has the value 1 or 0"},
        {"door != FALSE", 9,
         "`FALSE` is read as a metric's name; what is true or false has the value 1 or "
         "0"},
        {"door == `true`", 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *e = parsed(text_of(cases[i].source));
        ck_assert_ptr_nonnull(e);
        ck_assert_str_eq(error.message, cases[i].warning);
        ck_assert(cases[i].column == 0 || error.column == cases[i].column);
        expr_free(e);
    }
}
END_TEST

/* The message belongs to the text at hand alone, and a failure outdoes a warning. */
START_TEST(test_a_failure_replaces_a_warning)
{
    struct expr *e = parsed(TEXT("a-b > 1 > 2"));
    ck_assert_ptr_null(e);
    ck_assert_uint_eq(error.column, 9);
    memset(&error, 'x', sizeof error);
    e = parsed(TEXT("a > 1"));
    ck_assert_str_eq(error.message, "");
    ck_assert_uint_eq(error.offset, 0);
    expr_free(e);
}
END_TEST

/* before, then `inner` n times, then middle, then `outer` n times. */
static enum brink_status parse_repeated(const char *inner, size_t n, const char *middle,
                                        const char *outer)
{
    struct buffer b = {0};
    for (size_t i = 0; i < n; i++) {
        buffer_cstring(&b, inner);
    }
    buffer_cstring(&b, middle);
    for (size_t i = 0; i < n; i++) {
        buffer_cstring(&b, outer);
    }
    struct expr *e = NULL;
    enum brink_status status = expr_parse(buffer_view(&b), &e, &error);
    ck_assert((status == BRINK_OK) == (e != NULL));
    expr_free(e);
    buffer_finish(&b);
    return status;
}

START_TEST(test_hostile_input_is_refused_within_limits)
{
    static const struct {
        const char *inner, *middle, *outer;
    } nests[] = {
        {"(", "a > 1", ")"},         {"not ", "a > 1", ""},
        {"not (", "a > 1", ")"},     {"", "a > -", "-"},
        {"abs(", "a", ") > 1"},      {"held(", "a > 1", ", 5m)"},
        {"", "a > 1", " and a > 1"}, {"a > 1 or (", "a > 1", ")"},
        {"", "1 < 1", " + 1"},       {"(", "", ""},
        {"held(", "", ""},           {"1 - (", "1", ") > 1"},
    };
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        enum brink_status status =
            parse_repeated(nests[i].inner, 3000, nests[i].middle, nests[i].outer);
        ck_assert_msg(status == BRINK_E_LIMIT, "%zu: %d %s", i, (int)status,
                      error.message);
    }
    ck_assert_int_eq(parse_repeated("(", 10000, "a > 1", ")"), BRINK_E_LIMIT);
    ck_assert_int_eq(parse_repeated("(", 250, "a > 1", ")"), BRINK_OK);
    ck_assert_int_eq(parse_repeated("", 250, "a > 1", " or a > 1"), BRINK_OK);
    ck_assert_int_eq(parse_repeated("", 256, "a > 1", " or a > 1"), BRINK_E_LIMIT);
    ck_assert_int_eq(parse_repeated("", 256, "1 < 1", " + 1"), BRINK_E_LIMIT);
    ck_assert_int_eq(parse_repeated("not ", 250, "a > 1", ""), BRINK_OK);
    ck_assert_int_eq(parse_repeated("x", 1024 * 1024, "", ""), BRINK_E_LIMIT);
    ck_assert_int_eq(parse_repeated(" ", EXPR_BYTES_MAX + 1, "", ""), BRINK_E_LIMIT);
    ck_assert_int_eq(parse_repeated("1", 60000, " > 1", ""), BRINK_E_SYNTAX);
}
END_TEST

/* A bushy tree of many nodes is not deep. */
START_TEST(test_number_of_nodes_is_limited)
{
    struct buffer b = {0};
    for (int i = 0; i < 15; i++) {
        buffer_cstring(&b, "(");
        for (int k = 0; k < 100; k++) {
            buffer_cstring(&b, "a > 1 or ");
        }
        buffer_cstring(&b, "a > 1) and ");
    }
    buffer_cstring(&b, "a > 1");
    struct expr *e = NULL;
    ck_assert_int_eq(expr_parse(buffer_view(&b), &e, &error), BRINK_E_LIMIT);
    ck_assert_str_eq(error.message, "more than 4096 operators and values");
    buffer_finish(&b);
}
END_TEST

START_TEST(test_constructors_pass_failure_on)
{
    ck_assert_ptr_null(expr_unary(EXPR_NOT, NULL));
    ck_assert_ptr_null(expr_binary(EXPR_GT, expr_metric(TEXT("a")), NULL));
    ck_assert_ptr_null(expr_binary(EXPR_GT, NULL, expr_number(1)));
    ck_assert_ptr_null(expr_held(NULL, 1));
    expr_free(NULL);
}
END_TEST

START_TEST(test_freeing_a_deep_tree_needs_no_stack)
{
    struct expr *e = expr_binary(EXPR_GT, expr_metric(TEXT("a")), expr_number(1));
    for (int i = 0; i < 2000000; i++) {
        e = i % 3 == 0 ? expr_binary(EXPR_AND, expr_silent(1), e)
                       : expr_unary(EXPR_NOT, e);
    }
    expr_free(e);
}
END_TEST

static void note(void *ctx, struct expr *e)
{
    char *seen = ctx;
    size_t n = strlen(seen);
    static const char letters[] = "nmoo+-*/>GlLeEtao";
    seen[n] = letters[e->kind < sizeof letters - 1 ? e->kind : 0];
    seen[n + 1] = '\0';
}

START_TEST(test_walk_follows_the_text_operands_first)
{
    char seen[64] = "";
    struct expr *e = parsed(TEXT("a + 1 > b and not 2 < c"));
    expr_walk(e, note, seen);
    ck_assert_str_eq(seen, "mn+m>nmlta");
    expr_free(e);
}
END_TEST

START_TEST(test_names_that_can_be_written)
{
    ck_assert(expr_can_name(TEXT("a b")));
    ck_assert(expr_can_name(TEXT("\xc3\xa9")));
    ck_assert(!expr_can_name(TEXT("")));
    ck_assert(!expr_can_name(TEXT("a`b")));
    ck_assert(!expr_can_name(TEXT("a\tb")));
    ck_assert(!expr_can_name(TEXT("\xff")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("parse");
    TCase *t = tcase_create("parse");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_printed_trees_parse_to_equal_trees);
    tcase_add_test(t, test_printed_trees_have_no_parentheses_to_spare);
    tcase_add_test(t, test_texts_print_canonically);
    tcase_add_test(t, test_errors_say_what_is_meant_and_where);
    tcase_add_test(t, test_an_error_knows_its_column_in_characters_and_in_bytes);
    tcase_add_test(t, test_what_is_likely_meant_otherwise_is_warned_of);
    tcase_add_test(t, test_a_failure_replaces_a_warning);
    tcase_add_test(t, test_hostile_input_is_refused_within_limits);
    tcase_add_test(t, test_number_of_nodes_is_limited);
    tcase_add_test(t, test_constructors_pass_failure_on);
    tcase_add_test(t, test_freeing_a_deep_tree_needs_no_stack);
    tcase_add_test(t, test_walk_follows_the_text_operands_first);
    tcase_add_test(t, test_names_that_can_be_written);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
