#include <stdlib.h>
#include <string.h>

#include "rules/device.h"
#include "rules/timers.h"

struct instance *instance_new(struct devices *d, struct device *device, struct rule *rule)
{
    struct instance *i =
        calloc(1, sizeof *i + rule->n_metrics * sizeof(struct series *) +
                      rule->n_held * sizeof(struct held) +
                      rule_minds_silence(rule) * sizeof(struct silence_timer));
    if (!i) {
        return NULL;
    }
    i->device = device;
    i->rule = rule_hold(rule);
    i->unknown_us = NOT_UNKNOWN;
    i->due_wall = INT64_MAX;
    i->decided = true; /* until a reading is not, or open() says that some wait */
    struct silence_timer *silence = instance_silence(i);
    if (silence) {
        silence->instance = i;
        silence->due = INT64_MAX;
    }
    for (size_t m = 0; m < rule->n_metrics; m++) {
        if (rule->metrics[m].window.n_spans > 0) {
            i->series[m] = d->hooks->open(d->hooks->ctx, i, m);
        }
        if (i->series[m] && device->lists_ahead) {
            d->hooks->restart(i->series[m]);
        }
    }
    d->n_instances++;
    return i;
}

void instance_free(struct devices *d, struct instance *i)
{
    heap_remove(&i->device->timers, &i->timer);
    struct silence_timer *silence = instance_silence(i);
    if (silence) {
        heap_remove(&d->silences, &silence->place);
    }
    for (size_t m = 0; m < i->rule->n_metrics; m++) {
        if (i->series[m]) {
            d->hooks->close(i->series[m]);
        }
    }
    rule_release((struct rule *)i->rule); /* the instance's own reference */
    if (i->firing) {
        free(i->firing->retained);
        free(i->firing->ack);
        free(i->firing);
    }
    free(i);
    d->n_instances--;
}

struct firing *instance_firing(struct instance *i)
{
    if (!i->firing && (i->firing = calloc(1, sizeof *i->firing))) {
        i->firing->instance = i;
    }
    return i->firing;
}

bool instance_set_ack(struct instance *i, struct acknowledgement *ack)
{
    struct firing *f = ack ? instance_firing(i) : i->firing;
    if (f) {
        free(f->ack);
        f->ack = ack;
    } else {
        free(ack);
    }
    return f || !ack;
}

bool instance_set_retained(struct instance *i, char *retained)
{
    struct firing *f = retained ? instance_firing(i) : i->firing;
    bool is_kept = f || !retained;
    if (f) {
        f->retained = retained;
    } else {
        free(retained);
    }
    return is_kept;
}

void instance_cool(struct instance *i)
{
    const struct firing *f = i->firing;
    if (f && !f->muted_by && !f->marks && !f->ack && !f->retained) {
        free(i->firing);
        i->firing = NULL;
    }
}

void instance_inherit(const struct devices *d, struct instance *to, struct instance *from)
{
    to->stored = from->stored;
    to->firing =
        from->firing; /* there is one only while the alert fires, and it goes on */
    from->firing = NULL;
    if (to->firing) {
        to->firing->instance = to;
    }
    if (to->rule->condition == from->rule->condition) {
        to->alert = from->alert;
        to->alert.complete = to->alert.complete && to->rule->for_us <= from->rule->for_us;
        to->unknown_us = from->unknown_us;
        to->left = from->left;
        to->broken = from->broken;
        memcpy(instance_held(to), instance_held(from),
               to->rule->n_held * sizeof(struct held));
    } else if (from->alert.phase == ALERT_FIRING) {
        to->alert = from->alert;
        to->alert.clear_onset.us = 0;
        to->alert.unknown_since.us = 0;
    } else {
        to->alert.cooldown_until = from->alert.cooldown_until;
    }
    to->decided = to->decided && from->decided;
    for (size_t m = 0; m < to->rule->n_metrics; m++) {
        const struct rule_metric *x = &to->rule->metrics[m];
        for (size_t k = 0; to->series[m] && k < from->rule->n_metrics; k++) {
            const struct rule_metric *y = &from->rule->metrics[k];
            if (from->series[k] && x->number == y->number &&
                x->is_first_series == y->is_first_series) { /* so the key is the same */
                d->hooks->inherit(to->series[m], from->series[k]);
            }
        }
    }
}
