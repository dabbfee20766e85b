/* Devices: binding, timeline, redeliveries, and the state that survives a restart. */
#include <check.h>

#include "../tap.h"
#include "rig.h"
#include "rules/evaluate.h"
#include "rules/state.h"
#include "rules/timeline.h"

START_TEST(test_device_gets_the_rules_that_cover_it_and_cells_for_their_metrics)
{
    begin("rules: [{id: a, when: t > 1 and p > 2}, {id: b, when: 'avg(t, 5m) > 1'}, "
          "{id: c, when: t > 1, scope: {devices: [other]}}]");
    struct device *d = get("acme", "d1");
    ck_assert_uint_eq(d->n_instances, 2);
    ck_assert_uint_eq(d->n_cells, 2);
    uint32_t n_uses;
    (void)cell_uses(d, device_cell(d, (uint32_t)ruleset_metric(l.rules, TEXT("t"))),
                    &n_uses);
    ck_assert_uint_eq(n_uses, 2);
    ck_assert_ptr_null(device_instance(d, TEXT("c")));
    ck_assert_int_eq(d->longest_us, 300 * US_PER_S);
    end();
}
END_TEST

START_TEST(test_a_new_site_binds_anew)
{
    begin("rules: [{id: a, when: t > 1, scope: {sites: [s1]}}, {id: b, when: t > 2}]");
    struct device *d = get("acme", "d1");
    struct instance *b = device_instance(d, TEXT("b"));
    ck_assert_uint_eq(d->n_instances, 1);
    ck_assert_int_eq(device_set_site(&devices, d, TEXT("s1")), BRINK_OK);
    ck_assert_uint_eq(d->n_instances, 2);
    ck_assert_ptr_eq(device_instance(d, TEXT("b")), b);
    ck_assert_int_eq(device_set_site(&devices, d, TEXT("s2")), BRINK_OK);
    ck_assert_int_eq(left, 1);
    ck_assert_str_eq(left_reason, "out_of_scope");
    end();
}
END_TEST

START_TEST(test_devices_beyond_the_limit_are_refused)
{
    enum brink_status why;
    begin("rules: [{id: a, when: t > 1}]");
    get("acme", "d1");
    devices.limit = 1;
    ck_assert_ptr_null(
        devices_get(&devices, TEXT("acme"), TEXT("d2"), (struct mono){0}, &why));
    ck_assert_int_eq(why, BRINK_E_LIMIT);
    end();
}
END_TEST

START_TEST(test_a_tenant_may_have_so_many_devices_and_leaves_with_its_last)
{
    enum brink_status why;
    begin("rules: [{id: a, when: t > 1}]");
    devices.tenant_limit = 2;
    get("acme", "d1");
    struct device *d2 = get("acme", "d2");
    ck_assert_ptr_null(
        devices_get(&devices, TEXT("acme"), TEXT("d3"), (struct mono){0}, &why));
    ck_assert_int_eq(why, BRINK_E_STATE);
    get("zeta", "d1"); /* another tenant has a share of its own */
    devices_remove(&devices, d2, "device_forgotten");
    get("acme", "d3");
    devices_remove(&devices, get("zeta", "d1"), "device_forgotten");
    ck_assert_uint_eq(devices.tenants.n, 1);
    end();
}
END_TEST

START_TEST(test_clock_set_back_shows_after_five_minutes_and_three_readings)
{
    begin("rules: [{id: a, when: 'avg(t, 1m) > 1'}]");
    struct device *d = get("acme", "d1");
    const int64_t t0 = INT64_C(1767225600000000);
    struct wall old = {t0 - 3600 * US_PER_S};
    d->newest.us = t0;
    for (int64_t s = 0; s < 5; s++) {
        struct mono now = {s * 100 * US_PER_S};
        ck_assert_int_eq(device_clock_back(d, d->newest, old, now), s >= 3);
        device_clock_note(d, d->newest, old, now);
    }
    device_clock_note(d, d->newest, (struct wall){t0}, (struct mono){500 * US_PER_S});
    ck_assert(!device_clock_back(d, d->newest, old, (struct mono){600 * US_PER_S}));
    /* Older by less than the window is only late. */
    ck_assert(!device_clock_back(d, d->newest, (struct wall){t0 - 30 * US_PER_S},
                                 (struct mono){9}));
    end();
}
END_TEST

START_TEST(test_silence_counts_only_while_subscribed)
{
    struct silence_clock c = {0};
    ck_assert_int_eq(silence_now(&c, (struct mono){50}), 0);
    silence_start(&c, (struct mono){100});
    ck_assert_int_eq(silence_now(&c, (struct mono){150}), 50);
    silence_stop(&c, (struct mono){200});
    ck_assert_int_eq(silence_now(&c, (struct mono){900}), 100);
    silence_start(&c, (struct mono){1000});
    ck_assert_int_eq(silence_now(&c, (struct mono){1001}), 101);
}
END_TEST

START_TEST(test_device_state_survives_as_text)
{
    const char *yaml = "rules: [{id: a, when: t > 1 and p > 2, for: 1m}]";
    const int64_t t0 = INT64_C(1767225600000000);
    struct buffer line = {0};
    begin(yaml);
    struct device *d = get("acme", "d 1%");
    silence_start(&devices.silence, (struct mono){0});
    ck_assert_int_eq(device_set_site(&devices, d, TEXT("s 1=@")), BRINK_OK);
    d->newest.us = t0;
    d->newest_arrived.us = 4 * US_PER_S;
    d->seen.us = 3 * US_PER_S;
    d->seen_us = 4 * US_PER_S;
    d->cells[0] = (struct cell){.metric = d->cells[0].metric,
                                .known = true,
                                .value = 1e-300,
                                .at = {t0 - 5},
                                .seen_us = 3 * US_PER_S};
    d->instances[0]->alert.phase = ALERT_PENDING;
    d->instances[0]->alert.onset.us = t0 - 9;
    device_state_print(&devices, d,
                       (struct instant){{10 * US_PER_S}, {t0 + 6 * US_PER_S}}, &line);
    end();

    begin(yaml);
    d = get("acme", "d 1%");
    struct instant later = {{100 * US_PER_S}, {t0 + 66 * US_PER_S}};
    /* The last run was subscribed for ten seconds more than it had saved. */
    ck_assert_int_eq(device_state_apply(&devices, d, buffer_view(&line), later,
                                        (struct wall){t0 + 16 * US_PER_S}),
                     BRINK_OK);
    ck_assert_str_eq(d->site, "s 1=@");
    ck_assert_int_eq(d->newest.us, t0);
    ck_assert_int_eq(d->seen.us, 33 * US_PER_S); /* 60 s of wall clock, 7 before it */
    ck_assert_int_eq(device_now(d, later.mono).us, t0 + 66 * US_PER_S);
    ck_assert(d->cells[0].known && d->cells[0].value == 1e-300 &&
              d->cells[0].at.us == t0 - 5);
    ck_assert_int_eq(silence_now(&devices.silence, later.mono) - d->seen_us,
                     16 * US_PER_S);
    ck_assert_int_eq(d->instances[0]->alert.phase, ALERT_PENDING);
    ck_assert_int_eq(d->instances[0]->alert.onset.us, t0 - 9);
    ck_assert(d->instances[0]->decided);
    end();

    begin(yaml); /* readings of it waited for Valkey when the last run ended */
    d = get("acme", "d 1%");
    ck_assert_int_eq(device_bind(&devices, d), BRINK_OK);
    ck_assert_uint_eq(d->n_instances, 1);
    d->instances[0]->left = true;
    d->instances[0]->decided = false;
    ck_assert_int_eq(device_state_apply(&devices, d, buffer_view(&line), later,
                                        (struct wall){t0 + 16 * US_PER_S}),
                     BRINK_OK);
    ck_assert(!d->instances[0]->decided);
    end();
    buffer_finish(&line);
}
END_TEST

/* A device that was heard before its line could be read back. */
START_TEST(test_pending_of_a_window_does_not_count_the_time_that_nobody_knew_of)
{
    const int64_t t0 = INT64_C(1767225600000000);
    for (int window = 0; window < 2; window++) {
        const char *yaml = window ? "rules: [{id: a, when: 'avg(t, 5m) > 1', for: 10m}]"
                                  : "rules: [{id: a, when: t > 1, for: 10m}]";
        struct buffer line = {0};
        begin(yaml);
        struct device *d = get("acme", "d1");
        d->newest.us = t0;
        d->instances[0]->alert.phase = ALERT_PENDING;
        d->instances[0]->alert.onset.us = t0 - 60 * US_PER_S;
        device_state_print(&devices, d, (struct instant){{0}, {t0}}, &line);
        end();

        begin(yaml);
        d = get("acme", "d1");
        d->heard = true;
        d->newest.us = t0 + 100 * US_PER_S;
        d->instances[0]->alert.phase = ALERT_PENDING; /* known again since then */
        d->instances[0]->alert.onset.us = t0 + 90 * US_PER_S;
        ck_assert_int_eq(device_state_apply(&devices, d, buffer_view(&line),
                                            (struct instant){{0}, {t0}},
                                            (struct wall){0}),
                         BRINK_OK);
        ck_assert_int_eq(d->instances[0]->alert.onset.us,
                         t0 + (window ? 30 : -60) * US_PER_S);
        end();
        buffer_finish(&line);
    }
}
END_TEST

/* What it found of a condition outweighs what is yet to be read back. */
START_TEST(test_a_device_keeps_its_instances_until_its_line_is_read)
{
    begin("rules: [{id: a, when: t > 1}]");
    struct device *d = get("acme", "d1");
    devices.unread = true;
    ck_assert(!device_unbind(&devices, d));
    d->restored = true;
    ck_assert(device_unbind(&devices, d));
    end();
}
END_TEST

START_TEST(test_what_only_a_firing_alert_has_goes_when_nothing_is_in_it)
{
    begin("rules: [{id: a, when: t > 1}]");
    struct instance *i = get("acme", "d1")->instances[0];
    ck_assert(!i->firing && !instance_ack(i) && !instance_retained(i));
    ck_assert(instance_set_ack(i, NULL) && instance_set_retained(i, NULL) && !i->firing);
    ck_assert(instance_set_ack(
        i, acknowledgement_new((struct wall){1}, TEXT("ann"), TEXT(""))));
    ck_assert(instance_set_retained(i, text_dup(TEXT("a/b"))));
    instance_cool(i);
    ck_assert_str_eq(instance_ack(i)->by, "ann");
    ck_assert(instance_set_ack(i, NULL));
    instance_cool(i);
    ck_assert_str_eq(instance_retained(i), "a/b");
    free(instance_retained(i));
    ck_assert(instance_set_retained(i, NULL));
    instance_cool(i);
    ck_assert_ptr_null(i->firing);
    end();
}
END_TEST

/* How long a rule has had no answer: before this run's clock began, over two restarts,
 * and if the rule was looked at before Valkey said what it knows. */
START_TEST(test_time_without_an_answer_survives_as_text)
{
    const char *yaml = "rules: [{id: a, when: t / (t - 5) > 2, no_data_after: 5m}]";
    const int64_t t0 = INT64_C(1767225600000000);
    struct buffer line = {0};
    for (int run = 0; run < 4; run++) {
        struct instant now = {{10 * US_PER_S}, {t0 + run * 60 * US_PER_S}};
        begin(yaml);
        struct device *d = get("acme", "d1");
        silence_start(&devices.silence, (struct mono){0});
        int64_t silence = silence_now(&devices.silence, now.mono);
        d->instances[0]->unknown_us = run == 0   ? 4 * US_PER_S
                                      : run == 3 ? silence - US_PER_S
                                                 : NOT_UNKNOWN;
        if (run > 0) { /* each run was subscribed for 20 s beyond what it had saved, and
                          this one for 10 s until it read that */
            ck_assert_int_eq(
                device_state_apply(&devices, d, buffer_view(&line), now,
                                   (struct wall){now.wall.us - 40 * US_PER_S}),
                BRINK_OK);
        }
        ck_assert_int_eq(silence - d->instances[0]->unknown_us,
                         (6 + run * 30) * US_PER_S);
        buffer_clear(&line);
        device_state_print(&devices, d, now, &line);
        end();
    }
    /* Another condition knows nothing of it. */
    begin("rules: [{id: a, when: t / (t - 5) > 3, no_data_after: 5m}]");
    struct device *d = get("acme", "d1");
    ck_assert_int_eq(device_state_apply(&devices, d, buffer_view(&line),
                                        (struct instant){{1}, {t0}}, (struct wall){0}),
                     BRINK_OK);
    ck_assert(d->instances[0]->unknown_us == NOT_UNKNOWN);
    end();
    buffer_finish(&line);
}
END_TEST

/* What a device's line says `by`, for a gateway whose own lines are these, one after the
 * other; how long it is since then, in seconds. */
static int64_t seconds_since(const char *const *own, const char *by)
{
    const struct instant now = {{50 * US_PER_S}, {INT64_C(2000000000)}};
    struct buffer line = {0};
    struct wall alive = {0};
    begin("rules: [{id: a, when: t > 1}]");
    struct device *d = get("acme", "d1");
    for (size_t i = 0; own[i]; i++) {
        gateway_state_apply(&devices.silence, text_of(own[i]), &alive);
    }
    buffer_format(&line, "1 saved=1000000000 silent=0%s%s", *by ? " ran=" : "", by);
    ck_assert_int_eq(device_state_apply(&devices, d, buffer_view(&line), now, alive),
                     BRINK_OK);
    int64_t since = -d->seen_us / US_PER_S;
    end();
    buffer_finish(&line);
    return since;
}

START_TEST(test_time_subscribed_since_a_line_was_saved)
{
    static const struct {
        const char *own[3], *by;
        int64_t seconds;
    } cases[] = {
        {{"1600 ran=7@90000000"}, "7@30000000", 60},
        {{"1600 ran=7@90000000"}, "7@95000000", 0}, /* killed after it was saved */
        {{"900 ran=7@90000000"}, "7@30000000", 60}, /* the wall clock was set back */
        /* Older versions, and others' totals: by the wall clock. */
        {{"1600"}, "", 600},
        {{"900"}, "", 0},
        {{"1600"}, "7@30000000", 600},
        {{"1600 ran=7@90000000"}, "", 600},
        {{"1600 ran=7@90000000"}, "8@30000000", 600},
        {{"1600"}, "0@0", 600},
        {{NULL}, "0@30000000", 0},
        /* What waited for Valkey, and then what that has. */
        {{"1600 ran=7@90000000", "1500 ran=7@80000000"}, "7@30000000", 60},
        {{"1600 ran=7@80000000", "1700 ran=7@90000000"}, "7@30000000", 60},
        {{"1600 ran=0@10000000", "1500 ran=7@80000000"}, "7@30000000", 60},
        {{"1600 ran=0@40000000"}, "0@10000000", 30},
        {{"1600 ran=8@80000000", "1500 ran=7@90000000"}, "8@30000000", 50},
        {{"1600 ran=8@80000000", "1700 ran=7@90000000"}, "7@30000000", 60},
        /* Nonsense is as if it were not there. */
        {{"1600 ran=7@9223372036854775807"}, "7@30000000", 600},
        {{"1600 ran=7@-5"}, "7@30000000", 600},
        {{"1600 ran=-7@90000000"}, "-7@30000000", 600},
        {{"1600 ran=7"}, "7@30000000", 600},
        {{"1600 ran=7@90000000"}, "7@-9223372036854775807", 600},
        {{"1600 ran=7@90000000", "x ran=7@95000000"}, "7@30000000", 60},
        {{"1600 ran=7@90000000", "-1 ran=7@95000000"}, "7@30000000", 60},
        {{"", "1e300 ran=7@95000000"}, "7@30000000", 0},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int64_t since = seconds_since(cases[k].own, cases[k].by);
        ck_assert_msg(since == cases[k].seconds, "case %zu: %lld s", k, (long long)since);
    }
}
END_TEST

START_TEST(test_gateways_line_survives_as_text)
{
    struct silence_clock c = {.series = 7, .total_us = 5}, back = {0};
    struct buffer line = {0};
    struct wall alive = {0};
    silence_start(&c, (struct mono){100});
    gateway_state_print(&c, (struct wall){1600000001}, (struct mono){110}, &line);
    gateway_state_apply(&back, buffer_view(&line), &alive);
    ck_assert_int_eq(alive.us, 1600000001);
    ck_assert_int_eq(back.series, 7);
    ck_assert_int_eq(back.total_us, 15);
    buffer_finish(&line);
}
END_TEST

START_TEST(test_time_across_a_restart_is_never_negative)
{
    const int64_t t0 = INT64_C(1767225600000000);
    struct buffer line = {0};
    begin("rules: [{id: a, when: t > 1}]");
    struct device *d = get("acme", "d1");
    d->newest.us = t0;
    d->newest_arrived.us = d->seen.us = 4 * US_PER_S;
    device_state_print(&devices, d, (struct instant){{4 * US_PER_S}, {t0}}, &line);
    end();

    begin("rules: [{id: a, when: t > 1}]");
    d = get("acme", "d1");
    struct instant earlier = {{50 * US_PER_S}, {t0 - 3600 * US_PER_S}};
    ck_assert_int_eq(
        device_state_apply(&devices, d, buffer_view(&line), earlier, (struct wall){0}),
        BRINK_OK);
    ck_assert_int_eq(d->seen.us, earlier.mono.us);
    ck_assert_int_eq(device_now(d, earlier.mono).us, t0);
    end();
    buffer_finish(&line);
}
END_TEST

/* A gateway without a battery clock starts an hour in the past, and its timeline of
 * arrivals moves there with it; a device that says the time itself is another matter. */
START_TEST(test_timeline_of_arrivals_moves_with_the_gateways_clock)
{
    const int64_t t0 = INT64_C(1767225600000000), hour = 3600 * US_PER_S;
    begin("rules: [{id: a, when: 'avg(t, 5m) > 1', for: 1m}]");
    struct device *d = get("acme", "d1");
    const struct reading reading = {TEXT("t"), 1};
    struct message m = {
        .at = {t0 - hour}, .at_is_arrival = true, .readings = &reading, .n_readings = 1};
    ck_assert_int_eq(device_clock_moved(d, &m), 0); /* it has no past */
    d->newest.us = t0;
    d->has_reading = true;
    for (int own = 0; own < 2; own++) {
        d->by_arrival = !own;
        ck_assert_int_eq(device_clock_moved(d, &m), -hour);
        m.at.us = t0 - 3 * US_PER_S; /* what it says itself may be ahead of arrival */
        ck_assert_int_eq(device_clock_moved(d, &m), own ? 0 : -3 * US_PER_S);
        m.at.us = t0 + hour;
        ck_assert_int_eq(device_clock_moved(d, &m), 0);
        m.at.us = t0 - hour;
        m.n_readings = 0; /* a heartbeat does not lead a timeline of readings */
        ck_assert_int_eq(device_clock_moved(d, &m), 0);
        m.n_readings = 1;
        m.at_is_arrival = false; /* late, or its own clock was set back */
        ck_assert_int_eq(device_clock_moved(d, &m), 0);
        m.at_is_arrival = true;
    }
    window_push(d->instances[0]->series[0]->window, (struct point){{t0}, 1}, NULL, NULL);
    d->instances[0]->alert =
        (struct alert_state){.phase = ALERT_PENDING, .onset = {t0 - 5}};
    device_shift(&devices, d, -hour);
    ck_assert_int_eq(d->newest.us, t0 - hour);
    ck_assert_int_eq(d->instances[0]->alert.onset.us, t0 - hour - 5);
    ck_assert_int_eq(window_newest(d->instances[0]->series[0]->window).us, t0 - hour);
    end();
}
END_TEST

START_TEST(test_stored_alert_survives_as_text)
{
    begin("rules: [{id: a, when: t > 1, name: 'A b'}]");
    struct device *d = get("acme", "d1");
    struct buffer line = {0};
    struct saved_alert saved;
    d->newest.us = INT64_C(1767225600000000);
    struct alert_state firing = {.phase = ALERT_FIRING,
                                 .onset = {1},
                                 .triggered_at = {2},
                                 .clear_onset = {3},
                                 .cooldown_until = {4},
                                 .published_at = {5},
                                 .escalated = true,
                                 .trigger_count = 6};
    d->instances[0]->alert = firing;
    ck_assert(instance_set_retained(d->instances[0], text_dup(TEXT("a/b c/%41"))));
    alert_state_print(d->instances[0], (struct instant){{0}, {0}}, &line);
    ck_assert_int_eq(saved_alert_parse(buffer_view(&line), &saved), BRINK_OK);
    ck_assert_str_eq(saved.name, "A b");
    d->instances[0]->alert = (struct alert_state){0};
    instance_retained(d->instances[0])[0] = '\0';
    saved_alert_apply(&saved, d->instances[0], (struct instant){{0}, {0}});
    const struct alert_state *a = &d->instances[0]->alert;
    ck_assert_int_eq(a->phase, ALERT_FIRING);
    ck_assert_int_eq(a->onset.us + a->triggered_at.us * 10 + a->clear_onset.us * 100 +
                         a->cooldown_until.us * 1000 + a->published_at.us * 10000,
                     54321);
    ck_assert(a->escalated && a->trigger_count == 6);
    ck_assert_str_eq(instance_retained(d->instances[0]), "a/b c/%41");
    ck_assert_int_eq(saved_alert_parse(TEXT("garbage"), &(struct saved_alert){0}),
                     BRINK_E_SYNTAX);
    saved_alert_finish(&saved);
    buffer_finish(&line);
    end();
}
END_TEST

/* What is stored outside of the process may say any time: nothing worked out of it
 * overflows (a sanitizer would say so), and it stays before or after, as it was. */
START_TEST(test_stored_times_beyond_all_years_stay_within_them)
{
    const int64_t t0 = INT64_C(1767225600000000),
                  end_of_years = INT64_C(253402300799999999);
    const struct instant now = {{50 * US_PER_S}, {t0}};
#define MOST "9223372036854775807"
    begin("rules: [{id: a, when: t > 1}]");
    struct device *d = get("acme", "d1");
    ck_assert_int_eq(
        device_state_apply(&devices, d,
                           TEXT("1 saved=-" MOST " silent=" MOST " newest=" MOST
                                " arrived=" MOST " v.t=2@" MOST "@" MOST),
                           now, (struct wall){t0}),
        BRINK_OK);
    ck_assert_int_eq(d->newest.us, end_of_years);
    ck_assert_int_eq(device_now(d, (struct mono){60 * US_PER_S}).us,
                     end_of_years + 10 * US_PER_S);
    ck_assert_int_eq(d->seen_us, -end_of_years - (t0 + end_of_years));
    ck_assert(d->cells[0].known && d->cells[0].at.us == end_of_years &&
              d->cells[0].seen_us == d->seen_us);
    end();

    begin("rules: [{id: a, when: t > 1}]");
    d = get("acme", "d1");
    ck_assert_int_eq(
        device_state_apply(&devices, d, TEXT("1 newest=-" MOST), now, (struct wall){t0}),
        BRINK_OK);
    ck_assert_int_eq(d->newest.us, -end_of_years);
    struct saved_alert saved;
    ck_assert_int_eq(saved_alert_parse(TEXT("1 phase=2 onset=-" MOST " triggered=" MOST
                                            " newest=" MOST " ack=" MOST),
                                       &saved),
                     BRINK_OK);
    ck_assert_int_eq(saved.state.onset.us, -end_of_years);
    ck_assert_int_eq(saved.state.triggered_at.us, end_of_years);
    ck_assert_int_eq(saved.timeline.newest, end_of_years);
    ck_assert_int_eq(saved.ack_at.us, end_of_years);
    saved_alert_finish(&saved);
    end();
}
END_TEST

START_TEST(test_reload_keeps_unchanged_rules_and_closes_removed_ones)
{
    begin("rules: [{id: a, when: t > 1}, {id: b, when: t > 2}, {id: c, when: t > 3}]");
    struct device *d = get("acme", "d1");
    struct instance *a = device_instance(d, TEXT("a"));
    device_instance(d, TEXT("b"))->alert =
        (struct alert_state){.phase = ALERT_FIRING, .onset = {7}, .trigger_count = 1};
    struct loaded next;
    load_rules(&next, "rules: [{id: a, when: t > 1}, {id: b, when: t > 20}, "
                      "{id: c, when: t > 3, enabled: false}]");
    ck_assert_int_eq(ruleset_adopt(next.rules, &next.config, l.rules), BRINK_OK);
    ck_assert_int_eq(devices_set_rules(&devices, next.rules), BRINK_OK);
    ck_assert_ptr_eq(device_instance(d, TEXT("a")), a);
    ck_assert_int_eq(device_instance(d, TEXT("b"))->alert.phase, ALERT_FIRING);
    ck_assert_int_eq(device_instance(d, TEXT("b"))->alert.onset.us, 7);
    ck_assert_ptr_null(device_instance(d, TEXT("c")));
    ck_assert_str_eq(left_reason, "rule_disabled");
    ck_assert_int_eq(left, 1); /* c; b goes on */
    devices_finish(&devices);
    unload_rules(&next);
    unload_rules(&l);
}
END_TEST

START_TEST(test_condition_duration_breaks_at_false_and_lasts_by_silence)
{
    begin("rules: [{id: a, when: 'held(t > 1, 1m)'}, {id: b, when: 'held(silent(1m), "
          "1m)'}]");
    struct device *d = get("acme", "d1");
    struct instance *a = device_instance(d, TEXT("a"));
    struct cell *t = device_cell(d, (uint32_t)ruleset_metric(l.rules, TEXT("t")));
    static const struct {
        int64_t second;
        double value;
        enum truth want;
    } steps[] = {{1, 5, TRUTH_FALSE},  {60, 5, TRUTH_FALSE}, {61, 5, TRUTH_TRUE},
                 {70, 0, TRUTH_FALSE}, {80, 5, TRUTH_FALSE}, {139, 5, TRUTH_FALSE},
                 {140, 5, TRUTH_TRUE}};
    struct evaluation e;
    t->known = true;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct wall at = {steps[i].second * US_PER_S};
        t->value = steps[i].value;
        instance_evaluate(&devices, a, &(struct moment){true, at, at, 0}, &e);
        ck_assert_int_eq(e.when, steps[i].want);
    }
    struct instance *b = device_instance(d, TEXT("b"));
    for (int64_t s = 60; s <= 180; s += 60) {
        instance_evaluate(
            &devices, b,
            &(struct moment){.now = {s * US_PER_S}, .silence_us = s * US_PER_S}, &e);
        ck_assert_int_eq(e.when, s >= 120 ? TRUTH_TRUE : TRUTH_FALSE);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device");
    TCase *t = tcase_create("devices");
    tcase_add_test(t,
                   test_device_gets_the_rules_that_cover_it_and_cells_for_their_metrics);
    tcase_add_test(t, test_a_new_site_binds_anew);
    tcase_add_test(t, test_devices_beyond_the_limit_are_refused);
    tcase_add_test(t, test_a_tenant_may_have_so_many_devices_and_leaves_with_its_last);
    tcase_add_test(t, test_clock_set_back_shows_after_five_minutes_and_three_readings);
    tcase_add_test(t, test_silence_counts_only_while_subscribed);
    tcase_add_test(t, test_device_state_survives_as_text);
    tcase_add_test(t,
                   test_pending_of_a_window_does_not_count_the_time_that_nobody_knew_of);
    tcase_add_test(t, test_a_device_keeps_its_instances_until_its_line_is_read);
    tcase_add_test(t, test_what_only_a_firing_alert_has_goes_when_nothing_is_in_it);
    tcase_add_test(t, test_time_without_an_answer_survives_as_text);
    tcase_add_test(t, test_time_subscribed_since_a_line_was_saved);
    tcase_add_test(t, test_gateways_line_survives_as_text);
    tcase_add_test(t, test_time_across_a_restart_is_never_negative);
    tcase_add_test(t, test_timeline_of_arrivals_moves_with_the_gateways_clock);
    tcase_add_test(t, test_stored_alert_survives_as_text);
    tcase_add_test(t, test_stored_times_beyond_all_years_stay_within_them);
    tcase_add_test(t, test_reload_keeps_unchanged_rules_and_closes_removed_ones);
    tcase_add_test(t, test_condition_duration_breaks_at_false_and_lasts_by_silence);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
