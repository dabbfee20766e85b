/* Timers: a binary heap ordered by a 64-bit due time, of items that know their place, so
 * that a timer can be moved or removed in O(log n). The item is embedded in its owner. */
#ifndef BRINK_BASE_HEAP_H
#define BRINK_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct heap_item {
    int64_t due;  /* in whatever unit the heap's owner uses */
    size_t place; /* 1-based index in the heap; 0: not in it */
};

struct heap {
    /* items[0] unused. May be the owner's memory, where `cap` is one more than there will
     * ever be items: then it does not grow, and is not for heap_finish(). */
    struct heap_item **items;
    uint32_t n, cap;
    /* Of two that are due together: below 0, the first goes first. NULL: as it comes. */
    int (*tie)(const struct heap_item *a, const struct heap_item *b);
};

void heap_finish(
    struct heap *h); /* frees the array; items are left alone (place not reset) */
struct heap_item *heap_first(const struct heap *h); /* earliest due, or NULL */
/* Sets due and inserts, or moves if already in. E_NOMEM only on insert. */
enum brink_status heap_set(struct heap *h, struct heap_item *item,
                           int64_t due) BRINK_MUST_CHECK;
void heap_remove(struct heap *h, struct heap_item *item); /* no-op if not in */

#endif
