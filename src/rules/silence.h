/* Time during which the gateway was subscribed (SPEC 4.8): what silence is counted by.
 *
 * It begins at 0 with the process; how long it ran in all of a series of processes is
 * stored, with each device's line and in one of the gateway's own, so that of two lines
 * the difference is the time subscribed between them, whatever the wall clock did.
 * Pipeline thread only. */
#ifndef BRINK_RULES_SILENCE_H
#define BRINK_RULES_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"

struct silence_clock {
    bool runs; /* only between silence_start() and silence_stop() */
    struct mono since;
    int64_t before_us;
    int64_t series;   /* names those; 0: what is stored was not read yet */
    int64_t total_us; /* by the processes before */
};
int64_t silence_now(const struct silence_clock *c, struct mono now);
void silence_start(struct silence_clock *c, struct mono now);
void silence_stop(struct silence_clock *c, struct mono now);

/* How long it had run in all when a line was saved. */
struct silence_total {
    bool said; /* not by older versions */
    int64_t series, us;
};
#define SILENCE_TOTAL "ran" /* the name of that member: SERIES@TOTAL */
void silence_put_total(const struct silence_clock *c, struct mono now,
                       struct buffer *out);
/* Its value; nonsense is as if it were not there. */
void silence_read_total(struct text value, struct silence_total *ret);
/* When a line was saved, on this run's clock: 0, or before it began. A line without a
 * total, or with another series', is told by the wall clock: saved, and until when the
 * gateway was subscribed. */
int64_t silence_saved_at(const struct silence_clock *c, const struct silence_total *total,
                         struct wall saved, struct wall alive);

/* The gateway's own line: until when it was subscribed, and for how long in all. */
void gateway_state_print(const struct silence_clock *c, struct wall alive,
                         struct mono now, struct buffer *out);
/* There may be several, of one run and the next: *alive and the clock take the newest.
 * What a run says that had not read another run's is added to that. */
void gateway_state_apply(struct silence_clock *c, struct text line, struct wall *alive);

#endif
