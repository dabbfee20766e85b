#include "outbox/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/map.h"

struct list {
    struct queued *first, *last;
    size_t n;
};

struct queued {
    struct queued *prev, *next;
    struct lane *lane; /* in flight as the first of that lane, or waiting in it */
    bool yielded;
    int strikes, attempts;
    struct backoff pause; /* yielded */
    struct mono due;
    struct outbox_event event; /* topic with a NUL and payload follow */
};

/* The events of one topic that was refused. */
struct lane {
    struct lane *prev, *next;
    struct list waiting; /* by id */
    bool trying;         /* its first is in flight */
    struct backoff pause;
    struct mono due;
    size_t topic_bytes;
    char topic[];
};

struct queue {
    struct list ready, sent, yielded; /* by id, by sending, by yielding */
    struct lane *lanes;
    struct map by_topic;
    size_t n_in_lanes;
    bool careful; /* the connection broke with something in flight: one at a time */
    bool alone;   /* what is in flight has yielded before */
};

/* ---- Lists ---- */

static void list_remove(struct list *l, struct queued *e)
{
    *(e->prev ? &e->prev->next : &l->first) = e->next;
    *(e->next ? &e->next->prev : &l->last) = e->prev;
    l->n--;
}

/* Before `at`; NULL: at the end. */
static void list_insert(struct list *l, struct queued *e, struct queued *at)
{
    e->next = at;
    e->prev = at ? at->prev : l->last;
    *(e->prev ? &e->prev->next : &l->first) = e;
    *(at ? &at->prev : &l->last) = e;
    l->n++;
}

/* What comes back is older than most of what waits, so look from the front. */
static void list_insert_by_id(struct list *l, struct queued *e)
{
    struct queued *at = l->first;
    while (at && at->event.id < e->event.id) {
        at = at->next;
    }
    list_insert(l, e, at);
}

static void list_append_by_id(struct list *l, struct queued *e)
{
    struct queued *before = l->last;
    while (before && before->event.id > e->event.id) {
        before = before->prev;
    }
    list_insert(l, e, before ? before->next : l->first);
}

static void list_free(struct list *l)
{
    for (struct queued *e = l->first, *next; e; e = next) {
        next = e->next;
        free(e);
    }
}

/* ---- Lanes ---- */

static struct lane *lane_of(const struct queue *q, struct text topic)
{
    return q->by_topic.n > 0 ? map_get(&q->by_topic, topic) : NULL;
}

/* NULL: no memory. */
static struct lane *lane_new(struct queue *q, struct text topic)
{
    struct lane *l = calloc(1, sizeof(*l) + topic.n);
    if (!l) {
        return NULL;
    }
    memcpy(l->topic, topic.p, topic.n);
    l->topic_bytes = topic.n;
    l->pause = (struct backoff){.min_us = QUEUE_REFUSED_MIN_US,
                                .max_us = QUEUE_REFUSED_MAX_US,
                                .random = map_hash(topic)};
    if (map_put(&q->by_topic, (struct text){l->topic, l->topic_bytes}, l) != BRINK_OK) {
        free(l);
        return NULL;
    }
    l->next = q->lanes;
    if (l->next) {
        l->next->prev = l;
    }
    q->lanes = l;
    return l;
}

/* Its topic is free again: what waits goes back to its place among the others. */
static void lane_end(struct queue *q, struct lane *l)
{
    for (struct queued *e; (e = l->waiting.first);) {
        list_remove(&l->waiting, e);
        q->n_in_lanes--;
        e->lane = NULL;
        list_insert_by_id(&q->ready, e);
    }
    (void)map_remove(&q->by_topic, (struct text){l->topic, l->topic_bytes});
    *(l->prev ? &l->prev->next : &q->lanes) = l->next;
    if (l->next) {
        l->next->prev = l->prev;
    }
    free(l);
}

static void lane_wait(struct queue *q, struct lane *l, struct queued *e)
{
    e->lane = l;
    list_append_by_id(&l->waiting, e);
    q->n_in_lanes++;
}

/* ---- Yielding ---- */

static void yield(struct queue *q, struct queued *e, struct mono now)
{
    if (!e->yielded) {
        e->yielded = true;
        e->pause = (struct backoff){.min_us = QUEUE_YIELD_MIN_US,
                                    .max_us = QUEUE_YIELD_MAX_US,
                                    .random = e->event.id};
    }
    e->due.us = now.us + backoff_next(&e->pause);
    list_insert(&q->yielded, e, NULL);
}

/* ---- The queue ---- */

enum brink_status queue_new(struct queue **ret_queue)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (!q) {
        return BRINK_E_NOMEM;
    }
    *ret_queue = q;
    return BRINK_OK;
}

void queue_free(struct queue *q)
{
    if (!q) {
        return;
    }
    while (q->lanes) {
        lane_end(q, q->lanes);
    }
    list_free(&q->ready);
    list_free(&q->sent);
    list_free(&q->yielded);
    map_finish(&q->by_topic);
    free(q);
}

enum brink_status queue_add(struct queue *q, const struct outbox_event *event)
{
    struct queued *e = calloc(1, sizeof(*e) + event->topic.n + 1 + event->payload.n);
    if (!e) {
        return BRINK_E_NOMEM;
    }
    char *topic = (char *)(e + 1);
    char *payload = topic + event->topic.n + 1;
    memcpy(topic, event->topic.p, event->topic.n);
    if (event->payload.n > 0) {
        memcpy(payload, event->payload.p, event->payload.n);
    }
    e->event = *event;
    e->event.topic.p = topic;
    e->event.payload.p = payload;
    list_append_by_id(&q->ready, e);
    return BRINK_OK;
}

const struct outbox_event *queue_event(const struct queued *e)
{
    return &e->event;
}

bool queue_is_retry(const struct queued *e)
{
    return e->attempts > 1;
}

static struct queued *send(struct queue *q, struct queued *e)
{
    e->attempts++;
    list_insert(&q->sent, e, NULL);
    return e;
}

static struct queued *next_of_lanes(struct queue *q, struct mono now)
{
    for (struct lane *l = q->lanes; l; l = l->next) {
        if (!l->trying && now.us >= l->due.us) {
            struct queued *e = l->waiting.first;
            list_remove(&l->waiting, e);
            q->n_in_lanes--;
            l->trying = true;
            return e;
        }
    }
    return NULL;
}

struct queued *queue_next(struct queue *q, struct mono now)
{
    size_t window = q->alone || q->careful ? 1 : QUEUE_WINDOW;
    if (q->sent.n >= window) {
        return NULL;
    }
    struct queued *e = q->yielded.first;
    for (; e && now.us < e->due.us; e = e->next) {}
    if (e) {
        if (q->sent.n > 0) {
            return NULL; /* it goes alone, so let the others land */
        }
        list_remove(&q->yielded, e);
        q->alone = true;
        return send(q, e);
    }
    e = next_of_lanes(q, now);
    if (e) {
        return send(q, e);
    }
    while ((e = q->ready.first)) {
        list_remove(&q->ready, e);
        struct lane *l = lane_of(q, e->event.topic);
        if (!l) {
            return send(q, e);
        }
        lane_wait(q, l, e);
    }
    return NULL;
}

/* Takes it from those in flight; the lane that it was the first of, if any, may try
 * again. */
static struct lane *land(struct queue *q, struct queued *e)
{
    list_remove(&q->sent, e);
    q->alone = false;
    struct lane *l = e->lane;
    e->lane = NULL;
    if (l) {
        l->trying = false;
    }
    return l;
}

void queue_delivered(struct queue *q, struct queued *e)
{
    struct lane *l = land(q, e);
    q->careful = false;
    if (l) {
        lane_end(q, l);
    }
    /* A yielded event is older than what was just retained on its topic and must not take
     * its place when it comes after all. */
    for (struct queued *y = q->yielded.first; y; y = y->next) {
        if (y->event.retain && text_equal(y->event.topic, e->event.topic)) {
            y->event.retain = false;
        }
    }
    free(e);
}

void queue_dropped(struct queue *q, struct queued *e)
{
    struct lane *l = land(q, e);
    if (l) {
        lane_end(q, l);
    }
    free(e);
}

void queue_refused(struct queue *q, struct queued *e, struct mono now)
{
    struct lane *l = land(q, e);
    q->careful = false; /* the connection is well */
    l = l ? l : lane_of(q, e->event.topic);
    bool fresh = !l;
    l = l ? l : lane_new(q, e->event.topic);
    if (!l) {
        yield(q, e, now);
        return;
    }
    /* Refusals of what was in flight together count as one. */
    if (fresh || l->waiting.n == 0 || e->event.id < l->waiting.first->event.id) {
        l->due.us = now.us + backoff_next(&l->pause);
    }
    lane_wait(q, l, e);
}

static void put_back(struct queue *q, struct queued *e, struct lane *l)
{
    if (l) {
        lane_wait(q, l, e);
    } else if (e->yielded) {
        list_insert(&q->yielded, e, q->yielded.first); /* still due */
    } else {
        list_insert_by_id(&q->ready, e);
    }
}

void queue_not_sent(struct queue *q, struct queued *e)
{
    struct lane *l = land(q, e);
    e->attempts--;
    put_back(q, e, l);
}

size_t queue_connection_lost(struct queue *q, struct mono now)
{
    size_t n_yielded = 0;
    struct queued *oldest = q->sent.first;
    q->careful = q->careful || oldest;
    if (oldest) {
        oldest->strikes++;
    }
    for (struct queued *e; (e = q->sent.first);) {
        struct lane *l = land(q, e);
        if (e->strikes < QUEUE_STRIKES_MAX) {
            put_back(q, e, l);
            continue;
        }
        n_yielded += !e->yielded;
        yield(q, e, now);
        if (l) {
            lane_end(q, l);
        }
    }
    return n_yielded;
}

size_t queue_in_flight(const struct queue *q)
{
    return q->sent.n;
}

size_t queue_blocked(const struct queue *q)
{
    return q->n_in_lanes + q->yielded.n;
}

struct mono queue_due(const struct queue *q)
{
    struct mono due = {INT64_MAX};
    for (const struct lane *l = q->lanes; l; l = l->next) {
        if (!l->trying && l->due.us < due.us) {
            due = l->due;
        }
    }
    for (const struct queued *e = q->yielded.first; e; e = e->next) {
        if (e->due.us < due.us) {
            due = e->due;
        }
    }
    return due;
}
