#include "window/ring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double ring_powers_of_ten[RING_PLACES_MAX + 1] = {1,   1e1, 1e2, 1e3,
                                                        1e4, 1e5, 1e6, 1e7};

/* --- times --- */

/* Steps from base to `at`; the divisions are by constants, which is quicker. */
static uint64_t steps(int64_t base, unsigned unit, int64_t at)
{
    uint64_t beyond = (uint64_t)at - (uint64_t)base;
    return unit == US_PER_S    ? beyond / US_PER_S
           : unit == US_PER_MS ? beyond / US_PER_MS
                               : beyond;
}

static uint64_t reach_of(unsigned bytes)
{
    return bytes == sizeof(uint16_t) ? UINT16_MAX : UINT32_MAX;
}

static bool fits(int64_t base, unsigned unit, uint64_t reach, int64_t at)
{
    uint64_t n = steps(base, unit, at);
    return at >= base && n <= reach && n * unit == (uint64_t)at - (uint64_t)base;
}

static bool takes_time(const struct ring *r, int64_t at)
{
    return r->unit == 0 || fits(r->base, r->unit, reach_of(r->time_bytes), at);
}

static void set_time(struct ring *r, uint32_t place, int64_t at)
{
    if (r->time_bytes == sizeof(uint16_t)) {
        ((uint16_t *)r->times)[place] = (uint16_t)steps(r->base, r->unit, at);
    } else if (r->time_bytes == sizeof(uint32_t)) {
        ((uint32_t *)r->times)[place] = (uint32_t)steps(r->base, r->unit, at);
    } else {
        ((int64_t *)r->times)[place] = at;
    }
}

/* Of a form that is chosen no more than this is used: the rest is room to go on in. */
static bool spans(unsigned bytes, unsigned unit, int64_t least, int64_t most)
{
    return fits(least, unit, reach_of(bytes) / 4 * 3, most);
}

/* The narrowest form for the times of the n readings and `next`, to `fresh`. */
static void choose_times(const struct ring *r, uint32_t n, int64_t next,
                         struct ring *fresh)
{
    static const struct {
        uint8_t bytes;
        uint32_t unit;
    } forms[] = {{sizeof(uint16_t), US_PER_S},
                 {sizeof(uint32_t), US_PER_MS},
                 {sizeof(uint32_t), 1}};
    int64_t least = next, most = next;
    uint32_t unit = US_PER_S; /* the largest that all are apart by */
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = ring_time(r, ring_place(r, i)).us;
        least = at < least ? at : least;
        most = at > most ? at : most;
        if (unit == US_PER_S && at % US_PER_S != next % US_PER_S) {
            unit = US_PER_MS;
        }
        if (unit == US_PER_MS && at % US_PER_MS != next % US_PER_MS) {
            unit = 1;
        }
    }
    fresh->base = least;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (forms[f].unit <= unit && spans(forms[f].bytes, forms[f].unit, least, most)) {
            fresh->unit = forms[f].unit;
            fresh->time_bytes = forms[f].bytes;
            return;
        }
    }
    fresh->unit = 0;
    fresh->time_bytes = sizeof(int64_t);
}

/* --- values --- */

/* The whole number of 10^-places that v is; false: none up to `most` gives it back to the
 * bit. Both the number and the power are exact, so that the division rounds once, as
 * reading the decimal does (Clinger 1990). */
static bool is_whole(double v, unsigned places, int32_t most, int32_t *ret)
{
    double scaled = v * ring_powers_of_ten[places];
    if (!(scaled >= -most && scaled <= most)) { /* nor is it a NaN */
        return false;
    }
    *ret = (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    return *ret / ring_powers_of_ten[places] == v && (*ret != 0 || !signbit(v));
}

static int32_t most_of(unsigned bytes)
{
    return bytes == sizeof(int16_t) ? INT16_MAX : INT32_MAX;
}

static bool takes_value(const struct ring *r, double v)
{
    int32_t whole;
    return r->value_bytes == sizeof(double) ||
           is_whole(v, r->places, most_of(r->value_bytes), &whole);
}

static void set_value(struct ring *r, uint32_t place, double v)
{
    int32_t whole = 0;
    if (r->value_bytes == sizeof(double)) {
        ((double *)r->values)[place] = v;
        return;
    }
    (void)is_whole(v, r->places, INT32_MAX, &whole);
    if (r->value_bytes == sizeof(int16_t)) {
        ((int16_t *)r->values)[place] = (int16_t)whole;
    } else {
        ((int32_t *)r->values)[place] = whole;
    }
}

/* More places if v needs them; false: there are none for it. */
static bool raise_places(double v, uint8_t *places)
{
    int32_t whole;
    while (!is_whole(v, *places, INT32_MAX, &whole)) {
        if (++*places > RING_PLACES_MAX) {
            return false;
        }
    }
    return true;
}

/* The narrowest form, of no fewer bytes and places than `fresh` has, for the values of
 * the n readings and `next`. */
static void choose_values(const struct ring *r, uint32_t n, double next,
                          struct ring *fresh)
{
    uint8_t places = fresh->places;
    bool whole = fresh->value_bytes < sizeof(double) && raise_places(next, &places);
    double most = fabs(next);
    for (uint32_t i = 0; i < n && whole; i++) {
        double v = ring_value(r, ring_place(r, i));
        whole = raise_places(v, &places);
        most = fabs(v) > most ? fabs(v) : most;
    }
    most *= whole ? ring_powers_of_ten[places] : 1;
    if (!whole || most > INT32_MAX) {
        fresh->value_bytes = sizeof(double);
        fresh->places = 0;
        return;
    }
    fresh->places = places;
    if (most > INT16_MAX) {
        fresh->value_bytes = sizeof(int32_t);
    }
}

/* --- both --- */

bool ring_takes(const struct ring *r, struct point p)
{
    return takes_time(r, p.at.us) && takes_value(r, p.value);
}

void ring_set(struct ring *r, uint32_t place, struct point p)
{
    set_value(r, place, p.value);
    set_time(r, place, p.at.us);
}

void ring_copy(struct ring *r, uint32_t to, uint32_t from)
{
    char *values = r->values, *times = r->times;
    memcpy(values + (size_t)to * r->value_bytes, values + (size_t)from * r->value_bytes,
           r->value_bytes);
    memcpy(times + (size_t)to * r->time_bytes, times + (size_t)from * r->time_bytes,
           r->time_bytes);
}

/* Bytes of `cap` things, so that anything may stand behind them. */
static size_t whole_words(uint32_t cap, size_t each)
{
    return (cap * each + sizeof(double) - 1) / sizeof(double) * sizeof(double);
}

static void copy_run(char *to, uint32_t to_place, const char *from, uint32_t place,
                     uint32_t n, size_t each)
{
    memcpy(to + to_place * each, from + place * each, n * each);
}

static void copy_all(struct ring *to, const struct ring *from, uint32_t n)
{
    uint32_t to_edge = from->cap - from->at, first = n < to_edge ? n : to_edge;
    if (to->value_bytes == from->value_bytes && to->places == from->places) {
        size_t each = from->value_bytes;
        copy_run(to->values, 0, from->values, from->at, first, each);
        copy_run(to->values, first, from->values, 0, n - first, each);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            set_value(to, i, ring_value(from, ring_place(from, i)));
        }
    }
    if (to->unit == from->unit && to->time_bytes == from->time_bytes &&
        to->base == from->base) {
        size_t each = from->time_bytes;
        copy_run(to->times, 0, from->times, from->at, first, each);
        copy_run(to->times, first, from->times, 0, n - first, each);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            set_time(to, i, ring_time(from, ring_place(from, i)).us);
        }
    }
}

bool ring_resize(struct ring *r, uint32_t cap, size_t extra, uint32_t n,
                 struct point next)
{
    struct ring fresh = *r;
    bool anew = r->cap == 0;
    fresh.cap = cap;
    fresh.at = 0;
    if (anew || r->unit == 0 || !takes_time(r, next.at.us)) {
        choose_times(r, n, next.at.us, &fresh);
    }
    if (anew || r->value_bytes == sizeof(double)) {
        fresh.value_bytes = sizeof(int16_t);
        fresh.places = 0;
    }
    if (anew || r->value_bytes == sizeof(double) || !takes_value(r, next.value)) {
        choose_values(r, n, next.value, &fresh);
    }
    fresh.values = malloc(ring_bytes(&fresh, extra));
    if (!fresh.values) {
        return false;
    }
    fresh.times = (char *)fresh.values + whole_words(cap, fresh.value_bytes);
    if (n > 0) {
        copy_all(&fresh, r, n);
    }
    free(r->values);
    *r = fresh;
    return true;
}

double *ring_extra(const struct ring *r)
{
    return (double *)(void *)((char *)r->times + whole_words(r->cap, r->time_bytes));
}

void ring_shift(struct ring *r, uint32_t n, int64_t by_us)
{
    r->base = (int64_t)((uint64_t)r->base + (uint64_t)by_us);
    for (uint32_t i = 0; r->unit == 0 && i < n; i++) {
        uint32_t place = ring_place(r, i);
        set_time(r, place, wall_shifted(ring_time(r, place), by_us).us);
    }
}

void ring_free(struct ring *r)
{
    free(r->values);
    *r = (struct ring){0};
}

size_t ring_bytes(const struct ring *r, size_t extra)
{
    return whole_words(r->cap, r->value_bytes) + whole_words(r->cap, r->time_bytes) +
           extra * sizeof(double);
}
