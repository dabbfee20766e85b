/* Which devices something is about (SPEC 4: `scope:`): patterns of tenants, sites and
 * devices, all that are given must fit. */
#ifndef BRINK_MODEL_SCOPE_H
#define BRINK_MODEL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "model/placed.h"

/* As it stands in a file. */
struct scope_def {
    struct strings tenants, sites, devices, groups;
};

struct device_group {
    struct placed name;
    struct strings patterns;
};

struct text_list {
    char **items;
    uint32_t n;
    bool given;
};

/* A group's patterns, counted: the scopes that name it share them. One thread at a time.
 */
struct group {
    unsigned references;
    char *name;
    struct text_list patterns;
};
struct groups {
    struct group **items; /* each with a reference */
    uint32_t n;
};

/* E_NOMEM: nothing was added. */
enum brink_status groups_add(struct groups *g,
                             const struct device_group *def) BRINK_MUST_CHECK;
void groups_hold(const struct groups *g);    /* one more reference to each */
void groups_release(const struct groups *g); /* one less; items are the caller's */
void groups_finish(struct groups *g);

struct scope {
    struct text_list tenants, sites, devices; /* devices: without those of groups */
    struct groups groups;
};

void scope_def_free(struct scope_def *d); /* its strings */

/* groups: all that there are. E_NOMEM: scope_finish() all the same. A group that is none
 * of them has no devices. */
enum brink_status scope_init(struct scope *s, const struct scope_def *def,
                             const struct groups *groups) BRINK_MUST_CHECK;
void scope_finish(struct scope *s);
/* site.n == 0: not known, which fits only where no sites are given, or `*`. */
bool scope_covers(const struct scope *s, struct text tenant, struct text site,
                  struct text device);

enum brink_status text_list_add(struct text_list *l, const char *s) BRINK_MUST_CHECK;
enum brink_status text_list_copy(struct text_list *l,
                                 const struct strings *from) BRINK_MUST_CHECK;
void text_list_finish(struct text_list *l);
/* Does a pattern of it match? A list that is not given takes everything. */
bool text_list_matches(const struct text_list *l, struct text subject);

#endif
