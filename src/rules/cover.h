/* Which rules cover a device, and which metrics these name: worked out when a device is
 * bound. */
#ifndef BRINK_RULES_COVER_H
#define BRINK_RULES_COVER_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/ruleset.h"

struct device;

struct cover {
    struct rule **rules; /* the rule set's, in its order */
    uint32_t *metrics;   /* rising, each once */
    uint32_t n_rules, n_metrics;
    uint32_t n_uses; /* of metrics, by rules: a metric of two rules counts twice */
};

/* By the device's tenant, site and id. False: out of memory; then it is empty. */
bool cover_find(const struct ruleset *rules, const struct device *device,
                struct cover *ret);
void cover_finish(struct cover *c);

#endif
