/* A compiled rule in one block of memory, with everything that it points to but its
 * groups, which are shared. */
#ifndef BRINK_RULES_PACK_H
#define BRINK_RULES_PACK_H

#include "rules/compile.h"

/* Copies a rule that was put together piece by piece; the pieces stay the caller's.
 * free() gives it back, once its groups are released. NULL: out of memory. */
struct rule *rule_packed(const struct rule *pieces);

#endif
