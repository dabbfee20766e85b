#include "ingest/policer.h"

#include "base/map.h"

static struct policed *find(struct policer *p, uint64_t hash)
{
    struct policed *set = p->topics[hash % POLICER_SETS], *place = set;
    for (size_t w = 0; w < POLICER_WAYS; w++) {
        if (set[w].topic == hash) {
            return &set[w];
        }
        if (set[w].rate.even_ns < place->rate.even_ns) {
            place = &set[w];
        }
    }
    *place = (struct policed){.topic = hash};
    return place;
}

bool policer_admits(struct policer *p, struct text topic, struct mono now)
{
    uint32_t per_second = atomic_load_explicit(&p->per_second, memory_order_relaxed);
    if (per_second == 0) {
        return true;
    }
    struct policed *of = find(p, map_hash(topic));
    if (rate_allows(&of->rate, per_second, now)) {
        rate_count(&of->rate, per_second, 1, now);
        return true;
    }
    bool go_on = now.us - of->let_on.us >= US_PER_S;
    if (go_on) {
        of->let_on = now;
    }
    return go_on;
}
