/* Maintenance windows (SPEC 6.5), as rule files have them. */
#ifndef BRINK_MUTE_MAINTENANCE_H
#define BRINK_MUTE_MAINTENANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "config/config.h"
#include "mute/calendar.h"
#include "mute/mute.h"

struct maintenance {
    struct mute_cause cause; /* active: it is open */
    struct heap_item timer;
    char *name;
    struct calendar_window when;
    struct scope scope;
    struct text_list rules; /* patterns of ids */
    struct wall next;       /* when it opens or closes, or {INT64_MAX} */
};

struct maintenances {
    struct maintenance *items;
    size_t n, n_open;
    struct heap timers; /* wall, us */
};

/* Of all rule files, in the zone as it is now; each is due to be turned. E_NOMEM: nothing
 * is left behind. */
enum brink_status maintenances_init(struct maintenances *m,
                                    const struct config *config) BRINK_MUST_CHECK;
void maintenances_finish(struct maintenances *m);
/* When the next is to be turned; INT64_MAX: never. */
int64_t maintenances_due(const struct maintenances *m);
/* Opens or closes the one that is due, as the calendar says. Its cause if it closed, else
 * NULL. */
struct mute_cause *maintenances_turn(struct maintenances *m, struct wall now);
/* The clock was set: each is due. */
void maintenances_doubt(struct maintenances *m);
/* The first open one that covers the alert, or NULL. */
struct maintenance *maintenances_find(const struct maintenances *m,
                                      const struct mute_subject *subject);

#endif
