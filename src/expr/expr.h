/* The expression language (SPEC 4.2): one tree for field forms and hand-written rules.
 *
 * Pure: no I/O, no clock. Values have three states, so every result carries whether it is
 * known. Evaluating never allocates; its depth is bounded by EXPR_DEPTH_MAX.
 *
 *     or  : and { "or" and }
 *     and : not { "and" not }
 *     not : "not" not | comparison
 *     comparison : sum [ (> >= < <= == !=) sum ]     (a < b < c is an error)
 *     sum : product { (+ -) product }
 *     product : unary { (* /) unary }
 *     unary : "-" unary | primary                    (-5 is one number)
 *     primary : number | metric | `any metric name` | "(" or ")"
 *             | function "(" ... ")"
 *
 * Arithmetic takes numbers, and/or/not/held take conditions, a whole rule is a condition;
 * mixing them is an error with its column. Durations only stand as a window's argument.
 */
#ifndef BRINK_EXPR_EXPR_H
#define BRINK_EXPR_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "base/text.h"
#include "model/function.h"

#define EXPR_BYTES_MAX (64 * 1024)
#define EXPR_NODES_MAX 4096
#define EXPR_DEPTH_MAX 256    /* nesting; a chain a or b or c... counts too */
#define EXPR_COUNT_MAX 100000 /* #N at most */
#define EXPR_WIDTH_MAX_US (INT64_C(366) * 86400 * 1000000)

enum expr_kind {
    EXPR_NUMBER,
    EXPR_METRIC,
    EXPR_NEGATE, /* left */
    EXPR_ABS,    /* left */
    EXPR_ADD,
    EXPR_SUBTRACT,
    EXPR_MULTIPLY,
    EXPR_DIVIDE,
    EXPR_GT,
    EXPR_GE,
    EXPR_LT,
    EXPR_LE,
    EXPR_EQ,
    EXPR_NE,
    EXPR_NOT, /* left */
    EXPR_AND,
    EXPR_OR,
    EXPR_WINDOW, /* fn(metric, width, #count); percentile's p in number */
    EXPR_ABSENT, /* absent(metric, width) */
    EXPR_SILENT, /* silent(width) */
    EXPR_HELD,   /* held(left, width) */
};

/* 32 bytes: there are a few in every rule. */
struct expr {
    enum expr_kind kind : 8;
    enum window_fn fn : 8;
    int16_t slot;   /* for who binds the tree (rules/): which metric, span or held timer;
                       -1 */
    uint32_t count; /* #N, or 0 */
    int64_t width_us; /* or 0 */
    union {
        struct { /* of those with operands (expr_operands) */
            struct expr *left, *right;
        };
        struct {          /* of the others */
            char *metric; /* EXPR_METRIC, EXPR_WINDOW, EXPR_ABSENT; else NULL */
            double number;
        };
    };
};

/* How many operands: 2, 1 (left alone) or 0. */
unsigned expr_operands(enum expr_kind kind);

/* --- making trees: each takes its operands over, also when it fails (NULL: out of
 * memory, or an operand was NULL), so that calls can be nested and checked once. --- */
struct expr *expr_number(double v);
struct expr *expr_metric(struct text name);
struct expr *expr_unary(enum expr_kind kind, struct expr *left);
struct expr *expr_binary(enum expr_kind kind, struct expr *left, struct expr *right);
struct expr *expr_window(enum window_fn fn, struct text metric, int64_t width_us,
                         uint32_t count, double p);
struct expr *expr_absent(struct text metric, int64_t width_us);
struct expr *expr_silent(int64_t width_us);
struct expr *expr_held(struct expr *condition, int64_t width_us);
void expr_free(struct expr *e);
bool expr_equal(const struct expr *a, const struct expr *b); /* slots aside */
bool expr_is_condition(const struct expr *e);
/* Can a metric of that name stand in an expression? UTF-8, not empty, without control
 * characters and backquotes. What makes trees by hand asks first: any other name prints
 * as something that does not parse. */
bool expr_can_name(struct text name);

struct expr_error {
    unsigned column;   /* from 1, in characters */
    size_t offset;     /* the same in bytes, from 0 */
    char message[240]; /* "unknown function `averge`, did you mean `avg`?" */
};

/* Parses a whole condition. E_SYNTAX and E_LIMIT with *ret_error; E_NOMEM. BRINK_OK: the
 * message is empty, or warns of what is likely to be meant otherwise (`frz-temp`: the
 * difference of two metrics?). */
enum brink_status expr_parse(struct text source, struct expr **ret_tree,
                             struct expr_error *ret_error) BRINK_MUST_CHECK;

/* The canonical text: parses to an equal tree; fewest parentheses; names in backquotes
 * where they must be. */
void expr_print(const struct expr *e, struct buffer *out);

/* --- evaluation --- */
enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN };

/* What a tree is evaluated over. Each function gets the node, whose slot says what is
 * meant. latest and window return false for unknown. */
struct expr_env {
    void *ctx;
    bool (*latest)(void *ctx, const struct expr *metric, double *ret_value);
    bool (*window)(void *ctx, const struct expr *call, double *ret_value);
    enum truth (*absent)(void *ctx, const struct expr *call);
    enum truth (*silent)(void *ctx, const struct expr *call);
    /* Given what the condition inside is now, is it held? */
    enum truth (*held)(void *ctx, const struct expr *call, enum truth now);
};

/* Why a condition came out as it did: the first comparison, absent() or silent() from the
 * left whose own outcome made the whole one what it is. comparison == NULL: none
 * (unknown). */
struct expr_reason {
    const struct expr *comparison;
    bool known;         /* are left and right known? */
    double left, right; /* of a comparison */
};

enum truth expr_evaluate(const struct expr *condition, const struct expr_env *env,
                         struct expr_reason *ret_reason /* may be NULL */);

enum truth truth_and(enum truth a, enum truth b);
enum truth truth_or(enum truth a, enum truth b);
enum truth truth_not(enum truth a);

/* Unknown (false) for a division by 0 or any result that is not finite. */
bool expr_arithmetic(enum expr_kind kind, double a, double b, double *ret_value);

/* Walks the tree in order of its text, parents after their operands. */
void expr_walk(struct expr *e, void (*visit)(void *ctx, struct expr *node), void *ctx);

#endif
