#include "rules/pack.h"

#include <stdlib.h>
#include <string.h>

/* Goes over a rule twice: the first time, without a block, it only counts. */
struct packer {
    char *block;
    size_t used;
};

static void *put_bytes(struct packer *p, const void *from, size_t bytes)
{
    void *to = p->block ? p->block + p->used : NULL;
    p->used += bytes;
    return to && from ? memcpy(to, from, bytes) : NULL;
}

/* NULL when there is nothing to put, or no block. */
static void *put(struct packer *p, const void *from, size_t bytes)
{
    size_t over = p->used % _Alignof(struct rule);
    p->used += over ? _Alignof(struct rule) - over : 0;
    return put_bytes(p, from, bytes);
}

static char *put_text(struct packer *p, const char *s)
{
    return put_bytes(p, s, s ? strlen(s) + 1 : 0);
}

static void put_list(struct packer *p, struct text_list *ret,
                     const struct text_list *from)
{
    *ret = *from;
    ret->items = put(p, from->items, from->n * sizeof *from->items);
    for (size_t i = 0; i < from->n; i++) {
        char *s = put_text(p, from->items[i]);
        if (ret->items) {
            ret->items[i] = s;
        }
    }
}

static struct rule_metric *put_metrics(struct packer *p, const struct rule *from)
{
    struct rule_metric *metrics =
        put(p, from->metrics, from->n_metrics * sizeof *metrics);
    for (size_t m = 0; m < from->n_metrics; m++) {
        struct rule_metric metric = from->metrics[m];
        metric.window.spans = put(p, metric.window.spans,
                                  metric.window.n_spans * sizeof *metric.window.spans);
        metric.name = put_text(p, metric.name);
        if (metrics) {
            metrics[m] = metric;
        }
    }
    return metrics;
}

/* The metrics' names are those of the rule. */
static struct expr *put_tree(struct packer *p, const struct expr *from,
                             const struct rule_metric *metrics)
{
    struct expr *e = put(p, from, sizeof *from);
    unsigned operands = expr_operands(from->kind);
    struct expr *left = operands > 0 ? put_tree(p, from->left, metrics) : NULL;
    struct expr *right = operands == 2 ? put_tree(p, from->right, metrics) : NULL;
    if (e && operands > 0) {
        e->left = left;
        e->right = right;
    } else if (e && e->metric) {
        e->metric = metrics[slot_metric(e)].name;
    }
    return e;
}

static void put_rule(struct packer *p, const struct rule *from)
{
    struct rule counted, *block = put(p, from, sizeof *from);
    struct rule *r = block ? block : &counted;
    r->held_us = put(p, from->held_us, from->n_held * sizeof *from->held_us);
    r->silences = put(p, from->silences, from->n_silences * sizeof *from->silences);
    r->scope.groups.items =
        put(p, from->scope.groups.items, from->scope.groups.n * sizeof(struct group *));
    r->message = put(p, from->message, from->message ? template_bytes(from->message) : 0);
    r->metrics = put_metrics(p, from);
    r->when = put_tree(p, from->when, r->metrics);
    r->clear = from->clear ? put_tree(p, from->clear, r->metrics) : NULL;
    put_list(p, &r->scope.tenants, &from->scope.tenants);
    put_list(p, &r->scope.sites, &from->scope.sites);
    put_list(p, &r->scope.devices, &from->scope.devices);
    put_list(p, &r->label_keys, &from->label_keys);
    put_list(p, &r->label_values, &from->label_values);
    r->id = put_text(p, from->id);
    r->name = from->name == from->id ? r->id : put_text(p, from->name);
    r->expression = put_text(p, from->expression);
}

struct rule *rule_packed(const struct rule *pieces)
{
    struct packer p = {0};
    put_rule(&p, pieces);
    void *block = malloc(p.used);
    if (block) {
        p = (struct packer){.block = block};
        put_rule(&p, pieces);
        groups_hold(&pieces->scope.groups);
    }
    return block;
}
