#include "model/topic.h"

#include <stdint.h>
#include <stdio.h>

#include "../tap.h"

static struct topic_pattern pattern(const char *source)
{
    struct topic_pattern p;
    const char *why = NULL;
    ck_assert_msg(topic_pattern_init(&p, text_of(source), &why) == BRINK_OK, "%s: %s",
                  source, why);
    return p;
}

static void check_text(struct text got, const char *want)
{
    ck_assert_msg(text_equal(got, text_of(want)), "%.*s, not %s", (int)got.n, got.p,
                  want);
}

START_TEST(test_pattern_subscribes_to_a_plus_for_each_name)
{
    static const char *const rows[][2] = {
        {"tenant/{tenant}/device/{device}/telemetry", "tenant/+/device/+/telemetry"},
        {"{device}", "+"},
        {"/{device}/", "/+/"},
        {"{site}/{device}/x/{metric}", "+/+/x/+"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct topic_pattern p = pattern(rows[i][0]);
        ck_assert_str_eq(p.filter, rows[i][1]);
        ck_assert_str_eq(p.source, rows[i][0]);
        topic_pattern_finish(&p);
    }
    topic_pattern_finish(NULL);
}
END_TEST

START_TEST(test_pattern_refuses_what_it_cannot_mean)
{
    static const char *const rows[] = {
        "",
        "a/b",
        "{tenant}/x",
        "x-{device}",
        "{device}x",
        "{device}{site}",
        "{device",
        "device}",
        "{}/{device}",
        "{a b}/{device}",
        "{{device}}",
        "{device}/{device}",
        "{x}/{device}/{x}",
        "{device}/+",
        "{device}/#",
        "a+/{device}",
        "$share/g/{device}",
        "$SYS/{device}",
        "{device}/\xff",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct topic_pattern p;
        const char *why = NULL;
        ck_assert_msg(topic_pattern_init(&p, text_of(rows[i]), &why) == BRINK_E_SYNTAX,
                      "%s", rows[i]);
        ck_assert_ptr_nonnull(why);
    }
    const char *why = NULL;
    struct topic_pattern p;
    ck_assert_int_eq(topic_pattern_init(&p, (struct text){"{device}\0", 9}, &why),
                     BRINK_E_SYNTAX);
}
END_TEST

START_TEST(test_pattern_has_room_for_its_limits_and_no_more)
{
    struct topic_pattern p;
    const char *why = NULL;
    char deep[2 * TOPIC_LEVELS_MAX + 16] = "{device}";
    for (size_t i = 1; i < TOPIC_LEVELS_MAX; i++) {
        strcat(deep, "/a");
    }
    ck_assert_int_eq(topic_pattern_init(&p, text_of(deep), &why), BRINK_OK);
    topic_pattern_finish(&p);
    strcat(deep, "/a");
    ck_assert_int_eq(topic_pattern_init(&p, text_of(deep), &why), BRINK_E_SYNTAX);

    char many[400] = "{device}/{tenant}/{metric}";
    for (int i = 0; i < TOPIC_LABELS_MAX; i++) {
        snprintf(many + strlen(many), sizeof many - strlen(many), "/{l%d}", i);
    }
    ck_assert_int_eq(topic_pattern_init(&p, text_of(many), &why), BRINK_OK);
    topic_pattern_finish(&p);
    strcat(many, "/{more}");
    ck_assert_int_eq(topic_pattern_init(&p, text_of(many), &why), BRINK_E_SYNTAX);
}
END_TEST

START_TEST(test_match_names_its_levels)
{
    struct topic_pattern p = pattern("{site}/t/{tenant}/{device}/{metric}/{floor}");
    struct topic_match m;
    ck_assert(topic_pattern_match(&p, TEXT("s1/t/acme/frz-1/temp/2"), &m));
    check_text(m.tenant, "acme");
    check_text(m.device, "frz-1");
    check_text(m.metric, "temp");
    ck_assert_uint_eq(m.n_labels, 2);
    check_text(m.labels[0].name, "site");
    check_text(m.labels[0].value, "s1");
    check_text(m.labels[1].name, "floor");
    check_text(m.labels[1].value, "2");
    topic_pattern_finish(&p);
}
END_TEST

START_TEST(test_match_without_tenant_is_default)
{
    struct topic_pattern p = pattern("d/{device}");
    struct topic_match m;
    ck_assert(topic_pattern_match(&p, TEXT("d/x"), &m));
    check_text(m.tenant, "default");
    check_text(m.device, "x");
    ck_assert_uint_eq(m.metric.n, 0);
    ck_assert_uint_eq(m.n_labels, 0);
    topic_pattern_finish(&p);
}
END_TEST

START_TEST(test_match_wants_every_level_and_no_more)
{
    struct topic_pattern p = pattern("a/{device}/z");
    struct topic_match m;
    ck_assert(topic_pattern_match(&p, TEXT("a//z"), &m)); /* the caller drops empty ids */
    ck_assert_uint_eq(m.device.n, 0);
    static const char *const others[] = {"",       "a",     "a/b",    "a/b/z/", "a/b/z/c",
                                         "/a/b/z", "b/b/z", "a/b/zz", "A/b/z"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert_msg(!topic_pattern_match(&p, text_of(others[i]), &m), "%s", others[i]);
    }
    ck_assert(!topic_pattern_match(&p, (struct text){NULL, 0}, &m));
    topic_pattern_finish(&p);
    p = pattern("{device}/x");
    ck_assert(!topic_pattern_match(&p, TEXT("$SYS/x"), &m));
    topic_pattern_finish(&p);
    p = pattern("{device}");
    ck_assert(!topic_pattern_match(&p, TEXT(""), &m)); /* there is no empty topic */
    topic_pattern_finish(&p);
}
END_TEST

static bool lookup(void *ctx, struct text name, struct text *ret_value)
{
    if (!text_equal(name, TEXT("device"))) {
        return false;
    }
    *ret_value = *(struct text *)ctx;
    return true;
}

static void check_expand(const char *template, struct text device, const char *want)
{
    struct buffer out = {0};
    ck_assert_int_eq(topic_expand(text_of(template), lookup, &device, &out), BRINK_OK);
    ck_assert_str_eq(buffer_cstr(&out), want);
    buffer_finish(&out);
}

START_TEST(test_expand_escapes_what_a_level_cannot_hold)
{
    check_expand("alerts/{device}/x-{device}!", TEXT("d1"), "alerts/d1/x-d1!");
    check_expand("a/{device}", TEXT("x/y+z#%"), "a/x%2Fy%2Bz%23%25");
    check_expand("a/{device}", (struct text){"\0\n\x7f", 3}, "a/%00%0A%7F");
    check_expand("a/{device}", TEXT("\xc2\x85\xe2\x82\xac"), "a/%C2%85\xe2\x82\xac");
    check_expand("a/{device}", TEXT("\xff\xe2\x82"), "a/%FF%E2%82");
    check_expand("a/{device}", TEXT("$SYS"), "a/$SYS");
    check_expand("{device}/a", TEXT("$SYS"), "%24SYS/a");
    check_expand("{device}$x", TEXT(""), "%24x");
    check_expand("plain", TEXT(""), "plain");
    check_expand("a/{device}", (struct text){NULL, 0}, "a/");
}
END_TEST

START_TEST(test_expand_refuses_a_name_it_does_not_know)
{
    struct buffer out = {0};
    struct text device = TEXT("d");
    ck_assert_int_eq(topic_expand(TEXT("a/{other}"), lookup, &device, &out),
                     BRINK_E_SYNTAX);
    buffer_finish(&out);
}
END_TEST

START_TEST(test_expand_says_when_memory_is_out)
{
    struct buffer out = {.failed = true};
    struct text device = TEXT("d");
    ck_assert_int_eq(topic_expand(TEXT("a/{device}"), lookup, &device, &out),
                     BRINK_E_NOMEM);
}
END_TEST

START_TEST(test_template_check_points_at_the_fault)
{
    static const char *const names[] = {"tenant", "device", "rule", NULL};
    static const struct {
        const char *template;
        enum brink_status status;
        size_t at;
    } rows[] = {
        {"alerts/{tenant}/{device}/{rule}", BRINK_OK, 0},
        {"x-{tenant}{device}", BRINK_OK, 0},
        {"plain", BRINK_OK, 0},
        {"", BRINK_E_SYNTAX, 0},
        {"a/{nobody}", BRINK_E_SYNTAX, 2},
        {"a/{}", BRINK_E_SYNTAX, 2},
        {"a/{tenant}/{device", BRINK_E_SYNTAX, 11},
        {"a/tenant}", BRINK_E_SYNTAX, 8},
        {"a/b/+", BRINK_E_SYNTAX, 4},
        {"a#", BRINK_E_SYNTAX, 1},
        {"$SYS/a", BRINK_E_SYNTAX, 0},
        {"\xff", BRINK_E_SYNTAX, 0},
        {"a/{{tenant}}", BRINK_E_SYNTAX, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = NULL;
        size_t at = 77;
        enum brink_status status =
            topic_template_check(text_of(rows[i].template), names, &why, &at);
        ck_assert_msg(status == rows[i].status, "%s: %d", rows[i].template, status);
        if (status) {
            ck_assert_ptr_nonnull(why);
            ck_assert_msg(at == rows[i].at, "%s: at %zu", rows[i].template, at);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("topic");
    TCase *t = tcase_create("topic");
    tcase_add_test(t, test_pattern_subscribes_to_a_plus_for_each_name);
    tcase_add_test(t, test_pattern_refuses_what_it_cannot_mean);
    tcase_add_test(t, test_pattern_has_room_for_its_limits_and_no_more);
    tcase_add_test(t, test_match_names_its_levels);
    tcase_add_test(t, test_match_without_tenant_is_default);
    tcase_add_test(t, test_match_wants_every_level_and_no_more);
    tcase_add_test(t, test_expand_escapes_what_a_level_cannot_hold);
    tcase_add_test(t, test_expand_refuses_a_name_it_does_not_know);
    tcase_add_test(t, test_expand_says_when_memory_is_out);
    tcase_add_test(t, test_template_check_points_at_the_fault);
    suite_add_tcase(s, t);
    return run_tap(s);
}
