/* One rule over one device, now: the condition, its clearing, and when to look again.
 * No allocation, no I/O. Pipeline thread. */
#ifndef BRINK_RULES_EVALUATE_H
#define BRINK_RULES_EVALUATE_H

#include "rules/device.h"

/* The point of a device's history at which rules are evaluated. */
struct moment {
    bool by_reading; /* at a reading, and not because time passed */
    struct wall at;  /* by_reading: the reading's time (of a late one: before `now`) */
    struct wall now; /* the device's timeline; at a reading: its newest reading's time */
    int64_t silence_us; /* the silence clock (SPEC 4.8) */
};

struct evaluation {
    enum truth when, clear;
    struct expr_reason when_reason, clear_reason;
    bool when_by_time, clear_by_time; /* sustained by time alone (SPEC 4.6); asked only
                                         where !by_reading */
    bool store_unknown; /* a window could not be read: unknown for that reason */
    bool degraded;      /* a window was read from memory while Valkey is away */
    bool no_data;       /* for no_data_after (SPEC 4.7) */
};

/* Evaluates and moves the held() timers. Not twice for one moment. */
void instance_evaluate(const struct devices *d, struct instance *i,
                       const struct moment *m, struct evaluation *ret);

/* When time alone may next change the outcome, on the device's timeline, strictly after
 * the moment given (windows that empty, held timers; the alert's own deadlines are the
 * caller's); INT64_MAX: never. */
int64_t instance_due(const struct devices *d, const struct instance *i,
                     struct wall after);
/* The same for silence, on the silence clock. */
int64_t instance_silence_due(const struct instance *i, int64_t after_us);

/* Readers of one window, for the payload: the span as of `now`, or NULL when it has no
 * series. */
const struct window *instance_window(const struct devices *d, const struct instance *i,
                                     size_t metric);

#endif
