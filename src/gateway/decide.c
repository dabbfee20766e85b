/* From a rule's evaluation to the events of its alert. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "alert/machine.h"
#include "alert/payload.h"
#include "base/counters.h"

/* --- payload and topic --- */

struct topic_names {
    const struct alert_facts *facts;
    const struct device *device; /* NULL: not known any more */
};

static bool topic_name(void *ctx, struct text name, struct text *ret_value)
{
    const struct alert_facts *f = ((struct topic_names *)ctx)->facts;
    const struct {
        struct text name;
        const char *value;
    } names[] = {
        {TEXT("tenant"), f->tenant},
        {TEXT("device"), f->device},
        {TEXT("rule"), f->rule},
        {TEXT("severity"), severity_name(f->severity)},
        {TEXT("event_type"), alert_event_name(f->event)},
        {TEXT("gateway"), f->gateway},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_equal(name, names[i].name)) {
            *ret_value = text_of(names[i].value);
            return true;
        }
    }
    /* Another level of the device's topic; one that it never had is empty. */
    const struct device *device = ((struct topic_names *)ctx)->device;
    const char *label = device ? device_label(device, name) : NULL;
    *ret_value = text_of(label ? label : "");
    return true;
}

static void list_window(struct alert_facts *f, const struct devices *d,
                        const struct instance *i, const struct expr *e)
{
    if (e->kind == EXPR_WINDOW && f->n_windows < ALERT_WINDOWS_MAX) {
        f->windows[f->n_windows++] = (struct alert_window){
            .metric = e->metric,
            .fn = e->fn,
            .width_us = e->width_us,
            .last = e->count,
            .window = instance_window(d, i, slot_metric(e)),
            .span = slot_span(e),
        };
    }
    if (e->left) {
        list_window(f, d, i, e->left);
    }
    if (e->right) {
        list_window(f, d, i, e->right);
    }
}

/* The rule's and the device's part; the caller adds the event's. */
static void describe(const struct pipeline *p, const struct instance *i,
                     struct alert_facts *f)
{
    const struct rule *r = i->rule;
    *f = (struct alert_facts){
        .alert_type = r->type_name,
        .tenant = i->device->tenant,
        .device = i->device->id,
        .site = i->device->site,
        .rule = r->id,
        .rule_name = r->name,
        .gateway = p->config->gateway.id,
        .severity = i->alert.escalated ? r->escalate_to : r->severity,
        .message = r->message,
        .onset = i->alert.onset,
        .triggered_at = i->alert.triggered_at,
        .trigger_count = i->alert.trigger_count,
        .degraded = i->alert.degraded,
        .label_keys = r->label_keys.items,
        .label_values = r->label_values.items,
        .n_labels = r->label_keys.n,
        .expression = r->expression,
    };
}

static void clear_retained(struct pipeline *p, struct text topic)
{
    const struct outgoing out = {topic, TEXT(""), p->config->alerts.qos, true, NULL};
    p->sink.event(p->sink.ctx, &out);
}

/* An active alert is retained on one topic at a time, that of its last event
 * (SPEC 6.4). Severity, labels and the configuration may change meanwhile, and with them
 * the topic: so it is noted which one it was, and that one is cleared. */
static void note_retained(struct pipeline *p, struct text topic, bool closed,
                          char **retained)
{
    bool keeps = p->config->alerts.retain;
    struct text was = *retained ? text_of(*retained) : topic;
    if (closed) {
        if (keeps || *retained) {
            clear_retained(p, was);
        }
        free(*retained);
        *retained = NULL;
    } else if (keeps && (!*retained || !text_equal(was, topic))) {
        if (*retained) {
            clear_retained(p, was);
        }
        free(*retained);
        *retained = text_dup(topic);
    }
}

/* retained: of the alert; kept up to date. */
static void publish(struct pipeline *p, const struct alert_facts *f,
                    const struct device *device, char **retained)
{
    static const enum counter counters[] = {COUNT_ALERTS_OPEN, COUNT_ALERTS_CLOSED,
                                            COUNT_ALERTS_REPEATED,
                                            COUNT_ALERTS_ESCALATED};
    struct topic_names names = {f, device};
    buffer_clear(&p->payload);
    buffer_clear(&p->topic);
    alert_payload_print(f, &p->payload);
    enum brink_status status =
        topic_expand(text_of(p->config->alerts.topic), topic_name, &names, &p->topic);
    if (status != BRINK_OK || !buffer_ok(&p->payload) || !buffer_ok(&p->topic)) {
        log_limited(&p->limit_topic, p->now.mono, LOG_LEVEL_ERROR,
                    "alert has no topic or no memory, dropping it",
                    LOG_S("rule", f->rule), LOG_S("tenant", f->tenant),
                    LOG_S("device", f->device));
        return;
    }
    count(counters[f->event]);
    bool closed = f->event == ALERT_CLOSED;
    const struct outgoing out = {buffer_view(&p->topic), buffer_view(&p->payload),
                                 p->config->alerts.qos,
                                 p->config->alerts.retain && !closed, f};
    p->sink.event(p->sink.ctx, &out);
    note_retained(p, out.topic, closed, retained);
}

/* --- state --- */

static void store_state(struct pipeline *p, struct instance *i)
{
    bool keep = i->alert.phase == ALERT_FIRING || i->alert.cooldown_until.us != 0;
    if (!keep && !i->stored) {
        return;
    }
    buffer_clear(&p->text);
    if (keep) {
        alert_state_print(i, p->now, &p->text);
    }
    p->sink.state(p->sink.ctx, text_of(i->rule->id), text_of(i->device->tenant),
                  text_of(i->device->id), buffer_view(&p->text));
    i->stored = keep;
}

static bool same_state(const struct alert_state *a, const struct alert_state *b)
{
    return a->phase == b->phase && a->onset.us == b->onset.us &&
           a->unknown_since.us == b->unknown_since.us && a->complete == b->complete &&
           a->clear_onset.us == b->clear_onset.us &&
           a->cooldown_until.us == b->cooldown_until.us &&
           a->published_at.us == b->published_at.us && a->escalated == b->escalated;
}

/* --- the decision --- */

static struct alert_policy policy_of(const struct rule *r)
{
    return (struct alert_policy){
        .for_us = r->for_us,
        .keep_firing_for_us = r->keep_firing_for_us,
        .cooldown_us = r->cooldown_us,
        .repeat_us = r->repeat_us,
        .escalates = r->escalates,
        .escalate_after_us = r->escalate_after_us,
    };
}

void decide(struct pipeline *p, struct instance *i, const struct moment *m)
{
    const struct rule *r = i->rule;
    const struct alert_policy policy = policy_of(r);
    struct evaluation e;
    struct alert_state before = i->alert;
    enum alert_event_type events[ALERT_EVENTS_MAX];
    instance_evaluate(&p->devices, i, m, &e);
    count(COUNT_EVALUATIONS);
    if (e.store_unknown && e.when == TRUTH_UNKNOWN) {
        count(COUNT_UNKNOWN_STORE);
    }
    i->evaluated = true;
    const struct alert_input input = {
        .when = e.when,
        .clear = e.clear,
        .by_reading = m->by_reading,
        .at = m->at,
        .now = m->now,
        .when_by_time = e.when_by_time,
        .clear_by_time = e.clear_by_time,
        .no_data = e.no_data,
    };
    size_t n = alert_step(&i->alert, &policy, &input, events);
    for (size_t k = 0; k < n; k++) {
        struct alert_facts f;
        if (events[k] == ALERT_OPEN) {
            i->alert.degraded = e.degraded;
        }
        describe(p, i, &f);
        if (events[k] == ALERT_CLOSED) { /* the state is cleared by now */
            f.onset = before.onset;
            f.triggered_at = before.triggered_at;
            f.trigger_count = before.trigger_count;
            f.severity = before.escalated ? r->escalate_to : r->severity;
            f.reason = input.no_data ? "no_data" : NULL;
        }
        const struct expr_reason *why =
            events[k] == ALERT_CLOSED && r->clear ? &e.clear_reason : &e.when_reason;
        f.comparison = why->comparison;
        f.values_known = why->known;
        f.left = why->left;
        f.right = why->right;
        f.event = events[k];
        f.degraded = e.degraded; /* each event says how it itself was decided */
        f.event_at = m->now;
        f.now = m->now;
        list_window(&f, &p->devices, i, r->when);
        publish(p, &f, i->device, &i->retained);
    }
    if (i->alert.phase == ALERT_INACTIVE && i->alert.cooldown_until.us != 0 &&
        i->alert.cooldown_until.us <= m->now.us) {
        i->alert.cooldown_until.us = 0;
    }
    if (!same_state(&before, &i->alert)) {
        store_state(p, i);
        if (n > 0 && events[0] == ALERT_OPEN && r->cooldown_us > 0) {
            history_put_cooldown(p->history, text_of(i->device->tenant), text_of(r->id),
                                 text_of(i->device->id), r->cooldown_us);
        }
    }
    schedule(p, i);
}

/* When the instance is due by time alone, in the units of both clocks that matter to it,
 * and its place in the heap. The place may be earlier than need be: it is looked at again
 * then. */
void schedule(struct pipeline *p, struct instance *i)
{
    const struct rule *r = i->rule;
    const struct alert_policy policy = policy_of(r);
    struct mono now = p->now.mono;
    struct wall device_time = device_now(i->device, now);
    int64_t silence = silence_now(&p->devices.silence, now);
    i->due_wall = i->due_silence = INT64_MAX;
    if (device_time.us != INT64_MIN) {
        int64_t due = instance_due(&p->devices, i, device_time);
        i->due_wall = alert_due(&i->alert, &policy, device_time).us;
        i->due_wall = due < i->due_wall ? due : i->due_wall;
    }
    int64_t left = instance_silence_left(i, silence);
    i->due_silence = left < INT64_MAX - silence ? silence + left : INT64_MAX;

    int64_t due = INT64_MAX;
    if (i->due_wall != INT64_MAX) {
        due = i->device->newest_arrived.us + (i->due_wall - i->device->newest.us);
    }
    if (left != INT64_MAX && p->devices.silence.runs && now.us + left < due) {
        due = now.us + left;
    }
    if (due == INT64_MAX || (i->timer.place != 0 && i->timer.due <= due)) {
        return;
    }
    if (heap_set(&p->devices.timers, &i->timer, due) != BRINK_OK) {
        log_limited(&p->limit_memory, now, LOG_LEVEL_ERROR,
                    "no memory for a timer, ignoring it", LOG_S("rule", r->id),
                    LOG_S("device", i->device->id));
    }
}

/* --- alerts that end for another reason than their condition --- */

void close_leaving(struct pipeline *p, struct instance *i, const char *reason)
{
    if (i->alert.phase == ALERT_FIRING) {
        struct alert_facts f;
        describe(p, i, &f);
        f.event = ALERT_CLOSED;
        f.event_at = f.now = device_now(i->device, p->now.mono);
        f.reason = reason;
        publish(p, &f, i->device, &i->retained);
    }
    i->alert = (struct alert_state){0};
    store_state(p, i);
}

void close_saved(struct pipeline *p, struct saved_alert *saved, struct text rule,
                 struct text tenant, struct text device)
{
    char *names[] = {text_dup(rule), text_dup(tenant), text_dup(device)};
    if (saved->state.phase == ALERT_FIRING && names[0] && names[1] && names[2]) {
        const char *reason = map_get(&p->rules->by_id, rule)      ? "out_of_scope"
                             : map_get(&p->rules->disabled, rule) ? "rule_disabled"
                                                                  : "rule_removed";
        int64_t since = p->now.wall.us - saved->arrived.us;
        const struct alert_facts f = {
            .event = ALERT_CLOSED,
            .alert_type = saved->type ? saved->type : "EXPRESSION",
            .tenant = names[1],
            .device = names[2],
            .site = saved->site,
            .rule = names[0],
            .rule_name = saved->name ? saved->name : names[0],
            .gateway = p->config->gateway.id,
            .severity = saved->severity,
            .onset = saved->state.onset,
            .triggered_at = saved->state.triggered_at,
            .event_at = {saved->newest.us + (since > 0 ? since : 0)},
            .trigger_count = saved->state.trigger_count,
            .degraded = saved->state.degraded,
            .reason = reason,
        };
        publish(p, &f, devices_find(&p->devices, tenant, device), &saved->retained);
    }
    for (size_t k = 0; k < 3; k++) {
        free(names[k]);
    }
    p->sink.state(p->sink.ctx, rule, tenant, device, (struct text){"", 0});
}
