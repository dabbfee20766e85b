/* Stamps: no input crashes; a stamp of the canonical form is what timegm() would make of
 * it. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* timegm() */
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "decode/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* dddd-dd-ddTdd:dd:dd[.ddd]Z; '9' stands for a digit. */
static bool has_form(struct text t, const char *form)
{
    if (t.n != strlen(form)) {
        return false;
    }
    for (size_t i = 0; i < t.n; i++) {
        bool digit = t.p[i] >= '0' && t.p[i] <= '9';
        if (form[i] == '9' ? !digit : t.p[i] != form[i]) {
            return false;
        }
    }
    return true;
}

static int number_at(struct text t, size_t at, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v * 10 + (t.p[at + i] - '0');
    }
    return v;
}

/* What it is by the C library; false: no such time. */
static bool by_libc(struct text t, int64_t *ret_us)
{
    struct tm tm = {.tm_year = number_at(t, 0, 4) - 1900,
                    .tm_mon = number_at(t, 5, 2) - 1,
                    .tm_mday = number_at(t, 8, 2),
                    .tm_hour = number_at(t, 11, 2),
                    .tm_min = number_at(t, 14, 2),
                    .tm_sec = number_at(t, 17, 2)};
    struct tm back = tm;
    int second = tm.tm_sec;
    if (second > 60) {
        return false;
    }
    back.tm_sec = tm.tm_sec = second == 60 ? 59 : second;
    time_t s = timegm(&back);
    /* timegm() carries 31 February over to March, and changes the day by that. */
    if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon ||
        back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
        back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec) {
        return false;
    }
    int ms = t.n > 20 ? number_at(t, 20, 3) : 0;
    *ret_us = ((int64_t)s + (second == 60)) * US_PER_S + ms * US_PER_MS;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = {(const char *)data, size};
    struct wall at = {INT64_MIN};
    bool read = timestamp_parse(t, &at) == BRINK_OK;
    if (read != (at.us != INT64_MIN)) {
        abort();
    }
    /* With a memo of whatever came before, and now of this one, it is the same. */
    static struct timestamp_memo memo;
    for (int k = 0; k < 2; k++) {
        struct wall near = {INT64_MIN};
        if ((timestamp_parse_near(t, &memo, &near) == BRINK_OK) != read ||
            near.us != at.us) {
            abort();
        }
    }
    if (has_form(t, "9999-99-99T99:99:99Z") || has_form(t, "9999-99-99T99:99:99.999Z")) {
        int64_t us = 0;
        if (by_libc(t, &us) != read || (read && us != at.us)) {
            fprintf(stderr, "%.*s: %lld, libc %lld\n", (int)t.n, t.p, (long long)at.us,
                    (long long)us);
            abort();
        }
    }
    bool east = has_form(t, "9999-99-99T99:99:99+99:99");
    if (read && (east || has_form(t, "9999-99-99T99:99:99-99:99"))) {
        int64_t us = 0, minutes = number_at(t, 20, 2) * 60 + number_at(t, 23, 2);
        if (!by_libc((struct text){t.p, 19}, &us) ||
            us - (east ? 60 : -60) * minutes * US_PER_S != at.us) {
            abort();
        }
    }
    if (read && at.us >= 0 && at.us < INT64_C(253402300800000000)) {
        /* What was read, printed and read again is the same but for the microseconds. */
        char iso[CLOCK_ISO_BYTES];
        struct wall again = {0};
        wall_format_iso(at, iso);
        char expected[64];
        struct tm tm;
        time_t s = (time_t)(at.us / US_PER_S);
        size_t n =
            strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
        snprintf(expected + n, sizeof expected - n, ".%03dZ",
                 (int)(at.us % US_PER_S / US_PER_MS));
        if (strcmp(iso, expected) != 0) {
            abort();
        }
        if (timestamp_parse(text_of(iso), &again) != BRINK_OK ||
            again.us != at.us - at.us % US_PER_MS) {
            abort();
        }
    }
    double v;
    if (number_parse(t, &v) == BRINK_OK && timestamp_of_number(v, &at) == BRINK_OK &&
        (at.us > INT64_C(253402300800000000) || at.us < INT64_C(-253402300800000000))) {
        abort();
    }
    return 0;
}
