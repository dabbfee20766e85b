/* What window.c (the ring), figures.c (figures over a part of it) and span.c (functions
 * made of them) share.
 *
 * Nothing is ever subtracted from a running figure: subtraction is what makes running
 * sums drift, and what a huge value leaves its trace by. Instead a span is cut in two at
 * `mid`:
 *
 *      lo        16    32    48      mid             end
 *      |- front --|-----|-----|-------|---- back ------|
 *
 * `back` is the figure over [mid, end) and takes each new reading in. For the front there
 * is one figure at each number divisible by BLOCK, over the readings from there to mid.
 * The span's figure is at most BLOCK readings from lo on, plus the front figure behind
 * them, plus back. When lo reaches mid, the front is built anew over all readings: each
 * reading is visited once more for that, so a push is O(1) amortized. The figures add
 * BLOCK-th parts of their size to each reading.
 *
 * Readings are numbered on and on: `first` is the number of the oldest in the ring. */
#ifndef BRINK_WINDOW_INTERNAL_H
#define BRINK_WINDOW_INTERNAL_H

#include "window/order.h"
#include "window/window.h"

#define BLOCK 16

/* The figures that functions are made of; each is 1 to 3 doubles. All of them merge by
 * adding, or by taking the smaller or larger. Those about neighbours (rises, changes)
 * belong to the later of the two. */
enum part {
    PART_SUM,     /* high, low: a compensated sum */
    PART_LEAST,   /* smallest */
    PART_MOST,    /* largest */
    PART_POWERS,  /* sum of y, of y * y; y = value - origin_value */
    PART_RISES,   /* high, low: sum of increases, with counter resets */
    PART_CHANGES, /* how many differ from the one before */
    PART_TREND,   /* sum of u, of u * u, of u * y; u = at - origin_at in microseconds */
    PART_N
};

/* Figures while they are worked on; where they are kept, they lie close (struct span,
 * at). */
struct figures {
    double sum[2], least, most, powers[2], rises[2], changes, trend[3];
};

#define P(part) (1u << (part))
/* What stddev, zscore and slope need. */
#define DEVIATION (P(PART_POWERS) | P(PART_LEAST) | P(PART_MOST))

struct span {
    uint64_t lo, mid;
    uint64_t front_block; /* number / BLOCK that front[0] stands for */
    double origin_value;
    struct wall origin_at;
    double *back;  /* `fields` doubles, and as many for back without the newest reading */
    double *front; /* behind the ring, in its block of memory */
    struct order *order; /* NULL: no percentiles asked for */
    uint8_t parts;       /* P(PART_x) */
    uint8_t fields;
    uint8_t at[PART_N]; /* where a part's doubles start */
    bool stale;         /* mid, front and back are to be built before they are used */
};

struct window {
    const struct window_spec *spec;
    struct point *ring;
    struct span *spans;
    uint64_t first;
    uint32_t cap, head, n;
};

/* The reading of that number. */
static inline const struct point *point_at(const struct window *w, uint64_t number)
{
    uint64_t i = w->head + (number - w->first);
    return &w->ring[i < w->cap ? i : i - w->cap];
}

static inline uint64_t window_end(const struct window *w)
{
    return w->first + w->n;
}

/* high += x, with what rounding took from it going to low (Knuth's two-sum: exact
 * whichever of the two is larger). */
static inline void sum_add(double *sum, double x)
{
    double high = sum[0] + x;
    double of_x = high - sum[0];
    sum[1] += (sum[0] - (high - of_x)) + (x - of_x);
    sum[0] = high;
}

static inline double rise(double before, double now)
{
    return now >= before ? now - before : now; /* a fall: the counter began anew at 0 */
}

/* a - b in microseconds; wraps rather than being undefined, for stamps of absurd
 * distance. */
static inline double apart_us(struct wall a, struct wall b)
{
    return (double)(int64_t)((uint64_t)a.us - (uint64_t)b.us);
}

/* Decides where each part's doubles are; sets parts, fields and at. */
void span_lay_out(struct span *s, uint32_t functions);
/* The newest reading of the ring is to be counted in. */
void span_take_newest(const struct window *w, struct span *s);

/* The figures over the whole span, or over all but its newest reading: `parts` of them,
 * which must be kept ones. */
void span_figures(const struct window *w, struct span *s, unsigned parts, bool others,
                  struct figures *ret);

#endif
