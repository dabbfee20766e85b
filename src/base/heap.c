#include "base/heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define FIRST_CAP 4 /* some are small and many: one a device */

void heap_finish(struct heap *h)
{
    if (h) {
        free(h->items);
        *h = (struct heap){0};
    }
}

struct heap_item *heap_first(const struct heap *h)
{
    return h->n > 0 ? h->items[1] : NULL;
}

static bool is_before(const struct heap *h, const struct heap_item *a,
                      const struct heap_item *b)
{
    return a->due < b->due || (a->due == b->due && h->tie && h->tie(a, b) < 0);
}

static void put(struct heap *h, size_t place, struct heap_item *item)
{
    h->items[place] = item;
    item->place = place;
}

/* Finds the place of an item whose due may be too early or too late for where it is. */
static void settle(struct heap *h, struct heap_item *item, size_t place)
{
    while (place > 1 && is_before(h, item, h->items[place / 2])) {
        put(h, place, h->items[place / 2]);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child > h->n) {
            break;
        }
        if (child < h->n && is_before(h, h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!is_before(h, h->items[child], item)) {
            break;
        }
        put(h, place, h->items[child]);
        place = child;
    }
    put(h, place, item);
}

enum brink_status heap_set(struct heap *h, struct heap_item *item, int64_t due)
{
    if (item->place == 0) {
        if (h->n + 1 >= h->cap) {
            uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
            struct heap_item **items =
                cap > h->cap ? realloc(h->items, cap * sizeof(struct heap_item *)) : NULL;
            if (!items) {
                return BRINK_E_NOMEM;
            }
            h->items = items;
            h->cap = cap;
        }
        put(h, ++h->n, item);
    }
    item->due = due;
    settle(h, item, item->place);
    return BRINK_OK;
}

void heap_remove(struct heap *h, struct heap_item *item)
{
    size_t place = item->place;
    if (place == 0) {
        return;
    }
    item->place = 0;
    struct heap_item *last = h->items[h->n--];
    if (last != item) {
        settle(h, last, place);
    }
}
