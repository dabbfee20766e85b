/* Days of the proleptic Gregorian calendar, years 0000 to 9999. No zone, no clock. */
#ifndef BRINK_BASE_CALENDAR_H
#define BRINK_BASE_CALENDAR_H

#include <stdint.h>

#define CALENDAR_DAY_S INT64_C(86400)

int calendar_month_days(int year, int month); /* month 1 to 12 */
/* Days since 1970-01-01; year >= 0. */
int64_t calendar_days(int year, int month, int day);
int calendar_weekday(int64_t days); /* 0: Monday */

#endif
