/* A pipeline on a virtual clock with windows in memory or in Valkey, and an outbox that
 * keeps what it is told, so that the world can be stopped and started again at any
 * moment. */
#ifndef BRINK_TESTS_GATEWAY_WORLD_H
#define BRINK_TESTS_GATEWAY_WORLD_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/map.h"
#include "gateway/pipeline.h"

#define T0 INT64_C(1767225600000000) /* 2026-01-01, a Thursday: when the world begins */
#define S US_PER_S
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)

struct world {
    char folder[64];
    const char *valkey; /* path of its socket; NULL: windows in memory, or it is away and
                           neither a start nor a stop waits for it */
    int64_t begun_us;   /* the system's monotonic clock when the world began */
    struct config *config;
    struct history *history;
    struct pipeline *pipeline;
    struct map
        states; /* rule, tenant, device -> struct kept_state, as the outbox has it */
    struct buffer events; /* topic, blank, payload; one a line */
    int64_t at_us;        /* since T0 */
    struct said *said;    /* added, and not applied yet */
    bool keeps_devices;   /* as Valkey does: their lines survive a restart */
    struct buffer lines;  /* those: field, blank, line; one a line */
    int64_t mono_us;      /* where the monotonic clock begins */
};

/* `alerts` is what stands behind `alerts:` in the configuration, or "". */
void world_begin(struct world *w, const char *alerts, const char *rules);
/* The same with a Valkey, which keeps values and timers over restarts. */
void world_begin_on(struct world *w, const char *valkey, const char *alerts,
                    const char *rules);
void world_reload(struct world *w, const char *alerts, const char *rules);
/* A clean stop and a start at once, or after it was down for so long. */
void world_restart(struct world *w);
void world_restart_after(struct world *w, int64_t us);
/* The halves of that: what is kept may be changed in between. */
void world_stop(struct world *w);
void world_start(struct world *w);
void world_end(struct world *w);

struct instant world_now(const struct world *w);
/* One message now, {"x": value} of the device of tenant acme; site: or NULL. */
void say(struct world *w, const char *device, const char *site, double x);
/* The same of a reading that is so old, or that comes again. */
void say_late(struct world *w, int64_t us, const char *device, double x);
/* Any topic of the form t/{tenant}/{line}/{device}, and members of its payload. */
void say_on(struct world *w, const char *topic, const char *members);
/* As say(), to be applied with what comes later. */
void add(struct world *w, const char *device, const char *site, double x);
void apply(struct world *w);
/* Lets time pass, with a step wherever the pipeline asks for one. */
void pass(struct world *w, int64_t us);
/* "OPEN rule device" a line, of all events since the last call. */
const char *told(struct world *w);
/* Alerts of which something is held back, by what holds it: "storm 2\n", no line for
 * none. The figure of pipeline_info() is held against the alerts themselves. */
const char *withheld(const struct world *w);
/* A member of the last event's payload, as it stands there, without quotes. */
const char *last_told(const struct world *w, const char *member);

#endif
