#include "rules/ruleset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A reading that carries the normal name itself yields to any mapped raw name. */
#define PRIORITY_DIRECT UINT32_MAX

#define SHAPES 16         /* whose names are kept; a power of two */
#define SHAPE_READINGS 64 /* of one message; those with more are looked up each time */

struct shape_names {
    uint32_t shape; /* 0: none */
    const struct metric_name *names[SHAPE_READINGS];
};

static struct metric_name *name_entry(struct ruleset *s, const char *name)
{
    struct metric_name *entry = map_get(&s->names, text_of(name));
    if (entry) {
        return entry;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry || !(entry->name = text_dup(text_of(name))) ||
        map_put(&s->names, text_of(entry->name), entry) != BRINK_OK) {
        if (entry) {
            free(entry->name);
        }
        free(entry);
        return NULL;
    }
    entry->next = s->all_names;
    s->all_names = entry;
    return entry;
}

static bool name_add_use(struct ruleset *s, const char *name, struct metric_use use)
{
    struct metric_name *entry = name_entry(s, name);
    struct metric_use *grown =
        entry ? realloc(entry->uses, (entry->n_uses + 1) * sizeof *grown) : NULL;
    if (!grown) {
        return false;
    }
    entry->uses = grown;
    grown[entry->n_uses++] = use;
    return true;
}

static bool number_metric(struct ruleset *s, const char *name, uint32_t *ret_number)
{
    int known = ruleset_metric(s, text_of(name));
    if (known >= 0) {
        *ret_number = (uint32_t)known;
        return true;
    }
    char **grown = realloc(s->metrics, (s->n_metrics + 1) * sizeof *grown);
    if (!grown) {
        return false;
    }
    s->metrics = grown;
    struct metric_use use = {(uint32_t)s->n_metrics, PRIORITY_DIRECT, 1, 0};
    if (!name_add_use(s, name, use)) {
        return false;
    }
    grown[s->n_metrics] = name_entry(s, name)->name;
    *ret_number = (uint32_t)s->n_metrics++;
    return true;
}

/* Gives every metric that a rule names its number, and lets its own name lead to it. The
 * old set's numbers stay, since shared rules and the devices' cells know metrics by them.
 */
static bool number_metrics(struct ruleset *s, const struct ruleset *old)
{
    uint32_t number;
    for (size_t m = 0; old && m < old->n_metrics; m++) {
        if (!number_metric(s, old->metrics[m], &number)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->n_rules; i++) {
        for (size_t k = 0; k < s->rules[i]->n_metrics; k++) {
            struct rule_metric *m = &s->rules[i]->metrics[k];
            if (!number_metric(s, m->name, &m->number)) {
                return false;
            }
        }
    }
    s->marks = calloc(s->n_metrics ? s->n_metrics : 1, sizeof *s->marks);
    s->shapes = calloc(SHAPES, sizeof *s->shapes);
    return s->marks != NULL && s->shapes != NULL;
}

static bool add_mappings(struct ruleset *s, const struct config *c)
{
    for (size_t f = 0; f < c->n_rule_files; f++) {
        for (size_t m = 0; m < c->rule_files[f]->n_metrics; m++) {
            const struct metric_mapping *map = &c->rule_files[f]->metrics[m];
            int metric = ruleset_metric(s, text_of(map->name.s));
            for (size_t i = 0; metric >= 0 && i < map->n; i++) {
                struct metric_use use = {(uint32_t)metric, (uint32_t)i,
                                         map->sources[i].multiplier,
                                         map->sources[i].offset};
                if (!name_add_use(s, map->sources[i].raw.s, use)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* Makes names and numbers for the rules as they are now. */
static bool make_index(struct ruleset *s, const struct config *c,
                       const struct ruleset *old)
{
    for (size_t i = 0; i < s->n_rules; i++) {
        if (map_put(&s->by_id, text_of(s->rules[i]->id), s->rules[i]) != BRINK_OK) {
            return false;
        }
    }
    return number_metrics(s, old) && add_mappings(s, c);
}

static void drop_index(struct ruleset *s)
{
    for (struct metric_name *e = s->all_names, *next; e; e = next) {
        next = e->next;
        free(e->uses);
        free(e->name);
        free(e);
    }
    map_finish(&s->by_id);
    map_finish(&s->names);
    free(s->metrics);
    free(s->marks);
    free(s->shapes);
    s->all_names = NULL;
    s->by_id = s->names = (struct map){0};
    s->metrics = NULL;
    s->marks = NULL;
    s->shapes = NULL;
    s->n_metrics = 0;
}

static bool note_disabled(struct ruleset *s, const char *id)
{
    if (map_get(&s->disabled, text_of(id))) {
        return true;
    }
    char *copy = text_dup(text_of(id));
    if (!copy || map_put(&s->disabled, text_of(copy), copy) != BRINK_OK) {
        free(copy);
        return false;
    }
    return true;
}

enum brink_status ruleset_new(const struct config *c, struct problems *problems,
                              struct ruleset **ret_set)
{
    size_t before = problems->errors, n = 0;
    struct groups groups = {0};
    for (size_t f = 0; f < c->n_rule_files; f++) {
        n += c->rule_files[f]->n_rules;
    }
    struct ruleset *s = calloc(1, sizeof *s);
    bool ok = config_groups(c, &groups) == BRINK_OK && s &&
              (s->rules = calloc(n ? n : 1, sizeof(struct rule *)));
    for (size_t f = 0; ok && f < c->n_rule_files; f++) {
        const struct rule_file *file = c->rule_files[f];
        for (size_t i = 0; ok && i < file->n_rules; i++) {
            const struct rule_def *def = &file->rules[i];
            if (def->is_faulty) { /* told already; its expressions may be wrong as well */
                rule_check_expressions(def, problems);
                continue;
            }
            /* A rule that is off must be right all the same: it will be turned on. */
            struct rule *r =
                rule_compile(def, &groups, c->limits.points_per_window, problems);
            if (r && def->enabled) {
                s->rules[s->n_rules++] = r;
            } else if (r) {
                s->n_disabled++;
                ok = note_disabled(s, r->id);
                rule_release(r);
            }
        }
    }
    ok = ok && make_index(s, c, NULL);
    groups_finish(&groups);
    if (!ok || problems->errors != before) {
        ruleset_free(s);
        return ok ? BRINK_E_SYNTAX : BRINK_E_NOMEM;
    }
    *ret_set = s;
    return BRINK_OK;
}

enum brink_status ruleset_load(const char *path, struct problems *problems,
                               struct config **ret_config, struct ruleset **ret_set)
{
    struct config *config = NULL;
    struct ruleset *set = NULL;
    enum brink_status status = config_load_faulty(path, problems, &config);
    if (config) {
        enum brink_status rules = ruleset_new(config, problems, &set);
        status = status == BRINK_OK ? rules : status;
    }
    problems_sort(problems);
    if (status != BRINK_OK) {
        ruleset_free(set);
        config_free(config);
        return status;
    }
    for (size_t f = 0; f < config->n_rule_files; f++) {
        rule_file_drop_rules(config->rule_files[f]);
    }
    *ret_config = config;
    *ret_set = set;
    return BRINK_OK;
}

enum brink_status ruleset_adopt(struct ruleset *s, const struct config *c,
                                const struct ruleset *old)
{
    for (size_t i = 0; i < s->n_rules; i++) {
        struct rule *same = map_get(&old->by_id, text_of(s->rules[i]->id));
        if (same && same->fingerprint == s->rules[i]->fingerprint) {
            rule_release(s->rules[i]);
            s->rules[i] = rule_hold(same);
        }
    }
    drop_index(s);
    return make_index(s, c, old) ? BRINK_OK : BRINK_E_NOMEM;
}

void ruleset_free(struct ruleset *s)
{
    if (!s) {
        return;
    }
    drop_index(s);
    for (size_t i = 0; i < s->n_rules; i++) {
        rule_release(s->rules[i]);
    }
    char *id;
    for (size_t i = 0; (id = map_next(&s->disabled, &i));) {
        free(id);
    }
    map_finish(&s->disabled);
    free(s->rules);
    free(s);
}

int ruleset_metric(const struct ruleset *s, struct text name)
{
    const struct metric_name *entry = map_get(&s->names, name);
    for (size_t i = 0; entry && i < entry->n_uses; i++) {
        if (entry->uses[i].priority == PRIORITY_DIRECT) {
            return (int)entry->uses[i].metric;
        }
    }
    return -1;
}

size_t ruleset_values_max(const struct ruleset *s)
{
    return s->n_metrics;
}

/* What each reading's name leads to; NULL: each is to be looked up. */
static const struct metric_name *const *names_of(const struct ruleset *s,
                                                 const struct message *m)
{
    if (m->shape == 0 || m->n_readings > SHAPE_READINGS) {
        return NULL;
    }
    struct shape_names *of = &s->shapes[m->shape % SHAPES];
    if (of->shape != m->shape) {
        for (size_t i = 0; i < m->n_readings; i++) {
            of->names[i] = map_get(&s->names, m->readings[i].metric);
        }
        of->shape = m->shape;
    }
    return of->names;
}

size_t ruleset_values(struct ruleset *s, const struct message *m,
                      struct metric_value *out)
{
    size_t n = 0;
    uint64_t serial = ++s->serial;
    const struct metric_name *const *names = names_of(s, m);
    for (size_t i = 0; i < m->n_readings; i++) {
        const struct metric_name *name =
            names ? names[i] : map_get(&s->names, m->readings[i].metric);
        for (size_t k = 0; name && k < name->n_uses; k++) {
            const struct metric_use *use = &name->uses[k];
            double value = use->priority == PRIORITY_DIRECT
                               ? m->readings[i].value
                               : m->readings[i].value * use->multiplier + use->offset;
            struct metric_mark *mark = &s->marks[use->metric];
            if (!isfinite(value)) {
                continue;
            }
            if (mark->serial != serial) {
                *mark = (struct metric_mark){serial, (uint32_t)n};
                out[n++] = (struct metric_value){use->metric, use->priority, value};
            } else if (use->priority <= out[mark->place].priority) {
                /* A better source, or the same name once more: the last one stands. */
                out[mark->place].priority = use->priority;
                out[mark->place].value = value;
            }
        }
    }
    return n;
}
