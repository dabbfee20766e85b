/* What holds alerts back, as it stands in rule files (SPEC 6.5, 6.6). */
#ifndef BRINK_MODEL_MUTE_H
#define BRINK_MODEL_MUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "model/placed.h"
#include "model/scope.h"

/* A time as a person wrote it: of a day, or of any day; by the clocks where the gateway
 * runs, unless it says its zone. */
struct local_time {
    struct position at; /* line 0: not given */
    bool has_date, has_zone;
    int64_t day;    /* since 1970-01-01; has_date */
    int32_t second; /* of the day: 0 to 86400 */
    int32_t zone_s; /* east of UTC; has_zone */
};

/* from and until both have a date (once), or neither has (every week). */
struct maintenance_def {
    struct position at;
    bool is_faulty; /* an error of form was told */
    struct placed name;
    struct local_time from, until;
    unsigned days; /* weekly: on which it begins, bit 0 Monday; 0: on each */
    struct position days_at;
    struct scope_def scope;
    struct strings rules; /* ids or patterns; not given: every rule */
};

#define INHIBIT_EQUAL_MAX 16

/* While an alert of `source` is firing, those of `target` are held back, where tenant and
 * all of `equal` are the same. */
struct inhibit_def {
    struct position at;
    bool is_faulty;        /* an error of form was told */
    struct placed source;  /* a rule's id */
    struct strings target; /* ids or patterns */
    struct strings equal;  /* site, device, or the name of a label */
    /* Rules that hold the source back by entries before this one: its patterns do not
     * mean them, or while all fire nothing would be told. */
    struct text_list except;
};

/* Does it hold back alerts of that rule? Never of the source itself. */
bool inhibit_targets(const struct inhibit_def *d, struct text rule);

/* Their strings. */
void maintenance_def_free(struct maintenance_def *m);
void inhibit_def_free(struct inhibit_def *d);

#endif
