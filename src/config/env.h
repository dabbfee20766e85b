/* ${NAME} in a configuration's values (SPEC 2). */
#ifndef BRINK_CONFIG_ENV_H
#define BRINK_CONFIG_ENV_H

#include "base/status.h"
#include "config/yaml.h"

#define ENV_NAME_BYTES_MAX 256
#define ENV_EXPANDED_BYTES_MAX                                                           \
    (4 * 1024 * 1024) /* of all values of a document together */

/* Puts the environment's values in place of each ${NAME} in the document's scalars ($${
 * stands for
 * ${), keys aside. A variable that is not set, or is not text, is told at its place and
 * the scalar becomes NODE_BAD. E_NOMEM. */
enum brink_status env_expand(struct document *document,
                             struct problems *problems) BRINK_MUST_CHECK;

#endif
