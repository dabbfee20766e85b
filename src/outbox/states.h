/* States of alerts that wait for the next commit: of one alert the newest only, so that a
 * disk that refuses for long costs no more memory than there are alerts. One thread;
 * outbox.c alone uses it. */
#ifndef BRINK_OUTBOX_STATES_H
#define BRINK_OUTBOX_STATES_H

#include "base/map.h"
#include "base/status.h"
#include "base/text.h"

struct state {
    struct state *next;
    struct text key, rule, tenant, device; /* follow it */
    struct text value;                     /* n == 0: to be deleted */
};

struct states {
    struct state *first;
    struct map by_key;
};

void states_clear(struct states *s); /* frees all of it */
/* Copied. E_LIMIT: a part above 65535 bytes; E_NOMEM. */
enum brink_status states_put(struct states *s, struct text rule, struct text tenant,
                             struct text device, struct text value) BRINK_MUST_CHECK;

#endif
