#include "ingest/owed.h"

#include <string.h>

#include "base/map.h"

void owed_set_level(struct owed *o, int device_level)
{
    atomic_store_explicit(&o->device_level, device_level, memory_order_relaxed);
}

/* A topic with fewer levels stands for itself: no pattern takes it. */
static struct text level_of(struct text topic, int level)
{
    struct text rest = topic;
    for (; level > 0; level--) {
        const char *slash = memchr(rest.p, '/', rest.n);
        if (!slash) {
            return topic;
        }
        size_t past = (size_t)(slash - rest.p) + 1;
        rest = (struct text){rest.p + past, rest.n - past};
    }
    const char *slash = memchr(rest.p, '/', rest.n);
    return slash ? (struct text){rest.p, (size_t)(slash - rest.p)} : rest;
}

bool owed_admits(struct owed *o, struct text topic)
{
    int level = atomic_load_explicit(&o->device_level, memory_order_relaxed);
    uint64_t device = level < 0 ? 0 : map_hash(level_of(topic, level));
    if (o->n == OWED_MAX || (level < 0 && o->n > 0)) {
        return false;
    }
    for (size_t i = 0; i < o->n; i++) {
        if (o->devices[i] == device) {
            return false;
        }
    }
    o->devices[o->n++] = device;
    return true;
}

void owed_clear(struct owed *o)
{
    o->n = 0;
}
