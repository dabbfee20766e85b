/* Bytes to messages (SPEC 3.1-3.4): topic, JSON or a plain number, time, sequence.
 *
 * A heartbeat is a message without readings, and so is a JSON payload whose metrics hold
 * no usable number: both say that the device is alive.
 *
 * One decoder has one owner; what it returns lives in its own memory (and in the topic's
 * and payload's) until decoder_reset(). Nothing that comes from outside stops it: what
 * does not fit is dropped, counted by reason (base/counters.h) and logged at most once a
 * second a reason. Readings are counted here too (READINGS). */
#ifndef BRINK_DECODE_DECODE_H
#define BRINK_DECODE_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/status.h"
#include "base/text.h"
#include "config/config.h"
#include "model/message.h"

#define DECODER_BYTES_FULL                                                               \
    ((size_t)4 * 1024 * 1024) /* decoder_is_full() from here on                          \
                               */
#define DECODER_BYTES_MAX                                                                \
    ((size_t)64 * 1024 * 1024) /* beyond, messages are dropped (no_memory) */

struct decoder;

/* telemetry: borrowed, must outlive the decoder. */
enum brink_status decoder_new(const struct telemetry_config *telemetry,
                              size_t n_telemetry,
                              struct decoder **ret_decoder) BRINK_MUST_CHECK;
void decoder_free(struct decoder *d);

/* Asked once the topic is known and before the payload is read, so that what is refused
 * costs little. Counts n messages of the device; false: drop this one, and why. */
struct decoder_gate {
    void *ctx; /* NULL: no gate */
    bool (*admit)(void *ctx, struct text tenant, struct text device, uint32_t n,
                  struct mono arrived, enum counter *ret_why);
};
void decoder_set_gate(struct decoder *d, const struct decoder_gate *gate); /* copied */

struct raw_message {
    struct text topic, payload;
    struct mono arrived;      /* monotonic, for rate limits and the timeline */
    struct wall arrived_wall; /* arrival time (SPEC 3.3) */
    bool retained, too_large;
};

/* Decodes one MQTT message and appends its messages (0 or more: an array is many) to the
 * decoder's list. */
void decoder_add(struct decoder *d, const struct raw_message *raw);

/* All messages since the last reset, in order. Valid until the next add or reset. */
const struct message *decoder_messages(const struct decoder *d, size_t *ret_n);
/* Time to apply and reset before more is added: a small payload can become many messages,
 * so a batch is bounded by what it holds, not by how many were added. */
bool decoder_is_full(const struct decoder *d);
void decoder_reset(struct decoder *d); /* keeps the memory, up to a named limit */

#endif
