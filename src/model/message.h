/* A message as decoded: what one device said at one time. */
#ifndef BRINK_MODEL_MESSAGE_H
#define BRINK_MODEL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/topic.h"

#define ID_BYTES_MAX 512     /* of a tenant or device id; longer is dropped as bad_id */
#define METRIC_BYTES_MAX 256 /* of a metric's name, dots included */
#define READINGS_PER_MESSAGE_MAX 1024
#define MESSAGES_PER_PAYLOAD_MAX 4096 /* of a JSON array */
#define SITE_BYTES_MAX 256
/* What a device says of the time may be so far ahead of its arrival (SPEC 3.3). */
#define TIME_AHEAD_US_MAX (5 * 60 * US_PER_S)

struct reading {
    struct text metric; /* raw name; view into the decoder's or the message's memory */
    double value;       /* finite */
};

struct message {
    struct text tenant, device, site; /* site.n == 0: not said */
    struct wall at;                   /* device time, or arrival time in its place */
    struct mono arrived;
    bool at_is_arrival;
    bool has_seq;
    uint64_t seq;
    unsigned entry; /* index of the telemetry entry */
    bool heartbeat; /* no readings, only a sign of life */
    const struct topic_label
        *labels; /* the topic's {names} beside tenant, device, metric */
    size_t n_labels;
    const struct reading *readings;
    size_t n_readings;
    uint32_t shape; /* messages with the same have readings of the same metrics in the
                       same order; 0: not known */
};

#endif
