/* A rule at one device: the state of its alert, its windows, and what waits for time.
 *
 * An instance is made when its device is bound (device.h) and goes when the rule no
 * longer covers the device, or when nothing of it is needed. Pipeline thread only. */
#ifndef BRINK_RULES_INSTANCE_H
#define BRINK_RULES_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "model/alert.h"
#include "rules/ruleset.h"

struct series;     /* history's; opaque here */
struct mute_cause; /* mute's */
struct inhibit_mark;
struct device;
struct devices;

/* held() and per-condition durations: true without a break since onset? */
struct held {
    struct wall onset, unknown_since; /* 0: none */
    bool complete;
    bool broken; /* was false in this run: what is stored of it plays no part any more */
};

/* When silence alone may change a rule's outcome. */
struct silence_timer {
    struct heap_item place;    /* among all that count silence; due: monotonic us */
    int64_t due;               /* on the silence clock; INT64_MAX: never */
    struct instance *instance; /* whose it is */
};

/* What only an alert that fires may have. */
struct firing {
    struct instance *instance;   /* whose it is */
    struct mute_cause *muted_by; /* what holds its news back; NULL: nothing is */
    struct heap_item withheld;   /* ... and its place there */
    struct inhibit_mark *marks;  /* what it holds back; the gate's */
    struct acknowledgement *ack; /* or NULL */
    char *retained; /* topic on which the broker keeps it (SPEC 6.4); or NULL */
};

#define NOT_UNKNOWN INT64_MIN

/* One a rule and device, so it is kept small: 128 bytes and what the rule needs. */
struct instance {
    struct heap_item timer; /* among its device's; due: on the device's timeline */
    struct device *device;
    const struct rule *rule;
    struct alert_state alert;
    struct firing *firing; /* NULL: nothing of it */
    int64_t unknown_us;    /* silence clock since which it is unknown for another reason
                              than the store (negative: before this run), or NOT_UNKNOWN */
    int64_t due_wall;      /* when time alone may change it: on the device's timeline;
                              INT64_MAX: never */
    uint32_t gap; /* the last between two readings in which it was evaluated by time */
    uint8_t advances;  /* ... alone, and how often */
    bool touched : 1;  /* by the message at hand */
    bool stored : 1;   /* the outbox holds a state for it */
    bool renewing : 1; /* the owner's: its lists start anew */
    bool decided : 1; /* on its newest reading: what needs what Valkey has, and came while
                         it was away, is not */
    bool left : 1;    /* readings of it waited for Valkey when the last run ended: not
                         decided on since */
    bool broken : 1;  /* as in struct held: what is stored as pending does not go on */
    bool evaluated : 1;      /* since it was bound; its first reading counts even as a
                                redelivery */
    struct series *series[]; /* rule->n_metrics; NULL where no window is asked for. Behind
                                them what instance_held() and instance_silence() give */
};

/* rule->n_held. */
static inline struct held *instance_held(const struct instance *i)
{
    return (void *)&i->series[i->rule->n_metrics];
}
/* NULL: the rule does not mind. */
static inline struct silence_timer *instance_silence(const struct instance *i)
{
    return rule_minds_silence(i->rule) ? (void *)(instance_held(i) + i->rule->n_held)
                                       : NULL;
}

static inline struct mute_cause *instance_muted_by(const struct instance *i)
{
    return i->firing ? i->firing->muted_by : NULL;
}
static inline struct acknowledgement *instance_ack(const struct instance *i)
{
    return i->firing ? i->firing->ack : NULL;
}
static inline char *instance_retained(const struct instance *i)
{
    return i->firing ? i->firing->retained : NULL;
}
/* Makes i->firing where there is none. NULL: out of memory. */
struct firing *instance_firing(struct instance *i);
/* They take what they are given, or NULL, in place of what was there (`retained`: that is
 * the caller's to free). False: out of memory, and it is freed. */
bool instance_set_ack(struct instance *i, struct acknowledgement *ack);
bool instance_set_retained(struct instance *i, char *retained);
/* Gives i->firing back if nothing is in it any more. */
void instance_cool(struct instance *i);

/* With its windows open. NULL: out of memory. */
struct instance *instance_new(struct devices *d, struct device *device,
                              struct rule *rule);
/* Closes its windows, stops its timers and lets go of its rule. */
void instance_free(struct devices *d, struct instance *i);
/* Moves what outlives a change of the rule: firing and cooldown, what is pending if it is
 * pending for the same condition (SPEC 1.3), and what its windows hold. */
void instance_inherit(const struct devices *d, struct instance *to,
                      struct instance *from);

#endif
