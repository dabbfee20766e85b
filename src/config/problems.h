/* All that is wrong with a configuration, each with its place, told at once (SPEC 1.1).
 */
#ifndef BRINK_CONFIG_PROBLEMS_H
#define BRINK_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"
#include "model/rule.h"

#define PROBLEMS_MAX 1000 /* further ones are only counted */

struct problem {
    struct position at; /* file copied */
    char *message;
    bool is_warning; /* told, but loads all the same */
};

struct problems {
    struct problem *items;
    size_t n, cap;
    size_t errors; /* those beyond PROBLEMS_MAX included */
};

void problems_finish(struct problems *p);
void problem_add(struct problems *p, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problem_warn(struct problems *p, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problems_sort(
    struct problems *p); /* by file in order of first appearance, then place */
/* One "file:line:column: message" (or "file: message", "file:line:column: warning:
 * message") a line. */
void problems_print(const struct problems *p, FILE *to);

#endif
