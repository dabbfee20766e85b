/* Devices and rules of one rule file in memory, whose windows are in memory too. */
#ifndef BRINK_TESTS_RULES_RIG_H
#define BRINK_TESTS_RULES_RIG_H

#include <check.h>

#include "load.h"
#include "rules/evaluate.h"

/* Windows without Valkey: a series is its window. */
struct series {
    struct window *window;
};
static int left;
static char left_reason[64];

static struct series *open_series(void *ctx, struct instance *user, size_t metric)
{
    (void)ctx;
    struct series *s = malloc(sizeof *s);
    s->window = window_new(&user->rule->metrics[metric].window);
    return s;
}
static void close_series(struct series *s)
{
    window_free(s->window);
    free(s);
}
static const struct window *window_of(const struct series *s)
{
    return s->window;
}
static bool store_is_up = true; /* are windows readable? */
static bool readable(const struct series *s)
{
    (void)s;
    return store_is_up;
}
static bool never(const struct series *s)
{
    (void)s;
    return false;
}
static bool unload(struct series *s)
{
    window_clear(s->window);
    return true;
}
static void restart(struct series *s)
{
    window_clear(s->window);
}
static void inherit(struct series *to, const struct series *from)
{
    for (size_t i = 0; i < window_count(from->window); i++) {
        window_push(to->window, window_at(from->window, i), NULL, NULL);
    }
}
static void replaced(void *ctx, struct instance *to, struct instance *from)
{
    (void)ctx;
    (void)to;
    (void)from;
}
static void shift(struct series *s, int64_t by_us)
{
    window_shift(s->window, by_us);
}
static void leaving(void *ctx, struct instance *i, const char *reason)
{
    (void)ctx;
    (void)i;
    left++;
    snprintf(left_reason, sizeof left_reason, "%s", reason);
}
static const struct rules_hooks hooks = {
    .open = open_series,
    .close = close_series,
    .window = window_of,
    .readable = readable,
    .degraded = never,
    .unload = unload,
    .restart = restart,
    .shift = shift,
    .inherit = inherit,
    .replaced = replaced,
    .leaving = leaving,
};

static struct loaded l;
static struct devices devices;

static void begin(const char *yaml)
{
    load_rules(&l, yaml);
    ck_assert_msg(l.rules != NULL, "%s", l.problems);
    devices_init(&devices, l.rules, &hooks);
    devices.limit = 10;
    left = 0;
    store_is_up = true;
}

static void end(void)
{
    devices_finish(&devices);
    unload_rules(&l);
}

static struct device *get(const char *tenant, const char *id)
{
    enum brink_status why;
    struct device *d =
        devices_get(&devices, text_of(tenant), text_of(id), (struct mono){0}, &why);
    ck_assert_ptr_nonnull(d);
    ck_assert_int_eq(device_bind(&devices, d), BRINK_OK);
    return d;
}

#endif
