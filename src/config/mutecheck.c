/* What must be so over all files of what holds alerts back. */
#include <stdlib.h>

#include "config/mutes.h"
#include "config/rulefiles.h"
#include "model/glob.h"

#define INHIBIT_MAX 1024 /* sources, over all files; a multiple of 64 */

struct check {
    const struct map *rules; /* id -> struct placed */
    const char **ids;        /* of them, for "did you mean" */
    struct problems *problems;
};

static bool any_rule_matches(const struct check *c, struct text pattern)
{
    for (size_t i = 0; i < c->rules->n; i++) {
        if (glob_match(pattern, text_of(c->ids[i]))) {
            return true;
        }
    }
    return false;
}

/* An id must be a rule's, a pattern should match one. */
static void check_rules(const struct check *c, const struct strings *patterns)
{
    for (size_t i = 0; i < patterns->n; i++) {
        const struct placed *p = &patterns->items[i];
        if (strpbrk(p->s, "*?")) {
            if (!any_rule_matches(c, text_of(p->s))) {
                problem_warn(c->problems, p->at, "no rule's id matches `%s`", p->s);
            }
        } else if (!map_get(c->rules, text_of(p->s))) {
            rule_files_tell_unknown(c->problems, "rule", p, c->ids, c->rules->n);
        }
    }
}

/* Sources that hold one another back, whether at once or by way of others. */
struct circles {
    struct problems *problems;
    struct map numbers;     /* source -> struct source */
    struct source *sources; /* up to INHIBIT_MAX */
    size_t n;
    uint64_t (*reach)[INHIBIT_MAX / 64]; /* [a] has b: a holds b back */
    bool failed;
};

struct source {
    const char *id;
    size_t number;
};

static bool reaches(const struct circles *c, size_t from, size_t to)
{
    return c->reach[from][to / 64] >> (to % 64) & 1;
}

static void connect(struct circles *c, size_t from, size_t to)
{
    for (size_t k = 0; k < c->n; k++) {
        if (k != from && !reaches(c, k, from)) {
            continue;
        }
        c->reach[k][to / 64] |= UINT64_C(1) << (to % 64);
        for (size_t w = 0; w < INHIBIT_MAX / 64; w++) {
            c->reach[k][w] |= c->reach[to][w];
        }
    }
}

/* What a target does to the sources that it names: those that hold this entry's own back
 * already are none of a pattern's, and a mistake where they are named. */
static void connect_entry(struct circles *c, struct inhibit_def *d)
{
    const struct source *from = map_get(&c->numbers, text_of(d->source.s));
    for (size_t t = 0; from && t < c->n; t++) {
        const struct placed *named = NULL;
        for (size_t i = 0; i < d->target.n; i++) {
            if (strcmp(d->target.items[i].s, c->sources[t].id) == 0) {
                named = &d->target.items[i];
            }
        }
        if (!inhibit_targets(d, text_of(c->sources[t].id))) {
            continue;
        }
        if (!reaches(c, t, from->number)) {
            connect(c, from->number, t);
        } else if (named) {
            problem_add(c->problems, named->at,
                        "`%s` cannot hold back `%s`, which by the entries before holds "
                        "back `%s`: while both fire, nothing would be told",
                        d->source.s, named->s, d->source.s);
        } else if (text_list_add(&d->except, c->sources[t].id) != BRINK_OK) {
            c->failed = true;
        }
    }
}

static void add_source(struct circles *c, const struct inhibit_def *d)
{
    if (map_get(&c->numbers, text_of(d->source.s))) {
        return;
    }
    if (c->n == INHIBIT_MAX) {
        problem_add(c->problems, d->source.at, "more than %d sources of `inhibit`",
                    INHIBIT_MAX);
        return;
    }
    struct source *s = &c->sources[c->n];
    *s = (struct source){d->source.s, c->n};
    c->n++;
    c->failed = c->failed || map_put(&c->numbers, text_of(s->id), s) != BRINK_OK;
}

static enum brink_status check_circles(struct rule_file *const *files, size_t n,
                                       struct problems *problems)
{
    size_t n_entries = 0;
    for (size_t f = 0; f < n; f++) {
        n_entries += files[f]->n_inhibit;
    }
    if (n_entries == 0) {
        return BRINK_OK;
    }
    struct circles c = {.problems = problems,
                        .sources = calloc(INHIBIT_MAX, sizeof *c.sources),
                        .reach = calloc(INHIBIT_MAX, sizeof *c.reach)};
    c.failed = !c.sources || !c.reach;
    for (int connecting = 0; connecting < 2; connecting++) {
        for (size_t f = 0; !c.failed && f < n; f++) {
            for (size_t i = 0; i < files[f]->n_inhibit; i++) {
                struct inhibit_def *d = &files[f]->inhibit[i];
                if (!d->is_faulty && !connecting) {
                    add_source(&c, d);
                } else if (!d->is_faulty) {
                    connect_entry(&c, d);
                }
            }
        }
    }
    map_finish(&c.numbers);
    free(c.sources);
    free(c.reach);
    return c.failed ? BRINK_E_NOMEM : BRINK_OK;
}

enum brink_status mutes_check(struct rule_file *const *files, size_t n, bool whole,
                              const struct map *rules, struct problems *problems)
{
    struct check c = {rules, calloc(rules->n + 1, sizeof *c.ids), problems};
    size_t n_ids = 0, at = 0;
    if (!c.ids) {
        return BRINK_E_NOMEM;
    }
    for (const struct placed *id; (id = map_next(rules, &at));) {
        c.ids[n_ids++] = id->s;
    }
    for (size_t f = 0; whole && f < n; f++) {
        for (size_t i = 0; i < files[f]->n_maintenance; i++) {
            check_rules(&c, &files[f]->maintenance[i].rules);
        }
        for (size_t i = 0; i < files[f]->n_inhibit; i++) {
            const struct inhibit_def *d = &files[f]->inhibit[i];
            if (d->source.s && !map_get(rules, text_of(d->source.s))) {
                rule_files_tell_unknown(problems, "rule", &d->source, c.ids, n_ids);
            }
            check_rules(&c, &d->target);
        }
    }
    free(c.ids);
    return check_circles(files, n, problems);
}

/* --- labels --- */

/* Each once, copied. */
struct labels {
    struct map map;
    char **names;
    size_t n;
    bool failed;
};

static void add_label(struct labels *l, struct text name)
{
    if (map_get(&l->map, name)) {
        return;
    }
    char *copy = text_dup(name);
    char **grown = copy ? realloc(l->names, (l->n + 1) * sizeof *grown) : NULL;
    if (grown) {
        l->names = grown;
        grown[l->n++] = copy;
    } else {
        free(copy);
    }
    l->failed = l->failed || !grown || map_put(&l->map, text_of(copy), copy) != BRINK_OK;
}

static void add_topic_labels(struct labels *l, const struct topic_pattern *p)
{
    for (size_t i = 0; i < p->n_levels; i++) {
        bool own = (int)i == p->tenant_level || (int)i == p->device_level ||
                   (int)i == p->metric_level;
        if (p->levels[i].is_name && !own) {
            add_label(l, p->levels[i].text);
        }
    }
}

static void add_rule_labels(struct labels *l, const struct rule_file *file)
{
    for (size_t i = 0; i < file->n_rules; i++) {
        for (size_t k = 0; k < file->rules[i].n_labels; k++) {
            const struct placed *key = &file->rules[i].labels[k].key;
            if (key->s) {
                add_label(l, text_of(key->s));
            }
        }
    }
}

static void check_equal(const struct labels *l, const struct inhibit_def *d,
                        struct problems *problems)
{
    for (size_t i = 0; i < d->equal.n; i++) {
        const struct placed *name = &d->equal.items[i];
        if (!map_get(&l->map, text_of(name->s))) {
            const char *near =
                text_nearest(text_of(name->s), (const char *const *)l->names, l->n);
            problem_add(problems, name->at,
                        "neither a telemetry topic nor a rule has a label `%s`%s%s%s",
                        name->s, near ? ", did you mean `" : "", near ? near : "",
                        near ? "`?" : "");
        }
    }
}

enum brink_status mutes_check_labels(const struct config *c, struct problems *problems)
{
    struct labels l = {0};
    add_label(&l, TEXT("site"));
    add_label(&l, TEXT("device"));
    for (size_t i = 0; i < c->n_telemetry; i++) {
        add_topic_labels(&l, &c->telemetry[i].pattern);
    }
    for (size_t f = 0; f < c->n_rule_files; f++) {
        add_rule_labels(&l, c->rule_files[f]);
    }
    for (size_t f = 0; !l.failed && f < c->n_rule_files; f++) {
        for (size_t i = 0; i < c->rule_files[f]->n_inhibit; i++) {
            check_equal(&l, &c->rule_files[f]->inhibit[i], problems);
        }
    }
    for (size_t i = 0; i < l.n; i++) {
        free(l.names[i]);
    }
    free(l.names);
    map_finish(&l.map);
    return l.failed ? BRINK_E_NOMEM : BRINK_OK;
}
