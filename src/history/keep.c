/* What Valkey did not take, and state_dir does meanwhile (backlog.h). */
#include <string.h>

#include "base/counters.h"
#include "history/internal.h"

/* --- what is kept --- */

void keep_batch(struct history *h)
{
    if (!backlog_is_open(&h->backlog)) {
        return;
    }
    for (size_t i = 0; i < h->n_touched; i++) {
        struct series *s = h->touched[i];
        h->extra.n = 0;
        for (int32_t k = s ? s->staged_first : -1; k >= 0; k = h->staged[k].next) {
            if (h->staged[k].waits && points_put(&h->extra, h->staged[k].p) != BRINK_OK) {
                h->backlog.stale = true; /* a renewal will have it */
            }
        }
        if (h->extra.n > 0) {
            backlog_put_points(&h->backlog, (struct text){s->key, s->key_n}, h->extra.p,
                               h->extra.n);
        }
    }
}

/* With `inbox: 0` what is about to be in Valkey is noted before it is there, and until it
 * was decided on: after a kill the windows are read back without it, and the broker sends
 * it again, so that it is decided on as in an undisturbed run. What a list that is yet to
 * be read may hold already is noted once that was read, and only if it does not: a
 * reading that was decided on and comes again must not be taken for one that was not,
 * should there be another kill. */
void keep_begin(struct history *h)
{
    struct backlog *b = &h->backlog;
    if (!h->keeps_all || !backlog_is_open(b)) {
        return;
    }
    for (size_t i = 0; i < h->n_touched; i++) {
        struct series *s = h->touched[i];
        bool is_read = s && (s->flags & S_LOADED);
        h->extra.n = 0;
        for (int32_t k = is_read ? s->staged_first : -1; k >= 0; k = h->staged[k].next) {
            struct staged *r = &h->staged[k];
            enum window_push would = window_would(s->window, r->p);
            bool is_new = would == WINDOW_APPENDED || would == WINDOW_INSERTED;
            if (!is_new || r->noted || r->stored) {
                continue;
            }
            if (points_put(&h->extra, r->p) != BRINK_OK) {
                return; /* the exchange fails for the same reason */
            }
            r->noted = true;
        }
        backlog_put_begin(b, series_key(s), h->extra.p, is_read ? h->extra.n : 0);
    }
    h->began = h->began || b->begins.n > 0;
    backlog_write_begins(b, h->now);
}

/* While the backlog holds anything, it holds each device's newest line: so the one that
 * it gives back after a restart is never older than Valkey's. With `inbox: 0` it always
 * does, so that also a start without Valkey forgets nothing. */
void keep_device(struct history *h, struct text field, struct text value)
{
    bool waits = !store_connection(h->store) || h->side.load.visit;
    if (waits || h->keeps_all || backlog_holds(&h->backlog)) {
        backlog_put_device(&h->backlog, field, value);
    }
}

static void put_device(void *ctx, struct text field, struct text value)
{
    backlog_put_device(ctx, field, value);
}

/* Since when do its readings wait, for Valkey or, where that has them, for its rules to
 * be evaluated? Those look at the newest. False: none do. */
static bool waits_from(const struct series *s, int64_t *ret_from)
{
    bool rules_wait = (s->flags & S_LOADED) && (s->flags & S_WANTED);
    *ret_from = s->pending > 0 ? s->unconfirmed_from : window_newest(s->window).us;
    return s->pending > 0 || (rules_wait && window_count(s->window) > 0);
}

/* Everything that waits, as the new file. */
static void renew(struct history *h, struct mono now)
{
    struct backlog *b = &h->backlog;
    int64_t from;
    backlog_begin_renewal(b);
    backlog_put_begun(b);
    for (struct link *l = h->all.next; l != &h->all; l = l->next) {
        struct series *s = series_of(l, all);
        if (!waits_from(s, &from)) {
            continue;
        }
        if (!series_split_window(s, from, false)) {
            b->out.failed = true;
        }
        backlog_put_points(b, (struct text){s->key, s->key_n}, h->extra.p, h->extra.n);
    }
    if (h->keeps_all && h->each_device) {
        h->each_device(h->each_device_ctx, h);
    } else {
        side_each_device(&h->side, put_device, b);
    }
    backlog_renew(b, now);
}

void history_keep_device(struct history *h, struct text field, struct text value)
{
    backlog_put_device(&h->backlog, field, value);
}

void history_keeps_devices(struct history *h, void (*each)(void *ctx, struct history *h),
                           void *ctx)
{
    h->each_device = each;
    h->each_device_ctx = ctx;
}

void history_keep(struct history *h, struct mono now, uint64_t batch)
{
    struct backlog *b = &h->backlog;
    if (!backlog_is_open(b)) {
        return;
    }
    if (h->keep_devices) {
        h->keep_devices = false;
        side_each_device(&h->side, put_device, b);
    }
    if (!backlog_holds(b) || b->left.n > 0) {
        return;
    }
    if (h->began) {
        h->began = false;
        backlog_put_end(b);
    }
    /* What Valkey took and nobody decided on yet still waits: after a kill it is known
     * from here alone that it is to be. */
    bool no_points = h->pending_points == 0 && h->n_due == 0 && !link_linked(&h->changed);
    if (no_points && !h->side.first && !h->keeps_all) {
        backlog_empty(b, now);
    } else if (batch == 0 && (backlog_is_renewal(b, now) ||
                              (no_points && b->has_points && !b->stale))) {
        renew(h, now); /* readings that Valkey took are not to be written again */
    } else if (b->out.n > 0) {
        backlog_write(b, now, batch);
    }
    backlog_sync(b, now);
}

/* --- what the last run left --- */

static void device_left(void *ctx, struct text field, struct text value)
{
    struct history *h = ctx;
    side_put_device(&h->side, h->now, field, value);
}

enum brink_status keep_open(struct history *h, const char *state_dir, uint64_t committed)
{
    enum brink_status status =
        state_dir ? backlog_open(&h->backlog, state_dir, committed, device_left, h)
                  : BRINK_OK;
    bool known = committed != BACKLOG_COMMITTED_UNKNOWN;
    h->last_batch = known ? committed : h->backlog.batch;
    return status == BRINK_E_IO ? BRINK_OK : status; /* told; it goes on without */
}

void keep_take(struct series *s)
{
    struct left_points *l = backlog_take(&s->h->backlog, series_key(s));
    for (size_t i = 0; l && i < l->points.n; i++) {
        size_t over = 0;
        struct wall newest = window_newest(s->window);
        enum window_push push = window_push(s->window, l->points.p[i], NULL, &over);
        count_add(COUNT_POINTS_DROPPED, over);
        if (push == WINDOW_APPENDED || push == WINDOW_INSERTED) {
            series_add_pending(s, l->points.p[i], push, newest);
        }
    }
    left_points_free(l);
}

uint64_t history_last_batch(const struct history *h)
{
    return h->last_batch;
}

void history_each_left_device(struct history *h,
                              bool (*visit)(void *ctx, struct text field,
                                            struct text value),
                              void *ctx)
{
    side_keep_devices(&h->side, visit, ctx);
}

void history_take_left_windows(struct history *h,
                               void (*visit)(void *ctx, struct text tenant,
                                             struct text rule, struct text device),
                               void *ctx)
{
    struct backlog *b = &h->backlog;
    struct buffer key = {0}, tenant = {0};
    struct left_points *l;
    struct text rule, device;
    for (size_t i = 0; (l = map_next(&b->left, &i));) {
        buffer_clear(&key); /* a copy: the series that is opened frees it */
        buffer_put(&key, l->key, l->key_n);
        if (history_key_parse(buffer_view(&key), &tenant, &rule, &device)) {
            visit(ctx, buffer_view(&tenant), rule, device);
        }
    }
    buffer_finish(&key);
    buffer_finish(&tenant);
    size_t dropped = 0;
    for (size_t i = 0; (l = map_next(&b->left, &i));) {
        dropped += l->points.n;
        (void)map_remove(&b->left, (struct text){l->key, l->key_n});
        left_points_free(l);
    }
    if (dropped > 0) {
        count_add(COUNT_BACKLOG_LEFT, dropped);
        log_event(LOG_LEVEL_WARNING,
                  "readings that waited for valkey belong to no rule any more, dropping "
                  "them",
                  LOG_I("readings", dropped));
    }
}
