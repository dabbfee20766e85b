/* The parts of a running gateway, and who of its two threads does what with them:
 * gateway.c is the main thread's, thread.c the pipeline's. Private to those two. */
#ifndef BRINK_GATEWAY_RUNNING_H
#define BRINK_GATEWAY_RUNNING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/log.h"
#include "gateway/ask.h"
#include "gateway/http.h"
#include "gateway/pipeline.h"
#include "gateway/session.h"
#include "ingest/inbox.h"
#include "outbox/courier.h"
#include "outbox/outbox.h"

#define FILTERS_STATE                                                                    \
    "@subscriptions" /* kept in the outbox; no rule can have this id                     \
                      */

/* What the main thread wants of the pipeline's. Guarded by the lock; never held across
 * I/O. */
struct orders {
    pthread_mutex_t lock;
    bool subscribed;
    struct config *config; /* a reload: to be taken over; NULL: none */
    struct ruleset *rules;
    bool has_filters; /* what the broker's session may hold has changed */
    struct buffer filters;
};

struct gateway {
    const struct clock *clock;
    struct config
        *config; /* of the start: store, mqtt, gateway and http run by it to the end */
    struct config *current; /* the pipeline's; the start's or the last reload's */
    struct outbox *outbox;
    struct courier *courier;
    struct history *history;
    struct pipeline *pipeline;
    struct inbox *inbox;
    struct session *session;
    struct http *http;
    struct arrival_clock arrival;
    struct orders orders;
    struct ask ask;       /* what others want to know or have done by the pipeline */
    atomic_bool woken;    /* history has something for a step */
    atomic_bool finished; /* the pipeline's thread ended */
    bool reloading, reload_again; /* under way; asked for once more meanwhile. The main
                                     thread's */
    bool reload_failed; /* pipeline -> main: for want of memory; guarded by orders.lock */
    struct config *reloaded; /* pipeline -> main: the configuration now in force; guarded
                                by orders.lock */
    int main_fd;             /* eventfd: wakes the main thread */
    pthread_t thread;
    bool has_thread;
    bool subscribed, ready; /* as last told to systemd; the main thread's */
    struct buffer held;     /* filters that the session may hold, as it last said */
    struct buffer filters;  /* as noted for the next run */
    struct log_limit limit_outbox;
    struct http_health
        health; /* pipeline's part of what is served; guarded by orders.lock */
};

/* --- thread.c --- */

/* The pipeline's sink: the outbox, and from there the child that publishes. */
void sink_event(void *ctx, const struct outgoing *o);
void sink_state(void *ctx, struct text rule, struct text tenant, struct text device,
                struct text value);
bool sink_is_due(void *ctx);
void sink_commit(void *ctx, struct mono now);

struct instant instant_now(const struct gateway *g);
void wake_pipeline(void *ctx); /* any thread */
/* Notes for the next run which filters the broker may hold for us: those of the
 * configuration, before they are subscribed to, and those that are gone, until the broker
 * said so. Before the pipeline's thread starts, or on it. */
void keep_filters(struct gateway *g, const struct config *c);
void *pipeline_thread(void *ctx); /* of a struct gateway; NULL */

#endif
