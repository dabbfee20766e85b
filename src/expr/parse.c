/* Recursive descent with binding powers. Recursion is bounded by EXPR_DEPTH_MAX
 * parentheses, calls and prefix operators, with at most a handful of frames between two
 * of them. */
#include "base/number.h"
#include "expr/advice.h"
#include "expr/lex.h"
#include "expr/syntax.h"

struct parser {
    struct lexer lexer;
    struct token token; /* the next one */
    struct token last;  /* the one before it */
    unsigned nodes, nesting;
};

/* A part of the tree. e == NULL: it failed, and the lexer knows why. */
struct parsed {
    struct expr *e;
    unsigned depth;
    unsigned start; /* column of its first character */
};

static const struct parsed failed = {0};

static struct parsed parse(struct parser *p, enum binding least);

#define FAIL(p, column, ...) lex_fail(&(p)->lexer, BRINK_E_SYNTAX, (column), __VA_ARGS__)

static bool advance(struct parser *p)
{
    p->last = p->token;
    return lex_next(&p->lexer, &p->token);
}

static bool expect(struct parser *p, enum token_kind kind, const char *what)
{
    if (p->token.kind != kind) {
        char shown[LEX_SHOWN_BYTES];
        return FAIL(p, p->token.column, "expected %s before %s", what,
                    lex_show(&p->token, shown));
    }
    return advance(p);
}

/* Takes a new node into account and completes it; frees it when a limit is reached. */
static struct parsed made(struct parser *p, struct expr *e, unsigned depth,
                          unsigned column, unsigned start)
{
    if (!e) {
        lex_fail(&p->lexer, BRINK_E_NOMEM, column, "out of memory");
        return failed;
    }
    if (++p->nodes > EXPR_NODES_MAX) {
        lex_fail(&p->lexer, BRINK_E_LIMIT, column, "more than %d operators and values",
                 EXPR_NODES_MAX);
    } else if (depth > EXPR_DEPTH_MAX) {
        lex_fail(&p->lexer, BRINK_E_LIMIT, column, "nested or chained more than %d deep",
                 EXPR_DEPTH_MAX);
    } else {
        return (struct parsed){e, depth, start};
    }
    expr_free(e);
    return failed;
}

static bool nest(struct parser *p)
{
    return ++p->nesting <= EXPR_DEPTH_MAX ||
           lex_fail(&p->lexer, BRINK_E_LIMIT, p->token.column,
                    "nested or chained more than %d deep", EXPR_DEPTH_MAX);
}

/* Is x of the kind that `who` takes? Frees it if not. */
static bool suits(struct parser *p, struct parsed *x, bool condition, const char *who)
{
    if (!x->e || expr_is_condition(x->e) == condition) {
        return x->e != NULL;
    }
    if (condition) {
        FAIL(p, x->start, "%s needs a condition here, such as a comparison, not a number",
             who);
    } else {
        FAIL(p, x->start, "%s needs a number here, not a condition", who);
    }
    expr_free(x->e);
    x->e = NULL;
    return false;
}

/* --- calls --- */

static bool metric_argument(struct parser *p, const char *fn, struct text *ret_name)
{
    char shown[LEX_SHOWN_BYTES];
    if (p->token.kind != TOKEN_NAME && p->token.kind != TOKEN_QUOTED) {
        return FAIL(p, p->token.column, "`%s` takes a metric's name, not %s", fn,
                    lex_show(&p->token, shown));
    }
    *ret_name = p->token.text;
    if (!advance(p)) {
        return false;
    }
    switch (p->token.kind) {
    case TOKEN_COMMA:
        return advance(p);
    case TOKEN_OPERATOR:
    case TOKEN_OPEN:
        return FAIL(p, p->token.column, "`%s` takes a metric's name, not an expression%s",
                    fn,
                    p->token.follows && p->token.op == EXPR_SUBTRACT
                        ? "; a name with `-` goes in backquotes"
                        : "");
    case TOKEN_CLOSE:
        return FAIL(p, p->token.column,
                    "`%s` needs a window after the metric, such as 5m", fn);
    default:
        return FAIL(p, p->token.column, "expected `,` before %s",
                    lex_show(&p->token, shown));
    }
}

static bool duration_argument(struct parser *p, int64_t *ret_us)
{
    char shown[LEX_SHOWN_BYTES];
    if (p->token.kind != TOKEN_DURATION && p->token.kind != TOKEN_NUMBER) {
        return FAIL(p, p->token.column, "expected a duration such as 5m before %s",
                    lex_show(&p->token, shown));
    }
    if (number_parse_duration(p->token.text, ret_us) != BRINK_OK ||
        *ret_us > EXPR_WIDTH_MAX_US) {
        return FAIL(p, p->token.column, "%s is too long; 366d is the most",
                    lex_show(&p->token, shown));
    }
    if (*ret_us <= 0) {
        return FAIL(p, p->token.column, "%s is too short", lex_show(&p->token, shown));
    }
    struct token number = p->token;
    if (!advance(p)) {
        return false;
    }
    char meant[NUMBER_BYTES];
    struct text both = {number.text.p,
                        (size_t)(p->token.text.p - number.text.p) + p->token.text.n};
    if (number.kind == TOKEN_NUMBER && p->token.kind == TOKEN_NAME &&
        advice_duration(both, meant)) {
        return FAIL(p, number.column, "a duration is one word, did you mean `%s`?",
                    meant);
    }
    return true;
}

/* 5m | #5 | 5m, #5 */
static bool span_argument(struct parser *p, int64_t *ret_us, uint32_t *ret_count)
{
    if (p->token.kind != TOKEN_COUNT) {
        if (!duration_argument(p, ret_us)) {
            return false;
        }
        if (p->token.kind != TOKEN_COMMA) {
            return true;
        }
        if (!advance(p)) {
            return false;
        }
        if (p->token.kind != TOKEN_COUNT) {
            char shown[LEX_SHOWN_BYTES];
            return FAIL(p, p->token.column,
                        "expected a number of readings, such as #5, before %s",
                        lex_show(&p->token, shown));
        }
    }
    *ret_count = p->token.count;
    if (!advance(p)) {
        return false;
    }
    return p->token.kind != TOKEN_COMMA ||
           FAIL(p, p->token.column, "the number of readings comes last, as in 10m, #5");
}

static bool percentile_argument(struct parser *p, double *ret)
{
    if (p->token.kind != TOKEN_NUMBER || p->token.number > 100) {
        char shown[LEX_SHOWN_BYTES];
        return FAIL(p, p->token.column,
                    "`percentile` takes a number from 0 to 100, not %s",
                    lex_show(&p->token, shown));
    }
    *ret = p->token.number;
    return advance(p) && expect(p, TOKEN_COMMA, "`,`");
}

/* fn(metric, 5m), behind the `(`. */
static struct parsed window_call(struct parser *p, enum window_fn fn, unsigned column)
{
    struct text metric;
    int64_t width_us = 0;
    uint32_t count = 0;
    double at = 0;
    if (!metric_argument(p, window_fn_name(fn), &metric) ||
        (fn == FN_PERCENTILE && !percentile_argument(p, &at)) ||
        !span_argument(p, &width_us, &count) || !expect(p, TOKEN_CLOSE, "`)`")) {
        return failed;
    }
    return made(p, expr_window(fn, metric, width_us, count, at), 1, column, column);
}

static struct parsed absent_call(struct parser *p, unsigned column)
{
    struct text metric;
    int64_t width_us;
    if (!metric_argument(p, "absent", &metric) || !duration_argument(p, &width_us) ||
        !expect(p, TOKEN_CLOSE, "`)`")) {
        return failed;
    }
    return made(p, expr_absent(metric, width_us), 1, column, column);
}

static struct parsed silent_call(struct parser *p, unsigned column)
{
    int64_t width_us;
    if (!duration_argument(p, &width_us) || !expect(p, TOKEN_CLOSE, "`)`")) {
        return failed;
    }
    return made(p, expr_silent(width_us), 1, column, column);
}

static struct parsed held_call(struct parser *p, unsigned column)
{
    int64_t width_us;
    struct parsed inner = parse(p, BINDS_OR);
    if (!suits(p, &inner, true, "`held`")) {
        return failed;
    }
    if (!expect(p, TOKEN_COMMA, "`,`") || !duration_argument(p, &width_us) ||
        !expect(p, TOKEN_CLOSE, "`)`")) {
        expr_free(inner.e);
        return failed;
    }
    return made(p, expr_held(inner.e, width_us), inner.depth + 1, column, column);
}

static struct parsed abs_call(struct parser *p, unsigned column)
{
    struct parsed inner = parse(p, BINDS_OR);
    if (!suits(p, &inner, false, "`abs`")) {
        return failed;
    }
    if (!expect(p, TOKEN_CLOSE, "`)`")) {
        expr_free(inner.e);
        return failed;
    }
    return made(p, expr_unary(EXPR_ABS, inner.e), inner.depth + 1, column, column);
}

static const struct {
    const char *name;
    struct parsed (*parse)(struct parser *p, unsigned column);
} calls[] = {
    {"abs", abs_call},
    {"absent", absent_call},
    {"held", held_call},
    {"silent", silent_call},
};
#define N_CALLS (sizeof calls / sizeof calls[0])

static struct parsed unknown_call(struct parser *p, const struct token *name)
{
    const char *meant = advice_function(name->text);
    char shown[LEX_SHOWN_BYTES];
    if (meant) {
        FAIL(p, name->column, "unknown function %s, did you mean `%s`?",
             lex_show(name, shown), meant);
    } else {
        FAIL(p, name->column, "unknown function %s", lex_show(name, shown));
    }
    return failed;
}

/* Behind a name, at the `(`. */
static struct parsed call(struct parser *p, const struct token *name)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        if (text_equal(name->text, text_of(calls[i].name))) {
            return nest(p) && advance(p) ? calls[i].parse(p, name->column) : failed;
        }
    }
    for (unsigned fn = 0; fn < FN_N; fn++) {
        if (text_equal(name->text, text_of(window_fn_name((enum window_fn)fn)))) {
            return advance(p) ? window_call(p, (enum window_fn)fn, name->column) : failed;
        }
    }
    return unknown_call(p, name);
}

/* --- operands and operators --- */

static struct parsed parenthesized(struct parser *p, unsigned start)
{
    if (!advance(p)) {
        return failed;
    }
    struct parsed inner = parse(p, BINDS_OR);
    if (inner.e && !expect(p, TOKEN_CLOSE, "`)`")) {
        expr_free(inner.e);
        return failed;
    }
    inner.start = start;
    return inner;
}

/* Behind `not`. */
static struct parsed negation(struct parser *p, unsigned column, enum binding least)
{
    if (least > BINDS_NOT) {
        FAIL(p, column, "`not` needs parentheses around it here");
        return failed;
    }
    struct parsed inner = parse(p, BINDS_NOT);
    if (!suits(p, &inner, true, "`not`")) {
        return failed;
    }
    return made(p, expr_unary(EXPR_NOT, inner.e), inner.depth + 1, column, column);
}

/* Behind `-` in front of an operand: part of the number that follows, or an operator. */
static struct parsed minus(struct parser *p, unsigned column)
{
    if (p->token.kind == TOKEN_NUMBER) {
        double v = -p->token.number;
        return advance(p) ? made(p, expr_number(v), 1, column, column) : failed;
    }
    struct parsed inner = parse(p, BINDS_UNARY);
    if (!suits(p, &inner, false, "`-`")) {
        return failed;
    }
    return made(p, expr_unary(EXPR_NEGATE, inner.e), inner.depth + 1, column, column);
}

static struct parsed name_or_call(struct parser *p, const struct token *name)
{
    if (!advance(p)) {
        return failed;
    }
    if (p->token.kind == TOKEN_OPEN && name->kind == TOKEN_NAME) {
        return call(p, name);
    }
    if (name->kind == TOKEN_NAME && (text_equal_nocase(name->text, TEXT("true")) ||
                                     text_equal_nocase(name->text, TEXT("false")))) {
        char shown[LEX_SHOWN_BYTES];
        lex_warn(&p->lexer, name->column,
                 "%s is read as a metric's name; what is true or false has the value 1 "
                 "or 0",
                 lex_show(name, shown));
    }
    return made(p, expr_metric(name->text), 1, name->column, name->column);
}

static struct parsed nested_operand(struct parser *p, const struct token *t,
                                    enum binding least)
{
    char shown[LEX_SHOWN_BYTES];
    switch (t->kind) {
    case TOKEN_NUMBER:
        return advance(p) ? made(p, expr_number(t->number), 1, t->column, t->column)
                          : failed;
    case TOKEN_NAME:
    case TOKEN_QUOTED:
        return name_or_call(p, t);
    case TOKEN_OPEN:
        return nest(p) ? parenthesized(p, t->column) : failed;
    case TOKEN_OPERATOR:
        if (t->op == EXPR_NOT) {
            return nest(p) && advance(p) ? negation(p, t->column, least) : failed;
        }
        if (t->op == EXPR_SUBTRACT) {
            return nest(p) && advance(p) ? minus(p, t->column) : failed;
        }
        break;
    case TOKEN_DURATION:
        FAIL(p, t->column, "%s is a duration; only windows take one", lex_show(t, shown));
        return failed;
    case TOKEN_COUNT:
        FAIL(p, t->column, "%s is a number of readings; only windows take one",
             lex_show(t, shown));
        return failed;
    default:
        break;
    }
    FAIL(p, t->column, "expected a value before %s", lex_show(t, shown));
    return failed;
}

static struct parsed operand(struct parser *p, enum binding least)
{
    struct token t = p->token;
    unsigned nesting = p->nesting;
    struct parsed x = nested_operand(p, &t, least);
    p->nesting = nesting;
    return x;
}

/* left OP right, with the token of OP. Takes both. */
static struct parsed joined(struct parser *p, struct parsed left,
                            const struct token *sign, struct parsed right)
{
    char shown[LEX_SHOWN_BYTES];
    const char *who = lex_show(sign, shown);
    bool conditions = sign->op == EXPR_AND || sign->op == EXPR_OR;
    bool fits = suits(p, &left, conditions, who);
    if (!suits(p, &right, conditions, who) || !fits) {
        expr_free(left.e);
        expr_free(right.e);
        return failed;
    }
    unsigned depth = (left.depth > right.depth ? left.depth : right.depth) + 1;
    return made(p, expr_binary(sign->op, left.e, right.e), depth, sign->column,
                left.start);
}

/* `frz-temp`, with the sign and the token before it: a difference, or one metric's name?
 */
static void warn_of_dash(struct parser *p, const struct token *left,
                         const struct token *sign)
{
    const struct token *right = &p->token;
    if (sign->op != EXPR_SUBTRACT || left->kind != TOKEN_NAME || !sign->follows ||
        !right->follows || (right->kind != TOKEN_NAME && right->kind != TOKEN_NUMBER)) {
        return;
    }
    const struct lexer *l = &p->lexer;
    if (l->at < l->source.n && l->source.p[l->at] == '(') {
        return; /* x-max(...) */
    }
    struct token both = *left;
    both.text.n = (size_t)(right->text.p - left->text.p) + right->text.n;
    char shown[LEX_SHOWN_BYTES];
    lex_warn(&p->lexer, left->column,
             "%s is read as a difference: a metric of that name goes in backquotes, a "
             "minus sign has a space on each side",
             lex_show(&both, shown));
}

/* An operand and the operators behind it that bind at least so tightly. */
static struct parsed parse(struct parser *p, enum binding least)
{
    struct parsed left = operand(p, least);
    while (left.e && p->token.kind == TOKEN_OPERATOR && p->token.op != EXPR_NOT) {
        struct token before = p->last, sign = p->token;
        enum binding binds = syntax_operator(sign.op).binds;
        if (binds < least) {
            break;
        }
        struct parsed right = failed;
        if (advance(p)) {
            warn_of_dash(p, &before, &sign);
            right = parse(p, binds + 1);
        }
        left = joined(p, left, &sign, right);
        if (left.e && binds == BINDS_COMPARISON && p->token.kind == TOKEN_OPERATOR &&
            syntax_operator(p->token.op).binds == BINDS_COMPARISON) {
            FAIL(p, p->token.column,
                 "comparisons do not chain: join them with `and`, as in 1 < t and t < 3");
            expr_free(left.e);
            return failed;
        }
    }
    return left;
}

static struct parsed parse_all(struct parser *p)
{
    if (!advance(p)) {
        return failed;
    }
    if (p->token.kind == TOKEN_END) {
        FAIL(p, p->token.column, "there is no condition here");
        return failed;
    }
    struct parsed whole = parse(p, BINDS_OR);
    if (whole.e && p->token.kind != TOKEN_END) {
        char shown[LEX_SHOWN_BYTES];
        if (p->token.kind == TOKEN_CLOSE) {
            FAIL(p, p->token.column, "this `)` closes nothing");
        } else {
            bool names = p->last.kind == TOKEN_NAME && p->token.kind == TOKEN_NAME;
            bool numbers = p->last.kind == TOKEN_NUMBER && p->token.kind == TOKEN_COMMA;
            FAIL(p, p->token.column, "expected an operator before %s%s",
                 lex_show(&p->token, shown),
                 names     ? "; a metric's name with a space goes in backquotes"
                 : numbers ? "; decimals stand behind a point"
                           : "");
        }
        expr_free(whole.e);
        return failed;
    }
    (void)suits(p, &whole, true, "a rule");
    return whole;
}

enum brink_status expr_parse(struct text source, struct expr **ret_tree,
                             struct expr_error *ret_error)
{
    struct parser p = {.lexer = {.source = source, .column = 1, .error = ret_error}};
    *ret_error = (struct expr_error){.column = 1};
    if (!source.p) {
        p.lexer.source.p = "";
    }
    if (source.n > EXPR_BYTES_MAX) {
        (void)lex_fail(&p.lexer, BRINK_E_LIMIT, 1, "longer than %d bytes",
                       EXPR_BYTES_MAX);
        return p.lexer.status;
    }
    struct parsed whole = parse_all(&p);
    if (whole.e) {
        *ret_tree = whole.e;
    }
    return p.lexer.status;
}
