/* A growing array of readings, and what a list in Valkey needs of it: order. */
#ifndef BRINK_HISTORY_POINTS_H
#define BRINK_HISTORY_POINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "window/window.h"

/* Readings of one time that a new one is compared with before it counts as new. Bounds
 * the work that a list of a hundred thousand equal stamps can cause; a duplicate that is
 * missed so is found by the window itself. */
#define POINTS_SAME_TIME_MAX 256

struct points {
    struct point *p;
    size_t n, cap;
};

void points_finish(struct points *a);
enum brink_status points_put(struct points *a, struct point p) BRINK_MUST_CHECK;
/* By time; equal times keep their order. O(n) when it is sorted already. */
enum brink_status points_sort(struct points *a) BRINK_MUST_CHECK;

static inline bool point_same(struct point a, struct point b)
{
    return a.at.us == b.at.us && a.value == b.value;
}

#endif
