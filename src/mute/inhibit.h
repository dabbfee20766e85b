/* Alerts that explain others (SPEC 6.6). Which entries concern a rule is worked out once;
 * which of its alerts are firing is kept by entry, tenant and the values that must be
 * equal, so asking costs one look-up an entry and no look at other devices. */
#ifndef BRINK_MUTE_INHIBIT_H
#define BRINK_MUTE_INHIBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/status.h"
#include "config/config.h"
#include "mute/mute.h"

/* What an entry holds back now for one tenant and one set of values. */
struct inhibitor {
    struct mute_cause cause; /* active: a source is firing */
    const struct inhibit_def *entry;
    uint32_t firing;
    struct text key;
    char bytes[];
};

/* That an alert is among the sources firing; a list, owned by its user. */
struct inhibit_mark {
    struct inhibit_mark *next;
    struct inhibitor *inhibitor;
};

/* The part that a rule has. */
struct inhibit_role {
    const struct inhibit_def **sources, **targets; /* entries of which it is one */
    size_t n_sources, n_targets;
    unsigned rank; /* above that of every rule that holds it back */
    const char *rule;
};

struct inhibition {
    struct map roles; /* rule id -> struct inhibit_role; rules without are not in it */
    struct map inhibitors; /* key -> struct inhibitor */
    struct buffer key;
};

/* Of all rule files; rules: the ids of those that are enabled. config and ids are
 * borrowed as long. E_NOMEM: nothing is left behind. */
enum brink_status inhibition_init(struct inhibition *in, const struct config *config,
                                  const char *const *rules,
                                  size_t n_rules) BRINK_MUST_CHECK;
void inhibition_finish(struct inhibition *in); /* all marks must be gone */
/* NULL: the rule neither holds back nor is held back. */
const struct inhibit_role *inhibition_role(const struct inhibition *in, struct text rule);

/* values: of the entry's `equal`, in its order; one that is empty is equal to none. */

/* What holds back an alert of a target of the entry, or NULL. */
struct inhibitor *inhibition_find(struct inhibition *in, const struct inhibit_def *entry,
                                  struct text tenant, const struct text *values);
/* An alert of the entry's source fires: adds to *marks. E_NOMEM: it holds back nothing.
 */
enum brink_status inhibition_mark(struct inhibition *in, const struct inhibit_def *entry,
                                  struct text tenant, const struct text *values,
                                  struct inhibit_mark **marks) BRINK_MUST_CHECK;
/* ... and no longer: takes the first mark off. The inhibitor, where it was the last
 * source, else NULL. It stays until it is dropped or has a source again. */
struct inhibitor *inhibition_unmark(struct inhibit_mark **marks);
/* Forgets one that is not active and withholds nothing. */
void inhibition_drop(struct inhibition *in, struct inhibitor *inhibitor);

#endif
