/* A rule that a reload changed has its series anew, over the same list: what the old one
 * held goes over, above all what is not yet written (SPEC 1.3, 5.4). */
#include "rig.h"

#define KEY "wbuf:acme:warm:frz-1"

static struct server server;
static struct rig gw;
static struct series *s;

static void setup(void)
{
    server_start(&server, NULL);
    rig_start(&gw, server.socket);
    s = open_series(&gw, KEY, spec(600, 0));
}

static void teardown(void)
{
    series_free(s);
    rig_stop(&gw);
    server_stop(&server);
}

static void change(double width_s, uint32_t count)
{
    struct series *changed = open_series(&gw, KEY, spec(width_s, count));
    series_inherit(changed, s);
    series_free(s);
    s = changed;
}

START_TEST(test_reload_while_down_keeps_what_is_pending)
{
    static const double widths[] = {600, 60, 6000}; /* the same, shorter, longer */
    push(&gw, s, at(0, 1));
    push(&gw, s, at(550, 2));
    server_kill(&server);
    push(&gw, s, at(560, 3));
    push(&gw, s, at(555, 4)); /* late */
    change(widths[_i], 0);
    ck_assert_uint_eq(rig_pending(&gw), 2);
    push(&gw, s, at(570, 5));
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(s));
    ck_assert_uint_eq(rig_pending(&gw), 0);
    ck_assert_ptr_eq(history_next_changed(gw.h), KEY);
    if (_i == 1) {
        EXPECT(s, {550, 2}, {555, 4}, {560, 3}, {570, 5});
    } else {
        EXPECT(s, {0, 1}, {550, 2}, {555, 4}, {560, 3}, {570, 5});
        ck_assert_str_eq(DO(&server, "GET", KEY),
                         "[[1767225600.0,1.0],[1767226150.0,2.0],[1767226155.0,4.0],"
                         "[1767226160.0,3.0],[1767226170.0,5.0]]");
    }
}
END_TEST

START_TEST(test_reload_that_asks_for_no_more_goes_on_at_once)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(590, 2));
    change(60, 3);
    ck_assert(series_readable(s));
    EXPECT(s, {590, 2});
    push(&gw, s, at(591, 3));
    EXPECT(s, {590, 2}, {591, 3});
    change(60, 2);
    EXPECT(s, {590, 2}, {591, 3});
    /* Another wrote meanwhile: it shows at the next append, as ever. */
    DO(&server, "SET", KEY, "[[1767226185.0, 9.0]]");
    push(&gw, s, at(592, 4));
    EXPECT(s, {585, 9}, {592, 4});
}
END_TEST

START_TEST(test_reload_that_looks_back_further_reads_the_list_once_more)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(700, 2));
    EXPECT(s, {700, 2});
    change(1000, 0);
    ck_assert(!series_readable(s));
    push(&gw, s, at(701, 3));
    EXPECT(s, {0, 1}, {700, 2}, {701, 3}); /* the value still had it */
}
END_TEST

START_TEST(test_reload_keeps_a_list_that_starts_anew_and_a_change_not_yet_told)
{
    push(&gw, s, at(700, 1));
    server_kill(&server);
    series_restart(s);
    push(&gw, s, at(10, 2));
    change(60, 0);
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(s));
    change(50, 0);
    ck_assert_ptr_eq(history_next_changed(gw.h), KEY);
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225610.0,2.0]]");
}
END_TEST

START_TEST(test_reload_without_a_store_keeps_the_windows)
{
    series_free(s);
    rig_stop(&gw);
    rig_config(&gw, server.socket);
    gw.config.store.fallback_memory = true;
    if (_i == 1) {
        gw.config.store.kind = STORE_MEMORY;
    }
    rig_open(&gw);
    history_wait_connected(gw.h, TIMEOUT_US);
    s = open_series(&gw, KEY, spec(600, 0));
    push(&gw, s, at(0, 1));
    server_kill(&server);
    push(&gw, s, at(1, 2));
    change(60, 0);
    ck_assert(series_readable(s));
    ck_assert_int_eq(series_degraded(s), _i == 0);
    EXPECT(s, {0, 1}, {1, 2});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reload");
    TCase *c = tcase_create("reload");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_reload_while_down_keeps_what_is_pending, 0, 3);
    tcase_add_test(c, test_reload_that_asks_for_no_more_goes_on_at_once);
    tcase_add_test(c, test_reload_that_looks_back_further_reads_the_list_once_more);
    tcase_add_test(c,
                   test_reload_keeps_a_list_that_starts_anew_and_a_change_not_yet_told);
    tcase_add_loop_test(c, test_reload_without_a_store_keeps_the_windows, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
