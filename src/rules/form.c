#include "rules/form.h"

#include <string.h>

static enum expr_kind comparison_kind(const char *op)
{
    static const struct {
        const char *op;
        enum expr_kind kind;
    } kinds[] = {{">", EXPR_GT},  {">=", EXPR_GE}, {"<", EXPR_LT},
                 {"<=", EXPR_LE}, {"==", EXPR_EQ}, {"!=", EXPR_NE}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].op, op) == 0) {
            return kinds[i].kind;
        }
    }
    return EXPR_EQ;
}

static struct position or_at(struct position at, struct position fallback)
{
    return at.line ? at : fallback;
}

/* As it stands in a sentence. */
static const char *kind_of(enum rule_type t)
{
    static const char *const kinds[] = {
        [RULE_TYPE_NONE] = "a rule with `when`",
        [RULE_TYPE_THRESHOLD] = "a THRESHOLD rule",
        [RULE_TYPE_WINDOW] = "a WINDOW rule",
        [RULE_TYPE_ANOMALY] = "an ANOMALY rule",
        [RULE_TYPE_TELEMETRY_GAP] = "a TELEMETRY_GAP rule",
        [RULE_TYPE_HEARTBEAT] = "a HEARTBEAT rule",
    };
    return kinds[t];
}

static bool need(bool given, const char *key, const char *kind, struct position at,
                 struct problems *problems)
{
    if (!given) {
        problem_add(problems, at, "%s needs `%s`", kind, key);
    }
    return given;
}

/* The metric of a field form: there, and such that an expression can name it. */
static bool need_metric(const struct rule_condition *c, const char *kind,
                        struct position at, struct problems *problems)
{
    if (c->metric_name.s && !expr_can_name(text_of(c->metric_name.s))) {
        problem_add(problems, c->metric_name.at,
                    "a metric's name cannot have a backquote or control characters");
        return false;
    }
    return need(c->metric_name.s, "metric_name", kind, at, problems);
}

static bool refuse(bool given, const char *key, const char *kind, struct position at,
                   struct problems *problems)
{
    if (given) {
        problem_add(problems, at, "`%s` has no meaning in %s", key, kind);
    }
    return !given;
}

static struct expr *compare(struct expr *left, const struct rule_condition *c)
{
    return expr_binary(comparison_kind(c->op.s), left, expr_number(c->threshold));
}

static struct expr *threshold_condition(const struct rule_condition *c,
                                        struct position at, struct problems *problems)
{
    bool ok = need_metric(c, kind_of(RULE_TYPE_THRESHOLD), at, problems);
    ok = need(c->op.s, "operator", kind_of(RULE_TYPE_THRESHOLD), at, problems) && ok;
    ok =
        need(c->has_threshold, "threshold", kind_of(RULE_TYPE_THRESHOLD), at, problems) &&
        ok;
    if (!ok) {
        return NULL;
    }
    struct expr *e = compare(expr_metric(text_of(c->metric_name.s)), c);
    return c->duration_us > 0 ? expr_held(e, c->duration_us) : e;
}

static struct expr *threshold_form(const struct rule_def *d, struct problems *problems)
{
    if (!d->has_conditions) {
        refuse(d->has_match_mode, "match_mode", "a THRESHOLD rule without `conditions`",
               d->match_mode_at, problems);
        return threshold_condition(&d->single, d->type_at, problems);
    }
    bool ok =
        refuse(d->single.metric_name.s || d->single.op.s || d->single.has_threshold,
               "metric_name, operator or threshold", "a THRESHOLD rule with `conditions`",
               or_at(d->single.metric_name.at, d->type_at), problems);
    if (d->n_conditions == 0) {
        problem_add(problems, d->type_at, "`conditions` is empty");
        return NULL;
    }
    struct expr *all = NULL;
    for (size_t i = 0; i < d->n_conditions; i++) {
        const struct rule_condition *c = &d->conditions[i];
        struct expr *e = threshold_condition(c, or_at(c->at, d->type_at), problems);
        if (!e) {
            ok = false;
        } else {
            all = all ? expr_binary(d->match_any ? EXPR_OR : EXPR_AND, all, e) : e;
        }
    }
    if (!ok) {
        expr_free(all);
        return NULL;
    }
    return all;
}

static struct expr *window_form(const struct rule_def *d, struct problems *problems)
{
    static const struct {
        const char *name;
        enum window_fn fn;
    } aggregations[] = {{"avg", FN_AVG},
                        {"min", FN_MIN},
                        {"max", FN_MAX},
                        {"sum", FN_SUM},
                        {"count", FN_COUNT}};
    const struct rule_condition *c = &d->single;
    const char *kind = kind_of(RULE_TYPE_WINDOW);
    bool ok = need_metric(c, kind, d->type_at, problems);
    ok = need(c->op.s, "operator", kind, d->type_at, problems) && ok;
    ok = need(c->has_threshold, "threshold", kind, d->type_at, problems) && ok;
    ok = need(d->aggregation.s, "aggregation", kind, d->type_at, problems) && ok;
    ok = need(d->window_us > 0 || d->window_count > 0, "window_seconds` or `window_count",
              kind, d->type_at, problems) &&
         ok;
    if (!ok) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof aggregations / sizeof aggregations[0]; i++) {
        if (strcmp(aggregations[i].name, d->aggregation.s) == 0) {
            return compare(expr_window(aggregations[i].fn, text_of(c->metric_name.s),
                                       d->window_us, d->window_count, 0),
                           c);
        }
    }
    problem_add(problems, d->aggregation.at,
                "unknown aggregation `%s`; one of avg, min, max, sum, count",
                d->aggregation.s);
    return NULL;
}

/* Keys that other types have a use for must not be silently ignored. */
void form_check(const struct rule_def *d, struct problems *problems)
{
    const char *kind = kind_of(d->type);
    bool threshold = d->type == RULE_TYPE_THRESHOLD, window = d->type == RULE_TYPE_WINDOW;
    bool anomaly = d->type == RULE_TYPE_ANOMALY;
    struct position at = or_at(d->type_at, d->at);
    if (!threshold) {
        refuse(d->has_conditions, "conditions", kind, at, problems);
        refuse(d->has_match_mode, "match_mode", kind, or_at(d->match_mode_at, at),
               problems);
    }
    if (!threshold && !window) {
        refuse(d->single.op.s, "operator", kind, or_at(d->single.op.at, at), problems);
        refuse(d->single.has_threshold, "threshold", kind, at, problems);
    }
    if (!window) {
        refuse(d->aggregation.s, "aggregation", kind, or_at(d->aggregation.at, at),
               problems);
        refuse(d->window_count > 0, "window_count", kind, or_at(d->window_at, at),
               problems);
    }
    if (!window && !anomaly) {
        refuse(d->window_us > 0, "window_seconds", kind, or_at(d->window_at, at),
               problems);
    }
    if (!anomaly) {
        refuse(d->has_z_threshold, "z_threshold", kind, at, problems);
        refuse(d->min_samples > 0, "min_samples", kind, at, problems);
    }
    refuse(d->type != RULE_TYPE_TELEMETRY_GAP && d->gap_us > 0, "gap_minutes", kind, at,
           problems);
    refuse(d->type != RULE_TYPE_HEARTBEAT && d->timeout_us > 0, "timeout_seconds", kind,
           at, problems);
    refuse((d->type == RULE_TYPE_HEARTBEAT || d->type == RULE_TYPE_NONE) &&
               d->single.metric_name.s,
           "metric_name", kind, or_at(d->single.metric_name.at, at), problems);
}

struct expr *form_expression(const struct rule_def *d, struct problems *problems)
{
    struct text metric = text_of(d->single.metric_name.s);
    const char *kind = kind_of(d->type);
    size_t before = problems->errors;
    struct expr *e = NULL;
    switch (d->type) {
    case RULE_TYPE_THRESHOLD:
        e = threshold_form(d, problems);
        break;
    case RULE_TYPE_WINDOW:
        e = window_form(d, problems);
        break;
    case RULE_TYPE_ANOMALY: {
        bool ok = need_metric(&d->single, kind, d->type_at, problems);
        ok = need(d->window_us > 0, "window_minutes", kind, d->type_at, problems) && ok;
        ok = need(d->has_z_threshold, "z_threshold", kind, d->type_at, problems) && ok;
        if (ok) {
            e = expr_binary(
                EXPR_GT,
                expr_unary(EXPR_ABS, expr_window(FN_ZSCORE, metric, d->window_us, 0, 0)),
                expr_number(d->z_threshold));
        }
        break;
    }
    case RULE_TYPE_TELEMETRY_GAP: {
        bool ok = need_metric(&d->single, kind, d->type_at, problems);
        if (need(d->gap_us > 0, "gap_minutes", kind, d->type_at, problems) && ok) {
            e = expr_absent(metric, d->gap_us);
        }
        break;
    }
    case RULE_TYPE_HEARTBEAT:
        if (need(d->timeout_us > 0, "timeout_seconds", kind, d->type_at, problems)) {
            e = expr_silent(d->timeout_us);
        }
        break;
    case RULE_TYPE_NONE:
        problem_add(problems, d->at, "rule `%s` has neither `when` nor `rule_type`",
                    d->id.s);
        break;
    }
    if (!e && problems->errors == before) {
        problem_add(problems, d->at, "out of memory");
    }
    return e;
}
