/* Days against the C library's, over all the years that stamps can have. */
#include "base/calendar.h"

#include <time.h>

#include "../tap.h"

START_TEST(test_days_are_those_of_the_c_library)
{
    int64_t expected = -719528; /* 0000-01-01 */
    for (int year = 0; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= calendar_month_days(year, month); day++) {
                int64_t days = calendar_days(year, month, day);
                expect(days == expected++, "%d-%d-%d", year, month, day);
                if ((year * 13 + month + day) % 97 > 0) {
                    continue;
                }
                time_t t = (time_t)(days * CALENDAR_DAY_S);
                struct tm tm;
                ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
                expect(tm.tm_year + 1900 == year && tm.tm_mon + 1 == month &&
                           tm.tm_mday == day &&
                           (tm.tm_wday + 6) % 7 == calendar_weekday(days),
                       "%d-%d-%d is another day to gmtime_r", year, month, day);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calendar");
    TCase *t = tcase_create("days");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_days_are_those_of_the_c_library);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
