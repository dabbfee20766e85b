#include "base/heap.h"

#include <stdbool.h>
#include <stdint.h>

#include "../tap.h"

#define ITEMS 200

static void check_against(const struct heap *h, const struct heap_item *items)
{
    size_t in = 0;
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < ITEMS; i++) {
        if (items[i].place > 0) {
            in++;
            first = items[i].due < first ? items[i].due : first;
            expect(h->items[items[i].place] == &items[i],
                   "item %zu does not know its place", i);
        }
    }
    expect(h->n == in, "%u in the heap, %zu items say so", h->n, in);
    expect(in == 0 ? heap_first(h) == NULL : heap_first(h)->due == first,
           "not the earliest");
}

START_TEST(test_heap_gives_the_earliest_after_any_operations)
{
    struct heap h = {0};
    struct heap_item items[ITEMS] = {0};
    uint64_t random = 6;
    for (int i = 0; i < 100000; i++) {
        uint64_t r = next_random(&random);
        struct heap_item *item = &items[r % ITEMS];
        if ((r >> 32) % 3 == 0) {
            heap_remove(&h, item);
        } else {
            int64_t due = (int64_t)(r >> 40 & 255) - 128; /* few values: many ties */
            expect(heap_set(&h, item, due) == BRINK_OK && item->due == due, "not set");
        }
        check_against(&h, items);
    }
    heap_finish(&h);
}
END_TEST

START_TEST(test_heap_empties_in_order)
{
    struct heap h = {0};
    struct heap_item items[ITEMS] = {0};
    uint64_t random = 7;
    for (size_t i = 0; i < ITEMS; i++) {
        ck_assert_int_eq(heap_set(&h, &items[i], (int64_t)next_random(&random)),
                         BRINK_OK);
    }
    int64_t last = INT64_MIN;
    for (struct heap_item *first; (first = heap_first(&h));) {
        ck_assert_int_ge(first->due, last);
        last = first->due;
        heap_remove(&h, first);
        ck_assert_uint_eq(first->place, 0);
        heap_remove(&h, first); /* once more does nothing */
    }
    ck_assert_uint_eq(h.n, 0);
    heap_finish(&h);
    heap_finish(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("heap");
    TCase *t = tcase_create("heap");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_heap_gives_the_earliest_after_any_operations);
    tcase_add_test(t, test_heap_empties_in_order);
    suite_add_tcase(s, t);
    return run_tap(s);
}
