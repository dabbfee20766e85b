/* Alert storms (SPEC 6.6): what a tenant may publish, what waits, and what is said of it.
 *
 * The one summary is an alert of its own, of the rule "@storm" (no rule can be named so)
 * and the gateway as its device: OPEN with the first event that is held back, REPEATED
 * once a `within` while more come, ESCALATED when a more severe one does, CLOSED when
 * nothing waits any more and there is room again. It takes no place itself. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/number.h"

#define STORM_RULE "@storm"
#define RULES_TOLD 10

static enum severity severity_of(const struct instance *i)
{
    return i->alert.escalated ? i->rule->escalate_to : i->rule->severity;
}

int64_t storm_place(const struct instance *i)
{
    /* The most severe first; of those, the one that was held back first. */
    int64_t before = SEVERITY_CRITICAL - (int64_t)severity_of(i);
    return before << 60 | (int64_t)(i->alert.withheld & ((UINT64_C(1) << 60) - 1));
}

/* --- what is said --- */

static int by_rule(const void *a, const void *b)
{
    return strcmp((*(const struct rule *const *)a)->id,
                  (*(const struct rule *const *)b)->id);
}

static int by_number(const void *a, const void *b)
{
    const struct alert_held_rule *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->rule, y->rule);
}

/* The rules of most of those that wait; as many as there is memory and room for. */
static size_t count_rules(const struct storm *s, struct alert_held_rule *out)
{
    size_t n = s->cause.withheld.n, n_out = 0;
    const struct rule **rules = calloc(n ? n : 1, sizeof *rules);
    struct alert_held_rule *all = calloc(n ? n : 1, sizeof *all);
    for (size_t k = 0; rules && all && k < n; k++) {
        rules[k] = instance_of_withheld(s->cause.withheld.items[k + 1])->rule;
    }
    if (rules && all && n > 0) {
        qsort(rules, n, sizeof *rules, by_rule);
        for (size_t k = 0; k < n; k++) {
            if (k == 0 || strcmp(rules[k]->id, rules[k - 1]->id) != 0) {
                all[n_out++].rule = rules[k]->id;
            }
            all[n_out - 1].n++;
        }
        qsort(all, n_out, sizeof *all, by_number);
        n_out = n_out < RULES_TOLD ? n_out : RULES_TOLD;
        memcpy(out, all, n_out * sizeof *all);
    }
    free(rules);
    free(all);
    return n_out;
}

static void print_message(const struct storm *s, enum alert_event_type event,
                          const struct storm_limit *limit, const struct alert_held *held,
                          struct buffer *out)
{
    char within[NUMBER_BYTES];
    number_print_duration(limit->within_us, within);
    if (event == ALERT_CLOSED) {
        buffer_format(out, "alert storm is over: %zu alert events were held back",
                      (size_t)s->held_back);
        return;
    }
    buffer_format(out, "alert storm: more than %u alerts within %s, ", limit->alerts,
                  within);
    if (event == ALERT_OPEN) {
        buffer_cstring(out, "further ones are held back");
        return;
    }
    buffer_format(out, "%zu alert events held back so far, %zu alerts wait",
                  (size_t)held->events, held->waiting);
    for (size_t k = 0; k < held->n_rules; k++) {
        buffer_format(out, "%s%s %zu", k == 0 ? ": " : ", ", held->rules[k].rule,
                      held->rules[k].n);
    }
}

static void say(struct pipeline *p, struct storm *s, enum alert_event_type event)
{
    static const struct expr more = {.kind = EXPR_GT};
    const struct storm_limit *limit = &p->gate.storms.limit;
    struct alert_held_rule rules[RULES_TOLD];
    struct alert_held held = {s->held_back, s->cause.withheld.n, rules, 0};
    struct buffer message = {0}, expression = {0};
    held.n_rules = count_rules(s, rules);
    print_message(s, event, limit, &held, &message);
    buffer_format(&expression, "alerts > %u", limit->alerts);
    s->told += event != ALERT_CLOSED;
    s->told_at = p->gate.at.wall;
    s->told_held_back = s->held_back;
    const struct alert_facts f = {
        .event = event,
        .alert_type = "EXPRESSION",
        .tenant = s->tenant.p,
        .device = p->config->gateway.id,
        .rule = STORM_RULE,
        .rule_name = "Alert storm",
        .gateway = p->config->gateway.id,
        .severity = s->worst,
        .text = buffer_cstr(&message),
        .onset = s->onset,
        .triggered_at = s->onset,
        .event_at = p->gate.at.wall,
        .trigger_count = s->told,
        .expression = buffer_cstr(&expression),
        .comparison = &more,
        .values_known = true,
        .left = (double)s->taken + (double)held.waiting,
        .right = limit->alerts,
        .now = p->gate.at.wall,
        .held = &held,
    };
    announce(p, &f, NULL, &s->retained);
    log_event(LOG_LEVEL_WARNING,
              event == ALERT_CLOSED ? "alert storm is over"
              : event == ALERT_OPEN ? "alert storm begins"
                                    : "alert storm goes on",
              LOG_T("tenant", s->tenant), LOG_I("held_back", s->held_back),
              LOG_I("waiting", held.waiting));
    buffer_finish(&message);
    buffer_finish(&expression);
}

/* --- state --- */

static void store(struct pipeline *p, const struct storm *s)
{
    buffer_clear(&p->text);
    if (s->cause.active || s->n_slots > 0) {
        storm_print(s, &p->text);
    }
    p->sink.state(p->sink.ctx, TEXT(STORM_RULE), s->tenant, TEXT(""),
                  buffer_view(&p->text));
}

bool storm_restore(struct pipeline *p, struct text name, struct text tenant,
                   struct text value)
{
    if (!text_equal(name, TEXT(STORM_RULE))) {
        return false;
    }
    if (storms_restore(&p->gate.storms, tenant, value) != BRINK_OK) {
        log_limited(&p->limit_state, p->now.mono, LOG_LEVEL_WARNING,
                    "stored budget of alerts is unreadable, beginning anew",
                    LOG_T("tenant", tenant));
        p->sink.state(p->sink.ctx, name, tenant, TEXT(""), TEXT(""));
    }
    return true;
}

/* --- places --- */

struct storm *storm_of(struct pipeline *p, const struct instance *i)
{
    struct storms *storms = &p->gate.storms;
    struct text tenant = text_of(i->device->owner->name);
    struct storm *s = storms->limit.alerts > 0 ? storms_find(storms, tenant) : NULL;
    if (s || storms->limit.alerts == 0) {
        return s;
    }
    s = storms_add(storms, tenant);
    if (!s) {
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "no memory to count a tenant's alerts, not bounding them",
                    LOG_T("tenant", tenant));
    }
    return s;
}

bool storm_lets_pass(struct pipeline *p, struct storm *s)
{
    bool taken = storm_take(&p->gate.storms, s, p->gate.at.wall);
    if (taken) {
        storm_schedule(&p->gate.storms, s);
        store(p, s);
    }
    return taken;
}

void storm_note(struct pipeline *p, struct storm *s, const struct instance *i)
{
    enum severity severity = severity_of(i);
    bool first = !s->cause.active, worse = severity > s->worst;
    s->held_back++;
    if (first) {
        s->cause.active = true;
        s->onset = p->gate.at.wall;
        s->worst = severity;
        say(p, s, ALERT_OPEN);
    } else if (worse) {
        s->worst = severity;
        say(p, s, ALERT_ESCALATED);
    }
    storm_schedule(&p->gate.storms, s);
    store(p, s);
}

/* --- time --- */

/* What waits goes out, as far as there is room; then the storm may be over. */
void storm_turn(struct pipeline *p, struct storm *s)
{
    struct storms *storms = &p->gate.storms;
    struct heap_item *first;
    bool room = storm_has_room(storms, s, p->gate.at.wall);
    while (room && (first = heap_first(&s->cause.withheld))) {
        gate_release(p, instance_of_withheld(first));
        room = storm_has_room(storms, s, p->gate.at.wall);
    }
    if (s->cause.active && room) {
        say(p, s, ALERT_CLOSED);
        s->cause.active = false;
        s->onset.us = 0;
        s->held_back = s->told_held_back = 0;
        s->told = 0;
    } else if (storm_news_due(storms, s) <= p->gate.at.wall.us) {
        say(p, s, ALERT_REPEATED);
    }
    store(p, s);
    if (!s->cause.active && s->n_slots == 0) {
        storms_drop(storms, s);
    } else {
        storm_schedule(storms, s);
    }
}

static int by_tenant(const void *a, const void *b)
{
    return text_compare((*(struct storm *const *)a)->tenant,
                        (*(struct storm *const *)b)->tenant);
}

void storms_turn_all(struct pipeline *p)
{
    struct storms *storms = &p->gate.storms;
    size_t n = 0;
    struct storm *s, **list = calloc(storms->by_tenant.n + 1, sizeof *list);
    for (size_t at = 0; list && (s = map_next(&storms->by_tenant, &at));) {
        list[n++] = s;
    }
    if (n > 1) {
        qsort(list, n, sizeof *list, by_tenant);
    }
    for (size_t k = 0; k < n; k++) {
        storm_turn(p, list[k]);
    }
    free(list); /* no memory: each has its turn at its own time */
}
