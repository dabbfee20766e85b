#include <math.h>

#include "base/number.h"
#include "expr/syntax.h"

struct syntax syntax_operator(enum expr_kind kind)
{
    switch (kind) {
    case EXPR_NEGATE:
        return (struct syntax){"-", BINDS_UNARY};
    case EXPR_ADD:
        return (struct syntax){"+", BINDS_SUM};
    case EXPR_SUBTRACT:
        return (struct syntax){"-", BINDS_SUM};
    case EXPR_MULTIPLY:
        return (struct syntax){"*", BINDS_PRODUCT};
    case EXPR_DIVIDE:
        return (struct syntax){"/", BINDS_PRODUCT};
    case EXPR_GT:
        return (struct syntax){">", BINDS_COMPARISON};
    case EXPR_GE:
        return (struct syntax){">=", BINDS_COMPARISON};
    case EXPR_LT:
        return (struct syntax){"<", BINDS_COMPARISON};
    case EXPR_LE:
        return (struct syntax){"<=", BINDS_COMPARISON};
    case EXPR_EQ:
        return (struct syntax){"==", BINDS_COMPARISON};
    case EXPR_NE:
        return (struct syntax){"!=", BINDS_COMPARISON};
    case EXPR_NOT:
        return (struct syntax){"not", BINDS_NOT};
    case EXPR_AND:
        return (struct syntax){"and", BINDS_AND};
    case EXPR_OR:
        return (struct syntax){"or", BINDS_OR};
    default:
        return (struct syntax){NULL, BINDS_PRIMARY};
    }
}

bool syntax_is_plain_name(struct text name)
{
    if (name.n == 0 || !syntax_starts_name(name.p[0])) {
        return false;
    }
    for (size_t i = 1; i < name.n; i++) {
        if (!syntax_continues_name(name.p[i])) {
            return false;
        }
    }
    return !text_equal_nocase(name, TEXT("and")) &&
           !text_equal_nocase(name, TEXT("or")) && !text_equal_nocase(name, TEXT("not"));
}

bool expr_can_name(struct text name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c < 0x20 || c == 0x7f || c == '`') {
            return false;
        }
    }
    return name.n > 0 && text_is_utf8(name);
}

static void print_name(const char *name, struct buffer *out)
{
    bool plain = syntax_is_plain_name(text_of(name));
    if (!plain) {
        buffer_char(out, '`');
    }
    buffer_cstring(out, name);
    if (!plain) {
        buffer_char(out, '`');
    }
}

static void print_number(double v, struct buffer *out)
{
    char digits[NUMBER_BYTES];
    buffer_put(out, digits, number_print_plain(v, digits));
}

static void print_duration(int64_t us, struct buffer *out)
{
    char digits[NUMBER_BYTES];
    buffer_put(out, digits, number_print_duration(us, digits));
}

/* ", 5m" ", #5" ", 5m, #5" */
static void print_span(const struct expr *e, struct buffer *out)
{
    if (e->width_us != 0) {
        buffer_cstring(out, ", ");
        print_duration(e->width_us, out);
    }
    if (e->count != 0) {
        char digits[NUMBER_BYTES];
        buffer_cstring(out, ", #");
        buffer_put(out, digits, number_print_plain(e->count, digits));
    }
}

static enum binding binding_of(const struct expr *e)
{
    /* A minus sign belongs to the number, but the two stand as an unary operator would.
     */
    return e->kind == EXPR_NUMBER && signbit(e->number) ? BINDS_UNARY
                                                        : syntax_operator(e->kind).binds;
}

static void print(const struct expr *e, struct buffer *out);

/* e, in parentheses if it binds less than what is needed at its place. */
static void print_within(const struct expr *e, enum binding needed, struct buffer *out)
{
    bool wrap = binding_of(e) < needed;
    if (wrap) {
        buffer_char(out, '(');
    }
    print(e, out);
    if (wrap) {
        buffer_char(out, ')');
    }
}

static void print(const struct expr *e, struct buffer *out)
{
    struct syntax op = syntax_operator(e->kind);
    switch (e->kind) {
    case EXPR_NUMBER:
        print_number(e->number, out);
        break;
    case EXPR_METRIC:
        print_name(e->metric, out);
        break;
    case EXPR_NEGATE:
        buffer_char(out, '-');
        /* -5 would be read as one number. */
        print_within(e->left,
                     e->left->kind == EXPR_NUMBER && !signbit(e->left->number)
                         ? BINDS_PRIMARY + 1
                         : BINDS_UNARY,
                     out);
        break;
    case EXPR_NOT:
        buffer_cstring(out, "not ");
        print_within(e->left, BINDS_NOT, out);
        break;
    case EXPR_ABS:
        buffer_cstring(out, "abs(");
        print(e->left, out);
        buffer_char(out, ')');
        break;
    case EXPR_WINDOW:
        buffer_cstring(out, window_fn_name(e->fn));
        buffer_char(out, '(');
        print_name(e->metric, out);
        if (e->fn == FN_PERCENTILE) {
            buffer_cstring(out, ", ");
            print_number(e->number, out);
        }
        print_span(e, out);
        buffer_char(out, ')');
        break;
    case EXPR_ABSENT:
        buffer_cstring(out, "absent(");
        print_name(e->metric, out);
        print_span(e, out);
        buffer_char(out, ')');
        break;
    case EXPR_SILENT:
        buffer_cstring(out, "silent(");
        print_duration(e->width_us, out);
        buffer_char(out, ')');
        break;
    case EXPR_HELD:
        buffer_cstring(out, "held(");
        print(e->left, out);
        print_span(e, out);
        buffer_char(out, ')');
        break;
    default:
        /* Operators group to the left; comparisons do not chain at all. */
        print_within(e->left, op.binds == BINDS_COMPARISON ? BINDS_SUM : op.binds, out);
        buffer_char(out, ' ');
        buffer_cstring(out, op.text);
        buffer_char(out, ' ');
        print_within(e->right, op.binds + 1, out);
    }
}

void expr_print(const struct expr *e, struct buffer *out)
{
    print(e, out);
}
