/* What people order about alerts, and ask (SPEC 6.5, 8.2): silences, acknowledgements,
 * why nothing was told. For HTTP and the commands that talk to it.
 *
 * The functions run on the pipeline's thread, between batches, and take effect at once;
 * what changes is in the outbox's file, in one transaction with the events that it
 * causes, when they return. Another thread gets there through ask.h. Reasons (*ret_why)
 * are static, for people. */
#ifndef BRINK_GATEWAY_ORDERS_H
#define BRINK_GATEWAY_ORDERS_H

#include <stdbool.h>

#include "base/status.h"
#include "gateway/pipeline.h"
#include "mute/silence.h"

/* --- silences --- */

/* E_RANGE, E_SYNTAX, E_LIMIT: refused, see silences_add(); E_NOMEM. */
enum brink_status pipeline_silence(struct pipeline *p, const struct silence_order *order,
                                   struct instant now, const char **ret_why,
                                   char ret_id[SILENCE_ID_BYTES]) BRINK_MUST_CHECK;
/* Ends one before its time. E_RANGE: there is none with this id (any more). */
enum brink_status pipeline_expire_silence(struct pipeline *p, struct text id,
                                          struct instant now) BRINK_MUST_CHECK;
/* In the order in which they were made; views for the call. */
void pipeline_each_silence(const struct pipeline *p,
                           void (*visit)(void *ctx, const struct silence *silence),
                           void *ctx);

/* --- acknowledgements --- */

/* Of one firing alert; ends with it, or by pipeline_withdraw(). Another in place of one
 * that is there replaces it. */
struct acknowledge_order {
    struct text tenant, device, rule;
    struct text
        alert_id; /* n == 0: whichever is firing; else that one and no later one */
    struct text by, comment;
};
/* E_RANGE: no such alert is firing; E_STATE: it is another by now; E_SYNTAX: by or
 * comment is too long, not UTF-8, or holds control characters (a comment may have lines);
 * E_NOMEM. */
enum brink_status pipeline_acknowledge(struct pipeline *p,
                                       const struct acknowledge_order *order,
                                       struct instant now,
                                       const char **ret_why) BRINK_MUST_CHECK;
/* As if it had not been: an ESCALATED that it held back is told now. E_RANGE: no such
 * alert is firing and acknowledged; E_STATE as above. by and comment play no part. */
enum brink_status pipeline_withdraw(struct pipeline *p,
                                    const struct acknowledge_order *order,
                                    struct instant now,
                                    const char **ret_why) BRINK_MUST_CHECK;

/* --- why --- */

struct muting {
    bool firing, published; /* its alert; published: the OPEN went out */
    bool withheld;          /* an OPEN or ESCALATED waits for the muting's end */
    bool muted;             /* what follows: by what its next event would be held back */
    enum mute_kind kind;
    const char *name;  /* of the window, the silence's id, the rule that explains it, who
                          acknowledged it, the tenant of a storm; until the next
                          change */
    struct wall until; /* when it ends by itself; {0}: not known */
    const struct acknowledgement *ack; /* or NULL */
};
/* E_RANGE: the gateway does not know the device, or the rule does not cover it. */
enum brink_status pipeline_muting(struct pipeline *p, struct text tenant,
                                  struct text device, struct text rule,
                                  struct muting *ret_muting) BRINK_MUST_CHECK;

#endif
