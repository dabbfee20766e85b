/* What mutes an alert now, and what an alert mutes itself. */
#include "gateway/engine.h"

/* What must be equal, of this alert: the site, the device, a label of its topic or of its
 * rule; empty where it has none. */
static void values_of(const struct instance *i, const struct inhibit_def *entry,
                      struct text values[INHIBIT_EQUAL_MAX])
{
    for (size_t k = 0; k < entry->equal.n; k++) {
        struct text name = text_of(entry->equal.items[k].s);
        const char *value = device_label(i->device, name);
        for (size_t l = 0; !value && l < i->rule->label_keys.n; l++) {
            if (text_equal(text_of(i->rule->label_keys.items[l]), name)) {
                value = i->rule->label_values.items[l];
            }
        }
        value = text_equal(name, TEXT("site"))     ? i->device->site
                : text_equal(name, TEXT("device")) ? i->device->id
                                                   : value;
        values[k] = text_of(value);
    }
}

static struct mute_cause *find_inhibitor(struct pipeline *p, const struct instance *i)
{
    struct inhibition *in = &p->gate.plan.inhibition;
    const struct inhibit_role *role = inhibition_role(in, text_of(i->rule->id));
    struct inhibitor *found = NULL;
    for (size_t k = 0; role && !found && k < role->n_targets; k++) {
        struct text values[INHIBIT_EQUAL_MAX];
        values_of(i, role->targets[k], values);
        found = inhibition_find(in, role->targets[k], text_of(i->device->owner->name),
                                values);
    }
    return found ? &found->cause : NULL;
}

struct mute_cause *find_cause(struct pipeline *p, const struct instance *i)
{
    const struct mute_subject subject = {
        .tenant = text_of(i->device->owner->name),
        .site = text_of(i->device->site),
        .device = text_of(i->device->id),
        .rule = text_of(i->rule->id),
    };
    struct maintenance *m = maintenances_find(&p->gate.plan.maintenances, &subject);
    struct silence *s = m ? NULL : silences_find(&p->gate.silences, &subject);
    return m ? &m->cause : s ? &s->cause : find_inhibitor(p, i);
}

static bool is_marked(const struct instance *i)
{
    return i->firing && i->firing->marks;
}

/* It fires: it holds back what it explains. */
void mark_source(struct pipeline *p, struct instance *i)
{
    struct inhibition *in = &p->gate.plan.inhibition;
    const struct inhibit_role *role = inhibition_role(in, text_of(i->rule->id));
    size_t n = role && !is_marked(i) ? role->n_sources : 0;
    for (size_t k = 0; k < n; k++) {
        struct firing *f = instance_firing(i);
        struct text values[INHIBIT_EQUAL_MAX];
        values_of(i, role->sources[k], values);
        if (!f || inhibition_mark(in, role->sources[k], text_of(i->device->owner->name),
                                  values, &f->marks) != BRINK_OK) {
            log_limited(&p->limit_memory, p->now.mono, LOG_LEVEL_ERROR,
                        "no memory to note what an alert explains",
                        LOG_S("rule", i->rule->id), LOG_S("device", i->device->id));
        }
    }
}

void unmark_source(struct pipeline *p, struct instance *i)
{
    while (is_marked(i)) {
        struct inhibitor *last = inhibition_unmark(&i->firing->marks);
        if (last) {
            gate_end(p, &last->cause);
        }
    }
}
