#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- a gateway's history --- */

struct mono mono_now(void)
{
    return clock_system.mono(clock_system.ctx);
}

static void wake(void *ctx)
{
    struct rig *r = ctx;
    ssize_t n = write(r->wake[1], "", 1);
    (void)n;
}

void rig_config(struct rig *r, const char *socket)
{
    static char id[] = "gw-test";
    memset(r, 0, sizeof *r);
    r->clock = &clock_system;
    r->config.gateway.id = id;
    r->config.store.kind = STORE_UNIX;
    r->config.store.path = (char *)(uintptr_t)socket;
    r->config.store.timeout_us = TIMEOUT_US;
    r->config.limits.points_per_window = 100000;
    r->config.limits.devices = 100000;
}

void rig_open(struct rig *r)
{
    ck_assert_int_eq(pipe(r->wake), 0);
    fcntl(r->wake[0], F_SETFL, O_NONBLOCK);
    fcntl(r->wake[1], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(
        history_new(&r->config, r->clock, wake, r, HISTORY_BATCH_UNKNOWN, &r->h),
        BRINK_OK);
}

void rig_start(struct rig *r, const char *socket)
{
    rig_config(r, socket);
    rig_open(r);
    UNTIL(r, rig_state(r) == STORE_STATE_UP);
}

void rig_stop(struct rig *r)
{
    history_free(r->h);
    close(r->wake[0]);
    close(r->wake[1]);
}

void rig_step(struct rig *r)
{
    struct mono ignored;
    history_step(r->h, mono_now(), &ignored);
}

void rig_wait(struct rig *r)
{
    char bytes[16];
    struct pollfd p = {.fd = r->wake[0], .events = POLLIN};
    (void)poll(&p, 1, 5);
    while (read(r->wake[0], bytes, sizeof bytes) > 0) {}
    rig_step(r);
}

enum store_state rig_state(struct rig *r)
{
    struct history_info info;
    history_info(r->h, &info);
    return info.state;
}

size_t rig_pending(struct rig *r)
{
    struct history_info info;
    history_info(r->h, &info);
    return info.pending_points;
}

/* --- series --- */

const struct window_spec *spec(double width_s, uint32_t count)
{
    static struct window_spec specs[16];
    static struct span_spec spans[16];
    static size_t next;
    size_t i = next++ % 16;
    spans[i] = (struct span_spec){(int64_t)(width_s * 1e6), count, 1u << FN_AVG};
    specs[i] = (struct window_spec){&spans[i], 1, 100000};
    return &specs[i];
}

struct point at(double seconds, double value)
{
    return (struct point){{T0 * US_PER_S + (int64_t)(seconds * 1e6)}, value};
}

struct series *open_series(struct rig *r, const char *key, const struct window_spec *w)
{
    struct series *s = NULL;
    ck_assert_int_eq(series_new(r->h, text_of(key), w, (void *)(uintptr_t)key, &s),
                     BRINK_OK);
    return s;
}

enum window_push push(struct rig *r, struct series *s, struct point p)
{
    int i = history_stage(r->h, s, p);
    ck_assert_int_ge(i, 0);
    history_exchange(r->h, mono_now());
    enum window_push what = history_admit(r->h, i);
    history_reset_batch(r->h);
    return what;
}

void expect_window(const struct series *s, size_t n, const double (*pairs)[2])
{
    const struct window *w = series_window(s);
    ck_assert_uint_eq(window_count(w), n);
    for (size_t i = 0; i < n; i++) {
        struct point p = window_at(w, i), wanted = at(pairs[i][0], pairs[i][1]);
        ck_assert_msg(p.at.us == wanted.at.us && p.value == wanted.value,
                      "reading %zu is %.6f: %g", i,
                      (double)(p.at.us - T0 * US_PER_S) / 1e6, p.value);
    }
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
