/* The gateway's side of the process that publishes alerts (SPEC 7.4): starts it, feeds it
 * from the outbox, takes its acknowledgements. The child is this same program started
 * anew (/proc/self/exe with SENDER_COMMAND), before any thread and again if it ever dies,
 * with backoff; it gets what it must know over its socket, so no secret is in its
 * arguments or environment. It ends when its socket closes.
 *
 * One owner, the pipeline's thread; courier_fd() is for its poll. */
#ifndef BRINK_OUTBOX_COURIER_H
#define BRINK_OUTBOX_COURIER_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "mqtt/client.h"
#include "outbox/outbox.h"

#define SENDER_COMMAND "publish-alerts" /* hidden: not a command for people */
#define COURIER_IN_FLIGHT 256           /* events handed over and not yet answered */
/* Beside those, events that the broker refuses for now and what waits behind them: a
 * tenant whose topics are forbidden must not hold up the others, up to this many. */
#define COURIER_BLOCKED_MAX 4096

struct courier;

/* options: copied; its client_id is the alerts' own already. Its will is not: that is the
 * other connection's. Nor is its session: who only publishes has none to keep. Starts the
 * child. */
enum brink_status courier_new(const struct mqtt_options *options, struct outbox *outbox,
                              struct courier **ret_courier) BRINK_MUST_CHECK;
/* How the child logs; also at a reload. */
void courier_set_log(struct courier *c, enum log_level level, enum log_format format);
/* Waits at most flush_us until the outbox is empty, then ends the child (SIGKILL when it
 * does not). */
void courier_free(struct courier *c, int64_t flush_us);
int courier_fd(const struct courier *c); /* -1: no child now */
/* A poll found courier_fd() readable: the next step reads it. Otherwise steps look there
 * once a millisecond, so that one after each batch costs no system call. */
void courier_ready(struct courier *c);
/* Hands over what is new in the outbox, takes answers; never blocks. To be called when
 * courier_fd() is ready, after a commit, and not later than *ret_wake. */
void courier_step(struct courier *c, struct mono now, struct mono *ret_wake);
bool courier_is_connected(const struct courier *c); /* the alerts' connection is up */

/* The child's main: socket is file descriptor 3. Returns the exit status. */
int sender_main(void);

#endif
