/* The engine on a virtual clock, with windows in memory: one and the same outcome however
 * its input is cut into batches (SPEC 4.5), and what time alone decides. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "base/counters.h"
#include "gateway/pipeline.h"

#define T0 INT64_C(1767225600000000)
#define DAY                                                                              \
    (86400 * US_PER_S) /* the gateway's clock is ahead of all stamps in the tests */

static const char *const config_text =
    "gateway: {id: gw, state_dir: /tmp}\n"
    "telemetry:\n"
    "  - {topic: 't/{tenant}/d/{device}', timestamp: /ts, site: /site, seq: /seq}\n"
    "  - {topic: 't/{tenant}/d/{device}/beat', format: heartbeat}\n"
    "store: {address: memory}\n"
    "alerts: {topic: 'a/{tenant}/{device}/{rule}'}\n"
    "rules: [rules.yaml]\n";

struct world {
    char folder[64];
    struct config *config;
    struct history *history;
    struct pipeline *pipeline;
    struct buffer events; /* one line each */
    char retained[8][96]; /* topics on which a broker would hold something now */
    size_t commits;
    int64_t at_us;      /* the virtual clock */
    int64_t stepped_us; /* how far its wall clock was set since */
};

static struct instant now(const struct world *w)
{
    return (struct instant){{w->at_us + 1}, {T0 + DAY + w->at_us + w->stepped_us}};
}

static void retain(struct world *w, struct text topic, bool something)
{
    size_t free_at = 0, n = sizeof w->retained / sizeof w->retained[0];
    for (size_t i = n; i-- > 0;) {
        if (text_equal(text_of(w->retained[i]), topic)) {
            w->retained[i][0] = '\0';
        }
        free_at = w->retained[i][0] == '\0' ? i : free_at;
    }
    if (something) {
        snprintf(w->retained[free_at], sizeof w->retained[0], "%.*s", (int)topic.n,
                 topic.p);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Topics with something retained, in order, separated by blanks. */
static const char *retained(struct world *w)
{
    static char out[1024];
    size_t n = 0, slots = sizeof w->retained / sizeof w->retained[0];
    out[0] = '\0';
    qsort(w->retained, slots, sizeof w->retained[0], by_text);
    for (size_t i = 0; i < slots; i++) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n > 0 ? " " : "",
                              w->retained[i]);
    }
    return out;
}

static void on_event(void *ctx, const struct outgoing *e)
{
    struct world *w = ctx;
    if (e->retain) {
        retain(w, e->topic, e->payload.n > 0);
    }
    if (e->payload.n == 0) {
        return;
    }
    buffer_text(&w->events, e->topic);
    buffer_char(&w->events, ' ');
    buffer_text(&w->events, e->payload);
    buffer_char(&w->events, '\n');
}
static void on_state(void *ctx, struct text rule, struct text tenant, struct text device,
                     struct text value)
{
    (void)ctx;
    (void)rule;
    (void)tenant;
    (void)device;
    (void)value;
}
static void on_commit(void *ctx, struct mono at)
{
    (void)at;
    ((struct world *)ctx)->commits++;
}
static void on_wake(void *ctx)
{
    (void)ctx;
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void load_as(struct world *w, const char *config_yaml, const char *rules,
                    struct config **config, struct ruleset **set)
{
    char path[128];
    struct problems problems = {0};
    write_file(w, "brink.yaml", config_yaml);
    write_file(w, "rules.yaml", rules);
    snprintf(path, sizeof path, "%s/brink.yaml", w->folder);
    enum brink_status status = ruleset_load(path, &problems, config, set);
    problems_print(&problems, stderr);
    problems_finish(&problems);
    ck_assert_int_eq(status, BRINK_OK);
}

static void begin(struct world *w, const char *rules)
{
    struct ruleset *set;
    struct mono wake;
    *w = (struct world){.folder = "/tmp/brink-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(w->folder));
    load_as(w, config_text, rules, &w->config, &set);
    const struct pipeline_sink sink = {
        .ctx = w, .event = on_event, .state = on_state, .commit = on_commit};
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    ck_assert_int_eq(history_new(w->config, &clock_system, on_wake, NULL,
                                 HISTORY_BATCH_UNKNOWN, &w->history),
                     BRINK_OK);
    ck_assert_int_eq(
        pipeline_new(w->config, set, w->history, &sink, now(w), &w->pipeline), BRINK_OK);
    pipeline_subscribed(w->pipeline, true, now(w).mono);
    pipeline_step(w->pipeline, now(w), &wake);
}

static void reload_as(struct world *w, const char *config_yaml, const char *rules)
{
    struct config *config;
    struct ruleset *set;
    load_as(w, config_yaml, rules, &config, &set);
    ck_assert_int_eq(pipeline_reload(w->pipeline, config, set, now(w)), BRINK_OK);
    config_free(w->config);
    w->config = config;
}

static void reload(struct world *w, const char *rules)
{
    reload_as(w, config_text, rules);
}

static void end(struct world *w)
{
    char path[128];
    pipeline_free(w->pipeline);
    history_free(w->history);
    config_free(w->config);
    buffer_finish(&w->events);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, i ? "brink.yaml" : "rules.yaml");
        unlink(path);
    }
    rmdir(w->folder);
}

static void add(struct world *w, const char *topic, const char *payload)
{
    const struct raw_message raw = {.topic = text_of(topic),
                                    .payload = text_of(payload),
                                    .arrived = now(w).mono,
                                    .arrived_wall = now(w).wall};
    pipeline_add(w->pipeline, &raw);
}

static void say(struct world *w, const char *topic, const char *payload)
{
    add(w, topic, payload);
    pipeline_apply(w->pipeline, now(w));
}

/* Lets time pass, with a step wherever the pipeline asks for one. */
static void pass(struct world *w, int64_t us)
{
    int64_t until = w->at_us + us;
    struct mono wake;
    do {
        pipeline_step(w->pipeline, now(w), &wake);
        int64_t next = wake.us - 1 > w->at_us ? wake.us - 1 : w->at_us + 1;
        w->at_us = next < until ? next : until;
    } while (w->at_us < until);
    pipeline_step(w->pipeline, now(w), &wake);
}

/* "OPEN rule device" a line, of all events so far; then forgets them. */
static const char *events(struct world *w)
{
    static char out[8192];
    size_t n = 0;
    out[0] = '\0';
    char *text = (char *)(uintptr_t)buffer_cstr(&w->events);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char device[64], rule[64];
        const char *type = strstr(line, "\"event_type\":\"");
        ck_assert_int_eq(sscanf(line, "a/%*[^/]/%63[^/]/%63[^ ]", device, rule), 2);
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s %s %s\n",
                              (int)strcspn(type + 14, "\""), type + 14, rule, device);
    }
    buffer_clear(&w->events);
    return out;
}

static const char *const many_rules =
    "rules:\n"
    "  - {id: a, when: x > 8}\n"
    "  - {id: b, when: 'avg(x, 20s) > 5', clear: 'avg(x, 20s) < 4'}\n"
    "  - {id: c, when: 'max(y, #3) > 8'}\n"
    "  - {id: d, when: 'x > 3 and y > 3', for: 5s}\n"
    "  - {id: e, when: 'held(x > 2, 4s) or min(y, 10s, #4) < 1', keep_firing_for: 3s}\n"
    "  - {id: f, when: 'count(x, 10s) < 2', cooldown: 30s}\n"
    "  - {id: g, when: 'abs(zscore(x, 60s)) > 2'}\n";

struct line {
    char topic[32], payload[160];
};

static void make_lines(struct line *lines, size_t n, uint64_t seed)
{
    int64_t at[5] = {0};
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(next_random(&seed) % 5);
        at[d] += (int64_t)(next_random(&seed) % 3000);
        if (next_random(&seed) % 50 == 0) {
            at[d] += 40000; /* a gap: windows empty by time */
        }
        int64_t ms = at[d];
        if (next_random(&seed) % 8 == 0) { /* late, or once more */
            ms -= (int64_t)(next_random(&seed) % 25000);
        }
        snprintf(lines[i].topic, sizeof lines[i].topic, "t/acme/d/d%u", d);
        snprintf(lines[i].payload, sizeof lines[i].payload,
                 "{\"ts\":%lld,\"metrics\":{\"x\":%u,\"y\":%u}}",
                 (long long)(T0 / 1000 + ms), (unsigned)(next_random(&seed) % 12),
                 (unsigned)(next_random(&seed) % 12));
        if (i > 0 && next_random(&seed) % 20 == 0) {
            lines[i] = lines[i - 1];
        }
    }
}

START_TEST(test_batching_never_changes_an_outcome)
{
    enum { LINES = 3000 };
    static struct line lines[LINES];
    char *one_by_one = NULL;
    make_lines(lines, LINES, (uint64_t)_i + 1);
    for (int run = 0; run < 4; run++) {
        struct world w;
        uint64_t seed = (uint64_t)run * 77 + 5;
        begin(&w, many_rules);
        for (size_t i = 0; i < LINES; i++) {
            add(&w, lines[i].topic, lines[i].payload);
            /* One by one; then cut at random; then in batches of 512. */
            if (run == 0 || (run < 3 ? next_random(&seed) % (run == 1 ? 4 : 60) == 0
                                     : i % 512 == 511)) {
                pipeline_apply(w.pipeline, now(&w));
            }
        }
        pipeline_apply(w.pipeline, now(&w));
        if (run == 0) {
            one_by_one = text_dup(buffer_view(&w.events));
            ck_assert_uint_gt(strlen(one_by_one), 10000);
        } else {
            ck_assert_str_eq(buffer_cstr(&w.events), one_by_one);
        }
        end(&w);
    }
    free(one_by_one);
}
END_TEST

static const char *const timed_rules =
    "rules:\n"
    "  - {id: a, when: 'silent(5s)'}\n"
    "  - {id: b, when: 'absent(x, 9s)', for: 2s}\n"
    "  - {id: c, when: 'count(y, 4s) < 1', cooldown: 20s}\n"
    "  - {id: d, when: 'x > 8', repeat: 3s, escalate: {after: 5s}}\n"
    "  - {id: e, when: 'x > 3', on_no_data: resolve, no_data_after: 6s}\n";

/* Here the clock goes on while messages wait to be applied, and nothing held them up:
 * what becomes due in between comes at its time, before the messages behind it. */
START_TEST(test_waiting_in_a_batch_never_changes_an_outcome)
{
    enum { LINES = 2000 };
    static struct line lines[LINES];
    char *one_by_one = NULL;
    make_lines(lines, LINES, (uint64_t)_i + 100);
    for (int run = 0; run < 3; run++) {
        struct world w;
        uint64_t gaps = (uint64_t)_i, seed = 3;
        begin(&w, timed_rules);
        pipeline_set_exact(w.pipeline);
        pass(&w, 10 * US_PER_S);
        for (size_t i = 0; i < LINES; i++) {
            w.at_us += (int64_t)(next_random(&gaps) % (2 * US_PER_S));
            if (run == 0) { /* in time */
                pass(&w, 0);
            }
            add(&w, lines[i].topic, lines[i].payload);
            if (run == 0 || (run == 1 ? next_random(&seed) % 40 == 0 : i % 512 == 511)) {
                pipeline_apply(w.pipeline, now(&w));
            }
        }
        pipeline_apply(w.pipeline, now(&w));
        pass(&w, 60 * US_PER_S);
        if (run == 0) {
            one_by_one = text_dup(buffer_view(&w.events));
            ck_assert_uint_gt(strlen(one_by_one), 10000);
        } else {
            ck_assert_str_eq(buffer_cstr(&w.events), one_by_one);
        }
        end(&w);
    }
    free(one_by_one);
}
END_TEST

/* Live, a batch may be applied late, and its messages may have waited before they were
 * taken in: that is no silence, and no empty window by the device's own time. */
START_TEST(test_what_is_at_hand_is_taken_before_anything_is_due)
{
    struct world w;
    begin(&w, "rules: [{id: s, when: silent(5s)}, {id: c, when: 'count(x, 4s) < 1'}]");
    pass(&w, 10 * US_PER_S);
    add(&w, "t/acme/d/d1", "{\"ts\":1767225600,\"metrics\":{\"x\":1}}");
    w.at_us += 8 * US_PER_S;
    add(&w, "t/acme/d/d1", "{\"ts\":1767225603,\"metrics\":{\"x\":1}}");
    pipeline_apply(w.pipeline, now(&w));
    pass(&w, 3 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 3 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN c d1\nOPEN s d1\n");
    end(&w);
}
END_TEST

START_TEST(test_a_window_that_emptied_while_its_batch_waited_is_seen)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: 'count(x, 4s) < 1'}]");
    add(&w, "t/acme/d/d1", "{\"ts\":1767225600,\"metrics\":{\"x\":1}}");
    w.at_us += 8 * US_PER_S;
    pipeline_apply(w.pipeline, now(&w));
    pass(&w, 0);
    ck_assert_str_eq(events(&w), "OPEN c d1\n");
    end(&w);
}
END_TEST

START_TEST(test_silence_raises_and_a_sign_of_life_resolves)
{
    struct world w;
    begin(&w, "rules: [{id: s, rule_type: HEARTBEAT, timeout_seconds: 60}]");
    say(&w, "t/acme/d/d1/beat", "");
    pass(&w, 59 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 2 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN s d1\n");
    say(&w, "t/acme/d/d1/beat", "");
    ck_assert_str_eq(events(&w), "CLOSED s d1\n");
    end(&w);
}
END_TEST

/* A rule that names no metric has data as long as the device says anything. */
START_TEST(test_silence_is_no_lack_of_data_at_first)
{
    struct world w;
    begin(&w, "rules: [{id: s, when: silent(10s), on_no_data: resolve, "
              "no_data_after: 60s}]");
    for (int i = 0; i < 20; i++) {
        pass(&w, 9 * US_PER_S);
        say(&w, "t/acme/d/d1/beat", "");
    }
    pass(&w, 11 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN s d1\n");
    pass(&w, 48 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 2 * US_PER_S);
    ck_assert_str_eq(events(&w), "CLOSED s d1\n");
    end(&w);
}
END_TEST

START_TEST(test_time_without_a_subscription_is_no_silence)
{
    struct world w;
    begin(&w, "rules: [{id: s, rule_type: HEARTBEAT, timeout_seconds: 60}]");
    say(&w, "t/acme/d/d1/beat", "");
    pass(&w, 50 * US_PER_S);
    pipeline_subscribed(w.pipeline, false, now(&w).mono);
    pass(&w, 3600 * US_PER_S);
    pipeline_subscribed(w.pipeline, true, now(&w).mono);
    pass(&w, 9 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 2 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN s d1\n");
    end(&w);
}
END_TEST

START_TEST(test_gap_of_one_metric_is_told_while_others_come)
{
    struct world w;
    begin(&w,
          "rules: [{id: g, rule_type: TELEMETRY_GAP, metric_name: x, gap_minutes: 1}]");
    say(&w, "t/acme/d/d2",
        "{\"metrics\":{\"y\":1}}"); /* never had x: nothing is missing */
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    for (int i = 0; i < 7; i++) {
        pass(&w, 10 * US_PER_S);
        say(&w, "t/acme/d/d1", "{\"metrics\":{\"y\":1}}");
    }
    ck_assert_str_eq(events(&w), "OPEN g d1\n");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    ck_assert_str_eq(events(&w), "CLOSED g d1\n");
    end(&w);
}
END_TEST

/* A metric was heard although its value is old: the gap is over, told at once and not
 * with the next reading in order. The same reading once more says nothing. */
START_TEST(test_late_reading_ends_a_gap_and_a_redelivery_does_not)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: g, rule_type: TELEMETRY_GAP, metric_name: x, gap_minutes: 1}\n"
              "  - {id: n, when: x > 5, on_no_data: resolve, no_data_after: 60300ms}\n"
              "  - {id: w, when: 'absent(x, 60600ms) and count(x, 1h) > 0'}\n");
    const char *newest = "{\"ts\":1767225600,\"metrics\":{\"x\":9}}";
    const char *late = "{\"ts\":1767225590,\"metrics\":{\"x\":9}}";
    say(&w, "t/acme/d/d1", newest);
    pass(&w, 61 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN n d1\nOPEN g d1\nCLOSED n d1\nOPEN w d1\n");
    say(&w, "t/acme/d/d1", newest);
    ck_assert_str_eq(events(&w), "");
    say(&w, "t/acme/d/d1", late);
    ck_assert_str_eq(events(&w), "CLOSED g d1\nOPEN n d1\nCLOSED w d1\n");
    pass(&w, 30 * US_PER_S);
    say(&w, "t/acme/d/d1", late); /* the window holds it: a redelivery, too */
    pass(&w, 29 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 2 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN g d1\nCLOSED n d1\nOPEN w d1\n");
    end(&w);
}
END_TEST

/* Two values of one time are two readings; the first once more is none. */
START_TEST(test_redelivery_does_not_bring_an_older_value_back)
{
    struct world w;
    begin(&w, "rules: [{id: a, when: 'x > 5 and count(x, 60s) > 0 and y > 0'}]");
    say(&w, "t/acme/d/d1", "{\"ts\":1767225600,\"metrics\":{\"x\":9,\"y\":1}}");
    say(&w, "t/acme/d/d1", "{\"ts\":1767225600,\"metrics\":{\"x\":1}}");
    ck_assert_str_eq(events(&w), "OPEN a d1\nCLOSED a d1\n");
    say(&w, "t/acme/d/d1", "{\"ts\":1767225600,\"metrics\":{\"x\":9}}");
    say(&w, "t/acme/d/d1", "{\"ts\":1767225601,\"metrics\":{\"y\":9}}");
    ck_assert_str_eq(events(&w), "");
    end(&w);
}
END_TEST

START_TEST(test_emptied_window_is_seen_without_a_reading)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: 'count(x, 30s) < 1'}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    pass(&w, 29 * US_PER_S);
    ck_assert_str_eq(events(&w), "");
    pass(&w, 2 * US_PER_S);
    ck_assert_str_eq(events(&w), "OPEN c d1\n");
    end(&w);
}
END_TEST

START_TEST(test_repeats_and_escalates_behind_a_passed_deadline)
{
    struct world w;
    begin(&w, "rules: [{id: r, when: x > 5, keep_firing_for: 10s, repeat: 60s, "
              "escalate: {after: 90s, severity: critical}}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":9}}");
    pass(&w, 5 * US_PER_S);
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    pass(&w, 100 * US_PER_S); /* no further reading: nothing completes the 10 s */
    ck_assert_str_eq(events(&w), "OPEN r d1\nREPEATED r d1\nESCALATED r d1\n");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    ck_assert_str_eq(events(&w), "CLOSED r d1\n");
    end(&w);
}
END_TEST

START_TEST(test_redelivery_by_sequence_changes_nothing)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: 'sum(x, 30s) > 5'}]");
    say(&w, "t/acme/d/d1", "{\"seq\":7,\"metrics\":{\"x\":3}}");
    pass(&w, US_PER_S);
    say(&w, "t/acme/d/d1", "{\"seq\":7,\"metrics\":{\"x\":3}}");
    ck_assert_str_eq(events(&w), "");
    say(&w, "t/acme/d/d1", "{\"seq\":8,\"metrics\":{\"x\":3}}");
    ck_assert_str_eq(events(&w), "OPEN c d1\n");
    end(&w);
}
END_TEST

/* Sequence numbers belong to an entry, wherever it stands in the file. */
START_TEST(test_sequence_memory_follows_its_entry_over_a_reload)
{
    static const char *const swapped =
        "gateway: {id: gw, state_dir: /tmp}\n"
        "telemetry:\n"
        "  - {topic: 'other/{device}', seq: /seq}\n"
        "  - {topic: 't/{tenant}/d/{device}/beat', format: heartbeat}\n"
        "  - {topic: 't/{tenant}/d/{device}', timestamp: /ts, seq: /seq}\n"
        "store: {address: memory}\n"
        "alerts: {topic: 'a/{tenant}/{device}/{rule}'}\n"
        "rules: [rules.yaml]\n";
    static const char *const rules = "rules: [{id: c, when: 'sum(x, 30s) > 5'}]";
    struct world w;
    begin(&w, rules);
    say(&w, "t/acme/d/d1", "{\"seq\":7,\"metrics\":{\"x\":3}}");
    reload_as(&w, swapped, rules);
    pass(&w, US_PER_S);
    say(&w, "t/acme/d/d1", "{\"seq\":7,\"metrics\":{\"x\":3}}");
    ck_assert_str_eq(events(&w), "");
    /* The number that stood for the old entry is another one's now. */
    say(&w, "other/d1", "{\"seq\":7,\"metrics\":{\"x\":9}}");
    ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.events), "a/default/d1/c "));
    end(&w);
}
END_TEST

/* An active alert is retained on one topic, and that one is cleared, whatever its next
 * events and the configuration then make of the topic (SPEC 6.4). */
START_TEST(test_clears_the_very_topic_that_was_retained)
{
    static const char *const format =
        "gateway: {id: gw, state_dir: /tmp}\n"
        "telemetry: [{topic: 't/{tenant}/d/{device}', site: /site}]\n"
        "store: {address: memory}\n"
        "alerts: {topic: '%s', retain: %s}\n"
        "rules: [rules.yaml]\n";
    static const char *const rules =
        "rules: [{id: r, when: x > 5, repeat: 60s, escalate: {after: 90s, severity: "
        "critical}}, {id: s, when: x > 5, scope: {sites: [s1]}}]";
    static const char *const topic = "a/{severity}/{event_type}/{tenant}/{device}/{rule}";
    char yaml[512];
    struct world w;
    begin(&w, rules);
    snprintf(yaml, sizeof yaml, format, topic, "true");
    reload_as(&w, yaml, rules);
    say(&w, "t/acme/d/d1", "{\"site\":\"s1\",\"metrics\":{\"x\":9}}");
    ck_assert_str_eq(retained(&w), "a/warning/OPEN/acme/d1/r a/warning/OPEN/acme/d1/s");
    pass(&w, 61 * US_PER_S);
    ck_assert_str_eq(retained(&w),
                     "a/warning/OPEN/acme/d1/s a/warning/REPEATED/acme/d1/r");
    pass(&w, 30 * US_PER_S);
    ck_assert_str_eq(retained(&w),
                     "a/critical/ESCALATED/acme/d1/r a/warning/OPEN/acme/d1/s");
    snprintf(yaml, sizeof yaml, format, "b/{tenant}/{device}/{rule}", "true");
    reload_as(&w, yaml, rules);
    say(&w, "t/acme/d/d1", "{\"site\":\"s2\",\"metrics\":{\"x\":9}}");
    ck_assert_str_eq(retained(&w), "a/critical/ESCALATED/acme/d1/r"); /* s is gone */
    snprintf(yaml, sizeof yaml, format, topic, "false");
    reload_as(&w, yaml, "rules: [{id: r, when: x > 6}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":1}}");
    ck_assert_str_eq(retained(&w), "");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":9}}");
    ck_assert_str_eq(retained(&w), "");
    end(&w);
}
END_TEST

/* What every event says but for its times, which are the clock's: one line each. */
static char *kinds(const struct world *w)
{
    static const char *const members[] = {"\"alert_type\"", "\"rule_id\"",
                                          "\"device_id\"",  "\"trigger_count\"",
                                          "\"value\"",      "\"event_type\""};
    struct buffer out = {0};
    char *text = text_dup(buffer_view(&w->events));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
            const char *at = strstr(line, members[i]);
            buffer_put(&out, at, strcspn(at, ",}"));
            buffer_char(&out, ' ');
        }
        buffer_char(&out, '\n');
    }
    free(text);
    char *kinds = text_dup(buffer_view(&out));
    buffer_finish(&out);
    return kinds;
}

static const char *const clock_rules =
    "rules:\n"
    "  - {id: a, when: x > 8, for: 5s, keep_firing_for: 7s, repeat: 20s}\n"
    "  - {id: b, when: 'avg(x, 20s) > 5', cooldown: 60s, escalate: {after: 40s}}\n"
    "  - {id: c, when: 'max(x, #3) > 8 and slope(x, 60s) > 0'}\n"
    "  - {id: d, when: 'held(x > 4, 4s) or min(x, 10s, #4) < 1'}\n"
    "  - {id: e, when: 'count(x, 10s) < 2'}\n"
    "  - {id: f, when: 'silent(15s) or absent(x, 20s)', for: 5s}\n"
    "  - {id: g, when: x > 5, on_no_data: resolve, no_data_after: 30s}\n";

/* The wall clock is set ten years ahead or back, once or there and back: no alert is
 * another, neither of devices that are timed by arrival nor of those that say the time
 * themselves (and are not believed while the gateway's clock is behind theirs). */
START_TEST(test_wall_clock_stepped_by_ten_years_changes_no_alert)
{
    enum { LINES = 1500 };
    const int64_t years = 3652 * DAY;
    const int64_t steps[][2] = {
        {0, 0}, {years, years}, {-years, -years}, {years, 0}, {-years, 0}};
    char *expected = NULL, topic[32], payload[128];
    for (size_t run = 0; run < sizeof steps / sizeof steps[0]; run++) {
        struct world w;
        uint64_t seed = (uint64_t)_i + 7;
        begin(&w, clock_rules);
        for (int i = 0; i < LINES; i++) {
            uint64_t gap = next_random(&seed) % 40 == 0 ? 40000 : 2000;
            pass(&w, (int64_t)(next_random(&seed) % gap) * US_PER_MS);
            w.stepped_us = steps[run][0] * (i >= LINES / 3);
            w.stepped_us = i >= 2 * LINES / 3 ? steps[run][1] : w.stepped_us;
            unsigned d = (unsigned)(next_random(&seed) % 4);
            snprintf(topic, sizeof topic, "t/acme/d/d%u%s", d,
                     next_random(&seed) % 15 == 0 ? "/beat" : "");
            int n = snprintf(payload, sizeof payload, "{\"metrics\":{\"x\":%u}",
                             (unsigned)(next_random(&seed) % 12));
            snprintf(payload + n, sizeof payload - (size_t)n,
                     d < 2 ? "}" : ",\"ts\":%lld}",
                     (long long)(T0 + DAY + w.at_us) / US_PER_MS);
            say(&w, topic, payload);
        }
        pass(&w, 100 * US_PER_S);
        char *got = kinds(&w);
        if (run == 0) {
            expected = got;
            ck_assert_uint_gt(strlen(expected), 50000);
        } else {
            size_t same = 0;
            while (got[same] && got[same] == expected[same]) {
                same++;
            }
            ck_assert_msg(strcmp(got, expected) == 0, "steps %zu: from byte %zu: %.200s",
                          run, same, got + same);
            free(got);
        }
        end(&w);
    }
    free(expected);
}
END_TEST

/* A member of each event's payload, as it stands there, each on a line. */
static char *members(const struct world *w, const char *name)
{
    struct buffer out = {0};
    char key[64], *text = text_dup(buffer_view(&w->events));
    snprintf(key, sizeof key, "\"%s\":", name);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const char *at = strstr(line, key) + strlen(key);
        buffer_put(&out, at, strcspn(at, ",}"));
        buffer_char(&out, '\n');
    }
    free(text);
    char *found = text_dup(buffer_view(&out));
    buffer_finish(&out);
    return found;
}

/* Its names hold what is so when it is told, of the device and of this gateway. */
START_TEST(test_message_says_what_the_rule_knows)
{
    struct world w;
    begin(&w, "rules: [{id: r, when: x > 5 or y > 5, repeat: 1m, labels: {l: a}, "
              "message: '{gateway} {labels.l} {metrics.x:.1f} {metrics.y:.1f} {site}'}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":9}}");
    say(&w, "t/acme/d/d1", "{\"site\":\"s\",\"metrics\":{\"y\":7.25}}");
    pass(&w, 61 * US_PER_S);
    char *messages = members(&w, "message");
    ck_assert_str_eq(messages, "\"gw a 9.0 unknown unknown\"\n\"gw a 9.0 7.2 s\"\n");
    free(messages);
    end(&w);
}
END_TEST

/* The device's clock falls back a day: its windows start anew there, its alert goes on
 * and remains the one that it was (SPEC 4.4, 6.2). */
START_TEST(test_alert_keeps_its_id_when_the_devices_clock_is_set_back)
{
    struct world w;
    char payload[96];
    begin(&w, "rules: [{id: r, when: x > 5, repeat: 10m}]");
    for (int i = 0; i < 20; i++) {
        snprintf(payload, sizeof payload, "{\"ts\":%lld,\"metrics\":{\"x\":%d}}",
                 (long long)(T0 + w.at_us) / US_PER_S - (i > 5 ? 86400 : 0),
                 i < 19 ? 9 : 1);
        say(&w, "t/acme/d/d1", payload);
        pass(&w, 60 * US_PER_S);
    }
    char *ids = members(&w, "alert_id");
    ck_assert_str_eq(events(&w), "OPEN r d1\nREPEATED r d1\nCLOSED r d1\n");
    const char *first = strtok(ids, "\n"), *id;
    while ((id = strtok(NULL, "\n"))) {
        ck_assert_str_eq(id, first);
    }
    free(ids);
    end(&w);
}
END_TEST

/* Whether a reading is older than those before it is the same question whether they were
 * applied or came along in its batch: the device leaps ahead and at once back for good,
 * and from its third reading back on, five minutes later, that is its clock. */
START_TEST(test_a_clock_set_back_is_seen_the_same_in_batches)
{
    static const int ahead[] = {0, 600, 0, 0, 0, 0}, x[] = {1, 1, 1, 1, 9, 1};
    for (int batched = 0; batched < 2; batched++) {
        struct world w;
        char payloads[6][64];
        begin(&w, "rules: [{id: r, when: 'x > 3 and count(x, 1m) < 9'}]");
        for (int k = 0; k < 6; k++) {
            snprintf(payloads[k], sizeof payloads[k],
                     "{\"ts\":%lld,\"metrics\":{\"x\":%d}}",
                     (long long)(T0 + w.at_us) / US_PER_S + ahead[k], x[k]);
            add(&w, "t/acme/d/d1", payloads[k]);
            if (k != 1 || !batched) {
                pipeline_apply(w.pipeline, now(&w));
            }
            if (k > 1) {
                pass(&w, 150 * US_PER_S);
            }
        }
        ck_assert_str_eq(events(&w), "OPEN r d1\nCLOSED r d1\n");
        end(&w);
    }
}
END_TEST

START_TEST(test_a_corrected_clock_forgets_no_device)
{
    struct world w;
    begin(&w, "rules: [{id: r, when: x > 5}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":9}}");
    ck_assert_str_eq(events(&w), "OPEN r d1\n");
    w.stepped_us = 3652 * DAY;
    pass(&w, 29 * DAY);
    ck_assert_str_eq(events(&w), "");
    w.stepped_us = -3652 * DAY;
    pass(&w, 2 * DAY);
    ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.events), "\"device_forgotten\""));
    ck_assert_str_eq(events(&w), "CLOSED r d1\n");
    end(&w);
}
END_TEST

START_TEST(test_array_is_many_messages_in_order)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: x > 5}]");
    say(&w, "t/acme/d/d1",
        "[{\"ts\":1767225600,\"metrics\":{\"x\":9}},{\"ts\":1767225601,\"metrics\":{"
        "\"x\":1}},"
        "{\"ts\":1767225602,\"metrics\":{\"x\":9}}]");
    ck_assert_str_eq(events(&w), "OPEN c d1\nCLOSED c d1\nOPEN c d1\n");
    end(&w);
}
END_TEST

START_TEST(test_site_in_the_payload_decides_the_scope)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: x > 5, scope: {sites: [s1]}}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":9}}");
    ck_assert_str_eq(events(&w), "");
    add(&w, "t/acme/d/d1", "{\"site\":\"s1\",\"metrics\":{\"x\":9}}");
    add(&w, "t/acme/d/d1", "{\"site\":\"s2\",\"metrics\":{\"x\":9}}");
    pipeline_apply(w.pipeline, now(&w));
    ck_assert_str_eq(events(&w), "OPEN c d1\nCLOSED c d1\n");
    end(&w);
}
END_TEST

START_TEST(test_labels_of_the_topic_go_into_the_alert_topic)
{
    struct world w;
    begin(&w, "rules: [{id: c, when: x > 5}]");
    reload_as(&w,
              "gateway: {id: gw, state_dir: /tmp}\n"
              "telemetry: [{topic: 't/{tenant}/{hall}/{device}'}]\n"
              "store: {address: memory}\n"
              "alerts: {topic: 'a/{tenant}/{device}/{rule}/{hall}'}\n"
              "rules: [rules.yaml]\n",
              "rules: [{id: c, when: x > 5}]");
    say(&w, "t/acme/h1/d1", "{\"metrics\":{\"x\":9}}");
    ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.events), "a/acme/d1/c/h1 "));
    buffer_clear(&w.events);
    say(&w, "t/acme/h2/d1", "{\"metrics\":{\"x\":1}}"); /* it was moved */
    ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.events), "a/acme/d1/c/h2 "));
    end(&w);
}
END_TEST

START_TEST(test_reload_keeps_state_and_closes_what_is_gone)
{
    struct world w;
    begin(&w, "rules: [{id: k, when: 'sum(x, 30s) > 5'}, {id: g, when: x > 0}]");
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":3}}");
    ck_assert_str_eq(events(&w), "OPEN g d1\n");
    reload(&w, "rules: [{id: k, when: 'sum(x, 30s) > 5'}]");
    ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.events), "\"reason\":\"rule_removed\""));
    ck_assert_str_eq(events(&w), "CLOSED g d1\n");
    pass(&w, US_PER_S);
    say(&w, "t/acme/d/d1", "{\"metrics\":{\"x\":3}}");
    ck_assert_str_eq(events(&w), "OPEN k d1\n");
    end(&w);
}
END_TEST

/* Puts the limits of the running configuration in force. */
static void limit(struct world *w, uint32_t device_rate, uint32_t tenant_rate,
                  uint32_t tenant_devices)
{
    struct config *config;
    struct ruleset *set;
    load_as(w, config_text, "rules: [{id: c, when: x > 1}]", &config, &set);
    config->limits.device_rate = device_rate;
    config->limits.tenant_rate = tenant_rate;
    config->limits.tenant_devices = tenant_devices;
    ck_assert_int_eq(pipeline_reload(w->pipeline, config, set, now(w)), BRINK_OK);
    config_free(w->config);
    w->config = config;
}

static uint64_t taken(struct world *w, const char *topic, const char *payload, int n)
{
    uint64_t before = counter_value(COUNT_READINGS);
    for (int i = 0; i < n; i++) {
        add(w, topic, payload);
    }
    pipeline_apply(w->pipeline, now(w));
    return counter_value(COUNT_READINGS) - before;
}

START_TEST(test_a_noisy_device_is_held_to_its_rate_and_no_other_is)
{
    static const char *const one = "{\"metrics\":{\"x\":3}}";
    struct world w;
    begin(&w, "rules: [{id: c, when: x > 1}]");
    limit(&w, 2, 0, 0);
    ck_assert_uint_eq(taken(&w, "t/acme/d/loud", one, 1), 1); /* known from here on */
    ck_assert_uint_eq(taken(&w, "t/acme/d/calm", one, 1), 1);
    ck_assert_uint_eq(taken(&w, "t/acme/d/loud", one, 100), 20);
    ck_assert_uint_eq(counter_value(COUNT_DROP_DEVICE_RATE), 80);
    ck_assert_uint_eq(taken(&w, "t/acme/d/calm", one, 10), 10);
    pass(&w, 3 * US_PER_S);
    ck_assert_uint_eq(taken(&w, "t/acme/d/loud", one, 100), 6);
    /* Each element of an array is a message: the next waits for all of them. */
    pass(&w, 60 * US_PER_S);
    ck_assert_uint_eq(taken(&w, "t/acme/d/loud",
                            "[{\"metrics\":{\"x\":3}},{\"metrics\":{\"x\":4}},"
                            "{\"metrics\":{\"x\":5}},{\"metrics\":{\"x\":6}}]",
                            100),
                      20);
    limit(&w, 0, 0, 0);
    ck_assert_uint_eq(taken(&w, "t/acme/d/loud", one, 100), 100);
    end(&w);
}
END_TEST

START_TEST(test_a_tenant_is_held_to_its_rate_and_its_share_of_devices)
{
    static const char *const one = "{\"metrics\":{\"x\":3}}";
    struct world w;
    begin(&w, "rules: [{id: c, when: x > 1}]");
    limit(&w, 0, 3, 2);
    ck_assert_uint_eq(taken(&w, "t/acme/d/d1", one, 1), 1);
    ck_assert_uint_eq(taken(&w, "t/acme/d/d2", one, 1), 1);
    uint64_t before = counter_value(COUNT_DROP_TENANT_LIMIT);
    say(&w, "t/acme/d/d3", one);
    ck_assert_uint_eq(counter_value(COUNT_DROP_TENANT_LIMIT) - before, 1);
    ck_assert_uint_eq(taken(&w, "t/other/d/d3", one, 1), 1);
    ck_assert_uint_eq(taken(&w, "t/acme/d/d1", one, 15) +
                          taken(&w, "t/acme/d/d2", one, 100),
                      30); /* a device's very first message is not counted */
    ck_assert_uint_eq(taken(&w, "t/other/d/d3", one, 10), 10);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline");
    TCase *t = tcase_create("engine");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_batching_never_changes_an_outcome, 0, 5);
    tcase_add_loop_test(t, test_waiting_in_a_batch_never_changes_an_outcome, 0, 5);
    tcase_add_test(t, test_what_is_at_hand_is_taken_before_anything_is_due);
    tcase_add_test(t, test_a_window_that_emptied_while_its_batch_waited_is_seen);
    tcase_add_test(t, test_silence_raises_and_a_sign_of_life_resolves);
    tcase_add_test(t, test_silence_is_no_lack_of_data_at_first);
    tcase_add_test(t, test_time_without_a_subscription_is_no_silence);
    tcase_add_test(t, test_gap_of_one_metric_is_told_while_others_come);
    tcase_add_test(t, test_late_reading_ends_a_gap_and_a_redelivery_does_not);
    tcase_add_test(t, test_redelivery_does_not_bring_an_older_value_back);
    tcase_add_test(t, test_emptied_window_is_seen_without_a_reading);
    tcase_add_test(t, test_repeats_and_escalates_behind_a_passed_deadline);
    tcase_add_test(t, test_redelivery_by_sequence_changes_nothing);
    tcase_add_test(t, test_sequence_memory_follows_its_entry_over_a_reload);
    tcase_add_test(t, test_clears_the_very_topic_that_was_retained);
    tcase_add_loop_test(t, test_wall_clock_stepped_by_ten_years_changes_no_alert, 0, 3);
    tcase_add_test(t, test_message_says_what_the_rule_knows);
    tcase_add_test(t, test_alert_keeps_its_id_when_the_devices_clock_is_set_back);
    tcase_add_test(t, test_a_clock_set_back_is_seen_the_same_in_batches);
    tcase_add_test(t, test_a_corrected_clock_forgets_no_device);
    tcase_add_test(t, test_array_is_many_messages_in_order);
    tcase_add_test(t, test_site_in_the_payload_decides_the_scope);
    tcase_add_test(t, test_labels_of_the_topic_go_into_the_alert_topic);
    tcase_add_test(t, test_reload_keeps_state_and_closes_what_is_gone);
    tcase_add_test(t, test_a_noisy_device_is_held_to_its_rate_and_no_other_is);
    tcase_add_test(t, test_a_tenant_is_held_to_its_rate_and_its_share_of_devices);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
