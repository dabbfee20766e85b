/* The notation of series (SPEC 9.1) against plain counting. */
#include <check.h>
#include <math.h>
#include <stdio.h>

#include "../tap.h"
#include "base/buffer.h"
#include "base/number.h"
#include "config/values.h"

/* "20 20 _ 25": every reading of a series, `_` for one that does not come. */
static const char *spelled(const char *text)
{
    static char out[4096];
    struct values v = {0};
    size_t at = 0, n = 0;
    const char *why = "";
    enum brink_status status = values_parse(text_of(text), &v, &at, &why);
    if (status) {
        snprintf(out, sizeof out, "%zu: %s", at, why);
        return out;
    }
    out[0] = '\0';
    for (size_t i = 0; i < v.n_items; i++) {
        for (uint32_t k = 0; k < v.items[i].n; k++) {
            char number[NUMBER_BYTES] = "_";
            if (!v.items[i].missing) {
                number_print_plain(values_item_at(&v.items[i], k), number);
            }
            n += (size_t)snprintf(out + n, sizeof out - n, n ? " %s" : "%s", number);
        }
    }
    values_finish(&v);
    return out;
}

START_TEST(test_reads_as_it_is_written)
{
    static const char *const pairs[][2] = {
        {"20x5", "20 20 20 20 20"},
        {"25+1x10", "25 26 27 28 29 30 31 32 33 34"},
        {"_x3", "_ _ _"},
        {"7", "7"},
        {" -3.5\t2e3\n_ ", "-3.5 2000 _"},
        {"30-2x4", "30 28 26 24"},
        {"-1-0.5x3", "-1 -1.5 -2"},
        {"+1x2", "1 1"},
        {"0.1+0.1x4", "0.1 0.2 0.3 0.4"},
        {"1e-3x2", "0.001 0.001"},
        {"1e2+1e1x3", "100 110 120"},
        {"20x5 25+1x3 _x2 .5 5.", "20 20 20 20 20 25 26 27 _ _ 0.5 5"},
    };
    ck_assert_str_eq(spelled(pairs[_i][0]), pairs[_i][1]);
}
END_TEST

START_TEST(test_says_where_it_is_wrong)
{
    static const char *const pairs[][2] = {
        {"", "0: there is no reading in it"},
        {"20 25+1 7", "7: a step needs a count behind it, as in 25+1x10"},
        {"20x", "3: behind `x` belongs how often, as in 20x5"},
        {"20x0", "3: this count must be from 1 to 1000000"},
        {"20x99999999999999999999", "3: this count must be from 1 to 1000000"},
        {"1 2 abc", "4: a number is missing here"},
        {"20y",
         "2: items are numbers or _, such as 20 20x5 25+1x10 _x3, with blanks between"},
        {"1 1e999", "2: this number is too large, or too long"},
        {"1+1e308x9", "9: these steps lead beyond all numbers"},
        {"_x1000000 1", "10: this makes more than 1000000 readings, or 100000 items"},
    };
    ck_assert_str_eq(spelled(pairs[_i][0]), pairs[_i][1]);
}
END_TEST

/* Hundredths are counted as whole numbers here, and divided once. */
START_TEST(test_steps_are_those_of_decimal_counting)
{
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        int first = (int)(next_random(&random) % 200001) - 100000;
        int step = (int)(next_random(&random) % 2001) - 1000;
        unsigned n = 1 + (unsigned)(next_random(&random) % 50);
        char text[64];
        struct values v;
        size_t at;
        const char *why;
        snprintf(text, sizeof text, "%.2f%+.2fx%u", first / 100.0, step / 100.0, n);
        expect(values_parse(text_of(text), &v, &at, &why) == BRINK_OK, "%s", text);
        expect(v.n == n && v.n_items == 1, "%s", text);
        for (uint32_t k = 0; k < n; k++) {
            double want = (first + (int)k * step) / 100.0;
            expect(values_item_at(&v.items[0], k) == want, "%s at %u", text, k);
        }
        values_finish(&v);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("values");
    TCase *t = tcase_create("notation");
    tcase_add_loop_test(t, test_reads_as_it_is_written, 0, 12);
    tcase_add_loop_test(t, test_says_where_it_is_wrong, 0, 10);
    tcase_add_test(t, test_steps_are_those_of_decimal_counting);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
