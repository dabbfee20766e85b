/* Sliding windows over the readings of one series (SPEC 4.3, 4.4).
 *
 * One ring of (time, value), ordered by time (equal times in order of arrival), wide
 * enough for the longest span; over it any number of spans, each with its own width and
 * count and the running figures of the functions it is asked for. A span holds, as of the
 * newest reading, the readings with time >= newest - width (closed bound) and of these
 * the last `count`. The ring keeps what any of its spans needs, nothing more.
 *
 * Pure: no I/O, no clock; one owner. The cost of a push in order is O(spans), amortized,
 * and does not depend on a span's length (percentiles: O(log n)) nor on the values, also
 * when a clock stands still and all times are equal (O(log n)). A late reading costs
 * O(n). Figures are kept only for the functions a span is asked for, and nothing is ever
 * subtracted from them: they do not drift, and a huge value leaves no trace once it left
 * (internal.h).
 *
 * Memory: 4 to 16 bytes a reading (ring.h), 0.5 to 5 bytes a reading for each span's
 * figures, 24 a distinct value for percentiles. There is room for a sixteenth more than
 * are held; for up to four times as many while a window over time fills, but not for more
 * than it seems to be going to hold. */
#ifndef BRINK_WINDOW_WINDOW_H
#define BRINK_WINDOW_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "model/function.h"

struct point {
    struct wall at;
    double value;
};

struct span_spec {
    int64_t width_us;   /* 0: by count alone */
    uint32_t count;     /* 0: by width alone */
    uint32_t functions; /* 1u << FN_x, of those that will be asked for */
};

/* Immutable, shared by all windows of a rule's metric; outlives them. */
struct window_spec {
    struct span_spec *spans;
    uint32_t n_spans;
    uint32_t points_max; /* limits.points_per_window: past it the oldest leave; 0: none */
};

struct window;

/* NULL: out of memory. Allocates no ring yet. */
struct window *window_new(const struct window_spec *spec);
void window_free(struct window *w);
void window_clear(struct window *w); /* empties and gives the ring back */

enum window_push {
    WINDOW_APPENDED,  /* newest, or equal in time to the newest: goes behind it */
    WINDOW_INSERTED,  /* late, and still covered: went to its place */
    WINDOW_LATE,      /* older than every span covers: nothing changed */
    WINDOW_DUPLICATE, /* equal in time and value to one held: nothing changed */
    WINDOW_NO_MEMORY, /* nothing changed */
};

/* What window_push would answer, changing nothing. O(log n). */
enum window_push window_would(const struct window *w, struct point p);
/* value finite. *ret_expired: how many of the oldest left the ring by it (points_max
 * included in that and alone in *ret_over); either may be NULL. */
enum window_push window_push(struct window *w, struct point p, size_t *ret_expired,
                             size_t *ret_over);

/* So many are about to be pushed into an empty window, `first` the first of them: room
 * for them is made at once, which leaves no holes in the heap. */
void window_expect(struct window *w, size_t n, struct point first);

/* The clock that gave the times was set: every reading moves by so much. O(n). */
void window_shift(struct window *w, int64_t by_us);

size_t window_count(const struct window *w);              /* readings in the ring */
struct point window_at(const struct window *w, size_t i); /* 0: the oldest */
struct wall window_newest(const struct window *w);        /* {INT64_MIN} when empty */
/* The oldest time a reading may have and still be taken, given the newest; INT64_MIN when
 * empty or by count and not yet full. */
struct wall window_cutoff(const struct window *w);

/* Is the span empty of readings at `now` on the device's timeline (newest + width
 * reached)? */
bool span_is_empty(const struct window *w, size_t span, struct wall now);
size_t span_count(const struct window *w, size_t span, struct wall now);
/* The i-th reading of a span, 0 the oldest; i < span_count. */
struct point span_at(const struct window *w, size_t span, size_t i);

/* The function's value as of `now`, in O(1) amortized (it may rebuild figures that it
 * keeps, hence not for two threads at once); false: unknown (fewer than min_points
 * readings, where 0 stands for the default of SPEC 4.3; deviation 0; not finite).
 * `argument`: percentile's p. */
bool span_value(const struct window *w, size_t span, enum window_fn fn, double argument,
                uint32_t min_points, struct wall now, double *ret_value);

/* How many readings span_value wants at least. */
uint32_t span_min_points(const struct span_spec *s, enum window_fn fn,
                         uint32_t min_points);

size_t window_bytes(const struct window *w); /* memory held, for limits and tests */

#endif
