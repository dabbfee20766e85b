#include "prove/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/number.h"
#include "expr/expr.h"
#include "prove/spread.h"

#define COMPARISONS_MAX 8 /* of one rule, whose values are looked at */
#define NOISIEST 5        /* devices told of each rule */

struct firings {
    size_t n, open;
    int64_t total_us, longest_us;
};

struct device_entry {
    struct device_entry *next; /* of the same rule */
    struct firings firings;
    size_t name; /* where the device's name begins in key */
    size_t key_n;
    char key[]; /* "rule tenant/device" */
};

struct rule_entry {
    const struct rule *rule;
    struct firings firings;
    struct device_entry *devices;
    size_t n_devices;
    uint64_t evaluations[3]; /* by enum truth */
    struct comparison {
        const struct expr *expr;
        struct spread left;
    } comparisons[COMPARISONS_MAX];
    size_t n_comparisons;
};

struct summary {
    struct rule_entry *rules;
    size_t n_rules;
    struct map by_id, devices;
    struct buffer key;
};

enum brink_status summary_new(const struct ruleset *rules, struct summary **ret_summary)
{
    struct summary *s = calloc(1, sizeof *s);
    bool whole = s && (s->rules = calloc(rules->n_rules + 1, sizeof *s->rules));
    for (size_t i = 0; whole && i < rules->n_rules; i++) {
        struct rule_entry *r = &s->rules[s->n_rules++];
        r->rule = rules->rules[i];
        whole = map_put(&s->by_id, text_of(r->rule->id), r) == BRINK_OK;
    }
    if (!whole) {
        summary_free(s);
        return BRINK_E_NOMEM;
    }
    *ret_summary = s;
    return BRINK_OK;
}

void summary_free(struct summary *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n_rules; i++) {
        struct rule_entry *r = &s->rules[i];
        for (size_t k = 0; k < r->n_comparisons; k++) {
            spread_finish(&r->comparisons[k].left);
        }
        for (struct device_entry *d = r->devices, *next; d; d = next) {
            next = d->next;
            free(d);
        }
    }
    free(s->rules);
    map_finish(&s->by_id);
    map_finish(&s->devices);
    buffer_finish(&s->key);
    free(s);
}

/* --- counting --- */

static struct device_entry *device_entry(struct summary *s, struct rule_entry *r,
                                         struct text tenant, struct text device)
{
    buffer_clear(&s->key);
    buffer_cstring(&s->key, r->rule->id);
    buffer_char(&s->key, ' ');
    size_t name = s->key.n;
    buffer_text(&s->key, tenant);
    buffer_char(&s->key, '/');
    buffer_text(&s->key, device);
    if (!buffer_ok(&s->key)) {
        return NULL;
    }
    struct device_entry *d = map_get(&s->devices, buffer_view(&s->key));
    if (d) {
        return d;
    }
    d = calloc(1, sizeof *d + s->key.n + 1);
    if (!d) {
        return NULL;
    }
    memcpy(d->key, s->key.p, s->key.n);
    d->key_n = s->key.n;
    d->name = name;
    if (map_put(&s->devices, (struct text){d->key, d->key_n}, d) != BRINK_OK) {
        free(d);
        return NULL;
    }
    d->next = r->devices;
    r->devices = d;
    r->n_devices++;
    return d;
}

static void add_time(struct firings *f, int64_t us)
{
    us = us > 0 ? us : 0;
    f->total_us += us;
    f->longest_us = us > f->longest_us ? us : f->longest_us;
}

bool summary_event(struct summary *s, const struct alert_facts *f)
{
    struct rule_entry *r = map_get(&s->by_id, text_of(f->rule));
    if (!r || (f->event != ALERT_OPEN && f->event != ALERT_CLOSED)) {
        return true;
    }
    struct device_entry *d = device_entry(s, r, text_of(f->tenant), text_of(f->device));
    if (!d) {
        return false;
    }
    struct firings *both[] = {&r->firings, &d->firings};
    for (size_t i = 0; i < 2; i++) {
        if (f->event == ALERT_OPEN) {
            both[i]->n++;
        } else {
            add_time(both[i], f->event_at.us - f->triggered_at.us);
        }
    }
    return true;
}

bool summary_still_firing(struct summary *s, struct text rule, struct text tenant,
                          struct text device, const struct alert_state *alert,
                          struct wall now)
{
    struct rule_entry *r = map_get(&s->by_id, rule);
    struct device_entry *d = r ? device_entry(s, r, tenant, device) : NULL;
    if (!r || alert->phase != ALERT_FIRING) {
        return true;
    }
    if (!d) {
        return false;
    }
    struct firings *both[] = {&r->firings, &d->firings};
    for (size_t i = 0; i < 2; i++) {
        both[i]->open++;
        add_time(both[i], now.us - alert->triggered_at.us);
    }
    return true;
}

static struct spread *spread_of(struct rule_entry *r, const struct expr *comparison)
{
    for (size_t i = 0; i < r->n_comparisons; i++) {
        if (r->comparisons[i].expr == comparison) {
            return &r->comparisons[i].left;
        }
    }
    if (r->n_comparisons == COMPARISONS_MAX) {
        return NULL;
    }
    r->comparisons[r->n_comparisons].expr = comparison;
    return &r->comparisons[r->n_comparisons++].left;
}

bool summary_evaluated(struct summary *s, const struct rule *rule,
                       const struct evaluation *e)
{
    struct rule_entry *r = map_get(&s->by_id, text_of(rule->id));
    if (!r) {
        return true;
    }
    r->evaluations[e->when]++;
    const struct expr_reason *why = &e->when_reason;
    struct spread *spread = why->known && alert_operator(why->comparison)
                                ? spread_of(r, why->comparison)
                                : NULL;
    return !spread || spread_add(spread, why->left);
}

/* --- telling --- */

static void put_duration(struct buffer *out, int64_t us)
{
    static const struct {
        int64_t us;
        char unit;
    } units[] = {
        {INT64_C(86400) * US_PER_S, 'd'}, {3600 * US_PER_S, 'h'}, {60 * US_PER_S, 'm'}};
    int64_t rest = (us + US_PER_S / 2) / US_PER_S * US_PER_S;
    if (us < 10 * US_PER_S) {
        buffer_format(out, "%.1fs", (double)us / (double)US_PER_S);
        return;
    }
    int told = 0; /* two units say enough */
    for (size_t i = 0; i < 3 && told < 2; i++) {
        if (rest >= units[i].us) {
            buffer_format(out, "%s%lld%c", told ? " " : "",
                          (long long)(rest / units[i].us), units[i].unit);
            rest %= units[i].us;
            told++;
        }
    }
    if (told < 2 && (rest > 0 || told == 0)) {
        buffer_format(out, "%s%llds", told ? " " : "", (long long)(rest / US_PER_S));
    }
}

static void put_firings(struct buffer *out, const struct firings *f)
{
    buffer_format(out, "%zu time%s", f->n, f->n == 1 ? "" : "s");
    if (f->n > 0 || f->open > 0) {
        buffer_cstring(out, ", for ");
        put_duration(out, f->total_us);
        buffer_cstring(out, " in all, ");
        put_duration(out, f->longest_us);
        buffer_cstring(out, " the longest");
    }
    if (f->open > 0) {
        buffer_format(out, ", %zu still firing at the end", f->open);
    }
}

static int by_noise(const void *a, const void *b)
{
    const struct device_entry *x = *(struct device_entry *const *)a,
                              *y = *(struct device_entry *const *)b;
    if (x->firings.n != y->firings.n) {
        return x->firings.n > y->firings.n ? -1 : 1;
    }
    if (x->firings.total_us != y->firings.total_us) {
        return x->firings.total_us > y->firings.total_us ? -1 : 1;
    }
    return strcmp(x->key, y->key);
}

static enum brink_status put_devices(struct buffer *out, const struct rule_entry *r)
{
    struct device_entry **sorted =
        calloc(r->n_devices + 1, sizeof(struct device_entry *));
    size_t n = 0;
    if (!sorted) {
        return BRINK_E_NOMEM;
    }
    for (struct device_entry *d = r->devices; d; d = d->next) {
        sorted[n++] = d;
    }
    if (n > 1) {
        qsort(sorted, n, sizeof *sorted, by_noise);
    }
    for (size_t i = 0; i < n && i < NOISIEST; i++) {
        char name[256];
        text_escape(text_of(sorted[i]->key + sorted[i]->name), name, sizeof name);
        buffer_format(out, "    %s: ", name);
        put_firings(out, &sorted[i]->firings);
        buffer_char(out, '\n');
    }
    if (n > NOISIEST) {
        buffer_format(out, "    and %zu more devices\n", n - NOISIEST);
    }
    free(sorted);
    return BRINK_OK;
}

static void put_number(struct buffer *out, const char *name, double v)
{
    buffer_format(out, "  %s %.6g", name, v);
}

static void put_spread(struct buffer *out, const struct comparison *c)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"1%", .01},  {"5%", .05},  {"25%", .25}, {"50%", .5},
                  {"75%", .75}, {"95%", .95}, {"99%", .99}};
    if (c->left.n == 0) {
        return;
    }
    buffer_cstring(out, "  ");
    expr_print(c->expr, out);
    buffer_format(out, "\n    %llu values on the left:", (unsigned long long)c->left.n);
    put_number(out, "least", c->left.least);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        put_number(out, shares[i].name, spread_quantile(&c->left, shares[i].share));
    }
    put_number(out, "most", c->left.most);
    buffer_char(out, '\n');
}

static enum brink_status put_rule(struct buffer *out, const struct rule_entry *r)
{
    const uint64_t *e = r->evaluations;
    uint64_t all = e[TRUTH_FALSE] + e[TRUTH_TRUE] + e[TRUTH_UNKNOWN];
    buffer_format(out, "%s: ", r->rule->id);
    put_firings(out, &r->firings);
    buffer_char(out, '\n');
    enum brink_status status = put_devices(out, r);
    if (all == 0) {
        buffer_cstring(out, "  never evaluated: no device that it covers sent a metric "
                            "that it names\n");
    } else {
        buffer_format(
            out, "  evaluated %llu times: true %llu, false %llu, unknown %llu\n",
            (unsigned long long)all, (unsigned long long)e[TRUTH_TRUE],
            (unsigned long long)e[TRUTH_FALSE], (unsigned long long)e[TRUTH_UNKNOWN]);
    }
    for (size_t i = 0; i < r->n_comparisons; i++) {
        put_spread(out, &r->comparisons[i]);
    }
    return status;
}

enum brink_status summary_print(const struct summary *s,
                                bool (*wanted)(void *ctx, struct text rule), void *ctx,
                                struct buffer *out)
{
    enum brink_status status = BRINK_OK;
    for (size_t i = 0; status == BRINK_OK && i < s->n_rules; i++) {
        if (!wanted || wanted(ctx, text_of(s->rules[i].rule->id))) {
            status = put_rule(out, &s->rules[i]);
        }
    }
    return status == BRINK_OK && !buffer_ok(out) ? BRINK_E_NOMEM : status;
}
