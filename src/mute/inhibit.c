#include "mute/inhibit.h"

#include <stdlib.h>
#include <string.h>

/* --- roles --- */

static bool add_entry(const struct inhibit_def ***list, size_t *n,
                      const struct inhibit_def *entry)
{
    const struct inhibit_def **grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (grown) {
        *list = grown;
        grown[(*n)++] = entry;
    }
    return grown != NULL;
}

static struct inhibit_role *role_of(struct inhibition *in, const char *rule)
{
    struct inhibit_role *role = map_get(&in->roles, text_of(rule));
    if (!role) {
        role = calloc(1, sizeof *role);
        if (role) {
            role->rule = rule;
        }
        if (role && map_put(&in->roles, text_of(rule), role) != BRINK_OK) {
            free(role);
            role = NULL;
        }
    }
    return role;
}

static bool take_part(struct inhibition *in, const char *rule,
                      const struct inhibit_def *entry)
{
    bool source = strcmp(entry->source.s, rule) == 0;
    if (!source && !inhibit_targets(entry, text_of(rule))) {
        return true;
    }
    struct inhibit_role *role = role_of(in, rule);
    return role && (source ? add_entry(&role->sources, &role->n_sources, entry)
                           : add_entry(&role->targets, &role->n_targets, entry));
}

/* Nothing holds itself back by way of others (config/ sees to it), so this ends. */
static unsigned rank_of(struct inhibition *in, struct inhibit_role *role)
{
    unsigned rank = role->rank;
    for (size_t i = 0; role->rank == 0 && i < role->n_targets; i++) {
        struct inhibit_role *above =
            map_get(&in->roles, text_of(role->targets[i]->source.s));
        unsigned own = above ? rank_of(in, above) + 1 : 1;
        rank = own > rank ? own : rank;
    }
    role->rank = rank;
    return rank;
}

enum brink_status inhibition_init(struct inhibition *in, const struct config *c,
                                  const char *const *rules, size_t n_rules)
{
    *in = (struct inhibition){0};
    bool ok = true;
    for (size_t f = 0; ok && f < c->n_rule_files; f++) {
        for (size_t i = 0; ok && i < c->rule_files[f]->n_inhibit; i++) {
            for (size_t k = 0; ok && k < n_rules; k++) {
                ok = take_part(in, rules[k], &c->rule_files[f]->inhibit[i]);
            }
        }
    }
    struct inhibit_role *role;
    for (size_t i = 0; ok && (role = map_next(&in->roles, &i));) {
        (void)rank_of(in, role);
    }
    if (!ok) {
        inhibition_finish(in);
    }
    return ok ? BRINK_OK : BRINK_E_NOMEM;
}

static void free_inhibitor(struct inhibitor *x)
{
    mute_cause_finish(&x->cause);
    free(x);
}

void inhibition_finish(struct inhibition *in)
{
    struct inhibit_role *role;
    struct inhibitor *x;
    for (size_t i = 0; (role = map_next(&in->roles, &i));) {
        free(role->sources);
        free(role->targets);
        free(role);
    }
    for (size_t i = 0; (x = map_next(&in->inhibitors, &i));) {
        free_inhibitor(x);
    }
    map_finish(&in->roles);
    map_finish(&in->inhibitors);
    buffer_finish(&in->key);
    *in = (struct inhibition){0};
}

const struct inhibit_role *inhibition_role(const struct inhibition *in, struct text rule)
{
    return in->roles.n > 0 ? map_get(&in->roles, rule) : NULL;
}

/* --- who is firing --- */

/* Each part behind its length, so that no two sets share a key. False: a value is not
 * known, or no memory. */
static bool make_key(struct inhibition *in, const struct inhibit_def *entry,
                     struct text tenant, const struct text *values)
{
    buffer_clear(&in->key);
    buffer_format(&in->key, "%p %zu:", (const void *)entry, tenant.n);
    buffer_text(&in->key, tenant);
    for (size_t i = 0; i < entry->equal.n; i++) {
        if (values[i].n == 0) {
            return false;
        }
        buffer_format(&in->key, " %zu:", values[i].n);
        buffer_text(&in->key, values[i]);
    }
    return buffer_ok(&in->key);
}

struct inhibitor *inhibition_find(struct inhibition *in, const struct inhibit_def *entry,
                                  struct text tenant, const struct text *values)
{
    struct inhibitor *x = in->inhibitors.n > 0 && make_key(in, entry, tenant, values)
                              ? map_get(&in->inhibitors, buffer_view(&in->key))
                              : NULL;
    return x && x->cause.active ? x : NULL;
}

static struct inhibitor *new_inhibitor(struct inhibition *in,
                                       const struct inhibit_def *entry)
{
    struct inhibitor *x = calloc(1, sizeof *x + in->key.n);
    if (!x) {
        return NULL;
    }
    x->cause.kind = MUTE_INHIBITED;
    x->entry = entry;
    x->key = (struct text){x->bytes, in->key.n};
    memcpy(x->bytes, in->key.p, in->key.n);
    if (map_put(&in->inhibitors, x->key, x) != BRINK_OK) {
        free(x);
        return NULL;
    }
    return x;
}

enum brink_status inhibition_mark(struct inhibition *in, const struct inhibit_def *entry,
                                  struct text tenant, const struct text *values,
                                  struct inhibit_mark **marks)
{
    if (!make_key(in, entry, tenant, values)) {
        return buffer_ok(&in->key) ? BRINK_OK : BRINK_E_NOMEM;
    }
    struct inhibit_mark *mark = calloc(1, sizeof *mark);
    struct inhibitor *x = map_get(&in->inhibitors, buffer_view(&in->key));
    x = x || !mark ? x : new_inhibitor(in, entry);
    if (!mark || !x) {
        free(mark);
        return BRINK_E_NOMEM;
    }
    x->firing++;
    x->cause.active = true;
    *mark = (struct inhibit_mark){*marks, x};
    *marks = mark;
    return BRINK_OK;
}

struct inhibitor *inhibition_unmark(struct inhibit_mark **marks)
{
    struct inhibit_mark *mark = *marks;
    struct inhibitor *x = mark->inhibitor;
    *marks = mark->next;
    free(mark);
    x->cause.active = --x->firing > 0;
    return x->cause.active ? NULL : x;
}

void inhibition_drop(struct inhibition *in, struct inhibitor *x)
{
    (void)map_remove(&in->inhibitors, x->key);
    free_inhibitor(x);
}
