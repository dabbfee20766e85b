/* From a rule's evaluation to the events of its alert. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "alert/machine.h"
#include "base/counters.h"

/* --- state --- */

void store_state(struct pipeline *p, struct instance *i)
{
    bool keep = i->alert.phase == ALERT_FIRING || i->alert.cooldown_until.us != 0;
    if (!keep && !i->stored) {
        return;
    }
    buffer_clear(&p->text);
    if (keep) {
        alert_state_print(i, p->now, &p->text);
    }
    p->sink.state(p->sink.ctx, text_of(i->rule->id), text_of(i->device->owner->name),
                  text_of(i->device->id), buffer_view(&p->text));
    i->stored = keep;
}

static bool same_state(const struct alert_state *a, const struct alert_state *b)
{
    return a->phase == b->phase && a->onset.us == b->onset.us &&
           a->unknown_since.us == b->unknown_since.us && a->complete == b->complete &&
           a->clear_onset.us == b->clear_onset.us &&
           a->cooldown_until.us == b->cooldown_until.us &&
           a->published_at.us == b->published_at.us && a->escalated == b->escalated &&
           a->published == b->published && a->withheld == b->withheld &&
           a->waits == b->waits;
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

static void schedule(struct pipeline *p, struct instance *i);

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
    if (m->by_reading) {
        i->decided = !e.store_unknown;
        i->left = i->left && e.store_unknown;
    }
    for (size_t k = 0; m->by_reading && e.store_unknown && k < r->n_metrics; k++) {
        if (i->series[k]) {
            series_revisit(i->series[k]); /* whatever of it is written by then */
        }
    }
    if (p->sink.evaluated) {
        p->sink.evaluated(p->sink.ctx, r, i->device, &e);
    }
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
    i->broken = i->broken || n > 0 || e.no_data || e.when == TRUTH_FALSE;
    for (size_t k = 0; k < n; k++) {
        struct alert_facts f;
        if (events[k] == ALERT_OPEN) {
            i->alert.degraded = e.degraded;
        }
        if (!gate_passes(p, i, events[k], &before)) {
            continue;
        }
        describe_event(p, i, &e, events[k], m->now, &f);
        if (events[k] == ALERT_CLOSED) { /* the state is cleared by now */
            f.onset = before.onset;
            f.triggered_at = before.triggered_at;
            f.trigger_count = before.trigger_count;
            f.severity = before.escalated ? r->escalate_to : r->severity;
            f.reason = input.no_data ? "no_data" : NULL;
        }
        announce_of(p, &f, i);
    }
    if (i->alert.phase == ALERT_INACTIVE && i->alert.cooldown_until.us != 0 &&
        i->alert.cooldown_until.us <= m->now.us) {
        i->alert.cooldown_until.us = 0;
    }
    if (i->alert.phase != ALERT_FIRING) {
        instance_cool(i);
    }
    if (!m->by_reading && may_save(p, i->device)) {
        device_mark_dirty(&p->devices, i->device); /* a timer may have begun or ended */
    }
    if (!same_state(&before, &i->alert)) {
        store_state(p, i);
        if (n > 0 && events[0] == ALERT_OPEN && r->cooldown_us > 0) {
            history_put_cooldown(p->history, text_of(i->device->owner->name),
                                 text_of(r->id), text_of(i->device->id), r->cooldown_us);
        }
    }
    schedule(p, i);
}

/* Sees to it that the item comes up when it is due, or earlier. False: no memory. */
static bool no_later(struct heap *h, struct heap_item *item, int64_t due)
{
    bool is_set = due == INT64_MAX || (item->place != 0 && item->due <= due);
    return is_set || heap_set(h, item, due) == BRINK_OK;
}

/* The device's own clock may run ahead of ours (a backlog): what is due by it moves
 * along. */
void pull_timers(struct pipeline *p, struct device *device)
{
    const struct heap_item *first = heap_first(&device->timers);
    if (first && !no_later(&p->devices.timers, &device->timer,
                           device_moment(device, (struct wall){first->due}).us)) {
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "no memory for a device's timers, they wait for its next message",
                    LOG_S("device", device->id));
    }
}

/* Its places among the timers: for due_wall, and a monotonic time at which silence is. */
static void place_timers(struct pipeline *p, struct instance *i, int64_t at)
{
    struct silence_timer *silence = instance_silence(i);
    if (!no_later(&i->device->timers, &i->timer, i->due_wall) ||
        (silence && !no_later(&p->devices.silences, &silence->place, at))) {
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "no memory for a timer, ignoring it", LOG_S("rule", i->rule->id),
                    LOG_S("device", i->device->id));
    }
    pull_timers(p, i->device);
}

/* When the instance is due by time alone after a moment, in the units of both clocks that
 * matter to it, and its places among the timers. */
static void schedule_after(struct pipeline *p, struct instance *i, struct wall after,
                           int64_t after_silence_us)
{
    const struct rule *r = i->rule;
    const struct alert_policy policy = policy_of(r);
    struct mono now = p->now.mono;
    struct wall device_time = device_now(i->device, now);
    int64_t silence = silence_now(&p->devices.silence, now);
    i->due_wall = INT64_MAX;
    if (device_time.us != INT64_MIN) {
        int64_t due = instance_due(&p->devices, i, after);
        i->due_wall = alert_due(&i->alert, &policy, after).us;
        i->due_wall = due < i->due_wall ? due : i->due_wall;
        i->due_wall = device_time.us < i->due_wall ? i->due_wall : device_time.us;
    }
    struct silence_timer *timer = instance_silence(i);
    int64_t at = INT64_MAX;
    if (timer) {
        timer->due = instance_silence_due(i, after_silence_us);
        timer->due = silence < timer->due ? timer->due : silence;
        bool runs = timer->due != INT64_MAX && p->devices.silence.runs;
        at = runs ? now.us + (timer->due - silence) : INT64_MAX;
    }
    place_timers(p, i, at);
}

/* It was evaluated just now. */
static void schedule(struct pipeline *p, struct instance *i)
{
    schedule_after(p, i, device_now(i->device, p->now.mono),
                   silence_now(&p->devices.silence, p->now.mono));
}

void schedule_anew(struct pipeline *p, struct instance *i)
{
    schedule_after(p, i, (struct wall){0}, INT64_MIN);
}

void schedule_now(struct pipeline *p, struct instance *i)
{
    struct wall now = device_now(i->device, p->now.mono);
    if (now.us != INT64_MIN && now.us < i->due_wall) {
        i->due_wall = now.us;
        place_timers(p, i, INT64_MAX);
    }
}

void schedule_device(struct pipeline *p, struct device *device)
{
    for (uint32_t k = 0; k < device->n_instances; k++) {
        schedule_anew(p, device->instances[k]);
    }
}

/* --- alerts that end for another reason than their condition --- */

void close_leaving(struct pipeline *p, struct instance *i, const char *reason)
{
    gate_forget(p, i);
    if (i->alert.phase == ALERT_FIRING && i->alert.published) {
        struct alert_facts f;
        describe(p, i, &f);
        f.event = ALERT_CLOSED;
        f.event_at = f.now = device_now(i->device, p->now.mono);
        f.reason = reason;
        announce_of(p, &f, i);
    }
    i->alert = (struct alert_state){0};
    store_state(p, i);
}

void close_saved(struct pipeline *p, struct saved_alert *saved, struct text rule,
                 struct text tenant, struct text device)
{
    char *names[] = {text_dup(rule), text_dup(tenant), text_dup(device)};
    if (saved->state.published && names[0] && names[1] && names[2]) {
        const char *reason = map_get(&p->rules->by_id, rule)      ? "out_of_scope"
                             : map_get(&p->rules->disabled, rule) ? "rule_disabled"
                                                                  : "rule_removed";
        int64_t since = p->now.wall.us - saved->timeline.arrived;
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
            .event_at = {saved->timeline.newest + (since > 0 ? since : 0)},
            .trigger_count = saved->state.trigger_count,
            .degraded = saved->state.degraded,
            .reason = reason,
        };
        announce(p, &f, devices_find(&p->devices, tenant, device), &saved->retained);
    }
    for (size_t k = 0; k < 3; k++) {
        free(names[k]);
    }
    p->sink.state(p->sink.ctx, rule, tenant, device, (struct text){"", 0});
}
