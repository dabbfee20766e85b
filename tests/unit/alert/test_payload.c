/* The bytes that other programs read (SPEC 6.2). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "alert/payload.h"

static struct span_spec spans[] = {
    {.width_us = 60 * US_PER_S, .functions = 1u << FN_AVG}};
static const struct window_spec spec = {spans, 1, 1000};
static char *keys[] = {"runbook"}, *values[] = {"a \"b\"\n"};

static struct alert_facts facts(void)
{
    return (struct alert_facts){
        .event = ALERT_OPEN,
        .alert_type = "WINDOW",
        .tenant = "acme",
        .device = "frz-1",
        .rule = "freezer-warm",
        .rule_name = "Freezer too warm",
        .gateway = "gw-01",
        .severity = SEVERITY_CRITICAL,
        .onset = {INT64_C(1767225660000000)},
        .triggered_at = {INT64_C(1767225660000000)},
        .event_at = {INT64_C(1767225660500000)},
        .trigger_count = 1,
        .expression = "avg(temp_c, 1m) > -15",
        .values_known = true,
        .left = -14.25,
        .right = -15,
        .now = {INT64_C(1767225660500000)},
    };
}

static const char *print(const struct alert_facts *f, bool payload)
{
    static struct buffer b;
    static char message[ALERT_MESSAGE_BYTES];
    buffer_clear(&b);
    if (!payload) {
        return alert_message_print(f, message);
    }
    alert_payload_print(f, &b);
    ck_assert(buffer_ok(&b));
    return buffer_cstr(&b);
}

START_TEST(test_payload_has_every_field_in_its_form)
{
    struct alert_facts f = facts();
    struct expr *e =
        expr_binary(EXPR_GT, expr_window(FN_AVG, TEXT("temp_c"), 60 * US_PER_S, 0, 0),
                    expr_number(-15));
    struct window *w = window_new(&spec);
    ck_assert(w && e);
    for (int i = 0; i < 3; i++) {
        struct point p = {{INT64_C(1767225600000000) + i * 30 * US_PER_S + 500000},
                          -14.0 - i};
        ck_assert_int_eq(window_push(w, p, NULL, NULL), WINDOW_APPENDED);
    }
    f.comparison = e;
    f.label_keys = keys;
    f.label_values = values;
    f.n_labels = 1;
    f.windows[0] = (struct alert_window){"temp_c", FN_AVG, 60 * US_PER_S, 0, w, 0};
    f.n_windows = 1;
    char id[ALERT_ID_BYTES], want[2048];
    alert_id_print("freezer-warm", "acme", "frz-1", f.onset, id);
    snprintf(
        want, sizeof want,
        "{\"schema\":\"brink.alert/1\",\"alert_id\":\"%s\",\"event_type\":\"OPEN\","
        "\"alert_type\":\"WINDOW\",\"tenant_id\":\"acme\",\"device_id\":\"frz-1\","
        "\"site_id\":null,\"rule_id\":\"freezer-warm\",\"rule_name\":\"Freezer too "
        "warm\","
        "\"severity\":\"critical\",\"message\":\"Freezer too warm: -14.25 > -15\","
        "\"triggered_at\":\"2026-01-01T00:01:00.000Z\","
        "\"event_at\":\"2026-01-01T00:01:00.500Z\",\"closed_at\":null,\"trigger_count\":"
        "1,"
        "\"gateway_id\":\"gw-01\",\"degraded\":false,"
        "\"labels\":{\"runbook\":\"a \\\"b\\\"\\u000a\"},"
        "\"details\":{\"expression\":\"avg(temp_c, 1m) > -15\",\"value\":-14.25,"
        "\"operator\":\">\",\"threshold\":-15.0,\"windows\":[{\"metric_name\":\"temp_c\","
        "\"aggregation\":\"avg\",\"window_seconds\":60.0,\"count\":3,"
        "\"first_ts\":1767225600.5,\"last_ts\":1767225660.5,"
        "\"points\":[[1767225600.5,-14.0],[1767225630.5,-15.0],[1767225660.5,-16.0]]}]}}",
        id);
    ck_assert_str_eq(print(&f, true), want);
    window_free(w);
    expr_free(e);
}
END_TEST

START_TEST(test_id_is_the_same_for_one_alert_and_another_for_another)
{
    char a[ALERT_ID_BYTES], b[ALERT_ID_BYTES];
    alert_id_print("r", "t", "d", (struct wall){1}, a);
    alert_id_print("r", "t", "d", (struct wall){1}, b);
    ck_assert_str_eq(a, b);
    ck_assert_uint_eq(strlen(a), 32);
    alert_id_print("r", "t", "d", (struct wall){2}, b);
    ck_assert_str_ne(a, b);
    alert_id_print("rt", "", "d", (struct wall){1}, b);
    ck_assert_str_ne(a, b);
}
END_TEST

static bool metric_of_index(const void *ctx, size_t index, double *ret)
{
    ck_assert_str_eq(ctx, "");
    *ret = 0.5;
    return index == 0;
}

START_TEST(test_message_fills_names_and_formats_in)
{
    struct alert_facts f = facts();
    struct expr *e = expr_binary(EXPR_GT, expr_metric(TEXT("temp_c")), expr_number(-15));
    f.comparison = e;
    const char *const labels[] = {"runbook"}, *const metrics[] = {"temp_c", "door"};
    const struct template_scope scope = {labels, metrics, 1, 2, false};
    struct template *t = template_new(
        TEXT("{tenant} {device} {{{site}}} {rule} {name} {severity} {event} {gateway}: "
             "{value:.1f} {operator} {threshold} {metric} {labels.runbook:.4} "
             "{metrics.temp_c:.2f} {metrics.door}"),
        &scope, NULL, NULL);
    f.message = t;
    f.label_values = values;
    f.metric = metric_of_index;
    f.metric_ctx = "";
    ck_assert_str_eq(print(&f, false),
                     "acme frz-1 {unknown} freezer-warm Freezer too warm critical OPEN "
                     "gw-01: -14.2 > -15 temp_c a \"b 0.50 unknown");
    f.values_known = false;
    f.site = "s1";
    f.metric = NULL;
    ck_assert_str_eq(print(&f, false),
                     "acme frz-1 {s1} freezer-warm Freezer too warm critical OPEN gw-01: "
                     "unknown > unknown temp_c a \"b unknown unknown");
    f.message = NULL;
    ck_assert_str_eq(print(&f, false), "Freezer too warm");
    f.values_known = true;
    ck_assert_str_eq(print(&f, false), "Freezer too warm: -14.25 > -15");
    f.comparison = NULL;
    ck_assert_str_eq(print(&f, false), "Freezer too warm");
    f.text = "{as it is}";
    ck_assert_str_eq(print(&f, false), "{as it is}");
    expr_free(e);
    free(t);
}
END_TEST

START_TEST(test_closed_has_its_time_and_reason)
{
    struct alert_facts f = facts();
    f.event = ALERT_CLOSED;
    f.reason = "rule_removed";
    const char *text = print(&f, true);
    ck_assert_ptr_nonnull(strstr(text, "\"closed_at\":\"2026-01-01T00:01:00.500Z\""));
    ck_assert_ptr_nonnull(strstr(text, "\"reason\":\"rule_removed\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("payload");
    TCase *t = tcase_create("bytes");
    tcase_add_test(t, test_payload_has_every_field_in_its_form);
    tcase_add_test(t, test_id_is_the_same_for_one_alert_and_another_for_another);
    tcase_add_test(t, test_message_fills_names_and_formats_in);
    tcase_add_test(t, test_closed_has_its_time_and_reason);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
