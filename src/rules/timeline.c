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

static bool is_back(const struct device *device, struct wall at)
{
    return device->newest.us != INT64_MIN &&
           at.us < device->newest.us - device->longest_us;
}

bool device_clock_back(const struct device *device, struct wall at, struct mono now)
{
    return is_back(device, at) && device->back_count + 1 >= CLOCK_BACK_READINGS &&
           now.us - device->back_since.us >= CLOCK_BACK_US;
}

void device_clock_note(struct device *device, struct wall at, struct mono now)
{
    if (!is_back(device, at)) {
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
        memset(in->held, 0, in->rule->n_held * sizeof *in->held);
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
