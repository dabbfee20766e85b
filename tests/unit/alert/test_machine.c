/* The life of an alert: a table that can be checked by eye, then a model over random
 * walks. */
#include <check.h>
#include <stdlib.h>

#include "../tap.h"
#include "alert/machine.h"

#define T0 INT64_C(1767225600000000)
#define S US_PER_S

static struct alert_input at_reading(enum truth when, int64_t second)
{
    return (struct alert_input){
        .when = when,
        .clear = truth_not(when),
        .by_reading = true,
        .at = {T0 + second * S},
        .now = {T0 + second * S},
    };
}

static struct alert_input by_time(enum truth when, int64_t second, bool sustained)
{
    struct alert_input in = at_reading(when, second);
    in.by_reading = false;
    in.when_by_time = sustained && when == TRUTH_TRUE;
    in.clear_by_time = sustained && when == TRUTH_FALSE;
    return in;
}

/* Steps and returns a letter for each event: O C R E, or '-' for none. */
static const char *step(struct alert_state *s, const struct alert_policy *p,
                        struct alert_input in)
{
    static char text[ALERT_EVENTS_MAX + 1];
    enum alert_event_type events[ALERT_EVENTS_MAX];
    size_t n = alert_step(s, p, &in, events);
    for (size_t i = 0; i < n; i++) {
        text[i] = "OCRE"[events[i]];
    }
    text[n] = '\0';
    return n ? text : "-";
}

START_TEST(test_plain_rule_opens_at_true_and_closes_at_false)
{
    struct alert_state s = {0};
    const struct alert_policy p = {0};
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 0)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 1)), "O");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 2)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_UNKNOWN, 3)), "-");
    ck_assert_int_eq(s.phase, ALERT_FIRING);
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 4)), "C");
    ck_assert_int_eq(s.phase, ALERT_INACTIVE);
}
END_TEST

START_TEST(test_for_is_complete_at_a_reading_at_onset_plus_duration)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.for_us = 60 * S};
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 0)), "-");
    ck_assert_int_eq(s.phase, ALERT_PENDING);
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 59)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 60)), "O");
}
END_TEST

START_TEST(test_time_alone_does_not_complete_for)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.for_us = 60 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 600, false)), "-");
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 601, true)), "O");
}
END_TEST

START_TEST(test_false_in_between_starts_for_anew)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.for_us = 60 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    step(&s, &p, at_reading(TRUTH_FALSE, 30));
    step(&s, &p, at_reading(TRUTH_TRUE, 40));
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 99)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 100)), "O");
}
END_TEST

START_TEST(test_time_spent_unknown_does_not_count)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.for_us = 60 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    step(&s, &p, at_reading(TRUTH_UNKNOWN, 20));
    step(&s, &p, at_reading(TRUTH_UNKNOWN, 40));
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 50)), "-"); /* 30 s lost */
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 89)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 90)), "O");
}
END_TEST

START_TEST(test_late_reading_completes_nothing)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.for_us = 60 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    struct alert_input late = at_reading(TRUTH_TRUE, 30);
    late.now.us = T0 + 70 * S;
    ck_assert_str_eq(step(&s, &p, late), "-");
}
END_TEST

START_TEST(test_cooldown_holds_back_firing_only)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.cooldown_us = 600 * S};
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 0)), "O");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 10)), "C");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 20)), "-");
    ck_assert_int_eq(alert_due(&s, &p, (struct wall){T0 + 20 * S}).us, T0 + 600 * S);
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 599, false)), "-");
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 600, false)), "O");
}
END_TEST

START_TEST(test_keep_firing_for_delays_the_close)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.keep_firing_for_us = 60 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 10)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_TRUE, 20)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 30)), "-");
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_FALSE, 95, false)), "-");
    ck_assert_str_eq(step(&s, &p, at_reading(TRUTH_FALSE, 95)), "C");
}
END_TEST

START_TEST(test_hysteresis_holds_between_the_two_bounds)
{
    struct alert_state s = {0};
    const struct alert_policy p = {0};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    struct alert_input between = at_reading(TRUTH_FALSE, 1);
    between.clear = TRUTH_FALSE;
    ck_assert_str_eq(step(&s, &p, between), "-");
    between.clear = TRUTH_TRUE;
    ck_assert_str_eq(step(&s, &p, between), "C");
}
END_TEST

START_TEST(test_repeats_and_escalates_while_it_goes_on)
{
    struct alert_state s = {0};
    const struct alert_policy p = {
        .repeat_us = 60 * S, .escalates = true, .escalate_after_us = 90 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    ck_assert_int_eq(alert_due(&s, &p, (struct wall){T0}).us, T0 + 60 * S);
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 60, false)), "R");
    ck_assert_uint_eq(s.trigger_count, 2);
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_UNKNOWN, 95, false)), "-");
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 120, false)), "ER");
    ck_assert_str_eq(step(&s, &p, by_time(TRUTH_TRUE, 121, false)), "-");
}
END_TEST

START_TEST(test_deadline_that_passed_hides_no_other)
{
    struct alert_state s = {0};
    const struct alert_policy p = {.keep_firing_for_us = 10 * S,
                                   .repeat_us = 60 * S,
                                   .escalates = true,
                                   .escalate_after_us = 90 * S};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    step(&s, &p, at_reading(TRUTH_FALSE, 5));
    const int64_t at[][2] = {{5, 15}, {15, 60}, {59, 60}, {60, 90}, {90, INT64_MAX / S}};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        int64_t due = alert_due(&s, &p, (struct wall){T0 + at[i][0] * S}).us;
        ck_assert_int_eq(due, at[i][1] < 1000 ? T0 + at[i][1] * S : INT64_MAX);
    }
}
END_TEST

START_TEST(test_no_data_resolves)
{
    struct alert_state s = {0};
    const struct alert_policy p = {0};
    step(&s, &p, at_reading(TRUTH_TRUE, 0));
    struct alert_input in = by_time(TRUTH_TRUE, 900, false);
    in.no_data = true;
    ck_assert_str_eq(step(&s, &p, in), "C");
}
END_TEST

/* Whatever comes: OPEN and CLOSED alternate, a firing alert never opens, nothing but OPEN
 * follows a CLOSED, and unknown alone never publishes. */
START_TEST(test_random_walks_keep_the_order_of_events)
{
    srand(7);
    for (int walk = 0; walk < 2000; walk++) {
        const struct alert_policy p = {
            .for_us = rand() % 3 * 10 * S,
            .keep_firing_for_us = rand() % 3 * 10 * S,
            .cooldown_us = rand() % 3 * 50 * S,
            .repeat_us = rand() % 3 * 20 * S,
            .escalates = rand() % 2,
            .escalate_after_us = 30 * S,
        };
        struct alert_state s = {0};
        bool open = false;
        int64_t opened = INT64_MIN;
        for (int64_t t = 0; t < 300; t += 1 + rand() % 15) {
            enum truth when = (enum truth)(rand() % 3);
            struct alert_input in =
                rand() % 2 ? at_reading(when, t) : by_time(when, t, rand() % 2);
            for (const char *e = step(&s, &p, in); *e; e++) {
                ck_assert(*e == '-' || when != TRUTH_UNKNOWN);
                if (*e == 'O') {
                    ck_assert(!open && t * S >= opened + p.cooldown_us);
                    opened = t * S;
                    open = true;
                } else if (*e != '-') {
                    ck_assert(open);
                    open = *e != 'C';
                }
            }
            ck_assert_int_eq(open, s.phase == ALERT_FIRING);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine");
    TCase *t = tcase_create("life");
    tcase_add_test(t, test_plain_rule_opens_at_true_and_closes_at_false);
    tcase_add_test(t, test_for_is_complete_at_a_reading_at_onset_plus_duration);
    tcase_add_test(t, test_time_alone_does_not_complete_for);
    tcase_add_test(t, test_false_in_between_starts_for_anew);
    tcase_add_test(t, test_time_spent_unknown_does_not_count);
    tcase_add_test(t, test_late_reading_completes_nothing);
    tcase_add_test(t, test_cooldown_holds_back_firing_only);
    tcase_add_test(t, test_keep_firing_for_delays_the_close);
    tcase_add_test(t, test_hysteresis_holds_between_the_two_bounds);
    tcase_add_test(t, test_repeats_and_escalates_while_it_goes_on);
    tcase_add_test(t, test_deadline_that_passed_hides_no_other);
    tcase_add_test(t, test_no_data_resolves);
    tcase_add_test(t, test_random_walks_keep_the_order_of_events);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
