/* Exchanges with a real Valkey, which this starts and stops. */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "history/history.h"
#include "micro.h"
#include "wire.h"

#define SERIES 256
#define T0_US (INT64_C(1767225600) * US_PER_S)

extern char **environ;

static char folder[] = "/tmp/brink-micro.XXXXXX";
static char path[64];

static pid_t start_valkey(void)
{
    pid_t pid;
    if (!mkdtemp(folder)) {
        fail("mkdtemp");
    }
    snprintf(path, sizeof path, "%s/sock", folder);
    char *argv[] = {"valkey-server",
                    "--port",
                    "0",
                    "--unixsocket",
                    path,
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--dir",
                    folder,
                    "--loglevel",
                    "warning",
                    NULL};
    posix_spawn_file_actions_t files;
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
    if (posix_spawnp(&pid, argv[0], &files, NULL, argv, environ) != 0) {
        fail("valkey-server");
    }
    (void)posix_spawn_file_actions_destroy(&files);
    for (int i = 0; i < 500 && access(path, F_OK) != 0; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return pid;
}

/* --- the baseline: what the cheapest conceivable append costs, without any check --- */

struct bare {
    redisContext *redis;
    size_t batch, length;
    uint64_t next;
};

static void bare_once(void *ctx)
{
    struct bare *b = ctx;
    for (size_t i = 0; i < b->batch; i++, b->next++) {
        (void)redisAppendCommand(b->redis, "SETRANGE bare%u %u ,[1767225600.0,25.13]]",
                                 (unsigned)(b->next % SERIES),
                                 (unsigned)(b->next / SERIES % b->length * 21));
        (void)redisAppendCommand(b->redis, "EXPIRE bare%u 120",
                                 (unsigned)(b->next % SERIES));
    }
    for (size_t i = 0; i < 2 * b->batch; i++) {
        void *reply;
        if (redisGetReply(b->redis, &reply) != REDIS_OK) {
            fail("redisGetReply");
        }
        freeReplyObject(reply);
    }
}

/* --- history --- */

struct exchanging {
    struct history *history;
    struct series *series[SERIES];
    size_t batch;
    uint64_t next;
};

static void exchange_once(void *ctx)
{
    struct exchanging *e = ctx;
    for (size_t i = 0; i < e->batch; i++, e->next++) {
        const struct point p = {{T0_US + (int64_t)(e->next / SERIES) * US_PER_S},
                                20 + (double)(e->next * 7919 % 500) / 100};
        (void)history_stage(e->history, e->series[e->next % SERIES], p);
    }
    history_exchange(e->history, clock_system.mono(NULL));
    for (size_t i = 0; i < e->batch; i++) {
        (void)history_admit(e->history, (int)i);
    }
    history_reset_batch(e->history);
}

static void wake(void *ctx)
{
    (void)ctx;
}

static void bench_history(size_t batch, uint32_t entries)
{
    char name[64];
    struct span_spec span = {.width_us = (int64_t)entries * US_PER_S,
                             .functions = 1u << FN_AVG};
    const struct window_spec spec = {.spans = &span, .n_spans = 1};
    struct config config = {
        .gateway = {.id = "bench"},
        .store = {.kind = STORE_UNIX, .path = path, .timeout_us = 5 * US_PER_S},
        .limits = {.points_per_window = 200000}};
    struct exchanging e = {.batch = SERIES};
    if (history_new(&config, &clock_system, wake, NULL, HISTORY_BATCH_UNKNOWN,
                    &e.history) != BRINK_OK) {
        fail("history");
    }
    history_wait_connected(e.history, 5 * US_PER_S);
    struct mono ignored;
    history_step(e.history, clock_system.mono(NULL), &ignored);
    for (unsigned i = 0; i < SERIES; i++) {
        char key[64];
        int n = snprintf(key, sizeof key, "wbuf:bench:b%zu-%u:d%u", batch, entries, i);
        if (series_new(e.history, (struct text){key, (size_t)n}, &spec, NULL,
                       &e.series[i]) != BRINK_OK) {
            fail("series");
        }
    }
    while (e.next < (uint64_t)(entries + 2) * SERIES) {
        exchange_once(&e);
    }
    e.batch = batch;
    snprintf(name, sizeof name, "%zu a batch, %u entries", batch, entries);
    measure_elapsed(name, batch, exchange_once, &e);
    for (unsigned i = 0; i < SERIES; i++) {
        series_free(e.series[i]);
    }
    history_free(e.history);
}

void bench_valkey(void)
{
    static const size_t batches[] = {1, 16, 64, 256};
    pid_t server = start_valkey();
    struct bare b = {.redis = redisConnectUnix(path), .length = 60};
    if (!b.redis || b.redis->err) {
        fail("redisConnectUnix");
    }
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        char title[64];
        snprintf(title, sizeof title, "Append to Valkey, %zu a batch", batches[i]);
        section(title);
        b.batch = batches[i];
        baseline_next();
        measure_elapsed("baseline: bare SETRANGE and EXPIRE", b.batch, bare_once, &b);
        bench_history(batches[i], 10);
        bench_history(batches[i], 60);
        if (batches[i] == 64) {
            bench_history(64, 3000);
            if (!quick) {
                bench_history(64, 86400 / 8);
            }
        }
    }
    redisFree(b.redis);
    (void)kill(server, SIGTERM);
    (void)waitpid(server, NULL, 0);
    snprintf(path, sizeof path, "rm -rf %s", folder);
    (void)!system(path);
}
