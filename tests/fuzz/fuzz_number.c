/* Numbers from any bytes: what parses is what strtod reads, and printing is its inverse.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The form number_parse() promises, told another way. */
static int has_the_form(const char *s)
{
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, "0123456789");
    s += whole;
    size_t fraction = 0;
    if (*s == '.') {
        fraction = strspn(++s, "0123456789");
        s += fraction;
    }
    if (whole + fraction == 0) {
        return 0;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        if (!strspn(s, "0123456789")) {
            return 0;
        }
        s += strspn(s, "0123456789");
    }
    return *s == '\0';
}

static void check_parse(struct text t)
{
    char *copy = malloc(t.n + 1);
    if (!copy) {
        return;
    }
    if (t.n > 0) {
        memcpy(copy, t.p, t.n);
    }
    copy[t.n] = '\0';
    double v = 0;
    enum brink_status status = number_parse(t, &v);
    double want = strtod(copy, NULL);
    if (t.n > 400 || strlen(copy) != t.n || !has_the_form(copy)) {
        demand(status == BRINK_E_SYNTAX, "syntax");
    } else if (!isfinite(want)) {
        demand(status == BRINK_E_RANGE, "range");
    } else {
        demand(status == BRINK_OK && same(v, want), "equals strtod");
    }
    /* What JSON calls a number is one here, too, and the same one. */
    double scanned = 0;
    size_t n = number_scan(t, &scanned);
    demand(n <= t.n, "scan stays inside");
    if (n > 0) {
        copy[n] = '\0';
        demand(has_the_form(copy) && same(scanned, strtod(copy, NULL)), "scan");
    }
    free(copy);
}

/* Reads back, and with one digit less does not. */
static void check_print(double v)
{
    char text[NUMBER_BYTES], shorter[64];
    double back = 1;
    size_t n = number_print(v, text);
    demand(n == strlen(text) && n < NUMBER_BYTES, "length");
    demand(number_parse((struct text){text, n}, &back) == BRINK_OK && same(back, v),
           "exact");
    demand(same(strtod(text, NULL), v), "exact to strtod");
    int digits = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        digits += *p >= '0' && *p <= '9' && (digits > 0 || *p != '0');
    }
    if (digits > 1 && digits <= 17 && fabs(v) < 1e15 &&
        strstr(text, ".0") != text + n - 2) {
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, v);
        demand(strtod(shorter, NULL) != v, "shortest");
    }
    number_print_plain(v, text);
    demand(number_parse(text_of(text), &back) == BRINK_OK && same(back, v),
           "plain is exact");
    demand(same(strtod(text, NULL), v), "plain is exact to strtod");
}

static void check_seconds(int64_t us)
{
    char text[NUMBER_BYTES];
    double v = 0;
    demand(number_print_seconds(us, text) == strlen(text), "length of seconds");
    demand(number_parse(text_of(text), &v) == BRINK_OK, "seconds parse");
    if (us >= 0 && us <= INT64_C(7258118400) * 1000000) {
        demand(number_seconds_to_us(v) == us, "seconds are exact");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = {(const char *)data, size};
    check_parse(t);

    uint64_t whole = 0;
    if (number_parse_u64(t, &whole) == BRINK_OK) {
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)whole);
        size_t zeros = size - strlen(text);
        demand(memcmp(data + zeros, text, size - zeros) == 0, "integer");
    }
    int64_t us = -1;
    if (number_parse_duration(t, &us) == BRINK_OK) {
        char text[NUMBER_BYTES];
        int64_t again = -1;
        demand(us >= 0, "duration is not negative");
        number_print_duration(us, text);
        demand(number_parse_duration(text_of(text), &again) == BRINK_OK && again == us,
               "duration reads back");
    }
    if (size >= 8) {
        double v;
        int64_t stamp;
        memcpy(&v, data, sizeof v);
        memcpy(&stamp, data, sizeof stamp);
        if (isfinite(v)) {
            check_print(v);
            if (fabs(v) < 9e12) {
                (void)number_seconds_to_us(v);
            }
        }
        check_seconds(stamp);
        check_seconds((int64_t)((uint64_t)stamp % UINT64_C(7258118400000000)));
    }
    return 0;
}
