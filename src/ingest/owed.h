/* The devices of messages that are not yet acknowledged, with `inbox: 0`.
 *
 * Messages that came together are applied and acknowledged together (mqtt/ahead.h), but
 * never two of one device: after a kill -9 the broker sends again what was not
 * acknowledged, and of each device that is one message at most, decided on or not, never
 * one that was and another that was not.
 *
 * Of Paho's thread, but for owed_set_level(). */
#ifndef BRINK_INGEST_OWED_H
#define BRINK_INGEST_OWED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define OWED_MAX 128 /* messages acknowledged together */

struct owed {
    atomic_int device_level; /* of every telemetry topic; below 0: not of all the same */
    size_t n;
    uint64_t devices[OWED_MAX]; /* hashes; a chance match only costs a settlement */
};

/* Any thread. Which level of a topic names the device, from 0; below 0: not known, no
 * two messages go together. */
void owed_set_level(struct owed *o, int device_level);
/* May the topic's message be applied while what is owed is? True: it is owed now as well.
 * False: settle what is owed (owed_clear()) and ask again, which is then true. */
bool owed_admits(struct owed *o, struct text topic);
void owed_clear(struct owed *o);

#endif
