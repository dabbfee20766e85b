#include <math.h>

#include "expr/expr.h"

enum truth truth_and(enum truth a, enum truth b)
{
    if (a == TRUTH_FALSE || b == TRUTH_FALSE) {
        return TRUTH_FALSE;
    }
    return a == TRUTH_TRUE && b == TRUTH_TRUE ? TRUTH_TRUE : TRUTH_UNKNOWN;
}

enum truth truth_or(enum truth a, enum truth b)
{
    if (a == TRUTH_TRUE || b == TRUTH_TRUE) {
        return TRUTH_TRUE;
    }
    return a == TRUTH_FALSE && b == TRUTH_FALSE ? TRUTH_FALSE : TRUTH_UNKNOWN;
}

enum truth truth_not(enum truth a)
{
    switch (a) {
    case TRUTH_FALSE:
        return TRUTH_TRUE;
    case TRUTH_TRUE:
        return TRUTH_FALSE;
    default:
        return TRUTH_UNKNOWN;
    }
}

bool expr_arithmetic(enum expr_kind kind, double a, double b, double *ret_value)
{
    double v;
    switch (kind) {
    case EXPR_ADD:
        v = a + b;
        break;
    case EXPR_SUBTRACT:
        v = a - b;
        break;
    case EXPR_MULTIPLY:
        v = a * b;
        break;
    case EXPR_DIVIDE:
        if (b == 0) {
            return false;
        }
        v = a / b;
        break;
    default:
        return false;
    }
    if (!isfinite(v)) {
        return false;
    }
    *ret_value = v;
    return true;
}

static bool number(const struct expr *e, const struct expr_env *env, double *ret)
{
    double a, b;
    switch (e->kind) {
    case EXPR_NUMBER:
        *ret = e->number;
        return true;
    case EXPR_METRIC:
        return env->latest(env->ctx, e, ret);
    case EXPR_WINDOW:
        return env->window(env->ctx, e, ret);
    case EXPR_NEGATE:
    case EXPR_ABS:
        if (!number(e->left, env, &a)) {
            return false;
        }
        *ret = e->kind == EXPR_ABS ? fabs(a) : -a;
        return true;
    case EXPR_ADD:
    case EXPR_SUBTRACT:
    case EXPR_MULTIPLY:
    case EXPR_DIVIDE:
        return number(e->left, env, &a) && number(e->right, env, &b) &&
               expr_arithmetic(e->kind, a, b, ret);
    default:
        return false; /* a condition: no parser and no rule makes such a tree */
    }
}

static bool compares(enum expr_kind kind, double a, double b)
{
    switch (kind) {
    case EXPR_GT:
        return a > b;
    case EXPR_GE:
        return a >= b;
    case EXPR_LT:
        return a < b;
    case EXPR_LE:
        return a <= b;
    case EXPR_EQ:
        return a == b;
    default:
        return a != b;
    }
}

static enum truth condition(const struct expr *e, const struct expr_env *env,
                            struct expr_reason *reason)
{
    struct expr_reason other = {0};
    enum truth a, b;
    *reason = (struct expr_reason){0};
    switch (e->kind) {
    case EXPR_GT:
    case EXPR_GE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_EQ:
    case EXPR_NE: {
        double left, right;
        bool left_known = number(e->left, env, &left);
        if (!number(e->right, env, &right) || !left_known) {
            return TRUTH_UNKNOWN;
        }
        *reason = (struct expr_reason){e, true, left, right};
        return compares(e->kind, left, right) ? TRUTH_TRUE : TRUTH_FALSE;
    }
    case EXPR_ABSENT:
    case EXPR_SILENT:
        a = e->kind == EXPR_ABSENT ? env->absent(env->ctx, e) : env->silent(env->ctx, e);
        reason->comparison = a == TRUTH_UNKNOWN ? NULL : e;
        return a;
    case EXPR_NOT:
        return truth_not(condition(e->left, env, reason));
    case EXPR_HELD:
        a = env->held(env->ctx, e, condition(e->left, env, reason));
        if (a == TRUTH_UNKNOWN) {
            *reason = other;
        }
        return a;
    case EXPR_AND:
    case EXPR_OR:
        /* Always both, so that every held() sees every evaluation. */
        a = condition(e->left, env, reason);
        b = condition(e->right, env, &other);
        enum truth both = e->kind == EXPR_AND ? truth_and(a, b) : truth_or(a, b);
        if (a != both || both == TRUTH_UNKNOWN) {
            *reason = both == TRUTH_UNKNOWN ? (struct expr_reason){0} : other;
        }
        return both;
    default:
        return TRUTH_UNKNOWN; /* a number: no parser and no rule makes such a tree */
    }
}

enum truth expr_evaluate(const struct expr *tree, const struct expr_env *env,
                         struct expr_reason *ret_reason)
{
    struct expr_reason reason;
    enum truth t = condition(tree, env, &reason);
    if (ret_reason) {
        *ret_reason = reason;
    }
    return t;
}
