/* Which metric a rule's plain keys hold (SPEC 5.1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fields.h"
#include "gateway/engine.h"

/* States in the outbox: (rule, "", "") is "metric\nttl until", the times in microseconds;
 * (this and the rule, tenant, device) that the device's lists started anew since. No rule
 * can have such an id. */
#define RENEWED "@lists/"
/* Of a state that does not say: what the widest window may come to. */
#define TTL_MAX_US (2 * EXPR_WIDTH_MAX_US)

struct first_metric {
    char *rule, *metric; /* metric NULL: only its devices were read back yet */
    int64_t ttl_us;      /* the longest that any of its lists was ever to be kept */
    bool changed;
    struct mono until;  /* changed: until then a list of the metric before may be left */
    struct map renewed; /* changed: "tenant/device", copies, of those that have none */
};

/* --- the set of devices --- */

static void put_renewed(struct pipeline *p, const struct first_metric *f,
                        struct text tenant, struct text device, bool renewed)
{
    buffer_clear(&p->text);
    buffer_cstring(&p->text, RENEWED);
    buffer_cstring(&p->text, f->rule);
    if (buffer_ok(&p->text)) {
        p->sink.state(p->sink.ctx, buffer_view(&p->text), tenant, device,
                      renewed ? TEXT("1") : TEXT(""));
    }
}

static bool add_renewed(struct first_metric *f, struct text field)
{
    char *copy = map_get(&f->renewed, field) ? NULL : text_dup(field);
    if (copy && map_put(&f->renewed, text_of(copy), copy) != BRINK_OK) {
        free(copy);
        copy = NULL;
    }
    return copy != NULL;
}

/* stored: the outbox forgets them as well. */
static void drop_renewed(struct pipeline *p, struct first_metric *f, bool stored)
{
    char *field;
    for (size_t i = 0; (field = map_next(&f->renewed, &i));) {
        struct text device = text_of(field);
        struct text tenant = fields_cut(&device, '/');
        if (stored) {
            put_renewed(p, f, tenant, device, false);
        }
        free(field);
    }
    map_finish(&f->renewed);
}

/* --- the rule --- */

static struct first_metric *first_of(struct pipeline *p, struct text rule)
{
    struct first_metric *f = map_get(&p->firsts, rule);
    if (f) {
        return f;
    }
    f = calloc(1, sizeof *f);
    if (!f || !(f->rule = text_dup(rule)) ||
        map_put(&p->firsts, text_of(f->rule), f) != BRINK_OK) {
        if (f) {
            free(f->rule);
        }
        free(f);
        return NULL;
    }
    return f;
}

static void store(struct pipeline *p, const struct first_metric *f)
{
    int64_t left = f->until.us - p->now.mono.us;
    buffer_clear(&p->text);
    buffer_format(&p->text, "%s\n%lld %lld", f->metric, (long long)f->ttl_us,
                  (long long)(f->changed ? p->now.wall.us + left : 0));
    if (buffer_ok(&p->text)) {
        p->sink.state(p->sink.ctx, text_of(f->rule), TEXT(""), TEXT(""),
                      buffer_view(&p->text));
    }
}

/* The last list of the metric before is gone by itself. */
static void expire(struct pipeline *p, struct first_metric *f)
{
    if (f->changed && p->now.mono.us >= f->until.us) {
        f->changed = false;
        store(p, f);
    }
    if (!f->changed && f->renewed.n > 0) {
        drop_renewed(p, f, true);
    }
}

static void compare(struct pipeline *p, const struct rule *r, const struct rule_metric *m)
{
    struct first_metric *f = first_of(p, text_of(r->id));
    int64_t ttl_us = history_ttl_us(&m->window);
    if (!f) {
        return; /* out of memory: as if it had not changed */
    }
    bool other = f->metric && strcmp(f->metric, m->name) != 0;
    if (f->metric && !other && ttl_us <= f->ttl_us) {
        return;
    }
    if (other) {
        log_event(LOG_LEVEL_WARNING,
                  "rule's first metric changed, its windows start anew",
                  LOG_S("rule", r->id), LOG_S("was", f->metric), LOG_S("is", m->name));
        drop_renewed(p, f, true);
        f->changed = true;
        f->until.us = p->now.mono.us + f->ttl_us;
    }
    if (!f->metric || other) {
        char *copy = text_dup(text_of(m->name));
        if (!copy) {
            return;
        }
        free(f->metric);
        f->metric = copy;
    }
    f->ttl_us = ttl_us > f->ttl_us ? ttl_us : f->ttl_us;
    store(p, f);
}

void first_metrics_compare(struct pipeline *p)
{
    struct first_metric *f;
    for (size_t i = 0; (f = map_next(&p->firsts, &i));) {
        expire(p, f);
    }
    for (size_t k = 0; k < p->rules->n_rules; k++) {
        const struct rule *r = p->rules->rules[k];
        for (size_t m = 0; m < r->n_metrics; m++) {
            if (r->metrics[m].is_first_series) {
                compare(p, r, &r->metrics[m]);
            }
        }
    }
}

void first_metrics_store(struct pipeline *p)
{
    struct first_metric *f;
    for (size_t i = 0; (f = map_next(&p->firsts, &i));) {
        if (f->metric && f->changed) {
            store(p, f);
        }
    }
}

/* --- the devices --- */

bool first_metric_is_new(struct pipeline *p, const struct instance *i)
{
    struct first_metric *f = map_get(&p->firsts, text_of(i->rule->id));
    return f && f->changed && p->now.mono.us < f->until.us &&
           !map_get(&f->renewed, text_of(i->device->field));
}

void first_metric_settle(struct pipeline *p, struct instance *i)
{
    if (!i->renewing) {
        return;
    }
    for (size_t m = 0; m < i->rule->n_metrics; m++) {
        if (i->series[m] && series_is_restarting(i->series[m])) {
            return;
        }
    }
    struct first_metric *f = map_get(&p->firsts, text_of(i->rule->id));
    i->renewing = false;
    if (f && f->changed && add_renewed(f, text_of(i->device->field))) {
        put_renewed(p, f, text_of(i->device->owner->name), text_of(i->device->id), true);
    }
}

void first_metrics_forget(struct pipeline *p, const struct device *device)
{
    struct first_metric *f;
    for (size_t i = 0; (f = map_next(&p->firsts, &i));) {
        char *field =
            f->renewed.n > 0 ? map_remove(&f->renewed, text_of(device->field)) : NULL;
        if (field) {
            put_renewed(p, f, text_of(device->owner->name), text_of(device->id), false);
            free(field);
        }
    }
}

void first_metrics_free(struct pipeline *p)
{
    struct first_metric *f;
    for (size_t i = 0; (f = map_next(&p->firsts, &i));) {
        drop_renewed(p, f, false);
        free(f->rule);
        free(f->metric);
        free(f);
    }
    map_finish(&p->firsts);
}

/* --- the last run --- */

static bool cut_prefix(struct text *rule)
{
    size_t n = strlen(RENEWED);
    bool has = rule->n > n && memcmp(rule->p, RENEWED, n) == 0;
    if (has) {
        rule->p += n;
        rule->n -= n;
    }
    return has;
}

bool pipeline_is_own_state(struct text rule, struct text tenant, struct text device)
{
    return (tenant.n == 0 && device.n == 0) || (rule.n > 0 && rule.p[0] == '@');
}

static void restore_metric(struct pipeline *p, struct first_metric *f, struct text value)
{
    int64_t until = 0;
    char *copy = text_dup(fields_cut(&value, '\n'));
    free(f->metric);
    f->metric = copy;
    if (!fields_int(fields_cut(&value, ' '), &f->ttl_us) || f->ttl_us < 0 ||
        f->ttl_us > TTL_MAX_US) {
        f->ttl_us = TTL_MAX_US;
    }
    /* Across a restart by the wall clock, but never more than was left at most. */
    f->changed = fields_int(value, &until) && until > p->now.wall.us;
    if (f->changed) {
        int64_t left = until - p->now.wall.us;
        f->until.us = p->now.mono.us + (left < f->ttl_us ? left : f->ttl_us);
    }
}

void pipeline_restore_own(struct pipeline *p, struct text rule, struct text tenant,
                          struct text device, struct text value)
{
    if (gate_restore(p, rule, tenant, value)) {
        return;
    }
    bool renewed = cut_prefix(&rule);
    struct first_metric *f = first_of(p, rule);
    if (f && !renewed) {
        restore_metric(p, f, value);
        return;
    }
    buffer_clear(&p->text);
    buffer_text(&p->text, tenant);
    buffer_char(&p->text, '/');
    buffer_text(&p->text, device);
    if (f && buffer_ok(&p->text)) {
        (void)!add_renewed(f, buffer_view(&p->text));
    }
}

void pipeline_compare_rules(struct pipeline *p, struct instant now)
{
    p->now = now;
    first_metrics_compare(p);
    p->sink.commit(p->sink.ctx, now.mono);
}
