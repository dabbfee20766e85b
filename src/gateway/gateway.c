#include "gateway/gateway.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/number.h"
#include "base/process.h"
#include "gateway/notify.h"
#include "gateway/running.h"

#define STOP_ALERTS_US (5 * US_PER_S)  /* to deliver what is in the outbox at a stop */
#define LOAD_DEVICES_US (5 * US_PER_S) /* to read back the devices before subscribing */

/* --- start --- */

/* Which of the last run's batches was the last to be committed. */
static void find_batch(void *ctx, struct text rule, struct text tenant,
                       struct text device, struct text value)
{
    uint64_t *committed = ctx;
    (void)tenant, (void)device;
    if (text_equal(rule, TEXT(BATCH_STATE))) {
        (void)!number_parse_u64(value, committed);
    }
}

/* What is of no single alert: kept by the gateway itself and by the rules. */
static void restore_own(void *ctx, struct text rule, struct text tenant,
                        struct text device, struct text value)
{
    struct gateway *g = ctx;
    if (text_equal(rule, TEXT(FILTERS_STATE))) {
        buffer_text(&g->filters, value);
        buffer_text(&g->held, value);
    } else if (!text_equal(rule, TEXT(BATCH_STATE)) &&
               pipeline_is_own_state(rule, tenant, device)) {
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
    const struct pipeline_sink sink = {.ctx = g,
                                       .event = sink_event,
                                       .state = sink_state,
                                       .is_due = sink_is_due,
                                       .commit = sink_commit};
    session_options(c, "-alerts", alerts_id, sizeof alerts_id, &options);
    options.session_expiry_us = 0; /* the outbox remembers, not the broker */
    options.packet_bytes_max = 0;
    arrival_init(&g->arrival, g->clock);
    /* History's thread wakes the pipeline through the inbox. */
    if (inbox_new(c->mqtt.inbox, c->limits.payload_bytes, &g->inbox) != BRINK_OK) {
        fprintf(stderr, "brink: cannot start: out of memory\n");
        ruleset_free(rules);
        return false;
    }
    uint64_t committed = HISTORY_BATCH_UNKNOWN;
    (void)!outbox_each_state(g->outbox, find_batch, &committed); /* restore() tells why */
    /* The child is started before there is any thread. */
    if (courier_new(&options, g->outbox, &g->courier) != BRINK_OK ||
        history_new(c, g->clock, wake_pipeline, g, committed, &g->history) != BRINK_OK ||
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
