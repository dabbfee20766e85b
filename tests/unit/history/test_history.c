/* What Valkey holds, and what it costs, while all is well (SPEC 5.1-5.3). */
#include "rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/counters.h"
#include "history/wbuf.h"

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

START_TEST(test_history_ttl_is_at_least_two_minutes_and_a_week_by_count)
{
    struct series *s = open_series(&gw, KEY, spec(10, 0));
    push(&gw, s, at(0, 1));
    ck_assert_int_gt(atol(DO(&server, "PTTL", KEY)), 119000);
    ck_assert_int_le(atol(DO(&server, "PTTL", KEY)), 120000);
    struct series *c = open_series(&gw, KEY "/count", spec(0, 5));
    push(&gw, c, at(0, 1));
    ck_assert_int_gt(atol(DO(&server, "TTL", KEY "/count")), 7 * 86400 - 10);
    ck_assert_int_le(atol(DO(&server, "TTL", KEY "/count")), 7 * 86400);
    series_free(s);
    series_free(c);
}
END_TEST

START_TEST(test_history_append_renews_ttl)
{
    struct series *s = open_series(&gw, KEY, spec(600, 0));
    push(&gw, s, at(0, 1));
    DO(&server, "PEXPIRE", KEY, "5000");
    push(&gw, s, at(1, 1));
    ck_assert_int_gt(atol(DO(&server, "PTTL", KEY)), 1190000);
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
    ck_assert_str_eq(
        DO(&server, "GET", KEY),
        "[[1767225600.0,25.1],[1767225601.5,25.3],[1767225602.000001,-1e-07],"
        "[1767225603.0,1e+22]]");
    ck_assert_uint_eq(counter_value(COUNT_STORE_APPENDS), 4);
    ck_assert_uint_eq(counter_value(COUNT_STORE_REWRITES), 0);
    EXPECT(s, {0, 25.1}, {1.5, 25.3}, {2.000001, -1e-7}, {3, 1e22});
    series_free(s);
}
END_TEST

START_TEST(test_history_batch_of_many_series_is_one_exchange)
{
    static char keys[200][32];
    struct series *s[200];
    const struct window_spec *w = spec(600, 0);
    for (int i = 0; i < 200; i++) {
        snprintf(keys[i], sizeof keys[i], "wbuf:acme:r:%d", i);
        s[i] = open_series(&gw, keys[i], w);
    }
    uint64_t before = counter_value(COUNT_STORE_EXCHANGES);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 200; i++) {
            ck_assert_int_eq(history_stage(gw.h, s[i], at(turn, i)), i);
        }
        history_exchange(gw.h, mono_now());
        for (int i = 0; i < 200; i++) {
            ck_assert_int_eq(history_admit(gw.h, i), WINDOW_APPENDED);
            ck_assert(series_readable(s[i]));
        }
        history_reset_batch(gw.h);
    }
    ck_assert_uint_eq(counter_value(COUNT_STORE_EXCHANGES) - before, 3);
    ck_assert_str_eq(DO(&server, "GET", "wbuf:acme:r:7"),
                     "[[1767225600.0,7.0],[1767225601.0,7.0],[1767225602.0,7.0]]");
    for (int i = 0; i < 200; i++) {
        series_free(s[i]);
    }
}
END_TEST

START_TEST(test_history_readings_of_one_series_travel_in_one_append)
{
    struct series *s = open_series(&gw, KEY, spec(600, 0));
    push(&gw, s, at(0, 1));
    uint64_t before = counter_value(COUNT_STORE_APPENDS);
    for (int i = 1; i <= 5; i++) {
        history_stage(gw.h, s, at(i, i));
    }
    history_exchange(gw.h, mono_now());
    ck_assert_uint_eq(window_count(series_window(s)), 1);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(history_admit(gw.h, i), WINDOW_APPENDED);
        ck_assert_uint_eq(window_count(series_window(s)), (size_t)i + 2);
    }
    history_reset_batch(gw.h);
    ck_assert_uint_eq(counter_value(COUNT_STORE_APPENDS) - before, 1);
    series_free(s);
}
END_TEST

START_TEST(test_history_duplicate_and_too_late_readings_cost_nothing)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(100, 2));
    uint64_t before = counter_value(COUNT_STORE_EXCHANGES);
    char *value = strdup(DO(&server, "GET", KEY));
    ck_assert_int_eq(push(&gw, s, at(100, 2)), WINDOW_DUPLICATE);
    ck_assert_int_eq(push(&gw, s, at(39, 2)), WINDOW_LATE);
    ck_assert_str_eq(DO(&server, "GET", KEY), value);
    ck_assert_uint_eq(counter_value(COUNT_STORE_EXCHANGES), before);
    ck_assert_uint_eq(counter_value(COUNT_STORE_APPENDS), 2);
    free(value);
    series_free(s);
}
END_TEST

START_TEST(test_history_late_reading_goes_to_its_place_in_valkey)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(10, 2));
    ck_assert_int_eq(push(&gw, s, at(5, 3)), WINDOW_INSERTED);
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,1.0],[1767225605.0,3.0],[1767225610.0,2.0]]");
    EXPECT(s, {0, 1}, {5, 3}, {10, 2});
    ck_assert_int_eq(push(&gw, s, at(11, 4)), WINDOW_APPENDED);
    EXPECT(s, {0, 1}, {5, 3}, {10, 2}, {11, 4});
    series_free(s);
}
END_TEST

START_TEST(test_history_batch_out_of_order_is_admitted_in_its_order)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    static const double order[] = {10, 5, 10, 70, 9, 71};
    static const enum window_push wanted[] = {WINDOW_APPENDED, WINDOW_INSERTED,
                                              WINDOW_APPENDED, WINDOW_APPENDED,
                                              WINDOW_LATE,     WINDOW_APPENDED};
    for (int i = 0; i < 6; i++) {
        history_stage(gw.h, s, at(order[i], i));
    }
    history_exchange(gw.h, mono_now());
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(history_admit(gw.h, i), wanted[i]);
    }
    history_reset_batch(gw.h);
    EXPECT(s, {70, 3}, {71, 5});
    push(&gw, s, at(72, 6));
    EXPECT(s, {70, 3}, {71, 5}, {72, 6});
    series_free(s);
}
END_TEST

START_TEST(test_history_first_reading_after_restart_sees_stored_window)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    for (int i = 0; i < 10; i++) {
        push(&gw, s, at(i, i));
    }
    series_free(s);
    struct rig other;
    rig_start(&other, server.socket);
    s = open_series(&other, KEY, spec(5, 0));
    ck_assert_int_eq(push(&other, s, at(10, 10)), WINDOW_APPENDED);
    EXPECT(s, {5, 5}, {6, 6}, {7, 7}, {8, 8}, {9, 9}, {10, 10});
    ck_assert(series_readable(s));
    series_free(s);
    rig_stop(&other);
}
END_TEST

/* A run that was killed between its write and its decision: the reading comes again, and
 * has to be looked at as the new one that it is to this run. */
START_TEST(test_history_reading_stored_by_a_run_before_is_admitted_once)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(1, 2));
    series_free(s);
    struct rig other;
    rig_start(&other, server.socket);
    s = open_series(&other, KEY, spec(60, 0));
    ck_assert_int_eq(push(&other, s, at(1, 2)), WINDOW_APPENDED);
    EXPECT(s, {0, 1}, {1, 2});
    ck_assert_int_eq(push(&other, s, at(1, 2)), WINDOW_DUPLICATE);
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0],[1767225601.0,2.0]]");
    push(&other, s, at(2, 3));
    EXPECT(s, {0, 1}, {1, 2}, {2, 3});
    series_free(s);
    rig_stop(&other);
}
END_TEST

/* What a run before had decided on and the broker sends again changes nothing; what ends
 * the list, a killed run may have written without deciding on it. */
START_TEST(test_history_only_readings_that_end_a_stored_list_are_admitted_again)
{
    DO(&server, "SET", KEY, "[[1767225600.0,1.0],[1767225601.0,2.0],[1767225602.0,3.0]]");
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_DUPLICATE);
    EXPECT(s, {0, 1}, {1, 2}, {2, 3});
    ck_assert(series_unload(s));
    static const double again[][2] = {{1, 2}, {2, 3}, {3, 4}};
    for (int i = 0; i < 3; i++) {
        history_stage(gw.h, s, at(again[i][0], again[i][1]));
    }
    history_exchange(gw.h, mono_now());
    EXPECT(s, {0, 1});
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(history_admit(gw.h, i), WINDOW_APPENDED);
    }
    history_reset_batch(gw.h);
    EXPECT(s, {0, 1}, {1, 2}, {2, 3}, {3, 4});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,1.0],[1767225601.0,2.0],[1767225602.0,3.0],"
                     "[1767225603.0,4.0]]");
    series_free(s);
}
END_TEST

START_TEST(test_history_wanted_series_is_read_without_a_reading)
{
    DO(&server, "SET", KEY, "[[1767225600.0,1.0],[1767225601.0,2.0]]");
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    struct series *none = open_series(&gw, KEY "/none", spec(60, 0));
    series_want(s);
    series_want(none);
    UNTIL(&gw, series_readable(s) && series_readable(none));
    EXPECT(s, {0, 1}, {1, 2});
    ck_assert_uint_eq(window_count(series_window(none)), 0);
    ck_assert_ptr_nonnull(history_next_changed(gw.h));
    ck_assert_ptr_nonnull(history_next_changed(gw.h));
    ck_assert_ptr_null(history_next_changed(gw.h));
    ck_assert_str_eq(DO(&server, "EXISTS", KEY "/none"), "0");
    uint64_t conflicts = counter_value(COUNT_STORE_CONFLICTS);
    push(&gw, s, at(2, 3));
    push(&gw, none, at(2, 3));
    EXPECT(s, {0, 1}, {1, 2}, {2, 3});
    ck_assert_uint_eq(counter_value(COUNT_STORE_CONFLICTS), conflicts);
    series_free(s);
    series_free(none);
}
END_TEST

START_TEST(test_history_unloaded_series_is_read_again)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    ck_assert(series_unload(s));
    ck_assert(!series_readable(s));
    ck_assert_uint_eq(window_count(series_window(s)), 0);
    push(&gw, s, at(1, 2));
    EXPECT(s, {0, 1}, {1, 2});
    series_free(s);
}
END_TEST

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

START_TEST(test_history_over_tcp_with_user_password_and_database)
{
    static struct server tcp;
    static char host[] = "127.0.0.1", user[] = "gw", password[] = "se cret";
    char port[8];
    struct rig other;
    rig_config(&other, NULL);
    other.config.store.kind = STORE_TCP;
    other.config.store.host = host;
    other.config.store.port = free_port();
    other.config.store.db = 3;
    other.config.store.username = user;
    other.config.store.password = password;
    snprintf(port, sizeof port, "%u", other.config.store.port);
    server_start(&tcp, (const char *const[]){"--port", port, "--bind", host, NULL});
    DO(&tcp, "ACL", "SETUSER", "gw", "on", ">se cret", "~wbuf:*", "+@all");
    rig_open(&other);
    UNTIL(&other, rig_state(&other) == STORE_STATE_UP);
    struct series *s = open_series(&other, KEY, spec(60, 0));
    push(&other, s, at(0, 1));
    ck_assert(series_readable(s));
    ck_assert_str_eq(DO(&tcp, "EXISTS", KEY), "0");
    const char *keyspace = DO(&tcp, "INFO", "keyspace");
    ck_assert_ptr_nonnull(strstr(keyspace, "db3:keys=1"));
    series_free(s);
    rig_stop(&other);
    server_stop(&tcp);
}
END_TEST

/* --- other writers --- */

START_TEST(test_history_follows_a_python_writer)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    /* json.dumps as it comes, and a reading that we do not have */
    DO(&server, "SET", KEY, "[[1767225600.0, 1.0], [1767225603.25, 7]]");
    ck_assert_int_eq(push(&gw, s, at(4, 2)), WINDOW_APPENDED);
    EXPECT(s, {0, 1}, {3.25, 7}, {4, 2});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,1.0],[1767225603.25,7.0],[1767225604.0,2.0]]");
    ck_assert_uint_eq(counter_value(COUNT_STORE_REPAIRED), 1);
    ck_assert_int_gt(atol(DO(&server, "PTTL", KEY)), 0);
    series_free(s);
}
END_TEST

START_TEST(test_history_deleted_key_starts_empty)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(1, 2));
    DO(&server, "DEL", KEY);
    ck_assert_int_eq(push(&gw, s, at(2, 3)), WINDOW_APPENDED);
    EXPECT(s, {2, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225602.0,3.0]]");
    ck_assert_uint_eq(counter_value(COUNT_STORE_VANISHED), 1);
    series_free(s);
}
END_TEST

/* Same length and same end: only the head tells. */
START_TEST(test_history_sees_an_edit_of_equal_length)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(1, 2));
    push(&gw, s, at(2, 3));
    DO(&server, "SET", KEY, "[[1767225600.0,9.0],[1767225601.0,2.0],[1767225602.0,3.0]]");
    push(&gw, s, at(3, 4));
    EXPECT(s, {0, 9}, {1, 2}, {2, 3}, {3, 4});
    DO(&server, "SETRANGE", KEY, "0", "[[1767225600.0,8.0]");
    push(&gw, s, at(4, 5));
    EXPECT(s, {0, 8}, {1, 2}, {2, 3}, {3, 4}, {4, 5});
    series_free(s);
}
END_TEST

/* Head, tail and what stands where the list ended are as before: only the length tells.
 */
START_TEST(test_history_sees_what_was_put_behind_the_list)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    push(&gw, s, at(1, 2));
    DO(&server, "APPEND", KEY, "\n                                          ");
    push(&gw, s, at(2, 3));
    EXPECT(s, {0, 1}, {1, 2}, {2, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY),
                     "[[1767225600.0,1.0],[1767225601.0,2.0],[1767225602.0,3.0]]");
    series_free(s);
}
END_TEST

START_TEST(test_history_replaces_what_is_no_list)
{
    static const struct {
        const char *value;
        enum counter counter;
    } cases[] = {
        {"not json", COUNT_STORE_BAD_JSON},
        {"{\"a\": [1, 2]}", COUNT_STORE_BAD_JSON},
        {"[[1767225600.0,1.0]", COUNT_STORE_BAD_JSON},
        {"[]", COUNT_STORE_REPAIRED},
        {"[[1767225600.0,NaN],[1],\"x\",[1,2,3]]", COUNT_STORE_REPAIRED},
    };
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double t = 100 * (double)i;
        push(&gw, s, at(t, 1));
        uint64_t before = counter_value(cases[i].counter);
        DO(&server, "SET", KEY, cases[i].value);
        ck_assert_int_eq(push(&gw, s, at(t + 1, 2)), WINDOW_APPENDED);
        EXPECT(s, {t + 1, 2});
        ck_assert_uint_eq(counter_value(cases[i].counter), before + 1);
        char wanted[64];
        snprintf(wanted, sizeof wanted, "[[%lld.0,2.0]]",
                 (long long)(T0 + 100 * (int)i + 1));
        ck_assert_str_eq(DO(&server, "GET", KEY), wanted);
    }
    series_free(s);
}
END_TEST

START_TEST(test_history_replaces_a_wrong_type)
{
    DO(&server, "RPUSH", KEY, "a");
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    ck_assert_int_eq(push(&gw, s, at(0, 1)), WINDOW_APPENDED);
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0]]");
    DO(&server, "DEL", KEY);
    DO(&server, "HSET", KEY, "a", "b");
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_APPENDED);
    EXPECT(s, {1, 2});
    ck_assert_uint_eq(counter_value(COUNT_STORE_BAD_TYPE), 2);
    ck_assert(series_readable(s));
    series_free(s);
}
END_TEST

START_TEST(test_history_one_bad_key_does_not_hide_the_others_of_its_call)
{
    DO(&server, "RPUSH", "wbuf:a:r:2", "a");
    DO(&server, "SET", "wbuf:a:r:3", "[[1767225590.0,1.0]]");
    struct series *s[5];
    static char keys[5][16];
    for (int i = 0; i < 5; i++) {
        snprintf(keys[i], sizeof keys[i], "wbuf:a:r:%d", i);
        s[i] = open_series(&gw, keys[i], spec(60, 0));
        history_stage(gw.h, s[i], at(0, i));
    }
    history_exchange(gw.h, mono_now());
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(history_admit(gw.h, i), WINDOW_APPENDED);
        ck_assert(series_readable(s[i]));
        ck_assert_uint_eq(window_count(series_window(s[i])), i == 3 ? 2 : 1);
    }
    history_reset_batch(gw.h);
    for (int i = 0; i < 5; i++) {
        series_free(s[i]);
    }
}
END_TEST

START_TEST(test_history_replaces_a_value_too_large_to_read)
{
    struct rig small;
    rig_config(&small, server.socket);
    small.config.limits.points_per_window = 100; /* values of up to 1 MiB are read */
    rig_open(&small);
    UNTIL(&small, rig_state(&small) == STORE_STATE_UP);
    DO(&server, "SETRANGE", KEY, "1100000", "]]");
    struct series *s = open_series(&small, KEY, spec(60, 0));
    ck_assert_int_eq(push(&small, s, at(0, 1)), WINDOW_APPENDED);
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0]]");
    ck_assert_uint_eq(counter_value(COUNT_STORE_TOO_LARGE), 1);
    series_free(s);
    rig_stop(&small);
}
END_TEST

START_TEST(test_history_script_flush_is_survived_within_the_exchange)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(0, 1));
    DO(&server, "SCRIPT", "FLUSH");
    ck_assert_int_eq(push(&gw, s, at(1, 2)), WINDOW_APPENDED);
    ck_assert(series_readable(s));
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_UP);
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0],[1767225601.0,2.0]]");
    series_free(s);
}
END_TEST

/* --- two gateways --- */

#define RACE_READINGS 400
#define RACE_KEYS 3

struct racer {
    struct rig rig;
    int id;
    pthread_t thread;
    bool ok;
};

static void *race(void *arg)
{
    static const char *const keys[RACE_KEYS] = {"wbuf:a:race:0", "wbuf:a:race:1",
                                                "wbuf:a:race:2"};
    static const struct span_spec span = {3600 * US_PER_S, 0, 1u << FN_AVG};
    static const struct window_spec w = {(struct span_spec *)(uintptr_t)&span, 1, 100000};
    struct racer *r = arg;
    struct series *s[RACE_KEYS];
    r->ok = true;
    for (int k = 0; k < RACE_KEYS; k++) {
        r->ok = r->ok && series_new(r->rig.h, text_of(keys[k]), &w, r, &s[k]) == BRINK_OK;
    }
    for (int i = 0; i < RACE_READINGS && r->ok; i++) {
        for (int k = 0; k < RACE_KEYS; k++) {
            history_stage(r->rig.h, s[k], at(i + 0.001 * r->id, r->id));
        }
        history_exchange(r->rig.h, mono_now());
        for (int k = 0; k < RACE_KEYS; k++) {
            enum window_push what = history_admit(r->rig.h, k);
            r->ok = r->ok && (what == WINDOW_APPENDED || what == WINDOW_INSERTED);
        }
        history_reset_batch(r->rig.h);
    }
    history_flush(r->rig.h, 5 * US_PER_S);
    for (int k = 0; k < RACE_KEYS; k++) {
        series_free(s[k]);
    }
    return NULL;
}

START_TEST(test_history_two_gateways_on_one_key_lose_nothing)
{
    static struct racer racers[2];
    for (int i = 0; i < 2; i++) {
        racers[i].id = i + 1;
        rig_start(&racers[i].rig, server.socket);
    }
    for (int i = 0; i < 2; i++) {
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(racers[i].thread, NULL);
        ck_assert(racers[i].ok);
        rig_stop(&racers[i].rig);
    }
    for (int k = 0; k < RACE_KEYS; k++) {
        char key[32];
        snprintf(key, sizeof key, "wbuf:a:race:%d", k);
        struct points points = {NULL, 0, 0};
        enum wbuf_form form;
        ck_assert_int_eq(wbuf_parse(text_of(DO(&server, "GET", key)), &points, &form),
                         BRINK_OK);
        ck_assert_int_eq(form, WBUF_CANONICAL);
        ck_assert_uint_eq(points.n, 2 * RACE_READINGS);
        points_finish(&points);
    }
    ck_assert_uint_gt(counter_value(COUNT_STORE_CONFLICTS), 0);
}
END_TEST

/* Both get the same readings from the same broker. */
START_TEST(test_history_two_gateways_with_the_same_readings_both_see_each_once)
{
    struct rig other;
    rig_start(&other, server.socket);
    struct series *a = open_series(&gw, KEY, spec(60, 0));
    struct series *b = open_series(&other, KEY, spec(60, 0));
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(push(&gw, a, at(i, i)), WINDOW_APPENDED);
        ck_assert_int_eq(push(&other, b, at(i, i)), WINDOW_APPENDED);
        ck_assert_uint_eq(window_count(series_window(a)), (size_t)i + 1);
        ck_assert_uint_eq(window_count(series_window(b)), (size_t)i + 1);
    }
    struct points points = {NULL, 0, 0};
    enum wbuf_form form;
    ck_assert_int_eq(wbuf_parse(text_of(DO(&server, "GET", KEY)), &points, &form),
                     BRINK_OK);
    ck_assert_int_eq(form, WBUF_CANONICAL);
    ck_assert_uint_eq(points.n, 20);
    points_finish(&points);
    series_free(a);
    series_free(b);
    rig_stop(&other);
}
END_TEST

/* --- size --- */

static size_t live_bytes(const struct window *w)
{
    size_t n = 1;
    for (size_t i = 0; i < window_count(w); i++) {
        n += wbuf_entry_bytes(window_at(w, i)) + 1;
    }
    return n;
}

/* What Valkey holds, less what is older than the cutoff, is the window; and it is not
 * larger than it may be. */
static void expect_mirror(const struct series *s, const char *key, bool by_count)
{
    const struct window *w = series_window(s);
    struct text value = text_of(DO(&server, "GET", key));
    struct points points = {NULL, 0, 0};
    enum wbuf_form form = WBUF_NOT_A_LIST;
    ck_assert_int_eq(wbuf_parse(value, &points, &form), BRINK_OK);
    ck_assert_int_eq(form, WBUF_CANONICAL);
    ck_assert_uint_le(value.n, 2 * live_bytes(w) + 4096);
    size_t n = window_count(w), dead = points.n - n;
    ck_assert_uint_ge(points.n, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert(point_same(points.p[dead + i], window_at(w, i)));
    }
    if (dead > 0 && !by_count) {
        ck_assert_int_lt(points.p[dead - 1].at.us, window_cutoff(w).us);
    }
    points_finish(&points);
}

START_TEST(test_history_value_is_the_window_and_never_above_twice_its_live_size)
{
    static const struct {
        double width;
        uint32_t count;
    } specs[] = {{30, 0}, {0, 7}, {300, 0}, {1000, 40}, {2, 0}};
    uint64_t x = 42;
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        char key[32];
        snprintf(key, sizeof key, "wbuf:a:size:%zu", k);
        struct series *s = open_series(&gw, key, spec(specs[k].width, specs[k].count));
        double t = 0;
        for (int i = 0; i < 1500; i++) {
            int batch = 1 + (int)(x >> 33) % 4, staged = 0;
            for (int b = 0; b < batch; b++) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                unsigned dice = (unsigned)(x >> 33) % 100;
                double step = dice < 2 ? 2000 : (double)(dice % 20) / 4;
                t += step;
                double when = dice > 90 ? t - (double)(dice - 90) * 3 : t;
                double value = (double)(int64_t)(x >> 40) / (dice % 2 ? 7.0 : 4.0);
                ck_assert_int_eq(history_stage(gw.h, s, at(when, value)), staged++);
            }
            history_exchange(gw.h, mono_now());
            for (int b = 0; b < staged; b++) {
                (void)history_admit(gw.h, b);
            }
            history_reset_batch(gw.h);
            ck_assert(series_readable(s));
            expect_mirror(s, key, specs[k].count > 0);
        }
        series_free(s);
    }
    ck_assert_uint_eq(counter_value(COUNT_STORE_CONFLICTS), 0);
    ck_assert_uint_gt(counter_value(COUNT_STORE_REWRITES), 0);
}
END_TEST

static unsigned long wire_bytes(void)
{
    const char *info = DO(&server, "INFO", "stats");
    unsigned long in = strtoul(strstr(info, "total_net_input_bytes:") + 22, NULL, 10);
    return in + strtoul(strstr(info, "total_net_output_bytes:") + 23, NULL, 10);
}

static double bytes_per_append(const char *key, uint32_t points)
{
    struct series *s = open_series(&gw, key, spec(points, 0));
    int t = 0;
    for (; t < (int)points; t += 100) { /* filled */
        for (int i = 0; i < 100; i++) {
            history_stage(gw.h, s, at(t + i, 25.1));
        }
        history_exchange(gw.h, mono_now());
        for (int i = 0; i < 100; i++) {
            history_admit(gw.h, i);
        }
        history_reset_batch(gw.h);
    }
    DO(&server, "GET", key);
    unsigned long before = wire_bytes();
    for (int i = 0; i < 50; i++) {
        push(&gw, s, at(t + i, 25.1));
    }
    double each = (double)(wire_bytes() - before) / 50;
    series_free(s);
    return each;
}

START_TEST(test_history_bytes_of_an_append_do_not_depend_on_the_windows_length)
{
    double small = bytes_per_append("wbuf:a:wire:1", 10);
    double large = bytes_per_append("wbuf:a:wire:2", 3000);
    ck_assert_msg(large < small * 1.2 + 10 && large < 600, "%g and %g bytes", small,
                  large);
}
END_TEST

START_TEST(test_history_points_per_window_drops_the_oldest_and_counts)
{
    static struct span_spec span = {3600 * US_PER_S, 0, 1u << FN_AVG};
    static const struct window_spec w = {&span, 1, 4};
    struct series *s = open_series(&gw, KEY, &w);
    for (int i = 0; i < 6; i++) {
        push(&gw, s, at(i, i));
    }
    EXPECT(s, {2, 2}, {3, 3}, {4, 4}, {5, 5});
    ck_assert_uint_eq(counter_value(COUNT_POINTS_DROPPED), 2);
    series_free(s);
}
END_TEST

/* --- a list that starts anew --- */

START_TEST(test_history_restart_replaces_the_list)
{
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    push(&gw, s, at(1000, 1));
    push(&gw, s, at(1001, 2));
    series_restart(s);
    ck_assert_uint_eq(window_count(series_window(s)), 0);
    ck_assert(series_is_restarting(s));
    if (_i == 1) { /* the old list goes although no reading comes */
        rig_step(&gw);
        ck_assert(!series_is_restarting(s) && series_readable(s));
        ck_assert_str_eq(DO(&server, "GET", KEY), "(nil)");
        ck_assert_ptr_null(history_next_changed(gw.h));
    }
    ck_assert_int_eq(push(&gw, s, at(0, 3)), WINDOW_APPENDED);
    ck_assert(!series_is_restarting(s));
    EXPECT(s, {0, 3});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,3.0]]");
    push(&gw, s, at(1, 4));
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,3.0],[1767225601.0,4.0]]");
    series_free(s);
}
END_TEST

START_TEST(test_history_restart_of_a_series_never_read_ignores_its_value)
{
    DO(&server, "SET", KEY, "[[1767225600.0,1.0]]");
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    series_restart(s);
    if (_i == 1) {
        ck_assert(!series_unload(s));
        rig_step(&gw);
        ck_assert_str_eq(DO(&server, "GET", KEY), "(nil)");
        ck_assert(series_unload(s));
    }
    push(&gw, s, at(1, 4));
    EXPECT(s, {1, 4});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225601.0,4.0]]");
    series_free(s);
}
END_TEST

START_TEST(test_history_restart_of_two_gateways_keeps_the_new_readings_of_both)
{
    struct rig other;
    rig_start(&other, server.socket);
    struct series *a = open_series(&gw, KEY, spec(60, 0));
    struct series *b = open_series(&other, KEY, spec(60, 0));
    push(&gw, a, at(1000, 1));
    push(&other, b, at(1001, 2));
    series_restart(a);
    push(&gw, a, at(0, 3));
    series_restart(b);
    push(&other, b, at(1, 4));
    EXPECT(b, {0, 3}, {1, 4});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,3.0],[1767225601.0,4.0]]");
    series_free(a);
    series_free(b);
    rig_stop(&other);
}
END_TEST

/* --- keys and other state --- */

START_TEST(test_history_key_escapes_the_tenant_only)
{
    struct buffer key = {0};
    history_key(&key, TEXT("a:b%c\x01\x7f\xc3\xa9"), TEXT("r"), TEXT("d:e%f"),
                TEXT("m.x"));
    ck_assert_str_eq(buffer_cstr(&key), "wbuf:a%3Ab%25c%01%7F\xc3\xa9:r:d:e%f/m.x");
    buffer_clear(&key);
    history_key(&key, TEXT("t"), TEXT("r"), TEXT("d"), (struct text){NULL, 0});
    ck_assert_str_eq(buffer_cstr(&key), "wbuf:t:r:d");
    buffer_finish(&key);
}
END_TEST

#define HASH "brink:gw-test:devices"

START_TEST(test_history_writes_devices_and_cooldowns)
{
    history_put_device(gw.h, TEXT("acme/d1"), TEXT("one"));
    history_put_device(gw.h, TEXT("acme/d1"), TEXT("two, longer"));
    history_put_device(gw.h, TEXT("acme/d2"), TEXT("x"));
    history_put_cooldown(gw.h, TEXT("a:b"), TEXT("warm"), TEXT("d1"), 600 * US_PER_S);
    history_exchange(gw.h, mono_now());
    ck_assert_str_eq(DO(&server, "HGET", HASH, "acme/d1"), "two, longer");
    ck_assert_str_eq(DO(&server, "HGET", HASH, "acme/d2"), "x");
    ck_assert_str_eq(DO(&server, "GET", "cooldown:a%3Ab:warm:d1"), "1");
    ck_assert_int_gt(atol(DO(&server, "PTTL", "cooldown:a%3Ab:warm:d1")), 590000);
    history_put_device(gw.h, TEXT("acme/d2"), TEXT(""));
    /* No reading comes: a step writes it, at most a second later. */
    UNTIL(&gw, strcmp(DO(&server, "HGET", HASH, "acme/d2"), "(nil)") == 0);
}
END_TEST

/* Ten thousand devices that fall silent together are all written at once, not 512 a
 * second. */
START_TEST(test_history_writes_many_devices_without_a_pause)
{
    struct mono now = mono_now(), wake;
    char field[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(field, sizeof field, "t/%d", i);
        history_put_device(gw.h, text_of(field), TEXT("x"));
    }
    for (int i = 0; i < 10000 / 512; i++) {
        history_step(gw.h, now, &wake);
        ck_assert_int_eq(atol(DO(&server, "HLEN", HASH)), 512 * (i + 1));
        ck_assert_int_eq(wake.us <= now.us, i + 1 < 10000 / 512);
    }
    UNTIL(&gw, atol(DO(&server, "HLEN", HASH)) == 10000);
}
END_TEST

static int visited, done, first_visited = -1;

static void visit(void *ctx, struct text field, struct text value)
{
    bool *seen = ctx;
    if (!field.p) {
        done++;
        return;
    }
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)field.n, field.p);
    ck_assert_int_eq(strncmp(text, "t/", 2), 0);
    int i = atoi(text + 2);
    ck_assert(i >= 0 && i < 3000);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "value-%d", i);
    ck_assert_uint_eq(value.n, strlen(wanted));
    ck_assert_mem_eq(value.p, wanted, value.n);
    first_visited = first_visited < 0 ? i : first_visited;
    visited += !seen[i];
    seen[i] = true;
}

START_TEST(test_history_loads_devices_before_it_overwrites_them)
{
    static bool seen[3000];
    DO(&server, "EVAL",
       "for i=0,2999 do redis.call('HSET',KEYS[1],'t/'..i,'value-'..i) end", "1", HASH);
    history_load_devices(gw.h, "t/1234", visit, seen);
    history_put_device(gw.h, TEXT("t/5"), TEXT("new"));
    UNTIL(&gw, done > 0);
    ck_assert_int_eq(visited, 3000);
    ck_assert_int_eq(first_visited, 1234);
    ck_assert_int_eq(done, 1);
    UNTIL(&gw, strcmp(DO(&server, "HGET", HASH, "t/5"), "new") == 0);
}
END_TEST

/* What is read back may change what a batch has staged. */
START_TEST(test_history_loads_no_devices_amid_a_batch)
{
    static bool seen[3000];
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    DO(&server, "EVAL",
       "for i=0,2999 do redis.call('HSET',KEYS[1],'t/'..i,'value-'..i) end", "1", HASH);
    history_load_devices(gw.h, "t/1234", visit, seen);
    push(&gw, s, at(0, 1));
    ck_assert_int_eq(visited, 0);
    rig_step(&gw);
    int page = visited;
    ck_assert_int_gt(page, 0);
    push(&gw, s, at(1, 1));
    ck_assert_int_eq(visited, page);
    ck_assert(series_readable(s));
    UNTIL(&gw, done > 0);
    ck_assert_int_eq(visited, 3000);
    series_free(s);
}
END_TEST

START_TEST(test_history_refused_device_state_is_no_error_of_the_windows)
{
    DO(&server, "SET", HASH, "a string");
    struct series *s = open_series(&gw, KEY, spec(60, 0));
    history_put_device(gw.h, TEXT("a/b"), TEXT("c"));
    uint64_t before = counter_value(COUNT_STORE_FAIL_ANSWER);
    push(&gw, s, at(0, 1));
    ck_assert(series_readable(s));
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_UP);
    ck_assert_uint_eq(counter_value(COUNT_STORE_FAIL_ANSWER), before + 1);
    history_load_devices(gw.h, "t/1", visit, NULL);
    UNTIL(&gw, done == 1);
    series_free(s);
}
END_TEST

START_TEST(test_history_tells_what_info_says)
{
    struct history_info info;
    history_info(gw.h, &info);
    ck_assert_str_eq(info.reason, "");
    ck_assert_int_eq(info.server_version[0], '8');
    ck_assert(info.no_append_file);
    ck_assert(!info.evicts);
    struct rig other;
    DO(&server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    DO(&server, "CONFIG", "SET", "appendonly", "yes");
    rig_start(&other, server.socket);
    history_info(other.h, &info);
    ck_assert(!info.no_append_file);
    ck_assert(info.evicts);
    rig_stop(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("history");
    TCase *c = tcase_create("history");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, test_history_first_reading_sets_key_with_ttl);
    tcase_add_test(c, test_history_ttl_is_at_least_two_minutes_and_a_week_by_count);
    tcase_add_test(c, test_history_append_renews_ttl);
    tcase_add_test(c, test_history_appends_bytes_as_json_dumps_writes);
    tcase_add_test(c, test_history_batch_of_many_series_is_one_exchange);
    tcase_add_test(c, test_history_readings_of_one_series_travel_in_one_append);
    tcase_add_test(c, test_history_duplicate_and_too_late_readings_cost_nothing);
    tcase_add_test(c, test_history_late_reading_goes_to_its_place_in_valkey);
    tcase_add_test(c, test_history_batch_out_of_order_is_admitted_in_its_order);
    tcase_add_test(c, test_history_first_reading_after_restart_sees_stored_window);
    tcase_add_test(c, test_history_reading_stored_by_a_run_before_is_admitted_once);
    tcase_add_test(c,
                   test_history_only_readings_that_end_a_stored_list_are_admitted_again);
    tcase_add_test(c, test_history_wanted_series_is_read_without_a_reading);
    tcase_add_test(c, test_history_unloaded_series_is_read_again);
    tcase_add_test(c, test_history_over_tcp_with_user_password_and_database);
    tcase_add_test(c, test_history_follows_a_python_writer);
    tcase_add_test(c, test_history_deleted_key_starts_empty);
    tcase_add_test(c, test_history_sees_an_edit_of_equal_length);
    tcase_add_test(c, test_history_sees_what_was_put_behind_the_list);
    tcase_add_test(c, test_history_replaces_what_is_no_list);
    tcase_add_test(c, test_history_replaces_a_wrong_type);
    tcase_add_test(c, test_history_one_bad_key_does_not_hide_the_others_of_its_call);
    tcase_add_test(c, test_history_replaces_a_value_too_large_to_read);
    tcase_add_test(c, test_history_script_flush_is_survived_within_the_exchange);
    tcase_add_test(c, test_history_two_gateways_on_one_key_lose_nothing);
    tcase_add_test(c,
                   test_history_two_gateways_with_the_same_readings_both_see_each_once);
    tcase_add_test(c,
                   test_history_value_is_the_window_and_never_above_twice_its_live_size);
    tcase_add_test(c,
                   test_history_bytes_of_an_append_do_not_depend_on_the_windows_length);
    tcase_add_test(c, test_history_points_per_window_drops_the_oldest_and_counts);
    tcase_add_loop_test(c, test_history_restart_replaces_the_list, 0, 2);
    tcase_add_loop_test(c, test_history_restart_of_a_series_never_read_ignores_its_value,
                        0, 2);
    tcase_add_test(c,
                   test_history_restart_of_two_gateways_keeps_the_new_readings_of_both);
    tcase_add_test(c, test_history_key_escapes_the_tenant_only);
    tcase_add_test(c, test_history_writes_devices_and_cooldowns);
    tcase_add_test(c, test_history_writes_many_devices_without_a_pause);
    tcase_add_test(c, test_history_loads_no_devices_amid_a_batch);
    tcase_add_test(c, test_history_loads_devices_before_it_overwrites_them);
    tcase_add_test(c, test_history_refused_device_state_is_no_error_of_the_windows);
    tcase_add_test(c, test_history_tells_what_info_says);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
