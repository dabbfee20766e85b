/* Long random walks with a restart at every step: all that an alert goes by passes
 * through the texts that the outbox and Valkey keep, and every event is the same, to the
 * byte, as in a run without restarts (SPEC 5.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../history/server.h"
#include "../tap.h"
#include "alert/payload.h"
#include "gateway/engine.h"
#include "gateway/orders.h"
#include "world.h"

/* Deadlines of silence lie half a second beside the messages: right after a start, what
 * the broker had queued is waited for first (SPEC 4.8). */
static const char *const rules =
    "rules:\n"
    "  - {id: a, when: x > 8, for: 5s, keep_firing_for: 7s, repeat: 20s}\n"
    "  - {id: b, when: x > 6, clear: x < 3, cooldown: 30s, escalate: {after: 25s}}\n"
    "  - {id: c, when: 'held(x > 4, 6s) and not held(x > 9, 20s)'}\n"
    "  - {id: d, when: silent(10500ms), for: 5s}\n"
    "  - {id: e, when: 'absent(x, 12500ms)', keep_firing_for: 3s}\n"
    "  - {id: f, when: x > 5, on_no_data: resolve, no_data_after: 15500ms}\n"
    "  - {id: g, when: x / (x - 5) > 2, for: 4s, on_no_data: resolve, "
    "no_data_after: 8500ms}\n";

/* The same over windows, which Valkey keeps: they are read back a quarter of a second
 * after a start, so what empties does that half a second beside the messages, too. */
static const char *const window_rules =
    "rules:\n"
    "  - {id: a, when: 'avg(x, 10500ms) > 6', for: 5s, keep_firing_for: 7s, repeat: 20s, "
    "cooldown: 30s}\n"
    "  - {id: b, when: 'max(x, 8500ms) > 9', clear: 'max(x, 12500ms) < 8', "
    "escalate: {after: 15s, severity: critical}, repeat: 11s, cooldown: 40s}\n"
    "  - {id: c, when: 'count(x, 20500ms) < 4', for: 3s, keep_firing_for: 2s}\n"
    "  - {id: d, when: 'held(avg(x, #4) > 5, 6s)', keep_firing_for: 3s, repeat: 15s}\n"
    "  - {id: e, when: 'sum(y, 30500ms) > 8 or x > 10', for: 2s, on_no_data: resolve, "
    "no_data_after: 22500ms}\n"
    "  - {id: f, when: 'avg(x, 10500ms) / (last(y, #3) - 3) > 2', on_no_data: resolve, "
    "no_data_after: 14500ms, repeat: 9s, cooldown: 13s}\n"
    "  - {id: g, when: 'delta(x, 15500ms) > 5 or absent(x, 12500ms)', for: 1s, "
    "escalate: {after: 10s}}\n"
    "  - {id: h, when: 'percentile(x, 80, 9500ms) > 7', min_points: 4, keep_firing_for: "
    "60s, "
    "on_no_data: resolve, no_data_after: 16500ms}\n"
    "  - {id: i, when: 'silent(10500ms) or absent(y, 40500ms)', cooldown: 50s, "
    "keep_firing_for: 4s}\n"
    "  - {id: j, when: 'held(count(y, 25500ms) == 0, 8s) and count(x, 60500ms) > 5'}\n";

static struct server server;

/* A world on an empty Valkey. */
static void begin(struct world *w, const char *yaml)
{
    DO(&server, "FLUSHALL");
    world_begin_on(w, server.socket, "", yaml);
}

static void start_server(void)
{
    server_start(&server, NULL);
}
static void stop_server(void)
{
    server_stop(&server);
}

/* Both metrics, or one, or neither: a sign of life. */
static void say_some(struct world *w, uint64_t r)
{
    char members[128], x[32] = "", y[32] = "";
    if (r % 10 < 8) {
        snprintf(x, sizeof x, "\"x\":%d", (int)(r / 10 % 12));
    }
    if (r % 10 > 6) { /* now and then 3: nothing can be divided by it then */
        snprintf(y, sizeof y, "%s\"y\":%d", x[0] ? "," : "", (int)(r / 120 % 3 + 2));
    }
    snprintf(members, sizeof members, "\"metrics\":{%s%s}", x, y);
    say_on(w, "t/acme/l1/d1", members);
}

static void silence_all(struct world *w)
{
    char id[SILENCE_ID_BYTES];
    const char *why;
    const struct silence_order order = {
        .rule = TEXT("?"), .until = {world_now(w).wall.us + 20500000}, .by = TEXT("ann")};
    ck_assert_int_eq(pipeline_silence(w->pipeline, &order, world_now(w), &why, id),
                     BRINK_OK);
}

static char *window_walk(uint64_t seed, bool restarts)
{
    struct world w;
    begin(&w, window_rules);
    for (int step = 0; step < (UNDER_A_SANITIZER ? 250 : 1000); step++) {
        uint64_t r = next_random(&seed) >> 8;
        int64_t s = 1 + (int64_t)(r % 23 == 0 ? r / 23 % 60 : r / 23 % 4);
        if (restarts && step % 4 == 0) {
            world_restart(&w);
        }
        say_some(&w, next_random(&seed) >> 8);
        if (r % 101 == 0) {
            silence_all(&w);
        }
        for (; s > 0; s--) {
            if (restarts) { /* with a message just said, and in the middle of a gap */
                world_restart(&w);
            }
            pass(&w, 600 * US_PER_MS);
            if (restarts && step % 3 == 0) {
                world_restart(&w);
            }
            pass(&w, 400 * US_PER_MS);
        }
    }
    char *events = text_dup(buffer_view(&w.events));
    world_end(&w);
    return events;
}

static char *walk(uint64_t seed, bool restarts)
{
    struct world w;
    world_begin(&w, "", rules);
    w.keeps_devices = true;
    for (int step = 0; step < 1500; step++) {
        bool silence = next_random(&seed) % 25 == 0;
        int64_t s = 1 + (int64_t)(next_random(&seed) % (silence ? 60 : 4));
        say(&w, "d1", NULL, (double)(next_random(&seed) % 12));
        if (restarts) {
            world_restart(&w);
        }
        pass(&w, 750 * US_PER_MS);
        if (restarts && step % 3 == 0) {
            world_restart(&w);
        }
        pass(&w, s * S - 750 * US_PER_MS);
    }
    char *events = text_dup(buffer_view(&w.events));
    world_end(&w);
    return events;
}

/* A rule without an answer, although readings come: that counts on from where the last
 * run was, over any number of restarts, and however long before this run it began
 * (SPEC 4.7, 5.6). */
START_TEST(test_time_unknown_counts_across_restarts)
{
    const int until[] = {0, 1, 3, 20}; /* a restart every two seconds: 0, 1, 2, 10 */
    for (int k = 0; k < 4; k++) {
        struct world w;
        world_begin(&w, "",
                    "rules: [{id: u, when: x / (x - 5) > 2, on_no_data: resolve, "
                    "no_data_after: 20500ms}]\n");
        w.keeps_devices = true;
        say(&w, "d1", NULL, 6);
        ck_assert_str_eq(told(&w), "OPEN u d1\n");
        for (int second = 0; second <= 20; second += 2) {
            say(&w, "d1", NULL, 5);
            pass(&w, S);
            if (second < until[k]) {
                world_restart(&w);
            }
            pass(&w, second < 20 ? S : 0);
        }
        expect(strcmp(told(&w), "CLOSED u d1\n") == 0, "restarts for %d s", until[k]);
        world_end(&w);
    }
}
END_TEST

/* Valkey is away: its socket stands aside. */
static const char *aside(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s.aside", server.socket);
    return path;
}

static void put_valkey_aside(struct world *w)
{
    ck_assert_int_eq(rename(server.socket, aside()), 0);
    w->valkey = NULL;
}

static void restart_without_valkey(struct world *w)
{
    put_valkey_aside(w);
    world_restart_after(w, S);
}

static void bring_valkey_back(struct world *w)
{
    ck_assert_int_eq(rename(aside(), server.socket), 0);
    w->valkey = server.socket;
}

static void read_devices_back(struct world *w)
{
    bring_valkey_back(w);
    for (int n = 0; !pipeline_is_loaded(w->pipeline); n++) {
        ck_assert_int_lt(n, 1000);
        history_wait_connected(w->history, 5 * S);
        pass(w, US_PER_MS);
    }
}

/* A start without Valkey does not know since when a condition holds: held() is unknown
 * until the devices are read back, and then goes on from where it was (SPEC 5.4, 5.6). */
START_TEST(test_held_is_unknown_until_the_devices_are_read_back)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: 'x > 5 and not held(x > 2, 1m)'}\n"
              "  - {id: b, when: 'x > 5 and not held(x > 5, 1m)'}\n"
              "  - {id: c, when: 'held(x > 2, 2m)'}\n"
              "  - {id: d, when: 'held(x > 3, 2m)'}\n");
    for (int i = 0; i < 4; i++) {
        say(&w, "d1", NULL, 4);
        say(&w, "d2", NULL, 4);
        pass(&w, 30 * S);
    }
    ck_assert_str_eq(told(&w), "");
    put_valkey_aside(&w);
    world_restart_after(&w, -30 * S);
    say(&w, "d1", NULL, 3);
    pass(&w, S);
    say(&w, "d1", NULL, 7); /* b was false: what was before does not matter */
    say(&w, "d2", NULL, 7);
    ck_assert_str_eq(told(&w), "OPEN b d1\n");
    pass(&w, 20 * S);
    read_devices_back(&w);
    ck_assert_str_eq(told(&w), "OPEN b d2\n"); /* nothing is stored of that */
    say(&w, "d1", NULL, 7);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 15 * S);
    say(&w, "d1", NULL, 7); /* d was interrupted by the 3 */
    ck_assert_str_eq(told(&w), "OPEN c d1\n");
    world_end(&w);
}
END_TEST

/* Nor does such a start know what is pending: that goes on as well, where the condition
 * held ever since. */
START_TEST(test_what_is_pending_goes_on_once_the_devices_are_read_back)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: x > 2, for: 1m}\n"
              "  - {id: b, when: x > 3, for: 1m}\n");
    say(&w, "d1", NULL, 5);
    say(&w, "d2", NULL, 5);
    pass(&w, 30 * S);
    say(&w, "d1", NULL, 5);
    say(&w, "d2", NULL, 5);
    restart_without_valkey(&w);
    say(&w, "d1", NULL, 3); /* b was false */
    pass(&w, S);
    say(&w, "d1", NULL, 5);
    pass(&w, S);
    read_devices_back(&w);
    pass(&w, 26 * S);
    say(&w, "d1", NULL, 5);
    say(&w, "d2", NULL, 5);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 2 * S);
    say(&w, "d1", NULL, 5);
    say(&w, "d2", NULL, 5);
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN a d2\nOPEN b d2\n");
    pass(&w, 31 * S);
    say(&w, "d1", NULL, 5);
    ck_assert_str_eq(told(&w), "OPEN b d1\n");
    world_end(&w);
}
END_TEST

/* A reading that waited for Valkey when the last run ended is decided on at its own time,
 * whenever that is. */
START_TEST(test_what_was_left_undecided_is_decided_at_its_own_time)
{
    struct world w;
    begin(&w, "rules: [{id: a, when: 'last(x, 1h) > 5'}]\n");
    say(&w, "d1", NULL, 1);
    pass(&w, 10 * S);
    restart_without_valkey(&w);
    say(&w, "d1", NULL, 9);
    pass(&w, S);
    world_restart_after(&w, S); /* and it is still away */
    pass(&w, S);
    ck_assert_str_eq(told(&w), "");
    bring_valkey_back(&w);
    world_restart_after(&w, 30 * S);
    pass(&w, S);
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T00:00:11.000Z");
    ck_assert_str_eq(told(&w), "OPEN a d1\n");
    world_end(&w);
}
END_TEST

static ino_t backlog_of(const struct world *w)
{
    char path[128];
    struct stat found;
    (void)snprintf(path, sizeof path, "%s/backlog", w->folder);
    ck_assert_int_eq(stat(path, &found), 0);
    return found.st_ino;
}

/* Readings of another device until it has grown by so much that it is. */
static void renew_backlog(struct world *w)
{
    const ino_t before = backlog_of(w);
    for (int n = 0; backlog_of(w) == before; n++) {
        ck_assert_int_lt(n, 100000);
        say_on(w, "t/acme/l1/d2", "\"metrics\":{\"z\":1}");
        pass(w, 100 * US_PER_MS);
    }
}

/* A start that never saw Valkey knows of a device only what it heard itself: what it
 * keeps beside Valkey does not take the place of what is there. */
START_TEST(test_what_a_start_without_valkey_keeps_is_not_all_there_is)
{
    const bool renewed = _i == 3; /* what waits is written anew meanwhile */
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: x > 100 or y > 5}\n"
              "  - {id: b, when: x > 0 and y < 5}\n"
              "  - {id: c, when: 'count(z, 10s) > 1e9'}\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":1,\"y\":9}");
    ck_assert_str_eq(told(&w), "OPEN a d1\n");
    pass(&w, 10 * S);
    restart_without_valkey(&w);
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":1}"); /* x is not known */
    pass(&w, S);
    ck_assert_str_eq(told(&w), "");
    for (int n = 0; n < (renewed ? 2 : _i); n++) {
        world_restart_after(&w, S); /* and it is still away */
        pass(&w, S);
        if (renewed && n == 0) {
            renew_backlog(&w);
        }
    }
    read_devices_back(&w);
    pass(&w, S);
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T00:00:11.000Z");
    ck_assert_str_eq(told(&w), "CLOSED a d1\nOPEN b d1\n");
    world_end(&w);
}
END_TEST

/* What a rule needs and this run did not hear is unknown until the devices are read back:
 * what is firing is held (SPEC 5.4), and nothing is taken for missing. */
START_TEST(test_what_is_stored_is_not_taken_for_missing)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: gone, when: 'absent(x, 10m) or y > 5'}\n"
              "  - {id: both, when: x > 5 and y > 3, no_data_after: 5m,\n"
              "     on_no_data: resolve, scope: {devices: [d2]}}\n"
              "  - {id: quiet, when: silent(10m), repeat: 1h,\n"
              "     scope: {devices: [d3]}}\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":1,\"y\":1}");
    say_on(&w, "t/acme/l1/d3", "\"metrics\":{\"z\":1}");
    for (int minute = 0; minute < 11; minute++) {
        say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":1}");
        say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"x\":9,\"y\":4}");
        pass(&w, MINUTE);
    }
    ck_assert_str_eq(told(&w), "OPEN both d2\nOPEN gone d1\nOPEN quiet d3\n");
    put_valkey_aside(&w);
    world_restart_after(&w, HOUR);
    for (int minute = 0; minute < 7; minute++) {
        say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":1}");
        say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"y\":4}");
        pass(&w, MINUTE);
    }
    ck_assert_str_eq(told(&w), "");
    read_devices_back(&w);
    pass(&w, S);
    ck_assert_str_eq(told(&w), "REPEATED quiet d3\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":1}");
    say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"y\":3}");
    say_on(&w, "t/acme/l1/d3", "\"metrics\":{\"z\":1}");
    ck_assert_str_eq(told(&w), "CLOSED gone d1\nCLOSED both d2\nCLOSED quiet d3\n");
    world_end(&w);
}
END_TEST

/* Once they are read back what time did meanwhile is said too, as of now; and a rule that
 * no reading concerned since is not decided anew. */
START_TEST(test_what_time_did_until_the_devices_are_read_back)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: again, when: x > 5 and y > 3, repeat: 10m}\n"
              "  - {id: since, when: 'y > 3 and absent(x, 10m)'}\n"
              "  - {id: edited, when: z > 40}\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":9,\"y\":4,\"z\":35}");
    ck_assert_str_eq(told(&w), "OPEN again d1\n");
    world_reload(&w, "",
                 "rules:\n"
                 "  - {id: again, when: x > 5 and y > 3, repeat: 10m}\n"
                 "  - {id: since, when: 'y > 3 and absent(x, 10m)'}\n"
                 "  - {id: edited, when: z > 30}\n");
    pass(&w, MINUTE);
    restart_without_valkey(&w);
    pass(&w, MINUTE);
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":4}");
    pass(&w, 12 * MINUTE);
    ck_assert_str_eq(told(&w), "");
    read_devices_back(&w);
    pass(&w, S);
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T00:14:01.000Z");
    ck_assert_str_eq(told(&w), "REPEATED again d1\nOPEN since d1\n");
    world_end(&w);
}
END_TEST

/* That a reading could not be decided on is not forgotten by a stop: it is once there is
 * what that needs. */
START_TEST(test_what_could_not_be_decided_on_is_decided_on_behind_a_start)
{
    struct world w;
    begin(&w, "rules: [{id: r, when: 'avg(x, 5m) > 5 and y > 3', min_points: 1}]\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":9,\"y\":1}");
    pass(&w, 10 * S);
    restart_without_valkey(&w);
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":5}");
    pass(&w, S);
    world_restart_after(&w, S);
    ck_assert_str_eq(told(&w), "");
    bring_valkey_back(&w);
    world_restart_after(&w, S);
    pass(&w, S);
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T00:00:11.000Z");
    ck_assert_str_eq(told(&w), "OPEN r d1\n");
    world_end(&w);
}
END_TEST

static void wait_for_valkey(struct world *w)
{
    struct history_info store = {.state = STORE_STATE_DOWN};
    for (int n = 0; store.state != STORE_STATE_UP; n++) {
        ck_assert_int_lt(n, 100);
        history_wait_connected(w->history, 5 * S);
        history_info(w->history, &store);
    }
}

/* A message that comes again, or comes late, may be the first of its device behind a
 * start, in the very batch that writes its windows at last: what their newest reading
 * means is told as of that reading. (It was told as of the old one: with the id of the
 * alert that began then.) */
START_TEST(test_an_older_message_lends_its_time_to_nothing)
{
    struct world w;
    char id[ALERT_ID_BYTES];
    begin(&w, "rules:\n"
              "  - {id: a, when: 'last(x, 1h) > 5'}\n"
              "  - {id: b, when: 'last(x, 1h) > 5', for: 30s}\n");
    say(&w, "d1", NULL, 9);
    pass(&w, 10 * S);
    say(&w, "d1", NULL, 1);
    ck_assert_str_eq(told(&w), "OPEN a d1\nCLOSED a d1\n");
    pass(&w, 10 * S);
    put_valkey_aside(&w);
    world_restart_after(&w, 10 * S);
    say(&w, "d1", NULL, 9);
    pass(&w, S);
    world_restart_after(&w, S);
    ck_assert_str_eq(told(&w), "");
    bring_valkey_back(&w);
    wait_for_valkey(&w);
    say_late(&w, (_i == 0 ? 32 : 25) * S, "d1", 9);
    ck_assert_str_eq(last_told(&w, "event_at"), "2026-01-01T00:00:30.000Z");
    alert_id_print("a", "acme", "d1", (struct wall){T0 + 30 * S}, id);
    ck_assert_str_eq(last_told(&w, "alert_id"), id);
    ck_assert_str_eq(told(&w), "OPEN a d1\n");
    pass(&w, 8 * S);
    say(&w, "d1", NULL, 9); /* 10 s behind the other */
    ck_assert_str_eq(told(&w), "");
    world_end(&w);
}
END_TEST

/* How long a device has been silent counts only while the gateway was subscribed, also
 * over a restart that finds the line of a device written before the broker was away
 * (SPEC 4.8). */
START_TEST(test_time_not_subscribed_is_no_silence_over_a_restart)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: 'absent(x, 10m)'}\n"
              "  - {id: s, when: silent(10m)}\n");
    say(&w, "d1", NULL, 1);
    pass(&w, MINUTE);
    pipeline_subscribed(w.pipeline, false, world_now(&w).mono);
    pass(&w, HOUR);
    pipeline_subscribed(w.pipeline, true, world_now(&w).mono);
    pass(&w, 90 * S);
    world_restart(&w);
    pass(&w, 445 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 10 * S);
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN s d1\n");
    world_end(&w);
}
END_TEST

/* Nor is the time between two runs, for a device that the second did not hear and the
 * third finds as the first left it. */
START_TEST(test_time_between_runs_is_no_silence_for_the_run_after_the_next)
{
    struct world w;
    begin(&w, "rules: [{id: s, when: silent(10m)}]\n");
    say(&w, "d1", NULL, 1);
    pass(&w, MINUTE);
    world_restart_after(&w, HOUR);
    pass(&w, MINUTE);
    world_restart_after(&w, 10 * S);
    pass(&w, MINUTE);
    world_restart_after(&w, _i == 0 ? 10 * S : -2 * HOUR); /* its clock is set back */
    pass(&w, 415 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 10 * S);
    ck_assert_str_eq(told(&w), "OPEN s d1\n");
    world_end(&w);
}
END_TEST

/* A line that is read late is of a device that was silent in this run as well. */
START_TEST(test_silence_counts_while_the_devices_are_not_read_back)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: 'absent(x, 10m)'}\n"
              "  - {id: s, when: silent(10m)}\n"
              "  - {id: u, when: x / (x - 5) > 2, on_no_data: resolve, "
              "no_data_after: 12m}\n");
    say(&w, "d1", NULL, 6);
    ck_assert_str_eq(told(&w), "OPEN u d1\n");
    pass(&w, 30 * S);
    say(&w, "d1", NULL, 5); /* no answer */
    pass(&w, 2 * MINUTE);
    say(&w, "d1", NULL, 5);
    pass(&w, MINUTE);
    restart_without_valkey(&w);
    pass(&w, 8 * MINUTE);
    ck_assert_str_eq(told(&w), "");
    read_devices_back(&w);
    pass(&w, 50 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 15 * S);
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN s d1\nCLOSED u d1\n");
    world_end(&w);
}
END_TEST

/* Over runs that never saw Valkey, too: each leaves word how long it was subscribed,
 * which is added to what Valkey has of the runs before. */
START_TEST(test_silence_goes_on_over_runs_without_valkey)
{
    struct world w;
    begin(&w, "rules: [{id: s, when: silent(10m)}]\n");
    say(&w, "d1", NULL, 1);
    pass(&w, MINUTE);
    restart_without_valkey(&w);
    say(&w, "d2", NULL, 1);
    pass(&w, 3 * MINUTE);
    world_restart_after(&w, HOUR); /* and it is still away */
    pass(&w, 3 * MINUTE);
    read_devices_back(&w);
    pass(&w, 2 * MINUTE);
    world_restart_after(&w, HOUR);
    pass(&w, 50 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 20 * S);
    ck_assert_str_eq(told(&w), "OPEN s d1\n");
    pass(&w, 40 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 30 * S);
    ck_assert_str_eq(told(&w), "OPEN s d2\n");
    world_end(&w);
}
END_TEST

#define DEVICES_HASH "brink:gw:devices"

static size_t count_restored(const struct world *w)
{
    size_t n = 0;
    const struct device *device;
    for (size_t i = 0; (device = map_next(&w->pipeline->devices.by_field, &i));) {
        n += device->restored;
    }
    return n;
}

/* A line that is read back may say a site, which binds its device anew: never while a
 * batch is at hand that has staged values of it. (It was, in the batch's own exchange:
 * they were applied to cells that were gone.) */
START_TEST(test_no_device_is_read_back_amid_a_batch)
{
    struct world w;
    struct mono wake;
    begin(&w, "rules:\n"
              "  - {id: a, when: x > 5}\n"
              "  - {id: b, when: 'last(x, 1h) > 5', scope: {sites: [s1]}}\n");
    world_stop(&w);
    DO(&server, "EVAL",
       "for i=0,2999 do redis.call('HSET',KEYS[1],'acme/d'..i,'1 silent=0 site=s1') end",
       "1", DEVICES_HASH);
    put_valkey_aside(&w);
    world_start(&w);
    bring_valkey_back(&w);
    wait_for_valkey(&w);
    pipeline_step(w.pipeline, world_now(&w), &wake);
    size_t restored = count_restored(&w); /* a page of them: some 500, as Valkey likes */
    ck_assert_uint_gt(restored, 0);
    ck_assert_uint_lt(restored, 1500);
    for (int i = 0; i < 1000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "d%d", i);
        add(&w, id, NULL, 1);
    }
    apply(&w);
    ck_assert_uint_eq(count_restored(&w), restored);
    for (size_t before = restored; !pipeline_is_loaded(w.pipeline); before = restored) {
        say(&w, "d0", NULL, 1); /* it goes on from batch to batch */
        pipeline_step(w.pipeline, world_now(&w), &wake);
        restored = count_restored(&w);
        ck_assert_uint_gt(restored, before);
    }
    ck_assert_uint_eq(count_restored(&w), 3000);
    say(&w, "d999", NULL, 6);
    ck_assert_str_eq(told(&w), "OPEN a d999\nOPEN b d999\n");
    world_end(&w);
}
END_TEST

static void put_in_backlog(const struct world *w, const char *line)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/backlog", w->folder);
    FILE *f = fopen(path, "a");
    ck_assert_ptr_nonnull(f);
    fputs(line, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* A line of the backlog that is none does not take the place of Valkey's, neither in
 * memory nor there. */
START_TEST(test_a_line_of_the_backlog_that_is_none_hides_nothing)
{
    struct world w;
    begin(&w, "rules: [{id: a, when: x > 0 and y < 5}]\n");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"x\":1,\"y\":9}");
    world_stop(&w);
    put_in_backlog(&w, "d\tacme/d1\t2 of another version\n"
                       "d\tacme/d2\t1 silent=0 v.x=1@5@0\n");
    world_start(&w);
    pass(&w, 2 * S);
    ck_assert_int_eq(strncmp(DO(&server, "HGET", DEVICES_HASH, "acme/d1"), "1 ", 2), 0);
    ck_assert_int_eq(strncmp(DO(&server, "HGET", DEVICES_HASH, "acme/d2"), "1 ", 2), 0);
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"y\":1}");
    say_on(&w, "t/acme/l1/d2", "\"metrics\":{\"y\":1}");
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN a d2\n");
    world_end(&w);
}
END_TEST

/* Lines that know values, but of no reading ever: there is no moment at which to decide.
 */
START_TEST(test_values_without_a_newest_reading_decide_nothing)
{
    struct world w;
    begin(&w, "rules:\n"
              "  - {id: a, when: a + b > 2, for: 5s, repeat: 5s}\n"
              "  - {id: b, when: a + b > 2, repeat: 5s, escalate: {after: 5s}}\n"
              "  - {id: c, when: 'held(a + b > 2, 5s)'}\n");
    world_stop(&w);
    put_in_backlog(&w, "d\tacme/d1\t1 part=1 v.a=1@5@0\n");
    DO(&server, "HSET", DEVICES_HASH, "acme/d1", "1 v.b=2@5@0");
    world_start(&w);
    pass(&w, 10 * S);
    ck_assert_str_eq(told(&w), "");
    say_on(&w, "t/acme/l1/d1", "\"metrics\":{\"a\":1}");
    ck_assert_str_eq(told(&w), "OPEN b d1\n");
    world_end(&w);
}
END_TEST

/* No device has an id that no message could say: a line break in it would break the
 * backlog's lines. */
START_TEST(test_a_field_with_control_characters_is_no_device)
{
    struct world w;
    struct pipeline_info info;
    static const char *const bad[] = {"acme/a\nb",  "acme/a\tb",     "a\rcme/a",
                                      "acme/a\x7f", "acme/\xc2\x85", "acme/\xff"};
    DO(&server, "FLUSHALL");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        DO(&server, "HSET", DEVICES_HASH, bad[i], "1 silent=0");
    }
    DO(&server, "HSET", DEVICES_HASH, "acme/\xc3\xbc", "1 silent=0");
    world_begin_on(&w, server.socket, "", "rules: [{id: a, when: x > 0}]\n");
    pipeline_info(w.pipeline, &info);
    ck_assert_uint_eq(info.devices, 1);
    ck_assert_ptr_nonnull(map_get(&w.pipeline->devices.by_field, TEXT("acme/\xc3\xbc")));
    world_end(&w);
}
END_TEST

/* Of a device that is known from its alert alone a start without Valkey has nothing to
 * keep: how long it has been silent stands in Valkey. */
START_TEST(test_a_start_without_valkey_keeps_nothing_of_a_device_it_knows_nothing_of)
{
    static const char *const rules_of_silence =
        "rules:\n"
        "  - {id: a, when: x > 5, repeat: 10m}\n"
        "  - {id: s, when: silent(2h)}\n"
        "  - {id: c, when: 'count(z, 10s) > 1e9'}\n";
    struct world w;
    begin(&w, rules_of_silence);
    say(&w, "d1", NULL, 9);
    ck_assert_str_eq(told(&w), "OPEN a d1\n");
    pass(&w, 118 * MINUTE);
    ck_assert_str_eq(last_told(&w, "event_type"), "REPEATED");
    world_reload(&w, "storm: {alerts: 100, within: 1m}}\nmqtt: {inbox: 0",
                 rules_of_silence);
    restart_without_valkey(&w);
    renew_backlog(&w);
    (void)told(&w);
    world_stop(&w);
    bring_valkey_back(&w);
    world_start(&w);
    pass(&w, 3 * MINUTE);
    expect(strstr(told(&w), "OPEN s d1\n") != NULL, "its silence was forgotten");
    world_end(&w);
}
END_TEST

static void expect_same(char *expected, char *got)
{
    size_t same = 0;
    while (got[same] && got[same] == expected[same]) {
        same++;
    }
    while (same > 0 && got[same - 1] != '\n') {
        same--;
    }
    ck_assert_msg(strcmp(got, expected) == 0, "expected %.420s, got %.420s",
                  expected + same, got + same);
    free(expected);
    free(got);
}

/* What came due while the gateway was down is told at its start, once. */
START_TEST(test_what_fell_due_meanwhile_is_told_at_the_start)
{
    struct world w;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: a, when: x > 5, repeat: 20s}\n"
                "  - {id: b, when: x > 5, escalate: {after: 50s, severity: critical}}\n"
                "  - {id: c, when: x > 5, repeat: 1h}\n");
    w.keeps_devices = true;
    say(&w, "d1", NULL, 6);
    ck_assert_str_eq(told(&w), "OPEN a d1\nOPEN b d1\nOPEN c d1\n");
    pass(&w, 10 * S);
    world_restart_after(&w, 3 * MINUTE);
    pass(&w, S);
    ck_assert_str_eq(told(&w), "REPEATED a d1\nESCALATED b d1\n");
    pass(&w, 18 * S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 2 * S);
    ck_assert_str_eq(told(&w), "REPEATED a d1\n");
    world_end(&w);
}
END_TEST

/* What the broker queued for a device is still to come while the batch before it waits,
 * for Valkey say. */
START_TEST(test_a_batch_that_takes_long_is_no_pause_in_the_intake)
{
    struct world w;
    world_begin(&w, "", "rules: [{id: s, when: silent(10500ms)}]\n");
    w.keeps_devices = true;
    say(&w, "d1", NULL, 1);
    pass(&w, 5 * S);
    world_restart(&w);
    for (int i = 0; i < 3; i++) {
        say(&w, "d2", NULL, 1);
        w.at_us += 4 * S;
        pass(&w, 0);
    }
    ck_assert_str_eq(told(&w), "");
    say(&w, "d1", NULL, 1);
    pass(&w, S);
    ck_assert_str_eq(told(&w), "");
    pass(&w, 10 * S);
    ck_assert_str_eq(told(&w), "OPEN s d2\nOPEN s d1\n");
    world_end(&w);
}
END_TEST

START_TEST(test_run_with_restarts_equals_the_run_without)
{
    char *expected = walk((uint64_t)_i + 1, false), *got = walk((uint64_t)_i + 1, true);
    ck_assert_uint_gt(strlen(expected), 100000);
    expect_same(expected, got);
}
END_TEST

/* How often one line has both. */
static size_t count_lines(const char *events, const char *topic, const char *member)
{
    size_t n = 0;
    for (const char *line = events; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        char *copy = text_dup((struct text){line, length});
        ck_assert_ptr_nonnull(copy);
        n += strncmp(copy, topic, strlen(topic)) == 0 && strstr(copy, member) != NULL;
        free(copy);
    }
    return n;
}

START_TEST(test_window_run_with_restarts_equals_the_run_without)
{
    static const struct {
        const char *topic, *member;
    } rich[] = {
        {"a/acme/d1/a", "OPEN"},      {"a/acme/d1/a", "REPEATED"},
        {"a/acme/d1/b", "OPEN"},      {"a/acme/d1/b", "ESCALATED"},
        {"a/acme/d1/c", "OPEN"},      {"a/acme/d1/d", "REPEATED"},
        {"a/acme/d1/e", "OPEN"},      {"a/acme/d1/e", "no_data"},
        {"a/acme/d1/f", "REPEATED"},  {"a/acme/d1/f", "no_data"},
        {"a/acme/d1/g", "ESCALATED"}, {"a/acme/d1/h", "no_data"},
        {"a/acme/d1/i", "OPEN"},      {"a/acme/d1/j", "OPEN"},
    };
    char *expected = window_walk((uint64_t)_i + 3, false);
    for (size_t k = 0; k < sizeof rich / sizeof rich[0]; k++) {
        size_t n = count_lines(expected, rich[k].topic, rich[k].member);
        expect(n > (UNDER_A_SANITIZER ? 0 : 10), "%zu of %s %s", n, rich[k].topic,
               rich[k].member);
    }
    expect_same(expected, window_walk((uint64_t)_i + 3, true));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("restart");
    TCase *t = tcase_create("restart");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_time_unknown_counts_across_restarts);
    tcase_add_test(t, test_what_fell_due_meanwhile_is_told_at_the_start);
    tcase_add_test(t, test_a_batch_that_takes_long_is_no_pause_in_the_intake);
    tcase_add_loop_test(t, test_run_with_restarts_equals_the_run_without, 0, SEEDS(3));
    suite_add_tcase(suite, t);
    t = tcase_create("windows");
    tcase_set_timeout(t, 120);
    tcase_add_unchecked_fixture(t, start_server, stop_server);
    tcase_add_test(t, test_held_is_unknown_until_the_devices_are_read_back);
    tcase_add_test(t, test_what_is_pending_goes_on_once_the_devices_are_read_back);
    tcase_add_test(t, test_what_was_left_undecided_is_decided_at_its_own_time);
    tcase_add_loop_test(t, test_what_a_start_without_valkey_keeps_is_not_all_there_is, 0,
                        4);
    tcase_add_test(t, test_what_is_stored_is_not_taken_for_missing);
    tcase_add_test(t, test_what_time_did_until_the_devices_are_read_back);
    tcase_add_test(t, test_what_could_not_be_decided_on_is_decided_on_behind_a_start);
    tcase_add_loop_test(t, test_an_older_message_lends_its_time_to_nothing, 0, 2);
    tcase_add_test(t, test_time_not_subscribed_is_no_silence_over_a_restart);
    tcase_add_loop_test(
        t, test_time_between_runs_is_no_silence_for_the_run_after_the_next, 0, 2);
    tcase_add_test(t, test_silence_counts_while_the_devices_are_not_read_back);
    tcase_add_test(t, test_silence_goes_on_over_runs_without_valkey);
    tcase_add_test(t, test_no_device_is_read_back_amid_a_batch);
    tcase_add_test(t, test_a_line_of_the_backlog_that_is_none_hides_nothing);
    tcase_add_test(t, test_values_without_a_newest_reading_decide_nothing);
    tcase_add_test(t, test_a_field_with_control_characters_is_no_device);
    tcase_add_test(
        t, test_a_start_without_valkey_keeps_nothing_of_a_device_it_knows_nothing_of);
    tcase_add_loop_test(t, test_window_run_with_restarts_equals_the_run_without, 0,
                        SEEDS(2));
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
