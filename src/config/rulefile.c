/* Rule files (SPEC 4.1, 3.5): their keys and the form of each. Whether a rule's fields
 * make a rule together is seen where rules are compiled. */
#include "config/rulefile.h"

#include <assert.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/file.h"
#include "config/mutes.h"
#include "config/rulefiles.h"
#include "config/scope.h"
#include "model/template.h"

#define RULES_PER_FILE_MAX 100000
#define METRIC_SOURCES_MAX 100
#define NAMES_PER_FILE_MAX 100000 /* of groups and of metrics */
#define EXPRESSION_BYTES_MAX (64 * 1024)
#define COUNT_MAX 100000 /* readings in a window by count */
#define WIDTH_DAYS_MAX 366
#define SECONDS_MAX (WIDTH_DAYS_MAX * 86400.0)
#define MINUTES_MAX (WIDTH_DAYS_MAX * 1440.0)
#define WIDTH_MAX_US (WIDTH_DAYS_MAX * DAY_US)

static const struct choice severities[] = {
    {"info", SEVERITY_INFO, NULL},
    {"warning", SEVERITY_WARNING, NULL},
    {"critical", SEVERITY_CRITICAL, NULL},
    {0},
};
static const struct choice types[] = {
    {"THRESHOLD", RULE_TYPE_THRESHOLD, NULL},
    {"WINDOW", RULE_TYPE_WINDOW, NULL},
    {"ANOMALY", RULE_TYPE_ANOMALY, NULL},
    {"TELEMETRY_GAP", RULE_TYPE_TELEMETRY_GAP, NULL},
    {"HEARTBEAT", RULE_TYPE_HEARTBEAT, NULL},
    {0},
};
static const struct choice aggregations[] = {
    {"avg", 0, NULL}, {"min", 0, NULL},   {"max", 0, NULL},
    {"sum", 0, NULL}, {"count", 0, NULL}, {0},
};
static const struct choice operators[] = {
    {"GT", 0, ">"},
    {"GTE", 0, ">="},
    {"LT", 0, "<"},
    {"LTE", 0, "<="},
    {"EQ", 0, "=="},
    {"NE", 0, "!="},
    {">", 0, ">"},
    {">=", 0, ">="},
    {"<", 0, "<"},
    {"<=", 0, "<="},
    {"==", 0, "=="},
    {"!=", 0, "!="},
    {0},
};
static const struct choice match_modes[] = {{"all", 0, NULL}, {"any", 1, NULL}, {0}};
static const struct choice no_data[] = {
    {"hold", ON_NO_DATA_HOLD, NULL}, {"resolve", ON_NO_DATA_RESOLVE, NULL}, {0}};

/* --- a rule --- */

static bool is_id(const char *s)
{
    size_t n =
        strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && n <= RULE_ID_BYTES_MAX && s[n] == '\0';
}

static void read_id(struct reader *r, const char *name, const struct node *n, void *field)
{
    struct placed *id = field;
    char *s = NULL;
    if (!schema_text(r, name, n, 0, 0, &s)) {
        return;
    }
    if (!is_id(s)) {
        problem_add(r->problems, n->at, "`%s` must be 1 to %d of A-Z a-z 0-9 . _ -", name,
                    RULE_ID_BYTES_MAX);
        free(s);
        return;
    }
    *id = (struct placed){.s = s, .at = n->at};
}

#define CONDITION(field) offsetof(struct rule_condition, field)

static const struct key condition_keys[] = {
    {.name = "metric_name",
     .kind = KEY_PLACED,
     .offset = CONDITION(metric_name),
     .max = METRIC_BYTES_MAX},
    {.name = "operator",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_PLACED,
     .offset = CONDITION(op),
     .choices = operators},
    {.name = "threshold",
     .kind = KEY_NUMBER,
     .offset = CONDITION(threshold),
     .given = FLAG_AT(struct rule_condition, has_threshold),
     .min = -1e300,
     .max = 1e300},
    {.name = "duration_minutes",
     .kind = KEY_AMOUNT,
     .offset = CONDITION(duration_us),
     .max = MINUTES_MAX,
     .unit_us = MINUTE_US},
};
const struct schema condition_schema = {SCHEMA_OF("conditions.", condition_keys),
                                        .place = FLAG_AT(struct rule_condition, at)};

static void read_conditions(struct reader *r, const char *name, const struct node *n,
                            void *field)
{
    struct rule_def *rule = field;
    void *items = NULL;
    schema_read_list(r, name, &condition_schema, n, RULE_CONDITIONS_MAX,
                     sizeof *rule->conditions, &items, &rule->n_conditions);
    rule->conditions = items;
}

static void read_labels(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct rule_def *rule = field;
    if (!schema_is_mapping(r, name, n)) {
        return;
    }
    if (n->n > RULE_LABELS_MAX) {
        problem_add(r->problems, n->at, "`%s` has more than %d names", name,
                    RULE_LABELS_MAX);
        return;
    }
    rule->labels = calloc(n->n ? n->n : 1, sizeof *rule->labels);
    if (!rule->labels) {
        r->failed = true;
        return;
    }
    for (const struct node *member = n->first; member; member = member->next) {
        char member_name[SCHEMA_NAME_BYTES];
        schema_member_name(name, member, member_name);
        struct rule_label *label = &rule->labels[rule->n_labels++];
        label->key.at = member->key->at;
        label->value.at = member->at;
        (void)schema_text(r, name, member->key, 0, 0, &label->key.s);
        (void)schema_text(r, member_name, member, 0, KEY_LINES, &label->value.s);
    }
}

#define RULE(field) offsetof(struct rule_def, field)
#define RULE_AT(field) FLAG_AT(struct rule_def, field)

static const struct key scope_keys[] = {SCOPE_KEYS(RULE(scope))};
static const struct schema scope_schema = {SCHEMA_OF("scope.", scope_keys)};

static const struct key escalate_keys[] = {
    {.name = "after",
     .kind = KEY_DURATION,
     .flags = KEY_REQUIRED,
     .offset = RULE(escalate.after_us),
     .min = 1e6,
     .max = WIDTH_MAX_US},
    {.name = "severity",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE,
     .offset = RULE(escalate.severity),
     .choices = severities,
     .initial = "critical"},
};
static const struct schema escalate_schema = {SCHEMA_OF("escalate.", escalate_keys)};

/* Rows that say the same in different ways, of which a rule takes one. */
enum { SET_FOR = 1, SET_WINDOW };

static const struct key rule_keys[] = {
    {.name = "id",
     .kind = KEY_OTHER,
     .flags = KEY_REQUIRED,
     .offset = RULE(id),
     .read = read_id},
    {.name = "name", .kind = KEY_PLACED, .offset = RULE(name), .max = 256},
    {.name = "severity",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE,
     .offset = RULE(severity),
     .choices = severities,
     .initial = "warning"},
    {.name = "enabled", .kind = KEY_BOOL, .offset = RULE(enabled), .initial = "true"},
    {.name = "scope", .kind = KEY_MAPPING, .within = &scope_schema},
    {.name = "when",
     .kind = KEY_PLACED,
     .flags = KEY_LINES,
     .offset = RULE(when),
     .max = EXPRESSION_BYTES_MAX},
    {.name = "clear",
     .kind = KEY_PLACED,
     .flags = KEY_LINES,
     .offset = RULE(clear),
     .max = EXPRESSION_BYTES_MAX},
    {.name = "for",
     .kind = KEY_DURATION,
     .offset = RULE(for_us),
     .place = RULE_AT(for_at),
     .set = SET_FOR,
     .max = WIDTH_MAX_US},
    {.name = "duration_seconds",
     .kind = KEY_AMOUNT,
     .offset = RULE(for_us),
     .place = RULE_AT(for_at),
     .set = SET_FOR,
     .max = SECONDS_MAX,
     .unit_us = US_PER_S},
    {.name = "duration_minutes",
     .kind = KEY_AMOUNT,
     .offset = RULE(for_us),
     .place = RULE_AT(for_at),
     .set = SET_FOR,
     .max = MINUTES_MAX,
     .unit_us = MINUTE_US},
    {.name = "keep_firing_for",
     .kind = KEY_DURATION,
     .offset = RULE(keep_firing_for_us),
     .max = WIDTH_MAX_US},
    {.name = "cooldown",
     .kind = KEY_DURATION,
     .offset = RULE(cooldown_us),
     .max = WIDTH_MAX_US},
    {.name = "repeat",
     .kind = KEY_DURATION,
     .flags = KEY_ZERO_TOO,
     .offset = RULE(repeat_us),
     .min = 1e6,
     .max = WIDTH_MAX_US},
    {.name = "escalate",
     .kind = KEY_MAPPING,
     .given = RULE_AT(escalate.given),
     .place = RULE_AT(escalate.at),
     .within = &escalate_schema},
    {.name = "on_no_data",
     .kind = KEY_CHOICE,
     .offset = RULE(on_no_data),
     .choices = no_data,
     .initial = "hold"},
    {.name = "no_data_after",
     .kind = KEY_DURATION,
     .flags = KEY_ZERO_TOO,
     .offset = RULE(no_data_after_us),
     .min = 1e6,
     .max = WIDTH_MAX_US},
    {.name = "min_points",
     .kind = KEY_WHOLE,
     .offset = RULE(min_points),
     .min = 1,
     .max = COUNT_MAX},
    {.name = "message",
     .kind = KEY_PLACED,
     .flags = KEY_LINES,
     .offset = RULE(message),
     .max = TEMPLATE_BYTES_MAX},
    {.name = "labels", .kind = KEY_OTHER, .read = read_labels},
    {.name = "rule_type",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE,
     .offset = RULE(type),
     .place = RULE_AT(type_at),
     .choices = types},
    {.name = "metric_name",
     .kind = KEY_PLACED,
     .offset = RULE(single.metric_name),
     .place = RULE_AT(single.at),
     .max = METRIC_BYTES_MAX},
    {.name = "operator",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_PLACED,
     .offset = RULE(single.op),
     .place = RULE_AT(single.at),
     .choices = operators},
    {.name = "threshold",
     .kind = KEY_NUMBER,
     .offset = RULE(single.threshold),
     .given = RULE_AT(single.has_threshold),
     .place = RULE_AT(single.at),
     .min = -1e300,
     .max = 1e300},
    {.name = "aggregation",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_PLACED,
     .offset = RULE(aggregation),
     .choices = aggregations},
    {.name = "window_seconds",
     .kind = KEY_AMOUNT,
     .offset = RULE(window_us),
     .place = RULE_AT(window_at),
     .set = SET_WINDOW,
     .max = SECONDS_MAX,
     .unit_us = US_PER_S},
    {.name = "window_minutes",
     .kind = KEY_AMOUNT,
     .offset = RULE(window_us),
     .place = RULE_AT(window_at),
     .set = SET_WINDOW,
     .max = MINUTES_MAX,
     .unit_us = MINUTE_US},
    {.name = "window_count",
     .kind = KEY_WHOLE,
     .offset = RULE(window_count),
     .place = RULE_AT(window_at),
     .max = COUNT_MAX},
    {.name = "conditions",
     .kind = KEY_OTHER,
     .given = RULE_AT(has_conditions),
     .read = read_conditions},
    {.name = "match_mode",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_BOOL,
     .offset = RULE(match_any),
     .given = RULE_AT(has_match_mode),
     .place = RULE_AT(match_mode_at),
     .choices = match_modes},
    {.name = "z_threshold",
     .kind = KEY_NUMBER,
     .offset = RULE(z_threshold),
     .given = RULE_AT(has_z_threshold),
     .min = 0.01,
     .max = 1000},
    {.name = "min_samples",
     .kind = KEY_WHOLE,
     .offset = RULE(min_samples),
     .min = 1,
     .max = COUNT_MAX},
    {.name = "gap_minutes",
     .kind = KEY_AMOUNT,
     .offset = RULE(gap_us),
     .min = 0.01,
     .max = MINUTES_MAX,
     .unit_us = MINUTE_US},
    {.name = "timeout_seconds",
     .kind = KEY_AMOUNT,
     .offset = RULE(timeout_us),
     .min = 0.1,
     .max = SECONDS_MAX,
     .unit_us = US_PER_S},
};
static_assert(sizeof rule_keys / sizeof *rule_keys <= SCHEMA_KEYS_MAX, "a larger table");
const struct schema rule_schema = {SCHEMA_OF("", rule_keys), .place = RULE_AT(at),
                                   .faulty = RULE_AT(is_faulty)};

static void read_rules(struct reader *r, const char *name, const struct node *n,
                       void *field)
{
    struct rule_file *file = field;
    void *items = NULL;
    schema_read_list(r, name, &rule_schema, n, RULES_PER_FILE_MAX, sizeof *file->rules,
                     &items, &file->n_rules);
    file->rules = items;
}

/* --- groups, metrics --- */

/* One item for each member of a mapping of names; NULL: told, or out of memory. */
static void *new_items(struct reader *r, const char *name, const struct node *n,
                       size_t bytes)
{
    if (!schema_is_mapping(r, name, n)) {
        return NULL;
    }
    if (n->n > NAMES_PER_FILE_MAX) {
        problem_add(r->problems, n->at, "`%s` has more than %d names", name,
                    NAMES_PER_FILE_MAX);
        return NULL;
    }
    void *items = calloc(n->n ? n->n : 1, bytes);
    r->failed = r->failed || !items;
    return items;
}

static void read_name(struct reader *r, const char *name, const struct node *key,
                      size_t max, struct placed *ret_name)
{
    if (schema_text(r, name, key, max, 0, &ret_name->s)) {
        ret_name->at = key->at;
    }
}

static void read_groups(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct rule_file *file = field;
    file->groups = new_items(r, name, n, sizeof *file->groups);
    if (!file->groups) {
        return;
    }
    for (const struct node *member = n->first; member; member = member->next) {
        char member_name[SCHEMA_NAME_BYTES];
        schema_member_name(name, member, member_name);
        struct device_group *group = &file->groups[file->n_groups++];
        read_name(r, name, member->key, ID_BYTES_MAX, &group->name);
        schema_texts(r, member_name, member, ID_BYTES_MAX, 0, &group->patterns);
    }
}

static const struct key source_keys[] = {
    {.name = "raw",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = offsetof(struct metric_source, raw),
     .max = METRIC_BYTES_MAX},
    {.name = "multiplier",
     .kind = KEY_NUMBER,
     .offset = offsetof(struct metric_source, multiplier),
     .min = -1e300,
     .max = 1e300,
     .initial = "1"},
    {.name = "offset",
     .kind = KEY_NUMBER,
     .offset = offsetof(struct metric_source, offset),
     .min = -1e300,
     .max = 1e300,
     .initial = "0"},
};
const struct schema source_schema = {SCHEMA_OF("metrics.", source_keys)};

static void read_metrics(struct reader *r, const char *name, const struct node *n,
                         void *field)
{
    struct rule_file *file = field;
    file->metrics = new_items(r, name, n, sizeof *file->metrics);
    if (!file->metrics) {
        return;
    }
    for (const struct node *member = n->first; member; member = member->next) {
        char member_name[SCHEMA_NAME_BYTES];
        schema_member_name(name, member, member_name);
        struct metric_mapping *mapping = &file->metrics[file->n_metrics++];
        void *sources = NULL;
        read_name(r, name, member->key, METRIC_BYTES_MAX, &mapping->name);
        schema_read_list(r, member_name, &source_schema, member, METRIC_SOURCES_MAX,
                         sizeof *mapping->sources, &sources, &mapping->n);
        mapping->sources = sources;
    }
}

static const struct key file_keys[] = {
    {.name = "rules", .kind = KEY_OTHER, .read = read_rules},
    {.name = "groups", .kind = KEY_OTHER, .read = read_groups},
    {.name = "metrics", .kind = KEY_OTHER, .read = read_metrics},
    {.name = "maintenance", .kind = KEY_OTHER, .read = read_maintenance},
    {.name = "inhibit", .kind = KEY_OTHER, .read = read_inhibit},
};
const struct schema rule_file_schema = {SCHEMA_OF("", file_keys)};

/* --- a file --- */

enum brink_status rule_file_read(const char *path, struct text yaml,
                                 struct problems *problems, struct rule_file **ret_file)
{
    struct document document = {0};
    struct rule_file *file = calloc(1, sizeof *file);
    enum brink_status status = BRINK_E_NOMEM;
    if (!file || !(file->path = text_dup(text_of(path)))) {
        goto finish;
    }
    status = document_load(file->path, yaml, problems, &document);
    if (status) {
        goto finish;
    }
    struct reader r = {.problems = problems, .file = file->path};
    if (document.root && document.root->kind == NODE_MAPPING) {
        schema_read(&r, &rule_file_schema, document.root, file);
    } else if (document.root && !node_is_null(document.root)) {
        problem_add(problems, document.root->at,
                    "a rule file is a mapping of keys and values, such as `rules:`");
    }
    status = r.failed ? BRINK_E_NOMEM : BRINK_OK;
finish:
    document_free(&document);
    if (status) {
        rule_file_free(file);
    } else {
        *ret_file = file;
    }
    return status;
}

enum brink_status rule_file_parse(const char *path, struct text yaml,
                                  struct problems *problems, struct rule_file **ret_file)
{
    size_t errors = problems->errors;
    struct rule_file *file = NULL;
    enum brink_status status = rule_file_read(path, yaml, problems, &file);
    if (status == BRINK_OK) {
        status = rule_files_check(&file, 1, true, problems);
    }
    if (status != BRINK_E_NOMEM && problems->errors > errors) {
        status = BRINK_E_SYNTAX;
    }
    if (status == BRINK_OK) {
        *ret_file = file;
    } else {
        rule_file_free(file);
    }
    return status;
}

enum brink_status rule_file_load(const char *path, struct problems *problems,
                                 struct rule_file **ret_file)
{
    struct buffer bytes = {0};
    enum brink_status status = file_read(path, CONFIG_FILE_BYTES_MAX, problems,
                                         (struct position){path, 0, 0}, &bytes);
    if (status == BRINK_OK) {
        status = rule_file_parse(path, buffer_view(&bytes), problems, ret_file);
    }
    buffer_finish(&bytes);
    return status == BRINK_E_LIMIT ? BRINK_E_SYNTAX : status;
}
