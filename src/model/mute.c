#include "model/mute.h"

void maintenance_def_free(struct maintenance_def *m)
{
    placed_free(&m->name);
    scope_def_free(&m->scope);
    strings_free(&m->rules);
}
