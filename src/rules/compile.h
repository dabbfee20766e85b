/* A rule as it runs: its expressions bound to slots, its scope as patterns, its timers.
 *
 * Compiling turns either form of a rule file's entry (SPEC 4.1) into one expression tree.
 * A compiled rule is immutable and counted: the rule sets before and after a reload share
 * the rules that did not change, and with them go their instances' states. Pipeline
 * thread (loading: any one thread). */
#ifndef BRINK_RULES_COMPILE_H
#define BRINK_RULES_COMPILE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "config/problems.h"
#include "expr/expr.h"
#include "model/rule.h"
#include "model/template.h"
#include "window/window.h"

#define RULE_METRICS_MAX 64 /* distinct metrics in one rule */
#define RULE_SPANS_MAX 64   /* distinct windows over one metric of a rule */
#define RULE_HELD_MAX 64    /* held() in one rule, and absent() and silent() together */

/* One metric that a rule names. Where a function takes a window over it, `window`
 * describes the series: every span the rule uses of it, and its longest. */
struct rule_metric {
    char *name;
    struct window_spec window; /* n_spans == 0: only the latest value is asked for */
    uint32_t number;           /* the rule set's number of it (ruleset.h) */
    bool
        is_first_series; /* has the rule's plain key; the others add /metric (SPEC 5.1) */
};

/* silent(width), or absent(metric, width): how long a silence changes the outcome. */
struct silence_bound {
    int metric; /* into metrics[]; -1: silent() */
    int64_t width_us;
};

/* One block of memory (pack.h): there may be many. */
struct rule {
    unsigned references;
    unsigned rank; /* place in the order in which the rules that a message touches are
                      evaluated; its user's */
    const char *id;
    struct template *message; /* NULL: the default */
    const char *name;         /* may be the id itself */
    const char *type_name;    /* alert_type of the payload (SPEC 6.2) */
    struct scope scope;
    struct expr *when, *clear; /* clear NULL: not when */
    char *expression;          /* canonical text of `when` */
    uint64_t condition; /* hash of both expressions: the same for the same canonical text
                           in every process */
    uint64_t fingerprint; /* of all that makes it the same rule, in this process */
    struct rule_metric *metrics;
    int64_t *held_us; /* durations of its held(), by slot */
    struct silence_bound *silences;
    uint32_t n_metrics, n_held, n_silences;
    uint32_t min_points;
    int64_t longest_us; /* of its windows; 0: none by width */
    int64_t for_us, keep_firing_for_us, cooldown_us, repeat_us;
    int64_t escalate_after_us;
    int64_t no_data_after_us; /* 0: never */
    struct text_list label_keys, label_values;
    enum severity severity, escalate_to;
    enum on_no_data on_no_data;
    bool escalates;
    bool has_silent, has_window;
    bool remembers; /* its outcome depends on more than the message at hand */
};

/* Can hearing a metric alone, whatever it says, or not hearing it change the outcome? */
static inline bool rule_minds_silence(const struct rule *r)
{
    return r->n_silences > 0 || r->no_data_after_us > 0;
}

/* How a span is found again from an EXPR_WINDOW node: its slot is metric * RULE_SPANS_MAX
 * + span. */
static_assert(RULE_METRICS_MAX * RULE_SPANS_MAX <= INT16_MAX, "a slot takes it");
static inline size_t slot_metric(const struct expr *e)
{
    return e->kind == EXPR_WINDOW ? (size_t)e->slot / RULE_SPANS_MAX : (size_t)e->slot;
}
static inline size_t slot_span(const struct expr *e)
{
    return (size_t)e->slot % RULE_SPANS_MAX;
}

/* Compiles one entry; groups: of all rule files. Every problem is told with its place;
 * NULL when there was an error (then problems->errors grew) or memory is out. The result
 * has one reference. */
struct rule *rule_compile(const struct rule_def *def, const struct groups *groups,
                          uint32_t points_max, struct problems *problems);
/* Of an entry with errors of form: what is wrong with its expressions all the same. */
void rule_check_expressions(const struct rule_def *def, struct problems *problems);
struct rule *rule_hold(struct rule *r);
void rule_release(struct rule *r); /* NULL is fine */

#endif
