/* Which filters the broker's session holds, and what to ask so that it becomes what the
 * configuration wants (SPEC 7.2). Bookkeeping only: no socket, no clock.
 *
 * A filter counts as granted once its SUBACK came, and only for as long as the broker
 * resumes that very session; one that went missing between CONNACK and SUBACK is asked
 * for again. A filter that is not wanted any more stays in the book until the broker
 * confirmed that it is gone, over restarts too: subscriptions_lines() is what to note for
 * the next run, before anything is asked. Each of several servers has a session of its
 * own, so both are kept a bit a server.
 *
 * One request a filter is under way at a time, known by its tag; what came in between
 * (another QoS, a filter wanted again) is asked for after its answer. */
#ifndef BRINK_GATEWAY_SUBSCRIPTIONS_H
#define BRINK_GATEWAY_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"

#define SUBSCRIPTIONS_RETRY_US (10 * US_PER_S) /* what was refused is asked for again */
#define SUBSCRIPTIONS_GONE_MAX 1024 /* remembered as not wanted; the oldest leave */

struct subscription {
    char *filter;
    bool wanted;
    int qos;          /* wanted */
    uint32_t held;    /* servers whose session may have it, a bit each */
    uint32_t granted; /* servers whose session has it, at this QoS */
    uint64_t tag;     /* of the request under way; 0: none */
    bool leaving;     /* ... which is an UNSUBSCRIBE */
    int asked_qos;
    bool refused; /* by the last answer, or not sent at all */
    struct mono retry;
};

struct subscriptions {
    struct subscription *items; /* the longest known first */
    size_t n, cap;
    size_t n_servers; /* that there are, 1 to 32; 0: not known */
    size_t server;    /* connected to, or last */
    bool connected;
    bool changed;    /* lines differ from those last taken */
    size_t given_up; /* forgotten beyond the limit, ever */
    uint64_t tags;
};

void subscriptions_finish(struct subscriptions *s); /* a zeroed one is empty */

/* Filters of an earlier run, a line each, which each server's session may hold. */
enum brink_status subscriptions_remember(struct subscriptions *s,
                                         struct text lines) BRINK_MUST_CHECK;
/* What is wanted from now on. E_NOMEM: nothing changed. */
enum brink_status subscriptions_want(struct subscriptions *s,
                                     const struct config *config) BRINK_MUST_CHECK;

void subscriptions_connected(struct subscriptions *s, size_t server,
                             bool session_present);
void subscriptions_lost(struct subscriptions *s);

/* The next request that is due: to be sent with its tag as it is now (`leaving`: an
 * UNSUBSCRIBE), then answered here. Valid until the next call. NULL: none now. */
const struct subscription *subscriptions_next(struct subscriptions *s, struct mono now);
/* The request could not be sent. */
void subscriptions_failed(struct subscriptions *s, uint64_t tag, struct mono now);
/* Its answer: a granted QoS, or 0x80 and above (-1: not sent) for a failure. The
 * subscription, valid until the next call; NULL: of no request that is under way. */
const struct subscription *subscriptions_answered(struct subscriptions *s, uint64_t tag,
                                                  int reason, struct mono now);

/* Is a request under way? */
bool subscriptions_busy(const struct subscriptions *s);
/* Connected, and each wanted filter granted? */
bool subscriptions_complete(const struct subscriptions *s);
/* When subscriptions_next() has something again; INT64_MAX: not by time. */
struct mono subscriptions_due(const struct subscriptions *s);

/* All filters that a session may hold or that are wanted, a line each. */
void subscriptions_lines(const struct subscriptions *s, struct buffer *out);

#endif
