#include "gateway/ask.h"

#include <time.h>

struct question {
    struct question *next;
    ask_fn *run;
    void *ctx;
    enum { WAITING, RUNNING, ANSWERED, SENT_AWAY } state;
};

enum brink_status ask_init(struct ask *a, void (*wake)(void *ctx), void *ctx)
{
    pthread_condattr_t attributes;
    *a = (struct ask){.closed = true, .wake = wake, .ctx = ctx};
    if (pthread_condattr_init(&attributes) != 0) {
        return BRINK_E_NOMEM;
    }
    /* Waiting has nothing to do with the wall clock, which may be set meanwhile. */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool ok = pthread_cond_init(&a->answered, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (ok && pthread_mutex_init(&a->lock, NULL) != 0) {
        pthread_cond_destroy(&a->answered);
        ok = false;
    }
    return ok ? BRINK_OK : BRINK_E_NOMEM;
}

void ask_finish(struct ask *a)
{
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->answered);
}

void ask_open(struct ask *a)
{
    pthread_mutex_lock(&a->lock);
    a->closed = false;
    pthread_mutex_unlock(&a->lock);
}

void ask_close(struct ask *a)
{
    pthread_mutex_lock(&a->lock);
    a->closed = true;
    for (struct question *q = a->first; q; q = q->next) {
        q->state = SENT_AWAY;
    }
    a->first = a->last = NULL;
    a->n = 0;
    pthread_cond_broadcast(&a->answered);
    pthread_mutex_unlock(&a->lock);
}

/* --- who asks --- */

static struct timespec end_of(int64_t timeout_us)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end); /* cannot fail */
    int64_t us = end.tv_nsec / 1000 + timeout_us;
    end.tv_sec += (time_t)(us / US_PER_S);
    end.tv_nsec = (long)(us % US_PER_S * 1000);
    return end;
}

static void take_out(struct ask *a, const struct question *q)
{
    struct question *before = NULL;
    for (struct question *at = a->first; at != q; at = at->next) {
        before = at;
    }
    if (before) {
        before->next = q->next;
    } else {
        a->first = q->next;
    }
    a->last = a->last == q ? before : a->last;
    a->n--;
}

enum brink_status ask_run(struct ask *a, ask_fn *run, void *ctx, int64_t timeout_us)
{
    struct question q = {.run = run, .ctx = ctx, .state = WAITING};
    struct timespec end = end_of(timeout_us);
    pthread_mutex_lock(&a->lock);
    enum brink_status status = a->closed                 ? BRINK_E_STATE
                               : a->n >= ASK_WAITING_MAX ? BRINK_E_LIMIT
                                                         : BRINK_OK;
    if (status) {
        pthread_mutex_unlock(&a->lock);
        return status;
    }
    if (a->last) {
        a->last->next = &q;
    } else {
        a->first = &q;
    }
    a->last = &q;
    a->n++;
    a->wake(a->ctx);
    while (q.state == WAITING || q.state == RUNNING) {
        int late = pthread_cond_timedwait(&a->answered, &a->lock, &end);
        if (late && q.state == WAITING) {
            take_out(a, &q);
            pthread_mutex_unlock(&a->lock);
            return BRINK_E_TIMEOUT;
        }
        /* What runs already is waited for: it writes to the asker's memory. */
        while (late && q.state == RUNNING) {
            pthread_cond_wait(&a->answered, &a->lock);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return q.state == ANSWERED ? BRINK_OK : BRINK_E_STATE;
}

/* --- who answers --- */

void ask_answer(struct ask *a, struct pipeline *p, struct instant now)
{
    pthread_mutex_lock(&a->lock);
    for (size_t n = a->n; n > 0 && a->first; n--) { /* not what comes meanwhile */
        struct question *q = a->first;
        take_out(a, q);
        q->state = RUNNING;
        pthread_mutex_unlock(&a->lock);
        q->run(q->ctx, p, now);
        pthread_mutex_lock(&a->lock);
        q->state = ANSWERED;
        pthread_cond_broadcast(&a->answered);
    }
    pthread_mutex_unlock(&a->lock);
}
