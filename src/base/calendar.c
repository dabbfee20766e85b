#include "base/calendar.h"

#include <stdbool.h>

int calendar_month_days(int year, int month)
{
    static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Years are taken to begin in March, so that the leap day is the last of its year. */
int64_t calendar_days(int year, int month, int day)
{
    int y = month <= 2 ? year + 399 : year + 400; /* 400 years on: never negative */
    int since_march = month <= 2 ? month + 9 : month - 3;
    int64_t days = (int64_t)y * 365 + y / 4 - y / 100 + y / 400;
    return days + (since_march * 153 + 2) / 5 + day - 1 - (719468 + 146097);
}

int calendar_weekday(int64_t days)
{
    int64_t since_monday = (days + 3) % 7; /* 1970-01-01 was a Thursday */
    return (int)(since_monday < 0 ? since_monday + 7 : since_monday);
}
