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
                              void (*wake)(void *ctx), void *wake_ctx,
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

/* --- series --- */

static int64_t ttl_of(const struct window_spec *spec)
{
    int64_t longest_us = 0;
    bool by_count = spec->n_spans == 0;
    for (size_t i = 0; i < spec->n_spans; i++) {
        int64_t width = spec->spans[i].width_us;
        by_count = by_count || width == 0;
        longest_us = width > longest_us ? width : longest_us;
    }
    int64_t ttl_ms = (2 * longest_us + US_PER_MS - 1) / US_PER_MS;
    ttl_ms = ttl_ms > TTL_MIN_MS ? ttl_ms : TTL_MIN_MS;
    /* A window by count may need its readings however old they are. */
    return by_count && ttl_ms < TTL_COUNT_MS ? TTL_COUNT_MS : ttl_ms;
}

enum brink_status series_new(struct history *h, struct text key,
                             const struct window_spec *spec, void *user,
                             struct series **ret_series)
{
    if (key.n > UINT32_MAX) {
        return BRINK_E_LIMIT;
    }
    struct series *s = calloc(1, sizeof *s + key.n);
    struct window *w = s ? window_new(spec) : NULL;
    if (!w) {
        free(s);
        return BRINK_E_NOMEM;
    }
    s->h = h;
    s->window = w;
    s->spec = spec;
    s->user = user;
    s->ttl_ms = ttl_of(spec);
    s->unconfirmed_from = INT64_MAX;
    s->staged_first = s->staged_last = -1;
    s->key_n = (uint32_t)key.n;
    memcpy(s->key, key.p, key.n);
    link_init(&s->due);
    link_init(&s->changed);
    link_append(&h->all, &s->all);
    h->n_series++;
    if (!h->store) {
        s->flags = S_LOADED;
    }
    *ret_series = s;
    return BRINK_OK;
}

void series_free(struct series *s)
{
    if (!s) {
        return;
    }
    struct history *h = s->h;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        h->staged[i].s = NULL;
    }
    for (size_t i = 0; i < h->n_touched; i++) {
        if (h->touched[i] == s) {
            h->touched[i] = NULL;
        }
    }
    h->n_due -= link_linked(&s->due);
    link_remove(&s->due);
    link_remove(&s->changed);
    link_remove(&s->all);
    h->pending_points -= s->pending;
    h->n_series--;
    window_free(s->window);
    free(s);
}

const struct window *series_window(const struct series *s)
{
    return s->window;
}

static bool is_confirmed(const struct series *s)
{
    const struct history *h = s->h;
    return !h->store ||
           (h->state == STORE_STATE_UP && (s->flags & S_LOADED) && s->pending == 0);
}

bool series_degraded(const struct series *s)
{
    /* With the store up, a series that was not read yet will be in a moment. */
    return s->h->fallback_memory && !is_confirmed(s) &&
           (s->h->state != STORE_STATE_UP || s->pending > 0);
}

bool series_readable(const struct series *s)
{
    return is_confirmed(s) || series_degraded(s);
}

void series_want(struct series *s)
{
    if (!(s->flags & S_LOADED)) {
        s->flags |= S_WANTED;
        series_due(s);
    }
}

bool series_unload(struct series *s)
{
    if (!s->h->store || s->pending > 0 || (s->flags & S_RESTART) ||
        s->staged_first >= 0) {
        return false;
    }
    series_forget(s);
    window_clear(s->window);
    return true;
}

void series_restart(struct series *s)
{
    struct history *h = s->h;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        if (h->staged[i].state == STAGED_OPEN) {
            h->staged[i].state = STAGED_VOID;
        }
    }
    s->restart_newest = window_newest(s->window).us;
    window_clear(s->window);
    h->pending_points -= s->pending;
    s->pending = 0;
    s->unconfirmed_from = INT64_MAX;
    s->flags &= (uint8_t) ~(S_EXACT | S_WANTED | S_VERIFY | S_MIXED);
    s->flags |= S_LOADED | S_RESTART;
    if (h->store) {
        series_due(s);
    } else {
        s->flags = S_LOADED;
    }
}

static const char hex[] = "0123456789ABCDEF";

void history_key(struct buffer *out, struct text tenant, struct text rule,
                 struct text device, struct text metric)
{
    buffer_cstring(out, "wbuf:");
    for (size_t i = 0; i < tenant.n; i++) {
        unsigned char c = (unsigned char)tenant.p[i];
        if (c == ':' || c == '%' || c < 0x20 || c == 0x7f) {
            buffer_char(out, '%');
            buffer_char(out, hex[c >> 4]);
            buffer_char(out, hex[c & 15]);
        } else {
            buffer_char(out, (char)c);
        }
    }
    buffer_char(out, ':');
    buffer_text(out, rule);
    buffer_char(out, ':');
    buffer_text(out, device);
    if (metric.n > 0) {
        buffer_char(out, '/');
        buffer_text(out, metric);
    }
}

/* --- the batch --- */

static bool reserve_batch(struct history *h, bool touches)
{
    if (h->n_staged == h->cap_staged) {
        size_t cap = h->cap_staged ? h->cap_staged * 2 : 256;
        struct staged *more =
            cap <= INT32_MAX ? realloc(h->staged, cap * sizeof *more) : NULL;
        if (!more) {
            return false;
        }
        h->staged = more;
        h->cap_staged = cap;
    }
    if (touches && h->n_touched == h->cap_touched) {
        size_t cap = h->cap_touched ? h->cap_touched * 2 : 256;
        struct series **more = realloc(h->touched, cap * sizeof(struct series *));
        if (!more) {
            return false;
        }
        h->touched = more;
        h->cap_touched = cap;
    }
    return true;
}

int history_stage(struct history *h, struct series *s, struct point p)
{
    if (!reserve_batch(h, s->staged_first < 0)) {
        return -1;
    }
    int32_t i = (int32_t)h->n_staged++;
    h->staged[i] = (struct staged){.s = s, .p = p, .next = -1, .state = STAGED_OPEN};
    if (s->staged_first < 0) {
        h->touched[h->n_touched++] = s;
        s->staged_first = i;
    } else {
        h->staged[s->staged_last].next = i;
    }
    s->staged_last = i;
    return i;
}

void history_exchange(struct history *h, struct mono now)
{
    h->now = now;
    if (!h->store) {
        for (size_t i = 0; i < h->n_staged; i++) {
            h->staged[i].state =
                h->staged[i].state == STAGED_OPEN ? STAGED_CONFIRMED : h->staged[i].state;
        }
        return;
    }
    bool up = store_connection(h->store) != NULL;
    if (!up || exchange_is_needed(h, now, true)) {
        exchange_run(h, now, true);
    }
}

enum window_push history_admit(struct history *h, int i)
{
    if (i < 0 || (size_t)i >= h->n_staged) {
        return WINDOW_NO_MEMORY;
    }
    struct staged *r = &h->staged[i];
    struct series *s = r->s;
    bool failed = r->state == STAGED_FAILED || r->state == STAGED_OPEN;
    if (!s || r->state == STAGED_VOID || r->state == STAGED_DONE) {
        return WINDOW_LATE;
    }
    size_t over = 0;
    struct wall newest = window_newest(s->window);
    enum window_push push = window_push(s->window, r->p, NULL, &over);
    count_add(COUNT_POINTS_DROPPED, over);
    r->state = STAGED_DONE;
    if (push == WINDOW_NO_MEMORY) {
        series_forget(s); /* what Valkey confirmed is read again when there is memory */
    } else if (failed && (push == WINDOW_APPENDED || push == WINDOW_INSERTED)) {
        series_add_pending(s, r->p, push, newest);
    }
    return push;
}

void history_reset_batch(struct history *h)
{
    for (size_t i = 0; i < h->n_staged; i++) {
        struct staged *r = &h->staged[i];
        if (r->s && r->state == STAGED_CONFIRMED && h->store) {
            series_forget(r->s); /* the value has what the window has not */
        }
    }
    for (size_t i = 0; i < h->n_touched; i++) {
        if (h->touched[i]) {
            h->touched[i]->staged_first = h->touched[i]->staged_last = -1;
        }
    }
    h->n_staged = h->n_touched = 0;
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

void history_load_devices(struct history *h,
                          void (*visit)(void *ctx, struct text field, struct text value),
                          void *ctx)
{
    side_load(&h->side, visit, ctx);
}
