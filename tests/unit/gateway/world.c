#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fields.h"
#include "base/number.h"
#include "gateway/engine.h"

struct kept_state {
    struct text rule, tenant, device, value, key;
    char bytes[];
};

/* The pipeline borrows what is added until it is applied. */
struct said {
    struct said *next;
    char topic[128], payload[256];
};

struct instant world_now(const struct world *w)
{
    return (struct instant){{w->mono_us + w->at_us + 1}, {T0 + w->at_us}};
}

/* --- the outbox --- */

static void on_event(void *ctx, const struct outgoing *e)
{
    struct world *w = ctx;
    if (e->payload.n > 0) {
        buffer_text(&w->events, e->topic);
        buffer_char(&w->events, ' ');
        buffer_text(&w->events, e->payload);
        buffer_char(&w->events, '\n');
    }
}

static struct text put(char **at, struct text t)
{
    struct text copy = {*at, t.n};
    if (t.n > 0) {
        memcpy(*at, t.p, t.n);
    }
    *at += t.n;
    *(*at)++ = '\x1f';
    return copy;
}

static void on_state(void *ctx, struct text rule, struct text tenant, struct text device,
                     struct text value)
{
    struct world *w = ctx;
    struct kept_state *s =
        calloc(1, sizeof *s + rule.n + tenant.n + device.n + value.n + 4);
    ck_assert_ptr_nonnull(s);
    char *at = s->bytes;
    s->rule = put(&at, rule);
    s->tenant = put(&at, tenant);
    s->device = put(&at, device);
    s->key = (struct text){s->bytes, (size_t)(at - s->bytes)};
    s->value = put(&at, value);
    free(map_remove(&w->states, s->key));
    if (value.n == 0) {
        free(s);
    } else {
        ck_assert_int_eq(map_put(&w->states, s->key, s), BRINK_OK);
    }
}

static void on_commit(void *ctx, struct mono at)
{
    (void)ctx;
    (void)at;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

/* --- life --- */

static void path_of(const struct world *w, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", w->folder, name);
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    char path[128];
    path_of(w, name, path);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void write_files(const struct world *w, const char *alerts, const char *rules)
{
    char config[2048];
    snprintf(config, sizeof config,
             "gateway: {id: gw, state_dir: %s}\n"
             "telemetry:\n"
             "  - {topic: 't/{tenant}/{line}/{device}', timestamp: /ts, site: /site}\n"
             "store: {address: '%s%s', timeout: 10s}\n" /* of a busy machine */
             "alerts: {topic: 'a/{tenant}/{device}/{rule}'%s%s}\n"
             "rules: [rules.yaml]\n",
             w->folder, w->valkey ? "unix://" : "memory", w->valkey ? w->valkey : "",
             alerts[0] ? ", " : "", alerts);
    write_file(w, "brink.yaml", config);
    write_file(w, "rules.yaml", rules);
}

static void load(const struct world *w, struct config **config, struct ruleset **set)
{
    char path[128];
    struct problems problems = {0};
    path_of(w, "brink.yaml", path);
    enum brink_status status = ruleset_load(path, &problems, config, set);
    problems_print(&problems, stderr);
    problems_finish(&problems);
    ck_assert_int_eq(status, BRINK_OK);
}

static void keep_devices(struct world *w)
{
    const struct devices *d = &w->pipeline->devices;
    const struct device *device;
    buffer_clear(&w->lines);
    buffer_format(&w->lines, "%s ", GATEWAY_FIELD);
    gateway_state_print(&d->silence, world_now(w).wall, world_now(w).mono, &w->lines);
    buffer_char(&w->lines, '\n');
    for (size_t i = 0; (device = map_next(&d->by_field, &i));) {
        buffer_format(&w->lines, "%s ", device->field);
        device_state_print(d, device, world_now(w), &w->lines);
        buffer_char(&w->lines, '\n');
    }
    ck_assert(buffer_ok(&w->lines));
}

static void restore_devices(struct world *w)
{
    struct text rest = buffer_view(&w->lines);
    while (rest.n > 0) {
        struct text line = fields_cut(&rest, '\n');
        struct text field = fields_cut(&line, ' ');
        restore_device(w->pipeline, field, line);
    }
}

void world_start(struct world *w)
{
    struct ruleset *set;
    struct mono wake;
    const struct pipeline_sink sink = {
        .ctx = w, .event = on_event, .state = on_state, .commit = on_commit};
    load(w, &w->config, &set);
    ck_assert_int_eq(history_new(w->config, &clock_system, on_wake, NULL,
                                 HISTORY_BATCH_UNKNOWN, &w->history),
                     BRINK_OK);
    ck_assert_int_eq(
        pipeline_new(w->config, set, w->history, &sink, world_now(w), &w->pipeline),
        BRINK_OK);
    /* As gateway.c does: what is of no alert first, what waited for Valkey last. */
    const struct kept_state *s;
    for (size_t i = 0; (s = map_next(&w->states, &i));) {
        if (pipeline_is_own_state(s->rule, s->tenant, s->device)) {
            pipeline_restore_own(w->pipeline, s->rule, s->tenant, s->device, s->value);
        }
    }
    pipeline_compare_rules(w->pipeline, world_now(w));
    for (size_t i = 0; (s = map_next(&w->states, &i));) {
        if (!pipeline_is_own_state(s->rule, s->tenant, s->device)) {
            pipeline_restore_alert(w->pipeline, s->rule, s->tenant, s->device, s->value,
                                   world_now(w));
        }
    }
    pipeline_restore_left(w->pipeline, world_now(w));
    restore_devices(w);
    for (int n = 0; n == 0 || (w->valkey && !pipeline_is_loaded(w->pipeline)); n++) {
        ck_assert_int_lt(n, 1000);
        history_wait_connected(w->history, 5 * S); /* anew, should it be slow */
        pipeline_step(w->pipeline, world_now(w), &wake);
    }
    pipeline_subscribed(w->pipeline, true, world_now(w).mono);
}

static void forget_said(struct world *w)
{
    for (struct said *m = w->said; m; m = w->said) {
        w->said = m->next;
        free(m);
    }
}

void world_stop(struct world *w)
{
    forget_said(w);
    if (w->keeps_devices) {
        keep_devices(w);
        w->mono_us += 777 * S; /* another process, perhaps another boot */
    }
    pipeline_flush(w->pipeline, world_now(w), w->valkey ? 5 * S : 100 * US_PER_MS);
    pipeline_free(w->pipeline);
    history_free(w->history);
    config_free(w->config);
}

void world_begin_on(struct world *w, const char *valkey, const char *alerts,
                    const char *rules)
{
    /* Its monotonic clock begins with the system's, by which Valkey's peer waits. */
    *w = (struct world){.folder = "/tmp/brink-test-XXXXXX",
                        .valkey = valkey,
                        .begun_us = clock_system.mono(clock_system.ctx).us};
    ck_assert_ptr_nonnull(mkdtemp(w->folder));
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    write_files(w, alerts, rules);
    world_start(w);
}

void world_begin(struct world *w, const char *alerts, const char *rules)
{
    world_begin_on(w, NULL, alerts, rules);
}

void world_reload(struct world *w, const char *alerts, const char *rules)
{
    struct config *config;
    struct ruleset *set;
    write_files(w, alerts, rules);
    load(w, &config, &set);
    ck_assert_int_eq(pipeline_reload(w->pipeline, config, set, world_now(w)), BRINK_OK);
    config_free(w->config);
    w->config = config;
}

void world_restart_after(struct world *w, int64_t us)
{
    world_stop(w);
    w->at_us += us;
    world_start(w);
}

void world_restart(struct world *w)
{
    world_restart_after(w, 0);
}

void world_end(struct world *w)
{
    static const char *const files[] = {"brink.yaml", "rules.yaml", "backlog"};
    char path[128];
    struct kept_state *s;
    world_stop(w);
    for (size_t i = 0; (s = map_next(&w->states, &i));) {
        free(s);
    }
    map_finish(&w->states);
    buffer_finish(&w->events);
    buffer_finish(&w->lines);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        path_of(w, files[i], path);
        unlink(path);
    }
    rmdir(w->folder);
}

/* --- acting --- */

static void add_at(struct world *w, int64_t at_us, const char *topic, const char *members)
{
    struct said *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    m->next = w->said;
    w->said = m;
    snprintf(m->topic, sizeof m->topic, "%s", topic);
    snprintf(m->payload, sizeof m->payload, "{\"ts\":%lld,%s}",
             (long long)((T0 + at_us) / 1000), members);
    const struct raw_message raw = {.topic = text_of(m->topic),
                                    .payload = text_of(m->payload),
                                    .arrived = world_now(w).mono,
                                    .arrived_wall = world_now(w).wall};
    pipeline_add(w->pipeline, &raw);
}

static void add_value(struct world *w, int64_t at_us, const char *device,
                      const char *site, double x)
{
    char topic[128], members[128];
    snprintf(topic, sizeof topic, "t/acme/l1/%s", device);
    snprintf(members, sizeof members, "%s%s%s\"metrics\":{\"x\":%.9g}",
             site ? "\"site\":\"" : "", site ? site : "", site ? "\"," : "", x);
    add_at(w, at_us, topic, members);
}

void add(struct world *w, const char *device, const char *site, double x)
{
    add_value(w, w->at_us, device, site, x);
}

void apply(struct world *w)
{
    pipeline_apply(w->pipeline, world_now(w));
    forget_said(w);
}

void say(struct world *w, const char *device, const char *site, double x)
{
    add(w, device, site, x);
    apply(w);
}

void say_late(struct world *w, int64_t us, const char *device, double x)
{
    add_value(w, w->at_us - us, device, NULL, x);
    apply(w);
}

void say_on(struct world *w, const char *topic, const char *members)
{
    add_at(w, w->at_us, topic, members);
    apply(w);
}

void pass(struct world *w, int64_t us)
{
    int64_t until = w->at_us + us;
    struct mono wake;
    do {
        pipeline_step(w->pipeline, world_now(w), &wake);
        int64_t next = wake.us - w->mono_us - 1;
        next = next > w->at_us ? next : w->at_us + 1;
        w->at_us = next < until ? next : until;
    } while (w->at_us < until);
    pipeline_step(w->pipeline, world_now(w), &wake);
}

/* --- looking --- */

const char *told(struct world *w)
{
    static char out[16384];
    size_t n = 0;
    out[0] = '\0';
    char *text = text_dup(buffer_view(&w->events));
    for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n")) {
        char device[64], rule[64];
        const char *type = strstr(line, "\"event_type\":\"");
        ck_assert_int_eq(sscanf(line, "a/%*[^/]/%63[^/]/%63[^ ]", device, rule), 2);
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s %s %s\n",
                              (int)strcspn(type + 14, "\""), type + 14, rule, device);
        ck_assert_uint_lt(n, sizeof out);
    }
    free(text);
    buffer_clear(&w->events);
    return out;
}

const char *withheld(const struct world *w)
{
    static char out[256];
    struct pipeline_info info;
    size_t counted[MUTE_KINDS] = {0}, n = 0;
    const struct device *device;
    for (size_t i = 0; (device = map_next(&w->pipeline->devices.by_field, &i));) {
        for (uint32_t k = 0; k < device->n_instances; k++) {
            const struct mute_cause *cause = instance_muted_by(device->instances[k]);
            if (cause) {
                counted[cause->kind]++;
            }
        }
    }
    pipeline_info(w->pipeline, &info);
    out[0] = '\0';
    for (size_t k = 0; k < MUTE_KINDS; k++) {
        ck_assert_uint_eq(info.withheld[k], counted[k]);
        if (counted[k] > 0) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%s %zu\n",
                                  mute_kind_name((enum mute_kind)k), counted[k]);
        }
    }
    return out;
}

const char *last_told(const struct world *w, const char *member)
{
    static char out[512];
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", member);
    const char *from = w->events.n ? w->events.p : "", *last = NULL;
    for (const char *at = from; (at = strstr(at, "\"schema\"")); at++) {
        last = at;
    }
    const char *value = last ? strstr(last, key) : NULL;
    ck_assert_msg(value != NULL, "no event has `%s`", member);
    value += strlen(key);
    bool quoted = *value == '"';
    value += quoted;
    snprintf(out, sizeof out, "%.*s", (int)strcspn(value, quoted ? "\"" : ",}"), value);
    return out;
}
