/* Counts what is refused and says so, at most once a second a reason (SPEC 3.4). Private
 * to decode/. */
#ifndef BRINK_DECODE_COMPLAIN_H
#define BRINK_DECODE_COMPLAIN_H

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/text.h"

struct complaints {
    struct log_limit limits[COUNTER_COUNT];
};

/* what: one of those that complain.c has words for. n: how many of it at once. */
void complain(struct complaints *c, enum counter what, uint64_t n, struct text topic,
              struct mono now);

#endif
