#include "history/points.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 64

void points_finish(struct points *a)
{
    free(a->p);
    *a = (struct points){NULL, 0, 0};
}

enum brink_status points_put(struct points *a, struct point p)
{
    if (a->n == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : CAP_FIRST;
        if (cap > SIZE_MAX / sizeof *a->p) {
            return BRINK_E_NOMEM;
        }
        struct point *more = realloc(a->p, cap * sizeof *more);
        if (!more) {
            return BRINK_E_NOMEM;
        }
        a->p = more;
        a->cap = cap;
    }
    a->p[a->n++] = p;
    return BRINK_OK;
}

static bool is_sorted(const struct points *a)
{
    for (size_t i = 1; i < a->n; i++) {
        if (a->p[i].at.us < a->p[i - 1].at.us) {
            return false;
        }
    }
    return true;
}

/* Merges from[lo, mid) and from[mid, hi) to the same places of `to`. */
static void merge(struct point *to, const struct point *from, size_t lo, size_t mid,
                  size_t hi)
{
    size_t a = lo, b = mid;
    for (size_t i = lo; i < hi; i++) {
        bool left = b == hi || (a < mid && from[a].at.us <= from[b].at.us);
        to[i] = left ? from[a++] : from[b++];
    }
}

enum brink_status points_sort(struct points *a)
{
    if (is_sorted(a)) {
        return BRINK_OK;
    }
    struct point *other = malloc(a->n * sizeof *other);
    if (!other) {
        return BRINK_E_NOMEM;
    }
    struct point *from = a->p, *to = other;
    for (size_t run = 1; run < a->n; run *= 2) {
        for (size_t lo = 0; lo < a->n; lo += 2 * run) {
            size_t mid = lo + run < a->n ? lo + run : a->n;
            size_t hi = lo + 2 * run < a->n ? lo + 2 * run : a->n;
            merge(to, from, lo, mid, hi);
        }
        struct point *turn = from;
        from = to;
        to = turn;
    }
    if (from != a->p) {
        memcpy(a->p, from, a->n * sizeof *from);
    }
    free(other);
    return BRINK_OK;
}
