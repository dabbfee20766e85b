#include "expr/lex.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"
#include "expr/advice.h"
#include "expr/syntax.h"

__attribute__((format(printf, 3, 0))) static void note(struct lexer *l, unsigned column,
                                                       const char *format, va_list args)
{
    unsigned at = 1;
    size_t i = 0;
    for (; i < l->source.n && at < column; i++) {
        bool last_byte = i + 1 == l->source.n || (l->source.p[i + 1] & 0xc0) != 0x80;
        at += last_byte;
    }
    l->error->column = column;
    l->error->offset = i;
    vsnprintf(l->error->message, sizeof l->error->message, format, args);
}

bool lex_fail(struct lexer *l, enum brink_status status, unsigned column,
              const char *format, ...)
{
    if (l->status == BRINK_OK) {
        va_list args;
        va_start(args, format);
        l->status = status;
        note(l, column, format, args);
        va_end(args);
    }
    return false;
}

void lex_warn(struct lexer *l, unsigned column, const char *format, ...)
{
    if (l->status == BRINK_OK && l->error->message[0] == '\0') {
        va_list args;
        va_start(args, format);
        note(l, column, format, args);
        va_end(args);
    }
}

/* Quoted, escaped and cut: what is shown comes from a file that anybody may have written.
 */
static const char *show_text(struct text t, char out[LEX_SHOWN_BYTES])
{
    out[0] = '`';
    size_t n = 1 + text_escape(t, out + 1, LEX_SHOWN_BYTES - 2);
    out[n] = '`';
    out[n + 1] = '\0';
    return out;
}

const char *lex_show(const struct token *t, char out[LEX_SHOWN_BYTES])
{
    return t->kind == TOKEN_END ? "the end" : show_text(t->text, out);
}

static char peek(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->source.n ? l->source.p[l->at + ahead] : '\0';
}

static struct text take(struct lexer *l, size_t n)
{
    struct text t = {l->source.p + l->at, n};
    for (size_t i = 0; i < n; i++) {
        l->column +=
            ((unsigned char)t.p[i] & 0xc0) != 0x80; /* bytes that start a character */
    }
    l->at += n;
    return t;
}

static size_t name_length(const struct lexer *l, size_t from)
{
    size_t n = from;
    while (syntax_continues_name(peek(l, n))) {
        n++;
    }
    return n;
}

/* A number, or what starts like one: 5m, 2.5e-3. */
static bool lex_number(struct lexer *l, struct token *t)
{
    size_t n = 0;
    while (syntax_is_digit(peek(l, n)) || peek(l, n) == '.') {
        n++;
    }
    if (peek(l, n) == 'e' || peek(l, n) == 'E') {
        size_t digits = n + (peek(l, n + 1) == '+' || peek(l, n + 1) == '-' ? 2 : 1);
        while (syntax_is_digit(peek(l, digits))) {
            n = ++digits;
        }
    }
    size_t whole = name_length(l, n);
    t->text = take(l, whole);
    char shown[LEX_SHOWN_BYTES];
    if (whole > n) {
        int64_t us;
        char meant[NUMBER_BYTES];
        t->kind = TOKEN_DURATION;
        if (number_parse_duration(t->text, &us) != BRINK_E_SYNTAX) {
            return true;
        }
        if (advice_duration(t->text, meant)) {
            return lex_fail(l, BRINK_E_SYNTAX, t->column,
                            "%s is no duration, did you mean `%s`?",
                            show_text(t->text, shown), meant);
        }
        return lex_fail(l, BRINK_E_SYNTAX, t->column,
                        "%s is neither a number nor a duration such as 5m; a metric's "
                        "name that begins with a digit goes in backquotes",
                        show_text(t->text, shown));
    }
    t->kind = TOKEN_NUMBER;
    switch (number_parse(t->text, &t->number)) {
    case BRINK_OK:
        return true;
    case BRINK_E_RANGE:
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "%s is too large a number",
                        show_text(t->text, shown));
    default:
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "%s is not a number",
                        show_text(t->text, shown));
    }
}

/* #5 */
static bool lex_count(struct lexer *l, struct token *t)
{
    t->kind = TOKEN_COUNT;
    t->text = take(l, name_length(l, 1));
    struct text digits = {t->text.p + 1, t->text.n - 1};
    uint64_t count = 0;
    enum brink_status status = number_parse_u64(digits, &count);
    if (status == BRINK_E_SYNTAX) {
        return lex_fail(l, BRINK_E_SYNTAX, t->column,
                        "expected a number of readings after `#`, such as #5");
    }
    if (status != BRINK_OK || count < 1 || count > EXPR_COUNT_MAX) {
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "`#` takes 1 to %d readings",
                        EXPR_COUNT_MAX);
    }
    t->count = (uint32_t)count;
    return true;
}

static bool lex_quoted(struct lexer *l, struct token *t)
{
    size_t n = 1;
    while (l->at + n < l->source.n && peek(l, n) != '`') {
        n++;
    }
    if (l->at + n == l->source.n) {
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "this backquote is never closed");
    }
    t->kind = TOKEN_QUOTED;
    struct text quoted = take(l, n + 1);
    t->text = (struct text){quoted.p + 1, n - 1};
    if (t->text.n == 0) {
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "a metric's name cannot be empty");
    }
    return expr_can_name(t->text) ||
           lex_fail(l, BRINK_E_SYNTAX, t->column,
                    "a metric's name must be UTF-8 without control characters");
}

/* Others are written otherwise here; say how. */
static bool lex_stray(struct lexer *l, const struct token *t)
{
    const char *advice =
        advice_sign((struct text){l->source.p + l->at, l->source.n - l->at});
    if (advice) {
        return lex_fail(l, BRINK_E_SYNTAX, t->column, "%s", advice);
    }
    size_t n = 1; /* a whole character */
    while (l->at + n < l->source.n && ((unsigned char)peek(l, n) & 0xc0) == 0x80) {
        n++;
    }
    char shown[LEX_SHOWN_BYTES];
    struct text stray = {l->source.p + l->at, n};
    bool in_name = n > 1 || syntax_starts_name(peek(l, 1)) ||
                   (l->at > 0 && syntax_continues_name(l->source.p[l->at - 1]));
    return lex_fail(l, BRINK_E_SYNTAX, t->column, "unexpected %s%s",
                    show_text(stray, shown),
                    in_name ? "; a metric's name that has one goes in backquotes" : "");
}

static bool lex_symbol(struct lexer *l, struct token *t)
{
    static const struct {
        char text[3];
        enum token_kind kind;
        enum expr_kind op;
    } symbols[] = {
        /* The longer first. */
        {">=", TOKEN_OPERATOR, EXPR_GE},      {"<=", TOKEN_OPERATOR, EXPR_LE},
        {"==", TOKEN_OPERATOR, EXPR_EQ},      {"!=", TOKEN_OPERATOR, EXPR_NE},
        {">", TOKEN_OPERATOR, EXPR_GT},       {"<", TOKEN_OPERATOR, EXPR_LT},
        {"+", TOKEN_OPERATOR, EXPR_ADD},      {"-", TOKEN_OPERATOR, EXPR_SUBTRACT},
        {"*", TOKEN_OPERATOR, EXPR_MULTIPLY}, {"/", TOKEN_OPERATOR, EXPR_DIVIDE},
        {"(", TOKEN_OPEN, EXPR_NUMBER},       {")", TOKEN_CLOSE, EXPR_NUMBER},
        {",", TOKEN_COMMA, EXPR_NUMBER},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        size_t n = symbols[i].text[1] == '\0' ? 1 : 2;
        if (peek(l, 0) == '<' && peek(l, 1) == '>') {
            break;
        }
        if (peek(l, 0) == symbols[i].text[0] &&
            (n == 1 || peek(l, 1) == symbols[i].text[1])) {
            t->kind = symbols[i].kind;
            t->op = symbols[i].op;
            t->text = take(l, n);
            return true;
        }
    }
    return lex_stray(l, t);
}

static void lex_name(struct lexer *l, struct token *t)
{
    t->kind = TOKEN_NAME;
    t->text = take(l, name_length(l, 1));
    static const enum expr_kind keywords[] = {EXPR_AND, EXPR_OR, EXPR_NOT};
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (text_equal_nocase(t->text, text_of(syntax_operator(keywords[i]).text))) {
            t->kind = TOKEN_OPERATOR;
            t->op = keywords[i];
        }
    }
}

bool lex_next(struct lexer *l, struct token *ret_token)
{
    size_t behind = l->at; /* the last word */
    unsigned column = l->column;
    while (l->at < l->source.n && (peek(l, 0) == ' ' || peek(l, 0) == '\t' ||
                                   peek(l, 0) == '\n' || peek(l, 0) == '\r')) {
        (void)take(l, 1);
    }
    *ret_token = (struct token){.kind = TOKEN_END,
                                .text = {l->source.p + l->at, 0},
                                .column = l->column,
                                .follows = l->at > 0 && l->at == behind};
    if (l->at == l->source.n) {
        ret_token->column = column;
        return true;
    }
    char c = peek(l, 0);
    if (syntax_is_digit(c) || (c == '.' && syntax_is_digit(peek(l, 1)))) {
        return lex_number(l, ret_token);
    }
    if (syntax_starts_name(c)) {
        lex_name(l, ret_token);
        return true;
    }
    if (c == '#') {
        return lex_count(l, ret_token);
    }
    return c == '`' ? lex_quoted(l, ret_token) : lex_symbol(l, ret_token);
}
