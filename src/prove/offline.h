/* The gateway's engine on a clock that is moved by hand: no broker, no thread, no
 * waiting.
 *
 * Time stands still until offline_until() moves it; on the way everything that is due by
 * time alone happens in order, each at its own moment, as in a gateway that has been
 * subscribed all along. A message arrives at the time that it is now; one that arrives at
 * the very moment of a deadline comes before it. */
#ifndef BRINK_PROVE_OFFLINE_H
#define BRINK_PROVE_OFFLINE_H

#include <stdbool.h>

#include "gateway/pipeline.h"

struct offline;

/* config: borrowed; its store says where windows are. rules: taken over on success.
 * start: what the clock shows first. E_NOMEM. */
enum brink_status offline_new(const struct config *config, struct ruleset *rules,
                              struct history *history, const struct pipeline_sink *sink,
                              struct wall start,
                              struct offline **ret_offline) BRINK_MUST_CHECK;
void offline_free(struct offline *o); /* NULL is fine */

struct wall offline_now(const struct offline *o);
/* Lets what is due before `to` happen and then it is `to`; the clock never goes back. */
void offline_until(struct offline *o, struct wall to);
/* What is due at this very moment as well. */
void offline_settle(struct offline *o);
/* Would housekeeping be due before then? A batch must not reach so far. */
bool offline_is_due(const struct offline *o, struct wall before);

/* A message arrives; topic and payload are borrowed until offline_apply(). */
void offline_add(struct offline *o, struct text topic, struct text payload,
                 bool retained);
void offline_apply(struct offline *o);

/* Has the batch grown so large that it should be applied before more is added? */
bool offline_is_full(const struct offline *o);
/* Writes what the store still has to get, at most timeout_us. */
void offline_flush(struct offline *o, int64_t timeout_us);

/* Every alert that is pending or firing (pipeline.h). */
void offline_each_alert(const struct offline *o,
                        void (*visit)(void *ctx, struct text rule, struct text tenant,
                                      struct text device, const struct alert_state *alert,
                                      struct wall now),
                        void *ctx);

#endif
