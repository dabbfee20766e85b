#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "decode/decode.h"
#include "expr/expr.h"
#include "gateway/pipeline.h"
#include "history/wbuf.h"
#include "micro.h"
#include "window/window.h"
#include "wire.h"
#include "work.h"

#define T0_US (INT64_C(1767225600) * US_PER_S)

static void need(bool good, const char *what)
{
    if (!good) {
        fail(what);
    }
}

/* --- a configuration --- */

struct setup {
    char folder[64];
    struct config *config;
    struct ruleset *rules;
};

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    need(f && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

static void setup(struct setup *s, const char *telemetry, const char *rules)
{
    char config[1024], path[128];
    snprintf(s->folder, sizeof s->folder, "/tmp/brink-micro.XXXXXX");
    need(mkdtemp(s->folder) != NULL, "mkdtemp");
    snprintf(config, sizeof config,
             "gateway: {id: bench, state_dir: %s}\ntelemetry: [%s]\n"
             "store: {address: memory}\nrules: [rules.yaml]\n",
             s->folder, telemetry);
    write_file(s->folder, "brink.yaml", config);
    write_file(s->folder, "rules.yaml", rules);
    snprintf(path, sizeof path, "%s/brink.yaml", s->folder);
    struct problems problems = {0};
    if (ruleset_load(path, &problems, &s->config, &s->rules) != BRINK_OK) {
        problems_print(&problems, stderr);
        exit(1);
    }
    problems_finish(&problems);
}

static void teardown(struct setup *s, bool with_rules)
{
    char path[128];
    if (with_rules) {
        ruleset_free(s->rules);
    }
    config_free(s->config);
    snprintf(path, sizeof path, "rm -rf %s", s->folder);
    (void)!system(path);
}

/* --- decode --- */

struct decoding {
    struct decoder *decoder;
    struct raw_message raw;
};

static void decode_once(void *ctx)
{
    struct decoding *d = ctx;
    size_t n;
    decoder_add(d->decoder, &d->raw);
    (void)decoder_messages(d->decoder, &n);
    sink = (double)n;
    decoder_reset(d->decoder);
}

struct copying {
    struct text from;
    char to[4096];
};

static void copy_once(void *ctx)
{
    struct copying *c = ctx;
    size_t colons = 0;
    memcpy(c->to, c->from.p, c->from.n);
    for (size_t i = 0; i < c->from.n; i++) {
        colons += c->to[i] == ':';
    }
    sink = (double)colons;
}

void bench_decode(void)
{
    static const struct shape {
        const char *name, *telemetry, *topic, *payload;
    } shapes[] = {
        {"3 metrics, ISO time, site, seq",
         "{topic: 't/{device}', timestamp: /ts, site: /site_id, seq: /seq}", "t/d1",
         "{\"ts\":\"2026-01-01T00:00:00Z\",\"site_id\":\"s1\",\"seq\":1234,\"metrics\":"
         "{\"temp_c\":21.53,\"humidity\":45.14,\"vbat\":3.62}}"},
        {"the same, spaces and newlines",
         "{topic: 't/{device}', timestamp: /ts, site: /site_id, seq: /seq}", "t/d1",
         "{ \"ts\": \"2026-01-01T00:00:00Z\", \"site_id\": \"s1\",\n  \"seq\": 1234,\n  "
         "\"metrics\": { \"temp_c\": 21.53, \"humidity\": 45.14, \"vbat\": 3.62 } }"},
        {"whole payload, ms time", "{topic: 't/{device}', metrics: '', timestamp: /ts}",
         "t/d1", "{\"ts\":1767225600123,\"temp_c\":21.53,\"humidity\":45.14}"},
        {"20 metrics, nested", "{topic: 't/{device}'}", "t/d1",
         "{\"metrics\":{\"a\":{\"b\":1.5,\"c\":2.25,\"d\":true,\"e\":-4},\"f\":1,\"g\":2,"
         "\"h\":3,\"i\":4,\"j\":5.5,\"k\":6.25,\"l\":7,\"m\":8,\"n\":9,\"o\":10.125,"
         "\"p\":11,\"q\":{\"r\":{\"s\":12.5,\"t\":13}},\"u\":1e3,\"v\":15,\"w\":16}}"},
        {"an array of 10", "{topic: 't/{device}', timestamp: /ts}", "t/d1",
         "[{\"ts\":1767225601,\"metrics\":{\"a\":1}},{\"ts\":1767225602,\"metrics\":{"
         "\"a\":2}},{\"ts\":1767225603,"
         "\"metrics\":{\"a\":3}},{\"ts\":1767225604,\"metrics\":{\"a\":4}},{\"ts\":"
         "1767225605,\"metrics\":"
         "{\"a\":5}},{\"ts\":1767225606,\"metrics\":{\"a\":6}},{\"ts\":1767225607,"
         "\"metrics\":{\"a\":7}},"
         "{\"ts\":1767225608,\"metrics\":{\"a\":8}},{\"ts\":1767225609,\"metrics\":{"
         "\"a\":9}},{\"ts\":1767225610,"
         "\"metrics\":{\"a\":10}}]"},
        {"one plain number", "{topic: 't/{device}/{metric}', format: value}",
         "t/d1/temp_c", "21.53"},
        {"a heartbeat", "{topic: 't/{device}', format: heartbeat}", "t/d1", "{}"},
    };
    section("Decode a payload");
    static struct copying copying;
    copying.from = text_of(shapes[0].payload);
    baseline_next();
    measure("baseline: copy it and look at each byte", 1, copy_once, &copying);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct setup s;
        struct decoding d = {0};
        setup(&s, shapes[i].telemetry, "rules: []\n");
        need(decoder_new(s.config->telemetry, s.config->n_telemetry, &d.decoder) ==
                 BRINK_OK,
             "decoder");
        d.raw = (struct raw_message){.topic = text_of(shapes[i].topic),
                                     .payload = text_of(shapes[i].payload),
                                     .arrived_wall = {T0_US}};
        measure(shapes[i].name, 1, decode_once, &d);
        decoder_free(d.decoder);
        teardown(&s, true);
    }
}

/* --- rules --- */

struct matching {
    struct ruleset *rules;
    struct message message;
    struct metric_value *values;
};

static void match_once(void *ctx)
{
    struct matching *m = ctx;
    sink = (double)ruleset_values(m->rules, &m->message, m->values);
}

static char *many_rules(size_t n)
{
    char *text = malloc(200 + n * 120);
    need(text != NULL, "memory");
    int at = sprintf(text, "rules:\n"
                           "  - {id: hot, when: \"avg(temp_c, 60s) > 30\"}\n"
                           "  - {id: humid, when: humidity > 90}\n"
                           "  - {id: low, when: vbat < 1}\n");
    for (size_t i = 3; i < n; i++) {
        at += sprintf(text + at,
                      "  - {id: r%zu, when: \"avg(temp_c, 60s) > %zu\", scope: {devices: "
                      "[other-%zu]}}\n",
                      i, i, i);
    }
    return text;
}

void bench_rules(void)
{
    const struct reading readings[] = {
        {TEXT("temp_c"), 21.5}, {TEXT("humidity"), 45}, {TEXT("vbat"), 3.6}};
    section("Which rules does a message of 3 readings touch?");
    baseline_next();
    for (size_t n = 3; n <= (quick ? 300 : 10000); n *= n == 3 ? 100 : 33) {
        struct setup s;
        char name[64], *rules = many_rules(n);
        setup(&s, "{topic: 't/{device}'}", rules);
        struct matching m = {
            .rules = s.rules,
            .message = {.device = TEXT("d1"), .readings = readings, .n_readings = 3}};
        m.values = calloc(ruleset_values_max(s.rules) + 1, sizeof *m.values);
        snprintf(name, sizeof name, "%zu rules, 3 of them concern it", n);
        measure(name, 1, match_once, &m);
        free(m.values);
        free(rules);
        teardown(&s, true);
    }
}

/* --- windows --- */

struct pushing {
    struct window *window;
    enum window_fn fn;
    bool ask;
    int64_t k;
};

static void push_once(void *ctx)
{
    struct pushing *p = ctx;
    double value = 20 + (double)(p->k * 7919 % 500) / 100;
    struct wall at = {T0_US + p->k++ * US_PER_S};
    (void)window_push(p->window, (struct point){at, value}, NULL, NULL);
    if (p->ask && span_value(p->window, 0, p->fn, 95, 0, at, &value)) {
        sink = value;
    }
}

static void bench_span(const char *name, enum window_fn fn, bool ask, uint32_t entries)
{
    char label[64];
    struct span_spec span = {.width_us = (int64_t)entries * US_PER_S,
                             .functions = ask ? 1u << fn : 0};
    const struct window_spec spec = {.spans = &span, .n_spans = 1};
    struct pushing p = {.window = window_new(&spec), .fn = fn, .ask = ask};
    need(p.window != NULL, "memory");
    for (uint32_t i = 0; i < entries + 8; i++) {
        push_once(&p);
    }
    snprintf(label, sizeof label, "%s, %u entries", name, entries);
    measure(label, 1, push_once, &p);
    window_free(p.window);
}

void bench_window(void)
{
    static const struct function {
        const char *name;
        enum window_fn fn;
    } functions[] = {
        {"avg", FN_AVG},         {"min", FN_MIN},        {"max", FN_MAX},
        {"sum", FN_SUM},         {"count", FN_COUNT},    {"first", FN_FIRST},
        {"last", FN_LAST},       {"range", FN_RANGE},    {"stddev", FN_STDDEV},
        {"median", FN_MEDIAN},   {"p95", FN_PERCENTILE}, {"rate", FN_RATE},
        {"delta", FN_DELTA},     {"slope", FN_SLOPE},    {"zscore", FN_ZSCORE},
        {"changes", FN_CHANGES},
    };
    static const uint32_t lengths[] = {10, 3000, 86400};
    section("Push a reading, ask one function");
    baseline_next();
    bench_span("baseline: push alone", FN_COUNT, false, 10);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        for (size_t i = 0; i < 3; i++) {
            bench_span(functions[f].name, functions[f].fn, true, lengths[i]);
        }
    }
}

/* --- expressions --- */

static bool latest(void *ctx, const struct expr *metric, double *ret_value)
{
    (void)metric;
    *ret_value = *(const double *)ctx;
    return true;
}

static enum truth silent(void *ctx, const struct expr *call)
{
    (void)ctx;
    (void)call;
    return TRUTH_FALSE;
}

static enum truth held(void *ctx, const struct expr *call, enum truth now)
{
    (void)ctx;
    (void)call;
    return now;
}

static struct expr *tree;

static void evaluate_once(void *ctx)
{
    struct expr_env env = {ctx, latest, latest, silent, silent, held};
    struct expr_reason reason;
    sink = expr_evaluate(tree, &env, &reason);
}

static void compare_once(void *ctx)
{
    const double *v = ctx;
    sink = *v > 30;
}

void bench_expression(void)
{
    static const char *const sources[] = {
        "humidity > 90",
        "avg(temp_c, 60s) > 30",
        "avg(t, 5m) - avg(t, 1h) > 2 * stddev(t, 1h) and not absent(t, 10m)",
        "a > 1 or b > 2 or c > 3 or d > 4 or e > 5 or f > 6 or g > 7 or h > 88",
    };
    static double value = 45;
    section("Evaluate an expression, its windows at hand");
    baseline_next();
    measure("baseline: one comparison in C", 1, compare_once, &value);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct expr_error error;
        need(expr_parse(text_of(sources[i]), &tree, &error) == BRINK_OK, sources[i]);
        measure(sources[i], 1, evaluate_once, &value);
        expr_free(tree);
    }
}

/* --- the text of an append --- */

static void print_once(void *ctx)
{
    const struct point *p = ctx;
    char out[WBUF_ENTRY_BYTES];
    sink = (double)wbuf_print_entry(*p, out) + out[3];
}

static void printf_once(void *ctx)
{
    const struct point *p = ctx;
    char out[WBUF_ENTRY_BYTES];
    sink = snprintf(out, sizeof out, "[%.17g,%.17g]", (double)p->at.us / 1e6, p->value);
}

void bench_append_text(void)
{
    static struct point points[] = {
        {{T0_US}, 25}, {{T0_US + 123000}, 25.13}, {{T0_US + 123456}, 1.0 / 3}};
    section("Write a reading as [ts,value]");
    baseline_next();
    measure("baseline: snprintf %.17g, not the shortest", 1, printf_once, &points[1]);
    measure("a whole number", 1, print_once, &points[0]);
    measure("two decimals, milliseconds", 1, print_once, &points[1]);
    measure("17 digits, microseconds", 1, print_once, &points[2]);
}

/* --- the whole pipeline --- */

#define BATCH 256

struct running {
    struct pipeline *pipeline;
    struct work work;
    uint64_t next;
    struct instant now;
};

static void on_event(void *ctx, const struct outgoing *event)
{
    (void)ctx;
    sink = (double)event->payload.n;
}

static void on_state(void *ctx, struct text rule, struct text tenant, struct text device,
                     struct text value)
{
    (void)ctx, (void)rule, (void)tenant, (void)device, (void)value;
}

static void on_commit(void *ctx, struct mono now)
{
    (void)ctx, (void)now;
}

static void run_batch(void *ctx)
{
    struct running *r = ctx;
    static char topics[BATCH][32], payloads[BATCH][WORK_PAYLOAD_BYTES];
    r->now.mono.us += BATCH * 10;
    r->now.wall.us += BATCH * 10;
    for (size_t i = 0; i < BATCH; i++, r->next++) {
        uint32_t device = (uint32_t)(r->next % r->work.devices);
        uint32_t k = (uint32_t)(r->next / r->work.devices);
        int topic =
            snprintf(topics[i], sizeof topics[i], "bench/d%07u/telemetry", device);
        size_t payload = work_payload(&r->work, device, k, payloads[i]);
        const struct raw_message raw = {.topic = {topics[i], (size_t)topic},
                                        .payload = {payloads[i], payload},
                                        .arrived = r->now.mono,
                                        .arrived_wall = r->now.wall};
        pipeline_add(r->pipeline, &raw);
    }
    pipeline_apply(r->pipeline, r->now);
}

static void generate_batch(void *ctx)
{
    struct running *r = ctx;
    char topic[32], payload[WORK_PAYLOAD_BYTES];
    for (size_t i = 0; i < BATCH; i++, r->next++) {
        uint32_t device = (uint32_t)(r->next % r->work.devices);
        snprintf(topic, sizeof topic, "bench/d%07u/telemetry", device);
        sink = (double)work_payload(&r->work, device,
                                    (uint32_t)(r->next / r->work.devices), payload);
    }
}

static void wake(void *ctx)
{
    (void)ctx;
}

static void bench_pipeline_of(const char *name, uint32_t devices, size_t n_rules)
{
    struct setup s;
    struct history *history;
    char *rules = many_rules(n_rules);
    setup(
        &s,
        "{topic: 'bench/{device}/telemetry', timestamp: /ts, site: /site_id, seq: /seq}",
        rules);
    need(history_new(s.config, &clock_system, wake, NULL, HISTORY_BATCH_UNKNOWN,
                     &history) == BRINK_OK,
         "history");
    const struct pipeline_sink out = {
        .event = on_event, .state = on_state, .commit = on_commit};
    struct running r = {
        .work = {.devices = devices, .warm = 60, .window = 60},
        .now = {clock_system.mono(NULL), {T0_US + 100 * 86400 * US_PER_S}}};
    need(pipeline_new(s.config, s.rules, history, &out, r.now, &r.pipeline) == BRINK_OK,
         "pipeline");
    while (r.next < (uint64_t)devices * 61) {
        run_batch(&r);
    }
    measure(name, BATCH, run_batch, &r);
    pipeline_free(r.pipeline);
    history_free(history);
    free(rules);
    teardown(&s, false);
}

void bench_pipeline(void)
{
    struct running r = {.work = {.devices = 1000, .warm = 60, .window = 60}};
    section("The whole pipeline, history in memory, a message");
    measure("for itself: making topic and payload", BATCH, generate_batch, &r);
    baseline_next();
    bench_pipeline_of("10 devices, 3 rules", 10, 3);
    bench_pipeline_of("1000 devices, 3 rules", 1000, 3);
    bench_pipeline_of("10000 devices, 3 rules", quick ? 2000 : 10000, 3);
    bench_pipeline_of("1000 devices, 10000 rules, 3 apply", 1000, quick ? 300 : 10000);
}
