/* Life and steps: following the connection, restoring, flushing; the rest of what is kept
 * in Valkey. */
#include "history/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "history/internal.h"

/* When there is nothing to do; the connecting thread wakes the pipeline by itself. */
#define IDLE_US (10 * US_PER_S)

/* --- life --- */

static size_t value_max(uint32_t points)
{
    size_t n = (size_t)points * VALUE_POINT_BYTES;
    n = n / VALUE_POINT_BYTES == points ? n : WBUF_BYTES_MAX;
    n = n > VALUE_BYTES_MIN ? n : VALUE_BYTES_MIN;
    return n < WBUF_BYTES_MAX ? n : WBUF_BYTES_MAX;
}

enum brink_status history_new(const struct config *config, const struct clock *clock,
                              void (*wake)(void *ctx), void *wake_ctx, uint64_t committed,
                              struct history **ret_history)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h) {
        return BRINK_E_NOMEM;
    }
    h->clock = clock;
    h->timeout_us = config->store.timeout_us;
    h->fallback_memory = config->store.fallback_memory;
    h->value_max = value_max(config->limits.points_per_window);
    h->due_at_once = DUE_FIRST;
    h->keeps_all = config->mqtt.inbox == 0;
    h->now = h->since = clock->mono(clock->ctx);
    link_init(&h->all);
    link_init(&h->due);
    link_init(&h->changed);
    enum brink_status status = side_init(&h->side, config->gateway.id);
    if (status == BRINK_OK && config->store.kind == STORE_MEMORY) {
        h->state = STORE_STATE_MEMORY;
        log_event(LOG_LEVEL_WARNING, "a restart forgets every window",
                  LOG_S("store", "memory"));
    } else if (status == BRINK_OK) {
        h->state = STORE_STATE_CONNECTING;
        status = keep_open(h, config->gateway.state_dir, committed);
    }
    if (status == BRINK_OK && config->store.kind != STORE_MEMORY) {
        status = store_new(config, wake, wake_ctx, &h->store);
    }
    if (status) {
        history_free(h);
        return status;
    }
    *ret_history = h;
    return BRINK_OK;
}

void history_free(struct history *h)
{
    if (!h) {
        return;
    }
    store_free(h->store);
    backlog_close(&h->backlog);
    side_finish(&h->side);
    free(h->staged);
    free(h->touched);
    free(h->ops.p);
    free(h->again.p);
    free(h->calls);
    free(h->merged);
    points_finish(&h->value);
    points_finish(&h->extra);
    buffer_finish(&h->texts);
    buffer_finish(&h->request);
    free(h);
}

bool history_is_kept(const struct history *h)
{
    return h->store != NULL;
}

bool history_keeps_all(const struct history *h)
{
    return h->keeps_all;
}

void history_set_limits(struct history *h, uint32_t points_per_window)
{
    h->value_max = value_max(points_per_window);
}

void history_info(const struct history *h, struct history_info *ret_info)
{
    struct history_info info = {.state = h->state,
                                .since = h->since,
                                .series = h->n_series,
                                .pending_points = h->pending_points,
                                .evicted_keys = h->facts.evicted_keys,
                                .evicts = h->facts.evicts,
                                .no_append_file = h->facts.no_append_file};
    memcpy(info.reason, h->reason, sizeof info.reason);
    memcpy(info.server_version, h->facts.version, sizeof info.server_version);
    *ret_info = info;
}

/* --- the connection --- */

static void set_state(struct history *h, enum store_state state, const char *reason)
{
    if (h->state != state) {
        h->since = h->now;
    }
    h->state = state;
    size_t n = strlen(reason);
    n = n < sizeof h->reason - 1 ? n : sizeof h->reason - 1;
    memmove(h->reason, reason, n);
    h->reason[n] = '\0';
}

void history_give_up(struct history *h, const char *reason)
{
    set_state(h, STORE_STATE_DOWN, reason);
    store_give_up(h->store, h->reason);
    h->keep_devices = true;
    log_limited(&h->limit_down, h->now, LOG_LEVEL_WARNING,
                "valkey is unavailable, windows are unknown", LOG_S("reason", h->reason),
                LOG_I("series_pending", h->n_due));
}

static void warn(const struct connection_facts *facts)
{
    if (!facts->known) {
        log_event(LOG_LEVEL_WARNING, "cannot tell whether valkey may lose history",
                  LOG_S("reason", "no answer to INFO"));
    }
    if (facts->evicts) {
        log_event(LOG_LEVEL_WARNING, "valkey may evict history, set noeviction",
                  LOG_S("maxmemory_policy", facts->policy));
    }
    if (facts->no_append_file) {
        log_event(LOG_LEVEL_WARNING,
                  "a restart of valkey may lose history, it has no append-only file",
                  LOG_S("appendonly", "no"));
    }
}

/* Another server than before, or the same restarted, may have lost what it confirmed. */
static void note_server(struct history *h, const struct connection_facts *facts)
{
    bool same = h->server_known && strcmp(h->facts.run_id, facts->run_id) == 0;
    bool first = !h->server_known;
    h->facts = *facts;
    h->server_known = true;
    if (same || (!first && !facts->known)) {
        return;
    }
    h->run++;
    warn(facts);
    if (first) {
        return;
    }
    for (struct link *l = h->all.next; l != &h->all; l = l->next) {
        struct series *s = series_of(l, all);
        if ((s->flags & S_KNOWN) && window_count(s->window) > 0) {
            s->flags |= S_VERIFY;
            series_due(s);
        }
    }
}

static void follow_store(struct history *h)
{
    enum store_news news = store_poll(h->store);
    if (news == STORE_REFUSED) {
        set_state(h, h->state, store_reason(h->store));
        log_limited(&h->limit_down, h->now, LOG_LEVEL_WARNING, "cannot connect to valkey",
                    LOG_S("reason", h->reason));
    } else if (news == STORE_CONNECTED) {
        const struct connection_facts *facts =
            connection_facts(store_connection(h->store));
        set_state(h, STORE_STATE_UP, "");
        log_limited(&h->limit_up, h->now, LOG_LEVEL_INFO, "connected to valkey",
                    LOG_S("version", facts->version));
        h->next_info.us = h->now.us + INFO_EVERY_US;
        h->next_peek.us = h->now.us + PEEK_EVERY_US;
        note_server(h, facts);
    }
}

void history_wait_connected(struct history *h, int64_t timeout_us)
{
    if (!h->store) {
        return;
    }
    store_wait(h->store, timeout_us);
    h->now = h->clock->mono(h->clock->ctx);
    follow_store(h);
}

/* --- steps --- */

static void look_whether_gone(struct history *h)
{
    if (h->now.us < h->next_peek.us) {
        return;
    }
    h->next_peek.us = h->now.us + PEEK_EVERY_US;
    if (connection_is_gone(store_connection(h->store))) {
        count(COUNT_STORE_FAIL_IO);
        history_give_up(h, "Valkey closed the connection");
    }
}

static void tell_side(struct history *h)
{
    if (h->side.refused) {
        h->side.refused = false;
        log_limited(&h->limit_side, h->now, LOG_LEVEL_WARNING,
                    "valkey refused a device's state or a cooldown, ignoring",
                    LOG_S("reason", h->side.reason));
    }
}

static struct mono sooner(struct mono a, struct mono b)
{
    return a.us < b.us ? a : b;
}

static struct mono next_step(const struct history *h)
{
    struct mono wake = {h->now.us + IDLE_US};
    if (h->backlog.unsynced) {
        wake = sooner(wake, h->backlog.sync_at);
    }
    if (!h->store || !store_connection(h->store)) {
        return wake;
    }
    if (h->n_due > 0 || h->side.load.visit) {
        return h->now;
    }
    wake = sooner(wake, h->next_peek);
    wake = sooner(wake, h->side.due);
    return h->facts.known ? sooner(wake, h->next_info) : wake;
}

void history_step(struct history *h, struct mono now, struct mono *ret_wake)
{
    h->now = now;
    if (!h->store) {
        side_drop(&h->side);
    } else {
        follow_store(h);
        if (store_connection(h->store)) {
            look_whether_gone(h);
        }
        /* Never amid a batch: that is history_exchange()'s. */
        bool due = h->n_due > 0 || h->side.load.visit || now.us >= h->side.due.us ||
                   (h->facts.known && now.us >= h->next_info.us);
        if (store_connection(h->store) && due && h->n_staged == 0) {
            exchange_run(h, now, true);
        }
        tell_side(h);
    }
    *ret_wake = next_step(h);
}

void *history_next_changed(struct history *h)
{
    if (!link_linked(&h->changed)) {
        return NULL;
    }
    struct series *s = series_of(h->changed.next, changed);
    link_remove(&s->changed);
    return s->user;
}

void history_flush(struct history *h, int64_t timeout_us)
{
    if (!h->store || h->n_staged > 0) {
        return;
    }
    struct mono now = h->clock->mono(h->clock->ctx);
    struct mono end = {now.us + timeout_us};
    while (now.us < end.us && (h->n_due > 0 || side_waits(&h->side))) {
        h->now = now;
        follow_store(h);
        if (store_connection(h->store)) {
            exchange_run(h, now, true);
        } else {
            store_wait(h->store, end.us - now.us);
        }
        now = h->clock->mono(h->clock->ctx);
    }
}

/* --- other state --- */

void history_put_device(struct history *h, struct text field, struct text value)
{
    side_put_device(&h->side, h->now, field, value);
    if (h->store) {
        keep_device(h, field, value);
    }
}

void history_put_cooldown(struct history *h, struct text tenant, struct text rule,
                          struct text device, int64_t ttl_us)
{
    struct buffer key = {0};
    history_key(&key, tenant, rule, device, (struct text){NULL, 0});
    if (buffer_ok(&key)) {
        struct buffer cooldown = {0};
        buffer_cstring(&cooldown, "cooldown:");
        buffer_put(&cooldown, key.p + strlen("wbuf:"), key.n - strlen("wbuf:"));
        if (buffer_ok(&cooldown)) {
            side_put_cooldown(&h->side, h->now, buffer_view(&cooldown), ttl_us);
        }
        buffer_finish(&cooldown);
    }
    buffer_finish(&key);
}

void history_load_devices(struct history *h, const char *first,
                          void (*visit)(void *ctx, struct text field, struct text value),
                          void *ctx)
{
    side_load(&h->side, first, visit, ctx);
}
