/* An alert's event on its way out: what is told of it, and on which topic. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"

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
    if (expr_operands(e->kind) > 0) {
        list_window(f, d, i, e->left);
    }
    if (expr_operands(e->kind) == 2) {
        list_window(f, d, i, e->right);
    }
}

static bool latest_value(const void *ctx, size_t metric, double *ret)
{
    const struct instance *i = ctx;
    const struct cell *cell = device_cell(i->device, i->rule->metrics[metric].number);
    if (!cell || !cell->known) {
        return false;
    }
    *ret = cell->value;
    return true;
}

void describe(const struct pipeline *p, const struct instance *i, struct alert_facts *f)
{
    const struct rule *r = i->rule;
    *f = (struct alert_facts){
        .alert_type = r->type_name,
        .tenant = i->device->owner->name,
        .device = i->device->id,
        .site = i->device->site,
        .rule = r->id,
        .rule_name = r->name,
        .gateway = p->config->gateway.id,
        .severity = i->alert.escalated ? r->escalate_to : r->severity,
        .message = r->message,
        .metric = latest_value,
        .metric_ctx = i,
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

void describe_event(const struct pipeline *p, const struct instance *i,
                    const struct evaluation *e, enum alert_event_type event,
                    struct wall now, struct alert_facts *f)
{
    const struct rule *r = i->rule;
    const struct expr_reason *why =
        event == ALERT_CLOSED && r->clear ? &e->clear_reason : &e->when_reason;
    describe(p, i, f);
    f->comparison = why->comparison;
    f->values_known = why->known;
    f->left = why->left;
    f->right = why->right;
    f->event = event;
    f->degraded = e->degraded; /* each event says how it itself was decided */
    f->event_at = f->now = now;
    list_window(f, &p->devices, i, r->when);
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

void announce_of(struct pipeline *p, const struct alert_facts *f, struct instance *i)
{
    char *retained = instance_retained(i);
    announce(p, f, i->device, &retained);
    (void)instance_set_retained(i, retained); /* without memory as without a copy of it */
}

void announce(struct pipeline *p, const struct alert_facts *f,
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
