/* Growing, jittered pauses between attempts (SPEC 5.4, 7.1). Pure but for its random
 * state. */
#ifndef BRINK_BASE_BACKOFF_H
#define BRINK_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_us, max_us;
    int64_t next_us; /* 0: at the start */
    uint64_t random; /* xorshift state; seed it with anything */
};

static inline void backoff_reset(struct backoff *b)
{
    b->next_us = 0;
}

/* The pause before the next attempt: uniform in [d/2, d], d doubling from min to max. */
static inline int64_t backoff_next(struct backoff *b)
{
    int64_t d = b->next_us ? b->next_us : b->min_us;
    b->next_us = d > b->max_us / 2 ? b->max_us : d * 2;
    b->random = b->random ? b->random : UINT64_C(0x9e3779b97f4a7c15);
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return d / 2 + (int64_t)(b->random % (uint64_t)(d / 2 + 1));
}

#endif
