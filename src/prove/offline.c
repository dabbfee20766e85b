#include "prove/offline.h"

#include <stdlib.h>

/* The subscription is taken to be so old that nothing waits for what a broker had queued.
 */
#define SUBSCRIBED_US (2 * DRAIN_MAX_US)

struct offline {
    struct pipeline *pipeline;
    struct instant now;
    struct mono wake; /* the pipeline wants a step not later */
};

static void step(struct offline *o)
{
    pipeline_step(o->pipeline, o->now, &o->wake);
}

enum brink_status offline_new(const struct config *config, struct ruleset *rules,
                              struct history *history, const struct pipeline_sink *sink,
                              struct wall start, struct offline **ret_offline)
{
    struct offline *o = calloc(1, sizeof *o);
    if (!o) {
        return BRINK_E_NOMEM;
    }
    o->now = (struct instant){{1}, {start.us - SUBSCRIBED_US}};
    enum brink_status status =
        pipeline_new(config, rules, history, sink, o->now, &o->pipeline);
    if (status != BRINK_OK) {
        free(o);
        return status;
    }
    pipeline_set_exact(o->pipeline);
    pipeline_subscribed(o->pipeline, true, o->now.mono);
    step(o);
    offline_until(o, start);
    *ret_offline = o;
    return BRINK_OK;
}

void offline_free(struct offline *o)
{
    if (o) {
        pipeline_free(o->pipeline);
        free(o);
    }
}

struct wall offline_now(const struct offline *o)
{
    return o->now.wall;
}

static void set_now(struct offline *o, struct mono to)
{
    if (to.us > o->now.mono.us) {
        o->now.wall.us += to.us - o->now.mono.us;
        o->now.mono = to;
    }
}

/* The monotonic clock when the other shows `at`. */
static struct mono mono_at(const struct offline *o, struct wall at)
{
    return (struct mono){o->now.mono.us + (at.us - o->now.wall.us)};
}

void offline_until(struct offline *o, struct wall to)
{
    struct mono end = mono_at(o, to);
    while (o->wake.us < end.us) {
        set_now(o, o->wake);
        step(o);
    }
    set_now(o, end);
}

void offline_settle(struct offline *o)
{
    while (o->wake.us <= o->now.mono.us) {
        step(o);
    }
}

bool offline_is_due(const struct offline *o, struct wall before)
{
    return o->wake.us < mono_at(o, before).us;
}

void offline_add(struct offline *o, struct text topic, struct text payload, bool retained)
{
    const struct raw_message raw = {
        .topic = topic,
        .payload = payload,
        .arrived = o->now.mono,
        .arrived_wall = o->now.wall,
        .retained = retained,
        .too_large = payload.n > pipeline_config(o->pipeline)->limits.payload_bytes,
    };
    pipeline_add(o->pipeline, &raw);
}

void offline_apply(struct offline *o)
{
    pipeline_apply(o->pipeline, o->now);
    o->wake = o->now.mono; /* it may have set a nearer timer */
}

bool offline_is_full(const struct offline *o)
{
    return pipeline_is_full(o->pipeline);
}

void offline_flush(struct offline *o, int64_t timeout_us)
{
    pipeline_flush(o->pipeline, o->now, timeout_us);
}

void offline_each_alert(const struct offline *o,
                        void (*visit)(void *ctx, struct text rule, struct text tenant,
                                      struct text device, const struct alert_state *alert,
                                      struct wall now),
                        void *ctx)
{
    pipeline_each_alert(o->pipeline, visit, o->now.mono, ctx);
}
