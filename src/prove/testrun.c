#include "prove/testrun.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "decode/timestamp.h"
#include "model/alert.h"
#include "prove/compare.h"
#include "prove/feed.h"
#include "prove/offline.h"

/* A Thursday; late enough that its readings' times are believed (SPEC 3.3). */
#define START "2026-01-01T00:00:00Z"
#define TIMELINE_LINES 30 /* shown of what happened before a failure */

/* The last of what happened since the last time that was asked about. */
struct timeline {
    struct line {
        char *what;
        int64_t from_us, to_us;
        size_t times; /* the same, without anything else between */
    } lines[TIMELINE_LINES];
    size_t n; /* of all, also those forgotten */
};

struct run {
    const struct test_case *test;
    struct wall start;
    struct offline *offline;
    struct came_list came;
    struct timeline timeline;
    bool failed; /* out of memory */
};

static int64_t now_us(const struct run *r)
{
    return offline_now(r->offline).us - r->start.us;
}

/* --- what happened --- */

static void timeline_add(struct run *r, struct text what)
{
    struct timeline *t = &r->timeline;
    struct line *last = t->n > 0 ? &t->lines[(t->n - 1) % TIMELINE_LINES] : NULL;
    if (last && last->what && text_equal(text_of(last->what), what)) {
        last->to_us = now_us(r);
        last->times++;
        return;
    }
    struct line *line = &t->lines[t->n++ % TIMELINE_LINES];
    free(line->what);
    *line = (struct line){text_dup(what), now_us(r), now_us(r), 1};
    r->failed = r->failed || !line->what;
}

static void timeline_clear(struct timeline *t)
{
    for (size_t i = 0; i < TIMELINE_LINES; i++) {
        free(t->lines[i].what);
        t->lines[i].what = NULL;
    }
    t->n = 0;
}

static void timeline_print(const struct timeline *t, struct buffer *out)
{
    size_t first = t->n > TIMELINE_LINES ? t->n - TIMELINE_LINES : 0;
    buffer_cstring(out, "  what happened:\n");
    if (first > 0) {
        buffer_format(out, "    (%zu lines before)\n", first);
    }
    for (size_t i = first; i < t->n; i++) {
        const struct line *line = &t->lines[i % TIMELINE_LINES];
        char from[NUMBER_BYTES], to[NUMBER_BYTES];
        number_print_duration(line->from_us, from);
        number_print_duration(line->to_us, to);
        if (line->times == 1) {
            buffer_format(out, "    %8s  %s\n", from, line->what);
        } else {
            buffer_format(out, "    %8s  %s (%zu times until %s)\n", from, line->what,
                          line->times, to);
        }
    }
    if (t->n == 0) {
        buffer_cstring(out, "    nothing\n");
    }
}

/* --- the engine's sink --- */

static bool is_looked_at(const struct run *r, struct text rule)
{
    bool looked_at = r->test->only.n == 0;
    for (size_t i = 0; i < r->test->only.n; i++) {
        looked_at = looked_at || text_equal(text_of(r->test->only.items[i].s), rule);
    }
    return looked_at;
}

static void sink_event(void *ctx, const struct outgoing *event)
{
    struct run *r = ctx;
    const struct alert_facts *f = event->facts;
    struct buffer line = {0};
    if (!f || !r->offline || !is_looked_at(r, text_of(f->rule))) {
        return;
    }
    if (!came_add(&r->came, f, now_us(r))) {
        r->failed = true;
        return;
    }
    came_print(&r->came.items[r->came.n - 1], &line);
    timeline_add(r, buffer_view(&line));
    buffer_finish(&line);
}

static void sink_state(void *ctx, struct text rule, struct text tenant,
                       struct text device, struct text value)
{
    (void)ctx, (void)rule, (void)tenant, (void)device, (void)value;
}

static void sink_commit(void *ctx, struct mono now)
{
    (void)ctx, (void)now;
}

static void no_wake(void *ctx)
{
    (void)ctx;
}

/* --- what is expected --- */

struct states {
    const struct run *run;
    enum alert_phase phase;
    struct came_list list;
    bool failed;
};

static void visit_state(void *ctx, struct text rule, struct text tenant,
                        struct text device, const struct alert_state *alert,
                        struct wall now)
{
    struct states *s = ctx;
    (void)now;
    if (alert->phase == s->phase && is_looked_at(s->run, rule)) {
        s->failed = s->failed || !came_add_state(&s->list, rule, tenant, device);
    }
}

static enum brink_status check_states(struct run *r, const struct test_alerts *expected,
                                      enum alert_phase phase, const char *when,
                                      struct buffer *out)
{
    struct states s = {.run = r, .phase = phase};
    enum brink_status status = BRINK_OK;
    if (expected->given) {
        bool firing = phase == ALERT_FIRING;
        offline_each_alert(r->offline, visit_state, &s);
        came_sort(&s.list);
        status = s.failed ? BRINK_E_NOMEM
                          : compare_alerts(expected, &s.list, when,
                                           firing ? "does not fire:" : "is not pending:",
                                           firing ? "fires, and should not:"
                                                  : "is pending, and should not be:",
                                           out);
    }
    came_finish(&s.list);
    return status;
}

static enum brink_status check(struct run *r, const struct test_expect *e,
                               struct buffer *out)
{
    char at[NUMBER_BYTES], when[NUMBER_BYTES + 8];
    enum brink_status status = BRINK_OK;
    number_print_duration(e->at_us, at);
    snprintf(when, sizeof when, "by %s", at);
    if (e->alerts.given) {
        status = compare_alerts(&e->alerts, &r->came, when,
                                "expected, but did not come:", "came unexpected:", out);
    }
    snprintf(when, sizeof when, "at %s", at);
    if (status == BRINK_OK) {
        status = check_states(r, &e->firing, ALERT_FIRING, when, out);
    }
    if (status == BRINK_OK) {
        status = check_states(r, &e->pending, ALERT_PENDING, when, out);
    }
    came_clear(&r->came);
    return status;
}

/* --- a test --- */

static void play(struct run *r, struct feed *feed, int64_t until_us)
{
    int64_t due;
    while ((due = feed_due(feed)) <= until_us && !r->failed) {
        struct feed_message m;
        offline_until(r->offline, (struct wall){r->start.us + due});
        while (feed_next(feed, due, &m, &r->failed)) {
            timeline_add(r, m.shown);
            offline_add(r->offline, m.topic, m.payload, m.retained);
            offline_apply(r->offline);
        }
        offline_settle(r->offline);
    }
    offline_until(r->offline, (struct wall){r->start.us + until_us});
    offline_settle(r->offline);
}

static enum brink_status play_all(struct run *r, struct feed *feed,
                                  struct buffer *failure)
{
    for (size_t i = 0; i < r->test->n_expects; i++) {
        const struct test_expect *e = &r->test->expects[i];
        size_t before = failure->n;
        play(r, feed, e->at_us);
        enum brink_status status = r->failed ? BRINK_E_NOMEM : check(r, e, failure);
        if (status) {
            return status;
        }
        if (failure->n > before) {
            timeline_print(&r->timeline, failure);
        }
        timeline_clear(&r->timeline);
    }
    return BRINK_OK;
}

/* failure stays empty where all came as expected. */
static enum brink_status run_case(const struct test_file *f, const struct test_case *c,
                                  struct wall start, struct problems *problems,
                                  struct buffer *failure)
{
    struct run r = {.test = c, .start = start};
    const struct pipeline_sink sink = {
        .ctx = &r, .event = sink_event, .state = sink_state, .commit = sink_commit};
    struct ruleset *rules = NULL;
    struct history *history = NULL;
    struct feed *feed = NULL;
    enum brink_status status = ruleset_new(f->config, problems, &rules);
    if (status == BRINK_OK) {
        status = history_new(f->config, &clock_system, no_wake, NULL,
                             HISTORY_BATCH_UNKNOWN, &history);
    }
    if (status == BRINK_OK) {
        status = feed_new(c, start, &feed);
    }
    if (status == BRINK_OK) {
        status = offline_new(f->config, rules, history, &sink, start, &r.offline);
        rules = status == BRINK_OK ? NULL : rules;
    }
    if (status == BRINK_OK) {
        status = play_all(&r, feed, failure);
    }
    ruleset_free(rules);
    feed_free(feed);
    offline_free(r.offline);
    history_free(history);
    came_finish(&r.came);
    timeline_clear(&r.timeline);
    return status == BRINK_OK && !buffer_ok(failure) ? BRINK_E_NOMEM : status;
}

/* --- what only the rules can tell --- */

struct names {
    const char **items;
    size_t n;
    struct problems *problems;
    const struct ruleset *rules;
};

static void check_rule(const struct names *names, const struct placed *rule)
{
    if (!map_get(&names->rules->by_id, text_of(rule->s)) &&
        !map_get(&names->rules->disabled, text_of(rule->s))) {
        const char *near = text_nearest(text_of(rule->s), names->items, names->n);
        problem_add(names->problems, rule->at, "there is no rule `%s`%s%s%s", rule->s,
                    near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
}

static void check_rules(const struct names *names, const struct test_case *c)
{
    for (size_t i = 0; i < c->only.n; i++) {
        check_rule(names, &c->only.items[i]);
    }
    for (size_t i = 0; i < c->n_expects; i++) {
        const struct test_alerts *lists[] = {&c->expects[i].alerts, &c->expects[i].firing,
                                             &c->expects[i].pending};
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
            for (size_t a = 0; a < lists[k]->n; a++) {
                check_rule(names, &lists[k]->items[a].texts[TEST_RULE]);
            }
        }
    }
}

static void check_topics(const struct test_file *f, const struct test_case *c,
                         struct problems *problems)
{
    for (size_t i = 0; i < c->n_inputs; i++) {
        const struct placed *topic = &c->inputs[i].topic;
        struct topic_match match;
        bool fits = !topic->s;
        for (size_t k = 0; !fits && k < f->config->n_telemetry; k++) {
            fits = topic_pattern_match(&f->config->telemetry[k].pattern,
                                       text_of(topic->s), &match);
        }
        if (!fits) {
            problem_add(problems, topic->at,
                        "no entry of `telemetry` takes the topic `%s`", topic->s);
        }
    }
}

/* faulty: errors were told of it; a rule that is missing may be one of them. */
static enum brink_status check_file(const struct test_file *f, bool faulty,
                                    struct problems *problems, struct wall *ret_start)
{
    struct ruleset *rules = NULL;
    size_t errors = problems->errors;
    if (timestamp_parse(text_of(f->start.s ? f->start.s : START), ret_start)) {
        problem_add(problems, f->start.at,
                    "`start` must be a time such as 2026-01-01T06:00:00Z");
    }
    enum brink_status status = ruleset_new(f->config, problems, &rules);
    if (status) {
        return status;
    }
    struct names names = {calloc(rules->n_rules + 1, sizeof *names.items), 0, problems,
                          rules};
    for (size_t i = 0; names.items && i < rules->n_rules; i++) {
        names.items[names.n++] = rules->rules[i]->id;
    }
    for (size_t i = 0; names.items && i < f->n_cases; i++) {
        if (!faulty) {
            check_rules(&names, &f->cases[i]);
        }
        check_topics(f, &f->cases[i], problems);
    }
    status = names.items ? BRINK_OK : BRINK_E_NOMEM;
    free(names.items);
    ruleset_free(rules);
    return status == BRINK_OK && problems->errors > errors ? BRINK_E_SYNTAX : status;
}

/* --- a file --- */

static struct test_result *add_result(struct test_results *r, const struct test_file *f,
                                      size_t number, const char *path)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct test_result *items = realloc(r->items, cap * sizeof *items);
        if (!items) {
            return NULL;
        }
        r->items = items;
        r->cap = cap;
    }
    const struct test_case *c = &f->cases[number];
    struct test_result *result = &r->items[r->n];
    char unnamed[32];
    snprintf(unnamed, sizeof unnamed, "test %zu", number + 1);
    *result =
        (struct test_result){.file = text_dup(text_of(path)),
                             .name = text_dup(text_of(c->name.s ? c->name.s : unnamed)),
                             .line = c->at.line,
                             .column = c->at.column};
    r->n++;
    return result->file && result->name ? result : NULL;
}

static enum brink_status run_all(const struct test_file *f, const char *path,
                                 struct wall start, struct problems *problems,
                                 struct test_results *results)
{
    for (size_t i = 0; i < f->n_cases; i++) {
        struct test_result *result = add_result(results, f, i, path);
        struct buffer failure = {0};
        if (!result) {
            return BRINK_E_NOMEM;
        }
        struct mono from = clock_system.mono(clock_system.ctx);
        enum brink_status status = run_case(f, &f->cases[i], start, problems, &failure);
        struct mono to = clock_system.mono(clock_system.ctx);
        result->seconds = (double)(to.us - from.us) / (double)US_PER_S;
        if (status == BRINK_OK && failure.n > 0) {
            result->failure = text_dup(buffer_view(&failure));
            status = result->failure ? BRINK_OK : BRINK_E_NOMEM;
            results->failed++;
        }
        buffer_finish(&failure);
        if (status) {
            return status;
        }
    }
    return BRINK_OK;
}

enum brink_status testrun_file(const char *path, struct problems *problems,
                               struct test_results *results)
{
    struct test_file *f = NULL;
    struct wall start = {0};
    enum brink_status status = test_file_load_faulty(path, problems, &f);
    if (f) {
        enum brink_status checked = check_file(f, status != BRINK_OK, problems, &start);
        status = status == BRINK_OK ? checked : status;
    }
    if (status == BRINK_OK) {
        status = run_all(f, path, start, problems, results);
    }
    test_file_free(f);
    return status;
}

void test_results_finish(struct test_results *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].file);
        free(r->items[i].name);
        free(r->items[i].failure);
    }
    free(r->items);
    *r = (struct test_results){0};
}
