/* Runs a window by lines on standard input, for oracles in other languages:
 *
 *     new POINTS_MAX WIDTH COUNT FUNCTIONS [WIDTH COUNT FUNCTIONS ...]
 *     push US VALUE                   prints: outcome expired over held cutoff
 *     value SPAN FN ARGUMENT MIN NOW  prints: the value or "unknown"
 *     span SPAN NOW                   prints: count, then the times and values held
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "window/window.h"

#define SPANS_MAX 8

struct state {
    struct span_spec spans[SPANS_MAX];
    struct window_spec spec;
    struct window *window;
};

static int make(struct state *s, char *rest)
{
    char *save = NULL;
    window_free(s->window);
    s->window = NULL;
    s->spec = (struct window_spec){.spans = s->spans};
    char *word = strtok_r(rest, " \n", &save);
    s->spec.points_max = word ? (uint32_t)strtoul(word, NULL, 10) : 0;
    while ((word = strtok_r(NULL, " \n", &save)) && s->spec.n_spans < SPANS_MAX) {
        struct span_spec *span = &s->spans[s->spec.n_spans++];
        char *count = strtok_r(NULL, " \n", &save);
        char *functions = strtok_r(NULL, " \n", &save);
        if (!count || !functions) {
            return 0;
        }
        span->width_us = strtoll(word, NULL, 10);
        span->count = (uint32_t)strtoul(count, NULL, 10);
        span->functions = (uint32_t)strtoul(functions, NULL, 10);
    }
    s->window = window_new(&s->spec);
    return s->window != NULL;
}

static int push(struct state *s, const char *rest)
{
    struct point p;
    if (sscanf(rest, "%" SCNd64 " %lf", &p.at.us, &p.value) != 2) {
        return 0;
    }
    size_t expired, over;
    enum window_push would = window_would(s->window, p);
    enum window_push did = window_push(s->window, p, &expired, &over);
    if (would != did) {
        return 0;
    }
    printf("%d %zu %zu %zu %" PRId64 "\n", (int)did, expired, over,
           window_count(s->window), window_cutoff(s->window).us);
    return 1;
}

static int value(struct state *s, const char *rest)
{
    size_t span;
    unsigned fn, min_points;
    double argument, v;
    struct wall now;
    if (sscanf(rest, "%zu %u %lf %u %" SCNd64, &span, &fn, &argument, &min_points,
               &now.us) != 5) {
        return 0;
    }
    if (span_value(s->window, span, (enum window_fn)fn, argument, min_points, now, &v)) {
        printf("%.17g\n", v);
    } else {
        puts("unknown");
    }
    return 1;
}

static int list(struct state *s, const char *rest)
{
    size_t span;
    struct wall now;
    if (sscanf(rest, "%zu %" SCNd64, &span, &now.us) != 2) {
        return 0;
    }
    size_t n = span_count(s->window, span, now);
    printf("%zu", n);
    for (size_t i = 0; i < n; i++) {
        struct point p = span_at(s->window, span, i);
        printf(" %" PRId64 " %.17g", p.at.us, p.value);
    }
    putchar('\n');
    return 1;
}

int main(void)
{
    static struct state s;
    char line[512];
    int ok = 1;
    while (ok && fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "new ", 4) == 0) {
            ok = make(&s, line + 4);
        } else if (s.window && strncmp(line, "push ", 5) == 0) {
            ok = push(&s, line + 5);
        } else if (s.window && strncmp(line, "value ", 6) == 0) {
            ok = value(&s, line + 6);
        } else if (s.window && strncmp(line, "span ", 5) == 0) {
            ok = list(&s, line + 5);
        } else {
            ok = 0;
        }
        if (!ok) {
            fprintf(stderr, "failed at: %s", line);
        }
    }
    window_free(s.window);
    return ok ? 0 : 1;
}
