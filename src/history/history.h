/* Window history: every series' window, kept in step with Valkey (SPEC 5).
 *
 * A batch goes through it in four steps:
 *   1. history_stage() for each reading of each series that it touches, in order;
 *   2. history_exchange() once: one conditional append a touched series, all in one
 * pipelined exchange; a series whose value is not what was last seen is read from the
 * answer and staged anew;
 *   3. history_admit() for each staged reading, in the same order: only now it enters its
 * window;
 *   4. history_reset_batch().
 * So what a rule sees after each admit is the window at that point of the device's
 * history, already confirmed or known not to be (series_readable).
 *
 * A series that was never read (after a start, or after its memory was given back) is
 * staged as if its key were missing: the append's refusal brings the value. Windows in
 * memory mirror what Valkey confirmed; when Valkey is away, series_readable() is false
 * (with fallback: memory, series_degraded() is true instead), and readings are kept as
 * pending, within points_per_window, until it returns.
 *
 * All of it belongs to the pipeline's thread, except connecting, which a thread of its
 * own does (store.h). The pipeline is never held longer than one `timeout`, and only once
 * an outage. */
#ifndef BRINK_HISTORY_HISTORY_H
#define BRINK_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "config/config.h"
#include "window/window.h"

struct history;
struct series;

enum store_state {
    STORE_STATE_MEMORY,     /* store: {address: memory} */
    STORE_STATE_CONNECTING, /* not yet reached since start */
    STORE_STATE_UP,
    STORE_STATE_DOWN,
};

struct history_info {
    enum store_state state;
    char reason[160];  /* why it is down */
    struct mono since; /* of the state */
    size_t series, pending_points;
    uint64_t evicted_keys;       /* the server's, as last read from INFO */
    bool evicts, no_append_file; /* warned of (SPEC 5.7) */
    char server_version[32];
};

#define HISTORY_BATCH_UNKNOWN UINT64_MAX

/* wake: called by the connecting thread when something is ready for history_step().
 * committed: the last batch (history_keep()) that the outbox has. Borrowed config. */
enum brink_status history_new(const struct config *config, const struct clock *clock,
                              void (*wake)(void *ctx), void *wake_ctx, uint64_t committed,
                              struct history **ret_history) BRINK_MUST_CHECK;
void history_free(struct history *h); /* all series must be gone */
/* Outside of this process? False: store: {address: memory} (SPEC 5.8). */
bool history_is_kept(const struct history *h);
/* With `inbox: 0`, as it was at the start: what was applied outlives a kill. */
bool history_keeps_all(const struct history *h);
/* Waits for the first connection at most `timeout`; Valkey down at start is no error. */
void history_wait_connected(struct history *h, int64_t timeout_us);
void history_info(const struct history *h, struct history_info *ret_info);
/* Limits changed by a reload. */
void history_set_limits(struct history *h, uint32_t points_per_window);

/* key: "wbuf:..." built by history_key(); copied. spec: borrowed, outlives the series.
 * user: given back by history_next_changed(). The key's TTL is max(2 x the longest width,
 * 120 s), and at least 7 d when a span is by count alone. */
enum brink_status series_new(struct history *h, struct text key,
                             const struct window_spec *spec, void *user,
                             struct series **ret_series) BRINK_MUST_CHECK;
void series_free(struct series *s);
const struct window *series_window(const struct series *s);
/* Its window is what Valkey holds, and Valkey can be asked; or degraded. Not while a
 * message that a killed run began with is yet to come again, but in its own batch. */
bool series_readable(const struct series *s);
bool series_degraded(
    const struct series *s); /* readable only thanks to fallback: memory */
/* Readings of it wait for Valkey, and its rules with them (not with fallback: memory). */
bool series_waits(const struct series *s);
/* Asks that the value be read at the next exchange although no reading came (start:
 * timers on windows). */
void series_want(struct series *s);
/* A rule over it could not be evaluated. If that is because Valkey is away, it comes out
 * of history_next_changed() once Valkey was asked for the value again, also where no
 * reading of it waits. */
void series_revisit(struct series *s);
/* Gives the window's memory back if nothing is pending and nobody waits to look at it;
 * the value stays in Valkey and is read again when needed. False: not now. */
bool series_unload(struct series *s);
/* The rule of `from`, whose series is about to go, was changed, and `to` has the same key
 * now: takes over what it holds, above all what is not yet written. Where the new rule
 * looks back further than the old one, the value is read once more. */
void series_inherit(struct series *to, const struct series *from);
/* The stored list starts anew: a device whose clock was set back (SPEC 4.4), or a series
 * whose first metric changed. What is in Valkey goes with the next exchange or step. */
void series_restart(struct series *s);
/* The clock that gave the readings' times was set: all of them move by so much, in Valkey
 * too, with the next exchange or, of a list not yet read, once it is. */
void series_shift(struct series *s, int64_t by_us);
bool series_is_restarting(const struct series *s); /* it has not gone yet */
/* How long a list is kept after its last reading (SPEC 5.1). */
int64_t history_ttl_us(const struct window_spec *spec);

/* wbuf:{tenant}:{rule}:{device}[/metric] with the tenant escaped (SPEC 5.1). */
void history_key(struct buffer *out, struct text tenant, struct text rule,
                 struct text device, struct text metric /* n == 0: the rule's first */);
/* The other way round, but for the metric; rule and device are views into the key. False:
 * it is no such key, or out of memory. */
bool history_key_parse(struct text key, struct buffer *tenant, struct text *ret_rule,
                       struct text *ret_device);

/* Returns the staged reading's number (0, 1, 2... in this batch) or -1: out of memory. */
int history_stage(struct history *h, struct series *s, struct point p);
/* A reading of another metric of its rule is in this batch: the next exchange reads the
 * series too, if it was not read yet. */
void history_need(struct history *h, struct series *s);
/* Settles all that is staged or wanted, and what is due of restoring.
 *
 * With `inbox: 0` no window of a later run holds a reading that this run did not decide
 * on, whatever its list in Valkey holds: what is staged is noted in the backlog before it
 * is sent, for one system call a batch, and is decided on once history_keep() returned.
 * A reading that was noted and not decided on enters its window when it comes again
 * (history_admit()), or with history_end_begun(). */
void history_exchange(struct history *h, struct mono now);
/* Enters staged reading i into its window. What became of it: */
enum window_push history_admit(struct history *h, int i);
void history_reset_batch(struct history *h);
/* What a killed run wrote and did not decide on is no longer awaited from the broker: it
 * is the windows' now. visit is given the users of their series: nothing was decided. */
void history_end_begun(struct history *h, void (*visit)(void *ctx, void *user),
                       void *ctx);

/* Timers and restoring: takes over a new connection, restores some of what is pending,
 * re-reads INFO now and then. Never waits longer than `timeout`. *ret_wake: not later
 * than. */
void history_step(struct history *h, struct mono now, struct mono *ret_wake);
/* Users of series whose window changed other than by history_admit() (restored after an
 * outage, read because wanted), each once; NULL: no more. Their rules are to be evaluated
 * once. */
void *history_next_changed(struct history *h);

/* Everything pending that can be written is; for a clean stop. At most `timeout_us`. */
void history_flush(struct history *h, int64_t timeout_us);

/* --- what Valkey did not take (SPEC 5.4, 7.3) --- */
/* Writes it to `backlog` in state_dir: to be called before messages count as applied, and
 * now and then. One system call a batch during an outage, none while Valkey takes
 * everything. With `inbox: 0` it has every device's line always, for one system call a
 * batch: a start without Valkey forgets nothing either.
 *
 * batch: 0, or, before alerts and their states are committed, the number of that
 * transaction, which it is to hold: a later run goes by what is kept here only if it was
 * committed. Rising, also over restarts. After the commit once more with 0. */
void history_keep(struct history *h, struct mono now, uint64_t batch);
uint64_t history_last_batch(const struct history *h); /* of the last run */
/* For `inbox: 0`: each is called now and then by history_keep() and is to give it every
 * device's line, by history_keep_device(). */
void history_keeps_devices(struct history *h, void (*each)(void *ctx, struct history *h),
                           void *ctx);
void history_keep_device(struct history *h, struct text field, struct text value);
/* The devices' lines that the last run left there, before any is put: as
 * history_load_devices() gives them, and newer than those. visit returns false of one
 * that is none: it is not written over what Valkey has. */
void history_each_left_device(struct history *h,
                              bool (*visit)(void *ctx, struct text field,
                                            struct text value),
                              void *ctx);
/* Whose windows it left readings for: visit is to open them, with series_new(), which
 * takes the readings. What was not opened is dropped, counted and logged. To be called
 * once, also when nothing is there; until then nothing is kept. */
void history_take_left_windows(struct history *h,
                               void (*visit)(void *ctx, struct text tenant,
                                             struct text rule, struct text device),
                               void *ctx);

/* --- other state in Valkey (SPEC 5.6): written along with the next exchange, best
 * effort. --- */
/* HSET brink:{gateway_id}:devices field value; field is "tenant/device". value.n == 0:
 * HDEL. */
void history_put_device(struct history *h, struct text field, struct text value);
/* cooldown:{tenant}:{rule}:{device} = 1 for ttl. */
void history_put_cooldown(struct history *h, struct text tenant, struct text rule,
                          struct text device, int64_t ttl_us);
/* Reads the whole hash once Valkey is first reached (HSCAN, in steps of history_step());
 * visit is called for each field from within history_step() or history_flush(), never
 * amid a batch, for `first` (static text) before all others; done once with field.p ==
 * NULL. A field may be visited twice (a rehash, a connection that broke). Devices put
 * meanwhile are written after it, so that they hide nothing from it. */
void history_load_devices(struct history *h, const char *first,
                          void (*visit)(void *ctx, struct text field, struct text value),
                          void *ctx);

#endif
