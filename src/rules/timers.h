/* When time alone may change a rule's outcome.
 *
 * A reading moves its device's timeline, and with it all timers there: so they are kept
 * by device, and only the first of each device has a place on the monotonic clock. What
 * counts silence is on a clock that readings do not move, and has a heap for all. Any
 * place may be earlier than need be: it is looked at again when it comes up. Pipeline
 * thread only. */
#ifndef BRINK_RULES_TIMERS_H
#define BRINK_RULES_TIMERS_H

#include "rules/device.h"

/* The instance whose timer is the first, its place no earlier than its due_wall; NULL:
 * none has one. */
struct instance *device_first_due(struct device *device);
const struct silence_timer *silence_of_place(const struct heap_item *place);
struct device *device_of_timer(const struct heap_item *timer);
/* Of what is due at one time, the first: the same order in every run. <0, 0, >0. */
int instance_order(const struct instance *a, const struct instance *b);

/* Of a device's timers, of devices->timers and of devices->silences: what goes first of
 * those that are due together. */
int timers_by_rule(const struct heap_item *a, const struct heap_item *b);
int timers_by_device(const struct heap_item *a, const struct heap_item *b);
int timers_by_device_and_rule(const struct heap_item *a, const struct heap_item *b);

#endif
