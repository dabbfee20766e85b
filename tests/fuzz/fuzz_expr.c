/* Any bytes: the parser refuses them with a message and a column, or what it made prints
 * as text that parses to an equal tree and prints the same again, and evaluates. */
#include <stdint.h>
#include <stdlib.h>

#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool no_value(void *ctx, const struct expr *e, double *ret)
{
    (void)ctx, (void)e, (void)ret;
    return false;
}

static enum truth no_truth(void *ctx, const struct expr *e)
{
    (void)ctx, (void)e;
    return TRUTH_UNKNOWN;
}

static enum truth as_is(void *ctx, const struct expr *e, enum truth now)
{
    (void)ctx, (void)e;
    return now;
}

static void require(bool promise)
{
    if (!promise) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text source = {(const char *)data, size};
    struct expr *tree = NULL, *again = NULL;
    struct expr_error error = {0};
    if (expr_parse(source, &tree, &error) != BRINK_OK) {
        require(!tree && error.column > 0 && error.message[0] != '\0');
        require(text_is_utf8(text_of(error.message)));
        return 0;
    }
    struct buffer printed = {0}, twice = {0};
    expr_print(tree, &printed);
    require(expr_parse(buffer_view(&printed), &again, &error) == BRINK_OK);
    require(expr_equal(tree, again));
    expr_print(again, &twice);
    require(text_equal(buffer_view(&printed), buffer_view(&twice)));

    struct expr_env env = {NULL, no_value, no_value, no_truth, no_truth, as_is};
    struct expr_reason reason;
    (void)expr_evaluate(tree, &env, &reason);
    buffer_finish(&printed);
    buffer_finish(&twice);
    expr_free(tree);
    expr_free(again);
    return 0;
}
