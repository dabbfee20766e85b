/* The bounded queue between Paho's thread and the pipeline (SPEC 7.3).
 *
 * A ring of bytes: one producer (Paho's thread) copies messages in, one consumer (the
 * pipeline) reads them in place. A message counts as waiting until the pipeline has
 * *applied* it, not only taken it, and may be acknowledged once no more than `limit`
 * messages are unapplied: with limit 0, when itself is applied. Messages that came
 * together may be put one after the other and acknowledged together, after one
 * inbox_settle().
 *
 * The consumer sleeps on inbox_fd() (an eventfd, to be polled beside others) after
 * inbox_sleep() said that nothing is there; the producer writes to it only then: no
 * system call a message under load. */
#ifndef BRINK_INGEST_INBOX_H
#define BRINK_INGEST_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

struct inbox;

struct inbox_message {
    struct text topic, payload; /* in the ring; valid until inbox_applied() */
    struct mono arrived;
    int qos;
    bool retained;
    bool too_large; /* payload was above payload_bytes_max and is not here (n == 0) */
};

#define INBOX_PAYLOAD_BYTES_MAX 268435455u /* of one MQTT packet */

/* limit: messages; payload_bytes_max: of one message, up to INBOX_PAYLOAD_BYTES_MAX; the
 * ring holds four of the largest or 256 KiB, and takes memory only as it fills.
 * E_RANGE, E_NOMEM, E_IO. */
enum brink_status inbox_new(uint32_t limit, uint32_t payload_bytes_max,
                            struct inbox **ret_inbox) BRINK_MUST_CHECK;
void inbox_free(struct inbox *i);

/* Producer. Blocks while the ring is full. E_STATE: closed, the message was not taken.
 * E_RANGE: a topic above TOPIC_BYTES_MAX, which MQTT cannot carry. Each wait, here and in
 * inbox_settle(), is counted (INBOX_FULL). */
enum brink_status inbox_put(struct inbox *i, struct text topic, struct text payload,
                            int qos, bool retained, struct mono now) BRINK_MUST_CHECK;

/* Producer. May all that was put be acknowledged? */
bool inbox_is_settled(const struct inbox *i);
/* Producer. Blocks until it may. E_STATE: closed while waiting; some may be unapplied. */
enum brink_status inbox_settle(struct inbox *i) BRINK_MUST_CHECK;

/* Another limit for payloads (a reload), from one thread. First room for it: a larger
 * ring, where the one at hand is too small, to which the producer moves with the next
 * message and the consumer once it has read the old one to its end. E_RANGE, E_NOMEM:
 * nothing changed. */
enum brink_status inbox_reserve(struct inbox *i,
                                uint32_t payload_bytes_max) BRINK_MUST_CHECK;
/* Then the limit itself; not above what was reserved last. */
void inbox_set_payload_max(struct inbox *i, uint32_t payload_bytes_max);

/* Consumer. The next message not yet taken; false: none now. */
bool inbox_take(struct inbox *i, struct inbox_message *ret_message);
/* All messages taken so far are applied: their bytes are given back and a waiting
 * producer goes on. */
void inbox_applied(struct inbox *i);
/* Says that the consumer is about to sleep: true if it may (nothing is waiting). */
bool inbox_sleep(struct inbox *i);
void inbox_awake(struct inbox *i); /* after the poll: clears the eventfd */
int inbox_fd(const struct inbox *i);
/* Any thread, also a signal handler: makes the consumer's poll return. Set first what it
 * is to see. */
void inbox_wake(struct inbox *i);
/* Any thread: a producer that waits, and every later one, gets E_STATE. What was put
 * stays to be taken. */
void inbox_close(struct inbox *i);
bool inbox_is_closed(const struct inbox *i);
size_t inbox_waiting(const struct inbox *i); /* unapplied messages, about; any thread */

#endif
