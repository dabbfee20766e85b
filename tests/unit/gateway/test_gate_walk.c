/* Long random walks through all that holds alerts back: a run that is stopped and started
 * at every step tells what the run without tells, byte by byte; and what is told is what
 * a model says that knows nothing of queues, causes and places (SPEC 5.6, 6.5, 6.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../history/server.h"
#include "../tap.h"
#include "gateway/orders.h"
#include "world.h"

#define STEPS 1200
#define DEVICES 8

static struct server server;

static void start_server(void)
{
    server_start(&server, NULL);
}
static void stop_server(void)
{
    server_stop(&server);
}

/* --- one walk, told twice --- */

#define RULES                                                                            \
    "rules:\n"                                                                           \
    "  - {id: hot, when: x > 5, severity: info, repeat: 7m, cooldown: 3m,\n"             \
    "     escalate: {after: 12m, severity: critical}}\n"                                 \
    "  - {id: mid, when: x > 3, for: 2m, clear: x < 2, keep_firing_for: 1m}\n"           \
    "  - {id: odd, when: 'max(x, 5m) > 7', repeat: 9m}\n"                                \
    "  - {id: power, when: x > 8, severity: critical}\n"

static const char *const files[] = {
    RULES "maintenance:\n"
          "  - {name: a, from: 00:20, until: 01:10, scope: {devices: [d1, d2, d3]}}\n"
          "  - {name: b, from: 01:00, until: 01:40, rules: [hot, odd]}\n"
          "inhibit: [{source: power, target: ['*'], equal: [site]}]\n",
    RULES "maintenance: [{name: c, from: 00:50, until: 02:30, scope: {sites: [s2]}}]\n"
          "inhibit: [{source: power, target: [mid], equal: [device]},\n"
          "  {source: mid, target: [hot], equal: [device]}]\n",
};
static const char *const budgets[] = {"storm: {alerts: 6, within: 90s}", ""};

static void silence_some(struct world *w, uint64_t r)
{
    static const char *const rules[] = {"hot", "m*", "", "power"};
    static const char *const devices[] = {"d1", "d?", "", "d[2", "d5"};
    char id[SILENCE_ID_BYTES];
    const char *why;
    const struct silence_order order = {
        .rule = text_of(rules[r % 4]),
        .device = text_of(devices[r / 4 % 5]),
        .until = {world_now(w).wall.us + (int64_t)(1 + r / 20 % 30) * MINUTE},
        .by = TEXT("ann"),
        .comment = TEXT("trying = this"),
    };
    ck_assert_int_eq(pipeline_silence(w->pipeline, &order, world_now(w), &why, id),
                     BRINK_OK);
}

static void first_id(void *ctx, const struct silence *x)
{
    if (((char *)ctx)[0] == '\0') {
        memcpy(ctx, x->id, SILENCE_ID_BYTES);
    }
}

static void expire_one(struct world *w)
{
    char id[SILENCE_ID_BYTES] = "";
    pipeline_each_silence(w->pipeline, first_id, id);
    if (id[0]) {
        ck_assert_int_eq(pipeline_expire_silence(w->pipeline, text_of(id), world_now(w)),
                         BRINK_OK);
    }
}

static void look_after(struct world *w, uint64_t r)
{
    static const char *const rules[] = {"hot", "mid", "odd", "power"};
    char device[8];
    const char *why;
    snprintf(device, sizeof device, "d%d", (int)(r / 8 % DEVICES));
    const struct acknowledge_order order = {.tenant = TEXT("acme"),
                                            .device = text_of(device),
                                            .rule = text_of(rules[r / 2 % 4]),
                                            .by = TEXT("bob")};
    enum brink_status status =
        r % 2 ? pipeline_acknowledge(w->pipeline, &order, world_now(w), &why)
              : pipeline_withdraw(w->pipeline, &order, world_now(w), &why);
    ck_assert(status == BRINK_OK || status == BRINK_E_RANGE);
}

static void act(struct world *w, uint64_t r)
{
    static const char *const sites[] = {"s1", "s1", "s1", "s2"};
    char device[8];
    int what = (int)(r % 100);
    r /= 100;
    if (what < 70) {
        snprintf(device, sizeof device, "d%d", (int)(r % DEVICES));
        /* A device seldom moves. */
        say(w, device, r / 8 % 40 == 0 ? sites[r / 320 % 4] : sites[r % 4],
            (double)(r / 1280 % 11));
    } else if (what < 90) {
        pass(w, (int64_t)(r % 240) * S / 2);
    } else if (what < 93) {
        silence_some(w, r);
    } else if (what < 95) {
        expire_one(w);
    } else if (what < 98) {
        look_after(w, r);
    } else {
        world_reload(w, budgets[r / 2 % 4 == 0], files[r % 2]);
    }
}

static char *walk(uint64_t seed, bool restarts, bool *ret_rich)
{
    struct world w;
    DO(&server, "FLUSHALL");
    world_begin_on(&w, server.socket, budgets[0], files[0]);
    for (int step = 0; step < STEPS; step++) {
        act(&w, next_random(&seed) >> 8);
        (void)withheld(&w);
        if (restarts) {
            world_restart(&w);
        }
        /* No two things at one moment; and after a start windows are read only once the
         * broker had the time to say what it has queued. */
        pass(&w, S);
    }
    char *events = text_dup(buffer_view(&w.events));
    *ret_rich = strstr(events, "@storm") && strstr(events, "ESCALATED") &&
                strstr(events, "REPEATED") && strstr(events, "CLOSED");
    world_end(&w);
    return events;
}

/* The first line in which they differ. */
static void expect_same(const char *one, const char *other)
{
    const char *a = one, *b = other;
    while (*a || *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        ck_assert_msg(n == m && memcmp(a, b, n) == 0, "\nwithout: %.*s\nwith:    %.*s",
                      (int)(n < 900 ? n : 900), a, (int)(m < 900 ? m : 900), b);
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
}

START_TEST(test_restarts_at_every_step_change_nothing_that_is_told)
{
    bool rich;
    char *without = walk((uint64_t)_i + 1, false, &rich);
    ck_assert(rich);
    char *with = walk((uint64_t)_i + 1, true, &rich);
    expect_same(without, with);
    free(without);
    free(with);
}
END_TEST

/* --- the model --- */

/* What stands in the file, said once more by hand. */
static const char *const model_rules[] = {"a", "b", "power"};
static const double model_limits[] = {3, 6, 8};
#define MODEL_FILE                                                                       \
    "rules: [{id: a, when: x > 3}, {id: b, when: x > 6}, {id: power, when: x > 8}]\n"    \
    "maintenance:\n"                                                                     \
    "  - {name: m1, from: 00:10, until: 00:40, scope: {devices: [d1, d2]}}\n"            \
    "  - {name: m2, from: 00:30, until: 01:20, rules: [b]}\n"                            \
    "  - {name: m3, from: 01:00, until: 01:10}\n"                                        \
    "inhibit: [{source: power, target: [a, b], equal: [site]}]\n"

struct model {
    double x[DEVICES];
    int site[DEVICES]; /* 0: not known */
    bool published[3][DEVICES];
    struct {
        int rule, device; /* -1: any */
        int64_t until_us;
    } silences[64];
    size_t n_silences;
    char lines[64][40]; /* what is to be told now */
    size_t n_lines;
};

static bool is_firing(const struct model *m, int rule, int device)
{
    return m->x[device] > model_limits[rule];
}

static bool between(int64_t at_us, int from_minute, int until_minute)
{
    return at_us >= from_minute * MINUTE && at_us < until_minute * MINUTE;
}

static bool is_muted(const struct model *m, int rule, int device, int64_t at_us)
{
    bool muted = (between(at_us, 10, 40) && (device == 1 || device == 2)) ||
                 (between(at_us, 30, 80) && rule == 1) || between(at_us, 60, 70);
    for (size_t k = 0; k < m->n_silences; k++) {
        muted = muted || (at_us < m->silences[k].until_us &&
                          (m->silences[k].rule < 0 || m->silences[k].rule == rule) &&
                          (m->silences[k].device < 0 || m->silences[k].device == device));
    }
    for (int d = 0; rule != 2 && d < DEVICES; d++) {
        muted = muted ||
                (is_firing(m, 2, d) && m->site[d] != 0 && m->site[d] == m->site[device]);
    }
    return muted;
}

static void tell(struct model *m, const char *event, int rule, int device)
{
    ck_assert_uint_lt(m->n_lines, 64);
    snprintf(m->lines[m->n_lines++], sizeof m->lines[0], "%s %s d%d", event,
             model_rules[rule], device);
}

static void look(struct model *m, int64_t at_us)
{
    for (int r = 0; r < 3; r++) {
        for (int d = 0; d < DEVICES; d++) {
            if (m->published[r][d] && !is_firing(m, r, d)) {
                m->published[r][d] = false;
                tell(m, "CLOSED", r, d);
            } else if (!m->published[r][d] && is_firing(m, r, d) &&
                       !is_muted(m, r, d, at_us)) {
                m->published[r][d] = true;
                tell(m, "OPEN", r, d);
            }
        }
    }
}

/* At every moment at which time alone may change something. */
static void let_pass(struct model *m, int64_t from_us, int64_t until_us)
{
    for (;;) {
        int64_t next = INT64_MAX;
        for (int minute = 10; minute <= 80; minute += 10) {
            int64_t at = minute * MINUTE;
            next = at > from_us && at < next ? at : next;
        }
        for (size_t k = 0; k < m->n_silences; k++) {
            int64_t at = m->silences[k].until_us;
            next = at > from_us && at < next ? at : next;
        }
        if (next > until_us) {
            return;
        }
        look(m, next);
        from_us = next;
    }
}

static int by_line(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void expect_told(struct world *w, struct model *m, int step)
{
    char got[64][40];
    size_t n = 0;
    char *lines = text_dup(text_of(told(w)));
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_uint_lt(n, 64);
        snprintf(got[n++], sizeof got[0], "%s", line);
    }
    free(lines);
    qsort(got, n, sizeof got[0], by_line);
    qsort(m->lines, m->n_lines, sizeof m->lines[0], by_line);
    for (size_t k = 0; k < n || k < m->n_lines; k++) {
        const char *is = k < n ? got[k] : "nothing",
                   *should = k < m->n_lines ? m->lines[k] : "nothing";
        expect(strcmp(is, should) == 0, "step %d at %lld s: told %s, should be %s", step,
               (long long)(w->at_us / S), is, should);
    }
    m->n_lines = 0;
}

static void act_both(struct world *w, struct model *m, uint64_t r)
{
    static const char *const sites[] = {NULL, "s1", "s2", "s3"};
    char device[8];
    int what = (int)(r % 100);
    r /= 100;
    if (what < 75) {
        int d = (int)(r % DEVICES), site = (int)(r / 8 % 4);
        snprintf(device, sizeof device, "d%d", d);
        m->x[d] = (double)(r / 32 % 10);
        m->site[d] = site ? site : m->site[d]; /* what is not said stays */
        say(w, device, sites[site], m->x[d]);
        look(m, w->at_us);
    } else if (what < 90) {
        int64_t us = (int64_t)(r % 180) * S;
        let_pass(m, w->at_us, w->at_us + us);
        pass(w, us);
    } else if (what < 97 && m->n_silences < 64) {
        char id[SILENCE_ID_BYTES];
        const char *why;
        int rule = (int)(r % 4) - 1, d = (int)(r / 4 % 9) - 1;
        snprintf(device, sizeof device, "d%d", d);
        const struct silence_order order = {
            .rule = text_of(rule < 0 ? "" : model_rules[rule]),
            .device = text_of(d < 0 ? "*" : device),
            .until = {world_now(w).wall.us + (int64_t)(1 + r / 36 % 20) * MINUTE / 2},
        };
        ck_assert_int_eq(pipeline_silence(w->pipeline, &order, world_now(w), &why, id),
                         BRINK_OK);
        m->silences[m->n_silences].rule = rule;
        m->silences[m->n_silences].device = d;
        m->silences[m->n_silences++].until_us = order.until.us - T0;
    } else {
        world_restart(w);
    }
    let_pass(m, w->at_us, w->at_us + S);
    pass(w, S);
}

START_TEST(test_what_is_told_is_what_the_model_says)
{
    struct world w;
    struct model m = {0};
    uint64_t seed = (uint64_t)_i + 100;
    size_t lines = 0;
    DO(&server, "FLUSHALL");
    world_begin_on(&w, server.socket, "", MODEL_FILE);
    for (int step = 0; step < 700; step++) {
        act_both(&w, &m, next_random(&seed) >> 8);
        lines += m.n_lines;
        expect_told(&w, &m, step);
    }
    ck_assert_uint_gt(lines, 150);
    world_end(&w);
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC0", 1);
    Suite *suite = suite_create("gate_walk");
    TCase *t = tcase_create("restarts");
    tcase_set_timeout(t, 240);
    tcase_add_unchecked_fixture(t, start_server, stop_server);
    tcase_add_loop_test(t, test_restarts_at_every_step_change_nothing_that_is_told, 0,
                        SEEDS(4));
    suite_add_tcase(suite, t);
    t = tcase_create("model");
    tcase_set_timeout(t, 240);
    tcase_add_unchecked_fixture(t, start_server, stop_server);
    tcase_add_loop_test(t, test_what_is_told_is_what_the_model_says, 0, SEEDS(20));
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
