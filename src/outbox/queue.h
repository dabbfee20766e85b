/* The order in which the sender publishes (SPEC 6.3): what goes next, what waits behind a
 * refusal, what yields after it broke the connection. Pure: no socket, no clock.
 *
 * - Events go in the order of their ids, QUEUE_WINDOW in flight at most.
 * - One that the broker refuses for now is tried again after a growing pause; later
 * events of the same topic wait behind it, those of other topics go on.
 * - When the connection breaks, all that is in flight goes back to its place, and the
 * oldest in flight gets a strike. Until the next acknowledgement one event at a time is
 * sent, so that the strike meets the one that broke it. At QUEUE_STRIKES_MAX it yields:
 * it goes behind all others and is tried again much later, alone. */
#ifndef BRINK_OUTBOX_QUEUE_H
#define BRINK_OUTBOX_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/status.h"
#include "outbox/outbox.h"

#define QUEUE_WINDOW 64
#define QUEUE_STRIKES_MAX 5
#define QUEUE_REFUSED_MIN_US (500 * US_PER_MS)
#define QUEUE_REFUSED_MAX_US (30 * US_PER_S)
#define QUEUE_YIELD_MIN_US (30 * US_PER_S)
#define QUEUE_YIELD_MAX_US (600 * US_PER_S)

struct queue;
struct queued; /* one event in it */

enum brink_status queue_new(struct queue **ret_queue) BRINK_MUST_CHECK;
void queue_free(struct queue *q); /* NULL is fine */

/* Copied. Ids rise, but after a new start of the courier's side nothing depends on it. */
enum brink_status queue_add(struct queue *q,
                            const struct outbox_event *e) BRINK_MUST_CHECK;
/* What is to be sent now, and counts as in flight from here on; NULL: nothing. */
struct queued *queue_next(struct queue *q, struct mono now);
/* topic is NUL-terminated: no event whose topic is not valid may be added. */
const struct outbox_event *queue_event(const struct queued *e);
bool queue_is_retry(const struct queued *e); /* one in flight: not for the first time */

/* What became of one in flight. The first two forget it. */
void queue_delivered(struct queue *q, struct queued *e);
void queue_dropped(struct queue *q, struct queued *e);
void queue_refused(struct queue *q, struct queued *e, struct mono now); /* for now */
void queue_not_sent(struct queue *q,
                    struct queued *e); /* as if queue_next had not been */
/* Those that yielded just now are counted in the result. */
size_t queue_connection_lost(struct queue *q, struct mono now);

size_t queue_in_flight(const struct queue *q);
size_t queue_blocked(const struct queue *q);  /* behind a refusal, or yielded */
struct mono queue_due(const struct queue *q); /* when time alone makes something ready */

#endif
