/* The clock that gave the readings' times was set (SPEC 3.3): their list moves along. */
#include "rig.h"

#define KEY "wbuf:acme:warm:frz-1"
#define DAY (INT64_C(86400) * US_PER_S)

static struct server server;
static struct rig gw;
static struct series *s;

static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always",
                                      NULL};

static void setup(void)
{
    server_start(&server, durable);
    rig_start(&gw, server.socket);
    s = open_series(&gw, KEY, spec(600, 0));
}

static void teardown(void)
{
    series_free(s);
    rig_stop(&gw);
    server_stop(&server);
}

START_TEST(test_shift_rewrites_a_list_at_once)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(10, 2));
    series_shift(s, -DAY);
    EXPECT(s, {-86400, 1}, {-86390, 2});
    ck_assert(!series_unload(s));
    if (_i == 1) { /* without a reading */
        rig_step(&gw);
        ck_assert(series_readable(s));
        ck_assert_str_eq(DO(&server, "GET", KEY),
                         "[[1767139200.0,1.0],[1767139210.0,2.0]]");
        ck_assert(series_unload(s));
    }
    push(&gw, s, at(-86389, 3));
    EXPECT(s, {-86400, 1}, {-86390, 2}, {-86389, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767139200.0,1.0],[1767139210.0,2.0],[1767139211.0,3.0]]");
}
END_TEST

START_TEST(test_shift_of_a_list_not_yet_read_waits_for_it)
{
    DO(&server, "SET", KEY, "[[1767225600.0,1.0],[1767225610.0,2.0]]");
    series_shift(s, DAY);
    series_shift(s, 5 * US_PER_S);
    ck_assert(!series_unload(s));
    push(&gw, s, at(86400 + 20, 3));
    EXPECT(s, {86405, 1}, {86415, 2}, {86420, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767312005.0,1.0],[1767312015.0,2.0],[1767312020.0,3.0]]");
    push(&gw, s, at(86400 + 21, 4));
    EXPECT(s, {86405, 1}, {86415, 2}, {86420, 3}, {86421, 4});
}
END_TEST

START_TEST(test_shift_while_down_moves_what_is_pending_along)
{
    push(&gw, s, at(0, 1));
    if (_i == 1) { /* not read back yet */
        series_unload(s);
    }
    server_kill(&server);
    push(&gw, s, at(10, 2));
    series_shift(s, DAY);
    push(&gw, s, at(86400 + 11, 3));
    server_start(&server, durable);
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {86400, 1}, {86410, 2}, {86411, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767312000.0,1.0],[1767312010.0,2.0],[1767312011.0,3.0]]");
}
END_TEST

START_TEST(test_shift_back_leaves_nothing_of_the_future)
{
    DO(&server, "SET", KEY, "[[1767225000.0,1.0],[1767225600.0,2.0]]");
    push(&gw, s, at(5000, 3)); /* the others are out of the window */
    series_shift(s, -DAY);
    push(&gw, s, at(5001 - 86400, 4));
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767144200.0,3.0],[1767144201.0,4.0]]");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shift");
    TCase *c = tcase_create("shift");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_shift_rewrites_a_list_at_once, 0, 2);
    tcase_add_test(c, test_shift_of_a_list_not_yet_read_waits_for_it);
    tcase_add_loop_test(c, test_shift_while_down_moves_what_is_pending_along, 0, 2);
    tcase_add_test(c, test_shift_back_leaves_nothing_of_the_future);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
