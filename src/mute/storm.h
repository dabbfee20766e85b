/* Bounds what a tenant publishes (SPEC 6.6: `storm`): at most so many alerts in any span
 * of that length.
 *
 * Each alert that goes out takes a place, which comes back `within` later. Places are
 * kept in slots of a 32nd of `within` that come back whole, at the end of their slot: so
 * the bound is strict, a place is away for up to a 32nd longer, and a restart has little
 * to remember. */
#ifndef BRINK_MUTE_STORM_H
#define BRINK_MUTE_STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/status.h"
#include "model/rule.h"
#include "mute/mute.h"

#define STORM_SLOTS 32
#define STORM_SLOTS_KEPT (STORM_SLOTS + 2)

struct storm_limit {
    uint32_t alerts; /* 0: none */
    int64_t within_us;
};

/* One tenant's. */
struct storm {
    struct mute_cause
        cause; /* active: it rages, or what it withheld is still going out */
    struct heap_item timer;
    struct {
        int64_t until_us; /* wall: when they come back */
        uint32_t n;
    } slots[STORM_SLOTS_KEPT]; /* rising */
    size_t n_slots;
    uint32_t taken;

    /* While it is active: */
    struct wall onset, told_at; /* since when; the last that was said of it */
    uint64_t held_back;         /* events, since then; ... */
    uint64_t told_held_back;    /* ... and as was said last */
    enum severity worst;        /* of those */
    uint32_t told;              /* how often something was said of it, but for the end */
    char *retained; /* topic on which the broker keeps what was said; or NULL */

    struct text tenant; /* NUL-terminated */
    char bytes[];
};

struct storms {
    struct storm_limit limit;
    struct map by_tenant;
    struct heap timers; /* wall, us */
};

void storms_finish(struct storms *s); /* nothing may be withheld any more */

/* NULL: there is none, or (add) no memory. */
struct storm *storms_find(const struct storms *s, struct text tenant);
struct storm *storms_add(struct storms *s, struct text tenant);
/* Forgets one that is not active and whose places are all back. */
void storms_drop(struct storms *s, struct storm *storm);

/* Takes a place for one alert. False: none is left. */
bool storm_take(const struct storms *s, struct storm *storm, struct wall now);
/* Is one left? */
bool storm_has_room(const struct storms *s, struct storm *storm, struct wall now);
/* When more is to be said of it: once a `within`, if there is more; INT64_MAX: never. */
int64_t storm_news_due(const struct storms *s, const struct storm *storm);
/* To be called after each change: when the storm is to be looked at again. Active: when
 * the first place comes back or more is to be said; else when all are back. */
void storm_schedule(struct storms *s, struct storm *storm);
int64_t storms_due(const struct storms *s); /* INT64_MAX: never */
struct storm *storms_first_due(const struct storms *s);

/* What survives a restart, without the tenant. */
void storm_print(const struct storm *storm, struct buffer *out);
/* E_SYNTAX: not such a line; E_STATE: the tenant has one; E_NOMEM. */
enum brink_status storms_restore(struct storms *s, struct text tenant,
                                 struct text line) BRINK_MUST_CHECK;

#endif
