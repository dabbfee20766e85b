/* What Valkey holds, and what it costs, while all is well (SPEC 5.1-5.3). */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"

static struct server server;
static struct rig gw;

static void setup(void)
{
    server_start(&server, NULL);
    rig_start(&gw, server.socket);
}

static void teardown(void)
{
    rig_stop(&gw);
    server_stop(&server);
}

#define KEY "wbuf:acme:warm:frz-1"

START_TEST(test_history_first_reading_sets_key_with_ttl)
{
    struct series *s = open_series(&gw, KEY, spec(600, 0));
    ck_assert(!series_readable(s));
    ck_assert_int_eq(push(&gw, s, at(0, 25.1)), WINDOW_APPENDED);
    ck_assert(series_readable(s));
    ck_assert(!series_degraded(s));
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,25.1]]");
    long ttl = atol(DO(&server, "PTTL", KEY));
    ck_assert_int_gt(ttl, 1190000);
    ck_assert_int_le(ttl, 1200000);
    series_free(s);
}
END_TEST

START_TEST(test_history_appends_bytes_as_json_dumps_writes)
{
    struct series *s = open_series(&gw, KEY, spec(600, 0));
    push(&gw, s, at(0, 25.1));
    push(&gw, s, at(1.5, 25.3));
    push(&gw, s, at(2.000001, -1e-7));
    push(&gw, s, at(3, 1e22));
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,25.1],[1767225601.5,25.3],[1767225602.000001,-1e-07],"
                     "[1767225603.0,1e+22]]");
    ck_assert_uint_eq(counter_value(COUNT_STORE_APPENDS), 4);
    ck_assert_uint_eq(counter_value(COUNT_STORE_REWRITES), 0);
    EXPECT(s, {0, 25.1}, {1.5, 25.3}, {2.000001, -1e-7}, {3, 1e22});
    series_free(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("history");
    TCase *c = tcase_create("history");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_history_first_reading_sets_key_with_ttl);
    tcase_add_test(c, test_history_appends_bytes_as_json_dumps_writes);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
