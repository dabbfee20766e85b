/* Gives the nodes of a rule's expressions their slots: which metric, which window over
 * it, which held() timer; and lists them in the rule. */
#ifndef BRINK_RULES_BIND_H
#define BRINK_RULES_BIND_H

#include "rules/compile.h"

/* The metrics' names are those of the nodes. NULL: bound; else the limit that was hit, as
 * it stands in a message. */
const char *rule_bind(struct rule *r);

#endif
