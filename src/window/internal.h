/* What window.c (which readings the ring holds), figures.c (figures over a part of it)
 * and span.c (functions made of them) share.
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
 * Sums of very large values, and squares of very large or very small ones, leave a
 * double's range although what is made of them does not. So values are taken times a
 * power of two that fits the largest of them. Which one that is, `seen` tells without
 * looking at the readings; when it changes, front and back are built anew. It changes
 * when a reading of another size comes and when the last of its size leaves: what is
 * built then is paid for by the readings between.
 *
 * Readings are numbered on and on: `first` is the number of the oldest in the ring. */
#ifndef BRINK_WINDOW_INTERNAL_H
#define BRINK_WINDOW_INTERNAL_H

#include "window/order.h"
#include "window/ring.h"
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

/* How large a value is, for the power of two that it is taken times. */
enum size { SIZE_NOUGHT, SIZE_TINY, SIZE_NORMAL, SIZE_HUGE, SIZE_N };
#define HUGE_FROM 0x1p480
#define NORMAL_FROM 0x1p-400
#define SHIFT 600 /* tiny values times 2^600, huge ones times 2^-600 */

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
    uint64_t front_block;  /* number / BLOCK that front[0] stands for */
    uint64_t seen[SIZE_N]; /* number + 1 of the newest of that size; never the ring's
                              newest, of which its own value tells */
    double origin_value;   /* times 2^power_shift */
    struct wall origin_at;
    double *back;  /* `fields` doubles, and as many for back without the newest reading */
    double *front; /* behind the ring, in its block of memory */
    struct order *order; /* NULL: no percentiles asked for */
    uint8_t parts;       /* P(PART_x) */
    uint8_t fields;
    uint8_t at[PART_N]; /* where a part's doubles start */
    int16_t sum_shift, power_shift;
    bool stale; /* mid, front and back are to be built before they are used */
};

struct window {
    const struct window_spec *spec;
    struct ring ring;
    struct span *spans;
    struct order *equal; /* the values at the newest time; NULL: few, looked through */
    uint64_t first;
    uint32_t n;
    uint32_t n_equal; /* readings at the newest time */
};

/* Where the reading of that number is in the ring, and what it is. */
static inline uint32_t place_at(const struct window *w, uint64_t number)
{
    return ring_place(&w->ring, number - w->first);
}

static inline double value_at(const struct window *w, uint64_t number)
{
    return ring_value(&w->ring, place_at(w, number));
}

static inline struct wall time_at(const struct window *w, uint64_t number)
{
    return ring_time(&w->ring, place_at(w, number));
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

static inline enum size size_of(double v)
{
    double a = v < 0 ? -v : v;
    return a >= HUGE_FROM     ? SIZE_HUGE
           : a >= NORMAL_FROM ? SIZE_NORMAL
           : a > 0            ? SIZE_TINY
                              : SIZE_NOUGHT;
}

/* The size of the largest reading but the ring's newest. */
static inline enum size others_size(const struct span *s)
{
    return s->lo < s->seen[SIZE_HUGE]     ? SIZE_HUGE
           : s->lo < s->seen[SIZE_NORMAL] ? SIZE_NORMAL
           : s->lo < s->seen[SIZE_TINY]   ? SIZE_TINY
                                          : SIZE_NOUGHT;
}

/* The reading of that number, which is not the newest or will not be. */
static inline void span_note(struct span *s, uint64_t number, double v)
{
    uint64_t *seen = &s->seen[size_of(v)];
    *seen = *seen > number ? *seen : number + 1;
}

/* The power of two for squares of values of that size. Nought fits any. */
static inline int shift_of(enum size size)
{
    return size == SIZE_HUGE ? -SHIFT : size == SIZE_NORMAL ? 0 : SHIFT;
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
