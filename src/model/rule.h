/* A rule as it stands in its file: checked for form (types, ranges, known keys), not yet
 * compiled. rules/compile.h makes the expression of it. Everything is owned by the
 * rule_file. */
#ifndef BRINK_MODEL_RULE_H
#define BRINK_MODEL_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "model/mute.h"
#include "model/placed.h"
#include "model/scope.h"

#define RULE_ID_BYTES_MAX 100
#define RULE_CONDITIONS_MAX 32
#define RULE_LABELS_MAX 32

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };
enum rule_type {
    RULE_TYPE_NONE, /* `when` is given */
    RULE_TYPE_THRESHOLD,
    RULE_TYPE_WINDOW,
    RULE_TYPE_ANOMALY,
    RULE_TYPE_TELEMETRY_GAP,
    RULE_TYPE_HEARTBEAT,
};
enum on_no_data { ON_NO_DATA_HOLD, ON_NO_DATA_RESOLVE };

const char *severity_name(enum severity s); /* "info" "warning" "critical" */
const char *
rule_type_name(enum rule_type t); /* "THRESHOLD" ...; RULE_TYPE_NONE: "EXPRESSION" */

/* One of field form's comparisons. */
struct rule_condition {
    struct position at;
    struct placed metric_name;
    struct placed op; /* normalized to > >= < <= == != */
    double threshold;
    bool has_threshold;
    int64_t duration_us; /* duration_minutes; 0: none */
};

struct rule_label {
    struct placed key, value;
};

struct rule_def {
    struct position at;
    bool is_faulty; /* an error of form was told; the rest of it says little */
    struct placed id, name;
    enum severity severity;
    bool enabled;
    struct scope_def scope;

    struct placed when, clear; /* expressions as text */

    /* The field form (SPEC 4.1); at each number has_x tells whether it was given. */
    enum rule_type type;
    struct position type_at;
    struct rule_condition single; /* metric_name operator threshold */
    struct placed aggregation;    /* avg min max sum count, lower case */
    struct position window_at; /* of window_seconds or window_count or window_minutes */
    int64_t window_us;         /* window_seconds, window_minutes; 0: none */
    uint32_t window_count;     /* 0: none */
    struct rule_condition *conditions;
    size_t n_conditions;
    bool has_conditions, match_any, has_match_mode;
    struct position match_mode_at;
    double z_threshold;
    bool has_z_threshold;
    uint32_t min_samples; /* 0: not given */
    int64_t gap_us;       /* gap_minutes; 0: not given */
    int64_t timeout_us;   /* timeout_seconds; 0: not given */

    int64_t for_us; /* `for`, duration_seconds or duration_minutes (only one may be
                       given); 0: none */
    struct position for_at;
    int64_t keep_firing_for_us, cooldown_us, repeat_us; /* 0: none */
    struct {
        bool given;
        struct position at;
        int64_t after_us;
        enum severity severity;
    } escalate;
    enum on_no_data on_no_data;
    int64_t no_data_after_us; /* 0: not given */
    uint32_t min_points;      /* 0: the functions' defaults */
    struct placed message;
    struct rule_label *labels;
    size_t n_labels;
};

/* `metrics:` normal = raw * multiplier + offset; the first raw name present wins
 * (SPEC 3.5). */
struct metric_source {
    struct placed raw;
    double multiplier, offset;
};
struct metric_mapping {
    struct placed name;
    struct metric_source *sources;
    size_t n;
};

struct rule_file {
    char *path;
    struct rule_def *rules; /* NULL: dropped */
    size_t n_rules;
    struct device_group *groups;
    size_t n_groups;
    struct metric_mapping *metrics;
    size_t n_metrics;
    struct maintenance_def *maintenance;
    size_t n_maintenance;
    struct inhibit_def *inhibit;
    size_t n_inhibit;
};

void rule_file_free(struct rule_file *f); /* NULL is fine */
/* The definitions have served once they are compiled: frees them. */
void rule_file_drop_rules(struct rule_file *f);

#endif
