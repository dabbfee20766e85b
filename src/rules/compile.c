#include "rules/compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/number.h"
#include "rules/bind.h"
#include "rules/form.h"
#include "rules/pack.h"

static struct expr *parse_placed(const struct placed *p, struct problems *problems)
{
    struct expr *e = NULL;
    struct expr_error error;
    enum brink_status status = expr_parse(text_of(p->s), &e, &error);
    struct position at = placed_position(p, error.offset);
    if (status != BRINK_OK) {
        problem_add(problems, at, "%s%s", error.message,
                    p->comment ? " (in YAML, ` #` begins a comment, as it does here: an "
                                 "expression that has one stands in quotes)"
                               : "");
    } else if (error.message[0] != '\0') {
        problem_warn(problems, at, "%s", error.message);
    }
    return e;
}

struct message_report {
    const struct placed *source;
    struct problems *problems;
};

static void report_message(void *ctx, size_t at, const char *fault)
{
    const struct message_report *r = ctx;
    problem_add(r->problems, placed_position(r->source, at), "message: %s", fault);
}

/* The message's {names} are checked now, and not at the first alert. bound: the rule's
 * metrics are known. False: out of memory. */
static bool take_message(struct rule *r, const struct placed *source, bool bound,
                         struct problems *problems)
{
    const char *metrics[RULE_METRICS_MAX];
    size_t before = problems->errors;
    for (size_t m = 0; m < r->n_metrics; m++) {
        metrics[m] = r->metrics[m].name;
    }
    const struct template_scope scope = {
        .labels = (const char *const *)r->label_keys.items,
        .n_labels = r->label_keys.n,
        .metrics = metrics,
        .n_metrics = r->n_metrics,
        .any_metric = !bound,
    };
    struct message_report report = {source, problems};
    if (source->s) {
        r->message = template_new(text_of(source->s), &scope, report_message, &report);
    }
    return r->message || !source->s || problems->errors != before;
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
static bool take_fingerprint(struct rule *r, const char *clear)
{
    struct buffer b = {0};
    buffer_format(&b, "%s\n%s\n%s\n%d %s %s\n", r->id, r->expression, clear ? clear : "",
                  (int)r->severity, r->type_name, r->name);
    buffer_format(&b, "%lld %lld %lld %lld %d %lld %d %d %lld %u %u\n",
                  (long long)r->for_us, (long long)r->keep_firing_for_us,
                  (long long)r->cooldown_us, (long long)r->repeat_us, r->escalates,
                  (long long)r->escalate_after_us, (int)r->escalate_to,
                  (int)r->on_no_data, (long long)r->no_data_after_us, r->min_points,
                  r->n_metrics ? r->metrics[0].window.points_max : 0);
    fingerprint_list(&b, "tenants", &r->scope.tenants);
    fingerprint_list(&b, "sites", &r->scope.sites);
    fingerprint_list(&b, "devices", &r->scope.devices);
    for (size_t i = 0; i < r->scope.groups.n; i++) {
        fingerprint_list(&b, "group", &r->scope.groups.items[i]->patterns);
    }
    fingerprint_list(&b, "labels", &r->label_keys);
    fingerprint_list(&b, "values", &r->label_values);
    struct text message = r->message ? template_source(r->message) : TEXT("");
    buffer_format(&b, "%zu\n", message.n);
    buffer_text(&b, message);
    bool ok = buffer_ok(&b);
    r->fingerprint = ok ? map_hash(buffer_view(&b)) : 0;
    buffer_finish(&b);
    return ok;
}

static char *print(const struct expr *e)
{
    struct buffer b = {0};
    expr_print(e, &b);
    char *text = buffer_ok(&b) ? text_dup(buffer_view(&b)) : NULL;
    buffer_finish(&b);
    return text;
}

/* FNV-1a, so that it is the same in every process and build. */
static uint64_t hash_of(const char *when, const char *clear)
{
    uint64_t h = UINT64_C(14695981039346656037);
    const char *parts[] = {when, "\n", clear ? clear : ""};
    for (size_t i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p; p++) {
            h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
        }
    }
    return h;
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

/* What needs no compiling; texts are borrowed from the definition. */
static bool take_plain(struct rule *r, const struct rule_def *d)
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
    r->id = d->id.s;
    r->name = d->name.s ? d->name.s : r->id;
    bool ok = true;
    for (size_t i = 0; ok && i < d->n_labels; i++) {
        ok = text_list_add(&r->label_keys, d->labels[i].key.s) == BRINK_OK &&
             text_list_add(&r->label_values, d->labels[i].value.s) == BRINK_OK;
    }
    return ok;
}

/* What is made of the printed expressions; of the clearing's nothing else is kept. */
static bool take_texts(struct rule *r)
{
    char *clear = r->clear ? print(r->clear) : NULL;
    r->expression = print(r->when);
    bool ok = r->expression && (clear || !r->clear) && take_fingerprint(r, clear);
    if (ok) {
        r->condition = hash_of(r->expression, clear);
    }
    free(clear);
    return ok;
}

/* What binding does not know of the series: whose is the plain key, and the limit. */
static bool settle_windows(struct rule *r, const struct rule_def *d, uint32_t points_max,
                           struct problems *problems)
{
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
                return false;
            }
        }
    }
    return true;
}

static void check_form(const struct rule_def *d, struct problems *problems)
{
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
    if (d->when.s || d->type != RULE_TYPE_NONE) {
        form_check(d, problems);
    }
}

static void free_pieces(struct rule *r)
{
    for (size_t i = 0; i < r->n_metrics; i++) {
        free(r->metrics[i].window.spans);
    }
    free(r->metrics);
    free(r->held_us);
    free(r->silences);
    scope_finish(&r->scope);
    text_list_finish(&r->label_keys);
    text_list_finish(&r->label_values);
    expr_free(r->when);
    expr_free(r->clear);
    free(r->expression);
    free(r->message);
}

struct rule *rule_compile(const struct rule_def *d, const struct groups *groups,
                          uint32_t points_max, struct problems *problems)
{
    size_t before = problems->errors;
    struct rule pieces = {.references = 1}, *r = &pieces, *packed = NULL;
    if (!take_plain(r, d) || scope_init(&r->scope, &d->scope, groups) != BRINK_OK) {
        goto no_memory;
    }
    check_form(d, problems);
    r->when = d->when.s ? parse_placed(&d->when, problems) : form_expression(d, problems);
    r->clear = d->clear.s ? parse_placed(&d->clear, problems) : NULL;
    const char *fault = problems->errors == before ? rule_bind(r) : NULL;
    if (fault) {
        problem_add(problems, d->at, "rule `%s`: %s", d->id.s, fault);
    }
    if (!take_message(r, &d->message, problems->errors == before, problems)) {
        goto no_memory;
    }
    if (problems->errors != before) {
        goto finish;
    }
    if (!settle_windows(r, d, points_max, problems)) {
        goto finish;
    }
    r->remembers =
        r->n_metrics > 1 || r->n_held > 0 || r->for_us > 0 || r->keep_firing_for_us > 0;
    packed = take_texts(r) ? rule_packed(r) : NULL;
    if (packed) {
        goto finish;
    }
no_memory:
    problem_add(problems, d->at, "out of memory");
finish:
    free_pieces(r);
    return packed;
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
    if (r && --r->references == 0) {
        groups_release(&r->scope.groups);
        free(r);
    }
}
