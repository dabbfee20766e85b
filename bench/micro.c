/* micro [--quick] [PART...]: the parts of a reading's way, each by itself. */
#include "micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

#include "wire.h"

#define ROUNDS_MAX 11

bool quick;
volatile double sink;
static double baseline_ns;
static bool take_baseline;

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void section(const char *title)
{
    printf("\n%-44s %10s   %-22s %s\n", title, "ns", "(least - greatest)", "ratio");
    baseline_ns = 0;
}

void baseline_next(void)
{
    take_baseline = true;
}

/* Of this thread: others on the machine do not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void measure_by(int64_t (*clock_ns)(void), const char *name, size_t each,
                       void (*once)(void *ctx), void *ctx)
{
    const int64_t round_ns = quick ? 5000000 : 40000000;
    size_t rounds = quick ? 5 : ROUNDS_MAX, times = 1;
    double ns[ROUNDS_MAX];
    for (;;) { /* warms up, too */
        int64_t began = clock_ns();
        for (size_t i = 0; i < times; i++) {
            once(ctx);
        }
        if (clock_ns() - began >= round_ns / 4) {
            break;
        }
        times *= 2;
    }
    times *= 4;
    for (size_t r = 0; r < rounds; r++) {
        int64_t began = clock_ns();
        for (size_t i = 0; i < times; i++) {
            once(ctx);
        }
        ns[r] = (double)(clock_ns() - began) / ((double)times * (double)each);
    }
    qsort(ns, rounds, sizeof *ns, by_size);
    double middle = ns[rounds / 2];
    printf("  %-42s %10.1f   (%.1f - %.1f)", name, middle, ns[0], ns[rounds - 1]);
    if (take_baseline) {
        baseline_ns = middle;
        take_baseline = false;
        printf("  baseline");
    } else if (baseline_ns > 0) {
        printf("  %.2f", middle / baseline_ns);
    }
    printf("\n");
    fflush(stdout);
}

void measure(const char *name, size_t each, void (*once)(void *ctx), void *ctx)
{
    measure_by(cpu_ns, name, each, once, ctx);
}

void measure_elapsed(const char *name, size_t each, void (*once)(void *ctx), void *ctx)
{
    measure_by(now_ns, name, each, once, ctx);
}

int main(int argc, char **argv)
{
    static const struct part {
        const char *name;
        void (*run)(void);
    } parts[] = {
        {"decode", bench_decode},    {"rules", bench_rules},
        {"window", bench_window},    {"expression", bench_expression},
        {"text", bench_append_text}, {"pipeline", bench_pipeline},
        {"valkey", bench_valkey},
    };
    bool named = false;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    for (int a = 1; a < argc; a++) {
        if (strcmp(argv[a], "--quick") == 0) {
            quick = true;
        } else {
            named = true;
        }
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        bool wanted = !named;
        for (int a = 1; a < argc; a++) {
            wanted = wanted || strcmp(argv[a], parts[i].name) == 0;
        }
        if (wanted) {
            parts[i].run();
        }
    }
    return 0;
}
