/* How another thread asks something of the pipeline's: it hands a function over, which
 * runs there between two batches, and waits for it. So whatever it asks sees the pipeline
 * whole, and nothing of the pipeline needs a lock.
 *
 * The lock guards a list of a few items, and is not held while one runs. */
#ifndef BRINK_GATEWAY_ASK_H
#define BRINK_GATEWAY_ASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "gateway/pipeline.h"

#define ASK_WAITING_MAX 64

typedef void ask_fn(void *ctx, struct pipeline *p, struct instant now);

struct ask {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct question *first, *last; /* on the stacks of those who wait */
    size_t n;
    bool closed;
    void (*wake)(void *ctx); /* the pipeline's thread; called with the lock held */
    void *ctx;
};

/* Closed until ask_open(). E_NOMEM. */
enum brink_status ask_init(struct ask *a, void (*wake)(void *ctx),
                           void *ctx) BRINK_MUST_CHECK;
void ask_finish(struct ask *a); /* nobody may be waiting any more */
/* The pipeline's thread answers from here on; and no longer: who waits is sent away. */
void ask_open(struct ask *a);
void ask_close(struct ask *a);

/* Any thread but the pipeline's. E_TIMEOUT: it did not run within timeout_us, and will
 * not; E_STATE: the gateway is starting or stopping; E_LIMIT: ASK_WAITING_MAX others wait
 * already. */
enum brink_status ask_run(struct ask *a, ask_fn *run, void *ctx,
                          int64_t timeout_us) BRINK_MUST_CHECK;

/* The pipeline's thread: runs what was asked so far. */
void ask_answer(struct ask *a, struct pipeline *p, struct instant now);

#endif
