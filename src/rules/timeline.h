/* A device's own time (SPEC 4.4, 4.5): what "now" is to it, and what becomes of its past
 * when a clock is set. Pipeline thread. */
#ifndef BRINK_RULES_TIMELINE_H
#define BRINK_RULES_TIMELINE_H

#include "rules/device.h"

#define CLOCK_BACK_US (300 * US_PER_S) /* SPEC 4.4 */
#define CLOCK_BACK_READINGS 3

/* "Now" on the device's timeline (SPEC 4.5). Before its first reading: INT64_MIN. */
struct wall device_now(const struct device *device, struct mono now);

/* The monotonic moment at which the device's timeline shows `at`. Not before its first
 * reading. */
struct mono device_moment(const struct device *device, struct wall at);

/* A timeline of arrivals runs along with the gateway's clock, whose corrections are not
 * the device's affair: by how much is the device's past to move so that this message,
 * timed by its arrival, is not older than it (a gateway that started with a clock that is
 * behind)? 0: not at all. */
int64_t device_clock_moved(const struct device *device, const struct message *m);
/* Moves the device's past, what is stored in Valkey included: nothing happens to it. */
void device_shift(const struct devices *d, struct device *device, int64_t by_us);

/* Would this message's time show that the device's clock was set back for good, so that
 * its windows start anew there (SPEC 4.4)? Changes nothing; device_clock_note() takes the
 * time into account. newest: the device's, with the readings before this one that are not
 * applied yet. */
bool device_clock_back(const struct device *device, struct wall newest, struct wall at,
                       struct mono now);
void device_clock_note(struct device *device, struct wall newest, struct wall at,
                       struct mono now);
/* Starts the device's timeline anew at `at`: windows emptied, values forgotten, deadlines
 * moved. */
void device_restart_at(struct devices *d, struct device *device, struct wall at,
                       struct mono now);

#endif
