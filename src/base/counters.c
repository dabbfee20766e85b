#include "base/counters.h"

#include <stdatomic.h>

const struct counter_info counter_info[COUNTER_COUNT] = {
#define X(id, name, label, help) {name, label, help},
    COUNTERS(X)
#undef X
};

static _Atomic uint64_t cells[COUNTER_COUNT];

void count_add(enum counter which, uint64_t n)
{
    if (n > 0) { /* an addition locks the bus for a moment */
        (void)atomic_fetch_add_explicit(&cells[which], n, memory_order_relaxed);
    }
}

uint64_t counter_value(enum counter which)
{
    return atomic_load_explicit(&cells[which], memory_order_relaxed);
}
