/* The field form of a rule (SPEC 4.1) as the expression that it means. */
#ifndef BRINK_RULES_FORM_H
#define BRINK_RULES_FORM_H

#include "config/problems.h"
#include "expr/expr.h"
#include "model/rule.h"

/* Tells of keys that mean nothing in a rule of this type: they must not be ignored in
 * silence. */
void form_check(const struct rule_def *def, struct problems *problems);

/* The expression, the caller's to free; NULL: told why. */
struct expr *form_expression(const struct rule_def *def, struct problems *problems);

#endif
