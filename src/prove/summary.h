/* What a replay says of its rules: how often each would have fired, for how long, for
 * which devices, and how the values that it compares are spread. */
#ifndef BRINK_PROVE_SUMMARY_H
#define BRINK_PROVE_SUMMARY_H

#include "alert/payload.h"
#include "base/buffer.h"
#include "base/status.h"
#include "model/alert.h"
#include "rules/evaluate.h"
#include "rules/ruleset.h"

struct summary;

/* rules: borrowed. */
enum brink_status summary_new(const struct ruleset *rules,
                              struct summary **ret_summary) BRINK_MUST_CHECK;
void summary_free(struct summary *s); /* NULL is fine */

/* Each false: out of memory, and it is not counted. */
bool summary_event(struct summary *s, const struct alert_facts *f);
bool summary_evaluated(struct summary *s, const struct rule *rule,
                       const struct evaluation *e);
/* At the end, each alert that still fires; now: on its device's timeline. */
bool summary_still_firing(struct summary *s, struct text rule, struct text tenant,
                          struct text device, const struct alert_state *alert,
                          struct wall now);

/* Text for people, in the order of the rules. E_NOMEM. wanted: NULL, or which rules. */
enum brink_status summary_print(const struct summary *s,
                                bool (*wanted)(void *ctx, struct text rule), void *ctx,
                                struct buffer *out) BRINK_MUST_CHECK;

#endif
