/* When a maintenance window is open, by the clocks of the process's time zone (or of the
 * zone that its times name).
 *
 * Where clocks are put forward, a local time that they skip is the moment of the jump.
 * Where they are put back, a time that they show twice is the first for a beginning and
 * the second for an end: whoever plans by the clock on the wall is covered until it shows
 * the end for good.
 *
 * Pure, but for the C library's knowledge of the zone: calendar_zone() reads it anew. Any
 * thread. */
#ifndef BRINK_MUTE_CALENDAR_H
#define BRINK_MUTE_CALENDAR_H

#include <stdbool.h>

#include "base/clock.h"
#include "model/mute.h"

struct calendar_window {
    struct local_time from, until; /* both with a date, or neither: every week */
    unsigned days;                 /* weekly: on which it begins, bit 0 Monday; 0: each */
};

/* Takes note of TZ and /etc/localtime as they are now. */
void calendar_zone(void);

/* Is it open at `now` (its end no longer counts)? *ret_next: the next moment after `now`
 * at which that may change, or {INT64_MAX}. */
bool calendar_is_open(const struct calendar_window *w, struct wall now,
                      struct wall *ret_next);

#endif
