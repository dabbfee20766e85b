/* The gate between the state machine's events and the outbox (SPEC 6.5, 6.6): whatever
 * mutes holds back publishing, never evaluation.
 *
 * - An OPEN that is muted is withheld: the alert fires unpublished. When nothing mutes it
 *   any longer and it is still firing, its OPEN goes out then, with the alert's own id
 * and triggered_at. If it ended before, nothing was ever told of it.
 * - The CLOSED of an alert that was published is always published.
 * - A REPEATED that is muted is left out. An ESCALATED is withheld as an OPEN is.
 * - An acknowledgement holds back REPEATED and ESCALATED alone, and ends with the alert.
 * - What exceeds a tenant's budget (`storm`) waits, the most severe first; a REPEATED is
 *   left out. The CLOSED of an alert takes no part of it.
 * - A firing alert explains others (`inhibit`) whether it was itself published or not.
 *
 * Each withheld alert stands with one cause, the first found; when that ends, the alert
 * is looked at anew and goes to another cause or out. So a decision costs a look at what
 * mutes now, an end costs those that it held back, and a reading costs nothing.
 *
 * Its clock is the gateway's arrival clock, which it is led along: before a message is
 * applied up to its arrival, before a timer up to its due time. So batching changes no
 * outcome here either. */
#ifndef BRINK_GATEWAY_GATE_H
#define BRINK_GATEWAY_GATE_H

#include "model/alert.h"
#include "mute/inhibit.h"
#include "mute/maintenance.h"
#include "mute/silence.h"
#include "mute/storm.h"
#include "rules/state.h"

struct device;
struct instance;
struct pipeline;
struct ruleset;

/* A silence's state stands in the outbox under this and its id; no rule can be named so.
 */
#define SILENCE_STATE "@silence/"

/* What the rule files say; configuration and rules are borrowed. */
struct gate_plan {
    struct maintenances maintenances;
    struct inhibition inhibition;
    struct ranked_rule *order; /* all rules, as a message's are evaluated; NULL: taken */
    size_t n_order;
};
enum brink_status gate_plan_init(struct gate_plan *plan, const struct config *config,
                                 const struct ruleset *rules) BRINK_MUST_CHECK;
void gate_plan_finish(struct gate_plan *plan);

struct gate {
    struct gate_plan plan;
    struct silences silences;
    struct storms storms;
    struct mute_cause acknowledged; /* of all that are: always active */
    struct instant at;              /* of what is being decided; mono never goes back */
    uint64_t serial;                /* the last given to a withheld alert */
    size_t n_withheld[MUTE_KINDS];  /* alerts of which something is withheld now */
    struct mute_cause *ended;
    bool has_orphans; /* alerts are withheld by nobody: after a start or a reload */
};

void gate_init(struct pipeline *p, struct instant now);
void gate_finish(struct pipeline *p); /* before the instances go */
/* Takes a plan over in place of the last. The withheld are looked at anew by the next
 * gate_advance(). */
void gate_take_plan(struct pipeline *p, struct gate_plan *plan);

/* What the outbox kept of the last run. False: that is none of the gate's. */
bool gate_restore(struct pipeline *p, struct text name, struct text tenant,
                  struct text value);

/* Time has come to the moment at hand: opens, ends, releases what is due by then. */
void gate_advance(struct pipeline *p);
/* When gate_advance() is to be called again; INT64_MAX: no need. */
struct mono gate_wake(const struct pipeline *p);

/* An event of the instance's alert, in the state that it led to (before: from which).
 * False: it is not to be published; the state is marked accordingly. */
bool gate_passes(struct pipeline *p, struct instance *i, enum alert_event_type event,
                 const struct alert_state *before);
/* The alert ended, or the instance goes. */
void gate_forget(struct pipeline *p, struct instance *i);
/* The device moved (its site, a label), and its alerts explain others from now on; then,
 * when what came along with that is decided: what is withheld of it is looked at anew. */
void gate_device_moved(struct pipeline *p, struct device *device);
void gate_look_again(struct pipeline *p, struct device *device);
/* The alert is acknowledged no longer: what that withheld is looked at anew. */
void gate_reconsider(struct pipeline *p, struct instance *i);
/* What would hold back its next event, or NULL: of an alert that was published a REPEATED
 * or ESCALATED, else its OPEN. */
struct mute_cause *gate_cause_of_next(struct pipeline *p, const struct instance *i);
/* Keeps the silence's state with what the next commit writes; none once it ended. */
void gate_store_silence(struct pipeline *p, const struct silence *silence);
/* A cause holds back no longer: what it withholds goes with the next gate_settle(). */
void gate_end(struct pipeline *p, struct mute_cause *cause);
/* Releases what gate_passes() and gate_forget() set free. After all that a message, a
 * timer or an order decides was decided, so that what ends along with its cause is not
 * told first; and never while instances are being made or freed. */
void gate_settle(struct pipeline *p);

/* Of a cause's heap. */
struct instance *instance_of_withheld(struct heap_item *withheld);
/* A withheld alert goes to the next cause, or out. */
void gate_release(struct pipeline *p, struct instance *i);

/* storms.c */
/* Where the alert stands among those that a storm withholds. */
int64_t storm_place(const struct instance *i);
/* The one of the alert's tenant; NULL: nothing bounds it. */
struct storm *storm_of(struct pipeline *p, const struct instance *i);
/* Takes a place for an event. False: there is none, so it is held back: withheld if it is
 * not a REPEATED, and noted. */
bool storm_lets_pass(struct pipeline *p, struct storm *s);
void storm_note(struct pipeline *p, struct storm *s, const struct instance *i);
/* Places came back. The storm may be gone afterwards. */
void storm_turn(struct pipeline *p, struct storm *s);
void storms_turn_all(struct pipeline *p);
bool storm_restore(struct pipeline *p, struct text name, struct text tenant,
                   struct text value);

/* causes.c */
/* What holds back an OPEN of the alert now, or NULL. */
struct mute_cause *find_cause(struct pipeline *p, const struct instance *i);
/* The alert fires, and no longer: what it explains is held back. */
void mark_source(struct pipeline *p, struct instance *i);
void unmark_source(struct pipeline *p, struct instance *i);

#endif
