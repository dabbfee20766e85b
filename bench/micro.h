/* Micro benchmarks: how long one call takes, many times over. */
#ifndef BRINK_BENCH_MICRO_H
#define BRINK_BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Measures once(ctx), which does `each` operations: as often as a round's least time
 * needs, rounds over; prints this thread's CPU time an operation in ns, median and range,
 * and where a baseline was named before, the ratio to it. */
void measure(const char *name, size_t each, void (*once)(void *ctx), void *ctx);
/* The same with elapsed time: what waits for another process. */
void measure_elapsed(const char *name, size_t each, void (*once)(void *ctx), void *ctx);
/* Takes the next measurement as what those after it are compared with. */
void baseline_next(void);
void section(const char *title);

extern bool quick;

void bench_decode(void);
void bench_rules(void);
void bench_window(void);
void bench_expression(void);
void bench_append_text(void);
void bench_pipeline(void);
void bench_valkey(void);

/* For what an optimizer must not leave out. */
extern volatile double sink;

#endif
