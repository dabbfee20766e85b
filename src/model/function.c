#include "model/function.h"

#include <assert.h>
#include <stddef.h>

const char *window_fn_name(enum window_fn fn)
{
    static const char *const names[] = {
        [FN_AVG] = "avg",
        [FN_MIN] = "min",
        [FN_MAX] = "max",
        [FN_SUM] = "sum",
        [FN_COUNT] = "count",
        [FN_FIRST] = "first",
        [FN_LAST] = "last",
        [FN_RANGE] = "range",
        [FN_STDDEV] = "stddev",
        [FN_MEDIAN] = "median",
        [FN_PERCENTILE] = "percentile",
        [FN_RATE] = "rate",
        [FN_DELTA] = "delta",
        [FN_SLOPE] = "slope",
        [FN_ZSCORE] = "zscore",
        [FN_CHANGES] = "changes",
    };
    static_assert(sizeof names / sizeof names[0] == FN_N, "a name for each function");
    return names[fn];
}
