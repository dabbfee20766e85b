#include "rules/bind.h"

#include <stdlib.h>
#include <string.h>

struct binder {
    struct rule *rule;
    const char *fault; /* first limit hit, or NULL */
};

static struct rule_metric *bind_metric(struct binder *b, char *name, size_t *ret_index)
{
    struct rule *r = b->rule;
    for (size_t i = 0; i < r->n_metrics; i++) {
        if (strcmp(r->metrics[i].name, name) == 0) {
            *ret_index = i;
            return &r->metrics[i];
        }
    }
    if (r->n_metrics == RULE_METRICS_MAX) {
        b->fault = "more metrics than one rule can name (64)";
        return NULL;
    }
    struct rule_metric *grown = realloc(r->metrics, (r->n_metrics + 1) * sizeof *grown);
    if (!grown) {
        b->fault = "out of memory";
        return NULL;
    }
    r->metrics = grown;
    grown[r->n_metrics] = (struct rule_metric){.name = name};
    *ret_index = r->n_metrics++;
    return &grown[*ret_index];
}

static void bind_window(struct binder *b, struct expr *e)
{
    size_t index;
    struct rule_metric *m = bind_metric(b, e->metric, &index);
    if (!m) {
        return;
    }
    size_t span = 0;
    while (span < m->window.n_spans && (m->window.spans[span].width_us != e->width_us ||
                                        m->window.spans[span].count != e->count)) {
        span++;
    }
    if (span == m->window.n_spans) {
        struct span_spec *grown =
            span < RULE_SPANS_MAX ? realloc(m->window.spans, (span + 1) * sizeof *grown)
                                  : NULL;
        if (!grown) {
            b->fault = "more windows over one metric than one rule can use (64)";
            return;
        }
        grown[span] = (struct span_spec){.width_us = e->width_us, .count = e->count};
        m->window.spans = grown;
        m->window.n_spans++;
    }
    m->window.spans[span].functions |= UINT32_C(1) << e->fn;
    b->rule->has_window = true;
    if (e->width_us > b->rule->longest_us) {
        b->rule->longest_us = e->width_us;
    }
    e->slot = (int16_t)(index * RULE_SPANS_MAX + span);
}

static void bind_silence(struct binder *b, int metric, int64_t width_us)
{
    struct rule *r = b->rule;
    struct silence_bound *grown =
        r->n_silences < RULE_HELD_MAX
            ? realloc(r->silences, (r->n_silences + 1) * sizeof *grown)
            : NULL;
    if (!grown) {
        b->fault = "more absent() and silent() than one rule can have (64)";
        return;
    }
    r->silences = grown;
    grown[r->n_silences++] = (struct silence_bound){metric, width_us};
}

static void bind_held(struct binder *b, struct expr *e)
{
    struct rule *r = b->rule;
    int64_t *grown = r->n_held < RULE_HELD_MAX
                         ? realloc(r->held_us, (r->n_held + 1) * sizeof *grown)
                         : NULL;
    if (!grown) {
        b->fault = "more held() or condition durations than one rule can have (64)";
        return;
    }
    r->held_us = grown;
    e->slot = (int16_t)r->n_held;
    grown[r->n_held++] = e->width_us;
}

static void bind_node(void *ctx, struct expr *e)
{
    struct binder *b = ctx;
    size_t index;
    switch (e->kind) {
    case EXPR_METRIC:
    case EXPR_ABSENT:
        if (bind_metric(b, e->metric, &index)) {
            e->slot = (int16_t)index;
            if (e->kind == EXPR_ABSENT) {
                bind_silence(b, (int)index, e->width_us);
            }
        }
        break;
    case EXPR_WINDOW:
        bind_window(b, e);
        break;
    case EXPR_SILENT:
        b->rule->has_silent = true;
        bind_silence(b, -1, e->width_us);
        break;
    case EXPR_HELD:
        bind_held(b, e);
        break;
    default:
        break;
    }
}

const char *rule_bind(struct rule *r)
{
    struct binder binder = {.rule = r};
    expr_walk(r->when, bind_node, &binder);
    if (r->clear) {
        expr_walk(r->clear, bind_node, &binder);
    }
    return binder.fault;
}
