/* What is held back, and what becomes of it (SPEC 6.5, 6.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/counters.h"
#include "gateway/orders.h"
#include "world.h"

/* --- maintenance --- */

#define ONCE "maintenance: [{name: m, from: 2026-01-01T01:00, until: 2026-01-01T02:00}]\n"

START_TEST(test_alert_that_ends_within_maintenance_is_never_told)
{
    struct world w;
    uint64_t before = counter_value(COUNT_HELD_BACK_MAINTENANCE);
    world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5}]");
    pass(&w, HOUR);
    say(&w, "d1", NULL, 9);
    pass(&w, MINUTE);
    say(&w, "d1", NULL, 1);
    pass(&w, 2 * HOUR);
    ck_assert_str_eq(told(&w), "");
    ck_assert_uint_eq(counter_value(COUNT_HELD_BACK_MAINTENANCE), before + 1);
    world_end(&w);
}
END_TEST

START_TEST(test_what_still_fires_at_its_end_is_told_then)
{
    struct world w;
    world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5, repeat: 30m}]");
    pass(&w, 90 * MINUTE);
    say(&w, "d1", NULL, 9);
    pass(&w, 30 * MINUTE - 1);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 1);
    ck_assert_str_eq(last_told(&w, "triggered_at"), "2026-01-01T01:30:00.000Z");
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T02:00:00.000Z");
    ck_assert_str_eq(last_told(&w, "trigger_count"), "1");
    ck_assert_str_eq(last_told(&w, "value"), "9.0");
    char *id = text_dup(text_of(last_told(&w, "alert_id")));
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    pass(&w, 30 * MINUTE - 1); /* repeat counts from what was told */
    ck_assert_str_eq(told(&w), "");
    pass(&w, 1);
    ck_assert_str_eq(last_told(&w, "trigger_count"), "2");
    ck_assert_str_eq(told(&w), "REPEATED r d1\n");
    say(&w, "d1", NULL, 1);
    ck_assert_str_eq(last_told(&w, "alert_id"), id);
    ck_assert_str_eq(told(&w), "CLOSED r d1\n");
    free(id);
    world_end(&w);
}
END_TEST

START_TEST(test_closed_of_a_published_alert_is_always_told)
{
    struct world w;
    world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5, repeat: 10m}]");
    pass(&w, 55 * MINUTE);
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    pass(&w, 40 * MINUTE); /* four repeats are due, all of them within */
    ck_assert_str_eq(told(&w), "");
    say(&w, "d1", NULL, 1);
    ck_assert_str_eq(last_told(&w, "trigger_count"), "1"); /* counts what was told */
    ck_assert_str_eq(told(&w), "CLOSED r d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_escalation_is_told_at_the_end_or_within_the_late_open)
{
    struct world w;
    world_begin(&w, "",
                ONCE "rules: [{id: r, when: x > 5, severity: info,\n"
                     "  escalate: {after: 20m, severity: critical}}]");
    pass(&w, 50 * MINUTE);
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    pass(&w, 20 * MINUTE);
    say(&w, "d2", NULL, 9);
    pass(&w, 50 * MINUTE - 1);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 1);
    ck_assert_str_eq(last_told(&w, "severity"), "critical");
    ck_assert_str_eq(told(&w), "ESCALATED r d1\nOPEN r d2\n");
    pass(&w, 3 * HOUR);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_overlapping_windows_hold_back_until_the_last_ends)
{
    struct world w;
    world_begin(&w, "",
                "rules: [{id: r, when: x > 5}, {id: s, when: x > 5}]\n"
                "maintenance:\n"
                "  - {name: a, from: 00:10, until: 00:30, rules: [r]}\n"
                "  - {name: b, from: 00:20, until: 00:40, scope: {devices: ['d*']}}\n"
                "  - {name: c, from: 00:20, until: 00:50, rules: ['s*']}\n");
    pass(&w, 15 * MINUTE);
    say(&w, "d1", NULL, 9);
    say(&w, "e1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN s d1\nOPEN s e1\n");
    pass(&w, 15 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN r e1\n");
    say(&w, "e2", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN r e2\n");
    pass(&w, 10 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    pass(&w, 10 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN s e2\n");
    world_end(&w);
}
END_TEST

START_TEST(test_released_come_in_the_order_in_which_they_fired)
{
    struct world w;
    world_begin(&w, "",
                "rules: [{id: r, when: x > 5}]\n"
                "maintenance:\n"
                "  - {name: a, from: 00:00, until: 01:00, scope: {devices: ['a*']}}\n"
                "  - {name: b, from: 00:00, until: 01:00, scope: {devices: ['b*']}}\n");
    static const char *const devices[] = {"b1", "a1", "a2", "b2", "a3"};
    for (size_t i = 0; i < 5; i++) {
        pass(&w, S);
        say(&w, devices[i], NULL, 9);
    }
    world_restart(&w);
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "OPEN r b1\nOPEN r a1\nOPEN r a2\nOPEN r b2\nOPEN r a3\n");
    world_end(&w);
}
END_TEST

START_TEST(test_site_that_changes_takes_the_alert_out_of_a_window)
{
    struct world w;
    world_begin(
        &w, "",
        "rules: [{id: r, when: x > 5}]\n"
        "maintenance: [{name: a, from: 00:00, until: 12:00, scope: {sites: [s1]}}]\n");
    say(&w, "d1", "s1", 9);
    ck_assert_str_eq(told(&w), "");
    pass(&w, S);
    say(&w, "d1", "s2", 9);
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_reload_changes_what_is_held_back)
{
    struct world w;
    const char *rules = "rules: [{id: r, when: x > 5}, {id: s, when: x > 5}]\n";
    char both[256], one[256], changed[256];
    snprintf(both, sizeof both, "%smaintenance: [{name: a, from: 00:00, until: 12:00}]\n",
             rules);
    snprintf(one, sizeof one,
             "%smaintenance: [{name: b, from: 00:00, until: 12:00, rules: [s]}]\n",
             rules);
    snprintf(changed, sizeof changed, "rules: [{id: s, when: x > 4}]\n%s",
             strstr(one, "maintenance"));
    world_begin(&w, "", both);
    say(&w, "d1", NULL, 9);
    say(&w, "d2", NULL, 9);
    ck_assert_str_eq(told(&w), "");
    world_reload(&w, "", one);
    ck_assert_str_eq(told(&w), "OPEN r d1\nOPEN r d2\n");
    /* A rule that changed keeps its alert, and it stays held back; a rule that is gone
     * closes what was told, and no other. */
    world_reload(&w, "", changed);
    ck_assert_str_eq(last_told(&w, "reason"), "rule_removed");
    const char *closed = told(&w);
    ck_assert(strcmp(closed, "CLOSED r d1\nCLOSED r d2\n") == 0 ||
              strcmp(closed, "CLOSED r d2\nCLOSED r d1\n") == 0);
    world_reload(&w, "", "rules: [{id: s, when: x > 4}]\n");
    ck_assert_str_eq(told(&w), "OPEN s d1\nOPEN s d2\n");
    world_end(&w);
}
END_TEST

START_TEST(test_rule_that_is_removed_while_held_back_is_never_told)
{
    struct world w;
    world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5}, {id: s, when: x > 50}]");
    pass(&w, HOUR);
    say(&w, "d1", NULL, 9);
    world_restart(&w);
    world_reload(&w, "", ONCE "rules: [{id: s, when: x > 50}]");
    pass(&w, 3 * HOUR);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_batch_across_the_edges_is_as_one_by_one)
{
    char *one_by_one = NULL;
    for (int batched = 0; batched < 2; batched++) {
        struct world w;
        world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5}]");
        w.at_us = HOUR - 3 * S;
        for (int i = 0; i < 7300; i++) {
            char device[8];
            snprintf(device, sizeof device, "d%d", i % 7);
            add(&w, device, NULL, i % 50 < 25 ? 9 : 1);
            w.at_us += S / 2;
            if (!batched || i % 1000 == 999) {
                apply(&w);
            }
        }
        apply(&w);
        if (!batched) {
            one_by_one = text_dup(buffer_view(&w.events));
            ck_assert_uint_gt(strlen(one_by_one), 1000);
        } else {
            /* Not ck_assert_str_eq: as a message they would be too long. */
            ck_assert(strcmp(buffer_cstr(&w.events), one_by_one) == 0);
        }
        world_end(&w);
    }
    free(one_by_one);
}
END_TEST

START_TEST(test_clock_that_is_set_is_followed)
{
    struct world w;
    struct mono wake;
    world_begin(&w, "", ONCE "rules: [{id: r, when: x > 5}]");
    pass(&w, 2 * HOUR); /* over */
    /* A time service sets the gateway's clock back into the window, and later forward. */
    struct instant at = {world_now(&w).mono, {T0 + 90 * MINUTE}};
    pipeline_step(w.pipeline, at, &wake);
    add(&w, "d1", NULL, 9);
    pipeline_apply(w.pipeline, at);
    ck_assert_str_eq(told(&w), "");
    ck_assert_int_le(wake.us, at.mono.us + 30 * MINUTE);
    at.wall.us = T0 + 3 * HOUR;
    pipeline_step(w.pipeline, at, &wake);
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    world_end(&w);
}
END_TEST

/* --- inhibit --- */

#define POWER                                                                            \
    "rules: [{id: power, when: v < 1}, {id: hot, when: x > 5, repeat: 10m}]\n"           \
    "inhibit: [{source: power, target: [hot], equal: [site]}]\n"

START_TEST(test_alert_that_another_explains_is_held_back_until_that_ends)
{
    struct world w;
    world_begin(&w, "", POWER);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    say_on(&w, "t/acme/l/p2", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    ck_assert_str_eq(told(&w), "OPEN power p1\nOPEN power p2\n");
    say(&w, "d1", "s1", 9);
    say(&w, "d2", "s2", 9);
    ck_assert_str_eq(told(&w), "OPEN hot d2\n"); /* another site */
    say_on(&w, "t/other/l/d1", "\"site\":\"s1\",\"metrics\":{\"x\":9}");
    ck_assert_str_eq(told(&w), "OPEN hot d1\n"); /* another tenant */
    say_on(&w, "t/acme/l/p1", "\"metrics\":{\"v\":2}");
    ck_assert_str_eq(told(&w), "CLOSED power p1\n"); /* one still explains it */
    world_restart(&w);
    ck_assert_str_eq(told(&w), "");
    say_on(&w, "t/acme/l/p2", "\"site\":\"s1\",\"metrics\":{\"v\":2}");
    ck_assert_str_eq(told(&w), "CLOSED power p2\nOPEN hot d1\n");
    say(&w, "d3", "s1", 9);
    ck_assert_str_eq(told(&w), "OPEN hot d3\n");
    world_end(&w);
}
END_TEST

START_TEST(test_what_was_told_before_still_closes_and_is_not_repeated)
{
    struct world w;
    uint64_t before = counter_value(COUNT_HELD_BACK_INHIBITED);
    world_begin(&w, "", POWER);
    say(&w, "d1", "s1", 9);
    say(&w, "d2", "s1", 9);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    ck_assert_str_eq(told(&w), "OPEN hot d1\nOPEN hot d2\nOPEN power p1\n");
    pass(&w, 15 * MINUTE);
    say(&w, "d1", "s1", 1);
    ck_assert_str_eq(told(&w), "CLOSED hot d1\n");
    ck_assert_uint_eq(counter_value(COUNT_HELD_BACK_INHIBITED), before + 2);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":2}");
    pass(&w, 5 * MINUTE);
    ck_assert_str_eq(told(&w), "CLOSED power p1\nREPEATED hot d2\n");
    world_end(&w);
}
END_TEST

START_TEST(test_an_alert_explains_what_each_entry_of_which_it_is_a_source_says)
{
    struct world w;
    world_begin(
        &w, "",
        "rules: [{id: power, when: v < 1}, {id: hot, when: x > 5}, {id: wet, "
        "when: y > 5}]\n"
        "inhibit: [{source: power, target: [hot], equal: [site]}, {source: power, "
        "target: [wet], equal: [site]}]\n");
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    ck_assert_str_eq(told(&w), "OPEN power p1\n");
    say_on(&w, "t/acme/l/d1", "\"site\":\"s1\",\"metrics\":{\"x\":9,\"y\":9}");
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_a_value_that_is_not_known_is_equal_to_none)
{
    struct world w;
    world_begin(&w, "", POWER);
    say_on(&w, "t/acme/l/p1", "\"metrics\":{\"v\":0}");
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN power p1\nOPEN hot d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_source_of_the_same_message_comes_before_its_target)
{
    struct world w;
    world_begin(
        &w, "",
        "rules: [{id: a, when: x > 5}, {id: b, when: x > 5}, {id: z, when: x > 5}]\n"
        "inhibit:\n"
        "  - {source: z, target: [b], equal: [device]}\n"
        "  - {source: b, target: ['*'], equal: [device]}\n");
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN z d1\n");
    say(&w, "d1", NULL, 1);
    ck_assert_str_eq(told(&w), "CLOSED z d1\n");
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_labels_of_topics_and_of_rules_are_compared)
{
    struct world w;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: stop, when: v < 1, labels: {team: a}}\n"
                "  - {id: hot, when: x > 5, labels: {team: a}}\n"
                "  - {id: wet, when: x > 5, labels: {team: b}}\n"
                "inhibit: [{source: stop, target: [hot, wet], equal: [line, team]}]\n");
    say_on(&w, "t/acme/l1/m1", "\"metrics\":{\"v\":0}");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":9}");
    say_on(&w, "t/acme/l2/d2", "\"metrics\":{\"x\":9}");
    ck_assert_str_eq(told(&w), "OPEN stop m1\nOPEN wet d1\nOPEN hot d2\nOPEN wet d2\n");
    say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"x\":1}");
    say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"x\":9}");
    ck_assert_str_eq(told(&w), "CLOSED hot d2\nCLOSED wet d2\nOPEN wet d2\n");
    say_on(&w, "t/acme/l2/m1", "\"metrics\":{\"v\":0}"); /* it was moved */
    ck_assert_str_eq(told(&w), "OPEN hot d1\nOPEN hot d2\n");
    world_end(&w);
}
END_TEST

START_TEST(test_site_that_changes_moves_what_is_explained)
{
    struct world w;
    world_begin(&w, "", POWER);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    say(&w, "d1", "s1", 9);
    say(&w, "d2", "s1", 9);
    ck_assert_str_eq(told(&w), "OPEN power p1\n");
    say(&w, "d1", "s2", 9); /* the target goes elsewhere */
    ck_assert_str_eq(told(&w), "OPEN hot d1\n");
    say_on(&w, "t/acme/l/p1", "\"site\":\"s3\",\"metrics\":{\"v\":0}"); /* the source */
    ck_assert_str_eq(told(&w), "OPEN hot d2\n");
    say(&w, "d3", "s3", 9);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_reload_changes_what_explains)
{
    struct world w;
    world_begin(&w, "", POWER);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    say(&w, "d1", "s1", 9);
    world_reload(&w, "",
                 "rules: [{id: power, when: v < 2}, {id: hot, when: x > 4}]\n"
                 "inhibit: [{source: power, target: [h*]}]\n");
    say(&w, "d2", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN power p1\n");
    world_reload(&w, "", "rules: [{id: power, when: v < 2}, {id: hot, when: x > 4}]\n");
    ck_assert_str_eq(told(&w), "OPEN hot d1\nOPEN hot d2\n");
    world_reload(&w, "", POWER);
    say(&w, "d3", "s1", 9);
    ck_assert_str_eq(told(&w), "");
    world_reload(&w, "", "rules: [{id: hot, when: x > 5, repeat: 10m}]\n");
    ck_assert_str_eq(told(&w), "CLOSED power p1\nOPEN hot d3\n");
    world_end(&w);
}
END_TEST

START_TEST(test_of_two_that_explain_all_the_first_in_the_file_is_told)
{
    struct world w;
    world_begin(
        &w, "",
        "rules: [{id: a, when: x > 5}, {id: p, when: x > 6}, {id: q, when: x > 7}]\n"
        "inhibit: [{source: q, target: ['*']}, {source: p, target: ['*']}]\n");
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN q d1\n");
    say(&w, "d1", NULL, 7);
    ck_assert_str_eq(told(&w), "CLOSED q d1\nOPEN p d1\n");
    say(&w, "d2", NULL, 8);
    ck_assert_str_eq(told(&w), "OPEN q d2\n");
    world_end(&w);
}
END_TEST

START_TEST(test_source_that_is_itself_held_back_explains_all_the_same)
{
    struct world w;
    world_begin(
        &w, "",
        "maintenance: [{name: m, from: 00:00, until: 01:00, rules: [power]}]\n" POWER);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    say(&w, "d1", "s1", 9);
    ck_assert_str_eq(told(&w), "");
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "OPEN power p1\n");
    world_end(&w);
}
END_TEST

/* --- silences --- */

static struct silence_order silence_of(const char *tenant, const char *rule,
                                       const char *device, int64_t until_us)
{
    return (struct silence_order){.tenant = text_of(tenant),
                                  .rule = text_of(rule),
                                  .device = text_of(device),
                                  .until = {T0 + until_us},
                                  .by = TEXT("ann"),
                                  .comment = TEXT("a = b\n100% sure")};
}

static const char *silence(struct world *w, struct silence_order order)
{
    static char id[SILENCE_ID_BYTES];
    const char *why = "";
    enum brink_status status =
        pipeline_silence(w->pipeline, &order, world_now(w), &why, id);
    ck_assert_msg(status == BRINK_OK, "%s", why);
    return id;
}

#define PLAIN "rules: [{id: hot, when: x > 5, repeat: 10m}, {id: wet, when: x > 5}]\n"

START_TEST(test_silence_holds_back_what_it_matches_until_its_time)
{
    struct world w;
    uint64_t before = counter_value(COUNT_HELD_BACK_SILENCE);
    world_begin(&w, "", PLAIN);
    (void)silence(&w, silence_of("ac*", "hot", "d?", HOUR));
    say(&w, "d1", NULL, 9);
    say(&w, "e1", NULL, 9);
    say_on(&w, "t/other/l/d1", "\"metrics\":{\"x\":9}");
    ck_assert_str_eq(told(&w), "OPEN wet d1\nOPEN hot e1\nOPEN wet e1\nOPEN hot d1\n"
                               "OPEN wet d1\n");
    ck_assert_uint_eq(counter_value(COUNT_HELD_BACK_SILENCE), before + 1);
    ck_assert_str_eq(withheld(&w), "silence 1\n");
    world_restart(&w);
    pass(&w, HOUR - 1);
    ck_assert_ptr_null(strstr(told(&w), "OPEN"));
    ck_assert_str_eq(withheld(&w), "silence 1\n");
    pass(&w, 1);
    ck_assert_str_eq(withheld(&w), "");
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T01:00:00.000Z");
    ck_assert_ptr_nonnull(strstr(told(&w), "OPEN hot d1\n"));
    world_end(&w);
}
END_TEST

/* Deadlines at the very moment at which a silence ends come behind what it held back. */
START_TEST(test_what_falls_due_as_a_silence_ends_comes_then)
{
    struct world w;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: a, when: x > 5, escalate: {after: 1h, severity: critical}}\n"
                "  - {id: b, when: x > 5, escalate: {after: 1h, severity: critical}}\n"
                "  - {id: c, when: x > 5, on_no_data: resolve, no_data_after: 1h}\n"
                "  - {id: d, when: x > 5, on_no_data: resolve, no_data_after: 1h}\n");
    (void)silence(&w, silence_of("", "", "d1", HOUR));
    say(&w, "d1", NULL, 9);
    pass(&w, HOUR - 1);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 1);
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN b d1\nOPEN c d1\nOPEN d d1\n"
                               "ESCALATED a d1\nESCALATED b d1\n"
                               "CLOSED c d1\nCLOSED d d1\n");
    world_end(&w);
}
END_TEST

static void list_silence(void *ctx, const struct silence *x)
{
    buffer_format(ctx, "%s/%s/%s %s:%s %lld-%lld\n", x->tenant, x->rule, x->device, x->by,
                  x->comment, (long long)(x->created_at.us - T0) / S,
                  (long long)(x->until.us - T0) / S);
}

static const char *silences(struct world *w)
{
    static struct buffer list;
    buffer_clear(&list);
    pipeline_each_silence(w->pipeline, list_silence, &list);
    return buffer_cstr(&list);
}

START_TEST(test_silences_are_listed_kept_and_expired)
{
    struct world w;
    world_begin(&w, "", PLAIN);
    char *first = text_dup(text_of(silence(&w, silence_of("", "hot", "", HOUR))));
    pass(&w, S);
    char *second = text_dup(text_of(silence(&w, silence_of("acme", "", "d1", MINUTE))));
    ck_assert_str_ne(first, second);
    ck_assert_str_eq(silence(&w, silence_of("acme", "", "d1", MINUTE)), second);
    for (int n = 0; n < 3; n++) {
        ck_assert_str_eq(silences(&w), "/hot/ ann:a = b\n100% sure 0-3600\n"
                                       "acme//d1 ann:a = b\n100% sure 1-60\n");
        world_restart(&w);
    }
    say(&w, "d1", NULL, 9);
    say(&w, "d2", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN wet d2\n");
    ck_assert_int_eq(pipeline_expire_silence(w.pipeline, text_of(first), world_now(&w)),
                     BRINK_OK);
    ck_assert_str_eq(told(&w), "OPEN hot d2\n"); /* the other still covers d1 */
    ck_assert_int_eq(pipeline_expire_silence(w.pipeline, text_of(first), world_now(&w)),
                     BRINK_E_RANGE);
    world_restart(&w);
    pass(&w, MINUTE);
    ck_assert_str_eq(told(&w), "OPEN hot d1\nOPEN wet d1\n");
    ck_assert_str_eq(silences(&w), "");
    world_restart(&w);
    ck_assert_str_eq(silences(&w), "");
    ck_assert_uint_eq(w.states.n, 4); /* those of the alerts alone */
    free(first);
    free(second);
    world_end(&w);
}
END_TEST

START_TEST(test_silences_that_make_no_sense_are_refused_with_a_reason)
{
    struct world w;
    char id[SILENCE_ID_BYTES], large[SILENCE_COMMENT_BYTES_MAX + 1];
    const char *why = NULL;
    world_begin(&w, "", PLAIN);
    memset(large, 'a', sizeof large);
    const struct {
        struct silence_order order;
        enum brink_status status;
    } cases[] = {
        {silence_of("a", "b", "c", 0), BRINK_E_RANGE},
        {silence_of("a", "b", "c", INT64_C(300000000000000000)), BRINK_E_RANGE},
        {silence_of("a\n", "b", "c", HOUR), BRINK_E_SYNTAX},
        {silence_of("a", "\xff", "c", HOUR), BRINK_E_SYNTAX},
        {{.until = {T0 + HOUR}, .by = TEXT("a\nb")}, BRINK_E_SYNTAX},
        {{.until = {T0 + HOUR}, .comment = {large, sizeof large}}, BRINK_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        why = NULL;
        ck_assert_int_eq(
            pipeline_silence(w.pipeline, &cases[i].order, world_now(&w), &why, id),
            cases[i].status);
        ck_assert_ptr_nonnull(why);
    }
    for (int i = 0; i < SILENCES_MAX; i++) {
        char rule[16];
        snprintf(rule, sizeof rule, "r%d", i);
        (void)silence(&w, silence_of("", rule, "", HOUR));
    }
    struct silence_order more = silence_of("", "hot", "", HOUR);
    ck_assert_int_eq(pipeline_silence(w.pipeline, &more, world_now(&w), &why, id),
                     BRINK_E_LIMIT);
    world_restart(&w);
    ck_assert_int_eq(pipeline_silence(w.pipeline, &more, world_now(&w), &why, id),
                     BRINK_E_LIMIT);
    pass(&w, HOUR);
    ck_assert_str_eq(silences(&w), "");
    world_end(&w);
}
END_TEST

/* --- acknowledgements --- */

#define ESCALATING                                                                       \
    "rules: [{id: hot, when: x > 5, repeat: 10m, severity: info,\n"                      \
    "  escalate: {after: 25m, severity: critical}}]\n"

static enum brink_status acknowledge(struct world *w, const char *device, bool withdraw)
{
    const char *why;
    const struct acknowledge_order order = {.tenant = TEXT("acme"),
                                            .device = text_of(device),
                                            .rule = TEXT("hot"),
                                            .by = TEXT("bob"),
                                            .comment = TEXT("on my way")};
    return withdraw ? pipeline_withdraw(w->pipeline, &order, world_now(w), &why)
                    : pipeline_acknowledge(w->pipeline, &order, world_now(w), &why);
}

START_TEST(test_acknowledged_alert_is_neither_repeated_nor_escalated)
{
    struct world w;
    world_begin(&w, "", ESCALATING);
    ck_assert_int_eq(acknowledge(&w, "d1", false), BRINK_E_RANGE);
    say(&w, "d1", NULL, 9);
    pass(&w, 10 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN hot d1\nREPEATED hot d1\n");
    ck_assert_int_eq(acknowledge(&w, "d1", false), BRINK_OK);
    world_restart(&w);
    pass(&w, 50 * MINUTE);
    ck_assert_str_eq(told(&w), "");
    say(&w, "d1", NULL, 1);
    ck_assert_str_eq(last_told(&w, "trigger_count"), "2");
    ck_assert_str_eq(told(&w), "CLOSED hot d1\n");
    /* It ended with the alert. */
    ck_assert_int_eq(acknowledge(&w, "d1", true), BRINK_E_RANGE);
    say(&w, "d1", NULL, 9);
    world_restart(&w);
    say(&w, "d1", NULL, 9); /* without Valkey nothing else tells its value */
    pass(&w, 25 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN hot d1\nREPEATED hot d1\nREPEATED hot d1\n"
                               "ESCALATED hot d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_withdrawn_acknowledgement_tells_the_escalation)
{
    struct world w;
    world_begin(&w, "", ESCALATING);
    say(&w, "d1", NULL, 9);
    ck_assert_int_eq(acknowledge(&w, "d1", false), BRINK_OK);
    pass(&w, 30 * MINUTE);
    world_restart(&w);
    say(&w, "d1", NULL, 9); /* without Valkey nothing else tells its value */
    world_reload(&w, "",
                 ESCALATING "maintenance: [{name: m, from: 23:00, until: 23:30}]\n");
    ck_assert_str_eq(told(&w), "OPEN hot d1\n");
    ck_assert_int_eq(acknowledge(&w, "d1", true), BRINK_OK);
    ck_assert_str_eq(last_told(&w, "severity"), "critical");
    ck_assert_str_eq(told(&w), "ESCALATED hot d1\n");
    pass(&w, 10 * MINUTE);
    ck_assert_str_eq(told(&w), "REPEATED hot d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_acknowledged_while_held_back_is_opened_all_the_same)
{
    struct world w;
    world_begin(&w, "",
                ESCALATING "maintenance: [{name: m, from: 00:00, until: 00:30}]\n");
    say(&w, "d1", NULL, 9);
    ck_assert_int_eq(acknowledge(&w, "d1", false), BRINK_OK);
    pass(&w, 30 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN hot d1\n");
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

START_TEST(test_acknowledgement_is_of_the_alert_that_was_meant)
{
    struct world w;
    const char *why;
    world_begin(&w, "", ESCALATING);
    say(&w, "d1", NULL, 9);
    char *id = text_dup(text_of(last_told(&w, "alert_id")));
    const struct acknowledge_order order = {.tenant = TEXT("acme"),
                                            .device = TEXT("d1"),
                                            .rule = TEXT("hot"),
                                            .alert_id = text_of(id)};
    ck_assert_int_eq(pipeline_acknowledge(w.pipeline, &order, world_now(&w), &why),
                     BRINK_OK);
    say(&w, "d1", NULL, 1);
    pass(&w, S);
    say(&w, "d1", NULL, 9);
    ck_assert_int_eq(pipeline_acknowledge(w.pipeline, &order, world_now(&w), &why),
                     BRINK_E_STATE);
    free(id);
    world_end(&w);
}
END_TEST

/* --- storms --- */

#define STORM "storm: {alerts: 5, within: 32s}" /* a slot is a second */

static void say_many(struct world *w, int from, int to, double x)
{
    for (int d = from; d < to; d++) {
        char device[16];
        snprintf(device, sizeof device, "d%02d", d);
        say(w, device, NULL, x);
    }
}

START_TEST(test_storm_is_told_once_and_what_still_fires_follows_in_its_budget)
{
    struct world w;
    uint64_t before = counter_value(COUNT_HELD_BACK_STORM);
    world_begin(&w, STORM, "rules: [{id: hot, when: x > 5}]");
    say_many(&w, 0, 12, 9);
    ck_assert_str_eq(last_told(&w, "rule_id"), "@storm");
    ck_assert_str_eq(last_told(&w, "device_id"), "gw");
    ck_assert_str_eq(last_told(&w, "message"),
                     "alert storm: more than 5 alerts within 32s, further ones are held "
                     "back");
    ck_assert_str_eq(last_told(&w, "expression"), "alerts > 5");
    ck_assert_str_eq(last_told(&w, "alert_type"), "EXPRESSION");
    ck_assert_str_eq(told(&w), "OPEN hot d00\nOPEN hot d01\nOPEN hot d02\nOPEN hot d03\n"
                               "OPEN hot d04\nOPEN @storm gw\n");
    ck_assert_uint_eq(counter_value(COUNT_HELD_BACK_STORM), before + 7);
    say_many(&w, 0, 1, 1); /* what was told is closed, also in a storm */
    say_many(&w, 6, 7, 1); /* what was not is forgotten */
    ck_assert_str_eq(told(&w), "CLOSED hot d00\n");
    pass(&w, 32 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, S);
    ck_assert_str_eq(told(&w), "OPEN hot d05\nOPEN hot d07\nOPEN hot d08\nOPEN hot d09\n"
                               "OPEN hot d10\nREPEATED @storm gw\n");
    world_restart(&w);
    pass(&w, 33 * S);
    ck_assert_str_eq(last_told(&w, "held_back"), "{\"events\":7");
    ck_assert_str_eq(told(&w), "OPEN hot d11\nCLOSED @storm gw\n");
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "");
    ck_assert_uint_eq(w.states.n, 10); /* those of the alerts alone */
    world_end(&w);
}
END_TEST

START_TEST(test_most_severe_go_first_when_there_is_room_again)
{
    struct world w;
    world_begin(&w, STORM,
                "rules:\n"
                "  - {id: a, when: x > 5, severity: info}\n"
                "  - {id: b, when: x > 6, severity: critical}\n"
                "  - {id: c, when: x > 5, severity: info,\n"
                "     escalate: {after: 10s, severity: critical}}\n");
    say_many(&w, 0, 4, 5.5); /* a and c of each */
    ck_assert_str_eq(last_told(&w, "severity"), "info");
    ck_assert_str_eq(told(&w), "OPEN a d00\nOPEN c d00\nOPEN a d01\nOPEN c d01\n"
                               "OPEN a d02\nOPEN @storm gw\n");
    say_many(&w, 9, 10, 9);
    ck_assert_str_eq(last_told(&w, "severity"), "critical");
    ck_assert_str_eq(told(&w), "ESCALATED @storm gw\n");
    world_restart(&w);
    say_many(&w, 0, 4, 5.5); /* without Valkey nothing else tells their values */
    say_many(&w, 9, 10, 9);
    pass(&w, 33 * S);
    ck_assert_str_eq(told(&w), "OPEN c d02\nOPEN c d03\nOPEN b d09\nOPEN c d09\n"
                               "ESCALATED c d00\nREPEATED @storm gw\n");
    pass(&w, 33 * S);
    ck_assert_str_eq(told(&w), "ESCALATED c d01\nOPEN a d03\nOPEN a d09\n"
                               "CLOSED @storm gw\n");
    world_end(&w);
}
END_TEST

START_TEST(test_storm_is_not_over_before_there_is_room_again)
{
    struct world w;
    world_begin(&w, STORM, "rules: [{id: hot, when: x > 5}]");
    say_many(&w, 0, 10, 9);
    (void)told(&w);
    pass(&w, 33 * S);
    ck_assert_str_eq(told(&w), "OPEN hot d05\nOPEN hot d06\nOPEN hot d07\nOPEN hot d08\n"
                               "OPEN hot d09\nREPEATED @storm gw\n");
    say_many(&w, 10, 11, 9); /* the same storm */
    ck_assert_str_eq(told(&w), "");
    pass(&w, 33 * S);
    ck_assert_str_eq(told(&w), "OPEN hot d10\nCLOSED @storm gw\n");
    world_end(&w);
}
END_TEST

START_TEST(test_storm_goes_on_after_a_time_down)
{
    struct world w;
    world_begin(
        &w, STORM,
        "rules: [{id: hot, when: x > 5}, {id: top, when: x > 8, severity: critical}]");
    say_many(&w, 0, 9, 7);
    say_many(&w, 20, 22, 9); /* two of either */
    char *id = NULL;
    ck_assert_ptr_nonnull(strstr(told(&w), "ESCALATED @storm gw\n"));
    world_restart_after(&w, 20 * S);
    ck_assert_str_eq(told(&w), "");
    world_restart_after(&w, 20 * S);
    ck_assert_str_eq(last_told(&w, "rule_id"), "@storm");
    id = text_dup(text_of(last_told(&w, "alert_id")));
    ck_assert_str_eq(told(&w), "OPEN top d20\nOPEN top d21\nOPEN hot d05\nOPEN hot d06\n"
                               "OPEN hot d07\nREPEATED @storm gw\n");
    world_restart_after(&w, HOUR);
    ck_assert_str_eq(last_told(&w, "alert_id"), id);
    ck_assert_str_eq(told(&w), "OPEN hot d08\nOPEN hot d20\nOPEN hot d21\n"
                               "CLOSED @storm gw\n");
    free(id);
    world_end(&w);
}
END_TEST

/* When each event that takes a place went out, in order. */
static size_t places_taken(struct world *w, int64_t *at_ms, size_t n, size_t *storms)
{
    char *lines = text_dup(buffer_view(&w->events));
    for (char *line = lines ? strtok(lines, "\n") : NULL; line;
         line = strtok(NULL, "\n")) {
        int day, hour, minute, second, ms;
        const char *at = strstr(line, "\"event_at\":\"2026-01-");
        if (strstr(line, "\"rule_id\":\"@storm\"")) {
            *storms += strstr(line, "\"event_type\":\"OPEN\"") != NULL;
        } else if (!strstr(line, "\"event_type\":\"CLOSED\"")) {
            ck_assert(at && sscanf(at + 17, "%d-%dT%d:%d:%d.%d", &day, &day, &hour,
                                   &minute, &second, &ms) == 6);
            at_ms[n++] =
                ((((int64_t)day * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms;
        }
    }
    free(lines);
    buffer_clear(&w->events);
    return n;
}

START_TEST(test_never_more_than_so_many_within_any_such_span)
{
    struct world w;
    uint64_t random = (uint64_t)_i + 1;
    static int64_t at[4000];
    size_t n = 0, storms = 0;
    world_begin(&w, "storm: {alerts: 7, within: 50s}",
                "rules: [{id: hot, when: x > 5, repeat: 20s}]");
    for (int step = 0; step < 3000; step++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", (int)(next_random(&random) % 30));
        say(&w, device, NULL, next_random(&random) % 3 ? 9 : 1);
        pass(&w, (int64_t)(next_random(&random) % (step / 300 % 2 ? 500 : 9000)) * 1000);
        if (next_random(&random) % 20 == 0) {
            world_restart(&w);
        }
        size_t first = n;
        n = places_taken(&w, at, n, &storms);
        for (size_t k = first < 7 ? 7 : first; k < n; k++) {
            expect(at[k] - at[k - 7] >= 50000, "8 alerts within %lld ms",
                   (long long)(at[k] - at[k - 7]));
        }
    }
    ck_assert_uint_gt(n, 100);
    ck_assert_uint_gt(storms, 3);
    world_end(&w);
}
END_TEST

START_TEST(test_tenants_do_not_share_a_budget)
{
    struct world w;
    world_begin(&w, "storm: {alerts: 1, within: 32s}", "rules: [{id: hot, when: x > 5}]");
    say_on(&w, "t/a/l/d1", "\"metrics\":{\"x\":9}");
    say_on(&w, "t/b/l/d1", "\"metrics\":{\"x\":9}");
    ck_assert_str_eq(told(&w), "OPEN hot d1\nOPEN hot d1\n");
    say_on(&w, "t/b/l/d2", "\"metrics\":{\"x\":9}");
    ck_assert_str_eq(last_told(&w, "tenant_id"), "b");
    ck_assert_str_eq(told(&w), "OPEN @storm gw\n");
    world_end(&w);
}
END_TEST

START_TEST(test_muted_alerts_take_no_place_and_queue_when_that_ends)
{
    struct world w;
    world_begin(&w, STORM,
                "rules: [{id: hot, when: x > 5}]\n"
                "maintenance: [{name: m, from: 00:00, until: 00:10}]\n");
    say_many(&w, 0, 12, 9);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 10 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN hot d00\nOPEN hot d01\nOPEN hot d02\nOPEN hot d03\n"
                               "OPEN hot d04\nOPEN @storm gw\n");
    const char *id = silence(&w, silence_of("", "", "d06", 20 * MINUTE));
    ck_assert_uint_eq(strlen(id), 16);
    pass(&w, 33 * S); /* silenced while it waits: it yields to the next */
    ck_assert_str_eq(told(&w), "OPEN hot d05\nOPEN hot d07\nOPEN hot d08\nOPEN hot d09\n"
                               "OPEN hot d10\nREPEATED @storm gw\n");
    pass(&w, 33 * S);
    ck_assert_str_eq(told(&w), "OPEN hot d11\nCLOSED @storm gw\n");
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "OPEN hot d06\n");
    world_end(&w);
}
END_TEST

START_TEST(test_reload_changes_the_budget_and_takes_it_away)
{
    struct world w;
    struct muting m;
    const char *rules = "rules: [{id: hot, when: x > 5}]";
    world_begin(&w, STORM, rules);
    say_many(&w, 0, 12, 9);
    ck_assert_int_eq(
        pipeline_muting(w.pipeline, TEXT("acme"), TEXT("d09"), TEXT("hot"), &m),
        BRINK_OK);
    ck_assert(m.firing && !m.published && m.withheld && m.muted);
    ck_assert_int_eq(m.kind, MUTE_STORM);
    ck_assert_int_eq(m.until.us, T0 + 33 * S);
    (void)told(&w);
    world_reload(&w, "storm: {alerts: 8, within: 60s}", rules);
    ck_assert_str_eq(told(&w), "OPEN hot d05\nOPEN hot d06\nOPEN hot d07\n");
    world_reload(&w, "", rules);
    ck_assert_str_eq(told(&w), "OPEN hot d08\nOPEN hot d09\nOPEN hot d10\nOPEN hot d11\n"
                               "CLOSED @storm gw\n");
    world_restart(&w);
    pass(&w, HOUR);
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

/* --- why --- */

START_TEST(test_it_is_told_what_holds_back)
{
    struct world w;
    struct muting m;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: hot, when: x > 5}\n"
                "  - {id: wet, when: x > 5}\n"
                "  - {id: power, when: v < 1}\n"
                "maintenance: [{name: works, from: 00:00, until: 00:30, rules: [hot]}]\n"
                "inhibit: [{source: power, target: [wet], equal: [site]}]\n");
    say(&w, "d1", "s1", 9);
    say_on(&w, "t/acme/l/p1", "\"site\":\"s1\",\"metrics\":{\"v\":0}");
    struct text acme = TEXT("acme"), d1 = TEXT("d1"), hot = TEXT("hot"),
                wet = TEXT("wet");
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, d1, hot, &m), BRINK_OK);
    ck_assert(m.firing && !m.published && m.withheld && m.muted);
    ck_assert_int_eq(m.kind, MUTE_MAINTENANCE);
    ck_assert_str_eq(m.name, "works");
    ck_assert_int_eq(m.until.us, T0 + 30 * MINUTE);
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, d1, wet, &m), BRINK_OK);
    ck_assert(m.firing && m.published && !m.withheld && m.muted);
    ck_assert_int_eq(m.kind, MUTE_INHIBITED);
    ck_assert_str_eq(m.name, "power");
    ck_assert_int_eq(acknowledge(&w, "d1", false), BRINK_OK);
    pass(&w, HOUR);
    const char *id = silence(&w, silence_of("", "hot", "d2", 3 * HOUR));
    say(&w, "d2", "s2", 9);
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, TEXT("d2"), hot, &m), BRINK_OK);
    ck_assert_int_eq(m.kind, MUTE_SILENCE);
    ck_assert_str_eq(m.name, id);
    ck_assert_int_eq(m.until.us, T0 + 3 * HOUR);
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, d1, hot, &m), BRINK_OK);
    ck_assert(m.firing && m.published && m.muted);
    ck_assert_int_eq(m.kind, MUTE_ACKNOWLEDGED);
    ck_assert_str_eq(m.name, "bob");
    ck_assert_str_eq(m.ack->comment, "on my way");
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, TEXT("d2"), wet, &m), BRINK_OK);
    ck_assert(m.firing && m.published && !m.muted);
    ck_assert_int_eq(pipeline_muting(w.pipeline, acme, TEXT("none"), wet, &m),
                     BRINK_E_RANGE);
    world_end(&w);
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC0", 1);
    Suite *suite = suite_create("gate");
    TCase *t = tcase_create("maintenance");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_alert_that_ends_within_maintenance_is_never_told);
    tcase_add_test(t, test_what_still_fires_at_its_end_is_told_then);
    tcase_add_test(t, test_closed_of_a_published_alert_is_always_told);
    tcase_add_test(t, test_escalation_is_told_at_the_end_or_within_the_late_open);
    tcase_add_test(t, test_overlapping_windows_hold_back_until_the_last_ends);
    tcase_add_test(t, test_released_come_in_the_order_in_which_they_fired);
    tcase_add_test(t, test_site_that_changes_takes_the_alert_out_of_a_window);
    tcase_add_test(t, test_reload_changes_what_is_held_back);
    tcase_add_test(t, test_rule_that_is_removed_while_held_back_is_never_told);
    tcase_add_test(t, test_batch_across_the_edges_is_as_one_by_one);
    tcase_add_test(t, test_clock_that_is_set_is_followed);
    suite_add_tcase(suite, t);
    t = tcase_create("inhibit");
    tcase_add_test(t,
                   test_an_alert_explains_what_each_entry_of_which_it_is_a_source_says);
    tcase_add_test(t, test_alert_that_another_explains_is_held_back_until_that_ends);
    tcase_add_test(t, test_what_was_told_before_still_closes_and_is_not_repeated);
    tcase_add_test(t, test_a_value_that_is_not_known_is_equal_to_none);
    tcase_add_test(t, test_source_of_the_same_message_comes_before_its_target);
    tcase_add_test(t, test_labels_of_topics_and_of_rules_are_compared);
    tcase_add_test(t, test_site_that_changes_moves_what_is_explained);
    tcase_add_test(t, test_reload_changes_what_explains);
    tcase_add_test(t, test_of_two_that_explain_all_the_first_in_the_file_is_told);
    tcase_add_test(t, test_source_that_is_itself_held_back_explains_all_the_same);
    suite_add_tcase(suite, t);
    t = tcase_create("silences");
    tcase_add_test(t, test_silence_holds_back_what_it_matches_until_its_time);
    tcase_add_test(t, test_what_falls_due_as_a_silence_ends_comes_then);
    tcase_add_test(t, test_silences_are_listed_kept_and_expired);
    tcase_add_test(t, test_silences_that_make_no_sense_are_refused_with_a_reason);
    suite_add_tcase(suite, t);
    t = tcase_create("acknowledgements");
    tcase_add_test(t, test_acknowledged_alert_is_neither_repeated_nor_escalated);
    tcase_add_test(t, test_withdrawn_acknowledgement_tells_the_escalation);
    tcase_add_test(t, test_acknowledged_while_held_back_is_opened_all_the_same);
    tcase_add_test(t, test_acknowledgement_is_of_the_alert_that_was_meant);
    suite_add_tcase(suite, t);
    t = tcase_create("storms");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_storm_is_told_once_and_what_still_fires_follows_in_its_budget);
    tcase_add_test(t, test_most_severe_go_first_when_there_is_room_again);
    tcase_add_test(t, test_storm_is_not_over_before_there_is_room_again);
    tcase_add_test(t, test_storm_goes_on_after_a_time_down);
    tcase_add_loop_test(t, test_never_more_than_so_many_within_any_such_span, 0, 3);
    tcase_add_test(t, test_tenants_do_not_share_a_budget);
    tcase_add_test(t, test_muted_alerts_take_no_place_and_queue_when_that_ends);
    tcase_add_test(t, test_reload_changes_the_budget_and_takes_it_away);
    suite_add_tcase(suite, t);
    t = tcase_create("why");
    tcase_add_test(t, test_it_is_told_what_holds_back);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
