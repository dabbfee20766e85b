#include "gateway/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "gateway/engine.h"

struct ranked_rule {
    unsigned rank; /* above that of what holds it back */
    struct rule *rule;
};

/* What explains others comes before them; else the ids decide, since addresses and the
 * order of files do not stay. */
static int by_rank(const void *a, const void *b)
{
    const struct ranked_rule *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank)
                              : strcmp(x->rule->id, y->rule->id);
}

static enum brink_status order_rules(struct gate_plan *plan, const struct ruleset *rules)
{
    plan->order = calloc(rules->n_rules ? rules->n_rules : 1, sizeof *plan->order);
    if (!plan->order) {
        return BRINK_E_NOMEM;
    }
    plan->n_order = rules->n_rules;
    for (size_t k = 0; k < rules->n_rules; k++) {
        const struct inhibit_role *role =
            inhibition_role(&plan->inhibition, text_of(rules->rules[k]->id));
        plan->order[k] = (struct ranked_rule){role ? role->rank : 0, rules->rules[k]};
    }
    qsort(plan->order, plan->n_order, sizeof *plan->order, by_rank);
    return BRINK_OK;
}

enum brink_status gate_plan_init(struct gate_plan *plan, const struct config *config,
                                 const struct ruleset *rules)
{
    const char **ids = calloc(rules->n_rules ? rules->n_rules : 1, sizeof *ids);
    *plan = (struct gate_plan){0};
    for (size_t k = 0; ids && k < rules->n_rules; k++) {
        ids[k] = rules->rules[k]->id;
    }
    enum brink_status status = ids ? BRINK_OK : BRINK_E_NOMEM;
    status = status ? status : maintenances_init(&plan->maintenances, config);
    status =
        status ? status : inhibition_init(&plan->inhibition, config, ids, rules->n_rules);
    status = status ? status : order_rules(plan, rules);
    free(ids);
    if (status) {
        gate_plan_finish(plan);
    }
    return status;
}

void gate_plan_finish(struct gate_plan *plan)
{
    maintenances_finish(&plan->maintenances);
    inhibition_finish(&plan->inhibition);
    free(plan->order);
}

static void drop_marks(struct pipeline *p)
{
    struct device *device;
    for (size_t at = 0; (device = map_next(&p->devices.by_field, &at));) {
        for (uint32_t k = 0; k < device->n_instances; k++) {
            struct firing *f = device->instances[k]->firing;
            while (f && f->marks) {
                (void)inhibition_unmark(&f->marks);
            }
        }
    }
}

void gate_init(struct pipeline *p, struct instant now)
{
    p->gate.at = now;
    p->gate.acknowledged = (struct mute_cause){.kind = MUTE_ACKNOWLEDGED, .active = true};
}

void gate_finish(struct pipeline *p)
{
    drop_marks(p);
    silences_finish(&p->gate.silences);
    storms_finish(&p->gate.storms);
    mute_cause_finish(&p->gate.acknowledged);
    gate_plan_finish(&p->gate.plan);
}

/* --- holding back --- */

static void count_held_back(enum mute_kind kind)
{
    static const enum counter counters[MUTE_KINDS] = {
        [MUTE_MAINTENANCE] = COUNT_HELD_BACK_MAINTENANCE,
        [MUTE_SILENCE] = COUNT_HELD_BACK_SILENCE,
        [MUTE_INHIBITED] = COUNT_HELD_BACK_INHIBITED,
        [MUTE_ACKNOWLEDGED] = COUNT_HELD_BACK_ACKNOWLEDGED,
        [MUTE_STORM] = COUNT_HELD_BACK_STORM,
    };
    count(counters[kind]);
}

struct instance *instance_of_withheld(struct heap_item *withheld)
{
    const struct firing *f =
        (const void *)((char *)withheld - offsetof(struct firing, withheld));
    return f->instance;
}

/* False: no memory. Better told than lost. */
static bool withhold(struct pipeline *p, struct instance *i, struct mute_cause *cause)
{
    uint64_t was = i->alert.withheld, place = was ? was : p->gate.serial + 1;
    i->alert.withheld = place;
    int64_t order = cause->kind == MUTE_STORM ? storm_place(i) : (int64_t)place;
    struct firing *f = instance_firing(i);
    if (!f || heap_set(&cause->withheld, &f->withheld, order) != BRINK_OK) {
        i->alert.withheld = was;
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "no memory to hold an alert back, publishing it",
                    LOG_S("rule", i->rule->id), LOG_S("device", i->device->id));
        return false;
    }
    f->muted_by = cause;
    p->gate.n_withheld[cause->kind]++;
    i->alert.waits = cause->kind == MUTE_STORM;
    p->gate.serial = place > p->gate.serial ? place : p->gate.serial;
    return true;
}

static void let_go(struct pipeline *p, struct instance *i)
{
    struct mute_cause *cause = instance_muted_by(i);
    if (cause) {
        heap_remove(&cause->withheld, &i->firing->withheld);
        p->gate.n_withheld[cause->kind]--;
        i->firing->muted_by = NULL;
    }
}

void gate_end(struct pipeline *p, struct mute_cause *cause)
{
    if (!cause->is_ended) {
        cause->is_ended = true;
        cause->next_ended = p->gate.ended;
        p->gate.ended = cause;
    }
}

void gate_forget(struct pipeline *p, struct instance *i)
{
    let_go(p, i);
    unmark_source(p, i);
    (void)instance_set_ack(i, NULL);
}

/* --- events --- */

struct mute_cause *gate_cause_of_next(struct pipeline *p, const struct instance *i)
{
    return i->alert.published && instance_ack(i) ? &p->gate.acknowledged
                                                 : find_cause(p, i);
}

/* Nothing mutes it: does its tenant's budget let it pass? The cause that it does not, or
 * NULL. */
static struct mute_cause *ask_storm(struct pipeline *p, const struct instance *i)
{
    struct storm *s = storm_of(p, i);
    return !s || storm_lets_pass(p, s) ? NULL : &s->cause;
}

static void note(struct pipeline *p, const struct instance *i, struct mute_cause *cause)
{
    count_held_back(cause->kind);
    if (cause->kind == MUTE_STORM) {
        storm_note(p, (struct storm *)(void *)cause, i);
    }
}

/* It waits for room, and grew more severe meanwhile. */
static void move_ahead(struct instance *i)
{
    struct mute_cause *cause = instance_muted_by(i);
    if (cause && cause->kind == MUTE_STORM) { /* a move cannot fail */
        (void)!heap_set(&cause->withheld, &i->firing->withheld, storm_place(i));
    }
}

bool gate_passes(struct pipeline *p, struct instance *i, enum alert_event_type event,
                 const struct alert_state *before)
{
    if (event == ALERT_CLOSED) {
        gate_forget(p, i);
        return before->published;
    }
    if (event == ALERT_OPEN) {
        mark_source(p, i);
    }
    struct mute_cause *muted_by = instance_muted_by(i);
    struct mute_cause *cause = muted_by ? muted_by : gate_cause_of_next(p, i);
    cause = cause ? cause : ask_storm(p, i);
    bool passes = !cause;
    if (event == ALERT_REPEATED) {
        i->alert.trigger_count -= !passes; /* counts what is told */
    } else if (muted_by) {
        move_ahead(i);
    } else if (cause) {
        passes = !withhold(p, i, cause);
    }
    if (!passes) {
        note(p, i, cause);
    } else if (event == ALERT_OPEN) {
        i->alert.published = true;
    }
    return passes;
}

/* What the rule says at this moment, with its timers left as they are. */
static void look(struct pipeline *p, struct instance *i, const struct moment *m,
                 struct evaluation *ret)
{
    struct held held[RULE_HELD_MAX];
    size_t bytes = i->rule->n_held * sizeof *held;
    int64_t unknown_us = i->unknown_us;
    memcpy(held, instance_held(i), bytes);
    instance_evaluate(&p->devices, i, m, ret);
    memcpy(instance_held(i), held, bytes);
    i->unknown_us = unknown_us;
}

/* Publishes what was withheld: now, as things stand now. */
static void tell(struct pipeline *p, struct instance *i)
{
    struct mono at = p->gate.at.mono;
    struct wall device_time = device_now(i->device, at);
    struct moment m = {
        .now = device_time.us == INT64_MIN ? p->gate.at.wall : device_time,
        .silence_us = silence_now(&p->devices.silence, at),
    };
    enum alert_event_type event = i->alert.published ? ALERT_ESCALATED : ALERT_OPEN;
    struct evaluation e;
    struct alert_facts f;
    look(p, i, &m, &e);
    describe_event(p, i, &e, event, m.now, &f);
    announce_of(p, &f, i);
    if (event == ALERT_OPEN) {
        i->alert.published = true;
        i->alert.published_at = m.now; /* from here `repeat` counts */
    }
    i->alert.withheld = 0;
    i->alert.waits = false;
    store_state(p, i);
    schedule_anew(p, i);
}

/* Withheld by nobody: to the next cause, or out. */
static void offer(struct pipeline *p, struct instance *i)
{
    bool waited = i->alert.waits;
    struct mute_cause *cause = gate_cause_of_next(p, i);
    struct mute_cause *storm = cause ? NULL : ask_storm(p, i);
    cause = cause ? cause : storm;
    if (!cause || !withhold(p, i, cause)) {
        tell(p, i);
        return;
    }
    if (storm && !waited) {
        note(p, i, storm);
    }
    if (i->alert.waits != waited) {
        store_state(p, i);
    }
}

void gate_release(struct pipeline *p, struct instance *i)
{
    let_go(p, i);
    offer(p, i);
}

void gate_reconsider(struct pipeline *p, struct instance *i)
{
    if (instance_muted_by(i)) {
        gate_release(p, i);
    }
}

/* --- ends --- */

/* Whose OPEN was held back first goes first, whatever held it back. */
static struct heap_item *first_released(const struct gate *g)
{
    struct heap_item *first = NULL;
    for (const struct mute_cause *c = g->ended; c; c = c->next_ended) {
        struct heap_item *own = c->active ? NULL : heap_first(&c->withheld);
        first = own && (!first || own->due < first->due) ? own : first;
    }
    return first;
}

void gate_settle(struct pipeline *p)
{
    struct gate *g = &p->gate;
    for (struct heap_item *item; (item = first_released(g));) {
        gate_release(p, instance_of_withheld(item));
    }
    while (g->ended) {
        struct mute_cause *cause = g->ended;
        g->ended = cause->next_ended;
        cause->is_ended = false;
        if (cause->kind == MUTE_INHIBITED && !cause->active) {
            inhibition_drop(&g->plan.inhibition, (struct inhibitor *)(void *)cause);
        } else if (cause->kind == MUTE_SILENCE) {
            silences_drop(&g->silences, (struct silence *)(void *)cause);
        }
    }
}

void gate_device_moved(struct pipeline *p, struct device *device)
{
    for (uint32_t k = 0; k < device->n_instances; k++) {
        struct instance *i = device->instances[k];
        if (i->alert.phase == ALERT_FIRING) {
            unmark_source(p, i);
            mark_source(p, i);
        }
        if (i->stored) { /* with it the outbox keeps where the device is */
            store_state(p, i);
        }
    }
}

void gate_look_again(struct pipeline *p, struct device *device)
{
    uint64_t place = 0;
    for (struct instance *next;; gate_release(p, next)) {
        next = NULL;
        for (uint32_t k = 0; k < device->n_instances; k++) {
            struct instance *i = device->instances[k];
            bool later = instance_muted_by(i) && i->alert.withheld > place;
            next =
                later && (!next || i->alert.withheld < next->alert.withheld) ? i : next;
        }
        if (!next) {
            break;
        }
        place = next->alert.withheld;
    }
}

/* --- alerts that nobody withholds --- */

static int by_place(const void *a, const void *b)
{
    uint64_t x = (*(struct instance *const *)a)->alert.withheld,
             y = (*(struct instance *const *)b)->alert.withheld;
    return x < y ? -1 : x > y;
}

/* Every alert that should be withheld and is not; on the way, all that fire are marked
 * for what they explain. */
static size_t orphans(struct pipeline *p, struct instance **into)
{
    struct device *device;
    size_t n = 0;
    for (size_t at = 0; (device = map_next(&p->devices.by_field, &at));) {
        for (uint32_t k = 0; k < device->n_instances; k++) {
            struct instance *i = device->instances[k];
            if (i->alert.phase != ALERT_FIRING) {
                continue;
            }
            mark_source(p, i);
            if (instance_muted_by(i) || (i->alert.published && i->alert.withheld == 0)) {
                continue;
            }
            p->gate.serial =
                i->alert.withheld > p->gate.serial ? i->alert.withheld : p->gate.serial;
            if (into) {
                into[n] = i;
            }
            n++;
        }
    }
    return n;
}

/* After a start or a reload: in their order. */
static void adopt_orphans(struct pipeline *p)
{
    size_t n = orphans(p, NULL);
    struct instance **list = calloc(n ? n : 1, sizeof *list);
    if (!list) { /* they wait for the next time */
        log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                    "no memory to look at held back alerts anew", LOG_I("alerts", n));
        return;
    }
    n = orphans(p, list);
    qsort(list, n, sizeof(struct instance *), by_place);
    for (size_t k = 0; k < n; k++) {
        /* What waited for room waits on: its turn comes when there is some. */
        struct storm *s = list[k]->alert.waits ? storm_of(p, list[k]) : NULL;
        if (!s || !s->cause.active || !withhold(p, list[k], &s->cause)) {
            offer(p, list[k]);
        }
    }
    p->gate.has_orphans = false;
    free(list);
    storms_turn_all(p);
}

static void abandon(struct pipeline *p, struct mute_cause *cause)
{
    for (struct heap_item *item; (item = heap_first(&cause->withheld));) {
        let_go(p, instance_of_withheld(item));
    }
}

void gate_take_plan(struct pipeline *p, struct gate_plan *plan)
{
    struct gate *g = &p->gate;
    for (size_t k = 0; k < g->plan.maintenances.n; k++) {
        abandon(p, &g->plan.maintenances.items[k].cause);
    }
    struct inhibitor *x;
    for (size_t at = 0; (x = map_next(&g->plan.inhibition.inhibitors, &at));) {
        abandon(p, &x->cause);
    }
    for (size_t k = 0; k < g->silences.n; k++) {
        abandon(p, &g->silences.items[k]->cause);
    }
    abandon(p, &g->acknowledged);
    struct storm *s;
    for (size_t at = 0; (s = map_next(&g->storms.by_tenant, &at));) {
        abandon(p, &s->cause);
    }
    g->storms.limit = (struct storm_limit){p->config->alerts.storm_alerts,
                                           p->config->alerts.storm_within_us};
    drop_marks(p);
    for (struct mute_cause **at = &g->ended; *at;) { /* those that go with the plan */
        bool goes = (*at)->kind == MUTE_MAINTENANCE || (*at)->kind == MUTE_INHIBITED;
        at = goes ? at : &(*at)->next_ended;
        *at = goes ? (*at)->next_ended : *at;
    }
    gate_plan_finish(&g->plan);
    g->plan = *plan;
    g->has_orphans = true;
    for (size_t k = 0; k < g->plan.n_order; k++) {
        g->plan.order[k].rule->rank = (unsigned)k;
    }
    free(g->plan.order);
    g->plan.order = NULL;
}

/* --- silences --- */

void gate_store_silence(struct pipeline *p, const struct silence *silence)
{
    char name[sizeof SILENCE_STATE + SILENCE_ID_BYTES];
    snprintf(name, sizeof name, SILENCE_STATE "%s", silence->id);
    buffer_clear(&p->text);
    if (silence->cause.active) {
        silence_print(silence, &p->text);
    }
    p->sink.state(p->sink.ctx, text_of(name), TEXT(""), TEXT(""), buffer_view(&p->text));
}

bool gate_restore(struct pipeline *p, struct text name, struct text tenant,
                  struct text value)
{
    size_t prefix = strlen(SILENCE_STATE);
    if (storm_restore(p, name, tenant, value)) {
        return true;
    }
    if (name.n <= prefix || memcmp(name.p, SILENCE_STATE, prefix) != 0) {
        return false;
    }
    struct text id = {name.p + prefix, name.n - prefix};
    if (silences_restore(&p->gate.silences, id, value) != BRINK_OK) {
        log_limited(&p->limit_state, p->now.mono, LOG_LEVEL_WARNING,
                    "stored silence is unreadable, forgetting it", LOG_T("id", id));
        p->sink.state(p->sink.ctx, name, TEXT(""), TEXT(""), TEXT(""));
    }
    return true;
}

/* --- time --- */

static int64_t due(const struct gate *g)
{
    int64_t window = maintenances_due(&g->plan.maintenances);
    int64_t silence = silences_due(&g->silences);
    /* Storms wait until those that they withhold are back in their places. */
    int64_t storm = g->has_orphans ? INT64_MAX : storms_due(&g->storms);
    int64_t first = window < silence ? window : silence;
    return first < storm ? first : storm;
}

/* What is due first opens, closes, ends or lets go. */
static void turn(struct pipeline *p)
{
    struct gate *g = &p->gate;
    int64_t next = due(g);
    if (!g->has_orphans && storms_due(&g->storms) == next) {
        storm_turn(p, storms_first_due(&g->storms));
    } else if (silences_due(&g->silences) == next) {
        struct silence *silence = silences_end_due(&g->silences);
        gate_store_silence(p, silence);
        gate_end(p, &silence->cause);
    } else {
        struct mute_cause *closed = maintenances_turn(&g->plan.maintenances, g->at.wall);
        if (closed) {
            gate_end(p, closed);
        }
    }
}

/* The first moment at or after `due_us` that has not been yet, as `now` has the clocks.
 */
static void move_to(struct gate *g, struct instant now, int64_t due_us)
{
    int64_t wall_us = due_us > g->at.wall.us ? due_us : g->at.wall.us;
    wall_us = wall_us < now.wall.us ? wall_us : now.wall.us;
    int64_t mono_us = now.mono.us - (now.wall.us - wall_us);
    g->at.wall.us = wall_us;
    g->at.mono.us = mono_us > g->at.mono.us ? mono_us : g->at.mono.us;
}

void gate_advance(struct pipeline *p)
{
    struct gate *g = &p->gate;
    struct instant kept = p->now;
    if (p->now.mono.us < g->at.mono.us) { /* has been already, so it counts as then */
        set_moment(p, g->at.mono);
    }
    struct instant now = p->now;
    if (now.wall.us < g->at.wall.us) {
        maintenances_doubt(&g->plan.maintenances);
    }
    for (int64_t next; (next = due(g)) <= now.wall.us;) {
        move_to(g, now, next);
        p->now = g->at;
        while (due(g) <= next) { /* all that end together, before anything is released */
            turn(p);
        }
        if (!g->has_orphans) {
            gate_settle(p);
        }
    }
    g->at = p->now = now;
    if (g->has_orphans) {
        adopt_orphans(p);
    }
    gate_settle(p);
    p->now = kept;
}

struct mono gate_wake(const struct pipeline *p)
{
    const struct gate *g = &p->gate;
    int64_t next = due(g);
    return (struct mono){next == INT64_MAX ? next
                                           : g->at.mono.us + (next - g->at.wall.us)};
}
