/* Which devices something is about (SPEC 4: `scope:`): patterns of tenants, sites and
 * devices, all that are given must fit. */
#ifndef BRINK_MODEL_SCOPE_H
#define BRINK_MODEL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

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
    size_t n;
    bool given;
};

/* With groups resolved to their devices' patterns. */
struct scope {
    struct text_list tenants, sites, devices;
};

void scope_def_free(struct scope_def *d); /* its strings */

/* E_NOMEM: scope_finish() all the same. A group that is none of `groups` has no devices.
 */
enum brink_status scope_init(struct scope *s, const struct scope_def *def,
                             const struct device_group *const *groups,
                             size_t n_groups) BRINK_MUST_CHECK;
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
