/* The values of one span in order of size, for medians and percentiles: a balanced (AVL)
 * tree that knows how many values lie under each node. Equal values share a node, so a
 * sensor that reports in steps needs few of them. Adding, removing and finding the k-th
 * cost O(log n).
 *
 * Nodes live in one array and name each other by index: 24 bytes each. Private to
 * window/. */
#ifndef BRINK_WINDOW_ORDER_H
#define BRINK_WINDOW_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_node;

struct order {
    struct order_node *nodes; /* [0] stands for "no node" */
    uint32_t cap, used;       /* slots there are; slots ever taken */
    uint32_t spare;           /* list of slots given back */
    uint32_t live;            /* nodes in the tree */
    uint32_t root;
};

void order_finish(
    struct order *o); /* frees; a zeroed or finished order is empty and usable */
bool order_reserve(
    struct order *o); /* so that the next order_add cannot fail; false: no memory */
void order_add(struct order *o, double v); /* after order_reserve */
void order_remove(struct order *o,
                  double v); /* one value equal to v; none there: nothing */
bool order_holds(const struct order *o, double v); /* a value equal to v? */
double order_at(const struct order *o,
                uint32_t k);      /* k-th smallest, from 0; k < number held */
void order_trim(struct order *o); /* gives memory back when little of it is used */
size_t order_bytes(const struct order *o);

#endif
