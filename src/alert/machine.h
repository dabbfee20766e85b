/* The life of an alert: inactive -> pending -> firing -> inactive (SPEC 4.6, 4.7, 6.1).
 * Pure: what happens depends on the state, the policy and the input alone. */
#ifndef BRINK_ALERT_MACHINE_H
#define BRINK_ALERT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "expr/expr.h"
#include "model/alert.h"

struct alert_policy {
    int64_t for_us, keep_firing_for_us, cooldown_us, repeat_us; /* 0: none */
    bool escalates;
    int64_t escalate_after_us;
};

struct alert_input {
    enum truth when, clear;
    bool by_reading; /* evaluated at a reading, and not because time passed */
    struct wall at;  /* by_reading: the reading's time */
    struct wall now; /* the device's timeline; not before its newest reading */
    /* Would they be true with every stale value left out, so that time alone sustains
     * them (absent, silent, an emptied window)? Looked at only where !by_reading. */
    bool when_by_time, clear_by_time;
    bool no_data; /* no answer for no_data_after, and on_no_data is `resolve` */
};

#define ALERT_EVENTS_MAX 3

/* Steps the state; ret_events gets what is to be published, in order. Returns their
 * number. An unknown condition neither fires, resolves, repeats nor escalates. */
size_t alert_step(struct alert_state *s, const struct alert_policy *p,
                  const struct alert_input *in,
                  enum alert_event_type ret_events[ALERT_EVENTS_MAX]);

/* The next time after `now` at which time alone may change the state, or {INT64_MAX}. A
 * deadline that has passed is none any more: what it waits for is a reading, or an
 * answer. */
struct wall alert_due(const struct alert_state *s, const struct alert_policy *p,
                      struct wall now);

#endif
