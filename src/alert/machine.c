#include "alert/machine.h"

#include <string.h>

static bool is_set(struct wall t)
{
    return t.us != 0;
}

/* Carries an onset over the time spent unknown, once the condition is known again. */
static void resume(struct wall *onset, struct wall *unknown_since, struct wall now)
{
    if (is_set(*unknown_since)) {
        if (is_set(*onset) && now.us > unknown_since->us) {
            onset->us += now.us - unknown_since->us;
        }
        unknown_since->us = 0;
    }
}

/* Has the condition that began at `onset` lasted? At a reading by the reading's time,
 * else only if time alone sustains it (SPEC 4.6). */
static bool has_lasted(struct wall onset, int64_t duration_us,
                       const struct alert_input *in, bool by_time)
{
    if (duration_us == 0) {
        return true;
    }
    struct wall at = in->by_reading ? in->at : in->now;
    return (in->by_reading || by_time) && at.us - onset.us >= duration_us;
}

static void become_inactive(struct alert_state *s)
{
    struct wall cooldown_until = s->cooldown_until;
    *s = (struct alert_state){.phase = ALERT_INACTIVE, .cooldown_until = cooldown_until};
}

static size_t step_waiting(struct alert_state *s, const struct alert_policy *p,
                           const struct alert_input *in,
                           enum alert_event_type *ret_events)
{
    if (in->no_data || in->when == TRUTH_FALSE) {
        become_inactive(s);
        return 0;
    }
    if (in->when == TRUTH_UNKNOWN) {
        if (s->phase == ALERT_PENDING && !is_set(s->unknown_since)) {
            s->unknown_since = in->now;
        }
        return 0;
    }
    if (s->phase == ALERT_INACTIVE) {
        s->phase = ALERT_PENDING;
        s->onset = in->by_reading ? in->at : in->now;
        s->complete = false;
        s->unknown_since.us = 0;
    }
    resume(&s->onset, &s->unknown_since, in->now);
    s->complete = s->complete || has_lasted(s->onset, p->for_us, in, in->when_by_time);
    if (!s->complete || in->now.us < s->cooldown_until.us) {
        return 0;
    }
    s->phase = ALERT_FIRING;
    s->triggered_at = in->now;
    s->published_at = in->now;
    s->clear_onset.us = 0;
    s->escalated = false;
    s->trigger_count = 1;
    s->cooldown_until.us = p->cooldown_us > 0 ? in->now.us + p->cooldown_us : 0;
    ret_events[0] = ALERT_OPEN;
    return 1;
}

static size_t step_firing(struct alert_state *s, const struct alert_policy *p,
                          const struct alert_input *in, enum alert_event_type *ret_events)
{
    if (in->no_data) {
        become_inactive(s);
        ret_events[0] = ALERT_CLOSED;
        return 1;
    }
    /* Where both are true, the condition outweighs its clearing: closing would only
     * open the same alert again. */
    enum truth clear = in->when == TRUTH_TRUE ? TRUTH_FALSE : in->clear;
    if (clear == TRUTH_UNKNOWN) {
        if (is_set(s->clear_onset) && !is_set(s->unknown_since)) {
            s->unknown_since = in->now;
        }
        return 0;
    }
    if (clear == TRUTH_TRUE) {
        if (!is_set(s->clear_onset)) {
            s->clear_onset = in->by_reading ? in->at : in->now;
            s->unknown_since.us = 0;
        }
        resume(&s->clear_onset, &s->unknown_since, in->now);
        if (has_lasted(s->clear_onset, p->keep_firing_for_us, in, in->clear_by_time)) {
            become_inactive(s);
            ret_events[0] = ALERT_CLOSED;
            return 1;
        }
    } else {
        s->clear_onset.us = 0;
        s->unknown_since.us = 0;
    }
    if (in->when == TRUTH_UNKNOWN) {
        return 0;
    }
    size_t n = 0;
    if (p->escalates && !s->escalated &&
        in->now.us - s->triggered_at.us >= p->escalate_after_us) {
        s->escalated = true;
        ret_events[n++] = ALERT_ESCALATED;
    }
    if (p->repeat_us > 0 && in->now.us - s->published_at.us >= p->repeat_us) {
        s->published_at = in->now;
        s->trigger_count++;
        ret_events[n++] = ALERT_REPEATED;
    }
    return n;
}

size_t alert_step(struct alert_state *s, const struct alert_policy *p,
                  const struct alert_input *in,
                  enum alert_event_type ret_events[ALERT_EVENTS_MAX])
{
    return s->phase == ALERT_FIRING ? step_firing(s, p, in, ret_events)
                                    : step_waiting(s, p, in, ret_events);
}

static void earlier(struct wall *due, int64_t us, struct wall now)
{
    if (us > now.us && us < due->us) {
        due->us = us;
    }
}

struct wall alert_due(const struct alert_state *s, const struct alert_policy *p,
                      struct wall now)
{
    struct wall due = {INT64_MAX};
    if (s->phase == ALERT_PENDING) {
        earlier(&due, s->complete ? s->cooldown_until.us : s->onset.us + p->for_us, now);
    } else if (s->phase == ALERT_FIRING) {
        if (is_set(s->clear_onset)) {
            earlier(&due, s->clear_onset.us + p->keep_firing_for_us, now);
        }
        if (p->escalates && !s->escalated) {
            earlier(&due, s->triggered_at.us + p->escalate_after_us, now);
        }
        if (p->repeat_us > 0) {
            earlier(&due, s->published_at.us + p->repeat_us, now);
        }
    } else {
        earlier(&due, s->cooldown_until.us, now);
    }
    return due;
}
