#include "model/rule.h"

#include <stdlib.h>

const char *severity_name(enum severity s)
{
    static const char *const names[] = {"info", "warning", "critical"};
    return names[s];
}

const char *rule_type_name(enum rule_type t)
{
    static const char *const names[] = {
        [RULE_TYPE_NONE] = "EXPRESSION",
        [RULE_TYPE_THRESHOLD] = "THRESHOLD",
        [RULE_TYPE_WINDOW] = "WINDOW",
        [RULE_TYPE_ANOMALY] = "ANOMALY",
        [RULE_TYPE_TELEMETRY_GAP] = "TELEMETRY_GAP",
        [RULE_TYPE_HEARTBEAT] = "HEARTBEAT",
    };
    return names[t];
}

static void free_condition(struct rule_condition *c)
{
    free(c->metric_name.s);
    free(c->op.s);
}

static void free_rule(struct rule_def *r)
{
    free(r->id.s);
    free(r->name.s);
    scope_def_free(&r->scope);
    placed_free(&r->when);
    placed_free(&r->clear);
    free_condition(&r->single);
    free(r->aggregation.s);
    for (size_t i = 0; i < r->n_conditions; i++) {
        free_condition(&r->conditions[i]);
    }
    free(r->conditions);
    placed_free(&r->message);
    for (size_t i = 0; i < r->n_labels; i++) {
        free(r->labels[i].key.s);
        free(r->labels[i].value.s);
    }
    free(r->labels);
}

void rule_file_drop_rules(struct rule_file *f)
{
    for (size_t i = 0; i < f->n_rules; i++) {
        free_rule(&f->rules[i]);
    }
    free(f->rules);
    f->rules = NULL;
    f->n_rules = 0;
}

void rule_file_free(struct rule_file *f)
{
    if (!f) {
        return;
    }
    rule_file_drop_rules(f);
    for (size_t i = 0; i < f->n_groups; i++) {
        free(f->groups[i].name.s);
        strings_free(&f->groups[i].patterns);
    }
    free(f->groups);
    for (size_t i = 0; i < f->n_metrics; i++) {
        for (size_t j = 0; j < f->metrics[i].n; j++) {
            free(f->metrics[i].sources[j].raw.s);
        }
        free(f->metrics[i].sources);
        free(f->metrics[i].name.s);
    }
    free(f->metrics);
    for (size_t i = 0; i < f->n_maintenance; i++) {
        maintenance_def_free(&f->maintenance[i]);
    }
    free(f->maintenance);
    for (size_t i = 0; i < f->n_inhibit; i++) {
        inhibit_def_free(&f->inhibit[i]);
    }
    free(f->inhibit);
    free(f->path);
    free(f);
}
