/* All rules at once, and which metrics they ask for.
 *
 * A metric that no rule names costs one look-up and goes no further. Raw names map to
 * normal ones (SPEC 3.5) here, a message at a time. Immutable once made; pipeline thread.
 */
#ifndef BRINK_RULES_RULESET_H
#define BRINK_RULES_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/status.h"
#include "config/config.h"
#include "model/message.h"
#include "rules/compile.h"

struct ruleset {
    struct rule **rules; /* the enabled ones, in order of the files */
    size_t n_rules;
    size_t n_disabled;
    struct map by_id;    /* rule id -> struct rule, the enabled ones */
    struct map disabled; /* rule id -> its own key, owned: rules that are there but off */
    struct map names;    /* raw or normal name -> struct metric_name */
    struct metric_name *all_names;
    char **metrics; /* metric number -> name, of the metrics that rules name */
    size_t n_metrics;
    /* per message: where each metric was last put, so that finding it again costs nothing
     */
    struct metric_mark {
        uint64_t serial;
        uint32_t place;
    } * marks;
    uint64_t serial;
    /* Of shapes of messages that came lately, the names looked up once. */
    struct shape_names *shapes;
};

/* A name as it comes in a payload, and the metrics that it gives a value. */
struct metric_name {
    char *name;
    struct metric_use {
        uint32_t metric;
        uint32_t priority; /* the lowest present in a message wins */
        double multiplier, offset;
    } * uses;
    size_t n_uses;
    struct metric_name *next; /* list of all, for freeing */
};

/* One metric's value in one message. */
struct metric_value {
    uint32_t metric;
    uint32_t priority;
    double value;
};

/* Compiles all rule files of a configuration, which must outlive the set. Every problem
 * is told; E_SYNTAX when there was one. E_NOMEM. Any one thread. */
enum brink_status ruleset_new(const struct config *config, struct problems *problems,
                              struct ruleset **ret_set) BRINK_MUST_CHECK;
/* A configuration and its rules from FILE, everything that is wrong with either told at
 * once. E_SYNTAX: nothing is returned. E_NOMEM, E_IO. */
enum brink_status ruleset_load(const char *path, struct problems *problems,
                               struct config **ret_config,
                               struct ruleset **ret_set) BRINK_MUST_CHECK;
/* Puts the rules that did not change since `old` in place of the set's own, and goes on
 * with the old set's numbers of metrics. On the thread that runs the old set. E_NOMEM:
 * the set is then only good to be freed. */
enum brink_status ruleset_adopt(struct ruleset *s, const struct config *config,
                                const struct ruleset *old) BRINK_MUST_CHECK;
void ruleset_free(struct ruleset *s); /* NULL is fine */

/* The number of a metric, or -1 when no rule names it. */
int ruleset_metric(const struct ruleset *s, struct text name);

/* What a message says of metrics that rules name, mapped; out has room for
 * ruleset_values_max(m) and each metric comes once. Returns their number. */
size_t ruleset_values(struct ruleset *s, const struct message *m,
                      struct metric_value *out);
size_t ruleset_values_max(const struct ruleset *s);

#endif
