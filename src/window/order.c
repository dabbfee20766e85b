#include "window/order.h"

#include <stdlib.h>
#include <string.h>

#define NODES_MIN 8

struct order_node {
    double value;
    uint32_t left, right;
    uint32_t total;  /* values in this subtree, equal ones counted each */
    uint32_t height; /* 1: a leaf; the tree is at most 1.44 log2(nodes) high */
};

void order_finish(struct order *o)
{
    free(o->nodes);
    *o = (struct order){0};
}

size_t order_bytes(const struct order *o)
{
    return o->cap * sizeof *o->nodes;
}

bool order_reserve(struct order *o)
{
    if (o->spare != 0 || o->used < o->cap) {
        return true;
    }
    uint32_t cap = o->cap < NODES_MIN ? NODES_MIN : o->cap + o->cap / 4;
    if (cap > INT32_MAX) {
        return false;
    }
    struct order_node *nodes = realloc(o->nodes, cap * sizeof *nodes);
    if (!nodes) {
        return false;
    }
    if (o->cap == 0) {
        nodes[0] = (struct order_node){0};
        o->used = 1;
    }
    o->nodes = nodes;
    o->cap = cap;
    return true;
}

static void measure(struct order_node *nodes, uint32_t at, uint32_t copies)
{
    struct order_node *n = &nodes[at];
    const struct order_node *l = &nodes[n->left], *r = &nodes[n->right];
    n->total = l->total + r->total + copies;
    n->height = (l->height > r->height ? l->height : r->height) + 1;
}

static uint32_t copies_of(const struct order_node *nodes, uint32_t at)
{
    const struct order_node *n = &nodes[at];
    return n->total - nodes[n->left].total - nodes[n->right].total;
}

static uint32_t rotate_left(struct order_node *nodes, uint32_t at)
{
    uint32_t copies = copies_of(nodes, at), top = nodes[at].right;
    uint32_t top_copies = copies_of(nodes, top);
    nodes[at].right = nodes[top].left;
    nodes[top].left = at;
    measure(nodes, at, copies);
    measure(nodes, top, top_copies);
    return top;
}

static uint32_t rotate_right(struct order_node *nodes, uint32_t at)
{
    uint32_t copies = copies_of(nodes, at), top = nodes[at].left;
    uint32_t top_copies = copies_of(nodes, top);
    nodes[at].left = nodes[top].right;
    nodes[top].right = at;
    measure(nodes, at, copies);
    measure(nodes, top, top_copies);
    return top;
}

/* Measures a node whose children changed and rotates it into balance; returns who stands
 * in its place. `copies` is asked for since a node's total is stale by then. */
static uint32_t settle(struct order_node *nodes, uint32_t at, uint32_t copies)
{
    measure(nodes, at, copies);
    uint32_t l = nodes[at].left, r = nodes[at].right;
    if (nodes[l].height > nodes[r].height + 1) {
        if (nodes[nodes[l].right].height > nodes[nodes[l].left].height) {
            nodes[at].left = rotate_left(nodes, l);
        }
        return rotate_right(nodes, at);
    }
    if (nodes[r].height > nodes[l].height + 1) {
        if (nodes[nodes[r].left].height > nodes[nodes[r].right].height) {
            nodes[at].right = rotate_right(nodes, r);
        }
        return rotate_left(nodes, at);
    }
    return at;
}

/* Recursion is bounded by the height: 46 for as many nodes as an index can name. */
static uint32_t add(struct order *o, uint32_t at, double v, uint32_t copies)
{
    struct order_node *nodes = o->nodes;
    if (at == 0) {
        uint32_t slot = o->spare;
        if (slot != 0) {
            o->spare = nodes[slot].left;
        } else {
            slot = o->used++;
        }
        nodes[slot] = (struct order_node){.value = v, .total = copies, .height = 1};
        o->live++;
        return slot;
    }
    if (v == nodes[at].value) {
        nodes[at].total += copies;
        return at;
    }
    uint32_t own = copies_of(nodes, at);
    if (v < nodes[at].value) {
        nodes[at].left = add(o, nodes[at].left, v, copies);
    } else {
        nodes[at].right = add(o, nodes[at].right, v, copies);
    }
    return settle(nodes, at, own);
}

void order_add(struct order *o, double v)
{
    o->root = add(o, o->root, v, 1);
}

static void give_back(struct order *o, uint32_t at)
{
    o->nodes[at] = (struct order_node){.left = o->spare}; /* total 0 marks it as spare */
    o->spare = at;
    o->live--;
}

/* Takes the smallest node out of a subtree; its value and copies go to *ret_node. */
static uint32_t take_least(struct order *o, uint32_t at, uint32_t *ret_node,
                           uint32_t *ret_copies)
{
    struct order_node *nodes = o->nodes;
    uint32_t own = copies_of(nodes, at);
    if (nodes[at].left == 0) {
        *ret_node = at;
        *ret_copies = own;
        return nodes[at].right;
    }
    nodes[at].left = take_least(o, nodes[at].left, ret_node, ret_copies);
    return settle(nodes, at, own);
}

static uint32_t take(struct order *o, uint32_t at, double v)
{
    struct order_node *nodes = o->nodes;
    if (at == 0) {
        return 0;
    }
    uint32_t own = copies_of(nodes, at);
    if (v < nodes[at].value) {
        nodes[at].left = take(o, nodes[at].left, v);
        return settle(nodes, at, own);
    }
    if (v > nodes[at].value) {
        nodes[at].right = take(o, nodes[at].right, v);
        return settle(nodes, at, own);
    }
    if (own > 1) {
        nodes[at].total--;
        return at;
    }
    uint32_t l = nodes[at].left, r = nodes[at].right;
    if (l == 0 || r == 0) {
        give_back(o, at);
        return l != 0 ? l : r;
    }
    uint32_t least, copies;
    uint32_t rest = take_least(o, r, &least, &copies);
    give_back(o, at);
    nodes[least].left = l;
    nodes[least].right = rest;
    return settle(nodes, least, copies);
}

void order_remove(struct order *o, double v)
{
    if (o->root != 0) {
        o->root = take(o, o->root, v);
    }
}

bool order_holds(const struct order *o, double v)
{
    uint32_t at = o->root;
    while (at != 0 && o->nodes[at].value != v) {
        at = v < o->nodes[at].value ? o->nodes[at].left : o->nodes[at].right;
    }
    return at != 0;
}

double order_at(const struct order *o, uint32_t k)
{
    const struct order_node *nodes = o->nodes;
    uint32_t at = o->root;
    for (;;) {
        const struct order_node *n = &nodes[at];
        uint32_t below = nodes[n->left].total;
        if (k < below) {
            at = n->left;
            continue;
        }
        uint32_t through = n->total - nodes[n->right].total;
        if (k < through || n->right == 0) {
            return n->value;
        }
        k -= through;
        at = n->right;
    }
}

void order_trim(struct order *o)
{
    if (o->cap < 64 || o->live >= o->cap / 4) {
        return;
    }
    uint32_t cap = o->live + o->live / 4 + NODES_MIN;
    struct order small = {
        .nodes = calloc(cap, sizeof *small.nodes), .cap = cap, .used = 1};
    if (!small.nodes) {
        return; /* it goes on as large as it is */
    }
    for (uint32_t i = 1; i < o->used; i++) {
        if (o->nodes[i].total != 0) {
            small.root =
                add(&small, small.root, o->nodes[i].value, copies_of(o->nodes, i));
        }
    }
    free(o->nodes);
    *o = small;
}
