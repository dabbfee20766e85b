#include "rules/compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "model/glob.h"

const char *const rule_message_names[] = {
    "tenant", "device",    "site",     "rule",   "name",  "severity",
    "value",  "threshold", "operator", "metric", "event", NULL,
};

/* --- field form to expression (SPEC 4.1) --- */

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
static void refuse_foreign_keys(const struct rule_def *d, struct problems *problems)
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

static struct expr *field_form(const struct rule_def *d, struct problems *problems)
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

/* Does the text end inside parentheses, as when YAML took ` #5)` for a comment? */
static bool ends_inside(const char *s)
{
    size_t open = 0;
    for (; *s; s++) {
        open += *s == '(';
        open -= *s == ')' && open > 0;
    }
    return open > 0;
}

static struct expr *parse_placed(const struct placed *p, struct problems *problems)
{
    struct expr *e = NULL;
    struct expr_error error;
    if (expr_parse(text_of(p->s), &e, &error) != BRINK_OK) {
        problem_add(problems, p->at, "column %u: %s%s", error.column, error.message,
                    ends_inside(p->s)
                        ? " (in YAML, ` #` begins a comment: put quotes around "
                          "an expression that has one)"
                        : "");
        return NULL;
    }
    return e;
}

/* --- binding: metrics, spans and held timers get their slots --- */

struct binder {
    struct rule *rule;
    const char *fault; /* first limit hit, or NULL */
};

static struct rule_metric *bind_metric(struct binder *b, const char *name,
                                       size_t *ret_index)
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
    grown[r->n_metrics] = (struct rule_metric){.name = text_dup(text_of(name))};
    if (!grown[r->n_metrics].name) {
        b->fault = "out of memory";
        return NULL;
    }
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
    e->slot = (int)(index * RULE_SPANS_MAX + span);
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
    e->slot = (int)r->n_held;
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
            e->slot = (int)index;
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

/* --- the rest of a rule --- */

static bool list_add(struct text_list *l, const char *s)
{
    char **grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (!grown) {
        return false;
    }
    l->items = grown;
    l->given = true;
    grown[l->n] = text_dup(text_of(s));
    return grown[l->n] && ++l->n;
}

static bool list_copy(struct text_list *l, const struct strings *from)
{
    l->given = l->given || from->given;
    for (size_t i = 0; i < from->n; i++) {
        if (!list_add(l, from->items[i].s)) {
            return false;
        }
    }
    return true;
}

static void list_finish(struct text_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i]);
    }
    free(l->items);
}

static bool copy_scope(struct rule *r, const struct rule_def *d,
                       const struct device_group *const *groups, size_t n_groups)
{
    bool ok = list_copy(&r->scope.tenants, &d->scope.tenants) &&
              list_copy(&r->scope.sites, &d->scope.sites) &&
              list_copy(&r->scope.devices, &d->scope.devices);
    for (size_t i = 0; ok && i < d->scope.groups.n; i++) {
        for (size_t g = 0; ok && g < n_groups; g++) {
            if (strcmp(groups[g]->name.s, d->scope.groups.items[i].s) == 0) {
                ok = list_copy(&r->scope.devices, &groups[g]->patterns);
            }
        }
    }
    r->scope.devices.given = r->scope.devices.given || d->scope.groups.given;
    return ok;
}

/* {name}, {name:.2f}, {{ and }} (SPEC 4's example): told at load, not at the first alert.
 */
static void check_message(const struct placed *m, struct problems *problems)
{
    for (const char *p = m->s; p && *p; p++) {
        struct position at = m->at;
        at.column += (unsigned)(p - m->s);
        if ((*p == '{' && p[1] == '{') || (*p == '}' && p[1] == '}')) {
            p++;
        } else if (*p == '}') {
            problem_add(problems, at,
                        "`}` without `{` in message; write `}}` for a brace");
        } else if (*p == '{') {
            const char *end = strchr(p, '}');
            if (!end) {
                problem_add(problems, at,
                            "`{` without `}` in message; write `{{` for a brace");
                return;
            }
            size_t n = strcspn(p + 1, ":}");
            struct text name = {p + 1, n};
            bool known = false;
            size_t i = 0;
            for (; rule_message_names[i]; i++) {
                known = known || text_equal(name, text_of(rule_message_names[i]));
            }
            if (!known) {
                const char *near = text_nearest(name, rule_message_names, i);
                problem_add(problems, at, "message has no {%.*s}%s%s%s",
                            (int)(n < 40 ? n : 40), p + 1, near ? "; did you mean {" : "",
                            near ? near : "", near ? "}?" : "");
            }
            const char *format = p + 1 + n;
            if (*format == ':' &&
                (format[1] != '.' || format[2] < '0' || format[2] > '9' ||
                 format[3] != 'f' || format + 4 != end)) {
                problem_add(problems, at, "a format in a message is :.0f to :.9f");
            }
            p = end;
        }
    }
}

static void fingerprint_list(struct buffer *b, const char *name,
                             const struct text_list *l)
{
    buffer_format(b, "%s%s\n", name, l->given ? ":" : "");
    for (size_t i = 0; i < l->n; i++) {
        buffer_cstring(b, l->items[i]);
        buffer_char(b, '\n');
    }
}

/* Ids, names and patterns have no control characters (config/ sees to it), so lines keep
 * the parts apart; the message and labels come last with their lengths. */
static char *fingerprint(const struct rule *r)
{
    struct buffer b = {0};
    buffer_format(&b, "%s\n%s\n%s\n%d %s %s\n", r->id, r->expression,
                  r->clear_expression ? r->clear_expression : "", (int)r->severity,
                  r->type_name, r->name);
    buffer_format(&b, "%lld %lld %lld %lld %d %lld %d %d %lld %u %u\n",
                  (long long)r->for_us, (long long)r->keep_firing_for_us,
                  (long long)r->cooldown_us, (long long)r->repeat_us, r->escalates,
                  (long long)r->escalate_after_us, (int)r->escalate_to,
                  (int)r->on_no_data, (long long)r->no_data_after_us, r->min_points,
                  r->n_metrics ? r->metrics[0].window.points_max : 0);
    fingerprint_list(&b, "tenants", &r->scope.tenants);
    fingerprint_list(&b, "sites", &r->scope.sites);
    fingerprint_list(&b, "devices", &r->scope.devices);
    fingerprint_list(&b, "labels", &r->label_keys);
    fingerprint_list(&b, "values", &r->label_values);
    buffer_format(&b, "%zu\n%s", r->message ? strlen(r->message) : 0,
                  r->message ? r->message : "");
    char *text = buffer_ok(&b) ? text_dup(buffer_view(&b)) : NULL;
    buffer_finish(&b);
    return text;
}

static char *print(const struct expr *e)
{
    struct buffer b = {0};
    expr_print(e, &b);
    char *text = buffer_ok(&b) ? text_dup(buffer_view(&b)) : NULL;
    buffer_finish(&b);
    return text;
}

static const char *alert_type(const struct rule_def *d)
{
    switch (d->type) {
    case RULE_TYPE_TELEMETRY_GAP:
        return "NO_TELEMETRY";
    case RULE_TYPE_HEARTBEAT:
        return "NO_HEARTBEAT";
    default:
        return rule_type_name(d->type);
    }
}

static bool copy_plain(struct rule *r, const struct rule_def *d)
{
    r->type_name = alert_type(d);
    r->severity = d->severity;
    r->for_us = d->for_us;
    r->keep_firing_for_us = d->keep_firing_for_us;
    r->cooldown_us = d->cooldown_us;
    r->repeat_us = d->repeat_us;
    r->escalates = d->escalate.given;
    r->escalate_after_us = d->escalate.after_us;
    r->escalate_to = d->escalate.severity;
    r->on_no_data = d->on_no_data;
    r->no_data_after_us = d->no_data_after_us;
    r->min_points = d->min_points ? d->min_points : d->min_samples;
    r->id = text_dup(text_of(d->id.s));
    r->name = text_dup(text_of(d->name.s ? d->name.s : d->id.s));
    r->message = d->message.s ? text_dup(text_of(d->message.s)) : NULL;
    bool ok = r->id && r->name && (r->message || !d->message.s);
    for (size_t i = 0; ok && i < d->n_labels; i++) {
        ok = list_add(&r->label_keys, d->labels[i].key.s) &&
             list_add(&r->label_values, d->labels[i].value.s);
    }
    return ok;
}

struct rule *rule_compile(const struct rule_def *d,
                          const struct device_group *const *groups, size_t n_groups,
                          uint32_t points_max, struct problems *problems)
{
    size_t before = problems->errors;
    struct rule *r = calloc(1, sizeof *r);
    if (!r || !copy_plain(r, d) || !copy_scope(r, d, groups, n_groups)) {
        goto no_memory;
    }
    r->references = 1;
    if (d->when.s && d->type != RULE_TYPE_NONE) {
        problem_add(problems, d->type_at, "a rule has `when` or `rule_type`, not both");
    }
    if (d->min_points && d->min_samples) {
        problem_add(problems, d->type_at,
                    "`min_points` and `min_samples` are the same; give one");
    }
    if (d->on_no_data == ON_NO_DATA_RESOLVE && d->no_data_after_us == 0) {
        problem_add(problems, d->at,
                    "rule `%s`: `on_no_data: resolve` needs `no_data_after`", d->id.s);
    }
    check_message(&d->message, problems);
    if (d->when.s || d->type != RULE_TYPE_NONE) {
        refuse_foreign_keys(d, problems);
    }
    r->when = d->when.s ? parse_placed(&d->when, problems) : field_form(d, problems);
    r->clear = d->clear.s ? parse_placed(&d->clear, problems) : NULL;
    if (problems->errors != before) {
        goto fail;
    }
    struct binder binder = {.rule = r};
    expr_walk(r->when, bind_node, &binder);
    if (r->clear) {
        expr_walk(r->clear, bind_node, &binder);
    }
    if (binder.fault) {
        problem_add(problems, d->at, "rule `%s`: %s", d->id.s, binder.fault);
        goto fail;
    }
    bool first = true;
    for (size_t i = 0; i < r->n_metrics; i++) {
        struct rule_metric *m = &r->metrics[i];
        m->window.points_max = points_max;
        m->is_first_series = first && m->window.n_spans > 0;
        first = first && !m->is_first_series;
        for (size_t k = 0; k < m->window.n_spans; k++) {
            if (m->window.spans[k].count > points_max) {
                problem_add(problems, d->at,
                            "rule `%s`: #%u is more than limits.points_per_window (%u)",
                            d->id.s, m->window.spans[k].count, points_max);
                goto fail;
            }
        }
    }
    r->remembers =
        r->n_metrics > 1 || r->n_held > 0 || r->for_us > 0 || r->keep_firing_for_us > 0;
    r->expression = print(r->when);
    r->clear_expression = r->clear ? print(r->clear) : NULL;
    if (!r->expression || (r->clear && !r->clear_expression)) {
        goto no_memory;
    }
    r->fingerprint = fingerprint(r);
    if (!r->fingerprint) {
        goto no_memory;
    }
    return r;

no_memory:
    problem_add(problems, d->at, "out of memory");
fail:
    rule_release(r);
    return NULL;
}

void rule_check_expressions(const struct rule_def *d, struct problems *problems)
{
    const struct placed *texts[] = {&d->when, &d->clear};
    for (size_t i = 0; i < 2; i++) {
        if (texts[i]->s) {
            expr_free(parse_placed(texts[i], problems));
        }
    }
}

struct rule *rule_hold(struct rule *r)
{
    r->references++;
    return r;
}

void rule_release(struct rule *r)
{
    if (!r || (r->references > 0 && --r->references > 0)) {
        return;
    }
    for (size_t i = 0; i < r->n_metrics; i++) {
        free(r->metrics[i].name);
        free(r->metrics[i].window.spans);
    }
    free(r->metrics);
    free(r->held_us);
    free(r->silences);
    list_finish(&r->scope.tenants);
    list_finish(&r->scope.sites);
    list_finish(&r->scope.devices);
    list_finish(&r->label_keys);
    list_finish(&r->label_values);
    expr_free(r->when);
    expr_free(r->clear);
    free(r->expression);
    free(r->clear_expression);
    free(r->fingerprint);
    free(r->message);
    free(r->name);
    free(r->id);
    free(r);
}

static bool any_matches(const struct text_list *l, struct text subject)
{
    if (!l->given) {
        return true;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (glob_match(text_of(l->items[i]), subject)) {
            return true;
        }
    }
    return false;
}

bool rule_covers(const struct rule *r, struct text tenant, struct text site,
                 struct text device)
{
    return any_matches(&r->scope.tenants, tenant) && any_matches(&r->scope.sites, site) &&
           any_matches(&r->scope.devices, device);
}
