/* Every known device: its timeline, its latest values, and one instance of each rule that
 * covers it.
 *
 * Which rules cover a device is worked out once, when it is bound, not at each reading; a
 * reading then goes from its metric's cell straight to the instances that use it. A
 * device that has been silent for longer than its windows and timers need is unbound: its
 * cells stay (a few dozen bytes each), its windows come back from Valkey.
 *
 * The room does not know where windows live: whoever owns the registry lends them through
 * struct rules_hooks. Pipeline thread only. */
#ifndef BRINK_RULES_DEVICE_H
#define BRINK_RULES_DEVICE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/rate.h"
#include "base/status.h"
#include "model/message.h"
#include "rules/instance.h"
#include "rules/ruleset.h"
#include "rules/sequence.h"
#include "rules/silence.h"
#include "window/window.h"

struct series; /* history's; opaque here */

struct rules_hooks {
    void *ctx;
    /* NULL: out of memory; the rule then does without (its functions are unknown). */
    struct series *(*open)(void *ctx, struct instance *user, size_t metric);
    void (*close)(struct series *s);
    const struct window *(*window)(const struct series *s);
    bool (*readable)(const struct series *s);
    bool (*degraded)(const struct series *s);
    bool (*unload)(struct series *s);
    void (*restart)(struct series *s);
    void (*shift)(struct series *s, int64_t by_us); /* the clock of its stamps was set */
    /* `from`, of the rule as it was before a reload, is about to go. */
    void (*inherit)(struct series *to, const struct series *from);
    /* An instance whose rule changed is about to go, `to` has inherited from it,
     * from->firing whole; NULL: for want of memory none takes its place. */
    void (*replaced)(void *ctx, struct instance *to, struct instance *from);
    /* The instance is about to go (reason: "rule_removed", "rule_disabled",
     * "out_of_scope", "device_forgotten"): close its alert. */
    void (*leaving)(void *ctx, struct instance *i, const char *reason);
};

/* A name that the device's topic gives beside tenant and device; for alert topics
 * (SPEC 6.4). */
struct device_label {
    char *name, *value;
};

/* The latest value of one metric of a device. */
struct cell {
    uint32_t metric;
    uint32_t first_use : 31; /* cell_uses() */
    bool known : 1;
    double value;
    struct wall
        at; /* of the value; unknown: nothing older than this is taken for the latest */
    int64_t seen_us; /* silence clock when a reading of it last came */
};
static_assert(sizeof(struct cell) == 32, "there may be many");

struct use {
    uint32_t instance, metric; /* device->instances[], rule->metrics[] */
};

/* Whose devices they are: kept as long as one of its devices is. */
struct tenant {
    uint32_t n_devices;
    struct rate rate;
    char name[];
};

/* There may be many, so it is kept small: 184 bytes, and its field. */
struct device {
    struct tenant *owner;
    const char *id; /* the end of `field` */
    struct rate rate;
    struct heap_item timer; /* when the first of its timers is due: monotonic us */
    struct heap timers;     /* of its instances, on its timeline */
    char *site;             /* NULL: never said */
    struct device_label *labels;
    struct wall newest; /* time of its newest reading; INT64_MIN: none yet */
    struct mono newest_arrived;
    struct mono seen;          /* arrival of its last message, perhaps before this process
                                  began; INT64_MIN: not known */
    int64_t seen_us;           /* silence clock then */
    struct mono back_since;    /* SPEC 4.4: everything is older since then */
    struct device *dirty_next; /* in one of the lists of those to be saved */
    /* One block: the cells, by metric, rising; while it is bound, behind them the
     * instances, what the cells are used for, and room for a timer of each instance. */
    struct cell *cells;
    struct instance **instances;
    int64_t longest_us; /* of the windows of its rules */
    struct sequence *sequences;
    uint32_t back_count;
    uint32_t n_cells, n_instances, n_uses;
    uint8_t n_labels; /* at most TOPIC_LABELS_MAX */
    bool bound : 1, dirty : 1;
    bool heard : 1;    /* a message came in this run */
    bool restored : 1; /* its line was read: another is older, or the same */
    bool in_part : 1;  /* a line was read that a run wrote which had not read its own, or
                          this run's had to be joined with what it heard */
    bool has_reading : 1; /* its timeline is its readings', no longer the arrival of
                             heartbeats */
    bool by_arrival : 1;  /* `newest` is an arrival, not a time that it said itself */
    bool lists_ahead : 1; /* not bound: what is stored is of a clock since set back */
    bool has_silent : 1;  /* one of its rules has silent() */
    char field[];         /* "tenant/device", the key in the registry and in Valkey */
};

/* Of all its cells, in their order; while it is bound. */
static inline struct use *device_uses(const struct device *device)
{
    return (void *)(device->instances + device->n_instances);
}
/* What uses the cell, *ret_n of them; NULL: nothing does. */
static inline const struct use *cell_uses(const struct device *device,
                                          const struct cell *cell, uint32_t *ret_n)
{
    bool last = cell + 1 == device->cells + device->n_cells;
    *ret_n = (last ? device->n_uses : cell[1].first_use) - cell->first_use;
    return *ret_n > 0 ? device_uses(device) + cell->first_use : NULL;
}

struct devices {
    struct map by_field;
    struct map tenants;           /* name -> struct tenant */
    uint32_t limit, tenant_limit; /* of devices, in all and of one tenant; 0: none */
    struct ruleset *rules;
    const struct rules_hooks *hooks;
    /* timers.h */
    struct heap timers;   /* devices */
    struct heap silences; /* instances */
    struct silence_clock silence;
    struct device *dirty;  /* to be saved with the next round */
    struct device *saving; /* with this one */
    bool unread; /* the store's lines of them: since when something holds is not known */
    size_t n_instances;
};

/* Does the store perhaps have more of it than is known here? */
static inline bool device_is_unread(const struct devices *d, const struct device *device)
{
    return d->unread && !device->restored;
}
/* In this run, or in one whose word of it is all that was read. */
static inline bool device_was_heard(const struct device *device)
{
    return device->heard || device->in_part;
}

void devices_init(struct devices *d, struct ruleset *rules,
                  const struct rules_hooks *hooks);
void devices_finish(struct devices *d);

struct device *devices_find(const struct devices *d, struct text tenant, struct text id);
/* Finds, or adds; NULL: *ret_why is E_LIMIT (d->limit), E_STATE (d->tenant_limit) or
 * E_NOMEM. */
struct device *devices_get(struct devices *d, struct text tenant, struct text id,
                           struct mono now, enum brink_status *ret_why);
/* Forgets it: its instances leave with the reason. */
void devices_remove(struct devices *d, struct device *device, const char *reason);

/* Makes the instances of the rules that cover it; no cost if it has them. E_NOMEM. */
enum brink_status device_bind(struct devices *d, struct device *device) BRINK_MUST_CHECK;
/* Its site changed: binds anew; what no longer covers it leaves with "out_of_scope". */
enum brink_status device_set_site(struct devices *d, struct device *device,
                                  struct text site) BRINK_MUST_CHECK;
/* Notes a label of its topic. E_NOMEM; E_LIMIT: more than TOPIC_LABELS_MAX. */
enum brink_status device_set_label(struct device *device, struct text name,
                                   struct text value) BRINK_MUST_CHECK;
/* NULL: none of that name. */
const char *device_label(const struct device *device, struct text name);
/* Gives its instances back if nothing of them is needed: no alert, no timer, windows
 * unloadable. */
bool device_unbind(struct devices *d, struct device *device);

/* Takes another rule set (a reload): every bound device is bound anew, instances of
 * unchanged rules move over whole. The old set stays the caller's to free afterwards.
 * E_NOMEM: some instances could not be made; they come with the device's next message. */
enum brink_status devices_set_rules(struct devices *d,
                                    struct ruleset *rules) BRINK_MUST_CHECK;

struct cell *device_cell(const struct device *device,
                         uint32_t metric); /* NULL: no rule of it uses the metric */
struct instance *device_instance(const struct device *device, struct text rule);

/* The telemetry entries were numbered anew (a reload): what was number k is to[k] now,
 * -1: gone, and with it what it remembered. */
void devices_renumber_entries(struct devices *d, const int *to, size_t n);

void device_mark_dirty(struct devices *d, struct device *device);
/* What is dirty now is to be saved, in a round that may be spread over time: nobody that
 * changes again meanwhile is put back. */
void devices_begin_saving(struct devices *d);
/* The next one of the round, clean from now on; NULL: it is over. */
struct device *devices_next_to_save(struct devices *d);

#endif
