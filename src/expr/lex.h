/* The words of the expression language. Private to expr/. */
#ifndef BRINK_EXPR_LEX_H
#define BRINK_EXPR_LEX_H

#include "expr/expr.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER,
    TOKEN_DURATION, /* 5m; a bare number can be one as well */
    TOKEN_COUNT,    /* #5 */
    TOKEN_NAME,
    TOKEN_QUOTED, /* a name in backquotes; text is what is between them */
    TOKEN_OPERATOR,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
};

struct token {
    enum token_kind kind;
    struct text text; /* of TOKEN_END: nothing, right behind the last word */
    unsigned column;
    bool follows; /* no white space stands before it */
    double number;
    uint32_t count;
    enum expr_kind op; /* `-` is EXPR_SUBTRACT wherever it stands */
};

struct lexer {
    struct text source;
    size_t at;
    unsigned column; /* of the character at `at`; characters, not bytes, are counted */
    enum brink_status status;
    struct expr_error *error; /* the first failure, or the first warning until then */
};

/* Reads the next word; false: it is none, and the failure is noted. */
bool lex_next(struct lexer *l, struct token *ret_token);

/* Notes a warning, unless there is one. */
void lex_warn(struct lexer *l, unsigned column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes a failure; always false, to be returned. */
bool lex_fail(struct lexer *l, enum brink_status status, unsigned column,
              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A token as it is quoted in messages: `temp`, or "the end". */
#define LEX_SHOWN_BYTES 48
const char *lex_show(const struct token *t, char out[LEX_SHOWN_BYTES]);

#endif
