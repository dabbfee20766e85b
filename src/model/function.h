/* Functions over a window, by their names in the language (SPEC 4.2). */
#ifndef BRINK_MODEL_FUNCTION_H
#define BRINK_MODEL_FUNCTION_H

enum window_fn {
    FN_AVG,
    FN_MIN,
    FN_MAX,
    FN_SUM,
    FN_COUNT,
    FN_FIRST,
    FN_LAST,
    FN_RANGE,
    FN_STDDEV,
    FN_MEDIAN,
    FN_PERCENTILE,
    FN_RATE,
    FN_DELTA,
    FN_SLOPE,
    FN_ZSCORE,
    FN_CHANGES,
    FN_N
};

const char *window_fn_name(enum window_fn fn); /* "avg" ... */

#endif
