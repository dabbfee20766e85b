/* The interface of one series, and the batch: stage, exchange, admit. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "history/internal.h"

/* --- series --- */

int64_t history_ttl_us(const struct window_spec *spec)
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
    return (by_count && ttl_ms < TTL_COUNT_MS ? TTL_COUNT_MS : ttl_ms) * US_PER_MS;
}

enum brink_status series_new(struct history *h, struct text key,
                             const struct window_spec *spec, void *user,
                             struct series **ret_series)
{
    if (key.n > UINT16_MAX) {
        return BRINK_E_LIMIT;
    }
    size_t bytes = offsetof(struct series, key) + key.n;
    struct series *s = calloc(1, bytes > sizeof *s ? bytes : sizeof *s);
    struct window *w = s ? window_new(spec) : NULL;
    if (!w) {
        free(s);
        return BRINK_E_NOMEM;
    }
    s->h = h;
    s->window = w;
    s->spec = spec;
    s->user = user;
    s->unconfirmed_from = INT64_MAX;
    s->staged_first = s->staged_last = -1;
    s->key_n = (uint16_t)key.n;
    memcpy(s->key, key.p, key.n);
    link_init(&s->due);
    link_init(&s->changed);
    link_append(&h->all, &s->all);
    h->n_series++;
    if (!h->store) {
        s->flags = S_LOADED;
    }
    keep_take(s);
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

/* Does the window lack what a killed run began with and the broker will send again? */
static bool lacks_begun(const struct series *s)
{
    const struct backlog *b = &s->h->backlog;
    return b->begun.n > 0 && s->staged_first < 0 && map_get(&b->begun, series_key(s));
}

bool series_readable(const struct series *s)
{
    return (is_confirmed(s) || series_degraded(s)) && !lacks_begun(s);
}

bool series_waits(const struct series *s)
{
    return s->pending > 0 && !s->h->fallback_memory;
}

void series_revisit(struct series *s)
{
    if (s->h->store && s->h->state != STORE_STATE_UP) {
        s->flags |= S_WANTED;
        series_due(s);
    }
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
    if (!s->h->store || s->pending > 0 || (s->flags & (S_RESTART | S_WANTED)) ||
        s->staged_first >= 0 || s->shift_us != 0) {
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
    if (!(s->flags & S_RESTART) || window_count(s->window) > 0) {
        s->restart_newest = window_newest(s->window).us;
    }
    window_clear(s->window);
    backlog_end_series(&h->backlog, series_key(s));
    h->backlog.stale =
        h->backlog.stale || (s->pending > 0 && backlog_is_open(&h->backlog));
    h->pending_points -= s->pending;
    s->pending = 0;
    s->unconfirmed_from = INT64_MAX;
    s->shift_us = 0;
    s->flags &= (uint8_t) ~(S_EXACT | S_WANTED | S_VERIFY | S_MIXED);
    s->flags |= S_LOADED | S_RESTART;
    if (h->store) {
        series_due(s);
    } else {
        s->flags = S_LOADED;
    }
}

bool series_is_restarting(const struct series *s)
{
    return (s->flags & S_RESTART) != 0;
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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool history_key_parse(struct text key, struct buffer *tenant, struct text *ret_rule,
                       struct text *ret_device)
{
    const struct text head = TEXT("wbuf:");
    if (key.n < head.n || memcmp(key.p, head.p, head.n) != 0) {
        return false;
    }
    const char *end = key.p + key.n, *p = key.p + head.n;
    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *rule = colon ? colon + 1 : end;
    const char *second = memchr(rule, ':', (size_t)(end - rule));
    if (!colon || !second) {
        return false;
    }
    buffer_clear(tenant);
    for (; p < colon; p++) {
        int high = *p == '%' && colon - p > 2 ? hex_digit(p[1]) : -1;
        int low = high >= 0 ? hex_digit(p[2]) : -1;
        buffer_char(tenant, low >= 0 ? (char)(high * 16 + low) : *p);
        p += low >= 0 ? 2 : 0;
    }
    const char *device = second + 1;
    const char *slash = memchr(device, '/', (size_t)(end - device));
    *ret_rule = (struct text){rule, (size_t)(second - rule)};
    *ret_device = (struct text){device, (size_t)((slash ? slash : end) - device)};
    return buffer_ok(tenant) && tenant->n > 0 && ret_device->n > 0;
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

void history_need(struct history *h, struct series *s)
{
    if (!h->store || (s->flags & S_LOADED) || s->staged_first >= 0) {
        return;
    }
    series_want(s);
    if (store_connection(h->store) && reserve_batch(h, true)) {
        h->touched[h->n_touched++] = s;
    }
}

/* The window of such a series lacks some of what its list holds. */
static void forget_begun(struct history *h)
{
    for (size_t i = 0; h->backlog.begun.n > 0 && i < h->n_touched; i++) {
        if (h->touched[i] && map_get(&h->backlog.begun, series_key(h->touched[i]))) {
            series_forget(h->touched[i]);
        }
    }
}

void history_end_begun(struct history *h, void (*visit)(void *ctx, void *user), void *ctx)
{
    for (struct link *l = h->all.next; h->backlog.begun.n > 0 && l != &h->all;
         l = l->next) {
        struct series *s = series_of(l, all);
        const struct left_points *begun = map_get(&h->backlog.begun, series_key(s));
        if (begun) { /* another kill is to find that they wait */
            backlog_put_points(&h->backlog, series_key(s), begun->points.p,
                               begun->points.n);
            series_forget(s);
            series_want(s);
            visit(ctx, s->user);
        }
    }
    h->began = h->began || h->backlog.begun.n > 0;
    backlog_end_all(&h->backlog);
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
    forget_begun(h);
    keep_begin(h);
    bool up = store_connection(h->store) != NULL;
    if (!up || exchange_is_needed(h, now)) {
        exchange_run(h, now, false);
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
    h->began = h->began || h->backlog.begun.n > 0; /* what is noted changes */
    backlog_end(&h->backlog, series_key(s), r->p);
    if (push == WINDOW_NO_MEMORY) {
        series_forget(s); /* what Valkey confirmed is read again when there is memory */
    } else if (push == WINDOW_APPENDED || push == WINDOW_INSERTED) {
        /* Valkey may have taken it and be gone since: then its rules wait all the same.
         */
        r->waits = failed || (h->store && h->state != STORE_STATE_UP);
        if (failed) {
            series_add_pending(s, r->p, push, newest);
        }
    }
    return push;
}

void history_reset_batch(struct history *h)
{
    keep_batch(h);
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
