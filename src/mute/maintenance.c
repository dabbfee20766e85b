#include "mute/maintenance.h"

#include <stdlib.h>

static enum brink_status maintenance_init(struct maintenance *m,
                                          const struct maintenance_def *def,
                                          const struct groups *groups)
{
    m->cause.kind = MUTE_MAINTENANCE;
    m->when = (struct calendar_window){def->from, def->until, def->days};
    m->name = text_dup(text_of(def->name.s));
    enum brink_status scope = scope_init(&m->scope, &def->scope, groups);
    enum brink_status rules = text_list_copy(&m->rules, &def->rules);
    return m->name ? (scope ? scope : rules) : BRINK_E_NOMEM;
}

enum brink_status maintenances_init(struct maintenances *m, const struct config *c)
{
    size_t n = 0;
    struct groups groups = {0};
    for (size_t f = 0; f < c->n_rule_files; f++) {
        n += c->rule_files[f]->n_maintenance;
    }
    enum brink_status status = config_groups(c, &groups);
    *m = (struct maintenances){.items = calloc(n ? n : 1, sizeof *m->items)};
    status = m->items ? status : BRINK_E_NOMEM;
    calendar_zone();
    for (size_t f = 0; f < c->n_rule_files; f++) {
        const struct rule_file *file = c->rule_files[f];
        for (size_t i = 0; !status && i < file->n_maintenance; i++) {
            struct maintenance *w = &m->items[m->n++];
            status = maintenance_init(w, &file->maintenance[i], &groups);
            status = status ? status : heap_set(&m->timers, &w->timer, INT64_MIN);
        }
    }
    groups_finish(&groups);
    if (status) {
        maintenances_finish(m);
    }
    return status;
}

void maintenances_finish(struct maintenances *m)
{
    for (size_t i = 0; i < m->n; i++) {
        mute_cause_finish(&m->items[i].cause);
        scope_finish(&m->items[i].scope);
        text_list_finish(&m->items[i].rules);
        free(m->items[i].name);
    }
    free(m->items);
    heap_finish(&m->timers);
    *m = (struct maintenances){0};
}

int64_t maintenances_due(const struct maintenances *m)
{
    const struct heap_item *first = heap_first(&m->timers);
    return first ? first->due : INT64_MAX;
}

struct mute_cause *maintenances_turn(struct maintenances *m, struct wall now)
{
    struct heap_item *first = heap_first(&m->timers);
    struct maintenance *w =
        (struct maintenance *)(void *)((char *)first -
                                       offsetof(struct maintenance, timer));
    bool was = w->cause.active;
    w->cause.active = calendar_is_open(&w->when, now, &w->next);
    (void)!heap_set(&m->timers, first, w->next.us); /* a move cannot fail */
    m->n_open = m->n_open + w->cause.active - was;
    return was && !w->cause.active ? &w->cause : NULL;
}

void maintenances_doubt(struct maintenances *m)
{
    for (size_t i = 0; i < m->n; i++) {
        (void)!heap_set(&m->timers, &m->items[i].timer, INT64_MIN);
    }
}

struct maintenance *maintenances_find(const struct maintenances *m,
                                      const struct mute_subject *s)
{
    for (size_t i = 0; m->n_open > 0 && i < m->n; i++) {
        struct maintenance *w = &m->items[i];
        if (w->cause.active && text_list_matches(&w->rules, s->rule) &&
            scope_covers(&w->scope, s->tenant, s->site, s->device)) {
            return w;
        }
    }
    return NULL;
}
