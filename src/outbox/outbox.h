/* The durable outbox, and the state that lives and dies with it (SPEC 5.6, 6.3).
 *
 * SQLite in state_dir: an event and the alert state that it leaves behind are written in
 * one transaction. One owner, the pipeline's thread; no other process opens the file (a
 * lock file says so). A failed write (full disk, read-only) is told and tried again;
 * events stay in memory meanwhile, within the limit. */
#ifndef BRINK_OUTBOX_OUTBOX_H
#define BRINK_OUTBOX_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

#define OUTBOX_PAYLOAD_BYTES_MAX (128 * 1024)

struct outbox;

struct outbox_event {
    uint64_t id; /* given by outbox_put; rising; order of delivery */
    struct text topic, payload;
    int qos;
    bool retain;
};

/* Opens or makes state_dir/outbox.db (mode 0600; the folder 0700 if made). sync_always:
 * each commit survives a power cut; else what is older than a second does (outbox_step).
 * E_IO: *why tells what and what to do; E_STATE: another process has it, and did not give
 * it back within two seconds. A file that is
 * damaged is put aside (outbox.db.damaged-N) with a logged error and a new one begun. */
enum brink_status outbox_open(const char *state_dir, bool sync_always, uint32_t limit,
                              char *why, size_t why_bytes,
                              struct outbox **ret_outbox) BRINK_MUST_CHECK;
void outbox_close(struct outbox *o);
void outbox_configure(struct outbox *o, bool sync_always, uint32_t limit); /* reload */

/* Collects into the open transaction. Views are copied. At `limit` events the oldest
 * leave, counted and logged; also while the disk refuses, when more than 64 MiB would
 * wait in memory. E_LIMIT: a topic above 65535 bytes or a payload above
 * OUTBOX_PAYLOAD_BYTES_MAX. */
enum brink_status outbox_put(struct outbox *o, const struct outbox_event *event,
                             uint64_t *ret_id) BRINK_MUST_CHECK;
/* State of one alert, opaque here. value.n == 0 deletes it. */
enum brink_status outbox_put_state(struct outbox *o, struct text rule, struct text tenant,
                                   struct text device,
                                   struct text value) BRINK_MUST_CHECK;
bool outbox_is_due(const struct outbox *o); /* was anything collected? */
/* Makes all that was collected durable as one transaction, acknowledged events' removal
 * included. Nothing collected: no cost. E_IO: kept and tried again by the next commit or
 * step; told once a second. */
enum brink_status outbox_commit(struct outbox *o, struct mono now) BRINK_MUST_CHECK;
/* Retries a failed commit, removes acknowledged events, once a second makes the log
 * durable (sync: normal). */
void outbox_step(struct outbox *o, struct mono now, struct mono *ret_wake);

/* Calls visit for each stored state, in no order. */
enum brink_status outbox_each_state(struct outbox *o,
                                    void (*visit)(void *ctx, struct text rule,
                                                  struct text tenant, struct text device,
                                                  struct text value),
                                    void *ctx) BRINK_MUST_CHECK;

/* The first event with id > after that is committed and not acknowledged; false: none.
 * Views until the next call. An event whose commit was tried and failed counts too: a
 * full disk must not silence alerts. Should the process die before the disk takes it, the
 * alert may come again. */
bool outbox_next(struct outbox *o, uint64_t after, struct outbox_event *ret_event);
/* All events up to `id` are with who delivers them; 0: that one is gone, and what it did
 * not answer for is nowhere but here. What the limit pushes out while it is there may be
 * delivered all the same: it counts as dropped only once that is out of the question. */
void outbox_handed_over(struct outbox *o, uint64_t id);
void outbox_acknowledged(
    struct outbox *o,
    uint64_t id); /* delivered or given up: leaves with the next commit */
size_t outbox_count(const struct outbox *o); /* events not acknowledged */

#endif
