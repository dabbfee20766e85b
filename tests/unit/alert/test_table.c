/* The life of an alert, whole: every state, every event, every answer of the condition,
 * in one table that can be read and checked by eye (SPEC 4.6, 4.7, 6.1). */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../tap.h"
#include "alert/machine.h"

#define S US_PER_S
#define NOW (INT64_C(1767225600) * S)

/* for: 60s, keep_firing_for: 60s, cooldown: 10m, repeat: 1h, escalate after 2h; the rule
 * has no `clear` of its own, so what is not true clears.
 *
 * Now, 90 s later than what is told of each state:
 *   idle      nothing                      firing    fires
 *   cooling   fired, closed; cooldown      clearing  fires; not true for 30 s
 *             goes on                      cleared   fires; not true for 90 s
 *   cooled    the same; cooldown is over   repeat    fires; its repeat is due
 *   new       true for 30 s                escalate  fires; its escalation is due
 *   due       true for 90 s                both      fires; both are due
 *   held      `for` was over; cooldown     closing   cleared, and both are due
 *             goes on
 *   free      the same; cooldown is over
 *
 * reading: one came. time: time passed, and the answer rests on old readings. alone: time
 * passed, and the answer rests on it (absent, silent, an emptied window). no data: none
 * for no_data_after, with on_no_data: resolve.
 * T, F, U: the condition is true, false, unknown.
 *
 * A cell: what the alert then is (idle, Cooling, Pending, complete and Held by the
 * cooldown, Firing, firing and cLearing; ? : time spent unknown begins or goes on), and
 * what is published (Open, Closed, Repeated, Escalated). */
static const char *const table[] = {
    "            reading          time             alone      no data        ",
    "            T     F     U    T     F     U    T     F    T     F     U  ",
    "idle        P     i     i    P     i     i    P     i    i     i     i  ",
    "cooling     P     C     C    P     C     C    P     C    C     C     C  ",
    "cooled      P     i     i    P     i     i    P     i    i     i     i  ",
    "new         P     i     P?   P     i     P?   P     i    i     i     i  ",
    "due         F+O   i     P?   P     i     P?   F+O   i    i     i     i  ",
    "held        H     C     H?   H     C     H?   H     C    C     C     C  ",
    "free        F+O   i     H?   F+O   i     H?   F+O   i    i     i     i  ",
    "firing      F     L     F    F     L     F    F     L    C+C   C+C   C+C",
    "clearing    F     L     L?   F     L     L?   F     L    C+C   C+C   C+C",
    "cleared     F     C+C   L?   F     L     L?   F     C+C  C+C   C+C   C+C",
    "repeat      F+R   L+R   F    F+R   L+R   F    F+R   L+R  C+C   C+C   C+C",
    "escalate    F+E   L+E   F    F+E   L+E   F    F+E   L+E  C+C   C+C   C+C",
    "both        F+ER  L+ER  F    F+ER  L+ER  F    F+ER  L+ER C+C   C+C   C+C",
    "closing     F+ER  C+C   L?   F+ER  L+ER  L?   F+ER  C+C  C+C   C+C   C+C",
};

static const struct alert_policy policy = {
    .for_us = 60 * S,
    .keep_firing_for_us = 60 * S,
    .cooldown_us = 600 * S,
    .repeat_us = 3600 * S,
    .escalates = true,
    .escalate_after_us = 7200 * S,
};

static struct alert_state firing(int64_t clear_s, int64_t published_s,
                                 int64_t triggered_s)
{
    return (struct alert_state){
        .phase = ALERT_FIRING,
        .onset = {NOW - triggered_s * S},
        .triggered_at = {NOW - triggered_s * S},
        .published_at = {NOW - published_s * S},
        .clear_onset = {clear_s ? NOW - clear_s * S : 0},
        .cooldown_until = {NOW + 500 * S},
        .trigger_count = 1,
    };
}

static struct alert_state state_of(const char *name)
{
    const struct alert_state pending = {.phase = ALERT_PENDING, .onset = {NOW - 90 * S}};
    const struct {
        const char *name;
        struct alert_state state;
    } states[] = {
        {"idle", {0}},
        {"cooling", {.cooldown_until = {NOW + 1}}},
        {"cooled", {.cooldown_until = {NOW}}},
        {"new", {.phase = ALERT_PENDING, .onset = {NOW - 30 * S}}},
        {"due", pending},
        {"held",
         {.phase = ALERT_PENDING,
          .onset = pending.onset,
          .complete = true,
          .cooldown_until = {NOW + 1}}},
        {"free",
         {.phase = ALERT_PENDING,
          .onset = pending.onset,
          .complete = true,
          .cooldown_until = {NOW}}},
        {"firing", firing(0, 90, 90)},
        {"clearing", firing(30, 90, 90)},
        {"cleared", firing(90, 90, 90)},
        {"repeat", firing(0, 3600, 3600)},
        {"escalate", firing(0, 90, 7200)},
        {"both", firing(0, 3600, 7200)},
        {"closing", firing(90, 3600, 7200)},
    };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i].name, name) == 0) {
            return states[i].state;
        }
    }
    ck_abort_msg("no state `%s`", name);
    return (struct alert_state){0};
}

/* The columns, in the table's order. */
static struct alert_input input_of(int column)
{
    static const enum truth answers[] = {TRUTH_TRUE, TRUTH_FALSE, TRUTH_UNKNOWN};
    struct alert_input in = {.at = {NOW}, .now = {NOW}};
    bool alone = column == 6 || column == 7;
    in.when = answers[column < 8 ? column % 3 : (column - 8) % 3];
    in.when = column == 6 ? TRUTH_TRUE : column == 7 ? TRUTH_FALSE : in.when;
    in.clear = truth_not(in.when);
    in.by_reading = column < 3;
    in.when_by_time = alone && in.when == TRUTH_TRUE;
    in.clear_by_time = alone && in.clear == TRUTH_TRUE;
    in.no_data = column >= 8;
    return in;
}

static void cell_of(const struct alert_state *s, const enum alert_event_type *events,
                    size_t n, char out[16])
{
    bool cools = s->cooldown_until.us > NOW;
    char phase = s->phase == ALERT_PENDING  ? (s->complete ? 'H' : 'P')
                 : s->phase == ALERT_FIRING ? (s->clear_onset.us ? 'L' : 'F')
                 : cools                    ? 'C'
                                            : 'i';
    int at = snprintf(out, 16, "%c%s%s", phase, s->unknown_since.us ? "?" : "",
                      n > 0 ? "+" : "");
    for (size_t i = 0; i < n; i++) {
        out[at++] = "OCRE"[events[i]];
    }
    out[at] = '\0';
}

START_TEST(test_every_state_and_event_and_answer)
{
    for (size_t row = 2; row < sizeof table / sizeof table[0]; row++) {
        char line[128], got[16];
        snprintf(line, sizeof line, "%s", table[row]);
        const char *name = strtok(line, " ");
        for (int column = 0; column < 11; column++) {
            const char *expected = strtok(NULL, " ");
            struct alert_state s = state_of(name);
            const struct alert_input in = input_of(column);
            enum alert_event_type events[ALERT_EVENTS_MAX];
            size_t n = alert_step(&s, &policy, &in, events);
            cell_of(&s, events, n, got);
            ck_assert_msg(expected && strcmp(got, expected) == 0,
                          "%s, column %d: expected %s, got %s", name, column + 1,
                          expected ? expected : "a cell", got);
        }
        ck_assert_ptr_null(strtok(NULL, " "));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *t = tcase_create("table");
    tcase_add_test(t, test_every_state_and_event_and_answer);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
