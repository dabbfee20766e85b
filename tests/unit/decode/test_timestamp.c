/* The time of a reading (SPEC 3.3). oracle_decode.py compares thousands more with
 * Python's. */
#include "../tap.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "decode/timestamp.h"

#define Y2026 INT64_C(1767225600)

static const struct {
    const char *text;
    int64_t us;
} taken[] = {
    {"2026-01-01T00:00:00.000Z", Y2026 *US_PER_S},
    {"2026-01-01T00:00", Y2026 *US_PER_S},
    {"2026-01-01", Y2026 *US_PER_S},
    {"20260101", Y2026 *US_PER_S},
    {"20260101T000001Z", (Y2026 + 1) * US_PER_S},
    {"20260101T0001", (Y2026 + 60) * US_PER_S},
    {"2026-01-01 00:00:00", Y2026 *US_PER_S},
    {"2026-01-01t00:00:00z", Y2026 *US_PER_S},
    {"2026-01-01T01:30:00+01:30", Y2026 *US_PER_S},
    {"2025-12-31T19:00:00-0500", Y2026 *US_PER_S},
    {"2026-01-01T05:00:00+05", Y2026 *US_PER_S},
    {"2026-01-01T00:00:00.5Z", Y2026 *US_PER_S + 500000},
    {"2026-01-01T00:00:00,123456999Z", Y2026 *US_PER_S + 123456},
    {"2025-12-31T23:59:60Z", Y2026 *US_PER_S},
    {"2025-12-31T23:59:60.25Z", Y2026 *US_PER_S + 250000},
    {"2024-02-29T00:00:00Z", INT64_C(1709164800) * US_PER_S},
    {"1970-01-01T00:00:00Z", 0},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"0000-01-01T00:00:00Z", INT64_C(-62167219200) * US_PER_S},
    {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
};

START_TEST(test_iso_8601_is_read_in_each_of_its_forms)
{
    struct wall at = {-7};
    ck_assert_int_eq(timestamp_parse(text_of(taken[_i].text), &at), BRINK_OK);
    ck_assert_msg(at.us == taken[_i].us, "%s: %" PRId64, taken[_i].text, at.us);
}
END_TEST

static const char *const refused[] = {
    "",
    "2026",
    "2026-01",
    "2026-1-1",
    "26-01-01",
    "2026-13-01",
    "2026-00-01",
    "2026-01-00",
    "2025-02-29",
    "1900-02-29",
    "2026-0101",
    "202601-01",
    "2026-01-01T",
    "2026-01-01T00",
    "2026-01-01T24:00:00",
    "2026-01-01T00:60",
    "2026-01-01T00:00:61",
    "2026-01-01T00:00:00.",
    "2026-01-01T00:00.5",
    "2026-01-01T00:00:00Zz",
    "2026-01-01T00:00:00+",
    "2026-01-01T00:00:00+1",
    "2026-01-01T00:00:00+01:",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+00:60",
    "2026-01-01Z",
    "2026-01-01T00:00:00 Z",
    " 2026-01-01",
    "2026-01-01 ",
    "2026-W01-1",
    "2026-001",
    "+2026-01-01",
    "1767225600",
};

START_TEST(test_what_is_not_iso_8601_is_refused_and_changes_nothing)
{
    struct wall at = {-7};
    ck_assert_msg(timestamp_parse(text_of(refused[_i]), &at) == BRINK_E_SYNTAX, "%s",
                  refused[_i]);
    ck_assert_int_eq(at.us, -7);
}
END_TEST

START_TEST(test_every_second_printed_is_read_back)
{
    uint64_t random = 1;
    for (int k = 0; k < 100000; k++) {
        char text[CLOCK_ISO_BYTES];
        /* Milliseconds of the years 0000 to 9999. */
        int64_t ms = (int64_t)(next_random(&random) % UINT64_C(315569520000000)) -
                     INT64_C(62167219200000);
        struct wall at = {0};
        wall_format_iso((struct wall){ms * US_PER_MS}, text);
        expect(timestamp_parse(text_of(text), &at) == BRINK_OK && at.us == ms * US_PER_MS,
               "%s: %" PRId64 " for %" PRId64, text, at.us, ms * US_PER_MS);
    }
}
END_TEST

START_TEST(test_a_memo_changes_nothing)
{
    static const char *const stamps[] = {
        "2026-01-01T00:00:00Z",      "2026-01-01T00:00:59.123456Z",
        "2026-01-01T00:00:60+01:00", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:0:Z",      "2026-01-01T00:01:00Z",
        "2026-01-01T00:00",          "2026-01-01T00:00Z",
        "2026-02-29T00:00:00Z",      "2026-02-29T00:00:01Z",
        "2024-02-29T00:00:00Z",      "20260101T000000Z",
        "2026-01-01t00:00:07Z",      "2026-01-01 00:00:07Z",
        "2026-01-01T24:00:00Z",      "2026-01-01T0:000:00Z",
        "2026-01-01T00:00:7Z",       "2026-01-01T00:00:00.",
    };
    enum { N = sizeof stamps / sizeof *stamps };
    struct timestamp_memo memo = {0};
    uint64_t random = 1;
    for (int k = 0; k < 10000; k++) {
        struct text t = text_of(stamps[next_random(&random) % N]);
        struct wall fresh = {-7}, near = {-7};
        enum brink_status status = timestamp_parse(t, &fresh);
        expect(timestamp_parse_near(t, &memo, &near) == status && near.us == fresh.us,
               "%s: %" PRId64 ", not %" PRId64, t.p, near.us, fresh.us);
    }
}
END_TEST

START_TEST(test_numbers_count_in_the_unit_that_their_size_says)
{
    static const struct {
        double v;
        int64_t us;
    } cases[] = {
        {1767225600, Y2026 * US_PER_S},
        {1767225600.25, Y2026 * US_PER_S + 250000},
        {1767225600123, Y2026 * US_PER_S + 123000},
        {1767225600123456, Y2026 * US_PER_S + 123456},
        {1767225600123456e3, Y2026 * US_PER_S + 123456},
        {0, 0},
        {-1.5, -1500000},
        {99999999999, INT64_C(99999999999000000)},
        {1e11, INT64_C(100000000) * US_PER_S},
        {99999999999999, INT64_C(99999999999999000)},
        {1e14, INT64_C(100000000000000)},
        {1e17, INT64_C(100000000000000)},
        {-1e17, INT64_C(-100000000000000)},
        {2.5e20, INT64_C(250000000000000000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wall at = {-7};
        ck_assert_int_eq(timestamp_of_number(cases[i].v, &at), BRINK_OK);
        ck_assert_int_eq(at.us, cases[i].us);
    }
}
END_TEST

START_TEST(test_number_that_is_no_time_is_refused)
{
    static const double cases[] = {
        (double)INFINITY, (double)-INFINITY, (double)NAN, 2.6e20, 1e300, -1e300};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wall at = {-7};
        ck_assert_int_eq(timestamp_of_number(cases[i], &at), BRINK_E_RANGE);
        ck_assert_int_eq(at.us, -7);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("timestamp");
    TCase *t = tcase_create("timestamp");
    tcase_add_loop_test(t, test_iso_8601_is_read_in_each_of_its_forms, 0,
                        sizeof taken / sizeof *taken);
    tcase_add_loop_test(t, test_what_is_not_iso_8601_is_refused_and_changes_nothing, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(t, test_a_memo_changes_nothing);
    tcase_add_test(t, test_every_second_printed_is_read_back);
    tcase_add_test(t, test_numbers_count_in_the_unit_that_their_size_says);
    tcase_add_test(t, test_number_that_is_no_time_is_refused);
    suite_add_tcase(s, t);
    return run_tap(s);
}
