#include "gateway/orders.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/engine.h"

/* An order is decided at its moment, after all that is due by then. */
static void begin(struct pipeline *p, struct instant now)
{
    p->now = now;
    gate_advance(p);
}

static void commit(struct pipeline *p)
{
    gate_settle(p);
    p->sink.commit(p->sink.ctx, p->now.mono);
}

/* --- silences --- */

enum brink_status pipeline_silence(struct pipeline *p, const struct silence_order *order,
                                   struct instant now, const char **ret_why,
                                   char ret_id[SILENCE_ID_BYTES])
{
    struct silence *silence = NULL;
    begin(p, now);
    enum brink_status status =
        silences_add(&p->gate.silences, order, p->gate.at.wall, ret_why, &silence);
    if (status) {
        return status;
    }
    gate_store_silence(p, silence);
    commit(p);
    char until[CLOCK_ISO_BYTES];
    wall_format_iso(silence->until, until);
    log_event(LOG_LEVEL_INFO, "silenced", LOG_S("id", silence->id),
              LOG_T("tenant", order->tenant), LOG_T("rule", order->rule),
              LOG_T("device", order->device), LOG_S("until", until),
              LOG_T("by", order->by), LOG_T("comment", order->comment));
    memcpy(ret_id, silence->id, SILENCE_ID_BYTES);
    return BRINK_OK;
}

enum brink_status pipeline_expire_silence(struct pipeline *p, struct text id,
                                          struct instant now)
{
    begin(p, now);
    struct silence *silence = silences_by_id(&p->gate.silences, id);
    if (!silence) {
        return BRINK_E_RANGE;
    }
    log_event(LOG_LEVEL_INFO, "silence expired by hand", LOG_S("id", silence->id));
    silence_end(&p->gate.silences, silence);
    gate_store_silence(p, silence);
    gate_end(p, &silence->cause);
    commit(p);
    return BRINK_OK;
}

void pipeline_each_silence(const struct pipeline *p,
                           void (*visit)(void *ctx, const struct silence *silence),
                           void *ctx)
{
    for (size_t k = 0; k < p->gate.silences.n; k++) {
        visit(ctx, p->gate.silences.items[k]);
    }
}

/* --- acknowledgements --- */

static struct instance *find(const struct pipeline *p, struct text tenant,
                             struct text device, struct text rule)
{
    const struct device *known = devices_find(&p->devices, tenant, device);
    return known ? device_instance(known, rule) : NULL;
}

static enum brink_status find_firing(const struct pipeline *p,
                                     const struct acknowledge_order *order,
                                     const char **ret_why, struct instance **ret_instance)
{
    struct instance *i = find(p, order->tenant, order->device, order->rule);
    if (!i || i->alert.phase != ALERT_FIRING) {
        *ret_why = "no such alert is firing";
        return BRINK_E_RANGE;
    }
    char id[ALERT_ID_BYTES];
    alert_id_print(i->rule->id, i->device->owner->name, i->device->id, i->alert.onset,
                   id);
    if (order->alert_id.n > 0 && !text_equal(order->alert_id, text_of(id))) {
        *ret_why = "that alert has ended, another one is firing in its place";
        return BRINK_E_STATE;
    }
    *ret_instance = i;
    return BRINK_OK;
}

enum brink_status pipeline_acknowledge(struct pipeline *p,
                                       const struct acknowledge_order *order,
                                       struct instant now, const char **ret_why)
{
    struct instance *i = NULL;
    begin(p, now);
    if (!silence_text_is_clean(order->by, ACKNOWLEDGED_BY_BYTES_MAX, false) ||
        !silence_text_is_clean(order->comment, ACKNOWLEDGED_COMMENT_BYTES_MAX, true)) {
        *ret_why = "who or why is too long, not UTF-8, or holds control characters";
        return BRINK_E_SYNTAX;
    }
    enum brink_status status = find_firing(p, order, ret_why, &i);
    if (status) {
        return status;
    }
    struct acknowledgement *ack =
        acknowledgement_new(p->gate.at.wall, order->by, order->comment);
    if (!ack || !instance_set_ack(i, ack)) {
        *ret_why = "out of memory";
        return BRINK_E_NOMEM;
    }
    store_state(p, i);
    commit(p);
    log_event(LOG_LEVEL_INFO, "alert acknowledged", LOG_T("tenant", order->tenant),
              LOG_T("device", order->device), LOG_T("rule", order->rule),
              LOG_T("by", order->by), LOG_T("comment", order->comment));
    return BRINK_OK;
}

enum brink_status pipeline_withdraw(struct pipeline *p,
                                    const struct acknowledge_order *order,
                                    struct instant now, const char **ret_why)
{
    struct instance *i = NULL;
    begin(p, now);
    enum brink_status status = find_firing(p, order, ret_why, &i);
    if (status == BRINK_OK && !instance_ack(i)) {
        *ret_why = "it is not acknowledged";
        status = BRINK_E_RANGE;
    }
    if (status) {
        return status;
    }
    (void)instance_set_ack(i, NULL);
    store_state(p, i);
    gate_reconsider(p, i);
    commit(p);
    log_event(LOG_LEVEL_INFO, "acknowledgement withdrawn", LOG_T("tenant", order->tenant),
              LOG_T("device", order->device), LOG_T("rule", order->rule));
    return BRINK_OK;
}

/* --- why --- */

static void name_cause(const struct mute_cause *cause, const struct instance *i,
                       struct muting *m)
{
    m->muted = true;
    m->kind = cause->kind;
    switch (cause->kind) {
    case MUTE_MAINTENANCE: {
        const struct maintenance *window = (const void *)cause;
        m->name = window->name;
        m->until = window->next;
        break;
    }
    case MUTE_SILENCE: {
        const struct silence *silence = (const void *)cause;
        m->name = silence->id;
        m->until = silence->until;
        break;
    }
    case MUTE_INHIBITED:
        m->name = ((const struct inhibitor *)(const void *)cause)->entry->source.s;
        break;
    case MUTE_ACKNOWLEDGED: {
        const struct acknowledgement *ack = instance_ack(i);
        m->name = ack ? ack->by : "";
        break;
    }
    case MUTE_STORM:
        m->name = i->device->owner->name;
        m->until.us = ((const struct storm *)(const void *)cause)->timer.due;
        break;
    }
}

enum brink_status pipeline_muting(struct pipeline *p, struct text tenant,
                                  struct text device, struct text rule,
                                  struct muting *ret_muting)
{
    const struct instance *i = find(p, tenant, device, rule);
    if (!i) {
        return BRINK_E_RANGE;
    }
    *ret_muting = (struct muting){
        .firing = i->alert.phase == ALERT_FIRING,
        .published = i->alert.published,
        .withheld = instance_muted_by(i) != NULL,
        .ack = instance_ack(i),
    };
    const struct mute_cause *cause = instance_muted_by(i);
    cause = cause ? cause : gate_cause_of_next(p, i);
    if (cause) {
        name_cause(cause, i, ret_muting);
    }
    return BRINK_OK;
}
