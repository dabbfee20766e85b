#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expr/expr.h"

static_assert(sizeof(struct expr) <= 32, "there are a few in every rule");

unsigned expr_operands(enum expr_kind kind)
{
    switch (kind) {
    case EXPR_NUMBER:
    case EXPR_METRIC:
    case EXPR_WINDOW:
    case EXPR_ABSENT:
    case EXPR_SILENT:
        return 0;
    case EXPR_NEGATE:
    case EXPR_ABS:
    case EXPR_NOT:
    case EXPR_HELD:
        return 1;
    default:
        return 2;
    }
}

static struct expr *node(enum expr_kind kind)
{
    struct expr *e = calloc(1, sizeof *e);
    if (e) {
        e->kind = kind;
        e->slot = -1;
    }
    return e;
}

struct expr *expr_number(double v)
{
    struct expr *e = node(EXPR_NUMBER);
    if (e) {
        e->number = v;
    }
    return e;
}

/* A node with a name, or NULL. */
static struct expr *named(enum expr_kind kind, struct text name)
{
    struct expr *e = node(kind);
    if (e && !(e->metric = text_dup(name))) {
        free(e);
        return NULL;
    }
    return e;
}

struct expr *expr_metric(struct text name)
{
    return named(EXPR_METRIC, name);
}

struct expr *expr_unary(enum expr_kind kind, struct expr *left)
{
    struct expr *e = left ? node(kind) : NULL;
    if (!e) {
        expr_free(left);
        return NULL;
    }
    e->left = left;
    return e;
}

struct expr *expr_binary(enum expr_kind kind, struct expr *left, struct expr *right)
{
    struct expr *e = left && right ? node(kind) : NULL;
    if (!e) {
        expr_free(left);
        expr_free(right);
        return NULL;
    }
    e->left = left;
    e->right = right;
    return e;
}

struct expr *expr_window(enum window_fn fn, struct text metric, int64_t width_us,
                         uint32_t count, double p)
{
    struct expr *e = named(EXPR_WINDOW, metric);
    if (e) {
        e->fn = fn;
        e->width_us = width_us;
        e->count = count;
        e->number = fn == FN_PERCENTILE ? p : 0;
    }
    return e;
}

struct expr *expr_absent(struct text metric, int64_t width_us)
{
    struct expr *e = named(EXPR_ABSENT, metric);
    if (e) {
        e->width_us = width_us;
    }
    return e;
}

struct expr *expr_silent(int64_t width_us)
{
    struct expr *e = node(EXPR_SILENT);
    if (e) {
        e->width_us = width_us;
    }
    return e;
}

struct expr *expr_held(struct expr *condition, int64_t width_us)
{
    struct expr *e = expr_unary(EXPR_HELD, condition);
    if (e) {
        e->width_us = width_us;
    }
    return e;
}

/* Without recursion, for trees made by hand may be of any depth. */
void expr_free(struct expr *e)
{
    struct expr *above = NULL; /* whose right operand comes next; listed by their left */
    while (e) {
        unsigned operands = expr_operands(e->kind);
        struct expr *next = operands > 0 ? e->left : NULL;
        if (operands == 2) {
            e->left = above;
            above = e;
        } else {
            free(operands == 0 ? e->metric : NULL);
            free(e);
        }
        if (!next && above) {
            struct expr *done = above;
            next = done->right;
            above = done->left;
            free(done);
        }
        e = next;
    }
}

bool expr_equal(const struct expr *a, const struct expr *b)
{
    if (!a || !b) {
        return a == b;
    }
    if (a->kind != b->kind || a->fn != b->fn || a->count != b->count ||
        a->width_us != b->width_us) {
        return false;
    }
    if (expr_operands(a->kind) > 0) {
        return expr_equal(a->left, b->left) && expr_equal(a->right, b->right);
    }
    return text_equal(text_of(a->metric), text_of(b->metric)) && a->number == b->number &&
           signbit(a->number) == signbit(b->number);
}

bool expr_is_condition(const struct expr *e)
{
    switch (e->kind) {
    case EXPR_GT:
    case EXPR_GE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_NOT:
    case EXPR_AND:
    case EXPR_OR:
    case EXPR_ABSENT:
    case EXPR_SILENT:
    case EXPR_HELD:
        return true;
    default:
        return false;
    }
}

void expr_walk(struct expr *e, void (*visit)(void *ctx, struct expr *node), void *ctx)
{
    if (expr_operands(e->kind) > 0) {
        expr_walk(e->left, visit, ctx);
    }
    if (expr_operands(e->kind) == 2) {
        expr_walk(e->right, visit, ctx);
    }
    visit(ctx, e);
}
