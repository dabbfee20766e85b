/* A real valkey-server on a unix socket in a folder of its own, and gateways' histories
 * on it. */
#ifndef BRINK_TESTS_HISTORY_RIG_H
#define BRINK_TESTS_HISTORY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>

#include "history/history.h"
#include "server.h"

#define TIMEOUT_US (200 * US_PER_MS)
#define T0 INT64_C(1767225600) /* 2026-01-01 */

struct rig {
    struct config config;
    const struct clock *clock; /* the system's, unless set before rig_open() */
    struct history *h;
    int wake[2];
};

void rig_config(struct rig *r, const char *socket);
void rig_open(struct rig *r); /* after rig_config() and changes to it */
void rig_start(struct rig *r, const char *socket); /* config, open, connected */
void rig_stop(struct rig *r);
struct mono mono_now(void);
void rig_step(struct rig *r);
/* Steps until it is so, at most 10 s; fails the test otherwise. */
#define UNTIL(r, condition)                                                              \
    do {                                                                                 \
        struct mono end_ = {mono_now().us + 10 * US_PER_S};                              \
        while (!(condition)) {                                                           \
            ck_assert_msg(mono_now().us < end_.us, "never: %s", #condition);             \
            rig_wait(r);                                                                 \
        }                                                                                \
    } while (0)
void rig_wait(struct rig *r); /* a little, or until the history wakes us; then steps */
enum store_state rig_state(struct rig *r);
size_t rig_pending(struct rig *r);

/* A window of width (0: none) and count (0: none). Static: kept until the next 16. */
const struct window_spec *spec(double width_s, uint32_t count);
struct point at(double seconds_after_t0, double value);
struct series *open_series(struct rig *r, const char *key, const struct window_spec *s);
/* One reading as a batch of its own; returns what became of it. */
enum window_push push(struct rig *r, struct series *s, struct point p);
/* Do the window's readings equal these? Pairs of (seconds after T0, value). */
void expect_window(const struct series *s, size_t n, const double (*pairs)[2]);
#define EXPECT(s, ...)                                                                   \
    expect_window((s), sizeof((const double[][2]){__VA_ARGS__}) / sizeof(double[2]),     \
                  (const double[][2]){__VA_ARGS__})

int run_suite(Suite *suite);

#endif
