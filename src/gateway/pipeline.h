/* The way of a reading: decode -> stage -> exchange with Valkey -> admit -> evaluate ->
 * alert.
 *
 * This is the one engine: `brink run` feeds it from MQTT and drains it into the outbox;
 * whoever else brings a clock, a source and a sink gets the same alerts. One thread owns
 * a pipeline and everything in it; nothing here reads a clock or a socket, except
 * history's exchange. */
#ifndef BRINK_GATEWAY_PIPELINE_H
#define BRINK_GATEWAY_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "decode/decode.h"
#include "history/history.h"
#include "mute/mute.h"
#include "rules/ruleset.h"
#include "rules/state.h"

#define SAVE_DEVICES_US                                                                  \
    (4 * US_PER_S) /* a device's state is at most about this old in Valkey (SPEC 5.6: 5  \
                      s) */
#define DRAIN_IDLE_US                                                                    \
    (250 * US_PER_MS) /* intake idle for so long: what the broker queued was taken       \
                         (SPEC 4.8) */
#define DRAIN_MAX_US (5 * US_PER_S)

struct alert_facts;
struct alert_state;
struct device;
struct evaluation;
struct rule;

/* An alert on its way out. Views for the call. */
struct outgoing {
    struct text topic, payload;
    int qos;
    bool retain;
    const struct alert_facts
        *facts; /* what the payload says; NULL: it clears its topic */
};

struct pipeline_sink {
    void *ctx;
    void (*event)(void *ctx, const struct outgoing *event);
    /* An alert's state, opaque; value.n == 0: none any more. In one transaction with the
     * events before the next commit. */
    void (*state)(void *ctx, struct text rule, struct text tenant, struct text device,
                  struct text value);
    /* Is there something to commit? NULL: nobody asks (inbox > 0, or nothing is kept). */
    bool (*is_due)(void *ctx);
    void (*commit)(void *ctx, struct mono now);
    /* Each evaluation, before what comes of it; NULL: nobody wants to know. */
    void (*evaluated)(void *ctx, const struct rule *rule, const struct device *device,
                      const struct evaluation *e);
};

struct pipeline;

/* rules: taken over on success. config: borrowed until pipeline_reload() or
 * pipeline_free(); history: borrowed. */
enum brink_status pipeline_new(const struct config *config, struct ruleset *rules,
                               struct history *history, const struct pipeline_sink *sink,
                               struct instant now,
                               struct pipeline **ret_pipeline) BRINK_MUST_CHECK;
void pipeline_free(struct pipeline *p);
const struct config *pipeline_config(const struct pipeline *p);

/* What the outbox kept of the last run, before the first message. First, what belongs to
 * no alert (is_own_state): which metric each rule's lists hold, silences. Then the
 * comparison: where a rule's metric changed, stored lists start anew (SPEC 5.1). Then one
 * call an alert. */
#define BATCH_STATE                                                                      \
    "@batch" /* the number of the last commit; read by who opens history */
bool pipeline_is_own_state(struct text rule, struct text tenant, struct text device);
void pipeline_restore_own(struct pipeline *p, struct text rule, struct text tenant,
                          struct text device, struct text value);
void pipeline_compare_rules(struct pipeline *p, struct instant now);
void pipeline_restore_alert(struct pipeline *p, struct text rule, struct text tenant,
                            struct text device, struct text value, struct instant now);

/* Then what Valkey did not take in the last run (SPEC 5.4, 7.3), once. */
void pipeline_restore_left(struct pipeline *p, struct instant now);

/* Are the devices that Valkey knows of read back? */
bool pipeline_is_loaded(const struct pipeline *p);

/* Decodes one MQTT message into the batch at hand. */
void pipeline_add(struct pipeline *p, const struct raw_message *raw);
/* Has the batch grown so large that it should be applied before more is added? */
bool pipeline_is_full(const struct pipeline *p);
/* Applies the batch and commits what it decided. */
void pipeline_apply(struct pipeline *p, struct instant now);
/* Nothing holds messages up on their way here (a recording, a rule test): what is due by
 * time before one of a batch arrived comes before it, so that the outcome is the same
 * however the messages are cut into batches. Else, what is at hand is taken before
 * anything is held to be due: a message may have waited behind a full inbox, or in the
 * socket, and its device is not silent for that. */
void pipeline_set_exact(struct pipeline *p);
/* Everything that is due by time alone, and housekeeping. *ret_wake: to be called again
 * not later. */
void pipeline_step(struct pipeline *p, struct instant now, struct mono *ret_wake);

/* The subscription is in place, or gone: silence counts only in between (SPEC 4.8). */
void pipeline_subscribed(struct pipeline *p, bool subscribed, struct mono now);

/* Another configuration (borrowed, in place of the last) and its rules (taken over)
 * (SPEC 1.3). E_NOMEM: nothing changed, rules are freed. */
enum brink_status pipeline_reload(struct pipeline *p, const struct config *config,
                                  struct ruleset *rules,
                                  struct instant now) BRINK_MUST_CHECK;

/* A clean stop: writes every device's state and what history still has to write, and
 * decides on what that changed; at most timeout_us. */
void pipeline_flush(struct pipeline *p, struct instant now, int64_t timeout_us);

/* Every alert that is pending or firing, in no particular order, with the time that it is
 * on its device's timeline. Views for the call. */
void pipeline_each_alert(const struct pipeline *p,
                         void (*visit)(void *ctx, struct text rule, struct text tenant,
                                       struct text device,
                                       const struct alert_state *alert, struct wall now),
                         struct mono now, void *ctx);

struct pipeline_info {
    size_t devices, instances, rules;
    size_t withheld[MUTE_KINDS]; /* alerts of which something is held back now, by what */
};
void pipeline_info(const struct pipeline *p, struct pipeline_info *ret_info);

#endif
