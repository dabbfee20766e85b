/* Drops what one topic sends too fast before it takes a place in the inbox or wakes the
 * pipeline: at 50,000 messages a second of one device that is most of what they cost.
 *
 * A device's topics are its own, so what a topic alone has too much of the device has,
 * too. Who is over its limit in all (several topics, arrays) is the pipeline's to say;
 * here nothing is dropped that would pass there. One message a second of a topic that is
 * over goes on all the same, to the pipeline's count of the device.
 *
 * The table is of a fixed size. A topic that finds no place takes the one that is
 * furthest below its limit; so the noisy stay, however many others there are. */
#ifndef BRINK_INGEST_POLICER_H
#define BRINK_INGEST_POLICER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/rate.h"
#include "base/text.h"

#define POLICER_SETS 256 /* of as many topics as there are ways */
#define POLICER_WAYS 4

struct policer {
    _Atomic uint32_t
        per_second; /* of one topic, up to RATE_MAX; 0: all pass. Any thread */
    struct policed {
        uint64_t topic; /* its hash */
        struct rate rate;
        struct mono let_on; /* the last that was over the limit and went on */
    } topics[POLICER_SETS][POLICER_WAYS];
};

/* The producer's thread. Zeroed memory is a policer without a limit. */
bool policer_admits(struct policer *p, struct text topic, struct mono now);

#endif
