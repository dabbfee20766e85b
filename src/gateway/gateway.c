#include "gateway/gateway.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/process.h"
#include "gateway/ask.h"
#include "gateway/http.h"
#include "gateway/notify.h"
#include "gateway/pipeline.h"
#include "gateway/session.h"
#include "gateway/subscriptions.h"
#include "ingest/inbox.h"
#include "outbox/courier.h"
#include "outbox/outbox.h"

#define BATCH_MAX 512                  /* messages applied together */
#define CLOCK_CHECK_US US_PER_S        /* how often the system's clock is looked at */
#define STOP_STORE_US (3 * US_PER_S)   /* to write what is pending at a stop */
#define STOP_ALERTS_US (5 * US_PER_S)  /* to deliver what is in the outbox at a stop */
#define LOAD_DEVICES_US (5 * US_PER_S) /* to read back the devices before subscribing */
#define FILTERS_STATE                                                                    \
    "@subscriptions" /* kept in the outbox; no rule can have this id                     \
                      */

/* What the main thread wants of the pipeline's. Guarded by the lock; never held across
 * I/O. */
struct orders {
    pthread_mutex_t lock;
    bool subscribed;
    struct config *config; /* a reload: to be taken over; NULL: none */
    struct ruleset *rules;
    bool has_filters; /* what the broker's session may hold has changed */
    struct buffer filters;
};

struct gateway {
    const struct clock *clock;
    struct config
        *config; /* of the start: store, mqtt, gateway and http run by it to the end */
    struct config *current; /* the pipeline's; the start's or the last reload's */
    struct outbox *outbox;
    struct courier *courier;
    struct history *history;
    struct pipeline *pipeline;
    struct inbox *inbox;
    struct session *session;
    struct http *http;
    struct arrival_clock arrival;
    struct orders orders;
    struct ask ask;       /* what others want to know or have done by the pipeline */
    atomic_bool woken;    /* history has something for a step */
    atomic_bool finished; /* the pipeline's thread ended */
    bool reloading, reload_again; /* under way; asked for once more meanwhile. The main
                                     thread's */
    bool reload_failed; /* pipeline -> main: for want of memory; guarded by orders.lock */
    struct config *reloaded; /* pipeline -> main: the configuration now in force; guarded
                                by orders.lock */
    int main_fd;             /* eventfd: wakes the main thread */
    pthread_t thread;
    bool has_thread;
    bool subscribed, ready; /* as last told to systemd; the main thread's */
    struct buffer held;     /* filters that the session may hold, as it last said */
    struct buffer filters;  /* as noted for the next run */
    struct log_limit limit_outbox;
    struct http_health
        health; /* pipeline's part of what is served; guarded by orders.lock */
};

/* --- the pipeline's sink: the outbox --- */

static void sink_event(void *ctx, const struct outgoing *o)
{
    struct gateway *g = ctx;
    const struct outbox_event e = {
        .topic = o->topic, .payload = o->payload, .qos = o->qos, .retain = o->retain};
    uint64_t id;
    enum brink_status status = outbox_put(g->outbox, &e, &id);
    if (status != BRINK_OK) {
        count(COUNT_OUTBOX_FAILURES);
        log_limited(&g->limit_outbox, g->clock->mono(g->clock->ctx), LOG_LEVEL_ERROR,
                    "alert could not be kept, it is lost", LOG_T("topic", o->topic),
                    LOG_I("bytes", o->payload.n));
    }
}

static void sink_state(void *ctx, struct text rule, struct text tenant,
                       struct text device, struct text value)
{
    struct gateway *g = ctx;
    if (outbox_put_state(g->outbox, rule, tenant, device, value) != BRINK_OK) {
        count(COUNT_OUTBOX_FAILURES);
        log_limited(&g->limit_outbox, g->clock->mono(g->clock->ctx), LOG_LEVEL_ERROR,
                    "alert's state could not be kept, a restart will not know it",
                    LOG_T("rule", rule), LOG_T("device", device));
    }
}

static void sink_commit(void *ctx, struct mono now)
{
    struct gateway *g = ctx;
    struct mono wake;
    /* A failure was told and is tried again by outbox_step(). */
    (void)!outbox_commit(g->outbox, now);
    courier_step(g->courier, now, &wake);
}

/* --- the pipeline's thread --- */

static struct instant instant_now(const struct gateway *g)
{
    struct mono mono = g->clock->mono(g->clock->ctx);
    return (struct instant){mono, arrival_at(&g->arrival, mono)};
}

static void wake_pipeline(void *ctx)
{
    struct gateway *g = ctx;
    atomic_store(&g->woken, true);
    if (g->inbox) {
        inbox_wake(g->inbox);
    }
}

static void wake_main(const struct gateway *g)
{
    uint64_t one = 1;
    (void)!write(g->main_fd, &one, sizeof one);
}

static void check_clock(struct gateway *g)
{
    int64_t by_us;
    enum arrival_step step = arrival_check(&g->arrival, g->clock, &by_us);
    if (step == ARRIVAL_STEPPED) {
        count(COUNT_CLOCK_STEPS);
        log_event(LOG_LEVEL_WARNING, "system clock was corrected, following it",
                  LOG_N("seconds", (double)by_us / (double)US_PER_S));
    } else if (step == ARRIVAL_IGNORED) {
        log_event(LOG_LEVEL_WARNING,
                  "system clock jumped and no time service holds it, arrival times stay",
                  LOG_N("seconds", (double)by_us / (double)US_PER_S));
    }
}

/* Notes for the next run which filters the broker may hold for us: those of the
 * configuration, before they are subscribed to, and those that are gone, until the broker
 * said so. Before the pipeline's thread starts, or on it. */
static void keep_filters(struct gateway *g, const struct config *c)
{
    struct subscriptions all = {0};
    struct buffer now = {0};
    if (subscriptions_remember(&all, buffer_view(&g->held)) == BRINK_OK &&
        subscriptions_want(&all, c) == BRINK_OK) {
        subscriptions_lines(&all, &now);
    }
    subscriptions_finish(&all);
    if (now.n > 0 && buffer_ok(&now) &&
        !text_equal(buffer_view(&now), buffer_view(&g->filters))) {
        sink_state(g, TEXT(FILTERS_STATE), TEXT(""), TEXT(""), buffer_view(&now));
        sink_commit(g, g->clock->mono(g->clock->ctx));
        buffer_clear(&g->filters);
        buffer_text(&g->filters, buffer_view(&now));
    }
    buffer_finish(&now);
}

static void follow_orders(struct gateway *g, bool *subscribed)
{
    pthread_mutex_lock(&g->orders.lock);
    bool want = g->orders.subscribed;
    struct config *config = g->orders.config;
    struct ruleset *rules = g->orders.rules;
    bool has_filters = g->orders.has_filters;
    g->orders.config = NULL;
    g->orders.rules = NULL;
    g->orders.has_filters = false;
    if (has_filters) {
        struct buffer before = g->held;
        g->held = g->orders.filters;
        g->orders.filters = before;
    }
    pthread_mutex_unlock(&g->orders.lock);
    if (want != *subscribed) {
        *subscribed = want;
        pipeline_subscribed(g->pipeline, want, g->clock->mono(g->clock->ctx));
    }
    if (config) {
        bool taken =
            pipeline_reload(g->pipeline, config, rules, instant_now(g)) == BRINK_OK;
        if (taken) {
            outbox_configure(g->outbox, config->alerts.sync_always,
                             config->limits.outbox);
            courier_set_log(g->courier, config->log.level, config->log.format);
            keep_filters(g, config);
        } else {
            count(COUNT_RELOADS_REFUSED);
            log_event(LOG_LEVEL_ERROR, "out of memory at reload, nothing changed",
                      LOG_END);
            config_free(config);
        }
        has_filters = has_filters && !taken;
        pthread_mutex_lock(&g->orders.lock);
        g->reloaded = taken ? config : NULL;
        g->reload_failed = !taken;
        pthread_mutex_unlock(&g->orders.lock);
        wake_main(g);
    }
    if (has_filters) {
        keep_filters(g, pipeline_config(g->pipeline));
    }
}

static size_t take_batch(struct gateway *g)
{
    struct inbox_message m;
    size_t n = 0;
    while (n < BATCH_MAX && !pipeline_is_full(g->pipeline) && inbox_take(g->inbox, &m)) {
        const struct raw_message raw = {
            .topic = m.topic,
            .payload = m.payload,
            .arrived = m.arrived,
            .arrived_wall = arrival_at(&g->arrival, m.arrived),
            .retained = m.retained,
            .too_large = m.too_large,
        };
        pipeline_add(g->pipeline, &raw);
        n++;
    }
    return n;
}

static void sleep_until(struct gateway *g, struct mono now, struct mono wake)
{
    if (!inbox_sleep(g->inbox)) {
        return;
    }
    struct pollfd fds[2] = {{.fd = inbox_fd(g->inbox), .events = POLLIN},
                            {.fd = courier_fd(g->courier), .events = POLLIN}};
    int64_t us = wake.us - now.us;
    int ms = us <= 0              ? 0
             : us > 60 * US_PER_S ? 60000
                                  : (int)((us + US_PER_MS - 1) / US_PER_MS);
    (void)poll(fds, 2, ms);
    inbox_awake(g->inbox);
}

static void sooner(struct mono *wake, int64_t us)
{
    wake->us = us < wake->us ? us : wake->us;
}

static void share_health(struct gateway *g)
{
    struct pipeline_info info;
    struct history_info store;
    pipeline_info(g->pipeline, &info);
    history_info(g->history, &store);
    pthread_mutex_lock(&g->orders.lock);
    g->health.devices = info.devices;
    g->health.instances = info.instances;
    g->health.rules = info.rules;
    g->health.store = store;
    g->health.outbox = outbox_count(g->outbox);
    g->health.inbox = inbox_waiting(g->inbox);
    g->health.alerts_connected = courier_is_connected(g->courier);
    pthread_mutex_unlock(&g->orders.lock);
}

static void *pipeline_thread(void *ctx)
{
    struct gateway *g = ctx;
    struct mono step = {0}, clock_check = {0}, watchdog = {0};
    bool subscribed = false;
    ask_open(&g->ask);
    for (;;) {
        bool closed =
            inbox_is_closed(g->inbox); /* before taking: what was put stays to be taken */
        size_t n = take_batch(g);
        struct instant now = instant_now(g);
        if (n > 0) {
            pipeline_apply(g->pipeline, now);
            inbox_applied(g->inbox);
        } else if (closed) {
            break;
        }
        follow_orders(g, &subscribed);
        ask_answer(&g->ask, g->pipeline, instant_now(g));
        if (now.mono.us >= clock_check.us) {
            clock_check.us = now.mono.us + CLOCK_CHECK_US;
            check_clock(g);
            share_health(g);
        }
        if (notify_watchdog_us() > 0 && now.mono.us >= watchdog.us) {
            watchdog.us = now.mono.us + notify_watchdog_us();
            notify_send("WATCHDOG=1");
        }
        /* Timers and upkeep: when due, and after each pause in the intake, since the last
         * batch may have set a nearer one. */
        if (n < BATCH_MAX || now.mono.us >= step.us || atomic_load(&g->woken)) {
            struct mono wake;
            atomic_store(&g->woken, false);
            now = instant_now(g);
            pipeline_step(g->pipeline, now, &step);
            outbox_step(g->outbox, now.mono, &wake);
            sooner(&step, wake.us);
            courier_step(g->courier, now.mono, &wake);
            sooner(&step, wake.us);
            sooner(&step, clock_check.us);
            if (notify_watchdog_us() > 0) {
                sooner(&step, watchdog.us);
            }
        }
        if (n == 0) {
            sleep_until(g, g->clock->mono(g->clock->ctx), step);
        }
    }
    ask_close(&g->ask);
    pipeline_flush(g->pipeline, instant_now(g), STOP_STORE_US);
    atomic_store(&g->finished, true);
    wake_main(g);
    return NULL;
}

/* --- start --- */

/* What is of no single alert: kept by the gateway itself and by the rules. */
static void restore_own(void *ctx, struct text rule, struct text tenant,
                        struct text device, struct text value)
{
    struct gateway *g = ctx;
    if (text_equal(rule, TEXT(FILTERS_STATE))) {
        buffer_text(&g->filters, value);
        buffer_text(&g->held, value);
    } else if (pipeline_is_own_state(rule, tenant, device)) {
        pipeline_restore_own(g->pipeline, rule, tenant, device, value);
    }
}

static void restore_alert(void *ctx, struct text rule, struct text tenant,
                          struct text device, struct text value)
{
    struct gateway *g = ctx;
    if (!pipeline_is_own_state(rule, tenant, device)) {
        pipeline_restore_alert(g->pipeline, rule, tenant, device, value, instant_now(g));
    }
}

/* Reads configuration and rules; every problem is printed. */
static bool load(const char *path, struct config **ret_config, struct ruleset **ret_rules)
{
    struct problems problems = {0};
    enum brink_status status = ruleset_load(path, &problems, ret_config, ret_rules);
    problems_print(&problems, stderr);
    problems_finish(&problems);
    return status == BRINK_OK;
}

/* The state that other parts need before a message comes: alerts, then devices. */
static bool restore(struct gateway *g)
{
    struct mono wake, now = g->clock->mono(g->clock->ctx);
    struct mono end = {now.us + LOAD_DEVICES_US};
    enum brink_status status = outbox_each_state(g->outbox, restore_own, g);
    if (status == BRINK_OK) {
        pipeline_compare_rules(g->pipeline, instant_now(g));
        status = outbox_each_state(g->outbox, restore_alert, g);
    }
    if (status != BRINK_OK) {
        fprintf(stderr, "brink: cannot read the alerts' state in %s\n",
                g->config->gateway.state_dir);
        return false;
    }
    pipeline_restore_left(g->pipeline, instant_now(g));
    history_wait_connected(g->history, g->config->store.timeout_us);
    /* Valkey down at start is no different from later: what it knows is taken in when it
     * comes (SPEC 5.4). */
    struct history_info store;
    do {
        pipeline_step(g->pipeline, instant_now(g), &wake);
        history_info(g->history, &store);
        now = g->clock->mono(g->clock->ctx);
    } while (store.state == STORE_STATE_UP && !pipeline_is_loaded(g->pipeline) &&
             now.us < end.us);
    return true;
}

static bool start(struct gateway *g, const char *path)
{
    char why[512], alerts_id[1024];
    struct ruleset *rules = NULL;
    struct mqtt_options options;
    if (!load(path, &g->config, &rules)) {
        fprintf(stderr, "brink: not started; correct the above in %s\n", path);
        return false;
    }
    const struct config *c = g->current = g->config;
    log_configure(c->log.level, c->log.format);
    if (outbox_open(c->gateway.state_dir, c->alerts.sync_always, c->limits.outbox, why,
                    sizeof why, &g->outbox) != BRINK_OK) {
        fprintf(stderr, "brink: %s\n", why);
        ruleset_free(rules);
        return false;
    }
    if (c->mqtt.tls.insecure) {
        log_event(LOG_LEVEL_WARNING,
                  "mqtt.tls.insecure: whoever answers is taken for the broker", LOG_END);
    }
    const struct pipeline_sink sink = {
        .ctx = g, .event = sink_event, .state = sink_state, .commit = sink_commit};
    session_options(c, "-alerts", alerts_id, sizeof alerts_id, &options);
    options.session_expiry_us = 0; /* the outbox remembers, not the broker */
    options.packet_bytes_max = 0;
    arrival_init(&g->arrival, g->clock);
    /* The child is started before there is any thread. */
    if (courier_new(&options, g->outbox, &g->courier) != BRINK_OK ||
        history_new(c, g->clock, wake_pipeline, g, &g->history) != BRINK_OK ||
        pipeline_new(c, rules, g->history, &sink, instant_now(g), &g->pipeline) !=
            BRINK_OK) {
        fprintf(stderr, "brink: cannot start: out of memory or processes\n");
        if (!g->pipeline) {
            ruleset_free(rules);
        }
        return false;
    }
    courier_set_log(g->courier, c->log.level, c->log.format);
    if (!restore(g)) {
        return false;
    }
    struct inbox *inbox;
    if (inbox_new(c->mqtt.inbox, c->limits.payload_bytes, &inbox) != BRINK_OK) {
        fprintf(stderr, "brink: cannot start: out of memory\n");
        return false;
    }
    g->inbox = inbox;
    enum brink_status status =
        session_new(c, g->inbox, g->clock, buffer_view(&g->held), &g->session);
    keep_filters(g, c);
    if (status != BRINK_OK || pthread_create(&g->thread, NULL, pipeline_thread, g) != 0) {
        fprintf(stderr, "brink: cannot start: out of memory or threads\n");
        return false;
    }
    g->has_thread = true;
    return true;
}

/* --- the main thread --- */

static const char *status_line(const struct gateway *g)
{
    return g->subscribed ? "READY=1\nSTATUS=running"
                         : "READY=1\nSTATUS=connecting to the broker";
}

/* A reload ends for systemd when it is ready again, whatever came of it. */
static void tell_reloading(struct gateway *g, bool reloading)
{
    /* Still starting: ready is only when subscribed. */
    if (g->ready) {
        notify_send(reloading ? "RELOADING=1\nSTATUS=reloading" : status_line(g));
    }
}

static void reload(struct gateway *g, const char *path)
{
    struct config *config = NULL;
    struct ruleset *rules = NULL;
    struct buffer restart = {0};
    if (g->reloading) {
        g->reload_again = true; /* the files may have changed since they were read */
        return;
    }
    tell_reloading(g, true);
    if (!load(path, &config, &rules)) {
        count(COUNT_RELOADS_REFUSED);
        log_event(LOG_LEVEL_ERROR,
                  "reload refused, nothing changed; see the problems above",
                  LOG_S("file", path));
        tell_reloading(g, false);
    } else if (inbox_reserve(g->inbox, config->limits.payload_bytes) != BRINK_OK) {
        count(COUNT_RELOADS_REFUSED);
        log_event(LOG_LEVEL_ERROR, "out of memory at reload, nothing changed",
                  LOG_I("payload_bytes", config->limits.payload_bytes));
        ruleset_free(rules);
        config_free(config);
        tell_reloading(g, false);
    } else {
        config_needs_restart(g->config, config, &restart);
        if (restart.n > 0) {
            log_event(LOG_LEVEL_WARNING, "changed, but needs a restart; ignoring for now",
                      LOG_T("keys", buffer_view(&restart)));
        }
        g->reloading = true;
        pthread_mutex_lock(&g->orders.lock);
        g->orders.config = config;
        g->orders.rules = rules;
        pthread_mutex_unlock(&g->orders.lock);
        inbox_wake(g->inbox);
    }
    buffer_finish(&restart);
}

/* The pipeline took a new configuration over: the connection follows. */
static void follow_reload(struct gateway *g, struct config *config)
{
    inbox_set_payload_max(g->inbox, config->limits.payload_bytes);
    if (session_reload(g->session, config) != BRINK_OK) {
        log_event(LOG_LEVEL_ERROR,
                  "out of memory, subscriptions stay as they were; reload again",
                  LOG_END);
    }
    log_configure(config->log.level, config->log.format);
    if (g->current != g->config) {
        config_free(g->current);
    }
    g->current = config;
    count(COUNT_RELOADS);
    log_event(LOG_LEVEL_INFO, "reloaded", LOG_I("rule_files", config->n_rule_files));
}

static void finish_reload(struct gateway *g, const char *path)
{
    pthread_mutex_lock(&g->orders.lock);
    struct config *config = g->reloaded;
    bool failed = g->reload_failed;
    g->reloaded = NULL;
    g->reload_failed = false;
    pthread_mutex_unlock(&g->orders.lock);
    if (!config && !failed) {
        return;
    }
    if (config) {
        follow_reload(g, config);
    }
    g->reloading = false;
    tell_reloading(g, false);
    if (g->reload_again) {
        g->reload_again = false;
        reload(g, path);
    }
}

static void tell_subscribed(struct gateway *g)
{
    bool is = session_is_subscribed(g->session);
    if (is == g->subscribed) {
        return;
    }
    g->subscribed = is;
    pthread_mutex_lock(&g->orders.lock);
    g->orders.subscribed = is;
    g->health.subscribed = is;
    g->health.was_subscribed = true;
    pthread_mutex_unlock(&g->orders.lock);
    inbox_wake(g->inbox);
    g->ready = g->ready || is;
    notify_send(g->ready ? status_line(g) : "STATUS=connecting to the broker");
}

/* What the broker's session may hold is noted by the outbox's owner. */
static void tell_filters(struct gateway *g)
{
    struct buffer filters = {0};
    if (session_filters(g->session, &filters) && buffer_ok(&filters)) {
        pthread_mutex_lock(&g->orders.lock);
        struct buffer before = g->orders.filters;
        g->orders.filters = filters;
        g->orders.has_filters = true;
        pthread_mutex_unlock(&g->orders.lock);
        filters = before;
        inbox_wake(g->inbox);
    }
    buffer_finish(&filters);
}

static void supervise(struct gateway *g, const char *path, int signals)
{
    notify_send("STATUS=connecting to the broker");
    for (;;) {
        struct mono now = g->clock->mono(g->clock->ctx), wake;
        session_step(g->session, now, &wake);
        tell_subscribed(g);
        tell_filters(g);
        finish_reload(g, path);
        int64_t us = wake.us - now.us;
        int ms = us <= 0 ? 0 : us > 60 * US_PER_S ? 60000 : (int)(us / US_PER_MS) + 1;
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                               {.fd = session_fd(g->session), .events = POLLIN},
                               {.fd = g->main_fd, .events = POLLIN}};
        (void)poll(fds, 3, ms);
        uint64_t n;
        (void)!read(g->main_fd, &n, sizeof n);
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo != SIGHUP) {
                log_event(LOG_LEVEL_INFO, "stopping", LOG_I("signal", info.ssi_signo));
                return;
            }
            reload(g, path);
        }
    }
}

static void read_health(void *ctx, struct http_health *ret_health)
{
    struct gateway *g = ctx;
    pthread_mutex_lock(&g->orders.lock);
    *ret_health = g->health;
    pthread_mutex_unlock(&g->orders.lock);
}

/* In the order of a clean stop, as far as it had come up: no more intake while what came
 * is still applied, then the pipeline empties itself, then the alerts leave. */
static void stop(struct gateway *g)
{
    notify_send("STOPPING=1\nSTATUS=stopping");
    http_stop(g->http);
    session_free(g->session);
    if (g->inbox) {
        inbox_close(g->inbox);
    }
    if (g->has_thread) {
        pthread_join(g->thread, NULL);
    }
    courier_free(g->courier, STOP_ALERTS_US);
    pipeline_free(g->pipeline);
    history_free(g->history);
    outbox_close(g->outbox);
    inbox_free(g->inbox);
    if (g->current != g->config) {
        config_free(g->current);
    }
    config_free(g->reloaded);
    config_free(g->orders.config);
    ruleset_free(g->orders.rules);
    config_free(g->config);
    buffer_finish(&g->orders.filters);
    buffer_finish(&g->held);
    buffer_finish(&g->filters);
}

int gateway_run(const char *config_path)
{
    process_hide_memory(); /* before a secret is read */
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    notify_init();
    int signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    struct gateway g = {.clock = &clock_system};
    pthread_mutex_init(&g.orders.lock, NULL);
    bool can_ask = ask_init(&g.ask, wake_pipeline, &g) == BRINK_OK;
    g.main_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int status = 1;
    if (signals < 0 || g.main_fd < 0 || !can_ask) {
        fprintf(stderr, "brink: cannot start: %s\n", strerror(errno));
    } else if (start(&g, config_path)) {
        if (g.config->http.given) {
            g.http =
                http_start(g.config->http.host, g.config->http.port, read_health, &g);
        }
        log_event(LOG_LEVEL_INFO, "started", LOG_S("version", BRINK_VERSION),
                  LOG_S("gateway", g.config->gateway.id),
                  LOG_S("store", g.config->store.address));
        supervise(&g, config_path, signals);
        status = 0;
    }
    stop(&g);
    if (signals >= 0) {
        close(signals);
    }
    if (g.main_fd >= 0) {
        close(g.main_fd);
    }
    if (can_ask) {
        ask_finish(&g.ask);
    }
    pthread_mutex_destroy(&g.orders.lock);
    return status;
}
