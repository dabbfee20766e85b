/* What happens without a message: timers, forgetting, reload. */
#include "gateway/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/number.h"

#define TIMERS_A_STEP 4096 /* evaluated before messages are looked at again */
#define SAVED_A_STEP 256   /* devices, likewise: half an exchange's */
#define SWEEP_EVERY_US (US_PER_S)
#define SWEEPS_A_ROUND 60 /* each device is looked at about once a minute */
#define SWEEP_LEAST 16
#define ADVANCES_MAX                                                                     \
    64 /* evaluations of one rule by time alone in a gap between two readings */
static_assert(ADVANCES_MAX <= UINT8_MAX, "instance.advances takes it");

/* --- timers --- */

static void decide_by_time(struct pipeline *p, struct instance *i, struct mono at)
{
    struct moment m = {
        .now = device_now(i->device, at),
        .silence_us = silence_now(&p->devices.silence, at),
    };
    decide(p, i, &m);
}

bool drained(const struct pipeline *p, struct mono now)
{
    int64_t idle =
        now.us - (p->last_message.us > p->subscribed_at.us ? p->last_message.us
                                                           : p->subscribed_at.us);
    return idle >= DRAIN_IDLE_US || now.us - p->subscribed_at.us >= DRAIN_MAX_US;
}

/* What the broker queued waits while a batch does, for Valkey say: that is not a pause in
 * the intake. */
static void note_intake(struct pipeline *p, struct mono now)
{
    int64_t took_us = now.us - p->last_message.us;
    if (p->took_messages) {
        p->took_messages = false;
        p->last_message = now;
        p->subscribed_at.us += took_us >= DRAIN_IDLE_US ? took_us : 0;
    }
}

bool is_readable(const struct instance *i)
{
    bool readable = true;
    for (size_t m = 0; m < i->rule->n_metrics; m++) {
        readable = readable && (!i->series[m] || series_readable(i->series[m]));
    }
    return readable;
}

/* After a start a rule is not looked at before its windows are read back: else time would
 * seem to pass without an answer. */
static bool is_unread(const struct pipeline *p, const struct instance *i)
{
    return p->wants_windows && !is_readable(i);
}

/* Nor is anything held to be silent before what the broker queued is taken. */
static bool must_wait(const struct pipeline *p, const struct instance *i, struct mono now)
{
    const struct silence_timer *silence = instance_silence(i);
    bool by_silence = silence && silence->due <= silence_now(&p->devices.silence, now);
    return (by_silence && !drained(p, now)) || is_unread(p, i);
}

/* Looks at it again at `at`, although it is due before. */
static void postpone(struct instance *i, struct wall at)
{
    (void)!heap_set(&i->device->timers, &i->timer, at.us); /* a move cannot fail */
}

/* The first instance that is due on its device's timeline; NULL: none by now. */
static struct instance *first_by_timeline(struct pipeline *p, struct mono now,
                                          struct mono *ret_due)
{
    struct heap *timers = &p->devices.timers;
    struct heap_item *first;
    while ((first = heap_first(timers)) && first->due <= now.us) {
        struct device *device = device_of_timer(first);
        struct instance *i = device_first_due(device);
        if (!i) {
            heap_remove(timers, first);
            continue;
        }
        int64_t place = device_moment(device, (struct wall){i->timer.due}).us;
        if (place > first->due) {
            (void)!heap_set(timers, first, place);
        } else if (must_wait(p, i, now)) {
            postpone(i, wall_shifted(device_now(device, now), DRAIN_IDLE_US / 2));
        } else {
            *ret_due = device_moment(device, (struct wall){i->due_wall});
            return i;
        }
    }
    return NULL;
}

/* The same by silence. */
static struct instance *first_by_silence(struct pipeline *p, struct mono now,
                                         struct mono *ret_due)
{
    struct heap *silences = &p->devices.silences;
    struct heap_item *first;
    while ((first = heap_first(silences)) && first->due <= now.us) {
        struct instance *i = silence_of_place(first)->instance;
        int64_t due = silence_of_place(first)->due;
        if (due == INT64_MAX || !p->devices.silence.runs) {
            heap_remove(silences, first);
            continue;
        }
        ret_due->us = now.us + (due - silence_now(&p->devices.silence, now));
        if (ret_due->us > first->due) {
            (void)!heap_set(silences, first, ret_due->us);
        } else if (must_wait(p, i, now)) {
            (void)!heap_set(silences, first, now.us + DRAIN_IDLE_US / 2);
        } else {
            return i;
        }
    }
    return NULL;
}

static bool is_before(const struct instance *a, struct mono a_due,
                      const struct instance *b, struct mono b_due)
{
    return a_due.us != b_due.us ? a_due.us < b_due.us : instance_order(a, b) <= 0;
}

/* What is due by then, each at its own moment. */
void run_timers(struct pipeline *p, struct mono now, size_t most)
{
    for (size_t n = 0; n < most; n++) {
        struct mono due = {0}, due_by_silence = {0};
        struct instance *i = first_by_timeline(p, now, &due);
        struct instance *silent = first_by_silence(p, now, &due_by_silence);
        if (silent && (!i || !is_before(i, due, silent, due_by_silence))) {
            i = silent;
            due = due_by_silence;
            heap_remove(&p->devices.silences, &instance_silence(i)->place);
        } else if (i) {
            heap_remove(&i->device->timers, &i->timer);
        } else {
            return;
        }
        struct instant kept = p->now;
        set_moment(p, due); /* so that schedule() sees it */
        gate_advance(p);
        decide_by_time(p, i, due);
        gate_settle(p);
        p->now = kept;
    }
}

/* What is due before the reading at `to`, each at the moment on the monotonic clock at
 * which the device's would have shown it. */
void advance_device(struct pipeline *p, struct device *device, struct wall to)
{
    struct instance *i;
    while ((i = device_first_due(device)) && i->timer.due < to.us) {
        if (i->gap != (uint32_t)p->serial) {
            i->gap = (uint32_t)p->serial;
            i->advances = 0;
        }
        if (i->advances == ADVANCES_MAX || is_unread(p, i)) {
            postpone(i, to); /* at once, when the reading is in */
            continue;
        }
        i->advances++;
        struct instant kept = p->now;
        struct mono at = device_moment(device, (struct wall){i->due_wall});
        struct moment m = {
            .now = {i->due_wall},
            .silence_us =
                silence_now(&p->devices.silence, at.us < kept.mono.us ? at : kept.mono),
        };
        set_moment(p, at);
        decide(p, i, &m);
        p->now = kept;
    }
}

/* --- the gateway's clock --- */

void store_alerts(struct pipeline *p, struct device *device)
{
    for (uint32_t k = 0; k < device->n_instances; k++) {
        if (device->instances[k]->stored) {
            store_state(p, device->instances[k]);
        }
    }
}

void shift_device(struct pipeline *p, struct device *device, int64_t by_us)
{
    device_shift(&p->devices, device, by_us);
    store_alerts(p, device);
    if (p->devices_loaded || device->heard) { /* else its line has more than we know */
        device_mark_dirty(&p->devices, device);
    }
}

/* The wall clock was corrected (SPEC 3.3): what is timed by arrival moves along, so that
 * to no alert anything happened. All that is stored says its times by the new clock from
 * here on, so that a restart finds one clock there and not two. */
void follow_clock(struct pipeline *p)
{
    int64_t clock_us = p->now.wall.us - p->now.mono.us;
    int64_t by_us = clock_us - p->clock_us;
    struct device *device;
    if (by_us >= -ARRIVAL_STEP_US && by_us <= ARRIVAL_STEP_US) {
        return;
    }
    p->clock_us = clock_us;
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        shift_device(p, device, device->by_arrival ? by_us : 0);
    }
    first_metrics_store(p);
}

/* --- series --- */

struct series *open_series(void *ctx, struct instance *user, size_t metric)
{
    struct pipeline *p = ctx;
    const struct rule *r = user->rule;
    const struct rule_metric *m = &r->metrics[metric];
    struct series *s = NULL;
    buffer_clear(&p->window_key);
    history_key(&p->window_key, text_of(user->device->owner->name), text_of(r->id),
                text_of(user->device->id),
                m->is_first_series ? (struct text){0} : text_of(m->name));
    if (!buffer_ok(&p->window_key) || series_new(p->history, buffer_view(&p->window_key),
                                                 &m->window, user, &s) != BRINK_OK) {
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "out of memory, a rule's window is unknown", LOG_S("rule", r->id),
                    LOG_S("device", user->device->id));
        return NULL;
    }
    if (series_waits(s)) { /* for Valkey, since the last run */
        user->decided = false;
        user->left = true;
    }
    if (first_metric_is_new(p, user)) {
        series_restart(s);
        user->renewing = true;
    }
    return s;
}

/* --- forgetting --- */

static void sweep(struct pipeline *p)
{
    int64_t forget = p->config->limits.forget_after_us;
    size_t most = p->devices.by_field.n / SWEEPS_A_ROUND + SWEEP_LEAST;
    for (size_t n = 0; n < most; n++) {
        struct device *device = map_next(&p->devices.by_field, &p->sweep);
        if (!device) {
            p->sweep = 0;
            return;
        }
        if (device->seen.us == INT64_MIN) {
            device->seen = p->now.mono; /* nobody knows: from now on, then */
        }
        for (uint32_t k = 0; k < device->n_instances; k++) {
            first_metric_settle(p, device->instances[k]);
        }
        if (p->now.mono.us - device->seen.us >= forget) {
            log_event(LOG_LEVEL_INFO,
                      "device unheard of for limits.forget_after, forgetting it",
                      LOG_S("tenant", device->owner->name), LOG_S("device", device->id));
            history_put_device(p->history, text_of(device->field), TEXT(""));
            first_metrics_forget(p, device);
            devices_remove(&p->devices, device, "device_forgotten");
        } else if (!device->dirty && device->bound) {
            (void)device_unbind(&p->devices, device); /* not yet: still needed */
        }
    }
}

/* --- a step --- */

bool catch_up(struct pipeline *p, const struct instance *i)
{
    bool behind = false;
    for (size_t m = 0; m < i->rule->n_metrics; m++) {
        const struct window *w = instance_window(&p->devices, i, m);
        if (w && window_newest(w).us > i->device->newest.us) {
            i->device->newest = window_newest(w);
            i->device->newest_arrived = p->now.mono;
            behind = true;
        }
    }
    return behind;
}

struct wall last_reading(const struct pipeline *p, const struct instance *i)
{
    const struct rule *r = i->rule;
    struct wall last = {INT64_MIN};
    for (size_t m = 0; m < r->n_metrics; m++) {
        const struct cell *cell = device_cell(i->device, r->metrics[m].number);
        const struct window *w = instance_window(&p->devices, i, m);
        if (cell && cell->known && cell->at.us > last.us) {
            last = cell->at;
        }
        if (w && window_newest(w).us > last.us) {
            last = window_newest(w);
        }
    }
    bool any = r->has_silent || (last.us == INT64_MIN && i->alert.phase == ALERT_FIRING);
    return any ? i->device->newest : last;
}

struct moment newest_moment(const struct pipeline *p, const struct instance *i)
{
    return (struct moment){
        .by_reading = true,
        .at = last_reading(p, i),
        .now = i->device->newest,
        .silence_us = i->device->seen_us,
    };
}

/* A window was read back, or written at last. What its newest reading means is decided
 * if it was not yet, and then what time alone did meanwhile; going back to a reading that
 * was decided on would undo what time did since. */
static void follow_history(struct pipeline *p)
{
    struct instance *i;
    while ((i = history_next_changed(p->history))) {
        bool behind = catch_up(p, i);
        struct moment m = newest_moment(p, i);
        if (m.at.us == INT64_MIN) {
            continue;
        }
        bool undecided = !i->decided;
        if (behind || undecided) {
            decide(p, i, &m);
        }
        decide_by_time(p, i, p->now.mono);
        gate_settle(p);
        if (undecided && may_save(p, i->device)) { /* that it was stands in its line */
            save_device(p, i->device);
            device_mark_dirty(&p->devices, i->device);
        }
    }
}

static void sooner(struct mono *wake, int64_t us)
{
    wake->us = us < wake->us ? us : wake->us;
}

void pipeline_step(struct pipeline *p, struct instant now, struct mono *ret_wake)
{
    struct mono wake = {now.mono.us + SAVE_DEVICES_US}, history_wake;
    p->now = now;
    follow_clock(p);
    note_intake(p, now.mono);
    if (!p->devices_asked) {
        p->devices_asked = true;
        /* How long the last run was subscribed tells what each device's silence is. */
        history_load_devices(p->history, GATEWAY_FIELD, restore_device, p);
    }
    want_all_windows(p);
    history_step(p->history, now.mono, &history_wake);
    sooner(&wake, history_wake.us);
    follow_history(p);
    run_timers(p, now.mono, TIMERS_A_STEP);
    gate_advance(p);
    if (now.mono.us >= p->next_save.us) {
        p->next_save.us = now.mono.us + SAVE_DEVICES_US;
        save_alive(p);
        devices_begin_saving(&p->devices);
    }
    save_devices(p, SAVED_A_STEP);
    if (now.mono.us >= p->next_sweep.us) {
        p->next_sweep.us = now.mono.us + SWEEP_EVERY_US;
        sweep(p);
    }
    keep_and_commit(p, now.mono);
    const struct heap_item *timer = heap_first(&p->devices.timers);
    const struct heap_item *silence = heap_first(&p->devices.silences);
    sooner(&wake, timer ? timer->due : INT64_MAX);
    sooner(&wake, silence ? silence->due : INT64_MAX);
    if (p->wants_windows && p->devices.silence.runs) {
        sooner(&wake, now.mono.us + DRAIN_IDLE_US / 2);
    }
    sooner(&wake, p->devices.saving ? now.mono.us : p->next_save.us);
    sooner(&wake, p->next_sweep.us);
    sooner(&wake, gate_wake(p).us);
    *ret_wake = wake;
}

void pipeline_subscribed(struct pipeline *p, bool subscribed, struct mono now)
{
    struct device *device;
    p->now.mono = now;
    if (!subscribed) {
        silence_stop(&p->devices.silence, now);
        return;
    }
    silence_start(&p->devices.silence, now);
    p->subscribed_at = now;
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        schedule_device(p, device);
    }
}

/* --- reload --- */

/* What of the new telemetry entries each old one is: an entry is known by its topic.
 * NULL: out of memory. */
static int *match_entries(const struct config *old, const struct config *new)
{
    int *to = calloc(old->n_telemetry ? old->n_telemetry : 1, sizeof *to);
    for (size_t k = 0; to && k < old->n_telemetry; k++) {
        to[k] = -1;
        for (size_t i = 0; i < new->n_telemetry; i++) {
            const char *topic = new->telemetry[i].pattern.source;
            if (strcmp(topic, old->telemetry[k].pattern.source) == 0) {
                to[k] = (int)i;
            }
        }
    }
    return to;
}

enum brink_status pipeline_reload(struct pipeline *p, const struct config *config,
                                  struct ruleset *rules, struct instant now)
{
    struct decoder *decoder;
    struct device *device;
    if (ruleset_adopt(rules, config, p->rules) != BRINK_OK) {
        ruleset_free(rules);
        return BRINK_E_NOMEM;
    }
    struct metric_value *scratch = calloc(ruleset_values_max(rules) + 1, sizeof *scratch);
    int *entries = match_entries(p->config, config);
    struct gate_plan plan = {0};
    if (!scratch || !entries || gate_plan_init(&plan, config, rules) != BRINK_OK ||
        decoder_new(config->telemetry, config->n_telemetry, &decoder) != BRINK_OK) {
        gate_plan_finish(&plan);
        free(scratch);
        free(entries);
        ruleset_free(rules);
        return BRINK_E_NOMEM;
    }
    p->now = now;
    struct ruleset *old_rules = p->rules;
    devices_renumber_entries(&p->devices, entries, p->config->n_telemetry);
    free(entries);
    p->config = config;
    p->rules = rules;
    first_metrics_compare(p);
    history_set_limits(p->history, config->limits.points_per_window);
    if (devices_set_rules(&p->devices, rules) != BRINK_OK) {
        log_limited(
            &p->limit_memory, now.mono, LOG_LEVEL_ERROR,
            "out of memory at reload, some devices lack rules until they are heard",
            LOG_END);
    }
    gate_take_plan(p, &plan);
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        schedule_device(p, device);
    }
    gate_advance(p);
    decoder_free(p->decoder);
    p->decoder = decoder;
    apply_limits(p);
    free(p->scratch);
    p->scratch = scratch;
    ruleset_free(old_rules);
    p->sink.commit(p->sink.ctx, now.mono);
    return BRINK_OK;
}

static void save_all_devices(struct pipeline *p)
{
    devices_begin_saving(&p->devices);
    save_devices(p, SIZE_MAX);
}

void pipeline_flush(struct pipeline *p, struct instant now, int64_t timeout_us)
{
    p->now = now;
    save_alive(p);
    save_all_devices(p);
    history_flush(p->history, timeout_us / 2);
    /* What was written only now may have to fire, and after the next start nobody would
     * look at it. */
    follow_history(p);
    save_all_devices(p);
    history_flush(p->history, timeout_us / 2);
    keep_and_commit(p, now.mono);
}
