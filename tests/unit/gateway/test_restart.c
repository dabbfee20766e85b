/* Long random walks with a restart at every step: all that an alert goes by passes
 * through the texts that the outbox and Valkey keep, and every event is the same, to the
 * byte, as in a run without restarts (SPEC 5.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
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

START_TEST(test_run_with_restarts_equals_the_run_without)
{
    char *expected = walk((uint64_t)_i + 1, false), *got = walk((uint64_t)_i + 1, true);
    size_t same = 0;
    ck_assert_uint_gt(strlen(expected), 100000);
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
END_TEST

int main(void)
{
    Suite *suite = suite_create("restart");
    TCase *t = tcase_create("restart");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_time_unknown_counts_across_restarts);
    tcase_add_loop_test(t, test_run_with_restarts_equals_the_run_without, 0, 3);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
