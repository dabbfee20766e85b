/* The rows of `scope:`, for the struct scope_def that lies at `base` in whatever has one.
 */
#ifndef BRINK_CONFIG_SCOPE_H
#define BRINK_CONFIG_SCOPE_H

#include "config/schema.h"
#include "model/message.h"
#include "model/scope.h"

#define SCOPE_KEY(name_, base, bytes_max)                                                \
    {                                                                                    \
        .name = #name_, .kind = KEY_TEXTS, .flags = KEY_NOT_EMPTY,                       \
        .offset = (base) + offsetof(struct scope_def, name_), .max = (bytes_max)         \
    }
#define SCOPE_KEYS(base)                                                                 \
    SCOPE_KEY(tenants, base, ID_BYTES_MAX), SCOPE_KEY(sites, base, SITE_BYTES_MAX),      \
        SCOPE_KEY(devices, base, ID_BYTES_MAX), SCOPE_KEY(groups, base, ID_BYTES_MAX)

#endif
