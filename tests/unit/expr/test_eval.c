/* Evaluation with three values. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "random_tree.h"

/* What is evaluated over: metrics by the first letter of their name. */
struct world {
    double metrics[256];
    bool known[256];
    enum truth held; /* what held() answers, unless it passes through */
    bool held_passes;
    int held_calls;
    enum truth held_saw[8];
};

static bool latest(void *ctx, const struct expr *e, double *ret)
{
    struct world *world = ctx;
    unsigned char c = (unsigned char)e->metric[0];
    *ret = world->metrics[c];
    return world->known[c];
}

static enum truth absent(void *ctx, const struct expr *e)
{
    struct world *world = ctx;
    unsigned char c = e->metric ? (unsigned char)e->metric[0] : '!';
    return !world->known[c]        ? TRUTH_UNKNOWN
           : world->metrics[c] > 0 ? TRUTH_TRUE
                                   : TRUTH_FALSE;
}

static enum truth held(void *ctx, const struct expr *e, enum truth now)
{
    struct world *world = ctx;
    (void)e;
    if (world->held_calls < 8) {
        world->held_saw[world->held_calls] = now;
    }
    world->held_calls++;
    return world->held_passes ? now : world->held;
}

static struct expr_env env_of(struct world *world)
{
    return (struct expr_env){world, latest, latest, absent, absent, held};
}

static struct expr_reason reason;

static enum truth evaluate(struct world *world, const char *source)
{
    static struct expr *e;
    struct expr_error error;
    expr_free(e); /* the last one's reason points into it */
    e = NULL;
    ck_assert_int_eq(expr_parse(text_of(source), &e, &error), BRINK_OK);
    struct expr_env env = env_of(world);
    return expr_evaluate(e, &env, &reason);
}

static struct world abc(void)
{
    struct world world = {.held_passes = true};
    world.metrics['a'] = 1;
    world.metrics['b'] = 2;
    world.metrics['c'] = 3;
    world.known['a'] = world.known['b'] = world.known['c'] = true;
    return world;
}

#define T TRUTH_TRUE
#define F TRUTH_FALSE
#define U TRUTH_UNKNOWN

START_TEST(test_logic_has_three_values)
{
    static const enum truth all[] = {F, T, U};
    static const enum truth and_is[3][3] = {{F, F, F}, {F, T, U}, {F, U, U}};
    static const enum truth or_is[3][3] = {{F, T, U}, {T, T, T}, {U, T, U}};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            ck_assert_int_eq(truth_and(all[i], all[k]), and_is[i][k]);
            ck_assert_int_eq(truth_or(all[i], all[k]), or_is[i][k]);
        }
    }
    ck_assert_int_eq(truth_not(T), F);
    ck_assert_int_eq(truth_not(F), T);
    ck_assert_int_eq(truth_not(U), U);
}
END_TEST

START_TEST(test_expressions_have_their_truth)
{
    static const struct {
        const char *source;
        enum truth is;
    } cases[] = {
        {"a > 0", T},
        {"a >= 1", T},
        {"a < 1", F},
        {"a <= 1", T},
        {"a == 1", T},
        {"a != 1", F},
        {"a + b * c == 7", T},
        {"(a + b) * c == 9", T},
        {"c / b - a == 0.5", T},
        {"-a == -1 and - -a == 1", T},
        {"abs(a - c) == 2", T},
        {"2 - 3 - 4 == -5", T},
        {"12 / 3 / 2 == 2", T},
        {"a / 0 > 1", U},
        {"0 / 0 == 0", U},
        {"1e308 * 10 > 1", U},
        {"1e308 + 1e308 > 1", U},
        {"u > 1", U},
        {"u == u", U},
        {"abs(-u) + 1 > 1", U},
        {"u > 1 or a > 0", T},
        {"a > 0 or u > 1", T},
        {"u > 1 and a > 0", U},
        {"u > 1 and a > 1", F},
        {"not u > 1", U},
        {"avg(a, 5m) == 1", T},
        {"avg(u, 5m) == 1", U},
        {"absent(a, 5m)", T},
        {"absent(u, 5m)", U},
        {"not a > 1 and b > 1", T},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world = abc();
        ck_assert_msg(evaluate(&world, cases[i].source) == cases[i].is, "%s",
                      cases[i].source);
    }
}
END_TEST

START_TEST(test_reason_is_the_first_comparison_that_decided)
{
    static const struct {
        const char *source;
        const char *decided; /* "": none */
        double left, right;
    } cases[] = {
        {"a > 0", "a > 0", 1, 0},
        {"a > 0 and b > 1", "a > 0", 1, 0},
        {"a > 0 and b > 5", "b > 5", 2, 5},
        {"a > 5 and b > 5", "a > 5", 1, 5},
        {"a > 5 or b > 1", "b > 1", 2, 1},
        {"a > 5 or b > 7", "a > 5", 1, 5},
        {"u > 5 or b > 1", "b > 1", 2, 1},
        {"u > 5 and b > 7", "b > 7", 2, 7},
        {"u > 5 and b > 1", "", 0, 0},
        {"b > 1 and u > 5", "", 0, 0},
        {"u > 5", "", 0, 0},
        {"not a > 5", "a > 5", 1, 5},
        {"absent(a, 5m) or b > 1", "absent(a, 5m)", 0, 0},
        {"b > 5 or absent(a, 5m)", "absent(a, 5m)", 0, 0},
        {"held(b > 1, 5m) and c > a * 2", "b > 1", 2, 1},
        {"not (a > 0 and c + 1 > 5)", "c + 1 > 5", 4, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world = abc();
        (void)evaluate(&world, cases[i].source);
        struct buffer why = {0};
        if (reason.comparison) {
            expr_print(reason.comparison, &why);
        }
        ck_assert_msg(text_equal(buffer_view(&why), text_of(cases[i].decided)), "%s",
                      cases[i].source);
        buffer_finish(&why);
        bool compares = cases[i].left != 0 || cases[i].right != 0;
        ck_assert_msg(reason.known == compares, "%s", cases[i].source);
        ck_assert(!compares ||
                  (reason.left == cases[i].left && reason.right == cases[i].right));
    }
}
END_TEST

START_TEST(test_held_sees_every_evaluation)
{
    struct world world = abc();
    world.held_passes = false;
    world.held = F;
    ck_assert_int_eq(evaluate(&world, "a > 5 and held(a > 0, 1m) or a > 0 or "
                                      "held(b > 5, 1m) or held(u > 1, 1m)"),
                     T);
    ck_assert_int_eq(world.held_calls, 3);
    ck_assert_int_eq(world.held_saw[0], T);
    ck_assert_int_eq(world.held_saw[1], F);
    ck_assert_int_eq(world.held_saw[2], U);
    world.held = U;
    ck_assert_int_eq(evaluate(&world, "held(a > 0, 1m)"), U);
    ck_assert_ptr_null(reason.comparison);
}
END_TEST

/* What is known in spite of unknown metrics stays so whatever their values turn out to
 * be. */
START_TEST(test_known_outcomes_survive_any_value_of_the_unknown)
{
    int known = 0;
    for (int i = 0; i < 20000; i++) {
        struct expr *e = random_tree(1 + (int)below(5));
        struct world some = {.held_passes = true};
        for (int k = 0; k < 256; k++) {
            some.known[k] = below(3) != 0;
            some.metrics[k] = some.known[k] ? random_number() : 0;
        }
        struct expr_env env = env_of(&some);
        enum truth before = expr_evaluate(e, &env, NULL);
        for (int k = 0; k < 256; k++) {
            some.metrics[k] = some.known[k] ? some.metrics[k] : random_number();
            some.known[k] = true;
        }
        enum truth after = expr_evaluate(e, &env, NULL);
        ck_assert(before == U || before == after);
        known += before != U;
        expr_free(e);
    }
    ck_assert_int_gt(known, 2000);
}
END_TEST

/* As deep as the parser lets it be, in every way there is, on a small stack: a sixteenth
 * of what a thread gets; a sanitizer's frames are larger. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define STACK_BYTES (4096 * 1024)
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES (4096 * 1024)
#endif
#endif
#ifndef STACK_BYTES
#define STACK_BYTES (512 * 1024)
#endif

static void deepest(const char *inner, const char *middle, const char *outer,
                    const char *behind)
{
    struct buffer b = {0}, printed = {0};
    struct expr *e = NULL, *longer = NULL;
    struct expr_error error;
    for (size_t n = 1; n <= EXPR_DEPTH_MAX + 1; n++) {
        buffer_clear(&b);
        for (size_t i = 0; i < n; i++) {
            buffer_cstring(&b, inner);
        }
        buffer_cstring(&b, middle);
        for (size_t i = 0; i < n; i++) {
            buffer_cstring(&b, outer);
        }
        buffer_cstring(&b, behind);
        longer = NULL;
        if (expr_parse(buffer_view(&b), &longer, &error) != BRINK_OK) {
            break;
        }
        expr_free(e);
        e = longer;
    }
    ck_assert_ptr_null(longer); /* the limit was found */
    ck_assert_ptr_nonnull(e);
    struct world world = abc();
    struct expr_env env = env_of(&world);
    ck_assert(expr_equal(e, e));
    expr_print(e, &printed);
    ck_assert(buffer_ok(&printed));
    ck_assert_int_ne(expr_evaluate(e, &env, &reason), U);
    expr_free(e);
    buffer_finish(&b);
    buffer_finish(&printed);
}

static void *go_deep(void *ctx)
{
    deepest("(", "a > 0", ")", "");
    deepest("not ", "a > 0", "", "");
    deepest("not (", "a > 0", ")", "");
    deepest("", "a > 0", " and a > 0", "");
    deepest("a > 0 or (", "a > 0", ")", "");
    deepest("held(not (a > 5 or b > 9 and ", "a > 0", "), 5m)", "");
    deepest("", "0 < a", " + 1", "");
    deepest("abs(", "a", ")", " > 0");
    deepest("abs(1 + 2 * -(", "a", ")) + 1", " > 0");
    return ctx;
}

START_TEST(test_deepest_expressions_need_a_small_stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, go_deep, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("eval");
    TCase *t = tcase_create("eval");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_logic_has_three_values);
    tcase_add_test(t, test_expressions_have_their_truth);
    tcase_add_test(t, test_reason_is_the_first_comparison_that_decided);
    tcase_add_test(t, test_held_sees_every_evaluation);
    tcase_add_test(t, test_known_outcomes_survive_any_value_of_the_unknown);
    tcase_add_test(t, test_deepest_expressions_need_a_small_stack);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
