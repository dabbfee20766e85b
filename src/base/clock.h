/* Time, in two types that do not mix.
 *
 * struct mono counts from an arbitrary start and never jumps: for durations and timers.
 * struct wall is microseconds since 1970-01-01 UTC: for stamps that leave the process.
 * A duration is a plain int64_t in microseconds, its name ending in _us.
 *
 * Nothing below the gateway reads the system's clock: a struct clock is passed in, so
 * tests and replays bring their own. Thread: any, as far as the clock's functions are. */
#ifndef BRINK_BASE_CLOCK_H
#define BRINK_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)

struct mono {
    int64_t us;
};

struct wall {
    int64_t us;
};

/* Wraps rather than being undefined, for stamps from outside at an end of time. */
static inline struct wall wall_shifted(struct wall at, int64_t by_us)
{
    return (struct wall){(int64_t)((uint64_t)at.us + (uint64_t)by_us)};
}

struct clock {
    struct mono (*mono)(void *ctx);
    struct wall (*wall)(
        void *ctx); /* the system's wall clock as it is now, jumps included */
    bool (*corrected)(
        void *ctx); /* is the system's clock held by a time service (NTP)? */
    void *ctx;
};

/* The system's clocks: CLOCK_MONOTONIC, CLOCK_REALTIME, adjtimex(2). */
extern const struct clock clock_system;

/* Arrival time (SPEC 3.3): the wall clock read once and carried on monotonically. When
 * the system's clock is found more than ARRIVAL_STEP_US away from it and is held by a
 * time service, arrival time steps there; without a time service the jump is somebody's
 * hand at the clock and is ignored. */
#define ARRIVAL_STEP_US (2 * US_PER_S)

struct arrival_clock {
    struct wall base_wall;
    struct mono base_mono;
    bool jump_seen; /* a jump that is being ignored was already told */
};

enum arrival_step { ARRIVAL_STEADY, ARRIVAL_STEPPED, ARRIVAL_IGNORED };

void arrival_init(struct arrival_clock *a, const struct clock *clock);

/* Arrival time at `now`. No system call. */
struct wall arrival_at(const struct arrival_clock *a, struct mono now);

/* Compares with the system's clock; to be called about once a second. ARRIVAL_STEPPED or
 * ARRIVAL_IGNORED (told once a jump) are for the caller to log; *ret_by_us is how far. */
enum arrival_step arrival_check(struct arrival_clock *a, const struct clock *clock,
                                int64_t *ret_by_us);

/* ISO 8601, UTC, milliseconds: "2026-01-01T00:00:00.000Z". Years 0000 to 9999; a time
 * outside is clamped. Writes CLOCK_ISO_BYTES including the NUL. */
#define CLOCK_ISO_BYTES 25
void wall_format_iso(struct wall at, char out[CLOCK_ISO_BYTES]);

#endif
