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

#define TIMEOUT_US (200 * US_PER_MS)
#define T0 INT64_C(1767225600) /* 2026-01-01 */

struct server {
    char dir[64], socket[96];
    pid_t pid; /* 0: not running */
};

/* Options end with NULL. start waits until it answers; the folder is made by the first
 * start. */
void server_start(struct server *s, const char *const *options);
void server_kill(struct server *s); /* -9; the folder stays */
void server_stop(struct server *s); /* and the folder goes */
void server_freeze(struct server *s);
void server_thaw(struct server *s);
/* A command on a connection of its own. The answer as text: strings as they are, integers
 * in decimal, nil as "(nil)", an error as "ERR...". Good until the call after the next.
 */
const char *server_do(struct server *s, int argc, const char *const *argv,
                      const size_t *lengths);
#define DO(s, ...)                                                                       \
    server_do((s), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),        \
              (const char *[]){__VA_ARGS__}, NULL)
double server_cpu_us(const struct server *s);

struct rig {
    struct config config;
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
