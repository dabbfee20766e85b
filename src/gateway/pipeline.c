/* A batch on its way through the gateway. Read this file first. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/number.h"

#define SORTED_BY_HAND_MAX 16 /* rules that a message touches */

static const struct window *window_of(const struct series *s)
{
    return series_window(s);
}

static void replaced(void *ctx, struct instance *to, struct instance *from)
{
    if (!to) { /* else the reload looks at all that is withheld anew */
        gate_forget(ctx, from);
    }
}

static void leaving(void *ctx, struct instance *i, const char *reason)
{
    close_leaving(ctx, i, reason);
}

enum brink_status pipeline_new(const struct config *config, struct ruleset *rules,
                               struct history *history, const struct pipeline_sink *sink,
                               struct instant now, struct pipeline **ret_pipeline)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p) {
        return BRINK_E_NOMEM;
    }
    struct gate_plan plan = {0};
    enum brink_status status =
        decoder_new(config->telemetry, config->n_telemetry, &p->decoder);
    status = status == BRINK_OK ? gate_plan_init(&plan, config, rules) : status;
    p->scratch = calloc(ruleset_values_max(rules) + 1, sizeof *p->scratch);
    if (status != BRINK_OK || !p->scratch) {
        gate_plan_finish(&plan);
        decoder_free(p->decoder);
        free(p->scratch);
        free(p);
        return status != BRINK_OK ? status : BRINK_E_NOMEM;
    }
    p->config = config;
    p->rules = rules;
    p->history = history;
    p->sink = *sink;
    p->batch = history_last_batch(history);
    p->now = now;
    p->clock_us = now.wall.us - now.mono.us;
    p->last_message = p->subscribed_at = now.mono;
    p->next_save.us = now.mono.us + SAVE_DEVICES_US;
    p->hooks = (struct rules_hooks){
        .ctx = p,
        .open = open_series,
        .close = series_free,
        .window = window_of,
        .readable = series_readable,
        .degraded = series_degraded,
        .unload = series_unload,
        .restart = series_restart,
        .shift = series_shift,
        .inherit = series_inherit,
        .replaced = replaced,
        .leaving = leaving,
    };
    devices_init(&p->devices, rules, &p->hooks);
    p->devices.unread = history_is_kept(history);
    history_keeps_devices(history, keep_all_devices, p);
    apply_limits(p);
    gate_init(p, now);
    gate_take_plan(p, &plan);
    *ret_pipeline = p;
    return BRINK_OK;
}

void pipeline_free(struct pipeline *p)
{
    if (!p) {
        return;
    }
    gate_finish(p);
    devices_finish(&p->devices);
    decoder_free(p->decoder);
    ruleset_free(p->rules);
    first_metrics_free(p);
    free(p->messages);
    free(p->values);
    free(p->touches);
    free(p->touched);
    free(p->scratch);
    buffer_finish(&p->payload);
    buffer_finish(&p->topic);
    buffer_finish(&p->text);
    buffer_finish(&p->window_key);
    free(p);
}

const struct config *pipeline_config(const struct pipeline *p)
{
    return p->config;
}

/* Room for `more` further items in an array that only grows. */
static bool reserve(void *items, size_t *cap, size_t n, size_t more, size_t size)
{
    if (n + more <= *cap) {
        return true;
    }
    size_t want = *cap ? *cap * 2 : 64;
    want = want < n + more ? n + more : want;
    void **array = items;
    void *grown = realloc(*array, want * size);
    if (!grown) {
        return false;
    }
    *array = grown;
    *cap = want;
    return true;
}

static void drop(struct pipeline *p, enum counter why, struct log_limit *limit,
                 const char *event, const struct message *m)
{
    count(why);
    log_limited(limit, p->now.mono, LOG_LEVEL_WARNING, event, LOG_T("tenant", m->tenant),
                LOG_T("device", m->device));
}

/* --- 1. decode --- */

void pipeline_add(struct pipeline *p, const struct raw_message *raw)
{
    count(COUNT_MESSAGES);
    decoder_add(p->decoder, raw);
}

bool pipeline_is_full(const struct pipeline *p)
{
    return decoder_is_full(p->decoder);
}

/* --- 2. stage: which series does a message touch? --- */

static bool stage_value(struct pipeline *p, const struct message *m,
                        struct device *device, const struct metric_value *v)
{
    struct cell *cell = device_cell(device, v->metric);
    uint32_t n_uses = 0;
    const struct use *uses = cell ? cell_uses(device, cell, &n_uses) : NULL;
    if (n_uses == 0) {
        return true;
    }
    if (!reserve(&p->values, &p->cap_values, p->n_values, 1, sizeof *p->values) ||
        !reserve(&p->touches, &p->cap_touches, p->n_touches, n_uses,
                 sizeof *p->touches)) {
        return false;
    }
    p->values[p->n_values++] =
        (struct staged_value){cell, v->value, (uint32_t)p->n_touches, n_uses};
    for (const struct use *use = uses; use < uses + n_uses; use++) {
        struct instance *i = device->instances[use->instance];
        struct series *s = i->series[use->metric];
        int staged =
            s ? history_stage(p->history, s, (struct point){m->at, v->value}) : -1;
        p->touches[p->n_touches++] = (struct touch){i, staged};
        for (size_t k = 0; k < i->rule->n_metrics; k++) {
            if (i->series[k] && k != use->metric) {
                history_need(p->history, i->series[k]);
            }
        }
    }
    return true;
}

/* How far the device's timeline will be when what is staged of it is applied, as
 * move_timeline() has it. Looked for only where that can matter to a message: it is older
 * than anything that is staged by more than its device's windows, or nothing led its
 * timeline yet. */
static struct wall staged_newest(const struct pipeline *p, const struct device *device,
                                 const struct message *m)
{
    struct wall newest = device->newest;
    bool has_reading = device->has_reading;
    if (has_reading && m->at.us >= p->newest_staged.us - device->longest_us) {
        return newest;
    }
    for (size_t k = 0; k < p->n_messages; k++) {
        const struct message *before = p->messages[k].message;
        if (p->messages[k].device != device) {
            continue;
        }
        bool reading = before->n_readings > 0;
        if ((reading && !has_reading) ||
            (before->at.us > newest.us && (reading || !has_reading))) {
            newest = before->at;
        }
        has_reading = has_reading || reading;
    }
    return newest;
}

enum staging { STAGED, STAGE_DROPPED, STAGE_CUT };

/* STAGE_CUT: what this message does to its device would disturb those staged before it;
 * the batch ends in front of it. */
static enum staging stage_message(struct pipeline *p, const struct message *m)
{
    enum brink_status why = BRINK_OK;
    struct device *device =
        devices_get(&p->devices, m->tenant, m->device, p->now.mono, &why);
    if (!device) {
        if (why == BRINK_E_STATE) {
            drop(p, COUNT_DROP_TENANT_LIMIT, &p->limit_tenant,
                 "limits.tenant_devices reached, dropping a new device's message", m);
        } else if (why == BRINK_E_LIMIT) {
            drop(p, COUNT_DROP_DEVICE_LIMIT, &p->limit_device,
                 "limits.devices reached, dropping a new device's message", m);
        } else {
            drop(p, COUNT_DROP_NO_MEMORY, &p->limit_memory,
                 "out of memory, dropping a message", m);
        }
        return STAGE_DROPPED;
    }
    bool moves =
        m->site.n > 0 && !(device->site && text_equal(text_of(device->site), m->site));
    struct wall newest = staged_newest(p, device, m);
    bool restarts =
        m->n_readings > 0 && device_clock_back(device, newest, m->at, m->arrived);
    int64_t shift_us = device_clock_moved(device, m);
    if ((moves || restarts || shift_us != 0) && p->n_messages > 0) {
        return STAGE_CUT;
    }
    if (m->has_seq && sequence_seen(&device->sequences, m->entry, m->seq)) {
        count(COUNT_DROP_REDELIVERED);
        return STAGE_DROPPED;
    }
    enum brink_status status =
        moves ? device_set_site(&p->devices, device, m->site) : BRINK_OK;
    status = status == BRINK_OK ? device_bind(&p->devices, device) : status;
    if (shift_us != 0) {
        log_limited(&p->limit_shift, p->now.mono, LOG_LEVEL_WARNING,
                    "system clock is behind the last readings, moving them back",
                    LOG_T("tenant", m->tenant), LOG_T("device", m->device),
                    LOG_N("seconds", (double)-shift_us / (double)US_PER_S));
        shift_device(p, device, shift_us);
    } else if (restarts) {
        count(COUNT_CLOCK_BACK);
        log_event(
            LOG_LEVEL_WARNING, "device clock was set back, its windows start anew",
            LOG_T("tenant", m->tenant), LOG_T("device", m->device),
            LOG_N("seconds", (double)(device->newest.us - m->at.us) / (double)US_PER_S));
        device_restart_at(&p->devices, device, m->at, m->arrived);
        store_alerts(p, device);
    }
    if (m->n_readings > 0) {
        newest = restarts || shift_us != 0 ? device->newest : newest;
        device_clock_note(device, newest, m->at, m->arrived);
    }
    size_t first = p->n_values;
    size_t n = status == BRINK_OK ? ruleset_values(p->rules, m, p->scratch) : 0;
    for (size_t v = 0; v < n && status == BRINK_OK; v++) {
        status = stage_value(p, m, device, &p->scratch[v]) ? BRINK_OK : BRINK_E_NOMEM;
    }
    if (status != BRINK_OK ||
        !reserve(&p->messages, &p->cap_messages, p->n_messages, 1, sizeof *p->messages)) {
        drop(p, COUNT_DROP_NO_MEMORY, &p->limit_memory,
             "out of memory, dropping a message", m);
        return STAGE_DROPPED;
    }
    p->messages[p->n_messages++] = (struct staged_message){
        m, device, (uint32_t)first, (uint32_t)(p->n_values - first), moves};
    p->newest_staged.us = m->at.us > p->newest_staged.us ? m->at.us : p->newest_staged.us;
    return STAGED;
}

/* --- 4. admit and evaluate, message by message --- */

static void touch(struct pipeline *p, struct instance *i)
{
    if (!i->touched &&
        reserve(&p->touched, &p->cap_touched, p->n_touched, 1, sizeof *p->touched)) {
        i->touched = true;
        p->touched[p->n_touched++] = i;
    }
}

/* Enters one value; the instances for which it changed something are touched. A
 * redelivery (equal in time and value to one that is held) says nothing new, not even
 * that the metric is alive; a late reading does, although it is never the latest value.
 * What is newer than the latest value is no redelivery, even where a window holds it: a
 * run that was killed may have written it without deciding on it. False: no value and no
 * window is another than before.
 */
static bool apply_value(struct pipeline *p, const struct staged_value *v,
                        const struct message *m, int64_t silence)
{
    struct cell *cell = v->cell;
    const struct touch *touches = &p->touches[v->first_touch];
    bool late = m->at.us<cell->at.us, newer = m->at.us> cell->at.us, inserted = false;
    bool entered = false;
    bool redelivered = cell->known && m->at.us == cell->at.us && v->value == cell->value;
    for (uint32_t t = 0; t < v->n_touches; t++) {
        if (touches[t].staged < 0) {
            continue;
        }
        enum window_push push = history_admit(p->history, touches[t].staged);
        inserted = inserted || push == WINDOW_INSERTED;
        redelivered = redelivered || (push == WINDOW_DUPLICATE && !newer);
        if (push == WINDOW_APPENDED || push == WINDOW_INSERTED) {
            entered = true;
            touch(p, touches[t].instance);
        }
    }
    if (!late && !redelivered) {
        cell->known = true;
        cell->at = m->at;
        cell->value = v->value;
    }
    if (!redelivered) {
        cell->seen_us = silence;
    }
    for (uint32_t t = 0; t < v->n_touches; t++) {
        struct instance *i = touches[t].instance;
        /* A run that was killed may have written a reading without deciding on it: the
         * first reading after a start is looked at even if it is held already. */
        if (!i->evaluated || (!redelivered && (!late || rule_minds_silence(i->rule)))) {
            touch(p, i);
        }
    }
    if (redelivered) {
        count(COUNT_READING_DUPLICATE);
    } else if (late && !inserted) {
        count(COUNT_READING_LATE);
    }
    return entered || (!late && !redelivered);
}

/* The other {names} of its topic, for alert topics and `inhibit`. A device that is heard
 * on several topics has the labels of all. True: one changed. */
static bool note_labels(struct pipeline *p, struct device *device,
                        const struct message *m)
{
    bool changed = false;
    for (size_t k = 0; k < m->n_labels; k++) {
        const struct topic_label *l = &m->labels[k];
        const char *was = device_label(device, l->name);
        if (was && text_equal(text_of(was), l->value)) {
            continue;
        }
        if (device_set_label(device, l->name, l->value) == BRINK_OK) {
            changed = true;
        } else {
            log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_WARNING,
                        "cannot note a label of a device's topic, ignoring it",
                        LOG_T("label", l->name), LOG_S("device", device->id));
        }
    }
    return changed;
}

static void move_timeline(struct device *device, const struct message *m)
{
    bool reading = m->n_readings > 0;
    /* A heartbeat's time is its arrival: it leads the timeline only until a reading does.
     */
    if ((reading && !device->has_reading) ||
        (m->at.us > device->newest.us && (reading || !device->has_reading))) {
        device->newest = m->at;
        device->newest_arrived = m->arrived;
        device->by_arrival = m->at_is_arrival;
    }
    device->has_reading = device->has_reading || reading;
}

static unsigned rank_of(const struct instance *i)
{
    return i->rule->rank;
}

static int by_rank(const void *a, const void *b)
{
    unsigned x = rank_of(*(struct instance *const *)a),
             y = rank_of(*(struct instance *const *)b);
    return (x > y) - (x < y);
}

static void sort_touched(struct pipeline *p)
{
    if (p->n_touched > SORTED_BY_HAND_MAX) {
        qsort(p->touched, p->n_touched, sizeof(struct instance *), by_rank);
        return;
    }
    for (size_t n = 1; n < p->n_touched; n++) { /* a few, mostly in order */
        struct instance *i = p->touched[n];
        size_t at = n;
        for (; at > 0 && rank_of(p->touched[at - 1]) > rank_of(i); at--) {
            p->touched[at] = p->touched[at - 1];
        }
        p->touched[at] = i;
    }
}

/* What the rule's newest reading means may be decided only now, at a message that is
 * older: its windows were just read back, or written at last. That alert begins at the
 * reading, not at the message: then another one may have begun, and an alert's id says
 * when it did. */
static void decide_at_newest(struct pipeline *p, struct instance *i, struct moment m)
{
    struct wall last = last_reading(p, i);
    m.at = last.us > m.at.us && last.us <= m.now.us ? last : m.at;
    decide(p, i, &m);
}

static void apply_message(struct pipeline *p, const struct staged_message *s)
{
    const struct message *m = s->message;
    struct device *device = s->device;
    int64_t silence = silence_now(&p->devices.silence, m->arrived);
    if (m->n_readings > 0 && device->has_reading && m->at.us > device->newest.us) {
        advance_device(p, device, m->at);
    }
    move_timeline(device, m);
    device->seen_us = silence;
    device->heard = true;
    device->seen = m->arrived;
    device_mark_dirty(&p->devices, device);
    bool moved = (m->n_labels > 0 && note_labels(p, device, m)) || s->moves;
    if (moved) {
        gate_device_moved(p, device);
    }
    p->serial++;
    p->n_touched = 0;
    bool says_new = s->n_values == 0;
    for (uint32_t v = 0; v < s->n_values; v++) {
        says_new = apply_value(p, &p->values[s->first_value + v], m, silence) || says_new;
    }
    for (uint32_t k = 0; device->has_silent && k < device->n_instances; k++) {
        if (device->instances[k]->rule->has_silent) {
            touch(p, device->instances[k]);
        }
    }
    sort_touched(p);
    bool behind = false;
    for (size_t t = 0; t < p->n_touched; t++) {
        behind = (!p->touched[t]->evaluated && catch_up(p, p->touched[t])) || behind;
    }
    struct moment moment = {
        .by_reading = true, .at = m->at, .now = device->newest, .silence_us = silence};
    if (m->n_readings == 0) {
        moment.at = moment.now = device_now(device, m->arrived);
    }
    for (size_t t = 0; t < p->n_touched; t++) {
        struct instance *i = p->touched[t];
        i->touched = false;
        if (!i->decided || (!i->evaluated && (behind || !says_new))) {
            decide_at_newest(p, i, moment);
        } else {
            decide(p, i, &moment);
        }
    }
    if (moved) { /* not before all rules have spoken */
        gate_look_again(p, device);
    }
    gate_settle(p);
    pull_timers(p, device);
}

/* With `inbox: 0` a kill forgets nothing: what the batch's devices now know (latest
 * values, pending timers) is kept before the broker is told that their messages are done
 * with. */
static void save_before_acknowledging(struct pipeline *p)
{
    if (!history_keeps_all(p->history) || p->n_messages == 0) {
        return;
    }
    for (size_t k = 0; k < p->n_messages; k++) {
        save_device(p, p->messages[k].device);
    }
}

/* With `inbox: 0` what is kept beside the outbox counts only together with it. */
void keep_and_commit(struct pipeline *p, struct mono now)
{
    uint64_t batch = 0;
    if (history_keeps_all(p->history) && p->sink.is_due && p->sink.is_due(p->sink.ctx)) {
        char text[NUMBER_BYTES];
        batch = ++p->batch;
        size_t n = number_print_int((int64_t)batch, text);
        p->sink.state(p->sink.ctx, TEXT(BATCH_STATE), TEXT(""), TEXT(""),
                      (struct text){text, n});
    }
    history_keep(p->history, now, batch);
    p->sink.commit(p->sink.ctx, now); /* durable before it is sent */
    if (batch > 0) {
        history_keep(p->history, now, 0);
    }
}

void pipeline_apply(struct pipeline *p, struct instant now)
{
    size_t n, i = 0;
    const struct message *messages = decoder_messages(p->decoder, &n);
    p->now = now;
    follow_clock(p);
    if (n > 0) {
        p->last_message = now.mono;
        p->took_messages = true;
    }
    while (i < n) {
        p->n_messages = p->n_values = p->n_touches = 0;
        p->newest_staged.us = 0; /* and so the difference to it is one */
        while (i < n && stage_message(p, &messages[i]) != STAGE_CUT) {
            i++;
        }
        history_exchange(p->history, now.mono); /* 3. one round trip for all of them */
        for (size_t k = 0; k < p->n_messages; k++) {
            struct mono arrived = p->messages[k].message->arrived;
            set_moment(p, arrived);
            if (p->exact) {
                run_timers(p, (struct mono){arrived.us - 1}, SIZE_MAX);
            }
            gate_advance(p);
            apply_message(p, &p->messages[k]);
        }
        p->now = now;
        for (size_t t = 0; t < p->n_touches; t++) {
            first_metric_settle(p, p->touches[t].instance);
        }
        history_reset_batch(p->history);
        save_before_acknowledging(p);
    }
    decoder_reset(p->decoder);
    keep_and_commit(p, now.mono); /* 5. */
}

void pipeline_set_exact(struct pipeline *p)
{
    p->exact = true;
}

void pipeline_each_alert(const struct pipeline *p,
                         void (*visit)(void *ctx, struct text rule, struct text tenant,
                                       struct text device,
                                       const struct alert_state *alert, struct wall now),
                         struct mono now, void *ctx)
{
    const struct device *device;
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        for (uint32_t k = 0; k < device->n_instances; k++) {
            const struct instance *x = device->instances[k];
            if (x->alert.phase != ALERT_INACTIVE) {
                visit(ctx, text_of(x->rule->id), text_of(device->owner->name),
                      text_of(device->id), &x->alert, device_now(device, now));
            }
        }
    }
}

void pipeline_info(const struct pipeline *p, struct pipeline_info *ret_info)
{
    *ret_info = (struct pipeline_info){
        .devices = p->devices.by_field.n,
        .instances = p->devices.n_instances,
        .rules = p->rules->n_rules,
    };
    memcpy(ret_info->withheld, p->gate.n_withheld, sizeof ret_info->withheld);
}
