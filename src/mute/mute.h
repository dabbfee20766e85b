/* What holds an alert's news back (SPEC 6.5, 6.6), each as a cause that knows what it
 * withholds. The room decides whether and by what; whose news that is and what becomes of
 * it is its user's (gateway/gate.c). Time is passed in: the gateway's arrival clock,
 * since people plan by the clock on the wall. Pipeline thread only. */
#ifndef BRINK_MUTE_MUTE_H
#define BRINK_MUTE_MUTE_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/text.h"

enum mute_kind {
    MUTE_MAINTENANCE,
    MUTE_SILENCE,
    MUTE_INHIBITED,    /* another alert explains it */
    MUTE_ACKNOWLEDGED, /* somebody looks after it */
    MUTE_STORM,        /* its tenant has published enough for now */
};
#define MUTE_KINDS 5

const char *mute_kind_name(enum mute_kind k); /* "maintenance" ... */

/* The first field of whatever mutes. */
struct mute_cause {
    enum mute_kind kind;
    bool active;                   /* it mutes now */
    struct heap withheld;          /* the news it holds back, in the user's order */
    struct mute_cause *next_ended; /* the user's list of those to be released from */
    bool is_ended;                 /* ... it is in there */
};

void mute_cause_finish(struct mute_cause *c); /* nothing may be withheld any more */

/* An alert, as far as patterns look at it. */
struct mute_subject {
    struct text tenant, site, device, rule;
};

#endif
