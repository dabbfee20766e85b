/* One alert of one rule and device: its state, and the events of its life (SPEC 6.1).
 * All times are on the device's timeline (SPEC 4.5), so that a backlog, a replay or a
 * wrong clock behaves like live data. {0} is "none" for every stamp here. */
#ifndef BRINK_MODEL_ALERT_H
#define BRINK_MODEL_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "model/rule.h"

enum alert_phase { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };

struct alert_state {
    enum alert_phase phase : 8;
    bool complete : 1;  /* PENDING: `for` is over, only the cooldown holds it */
    bool published : 1; /* FIRING: its OPEN went out */
    bool waits : 1;     /* withheld for want of room in its tenant's budget */
    bool escalated : 1;
    bool degraded : 1;          /* decided from memory while Valkey was away (SPEC 5.5) */
    uint32_t trigger_count;     /* OPEN is the first, each REPEATED one more */
    struct wall onset;          /* since when the condition is true (PENDING, FIRING) */
    struct wall unknown_since;  /* it turned unknown then; time spent so does not count */
    struct wall triggered_at;   /* FIRING: when it fired */
    struct wall clear_onset;    /* FIRING: since when `clear` is true */
    struct wall cooldown_until; /* does not fire anew before */
    struct wall published_at;   /* FIRING: the last OPEN or REPEATED */
    uint64_t withheld; /* FIRING: an OPEN, or of a published alert an ESCALATED, is held
                          back: its place among all that are (SPEC 6.5); 0: none is */
};

/* Somebody looks after it: while it lasts, it is neither repeated nor escalated
 * (SPEC 6.5). */
struct acknowledgement {
    struct wall at;           /* the gateway's arrival clock */
    const char *by, *comment; /* into bytes; "": not said */
    char bytes[];
};

#define ACKNOWLEDGED_BY_BYTES_MAX 256
#define ACKNOWLEDGED_COMMENT_BYTES_MAX 2000

/* free() it; NULL: out of memory. */
struct acknowledgement *acknowledgement_new(struct wall at, struct text by,
                                            struct text comment);

/* The device's clock was set: every stamp that is given moves by delta_us, but for the
 * onset of an alert that fires, by which it is known (SPEC 6.2: alert_id). */
void alert_state_shift(struct alert_state *s, int64_t delta_us);

enum alert_event_type { ALERT_OPEN, ALERT_CLOSED, ALERT_REPEATED, ALERT_ESCALATED };
const char *alert_event_name(enum alert_event_type t); /* "OPEN" ... */

#endif
