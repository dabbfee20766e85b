/* Random well-typed trees for property tests. */
#ifndef BRINK_TESTS_RANDOM_TREE_H
#define BRINK_TESTS_RANDOM_TREE_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "expr/expr.h"

static uint64_t tree_random = 88172645463325252u;

static uint32_t below(uint32_t n)
{
    tree_random ^= tree_random << 13;
    tree_random ^= tree_random >> 7;
    tree_random ^= tree_random << 17;
    return (uint32_t)((tree_random >> 32) % n);
}

static struct text random_name(void)
{
    static const char *const names[] = {
        "temp_c", "a",    "b",        "a.b.c", "_x",        "vbat2",  "avg", "held",
        "and",    "OR",   "Not",      "a b",   "\xc3\xa9t", "5m",     ".x",  "a-b",
        "#5",     "(",    "x,y > 3 ", "1e5",   "\\n",       "absent", "x.",  "not_",
        "true",   "null", "inf",      "nan",   "0",         "-1",     "a--b"};
    static const char *const pieces[] = {
        "a", "Z",  "0",  "_", ".", "-",   " ", "#", ",", ")", "\xe2\x82\xac",
        "'", "\"", "\\", ":", "/", "and", "%"};
    static char made[32];
    if (below(3) > 0) {
        return text_of(names[below(sizeof names / sizeof names[0])]);
    }
    made[0] = '\0';
    for (uint32_t n = 1 + below(6); n > 0; n--) {
        strcat(made, pieces[below(sizeof pieces / sizeof pieces[0])]);
    }
    return text_of(made);
}

/* Any finite double there is. */
static double any_number(void)
{
    for (;;) {
        uint64_t bits = (uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) {
            return v;
        }
    }
}

static double random_number(void)
{
    static const double edges[] = {0.0,
                                   -0.0,
                                   5e-324,
                                   -5e-324,
                                   2.2250738585072014e-308,
                                   DBL_MAX,
                                   -DBL_MAX,
                                   1e15,
                                   1e16,
                                   999999999999999.9,
                                   123456.789012,
                                   1e21,
                                   1e-5,
                                   1e-7,
                                   0.1 + 0.2,
                                   1.0 / 3,
                                   -1e22,
                                   9007199254740993.0};
    switch (below(8)) {
    case 6:
        return any_number();
    case 7:
        return edges[below(sizeof edges / sizeof edges[0])];
    case 0:
        return below(10);
    case 1:
        return -(double)below(100);
    case 2:
        return ldexp(below(1000000), (int)below(2000) - 1000) * 0.7;
    case 3:
        return -0.1 * below(1000);
    case 4:
        return 1e300 * (below(3) - 1.0);
    default:
        return below(1000000) / 1000.0;
    }
}

static int64_t random_width(void)
{
    static const int64_t units[] = {1, 1000, 1000000, 60000000, 3600000000, 86400000000};
    return (1 + below(300)) * units[below(6)];
}

static struct expr *random_tree_number(int depth)
{
    if (depth <= 0) {
        return below(2) ? expr_number(random_number()) : expr_metric(random_name());
    }
    switch (below(8)) {
    case 0:
        return expr_unary(EXPR_NEGATE, random_tree_number(depth - 1));
    case 1:
        return expr_unary(EXPR_ABS, random_tree_number(depth - 1));
    case 2: {
        uint32_t form = below(3);
        return expr_window((enum window_fn)below(FN_N), random_name(),
                           form != 0 ? random_width() : 0,
                           form != 1 ? 1 + below(100000) : 0,
                           below(2) ? below(1001) / 10.0 : fmod(fabs(any_number()), 100));
    }
    default: {
        struct expr *left = random_tree_number(depth - 1 - (int)below(2));
        return expr_binary((enum expr_kind)(EXPR_ADD + below(4)), left,
                           random_tree_number(depth - 1 - (int)below(2)));
    }
    }
}

static struct expr *random_tree(int depth)
{
    if (depth <= 0 || below(4) == 0) {
        if (below(6) == 0) {
            return below(2) ? expr_absent(random_name(), random_width())
                            : expr_silent(random_width());
        }
        struct expr *left = random_tree_number(depth - 1);
        return expr_binary((enum expr_kind)(EXPR_GT + below(6)), left,
                           random_tree_number(depth - 1));
    }
    switch (below(5)) {
    case 0:
        return expr_unary(EXPR_NOT, random_tree(depth - 1));
    case 1:
        return expr_held(random_tree(depth - 1), random_width());
    default: {
        struct expr *left = random_tree(depth - 1 - (int)below(2));
        return expr_binary(below(2) ? EXPR_AND : EXPR_OR, left, random_tree(depth - 1));
    }
    }
}

#endif
