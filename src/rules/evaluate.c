#include "rules/evaluate.h"

struct context {
    const struct devices *devices;
    struct instance *instance;
    const struct moment *moment;
    bool by_time; /* stale values are left out: what remains true, time alone sustains */
    bool store_unknown; /* out: a window, or what is stored of the device, could not be
                           read */
    bool degraded;      /* out */
};

static const struct cell *cell_of(const struct context *c, const struct expr *e)
{
    const struct instance *i = c->instance;
    return device_cell(i->device, i->rule->metrics[slot_metric(e)].number);
}

/* What this run has not heard may stand in the store. */
static bool unread(struct context *c)
{
    bool is_unread = device_is_unread(c->devices, c->instance->device);
    c->store_unknown = c->store_unknown || is_unread;
    return is_unread;
}

static bool latest(void *ctx, const struct expr *e, double *ret_value)
{
    struct context *c = ctx;
    const struct cell *cell = c->by_time ? NULL : cell_of(c, e);
    if (!cell || !cell->known) {
        (void)(!c->by_time && unread(c));
        return false;
    }
    *ret_value = cell->value;
    return true;
}

static bool window(void *ctx, const struct expr *e, double *ret_value)
{
    struct context *c = ctx;
    const struct series *s = c->instance->series[slot_metric(e)];
    const struct rules_hooks *hooks = c->devices->hooks;
    if (!s || !hooks->readable(s)) {
        c->store_unknown = true;
        return false;
    }
    c->degraded = c->degraded || hooks->degraded(s);
    const struct window *w = hooks->window(s);
    if (c->by_time && !span_is_empty(w, slot_span(e), c->moment->now)) {
        return false;
    }
    return span_value(w, slot_span(e), e->fn, e->number, c->instance->rule->min_points,
                      c->moment->now, ret_value);
}

static enum truth absent(void *ctx, const struct expr *e)
{
    struct context *c = ctx;
    const struct cell *cell = cell_of(c, e);
    /* A metric that the device never sent is not missed: the gap begins behind a reading.
     */
    if (!cell || !cell->known) {
        return unread(c) ? TRUTH_UNKNOWN : TRUTH_FALSE;
    }
    bool gone = c->moment->silence_us - cell->seen_us >= e->width_us;
    return gone ? TRUTH_TRUE : TRUTH_FALSE;
}

static enum truth silent(void *ctx, const struct expr *e)
{
    struct context *c = ctx;
    const struct device *device = c->instance->device;
    if (c->moment->silence_us - device->seen_us >= e->width_us) {
        return TRUTH_TRUE;
    }
    /* One that is not heard in this run is silent for longer than this run is. */
    return !device_was_heard(device) && unread(c) ? TRUTH_UNKNOWN : TRUTH_FALSE;
}

static void environment(struct context *c, struct expr_env *env);

static bool lasts_by_time(const struct context *c, const struct expr *condition)
{
    struct context alone = *c;
    struct expr_env env;
    alone.by_time = true;
    environment(&alone, &env);
    return expr_evaluate(condition, &env, NULL) == TRUTH_TRUE;
}

static enum truth held(void *ctx, const struct expr *e, enum truth now)
{
    struct context *c = ctx;
    struct held *h = &instance_held(c->instance)[e->slot];
    const struct moment *m = c->moment;
    if (c->by_time) { /* only asks; the timer itself was moved by the full evaluation */
        return now == TRUTH_TRUE && h->complete ? TRUTH_TRUE : TRUTH_UNKNOWN;
    }
    if (now == TRUTH_FALSE) {
        *h = (struct held){.broken = true};
        return TRUTH_FALSE;
    }
    if (now == TRUTH_UNKNOWN) {
        if (h->onset.us != 0 && h->unknown_since.us == 0) {
            h->unknown_since = m->now;
        }
        return TRUTH_UNKNOWN;
    }
    if (h->onset.us == 0) {
        h->onset = m->by_reading ? m->at : m->now;
    } else if (h->unknown_since.us != 0 && m->now.us > h->unknown_since.us) {
        h->onset.us +=
            m->now.us - h->unknown_since.us; /* time spent unknown does not count */
    }
    h->unknown_since.us = 0;
    if (!h->complete) {
        struct wall at = m->by_reading ? m->at : m->now;
        h->complete = at.us - h->onset.us >= e->width_us &&
                      (m->by_reading || lasts_by_time(c, e->left));
    }
    if (!h->complete && !h->broken && unread(c)) {
        return TRUTH_UNKNOWN;
    }
    return h->complete ? TRUTH_TRUE : TRUTH_FALSE;
}

static void environment(struct context *c, struct expr_env *env)
{
    *env = (struct expr_env){c, latest, window, absent, silent, held};
}

/* The silence clock at the last reading of any metric that the rule names; of a rule that
 * names none, at the last message. */
static int64_t last_data(const struct instance *i)
{
    const struct rule *r = i->rule;
    int64_t last = r->n_metrics > 0 ? INT64_MIN : i->device->seen_us;
    for (size_t m = 0; m < r->n_metrics; m++) {
        const struct cell *cell = device_cell(i->device, r->metrics[m].number);
        last = cell && cell->seen_us > last ? cell->seen_us : last;
    }
    return last == INT64_MIN ? i->device->seen_us : last;
}

void instance_evaluate(const struct devices *d, struct instance *i,
                       const struct moment *m, struct evaluation *ret)
{
    const struct rule *r = i->rule;
    struct context c = {.devices = d, .instance = i, .moment = m};
    struct expr_env env;
    environment(&c, &env);
    *ret = (struct evaluation){0};
    ret->when = expr_evaluate(r->when, &env, &ret->when_reason);
    if (r->clear) {
        ret->clear = expr_evaluate(r->clear, &env, &ret->clear_reason);
    } else {
        ret->clear = truth_not(ret->when);
        ret->clear_reason = ret->when_reason;
    }
    ret->store_unknown = c.store_unknown;
    ret->degraded = c.degraded;
    if (!m->by_reading) {
        ret->when_by_time = ret->when == TRUTH_TRUE && lasts_by_time(&c, r->when);
        if (ret->clear == TRUTH_TRUE && r->clear) {
            ret->clear_by_time = lasts_by_time(&c, r->clear);
        } else if (ret->clear == TRUTH_TRUE) {
            struct context alone = c;
            alone.by_time = true;
            environment(&alone, &env);
            ret->clear_by_time = expr_evaluate(r->when, &env, NULL) == TRUTH_FALSE;
        }
    }
    /* A rule that waits for the store has data; one that is unknown otherwise has not. */
    if (ret->when != TRUTH_UNKNOWN || ret->store_unknown) {
        i->unknown_us = NOT_UNKNOWN;
    } else if (i->unknown_us == NOT_UNKNOWN) {
        i->unknown_us = m->silence_us;
    }
    if (r->no_data_after_us > 0 && r->on_no_data == ON_NO_DATA_RESOLVE) {
        ret->no_data = !ret->store_unknown &&
                       (m->silence_us - last_data(i) >= r->no_data_after_us ||
                        (i->unknown_us != NOT_UNKNOWN &&
                         m->silence_us - i->unknown_us >= r->no_data_after_us));
    }
}

static void earlier(int64_t *due, int64_t at, int64_t after)
{
    if (at > after && at < *due) {
        *due = at;
    }
}

int64_t instance_due(const struct devices *d, const struct instance *i, struct wall after)
{
    const struct rule *r = i->rule;
    int64_t due = INT64_MAX;
    for (size_t m = 0; r->has_window && m < r->n_metrics; m++) {
        const struct window *w = i->series[m] ? d->hooks->window(i->series[m]) : NULL;
        if (!w || window_count(w) == 0) {
            continue;
        }
        for (size_t k = 0; k < r->metrics[m].window.n_spans; k++) {
            int64_t width = r->metrics[m].window.spans[k].width_us;
            if (width > 0) {
                earlier(&due, window_newest(w).us + width, after.us);
            }
        }
    }
    for (size_t h = 0; h < r->n_held; h++) {
        if (instance_held(i)[h].onset.us != 0 && !instance_held(i)[h].complete) {
            earlier(&due, instance_held(i)[h].onset.us + r->held_us[h], after.us);
        }
    }
    return due;
}

int64_t instance_silence_due(const struct instance *i, int64_t after_us)
{
    const struct rule *r = i->rule;
    int64_t due = INT64_MAX;
    for (size_t k = 0; k < r->n_silences; k++) {
        const struct silence_bound *b = &r->silences[k];
        const struct cell *cell =
            b->metric < 0 ? NULL : device_cell(i->device, r->metrics[b->metric].number);
        if (b->metric < 0) {
            earlier(&due, i->device->seen_us + b->width_us, after_us);
        } else if (cell && cell->known) {
            earlier(&due, cell->seen_us + b->width_us, after_us);
        }
    }
    if (r->on_no_data == ON_NO_DATA_RESOLVE && r->no_data_after_us > 0 &&
        i->alert.phase != ALERT_INACTIVE) {
        earlier(&due, last_data(i) + r->no_data_after_us, after_us);
        if (i->unknown_us != NOT_UNKNOWN) {
            earlier(&due, i->unknown_us + r->no_data_after_us, after_us);
        }
    }
    return due;
}

const struct window *instance_window(const struct devices *d, const struct instance *i,
                                     size_t metric)
{
    return i->series[metric] ? d->hooks->window(i->series[metric]) : NULL;
}
