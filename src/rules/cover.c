#include "rules/cover.h"

#include <stdlib.h>

#include "rules/device.h"

static int number_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool cover_list_metrics(struct cover *c)
{
    c->metrics = malloc((c->n_uses ? c->n_uses : 1) * sizeof *c->metrics);
    if (!c->metrics) {
        return false;
    }
    size_t n = 0;
    for (uint32_t k = 0; k < c->n_rules; k++) {
        for (size_t m = 0; m < c->rules[k]->n_metrics; m++) {
            c->metrics[n++] = c->rules[k]->metrics[m].number;
        }
    }
    qsort(c->metrics, n, sizeof *c->metrics, number_order);
    for (size_t i = 0; i < n; i++) {
        if (c->n_metrics == 0 || c->metrics[c->n_metrics - 1] != c->metrics[i]) {
            c->metrics[c->n_metrics++] = c->metrics[i];
        }
    }
    return true;
}

void cover_finish(struct cover *c)
{
    free(c->rules);
    free(c->metrics);
}

bool cover_find(const struct ruleset *rules, const struct device *device,
                struct cover *ret)
{
    struct text tenant = text_of(device->owner->name), id = text_of(device->id);
    struct text site = text_of(device->site);
    struct cover c = {0};
    uint32_t cap = 0;
    *ret = c;
    for (size_t k = 0; k < rules->n_rules; k++) {
        struct rule *rule = rules->rules[k];
        if (!scope_covers(&rule->scope, tenant, site, id)) {
            continue;
        }
        if (c.n_rules == cap) {
            cap = cap ? cap * 2 : 8;
            struct rule **grown = realloc(c.rules, cap * sizeof(struct rule *));
            if (!grown) {
                cover_finish(&c);
                return false;
            }
            c.rules = grown;
        }
        c.rules[c.n_rules++] = rule;
        c.n_uses += rule->n_metrics;
    }
    if (!cover_list_metrics(&c)) {
        cover_finish(&c);
        return false;
    }
    *ret = c;
    return true;
}
