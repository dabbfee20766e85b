/* What parser and printer have to agree on. Private to expr/. */
#ifndef BRINK_EXPR_SYNTAX_H
#define BRINK_EXPR_SYNTAX_H

#include "expr/expr.h"

/* How tightly an operator binds; the right operand of each must bind tighter than itself.
 */
enum binding {
    BINDS_NOTHING,
    BINDS_OR,
    BINDS_AND,
    BINDS_NOT,
    BINDS_COMPARISON,
    BINDS_SUM,
    BINDS_PRODUCT,
    BINDS_UNARY,
    BINDS_PRIMARY
};

struct syntax {
    const char *text;
    enum binding binds;
};

/* Of EXPR_ADD to EXPR_OR, EXPR_NOT and EXPR_NEGATE; NULL text for others. */
struct syntax syntax_operator(enum expr_kind kind);

/* Letters, digits, _ and dots, not starting with a digit or dot, and no keyword. */
bool syntax_is_plain_name(struct text name);

static inline bool syntax_starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline bool syntax_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool syntax_continues_name(char c)
{
    return syntax_starts_name(c) || syntax_is_digit(c) || c == '.';
}

#endif
