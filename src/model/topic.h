/* Topic patterns (SPEC 3.1): "tenant/{tenant}/device/{device}/telemetry". Each {name}
 * stands for one whole level. */
#ifndef BRINK_MODEL_TOPIC_H
#define BRINK_MODEL_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/status.h"
#include "base/text.h"

#define TOPIC_BYTES_MAX 65535 /* MQTT's own limit */
#define TOPIC_LEVELS_MAX 64
#define TOPIC_LABELS_MAX 16

struct topic_pattern {
    char *source; /* as written */
    char *filter; /* `+` in place of each {name} */
    struct topic_level {
        bool is_name;
        struct text text; /* literal level, or the name without braces; into `source` */
    } levels[TOPIC_LEVELS_MAX];
    size_t n_levels;
    int tenant_level, device_level, metric_level; /* index, or -1 */
};

/* What a topic says. Views into the topic. */
struct topic_match {
    struct text tenant; /* "default" when the pattern has no {tenant} */
    struct text device;
    struct text metric; /* n == 0 when the pattern has no {metric} */
    struct topic_label {
        struct text name, value;
    } labels[TOPIC_LABELS_MAX]; /* every other {name} */
    size_t n_labels;
};

/* Compiles a telemetry pattern. E_SYNTAX with a static *ret_why ("empty", "no {device}",
 * "a {name} must be a whole level", "wildcards", "a name twice", "$share", "starts with
 * $", too many levels). */
enum brink_status topic_pattern_init(struct topic_pattern *p, struct text source,
                                     const char **ret_why) BRINK_MUST_CHECK;
void topic_pattern_finish(struct topic_pattern *p);

/* Does the topic fit? An empty level for a name does fit: the caller drops empty ids.
 * False: *ret_match holds nothing. */
bool topic_pattern_match(const struct topic_pattern *p, struct text topic,
                         struct topic_match *ret_match);

/* Can one topic match both filters (MQTT filters with + and #)? `check` refuses such. */
bool topic_filters_overlap(struct text a, struct text b);

/* Could a topic made from template (names in braces, each at least one character that may
 * hold anything but
 * `/ + #` NUL) match the filter? For alert and status topics against telemetry filters.
 */
bool topic_template_may_match(struct text template, struct text filter);

/* Alert and status topics: text with {names} that may be part of a level. A lookup
 * returns a name's value; bytes that cannot stand in a topic level (`/ + #`, NUL, control
 * characters) and `%` itself are written %XX, so that two ids never share a topic.
 * Unknown names are E_SYNTAX. */
typedef bool topic_lookup(void *ctx, struct text name, struct text *ret_value);
enum brink_status topic_expand(struct text template, topic_lookup *lookup, void *ctx,
                               struct buffer *out) BRINK_MUST_CHECK;
/* Checks a template against the names allowed (NULL-terminated); position of the fault in
 * *ret_at. */
enum brink_status topic_template_check(struct text template, const char *const *names,
                                       const char **ret_why,
                                       size_t *ret_at) BRINK_MUST_CHECK;

#endif
