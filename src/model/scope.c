#include "model/scope.h"

#include <stdlib.h>

#include "model/glob.h"

enum brink_status text_list_add(struct text_list *l, const char *s)
{
    char **grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (!grown) {
        return BRINK_E_NOMEM;
    }
    l->items = grown;
    l->given = true;
    grown[l->n] = text_dup(text_of(s));
    if (!grown[l->n]) {
        return BRINK_E_NOMEM;
    }
    l->n++;
    return BRINK_OK;
}

enum brink_status text_list_copy(struct text_list *l, const struct strings *from)
{
    l->given = l->given || from->given;
    for (size_t i = 0; i < from->n; i++) {
        if (text_list_add(l, from->items[i].s)) {
            return BRINK_E_NOMEM;
        }
    }
    return BRINK_OK;
}

void text_list_finish(struct text_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i]);
    }
    free(l->items);
}

bool text_list_matches(const struct text_list *l, struct text subject)
{
    for (size_t i = 0; i < l->n; i++) {
        if (glob_match(text_of(l->items[i]), subject)) {
            return true;
        }
    }
    return !l->given;
}

/* --- groups --- */

static void group_release(struct group *g)
{
    if (--g->references == 0) {
        text_list_finish(&g->patterns);
        free(g->name);
        free(g);
    }
}

static enum brink_status add_group(struct groups *g, struct group *group)
{
    struct group **grown = realloc(g->items, (g->n + 1) * sizeof(struct group *));
    if (!grown) {
        return BRINK_E_NOMEM;
    }
    g->items = grown;
    grown[g->n++] = group;
    return BRINK_OK;
}

enum brink_status groups_add(struct groups *g, const struct device_group *def)
{
    struct group *group = calloc(1, sizeof *group);
    if (!group) {
        return BRINK_E_NOMEM;
    }
    group->references = 1;
    group->name = text_dup(text_of(def->name.s));
    group->patterns.given = true; /* an empty one has no devices */
    if (!group->name || text_list_copy(&group->patterns, &def->patterns) != BRINK_OK ||
        add_group(g, group) != BRINK_OK) {
        group_release(group);
        return BRINK_E_NOMEM;
    }
    return BRINK_OK;
}

void groups_hold(const struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        g->items[i]->references++;
    }
}

void groups_release(const struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        group_release(g->items[i]);
    }
}

void groups_finish(struct groups *g)
{
    groups_release(g);
    free(g->items);
}

/* --- scopes --- */

void scope_def_free(struct scope_def *d)
{
    strings_free(&d->tenants);
    strings_free(&d->sites);
    strings_free(&d->devices);
    strings_free(&d->groups);
}

enum brink_status scope_init(struct scope *s, const struct scope_def *d,
                             const struct groups *groups)
{
    *s = (struct scope){0};
    bool ok = text_list_copy(&s->tenants, &d->tenants) == BRINK_OK &&
              text_list_copy(&s->sites, &d->sites) == BRINK_OK &&
              text_list_copy(&s->devices, &d->devices) == BRINK_OK;
    for (size_t i = 0; ok && i < d->groups.n; i++) {
        for (size_t g = 0; ok && g < groups->n; g++) {
            if (strcmp(groups->items[g]->name, d->groups.items[i].s) == 0) {
                ok = add_group(&s->groups, groups->items[g]) == BRINK_OK;
                groups->items[g]->references += ok;
            }
        }
    }
    s->devices.given = s->devices.given || d->groups.given;
    return ok ? BRINK_OK : BRINK_E_NOMEM;
}

void scope_finish(struct scope *s)
{
    text_list_finish(&s->tenants);
    text_list_finish(&s->sites);
    text_list_finish(&s->devices);
    groups_finish(&s->groups);
}

static bool takes_device(const struct scope *s, struct text device)
{
    bool takes = text_list_matches(&s->devices, device);
    for (size_t i = 0; !takes && i < s->groups.n; i++) {
        takes = text_list_matches(&s->groups.items[i]->patterns, device);
    }
    return takes;
}

bool scope_covers(const struct scope *s, struct text tenant, struct text site,
                  struct text device)
{
    return text_list_matches(&s->tenants, tenant) && text_list_matches(&s->sites, site) &&
           takes_device(s, device);
}
