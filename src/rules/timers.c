#include "rules/timers.h"

#include <string.h>

static struct instance *instance_of_timer(const struct heap_item *timer)
{
    return (struct instance *)(void *)((char *)timer - offsetof(struct instance, timer));
}

const struct silence_timer *silence_of_place(const struct heap_item *place)
{
    return (const void *)((const char *)place - offsetof(struct silence_timer, place));
}

struct device *device_of_timer(const struct heap_item *timer)
{
    return (struct device *)(void *)((char *)timer - offsetof(struct device, timer));
}

int instance_order(const struct instance *a, const struct instance *b)
{
    int order = strcmp(a->device->field, b->device->field);
    return order != 0 ? order : strcmp(a->rule->id, b->rule->id);
}

int timers_by_rule(const struct heap_item *a, const struct heap_item *b)
{
    return instance_order(instance_of_timer(a), instance_of_timer(b));
}

int timers_by_device(const struct heap_item *a, const struct heap_item *b)
{
    return strcmp(device_of_timer(a)->field, device_of_timer(b)->field);
}

int timers_by_device_and_rule(const struct heap_item *a, const struct heap_item *b)
{
    return instance_order(silence_of_place(a)->instance, silence_of_place(b)->instance);
}

struct instance *device_first_due(struct device *device)
{
    struct heap_item *first;
    while ((first = heap_first(&device->timers))) {
        struct instance *i = instance_of_timer(first);
        if (i->due_wall == INT64_MAX) {
            heap_remove(&device->timers, first);
        } else if (i->due_wall > first->due) {
            (void)!heap_set(&device->timers, first, i->due_wall); /* a move cannot fail */
        } else {
            return i;
        }
    }
    return NULL;
}
