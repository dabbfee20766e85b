#include "model/mute.h"

#include "model/glob.h"

bool inhibit_targets(const struct inhibit_def *d, struct text rule)
{
    bool matches = false;
    for (size_t i = 0; !matches && i < d->target.n; i++) {
        matches = glob_match(text_of(d->target.items[i].s), rule);
    }
    for (size_t i = 0; matches && i < d->except.n; i++) {
        matches = !text_equal(text_of(d->except.items[i]), rule);
    }
    return matches && !text_equal(text_of(d->source.s), rule);
}

void maintenance_def_free(struct maintenance_def *m)
{
    placed_free(&m->name);
    scope_def_free(&m->scope);
    strings_free(&m->rules);
}

void inhibit_def_free(struct inhibit_def *d)
{
    placed_free(&d->source);
    strings_free(&d->target);
    strings_free(&d->equal);
    text_list_finish(&d->except);
}
