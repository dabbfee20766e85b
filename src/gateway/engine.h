/* The inside of a pipeline, shared by its files: pipeline.c (the batch), admission.c (who
 * may speak), decide.c (evaluation to event), gate.c (what is held back), announce.c
 * (what goes out), upkeep.c (timers, forgetting, reload) and saved.c (what a restart
 * finds again). Nobody else includes it. */
#ifndef BRINK_GATEWAY_ENGINE_H
#define BRINK_GATEWAY_ENGINE_H

#include "gateway/pipeline.h"

#include "alert/payload.h"
#include "base/log.h"
#include "gateway/gate.h"
#include "rules/evaluate.h"
#include "rules/timeline.h"
#include "rules/timers.h"

/* A staged reading of one instance's series, or (staged < 0) a use without a window. */
struct touch {
    struct instance *instance;
    int staged;
};

/* One value of a message: its cell and the touches behind it. */
struct staged_value {
    struct cell *cell;
    double value;
    uint32_t first_touch, n_touches;
};

/* A message of the batch that is at hand. */
struct staged_message {
    const struct message *message;
    struct device *device;
    uint32_t first_value, n_values;
    bool moves; /* it says another site than before */
};

struct pipeline {
    const struct config *config;
    struct ruleset *rules;
    struct history *history;
    struct pipeline_sink sink;
    uint64_t batch; /* of decisions that were committed with `inbox: 0` */
    struct decoder *decoder;
    struct rules_hooks hooks;
    struct devices devices;

    struct staged_message *messages;
    size_t n_messages, cap_messages;
    struct wall newest_staged; /* the latest of their times */
    struct staged_value *values;
    size_t n_values, cap_values;
    struct touch *touches;
    size_t n_touches, cap_touches;
    struct metric_value *scratch; /* ruleset_values_max() */
    struct instance **touched;    /* by the message that is being applied */
    size_t n_touched, cap_touched;
    uint64_t serial;

    struct gate gate;
    struct instant now; /* of the call that is under way */
    int64_t clock_us;   /* wall less monotonic clock: a step when it changes */
    struct mono subscribed_at, last_message;
    bool took_messages; /* since the last step */
    struct mono next_save, next_sweep;
    size_t sweep; /* place in the registry */
    bool exact;   /* pipeline_set_exact() */
    bool devices_asked,
        devices_loaded;      /* history_load_devices() was called, and is done */
    bool wants_windows;      /* after a start: some may change by time alone */
    struct wall alive;       /* until when the last run was subscribed */
    struct wall saved_alive; /* the same of this run, as last saved; 0: not yet */
    struct buffer payload, topic, text, window_key;
    struct map firsts; /* rule id -> struct first_metric, as the outbox has them */
    struct log_limit limit_device, limit_shift, limit_tenant, limit_memory, limit_topic,
        limit_state;
};

/* admission.c */
void apply_limits(struct pipeline *p); /* those of p->config, on p->decoder */

/* announce.c */
/* The rule's and the device's part of what is told of an alert. */
void describe(const struct pipeline *p, const struct instance *i, struct alert_facts *f);
/* That, and what was evaluated at `now`, on the device's timeline. */
void describe_event(const struct pipeline *p, const struct instance *i,
                    const struct evaluation *e, enum alert_event_type event,
                    struct wall now, struct alert_facts *f);
/* device: NULL when it is not known any more. retained: of the alert; kept up to date. */
void announce(struct pipeline *p, const struct alert_facts *f,
              const struct device *device, char **retained);
/* Of an instance's alert. */
void announce_of(struct pipeline *p, const struct alert_facts *f, struct instance *i);

/* decide.c */
void decide(struct pipeline *p, struct instance *i, const struct moment *m);
/* Not evaluated just now: what is due already (while the gateway was down; at this very
 * moment; by another rule) is looked at now, once. */
void schedule_anew(struct pipeline *p, struct instance *i);
void pull_timers(struct pipeline *p, struct device *device);
void schedule_now(struct pipeline *p, struct instance *i); /* in any case */
void store_state(struct pipeline *p, struct instance *i);
void schedule_device(struct pipeline *p, struct device *device);
void close_leaving(struct pipeline *p, struct instance *i, const char *reason);
void close_saved(struct pipeline *p, struct saved_alert *saved, struct text rule,
                 struct text tenant, struct text device);

/* The moment of the calls to come, no later than now, on both clocks. */
static inline void set_moment(struct pipeline *p, struct mono at)
{
    p->now.wall.us += at.us - p->now.mono.us;
    p->now.mono = at;
}

/* Is what is known of the device worth its line's place? Else that has more. */
static inline bool may_save(const struct pipeline *p, const struct device *device)
{
    return p->devices_loaded || device->heard || device->restored;
}

void keep_and_commit(struct pipeline *p, struct mono now); /* pipeline.c */

/* upkeep.c */
bool drained(const struct pipeline *p,
             struct mono now); /* what the broker had queued was taken */
void run_timers(struct pipeline *p, struct mono until, size_t most);
void advance_device(struct pipeline *p, struct device *device, struct wall to);
void follow_clock(struct pipeline *p);
void store_alerts(struct pipeline *p, struct device *device); /* their times moved */
void shift_device(struct pipeline *p, struct device *device, int64_t by_us);
/* A window that was read back may hold a reading that a killed run wrote and did not live
 * to decide on: the device's timeline goes at least so far. True: it was behind. */
bool catch_up(struct pipeline *p, const struct instance *i);
bool is_readable(const struct instance *i); /* all its windows are */
/* When the last reading of the rule was: others of its device may have come since.
 * INT64_MIN: it never had one, nothing is to be decided. */
struct wall last_reading(const struct pipeline *p, const struct instance *i);
/* To decide at that reading: then silence is what it was when the device was heard. */
struct moment newest_moment(const struct pipeline *p, const struct instance *i);
struct series *open_series(void *ctx, struct instance *user, size_t metric);

/* first_metric.c: a list does not say whose readings it holds. Where a rule's first
 * metric changed, each device's lists start anew (SPEC 5.1), once: which have is kept in
 * the outbox, for as long as Valkey may still keep a list of the metric before. */
void first_metrics_compare(struct pipeline *p); /* p->rules are the rules to come */
/* Does the plain key perhaps still hold another metric? */
bool first_metric_is_new(struct pipeline *p, const struct instance *i);
/* Notes that the instance's lists have started anew, if they have. */
void first_metric_settle(struct pipeline *p, struct instance *i);
void first_metrics_store(struct pipeline *p); /* anew: the clock was set */
void first_metrics_forget(struct pipeline *p, const struct device *device);
void first_metrics_free(struct pipeline *p);

/* saved.c */
void want_all_windows(struct pipeline *p); /* once, after a start */
void save_device(struct pipeline *p, struct device *device);
/* Of those of the round that devices_begin_saving() began. */
void save_devices(struct pipeline *p, size_t n_max);
/* A field of the hash in Valkey: a device's line, or the gateway's own: until when it was
 * subscribed, and for how long in all. ctx: the pipeline. */
#define GATEWAY_FIELD "@gateway" /* no device's: those have a slash */
void restore_device(void *ctx, struct text field, struct text value);
void save_alive(struct pipeline *p);                 /* the gateway's own line */
void keep_all_devices(void *ctx, struct history *h); /* see history_keeps_devices() */

#endif
