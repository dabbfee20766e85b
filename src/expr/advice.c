#include "expr/advice.h"

#include <stdint.h>

#include "expr/syntax.h"
#include "model/function.h"

/* --- signs --- */

const char *advice_sign(struct text at_hand)
{
    static const struct {
        const char *sign, *advice;
    } signs[] = {
        /* The longer first. */
        {"&&", "`&&` is no operator; use `and`"},
        {"||", "`||` is no operator; use `or`"},
        {"<>", "`<>` is no operator; use `!=`"},
        {"=>", "`=>` is no operator; use `>=`"},
        {"=<", "`=<` is no operator; use `<=`"},
        {"=", "`=` is no operator; to compare, use `==`"},
        {"!", "`!` is no operator; use `not`"},
        {"&", "`&` is no operator; use `and`"},
        {"|", "`|` is no operator; use `or`"},
        {"\"",
         "quotation marks have no meaning here: a metric's name goes in backquotes, "
         "and a text becomes a number by `values` of its telemetry entry"},
        {"'", "quotation marks have no meaning here: a metric's name goes in backquotes, "
              "and a text becomes a number by `values` of its telemetry entry"},
        {"[", "`[` has no meaning here; a window is an argument, as in avg(temp, 5m)"},
        {"{", "`{` has no meaning here; which devices a rule is for stands in `scope`"},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        struct text sign = text_of(signs[i].sign);
        if (at_hand.n >= sign.n && text_equal((struct text){at_hand.p, sign.n}, sign)) {
            return signs[i].advice;
        }
    }
    return NULL;
}

/* --- durations --- */

/* Microseconds of a unit in whatever words; 0: it is none. */
static int64_t unit_us(struct text word)
{
    static const struct {
        const char *word;
        int64_t us;
    } units[] = {
        {"ms", 1000},           {"msec", 1000},
        {"millis", 1000},       {"millisecond", 1000},
        {"milliseconds", 1000}, {"s", 1000000},
        {"sec", 1000000},       {"secs", 1000000},
        {"second", 1000000},    {"seconds", 1000000},
        {"m", 60000000},        {"mn", 60000000},
        {"min", 60000000},      {"mins", 60000000},
        {"minute", 60000000},   {"minutes", 60000000},
        {"h", 3600000000},      {"hr", 3600000000},
        {"hrs", 3600000000},    {"hour", 3600000000},
        {"hours", 3600000000},  {"d", 86400000000},
        {"day", 86400000000},   {"days", 86400000000},
        {"w", 604800000000},    {"wk", 604800000000},
        {"week", 604800000000}, {"weeks", 604800000000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text_equal_nocase(word, text_of(units[i].word))) {
            return units[i].us;
        }
    }
    return 0;
}

bool advice_duration(struct text written, char ret_meant[NUMBER_BYTES])
{
    double total_us = 0;
    size_t i = 0;
    while (i < written.n) {
        size_t digits = i, letters;
        while (digits < written.n &&
               (syntax_is_digit(written.p[digits]) || written.p[digits] == '.')) {
            digits++;
        }
        size_t unit = digits;
        while (unit < written.n && written.p[unit] == ' ') {
            unit++;
        }
        letters = unit;
        while (letters < written.n && syntax_starts_name(written.p[letters])) {
            letters++;
        }
        int64_t us = unit_us((struct text){written.p + unit, letters - unit});
        double number;
        if (us == 0 ||
            number_parse((struct text){written.p + i, digits - i}, &number) != BRINK_OK) {
            return false;
        }
        total_us += number * (double)us;
        i = letters;
    }
    if (!(total_us >= 1 && total_us <= (double)EXPR_WIDTH_MAX_US)) {
        return false;
    }
    number_print_duration((int64_t)total_us, ret_meant);
    return true;
}

/* --- functions --- */

const char *advice_function(struct text name)
{
    static const char *const calls[] = {"abs", "absent", "held", "silent"};
    static const struct {
        const char *name, *ours;
    } aliases[] = {
        {"average", "avg"},    {"mean", "avg"},         {"minimum", "min"},
        {"maximum", "max"},    {"total", "sum"},        {"std", "stddev"},
        {"stdev", "stddev"},   {"deviation", "stddev"}, {"quantile", "percentile"},
        {"deriv", "slope"},    {"derivative", "slope"}, {"trend", "slope"},
        {"increase", "rate"},  {"diff", "delta"},       {"difference", "delta"},
        {"missing", "absent"}, {"nodata", "absent"},    {"heartbeat", "silent"},
        {"offline", "silent"}, {"duration", "held"},    {"for", "held"},
    };
    enum { N_CALLS = sizeof calls / sizeof calls[0] };
    enum { N_ALIASES = sizeof aliases / sizeof aliases[0] };
    static const char over_time[] = "_over_time"; /* as Prometheus names its functions */
    size_t suffix = sizeof over_time - 1;
    if (name.n > suffix &&
        text_equal((struct text){name.p + name.n - suffix, suffix}, text_of(over_time))) {
        name.n -= suffix;
    }
    const char *known[FN_N + N_CALLS + N_ALIASES];
    size_t n = 0;
    for (unsigned fn = 0; fn < FN_N; fn++) {
        known[n++] = window_fn_name((enum window_fn)fn);
    }
    for (size_t i = 0; i < N_CALLS; i++) {
        known[n++] = calls[i];
    }
    for (size_t i = 0; i < N_ALIASES; i++) {
        known[n++] = aliases[i].name;
    }
    const char *meant = NULL;
    for (size_t i = 0; i < n && !meant; i++) {
        meant = text_equal_nocase(name, text_of(known[i])) ? known[i] : NULL;
    }
    meant = meant ? meant : text_nearest(name, known, n);
    for (size_t i = 0; i < N_ALIASES; i++) {
        meant = meant == aliases[i].name ? aliases[i].ours : meant;
    }
    return meant;
}
