/* What waits for Valkey, on disk (SPEC 5.4, 7.3). */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

#include "base/counters.h"
#include "history/internal.h"

#define KEY "wbuf:acme:warm:frz-1"
#define TAB "\t"

static char dir[64], path[80];
static struct backlog b;
static uint64_t committed = BACKLOG_COMMITTED_UNKNOWN;
static struct buffer devices; /* "field=value;" of each that was read */

static void note_device(void *ctx, struct text field, struct text value)
{
    (void)ctx;
    buffer_text(&devices, field);
    buffer_char(&devices, '=');
    buffer_text(&devices, value);
    buffer_char(&devices, ';');
}

static bool note_left_device(void *ctx, struct text field, struct text value)
{
    note_device(ctx, field, value);
    return true;
}

static void open_backlog(void)
{
    buffer_clear(&devices);
    ck_assert_int_eq(backlog_open(&b, dir, committed, note_device, NULL), BRINK_OK);
}

static void reopen(void)
{
    backlog_close(&b);
    open_backlog();
}

static void setup(void)
{
    strcpy(dir, "/tmp/brink-backlog-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/backlog", dir);
    open_backlog();
}

static void teardown(void)
{
    backlog_close(&b);
    buffer_finish(&devices);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else is left there */
}

static void expect_left(const char *key, size_t n, const double (*pairs)[2])
{
    struct left_points *l = backlog_take(&b, text_of(key));
    ck_assert_msg((l != NULL) == (n > 0), "%s", key);
    ck_assert_uint_eq(l ? l->points.n : 0, n);
    for (size_t i = 0; i < n; i++) {
        struct point want = at(pairs[i][0], pairs[i][1]);
        ck_assert(l->points.p[i].at.us == want.at.us &&
                  l->points.p[i].value == want.value);
    }
    left_points_free(l);
}
#define LEFT(key, ...)                                                                   \
    expect_left((key), sizeof((const double[][2]){__VA_ARGS__}) / sizeof(double[2]),     \
                (const double[][2]){__VA_ARGS__})

static uint64_t file_bytes(void)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void append(const char *text)
{
    FILE *f = fopen(path, "ab");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void put(double seconds, double value)
{
    struct point p = at(seconds, value);
    backlog_put_points(&b, text_of(KEY), &p, 1);
}

START_TEST(test_backlog_gives_back_what_was_written)
{
    const struct point two[] = {at(0, 1.5), at(1, -2)};
    backlog_put_points(&b, text_of(KEY), two, 2);
    backlog_put_device(&b, TEXT("acme/frz-1"), TEXT("1 saved=7"));
    backlog_write(&b, mono_now(), 0);
    put(0.5, 3); /* late: it stays in the order in which it came */
    backlog_put_device(&b, TEXT("acme/frz-1"), TEXT("1 saved=8"));
    backlog_put_device(&b, TEXT("acme/gone"), TEXT(""));
    backlog_write(&b, mono_now(), 0);
    put(9, 9); /* never written */
    reopen();
    LEFT(KEY, {0, 1.5}, {1, -2}, {0.5, 3});
    ck_assert_ptr_null(backlog_take(&b, text_of(KEY)));
    ck_assert_str_eq(buffer_cstr(&devices),
                     "acme/frz-1=1 saved=7;acme/frz-1=1 saved=8;acme/gone=;");
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(test_backlog_goes_by_batches_that_were_committed)
{
    backlog_put_device(&b, TEXT("acme/frz-1"), TEXT("seven"));
    backlog_write(&b, mono_now(), 7);
    uint64_t bytes = file_bytes();
    put(0, 1);
    backlog_put_device(&b, TEXT("acme/frz-1"), TEXT("eight"));
    backlog_write(&b, mono_now(), 8);
    committed = 7;
    reopen();
    ck_assert_str_eq(buffer_cstr(&devices), "acme/frz-1=seven;");
    ck_assert_ptr_null(backlog_take(&b, text_of(KEY)));
    ck_assert_uint_eq(file_bytes(), bytes); /* as if it had never been */
    backlog_put_device(&b, TEXT("acme/frz-1"), TEXT("eight anew"));
    backlog_write(&b, mono_now(), 8);
    backlog_put_device(&b, TEXT("acme/frz-2"), TEXT("of none"));
    backlog_write(&b, mono_now(), 0);
    committed = 8;
    reopen();
    ck_assert_str_eq(buffer_cstr(&devices),
                     "acme/frz-1=seven;acme/frz-1=eight anew;acme/frz-2=of none;");
    committed = BACKLOG_COMMITTED_UNKNOWN;
    reopen();
    ck_assert_str_eq(buffer_cstr(&devices),
                     "acme/frz-1=seven;acme/frz-1=eight anew;acme/frz-2=of none;");
    ck_assert_uint_eq(b.batch, 8);
}
END_TEST

START_TEST(test_backlog_that_is_empty_holds_nothing)
{
    ck_assert(!backlog_holds(&b));
    put(0, 1);
    ck_assert(backlog_holds(&b));
    backlog_write(&b, mono_now(), 0);
    ck_assert(backlog_holds(&b));
    backlog_empty(&b, mono_now());
    ck_assert(!backlog_holds(&b));
    ck_assert(
        !b.unsynced); /* or history_step() would want to be called at once, for ever */
    ck_assert_uint_eq(file_bytes(), 0);
    reopen();
    expect_left(KEY, 0, NULL);
}
END_TEST

START_TEST(test_backlog_torn_and_strange_lines_are_left_out)
{
    put(0, 1);
    backlog_write(&b, mono_now(), 0);
    append("w" TAB KEY TAB "not a list\n"
           "w" TAB TAB "[[1767225600.0,1.0]]\n"
           "x" TAB KEY TAB "[[1767225600.0,1.0]]\n"
           "\n"
           "w" TAB KEY TAB "[[1767225601.0,2.0]]\n"
           "w" TAB KEY TAB "[[17672");
    reopen();
    LEFT(KEY, {0, 1}, {1, 2});
    /* What is written next does not end up in the torn line. */
    put(2, 3);
    backlog_write(&b, mono_now(), 0);
    reopen();
    LEFT(KEY, {0, 1}, {1, 2}, {2, 3});
}
END_TEST

START_TEST(test_backlog_is_renewed_when_most_of_it_is_dead)
{
    struct mono now = mono_now();
    size_t renewals = 0;
    for (int i = 0; i < 60000; i++) {
        put(i, i);
        if (backlog_is_renewal(&b, now)) {
            backlog_begin_renewal(&b);
            put(i, i);
            backlog_renew(&b, now);
            renewals++;
        } else {
            backlog_write(&b, now, 0);
        }
        ck_assert_uint_le(b.bytes, 2 * b.base + BACKLOG_SLACK_BYTES);
    }
    ck_assert_uint_gt(renewals, 0);
    ck_assert_uint_lt(renewals, 5);
    ck_assert_uint_eq(file_bytes(), b.bytes);
    reopen();
    struct left_points *l = backlog_take(&b, text_of(KEY));
    ck_assert_ptr_nonnull(l);
    ck_assert(l->points.p[l->points.n - 1].value == 59999);
    left_points_free(l);
}
END_TEST

/* A limit on the size of files stands for a full disk. */
START_TEST(test_backlog_failed_write_is_made_up_for)
{
    struct rlimit was, small;
    struct mono now = mono_now();
    uint64_t failures = counter_value(COUNT_BACKLOG_FAILURES);
    signal(SIGXFSZ, SIG_IGN);
    put(0, 1);
    backlog_write(&b, now, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = file_bytes() + 10;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(1, 2);
    backlog_write(&b, now, 0);
    ck_assert_uint_eq(counter_value(COUNT_BACKLOG_FAILURES), failures + 1);
    put(2, 3);
    backlog_write(&b, now, 0); /* not tried: the renewal will have it */
    ck_assert(!backlog_is_renewal(&b, now));
    now.us += US_PER_S;
    ck_assert(backlog_is_renewal(&b, now));
    backlog_begin_renewal(&b);
    put(0, 1);
    put(1, 2);
    backlog_renew(&b, now); /* fails, too */
    ck_assert_uint_eq(counter_value(COUNT_BACKLOG_FAILURES), failures + 2);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    now.us += US_PER_S;
    ck_assert(backlog_is_renewal(&b, now));
    backlog_begin_renewal(&b);
    put(0, 1);
    put(1, 2);
    put(2, 3);
    backlog_renew(&b, now);
    ck_assert(!backlog_is_renewal(&b, now));
    reopen();
    LEFT(KEY, {0, 1}, {1, 2}, {2, 3});
}
END_TEST

START_TEST(test_backlog_is_synced_within_a_second)
{
    struct mono now = mono_now();
    put(0, 1);
    backlog_write(&b, now, 0);
    ck_assert(b.unsynced && b.sync_at.us - now.us < US_PER_S);
    backlog_sync(&b, now);
    ck_assert(b.unsynced);
    backlog_sync(&b, b.sync_at);
    ck_assert(!b.unsynced);
}
END_TEST

START_TEST(test_backlog_in_a_folder_that_is_none_stays_closed)
{
    struct backlog none = {0};
    ck_assert_int_eq(
        backlog_open(&none, "/nonexistent/folder", committed, note_device, NULL),
        BRINK_E_IO);
    ck_assert(!backlog_is_open(&none));
    struct point p = at(0, 1);
    backlog_put_points(&none, text_of(KEY), &p, 1);
    ck_assert(!backlog_holds(&none));
    backlog_close(&none);
}
END_TEST

static void expect_key(const char *key, const char *tenant, const char *rule,
                       const char *device)
{
    struct buffer t = {0};
    struct text r, d;
    bool is = history_key_parse(text_of(key), &t, &r, &d);
    ck_assert_msg(is == (tenant != NULL), "%s", key);
    if (is) {
        ck_assert_str_eq(buffer_cstr(&t), tenant);
        ck_assert(text_equal(r, text_of(rule)) && text_equal(d, text_of(device)));
    }
    buffer_finish(&t);
}

START_TEST(test_key_says_whose_it_is)
{
    expect_key("wbuf:acme:warm:frz-1", "acme", "warm", "frz-1");
    expect_key("wbuf:acme:warm:frz-1/temp_c", "acme", "warm", "frz-1");
    expect_key("wbuf:a%3Ab%25c%01:warm:urn:dev:7/a/b", "a:b%c\001", "warm", "urn:dev:7");
    expect_key("wbuf:50%:r:d", "50%", "r", "d");
    expect_key("wbuf:%4:r:d", "%4", "r", "d");
    expect_key("wbuf::r:d", NULL, NULL, NULL);
    expect_key("wbuf:t:r:", NULL, NULL, NULL);
    expect_key("wbuf:t:r", NULL, NULL, NULL);
    expect_key("cooldown:t:r:d", NULL, NULL, NULL);
    expect_key("", NULL, NULL, NULL);
    struct buffer key = {0};
    history_key(&key, TEXT("a:b%c\x7f"), TEXT("warm"), TEXT("d%:1"), TEXT("m"));
    expect_key(buffer_cstr(&key), "a:b%c\x7f", "warm", "d%:1");
    buffer_finish(&key);
}
END_TEST

/* --- with a server --- */

static struct server server;
static struct rig gw;
static struct series *s;
static size_t n_visited;

static void visit_window(void *ctx, struct text tenant, struct text rule,
                         struct text device)
{
    (void)ctx;
    ck_assert(text_equal(tenant, TEXT("acme")) && text_equal(rule, TEXT("warm")) &&
              text_equal(device, TEXT("frz-1")));
    n_visited++;
    if (!s) {
        s = open_series(&gw, KEY, spec(600, 0));
    }
}

static void visit_none(void *ctx, struct text tenant, struct text rule,
                       struct text device)
{
    (void)ctx, (void)tenant, (void)rule, (void)device;
    n_visited++;
}

static void open_gateway(void)
{
    n_visited = 0;
    buffer_clear(&devices);
    rig_config(&gw, server.socket);
    gw.config.gateway.state_dir = server.dir;
    gw.config.mqtt.inbox = 1024;
    rig_open(&gw);
    history_each_left_device(gw.h, note_left_device, NULL);
}

/* As a kill would: nothing is flushed. */
static void kill_gateway(void)
{
    series_free(s);
    s = NULL;
    rig_stop(&gw);
}

static void server_setup(void)
{
    server_start(&server, NULL);
    open_gateway();
    history_take_left_windows(gw.h, visit_none, NULL);
    s = open_series(&gw, KEY, spec(600, 0));
    UNTIL(&gw, rig_state(&gw) == STORE_STATE_UP);
}

static void server_teardown(void)
{
    series_free(s);
    s = NULL;
    rig_stop(&gw);
    server_stop(&server);
    buffer_finish(&devices);
}

static void push_kept(struct point p)
{
    push(&gw, s, p);
    history_keep(gw.h, mono_now(), 0);
}

START_TEST(test_readings_of_an_outage_survive_a_kill)
{
    push_kept(at(0, 1));
    server_kill(&server);
    push_kept(at(1, 2));
    push_kept(at(3, 4));
    push_kept(at(2, 3));
    history_put_device(gw.h, TEXT("acme/frz-1"), TEXT("1 saved=1"));
    history_put_device(gw.h, TEXT("acme/frz-1"), TEXT("1 saved=2"));
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    for (int again = 0; again < 2; again++) { /* the server is still away */
        open_gateway();
        ck_assert_str_eq(buffer_cstr(&devices), "acme/frz-1=1 saved=2;");
        history_take_left_windows(gw.h, visit_window, NULL);
        ck_assert_uint_eq(n_visited, 1);
        ck_assert_uint_eq(rig_pending(&gw), 3);
        ck_assert(!series_readable(s));
        history_keep(gw.h, mono_now(), 0);
        if (again == 0) {
            kill_gateway();
        }
    }
    server_start(&server, NULL);
    UNTIL(&gw, rig_pending(&gw) == 0 && rig_state(&gw) == STORE_STATE_UP);
    EXPECT(s, {1, 2}, {2, 3}, {3, 4}); /* the first was Valkey's to keep */
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway(); /* Valkey has them, and no rule was evaluated */
    history_take_left_windows(gw.h, visit_window, NULL);
    ck_assert_uint_eq(n_visited, 1);
    UNTIL(&gw, rig_pending(&gw) == 0 && rig_state(&gw) == STORE_STATE_UP);
    EXPECT(s, {1, 2}, {2, 3}, {3, 4});
    ck_assert_ptr_nonnull(history_next_changed(gw.h)); /* its rules are evaluated */
    ck_assert_ptr_null(history_next_changed(gw.h));
    ck_assert_str_eq(DO(&server, "HGET", "brink:gw-test:devices", "acme/frz-1"),
                     "1 saved=2");
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway(); /* nothing waits any more */
    history_take_left_windows(gw.h, visit_none, NULL);
    ck_assert_uint_eq(n_visited, 0);
    ck_assert_str_eq(buffer_cstr(&devices), "");
}
END_TEST

/* Valkey is back and took it; the backlog has not heard. */
static void take_a_reading_of_an_outage(void)
{
    push_kept(at(0, 1));
    server_kill(&server);
    push_kept(at(1, 2));
    server_start(&server, NULL);
    UNTIL(&gw, rig_pending(&gw) == 0);
}

/* Valkey went away again before the rules over what it took were evaluated. */
START_TEST(test_readings_stay_until_the_rules_over_them_were_evaluated)
{
    take_a_reading_of_an_outage();
    ck_assert_ptr_nonnull(history_next_changed(gw.h));
    server_kill(&server);
    UNTIL(&gw, rig_state(&gw) != STORE_STATE_UP);
    series_revisit(s);
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_window, NULL);
    ck_assert_uint_eq(n_visited, 1);
    server_start(&server, NULL);
    UNTIL(&gw, rig_pending(&gw) == 0 && rig_state(&gw) == STORE_STATE_UP);
    ck_assert_ptr_nonnull(history_next_changed(gw.h));
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_none, NULL);
    ck_assert_uint_eq(n_visited, 0);
}
END_TEST

START_TEST(test_readings_that_valkey_took_before_the_kill_are_not_doubled)
{
    take_a_reading_of_an_outage();
    /* Killed before the backlog was emptied. */
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_window, NULL);
    ck_assert_uint_eq(rig_pending(&gw), 1);
    UNTIL(&gw, rig_pending(&gw) == 0);
    EXPECT(s, {0, 1}, {1, 2});
    ck_assert_str_eq(DO(&server, "GET", KEY), "[[1767225600.0,1.0],[1767225601.0,2.0]]");
}
END_TEST

START_TEST(test_readings_of_rules_that_are_gone_are_dropped_and_counted)
{
    uint64_t dropped = counter_value(COUNT_BACKLOG_LEFT);
    server_kill(&server);
    push_kept(at(0, 1));
    push_kept(at(1, 2));
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_none, NULL);
    ck_assert_uint_eq(n_visited, 1);
    ck_assert_uint_eq(counter_value(COUNT_BACKLOG_LEFT), dropped + 2);
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_none, NULL);
    ck_assert_uint_eq(n_visited, 0);
}
END_TEST

START_TEST(test_long_outage_keeps_the_file_near_what_waits)
{
    char file[96];
    struct stat st;
    snprintf(file, sizeof file, "%s/backlog", server.dir);
    server_kill(&server);
    for (int i = 0; i < 60000; i++) {
        push_kept(at(i * 10, i)); /* sixty are in the window */
    }
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_uint_lt((uint64_t)st.st_size, 2 * BACKLOG_SLACK_BYTES);
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_window, NULL);
    ck_assert_uint_eq(window_count(series_window(s)), 61);
    ck_assert_uint_eq(rig_pending(&gw), 61);
}
END_TEST

/* A clock at which the server dies once it has written so much. */
static uint64_t last_append = UINT64_MAX;

static struct mono look(void *ctx)
{
    (void)ctx;
    if (counter_value(COUNT_STORE_APPENDS) >= last_append) {
        last_append = UINT64_MAX;
        server_kill(&server);
    }
    return mono_now();
}

/* Of two series, one is written in the first round of an exchange, the other's list has
 * to be read first; Valkey dies between the two rounds. */
START_TEST(test_readings_that_valkey_took_in_an_exchange_that_failed_wait_for_their_rules)
{
    struct clock clock = clock_system;
    struct series *other;
    bool renewed = _i == 1;
    clock.mono = look;
    DO(&server, "SET", KEY "/b", "[[1767225600.0,1.0]]");
    kill_gateway();
    rig_config(&gw, server.socket);
    gw.clock = &clock;
    gw.config.gateway.state_dir = server.dir;
    rig_open(&gw);
    history_take_left_windows(gw.h, visit_none, NULL);
    history_wait_connected(gw.h, TIMEOUT_US);
    s = open_series(&gw, KEY, spec(600, 0));
    other = open_series(&gw, KEY "/b", spec(600, 0));
    push_kept(at(0, 1));
    ck_assert_int_eq(history_stage(gw.h, s, at(1, 2)), 0);
    ck_assert_int_eq(history_stage(gw.h, other, at(1, 2)), 1);
    last_append = counter_value(COUNT_STORE_APPENDS) + 1;
    history_exchange(gw.h, mono_now());
    ck_assert_int_eq(rig_state(&gw), STORE_STATE_DOWN);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(history_admit(gw.h, i), WINDOW_APPENDED);
        ck_assert(!series_readable(i == 0 ? s : other));
        series_revisit(i == 0 ? s : other);
    }
    ck_assert(!series_waits(s) && series_waits(other));
    history_reset_batch(gw.h);
    ck_assert(!series_unload(s)); /* nobody would look at it again */
    if (renewed) {
        gw.h->backlog.stale = true;
    }
    history_keep(gw.h, mono_now(), 0);
    series_free(other);
    kill_gateway();
    open_gateway();
    struct left_points *l = map_get(&gw.h->backlog.left, TEXT(KEY));
    ck_assert_ptr_nonnull(l);
    ck_assert_uint_eq(l->points.n, 1);
    ck_assert(l->points.p[0].at.us == at(1, 2).at.us);
    ck_assert_ptr_nonnull(map_get(&gw.h->backlog.left, TEXT(KEY "/b")));
    history_take_left_windows(gw.h, visit_none, NULL);
}
END_TEST

START_TEST(test_inbox_0_keeps_devices_while_valkey_is_there)
{
    kill_gateway();
    open_gateway();
    history_take_left_windows(gw.h, visit_none, NULL);
    history_wait_connected(gw.h, TIMEOUT_US);
    history_put_device(gw.h, TEXT("acme/frz-1"), TEXT("1 saved=1"));
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway();
    ck_assert_str_eq(buffer_cstr(&devices), ""); /* Valkey has it within a second */
    kill_gateway();

    rig_config(&gw, server.socket);
    gw.config.gateway.state_dir = server.dir; /* inbox: 0 */
    rig_open(&gw);
    history_take_left_windows(gw.h, visit_none, NULL);
    history_wait_connected(gw.h, TIMEOUT_US);
    history_put_device(gw.h, TEXT("acme/frz-1"), TEXT("1 saved=2"));
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_gateway();
    ck_assert_str_eq(buffer_cstr(&devices), "acme/frz-1=1 saved=2;");
}
END_TEST

static void open_with_inbox_0_and(const struct window_spec *window)
{
    rig_config(&gw, server.socket);
    gw.config.gateway.state_dir = server.dir;
    rig_open(&gw);
    history_take_left_windows(gw.h, visit_none, NULL);
    history_wait_connected(gw.h, TIMEOUT_US);
    s = open_series(&gw, KEY, window);
}

static void open_with_inbox_0(void)
{
    open_with_inbox_0_and(spec(600, 0));
}

/* With what the last run left for it. */
static void open_with_inbox_0_waiting(void)
{
    rig_config(&gw, server.socket);
    gw.config.gateway.state_dir = server.dir;
    rig_open(&gw);
    history_take_left_windows(gw.h, visit_window, NULL);
}

static void stage(const struct point *points, int n)
{
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(history_stage(gw.h, s, points[i]), i);
    }
    history_exchange(gw.h, mono_now());
}

#define WRITTEN                                                                          \
    "[[1767225600.0,1.0],[1767225602.0,4.0],[1767225605.0,5.0],[1767225610.0,2.0],"      \
    "[1767225620.0,3.0]]"

/* A batch with late readings that was written, and killed before anything was decided. */
static void kill_in_a_batch(const struct point *points, int n)
{
    kill_gateway();
    open_with_inbox_0();
    push_kept(at(0, 1));
    push_kept(at(10, 2));
    stage(points, n);
    kill_gateway();
    ck_assert_str_eq(DO(&server, "GET", KEY), WRITTEN);
    open_with_inbox_0();
}

START_TEST(test_inbox_0_what_was_not_decided_on_is_no_windows_after_a_kill)
{
    const struct point batch[] = {at(20, 3), at(5, 5), at(2, 4)};
    kill_in_a_batch(batch, 3);
    stage(batch, 1); /* the broker's deliveries may come one by one */
    EXPECT(s, {0, 1}, {10, 2});
    ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_APPENDED);
    history_reset_batch(gw.h);
    history_keep(gw.h, mono_now(), 0);
    kill_gateway(); /* that was decided on, the others still are not */
    open_with_inbox_0();
    stage(batch, 3);
    EXPECT(s, {0, 1}, {10, 2}, {20, 3});
    ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_DUPLICATE);
    ck_assert_int_eq(history_admit(gw.h, 1), WINDOW_INSERTED);
    EXPECT(s, {0, 1}, {5, 5}, {10, 2}, {20, 3});
    ck_assert_int_eq(history_admit(gw.h, 2), WINDOW_INSERTED);
    history_reset_batch(gw.h);
    history_keep(gw.h, mono_now(), 0);
    ck_assert_str_eq(DO(&server, "GET", KEY), WRITTEN);
    kill_gateway();
    open_with_inbox_0();
    stage(batch, 3);
    EXPECT(s, {0, 1}, {2, 4}, {5, 5}, {10, 2}, {20, 3});
}
END_TEST

START_TEST(test_inbox_0_what_was_decided_on_stays_decided_on_however_often_it_is_killed)
{
    const struct point batch[] = {at(20, 3)}, next = at(30, 6);
    kill_gateway();
    open_with_inbox_0();
    push_kept(at(0, 1));
    push_kept(at(10, 2));
    for (int i = 0; i < 2; i++) {
        stage(i == 0 ? batch : &next, 1);
        ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_APPENDED);
        history_reset_batch(gw.h);
        history_keep(gw.h, mono_now(), 0);
    }
    for (int i = 0; i < 3; i++) { /* neither was acknowledged */
        kill_gateway();
        open_with_inbox_0();
        stage(batch, 1);
        EXPECT(s, {0, 1}, {10, 2}, {20, 3}, {30, 6});
    }
    ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_DUPLICATE);
    history_reset_batch(gw.h);
}
END_TEST

/* The four before t, one a second. */
static void expect_before(int t)
{
    double expected[4][2];
    size_t n = 0;
    for (int k = t < 4 ? 0 : t - 4; k < t; k++, n++) {
        expected[n][0] = expected[n][1] = k;
    }
    expect_window(s, n, (const double(*)[2])expected);
}

/* Each batch is killed before anything was decided, those among them that compact the
 * list: the first reading's decision still needs what the last one's does not, and so
 * does the reading before them, should that come again. */
START_TEST(test_inbox_0_a_compacted_list_has_what_each_reading_that_comes_again_needs)
{
    enum { ROUNDS = 250, MOST = 3 };
    const int each = _i == 2 ? 1 : MOST;
    bool late = _i == 1;
    size_t longest = 0, compactions = 0;
    kill_gateway();
    for (int round = 0; round < ROUNDS; round++) {
        int t = each * round;
        struct point batch[MOST];
        for (int i = 0; i < each; i++) {
            batch[i] = at(t + i, t + i);
        }
        if (late) {
            batch[1] = at(t + 2, t + 2);
            batch[2] = at(t + 1, t + 1);
        }
        for (int run = 0; run < 2; run++) {
            const struct point before = at(t - 1, t - 1);
            open_with_inbox_0_and(spec(0, 4));
            if (run == 1 && t > 0) {
                stage(&before, 1);
                expect_before(t);
                ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_DUPLICATE);
                history_reset_batch(gw.h);
            }
            stage(batch, each);
            size_t n = strlen(DO(&server, "GET", KEY));
            compactions += n < longest;
            longest = n;
            if (run == 0) {
                kill_gateway();
            }
        }
        expect_before(t);
        for (int i = 0; i < each; i++) {
            enum window_push push = history_admit(gw.h, i);
            ck_assert_int_eq(push, late && i == 2 ? WINDOW_INSERTED : WINDOW_APPENDED);
        }
        history_reset_batch(gw.h);
        history_keep(gw.h, mono_now(), 0);
        kill_gateway();
    }
    ck_assert_uint_gt(compactions, 0);
    open_with_inbox_0();
}
END_TEST

static void visit_user(void *ctx, void *user)
{
    size_t *n = ctx;
    ck_assert_str_eq(user, KEY);
    *n += 1;
}

START_TEST(test_inbox_0_what_does_not_come_again_is_the_windows)
{
    size_t n_users = 0;
    const struct point batch[] = {at(20, 3), at(5, 5), at(2, 4)}, next = at(30, 6);
    kill_in_a_batch(batch, 3);
    history_end_begun(gw.h, visit_user, &n_users);
    ck_assert_uint_eq(n_users, 1); /* to whom nothing of it was decided */
    history_keep(gw.h, mono_now(), 0);
    kill_gateway();
    open_with_inbox_0_waiting(); /* nor was it when the next kill came */
    ck_assert(series_waits(s));
    UNTIL(&gw, rig_pending(&gw) == 0 && rig_state(&gw) == STORE_STATE_UP);
    stage(&next, 1);
    EXPECT(s, {0, 1}, {2, 4}, {5, 5}, {10, 2}, {20, 3});
    ck_assert_int_eq(history_admit(gw.h, 0), WINDOW_APPENDED);
    history_reset_batch(gw.h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backlog");
    TCase *c = tcase_create("backlog");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_backlog_gives_back_what_was_written);
    tcase_add_test(c, test_backlog_goes_by_batches_that_were_committed);
    tcase_add_test(c, test_backlog_that_is_empty_holds_nothing);
    tcase_add_test(c, test_backlog_torn_and_strange_lines_are_left_out);
    tcase_add_test(c, test_backlog_is_renewed_when_most_of_it_is_dead);
    tcase_add_test(c, test_backlog_failed_write_is_made_up_for);
    tcase_add_test(c, test_backlog_is_synced_within_a_second);
    tcase_add_test(c, test_backlog_in_a_folder_that_is_none_stays_closed);
    tcase_add_test(c, test_key_says_whose_it_is);
    suite_add_tcase(suite, c);
    c = tcase_create("backlog and a server");
    tcase_add_checked_fixture(c, server_setup, server_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_readings_of_an_outage_survive_a_kill);
    tcase_add_test(c, test_readings_stay_until_the_rules_over_them_were_evaluated);
    tcase_add_test(c, test_readings_that_valkey_took_before_the_kill_are_not_doubled);
    tcase_add_loop_test(
        c, test_readings_that_valkey_took_in_an_exchange_that_failed_wait_for_their_rules,
        0, 2);
    tcase_add_test(c, test_readings_of_rules_that_are_gone_are_dropped_and_counted);
    tcase_add_test(c, test_long_outage_keeps_the_file_near_what_waits);
    tcase_add_test(c, test_inbox_0_keeps_devices_while_valkey_is_there);
    tcase_add_test(c, test_inbox_0_what_was_not_decided_on_is_no_windows_after_a_kill);
    tcase_add_test(
        c, test_inbox_0_what_was_decided_on_stays_decided_on_however_often_it_is_killed);
    tcase_add_loop_test(
        c, test_inbox_0_a_compacted_list_has_what_each_reading_that_comes_again_needs, 0,
        3);
    tcase_add_test(c, test_inbox_0_what_does_not_come_again_is_the_windows);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
