/* Valkey slow, gone, refusing, empty (SPEC 5.4, 5.5, 5.8). */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/counters.h"
#include "history/wbuf.h"

#define KEY "wbuf:acme:warm:frz-1"
/* What a call may take that does not wait: for a busy machine and a sanitizer. */
#define AT_ONCE_US (50 * US_PER_MS)

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
    if (server.pid > 0) {
        server_thaw(&server);
    }
    server_stop(&server);
}

static void close_gateway(void)
{
    series_free(s);
    rig_stop(&gw);
}

static void open_gateway(char *username, char *password)
{
    rig_config(&gw, server.socket);
    gw.config.store.username = username;
    gw.config.store.password = password;
    rig_open(&gw);
    s = open_series(&gw, KEY, spec(600, 0));
    history_wait_connected(gw.h, TIMEOUT_US);
}

static const char *reason(struct rig *r)
{
    static struct history_info info;
    history_info(r->h, &info);
    return info.reason;
}

static size_t stored(const char *key)
{
    struct points points = {NULL, 0, 0};
    enum wbuf_form form = WBUF_NOT_A_LIST;
    ck_assert_int_eq(wbuf_parse(text_of(DO(&server, "GET", key)), &points, &form),
                     BRINK_OK);
    ck_assert_int_eq(form, WBUF_CANONICAL);
    size_t n = points.n;
    points_finish(&points);
    return n;
}

/* --- slow --- */

START_TEST(test_outage_stalls_once_at_most_timeout_then_not_at_all)
{
    push(&gw, s, at(0, 1));
    server_freeze(&server);
    struct mono start = mono_now();
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_APPENDED);
    int64_t stall_us = mono_now().us - start.us;
    ck_assert_int_ge(stall_us, TIMEOUT_US - 5 * US_PER_MS);
    ck_assert_int_le(stall_us, TIMEOUT_US + AT_ONCE_US);
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_DOWN);
    ck_assert_str_eq(reason(&gw), "timed out");
    ck_assert(!series_readable(s));
    int64_t worst_us = 0;
    for (int i = 2; i < 60;
         i++) { /* the connecting thread meets the frozen server meanwhile */
        start = mono_now();
        push(&gw, s, at(i, i));
        rig_step(&gw);
        int64_t took_us = mono_now().us - start.us;
        worst_us = took_us > worst_us ? took_us : worst_us;
        ck_assert(!series_readable(s));
        rig_wait(&gw);
    }
    ck_assert_int_le(worst_us, AT_ONCE_US);
    ck_assert_uint_eq(rig_pending(&gw), 59);
    server_thaw(&server);
    UNTIL(&gw, series_readable(s));
    ck_assert_uint_eq(rig_pending(&gw), 0);
    ck_assert_ptr_eq(history_next_changed(gw.h), KEY);
    ck_assert_ptr_null(history_next_changed(gw.h));
    ck_assert_uint_eq(window_count(series_window(s)), 60);
    ck_assert_uint_eq(stored(KEY), 60);
}
END_TEST

/* The frozen server has the first append in its socket and does it when it wakes. */
START_TEST(test_outage_exchange_of_unknown_end_writes_nothing_twice)
{
    push(&gw, s, at(0, 1));
    server_freeze(&server);
    push(&gw, s, at(1, 2));
    server_thaw(&server);
    UNTIL(&gw, series_readable(s));
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0],[1767225601.0,2.0]]");
    EXPECT(s, {0, 1}, {1, 2});
    push(&gw, s, at(2, 3));
    EXPECT(s, {0, 1}, {1, 2}, {2, 3});
    ck_assert_uint_eq(stored(KEY), 3);
}
END_TEST

START_TEST(test_outage_pending_late_and_equal_times_are_merged)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(10, 2));
    server_kill(&server);
    push(&gw, s, at(5, 3));
    push(&gw, s, at(10, 4));
    push(&gw, s, at(10, 2));
    push(&gw, s, at(11, 5));
    ck_assert_uint_eq(rig_pending(&gw), 3);
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 1}, {5, 3}, {10, 2}, {10, 4}, {11, 5});
    ck_assert_uint_eq(stored(KEY), 5);
}
END_TEST

/* The value is as it was: only memory knows that the pending readings belong among it. */
START_TEST(test_outage_late_pending_readings_go_to_their_places)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(10, 2));
    DO(&server, "CONFIG", "SET", "maxmemory", "1");
    push(&gw, s, at(5, 3));
    push(&gw, s, at(10, 4));
    DO(&server, "CONFIG", "SET", "maxmemory", "0");
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 1}, {5, 3}, {10, 2}, {10, 4});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,1.0],[1767225605.0,3.0],[1767225610.0,2.0],"
                     "[1767225610.0,4.0]]");
}
END_TEST

START_TEST(test_outage_pending_readings_in_order_are_appended)
{
    push(&gw, s, at(0, 1));
    DO(&server, "CONFIG", "SET", "maxmemory", "1");
    push(&gw, s, at(5, 3));
    push(&gw, s, at(10, 4));
    DO(&server, "CONFIG", "SET", "maxmemory", "0");
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 1}, {5, 3}, {10, 4});
    ck_assert_uint_eq(stored(KEY), 3);
    ck_assert_uint_eq(counter_value(COUNT_STORE_REWRITES), 0);
}
END_TEST

START_TEST(test_outage_other_writer_meanwhile_is_followed)
{
    push(&gw, s, at(0, 1));
    server_freeze(&server);
    push(&gw, s, at(2, 2));
    struct rig other;
    rig_config(&other, server.socket);
    rig_open(&other);
    struct series *b = open_series(&other, KEY, spec(600, 0));
    push(&other, b, at(1, 9)); /* not connected: pending, too */
    ck_assert_int_eq(rig_state(&other), STORE_STATE_CONNECTING);
    server_thaw(&server);
    UNTIL(&gw, series_readable(s));
    UNTIL(&other, series_readable(b));
    EXPECT(b, {0, 1}, {1, 9}, {2, 2});
    push(&gw, s, at(3, 3));
    EXPECT(s, {0, 1}, {1, 9}, {2, 2}, {3, 3});
    series_free(b);
    rig_stop(&other);
}
END_TEST

START_TEST(test_outage_key_deleted_meanwhile_keeps_only_what_is_pending)
{
    push(&gw, s, at(0, 1));
    push(&gw, s, at(1, 2));
    DO(&server, "CONFIG", "SET", "maxmemory", "1");
    push(&gw, s, at(2, 3));
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_DOWN);
    DO(&server, "DEL", KEY);
    DO(&server, "CONFIG", "SET", "maxmemory", "0");
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {2, 3});
    ck_assert_uint_eq(stored(KEY), 1);
}
END_TEST

START_TEST(test_outage_idle_loss_is_noticed_without_a_reading)
{
    push(&gw, s, at(0, 1));
    server_kill(&server);
    struct mono start = mono_now();
    UNTIL(&gw, rig_state(&gw) == STORE_STATE_DOWN);
    ck_assert_int_le(mono_now().us - start.us, 3 * US_PER_S);
    ck_assert(!series_readable(s));
}
END_TEST

/* --- empty --- */

START_TEST(test_outage_server_that_came_back_empty_is_given_back_what_it_confirmed)
{
    struct series *idle = open_series(&gw, KEY "/idle", spec(600, 0));
    for (int i = 0; i < 5; i++) {
        push(&gw, s, at(i, i));
        push(&gw, idle, at(i, -i));
    }
    server_kill(&server);
    push(&gw, s, at(5, 5));
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(s));
    UNTIL(&gw, strcmp(DO(&server, "EXISTS", KEY "/idle"), "1") == 0);
    ck_assert_uint_eq(stored(KEY), 6);
    ck_assert_uint_eq(stored(KEY "/idle"), 5);
    ck_assert_uint_eq(counter_value(COUNT_STORE_WRITTEN_BACK), 2);
    ck_assert_uint_eq(counter_value(COUNT_STORE_VANISHED), 0);
    EXPECT(s, {0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5});
    push(&gw, idle, at(6, 6));
    ck_assert_uint_eq(stored(KEY "/idle"), 6);
    series_free(idle);
}
END_TEST

START_TEST(test_outage_server_that_came_back_with_less_is_given_what_is_newer)
{
    for (int i = 0; i < 5; i++) {
        push(&gw, s, at(i, i));
    }
    server_kill(&server);
    /* With its state of three readings ago, and without one that somebody took out. */
    server_start(&server, NULL);
    DO(&server, "SET", KEY, "[[1767225600.0,0.0],[1767225602.0,2.0]]");
    push(&gw, s, at(5, 5));
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 0}, {2, 2}, {3, 3}, {4, 4}, {5, 5});
    ck_assert_uint_eq(stored(KEY), 5);
}
END_TEST

START_TEST(test_outage_server_that_kept_all_is_written_nothing_back)
{
    static const char *const options[] = {"--appendonly", "yes", NULL};
    DO(&server, "CONFIG", "SET", "appendfsync", "always");
    DO(&server, "CONFIG", "SET", "appendonly", "yes");
    UNTIL(&gw, strstr(DO(&server, "INFO", "persistence"), "aof_rewrite_in_progress:0") &&
                   strstr(DO(&server, "INFO", "persistence"), "aof_rewrite_scheduled:0"));
    for (int i = 0; i < 5; i++) {
        push(&gw, s, at(i, i));
    }
    server_kill(&server);
    push(&gw, s, at(5, 5));
    uint64_t conflicts = counter_value(COUNT_STORE_CONFLICTS);
    server_start(&server, options);
    UNTIL(&gw, series_readable(s));
    ck_assert_uint_eq(stored(KEY), 6);
    ck_assert_uint_eq(counter_value(COUNT_STORE_WRITTEN_BACK), 0);
    ck_assert_uint_eq(counter_value(COUNT_STORE_CONFLICTS), conflicts);
}
END_TEST

/* --- errors --- */

/* Every way of refusing: unknown while it lasts, nothing lost, no hot loop, found again
 * by itself. */
static void expect_refusal(const char *word)
{
    uint64_t before =
        counter_value(COUNT_STORE_FAIL_ANSWER) + counter_value(COUNT_STORE_FAIL_CONNECT);
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_APPENDED);
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_DOWN);
    ck_assert_msg(strstr(reason(&gw), word), "reason: %s", reason(&gw));
    ck_assert(!series_readable(s));
    struct mono start = mono_now();
    while (mono_now().us < start.us + 1500 * US_PER_MS) {
        rig_wait(&gw);
        ck_assert(!series_readable(s));
    }
    uint64_t tries = counter_value(COUNT_STORE_FAIL_ANSWER) +
                     counter_value(COUNT_STORE_FAIL_CONNECT) - before;
    ck_assert_msg(tries >= 2 && tries <= 8, "%u attempts in 1.5 s", (unsigned)tries);
}

static void expect_recovery(void)
{
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 1}, {1, 2});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0],[1767225601.0,2.0]]");
    ck_assert_ptr_eq(history_next_changed(gw.h), KEY);
}

START_TEST(test_outage_oom)
{
    push(&gw, s, at(0, 1));
    DO(&server, "CONFIG", "SET", "maxmemory", "1");
    expect_refusal("OOM");
    DO(&server, "CONFIG", "SET", "maxmemory", "0");
    expect_recovery();
}
END_TEST

START_TEST(test_outage_readonly_replica)
{
    push(&gw, s, at(0, 1));
    DO(&server, "REPLICAOF", "127.0.0.1", "1");
    expect_refusal("READONLY");
    DO(&server, "REPLICAOF", "NO", "ONE");
    expect_recovery();
}
END_TEST

START_TEST(test_outage_misconf)
{
    push(&gw, s, at(0, 1));
    /* A failed snapshot stops writes: where its file belongs, there is a folder. */
    char folder[128];
    snprintf(folder, sizeof folder, "%s/dump.rdb", server.dir);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    DO(&server, "CONFIG", "SET", "save", "3600 1");
    DO(&server, "BGSAVE");
    UNTIL(&gw, strstr(DO(&server, "INFO", "persistence"), "rdb_last_bgsave_status:err"));
    expect_refusal("MISCONF");
    DO(&server, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no");
    expect_recovery();
}
END_TEST

START_TEST(test_outage_noperm)
{
    close_gateway();
    DO(&server, "ACL", "SETUSER", "gw", "on", ">pw", "~brink:*", "+@all");
    static char user[] = "gw", password[] = "pw";
    open_gateway(user, password);
    push(&gw, s, at(0, 1));
    ck_assert_msg(strstr(reason(&gw), "NOPERM"), "reason: %s", reason(&gw));
    ck_assert(!series_readable(s));
    DO(&server, "ACL", "SETUSER", "gw", "~wbuf:*");
    UNTIL(&gw, series_readable(s));
    DO(&server, "ACL", "SETUSER", "gw", "-setrange");
    expect_refusal("");
    DO(&server, "ACL", "SETUSER", "gw", "+@all");
    expect_recovery();
}
END_TEST

START_TEST(test_outage_wrong_password_and_none)
{
    close_gateway();
    DO(&server, "CONFIG", "SET", "requirepass", "right");
    static char wrong[] = "wrong", right[] = "right";
    open_gateway(NULL, wrong);
    UNTIL(&gw, strstr(reason(&gw), "WRONGPASS"));
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_CONNECTING);
    close_gateway();
    open_gateway(NULL, NULL);
    UNTIL(&gw, strstr(reason(&gw), "NOAUTH"));
    push(&gw, s, at(0, 1));
    ck_assert(!series_readable(s));
    close_gateway();
    open_gateway(NULL, right);
    push(&gw, s, at(0, 1));
    UNTIL(&gw, series_readable(s));
}
END_TEST

/* --- absent --- */

START_TEST(test_outage_absent_at_start_is_found_when_it_appears)
{
    push(&gw, s, at(0, 1));
    close_gateway();
    DO(&server, "CONFIG", "SET", "save", "3600 1");
    DO(&server, "SAVE");
    server_kill(&server);
    open_gateway(NULL, NULL);
    struct mono start = mono_now();
    history_wait_connected(gw.h, TIMEOUT_US);
    ck_assert_int_le(mono_now().us - start.us, TIMEOUT_US + AT_ONCE_US);
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_CONNECTING);
    start = mono_now();
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_APPENDED);
    ck_assert_int_le(mono_now().us - start.us, AT_ONCE_US);
    ck_assert(!series_readable(s));
    ck_assert_uint_eq(rig_pending(&gw), 1);
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(s));
    EXPECT(s, {0, 1}, {1, 2});
    ck_assert_uint_eq(stored(KEY), 2);
}
END_TEST

START_TEST(test_outage_pending_is_bounded_by_points_per_window)
{
    static struct span_spec span = {3600 * US_PER_S, 0, 1u << FN_AVG};
    static const struct window_spec w = {&span, 1, 10};
    struct series *small = open_series(&gw, KEY "/small", &w);
    push(&gw, small, at(0, 0));
    server_kill(&server);
    for (int i = 1; i < 50; i++) {
        push(&gw, small, at(i, i));
    }
    ck_assert_uint_le(rig_pending(&gw), 10);
    ck_assert_uint_eq(counter_value(COUNT_POINTS_DROPPED), 40);
    server_start(&server, NULL);
    UNTIL(&gw, series_readable(small));
    ck_assert_uint_eq(stored(KEY "/small"), 10);
    series_free(small);
}
END_TEST

#define MANY 2000

START_TEST(test_outage_many_series_are_restored_in_steps_while_others_go_on)
{
    static char keys[MANY][32];
    static struct series *many[MANY];
    const struct window_spec *w = spec(600, 0);
    push(&gw, s, at(0, 0));
    server_kill(&server);
    for (int i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "wbuf:a:many:%d", i);
        many[i] = open_series(&gw, keys[i], w);
        history_stage(gw.h, many[i], at(1, i));
    }
    history_exchange(gw.h, mono_now());
    for (int i = 0; i < MANY; i++) {
        history_admit(gw.h, i);
    }
    history_reset_batch(gw.h);
    ck_assert_uint_eq(rig_pending(&gw), MANY);
    server_start(&server, NULL);
    UNTIL(&gw, rig_state(&gw) == STORE_STATE_UP);
    size_t left = rig_pending(&gw), steps = 0;
    ck_assert_uint_gt(left, 0);
    /* New readings need not wait for the restoring to end. */
    push(&gw, s, at(1, 1));
    ck_assert(series_readable(s));
    ck_assert_uint_gt(rig_pending(&gw), 0);
    while (rig_pending(&gw) > 0) {
        size_t before = rig_pending(&gw);
        rig_step(&gw);
        ck_assert_uint_lt(rig_pending(&gw), before);
        ck_assert_uint_lt(++steps, MANY);
    }
    size_t changed = 0;
    while (history_next_changed(gw.h)) {
        changed++;
    }
    ck_assert_uint_ge(changed, MANY);
    ck_assert_uint_eq(stored("wbuf:a:many:1999"), 1);
    for (int i = 0; i < MANY; i++) {
        series_free(many[i]);
    }
}
END_TEST

START_TEST(test_outage_restart_while_down_drops_what_is_pending)
{
    push(&gw, s, at(1000, 1));
    server_kill(&server);
    push(&gw, s, at(1001, 2));
    series_restart(s);
    ck_assert_uint_eq(rig_pending(&gw), 0);
    push(&gw, s, at(0, 3));
    server_start(&server, NULL);
    DO(&server, "SET", KEY, "[[1767226600.0,1.0]]");
    UNTIL(&gw, rig_pending(&gw) == 0 && series_readable(s));
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,3.0]]");
    EXPECT(s, {0, 3});
}
END_TEST

START_TEST(test_outage_flush_writes_what_is_pending)
{
    push(&gw, s, at(0, 1));
    server_freeze(&server);
    push(&gw, s, at(1, 2));
    history_put_device(gw.h, TEXT("a/b"), TEXT("c"));
    server_thaw(&server);
    history_flush(gw.h, 5 * US_PER_S);
    ck_assert_uint_eq(rig_pending(&gw), 0);
    ck_assert_uint_eq(stored(KEY), 2);
    ck_assert_str_eq(DO(&server, "HGET", "brink:gw-test:devices", "a/b"), "c");
    server_kill(&server);
    push(&gw, s, at(2, 2));
    struct mono start = mono_now();
    history_flush(gw.h, 300 * US_PER_MS);
    ck_assert_int_le(mono_now().us - start.us, 500 * US_PER_MS);
}
END_TEST

START_TEST(test_outage_devices_put_meanwhile_are_written_with_their_last_value)
{
    server_kill(&server);
    history_put_device(gw.h, TEXT("a/d"), TEXT("sent in vain"));
    push(&gw, s, at(0, 1));
    for (int i = 0; i < 1000; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        history_put_device(gw.h, TEXT("a/b"), text_of(value));
    }
    history_put_device(gw.h, TEXT("a/c"), TEXT("x"));
    history_put_cooldown(gw.h, TEXT("a"), TEXT("r"), TEXT("d"), 100 * US_PER_S);
    server_start(&server, NULL);
    UNTIL(&gw, strcmp(DO(&server, "HGET", "brink:gw-test:devices", "a/b"), "999") == 0);
    ck_assert_str_eq(DO(&server, "HGET", "brink:gw-test:devices", "a/c"), "x");
    ck_assert_str_eq(DO(&server, "HGET", "brink:gw-test:devices", "a/d"), "sent in vain");
    ck_assert_str_eq(DO(&server, "GET", "cooldown:a:r:d"), "1");
}
END_TEST

/* --- memory --- */

START_TEST(test_outage_fallback_memory_goes_on_and_says_degraded)
{
    close_gateway();
    rig_config(&gw, server.socket);
    gw.config.store.fallback_memory = true;
    rig_open(&gw);
    s = open_series(&gw, KEY, spec(600, 0));
    UNTIL(&gw, rig_state(&gw) == STORE_STATE_UP);
    push(&gw, s, at(0, 1));
    ck_assert(series_readable(s) && !series_degraded(s));
    server_freeze(&server);
    push(&gw, s, at(1, 2));
    ck_assert(series_readable(s) && series_degraded(s));
    ck_assert(rig_pending(&gw) == 1 && !series_waits(s)); /* it was decided on */
    EXPECT(s, {0, 1}, {1, 2});
    server_thaw(&server);
    UNTIL(&gw, !series_degraded(s));
    ck_assert(series_readable(s));
    ck_assert_uint_eq(stored(KEY), 2);
}
END_TEST

START_TEST(test_outage_store_memory_confirms_everything_at_once)
{
    close_gateway();
    server_kill(&server);
    rig_config(&gw, NULL);
    gw.config.store.kind = STORE_MEMORY;
    rig_open(&gw);
    s = open_series(&gw, KEY, spec(60, 0));
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_MEMORY);
    ck_assert(series_readable(s) && !series_degraded(s));
    ck_assert_int_eq(push(&gw, s, at(0, 1)), WINDOW_APPENDED);
    ck_assert_int_eq(push(&gw, s, at(100, 2)), WINDOW_APPENDED);
    EXPECT(s, {100, 2});
    ck_assert(!series_unload(s));
    series_restart(s);
    push(&gw, s, at(0, 1));
    EXPECT(s, {0, 1});
    history_put_device(gw.h, TEXT("a/b"), TEXT("c"));
    rig_step(&gw);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outage");
    TCase *c = tcase_create("outage");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_outage_stalls_once_at_most_timeout_then_not_at_all);
    tcase_add_test(c, test_outage_exchange_of_unknown_end_writes_nothing_twice);
    tcase_add_test(c, test_outage_pending_late_and_equal_times_are_merged);
    tcase_add_test(c, test_outage_late_pending_readings_go_to_their_places);
    tcase_add_test(c, test_outage_pending_readings_in_order_are_appended);
    tcase_add_test(c, test_outage_other_writer_meanwhile_is_followed);
    tcase_add_test(c, test_outage_key_deleted_meanwhile_keeps_only_what_is_pending);
    tcase_add_test(c, test_outage_idle_loss_is_noticed_without_a_reading);
    tcase_add_test(
        c, test_outage_server_that_came_back_empty_is_given_back_what_it_confirmed);
    tcase_add_test(c, test_outage_server_that_came_back_with_less_is_given_what_is_newer);
    tcase_add_test(c, test_outage_server_that_kept_all_is_written_nothing_back);
    tcase_add_test(c, test_outage_oom);
    tcase_add_test(c, test_outage_readonly_replica);
    tcase_add_test(c, test_outage_misconf);
    tcase_add_test(c, test_outage_noperm);
    tcase_add_test(c, test_outage_wrong_password_and_none);
    tcase_add_test(c, test_outage_absent_at_start_is_found_when_it_appears);
    tcase_add_test(c, test_outage_pending_is_bounded_by_points_per_window);
    tcase_add_test(c, test_outage_many_series_are_restored_in_steps_while_others_go_on);
    tcase_add_test(c, test_outage_restart_while_down_drops_what_is_pending);
    tcase_add_test(c, test_outage_flush_writes_what_is_pending);
    tcase_add_test(c,
                   test_outage_devices_put_meanwhile_are_written_with_their_last_value);
    tcase_add_test(c, test_outage_fallback_memory_goes_on_and_says_degraded);
    tcase_add_test(c, test_outage_store_memory_confirms_everything_at_once);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
