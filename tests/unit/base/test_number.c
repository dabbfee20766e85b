#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../tap.h"

#define ORACLE_RANDOM 60000 /* of each of the five kinds below */
#define SECONDS_RANDOM 300000

/* Reads "bits text" lines and compares text with repr() of the double. */
static const char oracle[] =
    "python3 -c '\n"
    "import struct, sys\n"
    "n = wrong = 0\n"
    "for line in sys.stdin:\n"
    "    bits, text = line.split()\n"
    "    want = repr(struct.unpack(\">d\", bytes.fromhex(bits))[0])\n"
    "    n += 1\n"
    "    if text != want:\n"
    "        wrong += 1\n"
    "        if wrong <= 20: print(bits, \"got\", text, \"want\", want, "
    "file=sys.stderr)\n"
    "sys.exit(wrong > 0 or n < 1000)\n"
    "'";

static FILE *asking;

static void ask(double v)
{
    char text[NUMBER_BYTES];
    uint64_t bits;
    if (!isfinite(v)) {
        return;
    }
    memcpy(&bits, &v, sizeof bits);
    size_t n = number_print(v, text);
    expect(n == strlen(text) && n < NUMBER_BYTES, "%s: length %zu", text, n);
    fprintf(asking, "%016llx %s\n", (unsigned long long)bits, text);
    double back = 1;
    expect(number_parse((struct text){text, n}, &back) == BRINK_OK &&
               memcmp(&back, &v, sizeof v) == 0,
           "%s does not read back", text);
}

static void ask_around(double v)
{
    ask(v);
    ask(-v);
    ask(nextafter(v, INFINITY));
    ask(nextafter(v, 0));
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

START_TEST(test_print_is_python_repr_byte_for_byte)
{
    asking = popen(oracle, "w");
    ck_assert_ptr_nonnull(asking);
    static const double odd[] = {
        0.0,    -0.0,   1e16,   1e15,    9999999999999998.0,
        1e-4,   1e-5,   5e-324, 1e308,   1.7976931348623157e308,
        0.1,    0.3,    1e22,   1e23,    9007199254740993.0,
        123e-7, 2e-308, 2.5,    1234567, 2.2250738585072014e-308};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        ask_around(odd[i]);
    }
    for (int e = -1074; e <= 1023; e++) {
        ask_around(ldexp(1, e));
    }
    for (int e = -323; e <= 308; e++) {
        ask_around(pow(10, e));
        ask_around(5 * pow(10, e));
    }
    uint64_t random = 1;
    for (int i = 0; i < ORACLE_RANDOM; i++) {
        uint64_t r = next_random(&random);
        ask(from_bits(r));                                /* any */
        ask(from_bits(r & UINT64_C(0x800fffffffffffff))); /* denormal */
        int64_t whole = (int64_t)(next_random(&random) >> (r % 64));
        ask((double)whole / pow(10, (double)(r >> 8 & 15))); /* as people write them */
        ask((double)(float)((double)whole / 1000.0)); /* as a sensor's float comes out */
    }
    ck_assert_int_eq(pclose(asking), 0);
}
END_TEST

START_TEST(test_parse_and_print_ignore_the_locale)
{
    /* Where the machine has such a locale; the code path is the same for all. */
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "C"};
    for (size_t i = 0; i < 4 && !setlocale(LC_ALL, commas[i]); i++) {}
    char text[NUMBER_BYTES];
    number_print(1.0 / 3, text);
    ck_assert_str_eq(text, "0.3333333333333333");
    double v = 0;
    ck_assert_int_eq(number_parse(TEXT("0.33333333333333331"), &v), BRINK_OK);
    ck_assert(v == 1.0 / 3);
}
END_TEST

START_TEST(test_print_keeps_its_layout)
{
    static const struct {
        double v;
        const char *text, *plain;
    } rows[] = {
        {25, "25.0", "25"},
        {25.1, "25.1", "25.1"},
        {-0.0, "-0.0", "-0"},
        {1e16, "1e+16", "1e+16"},
        {1e15, "1000000000000000.0", "1000000000000000.0"},
        {999999999999999, "999999999999999.0", "999999999999999"},
        {1e-5, "1e-05", "1e-05"},
        {0.0001, "0.0001", "0.0001"},
        {-1.5e-7, "-1.5e-07", "-1.5e-07"},
        {1e100, "1e+100", "1e+100"},
        {-300, "-300.0", "-300"},
        {1767225601.123456, "1767225601.123456", "1767225601.123456"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NUMBER_BYTES];
        ck_assert_uint_eq(number_print(rows[i].v, text), strlen(rows[i].text));
        ck_assert_str_eq(text, rows[i].text);
        ck_assert_uint_eq(number_print_plain(rows[i].v, text), strlen(rows[i].plain));
        ck_assert_str_eq(text, rows[i].plain);
    }
}
END_TEST

START_TEST(test_parse_takes_decimal_numbers_only)
{
    static const struct {
        const char *text;
        enum brink_status status;
        double v;
    } rows[] = {
        {"1", BRINK_OK, 1},
        {"+1.5", BRINK_OK, 1.5},
        {"-.5", BRINK_OK, -0.5},
        {"5.", BRINK_OK, 5},
        {"1e3", BRINK_OK, 1000},
        {"1E-3", BRINK_OK, 0.001},
        {"1e+3", BRINK_OK, 1000},
        {"9007199254740993", BRINK_OK, 9007199254740992.0},
        {"00012", BRINK_OK, 12},
        {"1e-400", BRINK_OK, 0},
        {"0e99999999999999999999", BRINK_OK, 0},
        {"1.7976931348623157e308", BRINK_OK, 1.7976931348623157e308},
        {"1e309", BRINK_E_RANGE, 0},
        {"-1e99999999999999999999", BRINK_E_RANGE, 0},
        {"", BRINK_E_SYNTAX, 0},
        {".", BRINK_E_SYNTAX, 0},
        {"+", BRINK_E_SYNTAX, 0},
        {"e5", BRINK_E_SYNTAX, 0},
        {".e5", BRINK_E_SYNTAX, 0},
        {"1e", BRINK_E_SYNTAX, 0},
        {"1e+", BRINK_E_SYNTAX, 0},
        {"1.2.3", BRINK_E_SYNTAX, 0},
        {" 1", BRINK_E_SYNTAX, 0},
        {"1 ", BRINK_E_SYNTAX, 0},
        {"0x10", BRINK_E_SYNTAX, 0},
        {"inf", BRINK_E_SYNTAX, 0},
        {"nan", BRINK_E_SYNTAX, 0},
        {"1,5", BRINK_E_SYNTAX, 0},
        {"--1", BRINK_E_SYNTAX, 0},
        {"1_000", BRINK_E_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double v = 77;
        enum brink_status status = number_parse(text_of(rows[i].text), &v);
        ck_assert_msg(status == rows[i].status, "%s: status %d", rows[i].text, status);
        ck_assert_msg(v == (status ? 77 : rows[i].v), "%s: %g", rows[i].text, v);
    }
    double v = 0;
    ck_assert_int_eq(number_parse((struct text){"1\0002", 3}, &v), BRINK_E_SYNTAX);
    ck_assert_int_eq(number_parse((struct text){NULL, 0}, &v), BRINK_E_SYNTAX);
}
END_TEST

START_TEST(test_parse_takes_400_bytes_and_no_more)
{
    char digits[401];
    memset(digits, '0', sizeof digits);
    digits[399] = '7';
    double v = 0;
    ck_assert_int_eq(number_parse((struct text){digits, 400}, &v), BRINK_OK);
    ck_assert(v == 7);
    ck_assert_int_eq(number_parse((struct text){digits, 401}, &v), BRINK_E_SYNTAX);
}
END_TEST

static void check_rounds_as_strtod(const char *text)
{
    double v = 0, want = strtod(text, NULL);
    expect(number_parse(text_of(text), &v) == BRINK_OK && v == want,
           "%s: %.17g, not %.17g", text, v, want);
    v = 0;
    expect(number_scan(text_of(text), &v) == strlen(text) && v == want,
           "scan of %s: %.17g, not %.17g", text, v, want);
}

START_TEST(test_parse_rounds_as_strtod)
{
    uint64_t random = 2;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t r = next_random(&random);
        int exponent = (int)(r >> 40 & 63) - 32;
        (void)snprintf(text, sizeof text, "%llu.%llue%d",
                       (unsigned long long)(next_random(&random) >> (r & 63)),
                       (unsigned long long)(next_random(&random) >> (r >> 8 & 63)),
                       exponent);
        check_rounds_as_strtod(text);
    }
}
END_TEST

/* Doubles as they are printed, and the middles between two of them, at and around which
 * the last digit decides. */
START_TEST(test_parse_rounds_to_the_nearest_even)
{
    uint64_t random = 5;
    for (int i = 0; i < 30000; i++) {
        char text[80];
        uint64_t r = next_random(&random);
        double v = ldexp((double)(r >> 11), (int)(r & 127) - 110);
        for (int digits = 15; digits <= 25; digits++) {
            (void)snprintf(text, sizeof text, "%.*g", digits, v);
            check_rounds_as_strtod(text);
        }
        /* 54 to 63 bits, of which all behind the 53rd are a half, or nearly. */
        int behind = 1 + (int)(r & 7);
        uint64_t whole = (r | UINT64_C(1) << 63) >> (11 - behind);
        uint64_t half = UINT64_C(1) << (behind - 1);
        whole = (whole & ~(2 * half - 1)) + half;
        for (int off = -1; off <= 1; off++) {
            (void)snprintf(text, sizeof text, "%llu",
                           (unsigned long long)(whole + (uint64_t)off));
            check_rounds_as_strtod(text);
            (void)snprintf(text, sizeof text, "%llu.%d000000000001",
                           (unsigned long long)(whole + (uint64_t)off), i & 1);
            check_rounds_as_strtod(text);
        }
    }
}
END_TEST

START_TEST(test_scan_takes_what_json_calls_a_number)
{
    static const struct {
        const char *text;
        size_t n;
        double v;
    } rows[] = {
        {"1", 1, 1},
        {"-0,", 2, -0.0},
        {"0.50]", 4, 0.5},
        {"12e3 ", 4, 12000},
        {"12E+3}", 5, 12000},
        {"-1.25e-2,", 8, -0.0125},
        {"01", 1, 0},
        {"1.5.5", 3, 1.5},
        {"1e309", 5, (double)INFINITY},
        {"-1e309", 6, -(double)INFINITY},
        {"1e-400", 6, 0},
        {"0.00000000000000000001234", 25, 1234e-23},
        {"", 0, 0},
        {"-", 0, 0},
        {"+1", 0, 0},
        {".5", 0, 0},
        {"5.", 0, 0},
        {"5.e1", 0, 0},
        {"5e", 0, 0},
        {"5e+", 0, 0},
        {"inf", 0, 0},
        {"-inf", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double v = 0;
        size_t n = number_scan(text_of(rows[i].text), &v);
        ck_assert_msg(n == rows[i].n && v == rows[i].v, "%s: %zu, %g", rows[i].text, n,
                      v);
        if (v == 0) {
            ck_assert_int_eq(signbit(v) != 0, signbit(rows[i].v) != 0);
        }
    }
    char digits[402];
    double v = 0;
    memset(digits, '1', sizeof digits);
    ck_assert_uint_eq(number_scan((struct text){digits, 400}, &v), 400);
    ck_assert(isinf(v));
    ck_assert_uint_eq(number_scan((struct text){digits, 401}, &v), 0);
    digits[1] = '.';
    ck_assert_uint_eq(number_scan((struct text){digits, 402}, &v), 0);
    ck_assert_uint_eq(number_scan((struct text){NULL, 0}, &v), 0);
}
END_TEST

START_TEST(test_parse_u64_knows_its_range)
{
    static const struct {
        const char *text;
        enum brink_status status;
        uint64_t v;
    } rows[] = {
        {"0", BRINK_OK, 0},
        {"0042", BRINK_OK, 42},
        {"18446744073709551615", BRINK_OK, UINT64_MAX},
        {"18446744073709551616", BRINK_E_RANGE, 0},
        {"99999999999999999999999999", BRINK_E_RANGE, 0},
        {"99999999999999999999x", BRINK_E_SYNTAX, 0},
        {"", BRINK_E_SYNTAX, 0},
        {"-1", BRINK_E_SYNTAX, 0},
        {"+1", BRINK_E_SYNTAX, 0},
        {"1.0", BRINK_E_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t v = 77;
        enum brink_status status = number_parse_u64(text_of(rows[i].text), &v);
        ck_assert_msg(status == rows[i].status, "%s: status %d", rows[i].text, status);
        ck_assert_uint_eq(v, status ? 77 : rows[i].v);
    }
}
END_TEST

static void check_seconds(int64_t us)
{
    char text[NUMBER_BYTES], as_double[NUMBER_BYTES];
    size_t n = number_print_seconds(us, text);
    double v = 0;
    expect(n == strlen(text) && number_parse(text_of(text), &v) == BRINK_OK &&
               number_seconds_to_us(v) == us,
           "%lld printed as %s", (long long)us, text);
    number_print(v, as_double);
    expect(strcmp(text, as_double) == 0, "%s, not %s", text, as_double);
}

START_TEST(test_seconds_are_exact_from_1970_to_2200)
{
    const int64_t end_us = INT64_C(7258118400) * 1000000;
    uint64_t random = 3;
    for (int64_t us = 0; us < 2000; us++) {
        check_seconds(us);
        check_seconds(-us);
        check_seconds(end_us - us);
        check_seconds(INT64_C(4294967296) * 1000000 - 1000 + us);
    }
    for (int i = 0; i < SECONDS_RANDOM; i++) {
        int64_t us = (int64_t)(next_random(&random) % (uint64_t)end_us);
        check_seconds(us);
        check_seconds(us / 1000 * 1000);
        check_seconds(us / 1000000 * 1000000);
    }
    char text[NUMBER_BYTES];
    number_print_seconds(INT64_C(1767225600000000), text);
    ck_assert_str_eq(text, "1767225600.0");
    number_print_seconds(INT64_C(1767225601500000), text);
    ck_assert_str_eq(text, "1767225601.5");
}
END_TEST

START_TEST(test_seconds_beyond_those_years_stay_a_number)
{
    static const int64_t rows[] = {INT64_MAX, INT64_MIN, -1,
                                   INT64_C(9000000000000000000)};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NUMBER_BYTES];
        double v = 0;
        number_print_seconds(rows[i], text);
        ck_assert_int_eq(number_parse(text_of(text), &v), BRINK_OK);
        ck_assert(v == (double)rows[i] / 1e6);
    }
}
END_TEST

START_TEST(test_seconds_round_to_the_nearest_microsecond)
{
    ck_assert_int_eq(number_seconds_to_us(0), 0);
    ck_assert_int_eq(number_seconds_to_us(1e-6), 1);
    ck_assert_int_eq(number_seconds_to_us(-1.5), -1500000);
    ck_assert_int_eq(number_seconds_to_us(0.4999e-6), 0);
    ck_assert_int_eq(number_seconds_to_us(0.5001e-6), 1);
    ck_assert_int_eq(number_seconds_to_us(-0.5001e-6), -1);
    ck_assert_int_eq(number_seconds_to_us(8.9e12), INT64_C(8900000000000000000));
}
END_TEST

START_TEST(test_durations_parse_in_every_unit)
{
    static const struct {
        const char *text;
        enum brink_status status;
        int64_t us;
    } rows[] = {
        {"250ms", BRINK_OK, 250000},
        {"30s", BRINK_OK, 30000000},
        {"5m", BRINK_OK, 300000000},
        {"2h", BRINK_OK, INT64_C(7200000000)},
        {"7d", BRINK_OK, INT64_C(604800000000)},
        {"1.5", BRINK_OK, 1500000},
        {"0.1s", BRINK_OK, 100000},
        {"0", BRINK_OK, 0},
        {"36525d", BRINK_OK, INT64_C(3155760000000000)},
        {"36526d", BRINK_E_RANGE, 0},
        {"1e300", BRINK_E_RANGE, 0},
        {"1e400s", BRINK_E_RANGE, 0},
        {"-5s", BRINK_E_RANGE, 0},
        {"", BRINK_E_SYNTAX, 0},
        {"s", BRINK_E_SYNTAX, 0},
        {"5 m", BRINK_E_SYNTAX, 0},
        {"5M", BRINK_E_SYNTAX, 0},
        {"5y", BRINK_E_SYNTAX, 0},
        {"5mm", BRINK_E_SYNTAX, 0},
        {"1h30m", BRINK_E_SYNTAX, 0},
        {"1e", BRINK_E_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t us = 77;
        enum brink_status status = number_parse_duration(text_of(rows[i].text), &us);
        ck_assert_msg(status == rows[i].status, "%s: status %d", rows[i].text, status);
        ck_assert_int_eq(us, status ? 77 : rows[i].us);
    }
}
END_TEST

START_TEST(test_durations_print_in_the_largest_exact_unit)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {300000000, "5m"},
        {90000000, "90s"},
        {250000, "250ms"},
        {1500000, "1500ms"},
        {INT64_C(86400000000), "1d"},
        {1500, "0.0015s"},
        {INT64_C(5400000000), "90m"},
        {1000001, "1.000001s"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NUMBER_BYTES];
        ck_assert_uint_eq(number_print_duration(rows[i].us, text), strlen(rows[i].text));
        ck_assert_str_eq(text, rows[i].text);
    }
}
END_TEST

START_TEST(test_durations_read_back_exactly)
{
    uint64_t random = 4;
    for (int i = 0; i < 30000; i++) {
        uint64_t r = next_random(&random);
        int64_t us = (int64_t)((r >> (r & 63)) % UINT64_C(3155760000000001));
        char text[NUMBER_BYTES];
        int64_t back = -1;
        number_print_duration(us, text);
        expect(number_parse_duration(text_of(text), &back) == BRINK_OK && back == us,
               "%s", text);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("number");
    TCase *t = tcase_create("number");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_print_is_python_repr_byte_for_byte);
    tcase_add_test(t, test_parse_and_print_ignore_the_locale);
    tcase_add_test(t, test_print_keeps_its_layout);
    tcase_add_test(t, test_parse_takes_decimal_numbers_only);
    tcase_add_test(t, test_parse_takes_400_bytes_and_no_more);
    tcase_add_test(t, test_parse_rounds_as_strtod);
    tcase_add_test(t, test_parse_rounds_to_the_nearest_even);
    tcase_add_test(t, test_scan_takes_what_json_calls_a_number);
    tcase_add_test(t, test_parse_u64_knows_its_range);
    tcase_add_test(t, test_seconds_are_exact_from_1970_to_2200);
    tcase_add_test(t, test_seconds_beyond_those_years_stay_a_number);
    tcase_add_test(t, test_seconds_round_to_the_nearest_microsecond);
    tcase_add_test(t, test_durations_parse_in_every_unit);
    tcase_add_test(t, test_durations_print_in_the_largest_exact_unit);
    tcase_add_test(t, test_durations_read_back_exactly);
    suite_add_tcase(s, t);
    return run_tap(s);
}
