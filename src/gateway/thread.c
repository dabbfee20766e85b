/* The pipeline's thread: it takes what is in the inbox, applies it, and does what is due.
 */
#include "gateway/running.h"

#include <poll.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/process.h"
#include "gateway/notify.h"
#include "gateway/subscriptions.h"

#define BATCH_MAX 512                /* messages applied together */
#define CLOCK_CHECK_US US_PER_S      /* how often the system's clock is looked at */
#define STOP_STORE_US (3 * US_PER_S) /* to write what is pending at a stop */
/* Most memory is freed while a start's devices become known: each pause before it is
 * given back is twice the one before. */
#define GIVE_BACK_FIRST_US (2 * US_PER_S)
#define GIVE_BACK_MOST_US (3600 * US_PER_S)

/* --- the pipeline's sink: the outbox --- */

void sink_event(void *ctx, const struct outgoing *o)
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

void sink_state(void *ctx, struct text rule, struct text tenant, struct text device,
                struct text value)
{
    struct gateway *g = ctx;
    if (outbox_put_state(g->outbox, rule, tenant, device, value) != BRINK_OK) {
        count(COUNT_OUTBOX_FAILURES);
        log_limited(&g->limit_outbox, g->clock->mono(g->clock->ctx), LOG_LEVEL_ERROR,
                    "alert's state could not be kept, a restart will not know it",
                    LOG_T("rule", rule), LOG_T("device", device));
    }
}

bool sink_is_due(void *ctx)
{
    const struct gateway *g = ctx;
    return outbox_is_due(g->outbox);
}

void sink_commit(void *ctx, struct mono now)
{
    struct gateway *g = ctx;
    struct mono wake;
    /* A failure was told and is tried again by outbox_step(). */
    (void)!outbox_commit(g->outbox, now);
    courier_step(g->courier, now, &wake);
}

/* --- the pipeline's thread --- */

struct instant instant_now(const struct gateway *g)
{
    struct mono mono = g->clock->mono(g->clock->ctx);
    return (struct instant){mono, arrival_at(&g->arrival, mono)};
}

void wake_pipeline(void *ctx)
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

void keep_filters(struct gateway *g, const struct config *c)
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
    if (poll(fds, 2, ms) > 0 && fds[1].revents) {
        courier_ready(g->courier);
    }
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
    g->health.pipeline = info;
    g->health.store = store;
    g->health.outbox = outbox_count(g->outbox);
    g->health.inbox = inbox_waiting(g->inbox);
    g->health.alerts_connected = courier_is_connected(g->courier);
    pthread_mutex_unlock(&g->orders.lock);
}

void *pipeline_thread(void *ctx)
{
    struct gateway *g = ctx;
    struct mono step = {0}, clock_check = {0}, watchdog = {0};
    int64_t give_back_pause = GIVE_BACK_FIRST_US;
    struct mono give_back = {g->clock->mono(g->clock->ctx).us + give_back_pause};
    bool subscribed = false, stale = true; /* is `step` still true? */
    ask_open(&g->ask);
    for (;;) {
        bool closed =
            inbox_is_closed(g->inbox); /* before taking: what was put stays to be taken */
        size_t n = take_batch(g);
        struct instant now = instant_now(g);
        if (n > 0) {
            pipeline_apply(g->pipeline, now);
            inbox_applied(g->inbox);
            stale = true;
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
        if (now.mono.us >= give_back.us) {
            process_give_memory_back();
            give_back_pause = give_back_pause < GIVE_BACK_MOST_US / 2
                                  ? give_back_pause * 2
                                  : GIVE_BACK_MOST_US;
            give_back.us = now.mono.us + give_back_pause;
        }
        if (notify_watchdog_us() > 0 && now.mono.us >= watchdog.us) {
            watchdog.us = now.mono.us + notify_watchdog_us();
            notify_send("WATCHDOG=1");
        }
        /* Timers and upkeep: when due, and before each pause in the intake, since a batch
         * or what ended the last pause may have set a nearer one. */
        if ((stale && n < BATCH_MAX) || now.mono.us >= step.us ||
            atomic_load(&g->woken)) {
            struct mono wake;
            stale = false;
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
            stale = true;
        }
    }
    ask_close(&g->ask);
    pipeline_flush(g->pipeline, instant_now(g), STOP_STORE_US);
    atomic_store(&g->finished, true);
    wake_main(g);
    return NULL;
}
