#include "rules/timeline.h"

#include <string.h>

struct wall device_now(const struct device *device, struct mono now)
{
    if (device->newest.us == INT64_MIN) {
        return device->newest;
    }
    int64_t since = now.us - device->newest_arrived.us;
    return (struct wall){device->newest.us + (since > 0 ? since : 0)};
}

struct mono device_moment(const struct device *device, struct wall at)
{
    return (struct mono){device->newest_arrived.us + (at.us - device->newest.us)};
}

int64_t device_clock_moved(const struct device *device, const struct message *m)
{
    if (!m->at_is_arrival || device->newest.us == INT64_MIN ||
        (m->n_readings == 0 && device->has_reading)) {
        return 0;
    }
    /* What the device says itself is at most so far ahead of arrival (SPEC 3.3). */
    int64_t most = ARRIVAL_STEP_US + (device->by_arrival ? 0 : TIME_AHEAD_US_MAX);
    int64_t ahead = device_now(device, m->arrived).us - m->at.us;
    return ahead > most ? -ahead : 0;
}

/* Of all instances of a device at once, so that their order stays. */
static void shift_timer(struct instance *i, int64_t by_us)
{
    i->due_wall += i->due_wall != INT64_MAX ? by_us : 0;
    i->timer.due += i->timer.place != 0 ? by_us : 0;
}

void device_shift(const struct devices *d, struct device *device, int64_t by_us)
{
    for (uint32_t i = 0; by_us != 0 && i < device->n_instances; i++) {
        struct instance *in = device->instances[i];
        alert_state_shift(&in->alert, by_us);
        for (size_t h = 0; h < in->rule->n_held; h++) {
            instance_held(in)[h].onset.us +=
                instance_held(in)[h].onset.us != 0 ? by_us : 0;
            instance_held(in)[h].unknown_since.us +=
                instance_held(in)[h].unknown_since.us != 0 ? by_us : 0;
        }
        for (size_t m = 0; m < in->rule->n_metrics; m++) {
            if (in->series[m]) {
                d->hooks->shift(in->series[m], by_us);
            }
        }
        shift_timer(in, by_us);
    }
    for (uint32_t c = 0; c < device->n_cells; c++) {
        if (device->cells[c].at.us > INT64_MIN) {
            device->cells[c].at = wall_shifted(device->cells[c].at, by_us);
        }
    }
    if (device->newest.us != INT64_MIN) {
        device->newest = wall_shifted(device->newest, by_us);
    }
    device->lists_ahead = device->lists_ahead || (!device->bound && by_us < 0);
}

static bool is_back(const struct device *device, struct wall newest, struct wall at)
{
    return newest.us != INT64_MIN && at.us < newest.us - device->longest_us;
}

bool device_clock_back(const struct device *device, struct wall newest, struct wall at,
                       struct mono now)
{
    return is_back(device, newest, at) && device->back_count + 1 >= CLOCK_BACK_READINGS &&
           now.us - device->back_since.us >= CLOCK_BACK_US;
}

void device_clock_note(struct device *device, struct wall newest, struct wall at,
                       struct mono now)
{
    if (!is_back(device, newest, at)) {
        device->back_count = 0;
    } else if (device->back_count++ == 0) {
        device->back_since = now;
    }
}

void device_restart_at(struct devices *d, struct device *device, struct wall at,
                       struct mono now)
{
    int64_t delta = at.us - device_now(device, now).us;
    for (uint32_t i = 0; i < device->n_instances; i++) {
        struct instance *in = device->instances[i];
        alert_state_shift(&in->alert, delta);
        if (in->alert.phase == ALERT_PENDING) {
            struct wall cooldown_until = in->alert.cooldown_until;
            in->alert = (struct alert_state){.cooldown_until = cooldown_until};
        }
        shift_timer(in, delta);
        in->broken = true; /* what is stored is of the time before, too */
        for (size_t h = 0; h < in->rule->n_held; h++) {
            instance_held(in)[h] = (struct held){.broken = true};
        }
        for (size_t m = 0; m < in->rule->n_metrics; m++) {
            if (in->series[m]) {
                d->hooks->restart(in->series[m]);
            }
        }
    }
    for (uint32_t c = 0; c < device->n_cells; c++) {
        device->cells[c].known = false;
        device->cells[c].at.us = INT64_MIN;
    }
    device->newest = at;
    device->newest_arrived = now;
    device->back_count = 0;
}
