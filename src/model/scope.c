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

void scope_def_free(struct scope_def *d)
{
    strings_free(&d->tenants);
    strings_free(&d->sites);
    strings_free(&d->devices);
    strings_free(&d->groups);
}

enum brink_status scope_init(struct scope *s, const struct scope_def *d,
                             const struct device_group *const *groups, size_t n_groups)
{
    *s = (struct scope){0};
    bool ok = text_list_copy(&s->tenants, &d->tenants) == BRINK_OK &&
              text_list_copy(&s->sites, &d->sites) == BRINK_OK &&
              text_list_copy(&s->devices, &d->devices) == BRINK_OK;
    for (size_t i = 0; ok && i < d->groups.n; i++) {
        for (size_t g = 0; ok && g < n_groups; g++) {
            if (strcmp(groups[g]->name.s, d->groups.items[i].s) == 0) {
                ok = text_list_copy(&s->devices, &groups[g]->patterns) == BRINK_OK;
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
}

bool scope_covers(const struct scope *s, struct text tenant, struct text site,
                  struct text device)
{
    return text_list_matches(&s->tenants, tenant) && text_list_matches(&s->sites, site) &&
           text_list_matches(&s->devices, device);
}
