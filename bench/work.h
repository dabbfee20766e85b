/* The workload, and what a gateway has to make of it.
 *
 * Message i is reading k = i / devices of device i % devices, on its own clock: one
 * second a reading from 2026-01-01 on. temp_c is 20 to 25, humidity 40 to 50. Two rules:
 *   hot    avg(temp_c, 60s) > 30    one reading high enough lifts it for 61 readings
 *   humid  humidity > 90            a single 99
 * The last reading of the warm-up, which fills the windows, is a 99: so it is known when
 * that is through. Then every 50th reading of a device is a 99 and every
 * 150th is hot (of longer windows: fewer), at another k for each device. So for each
 * reading it is known which alerts open and close at it. */
#ifndef BRINK_BENCH_WORK_H
#define BRINK_BENCH_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORK_HUMID_EVERY 50
#define WORK_PAYLOAD_BYTES 256

struct work {
    uint32_t devices;
    uint32_t warm;   /* readings of a device before all that */
    uint32_t window; /* of the rule hot, seconds: 60 */
    bool opens_only; /* for a baseline: no hot readings, and nothing closes */
};

enum { /* bits: what a reading does */
       OPENS_HUMID = 1,
       CLOSES_HUMID = 2,
       OPENS_HOT = 4,
       CLOSES_HOT = 8,
};

unsigned work_events(const struct work *w, uint32_t device, uint32_t k);

/* "2026-01-01T00:00:00Z" and on; 20 bytes. */
void work_print_stamp(uint32_t k, char out[21]);
/* k of an alert's stamp; -1: none. */
int64_t work_parse_stamp(const char *text, size_t n);

size_t work_payload(const struct work *w, uint32_t device, uint32_t k,
                    char out[WORK_PAYLOAD_BYTES]);

#endif
