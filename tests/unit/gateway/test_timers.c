/* What armed timers cost a reading: nothing, however many there are, on its own device or
 * on others. Counted, not timed: the calls of the heap, which the linker leads through
 * here, and the evaluations. */
#include <stdio.h>
#include <stdlib.h>

#include "../tap.h"
#include "base/counters.h"
#include "base/heap.h"
#include "world.h"

#define READINGS 1000

static const int armed[] = {1, 100, 10000};
#define N_ARMED (sizeof armed / sizeof *armed)

static uint64_t heap_calls;

struct heap_item *__real_heap_first(const struct heap *h);
struct heap_item *__wrap_heap_first(const struct heap *h);
enum brink_status __real_heap_set(struct heap *h, struct heap_item *item, int64_t due);
enum brink_status __wrap_heap_set(struct heap *h, struct heap_item *item, int64_t due);
void __real_heap_remove(struct heap *h, struct heap_item *item);
void __wrap_heap_remove(struct heap *h, struct heap_item *item);

struct heap_item *__wrap_heap_first(const struct heap *h)
{
    heap_calls++;
    return __real_heap_first(h);
}

enum brink_status __wrap_heap_set(struct heap *h, struct heap_item *item, int64_t due)
{
    heap_calls++;
    return __real_heap_set(h, item, due);
}

void __wrap_heap_remove(struct heap *h, struct heap_item *item)
{
    heap_calls++;
    __real_heap_remove(h, item);
}

/* {metric: value} of a device whose clock says `ahead_us` more than it is. */
static void read_ahead(struct world *w, const char *device, int64_t ahead_us,
                       const char *metric, double value)
{
    char topic[64], payload[128];
    snprintf(topic, sizeof topic, "t/acme/l1/%s", device);
    snprintf(payload, sizeof payload, "{\"ts\":%lld,\"metrics\":{\"%s\":%g}}",
             (long long)((T0 + w->at_us + ahead_us) / 1000), metric, value);
    const struct raw_message raw = {.topic = text_of(topic),
                                    .payload = text_of(payload),
                                    .arrived = world_now(w).mono,
                                    .arrived_wall = world_now(w).wall};
    pipeline_add(w->pipeline, &raw);
    pipeline_apply(w->pipeline, world_now(w));
}

/* n rules that fire while y is high and are due every hour, and two about x. */
static void begin(struct world *w, int n)
{
    struct buffer b = {0};
    buffer_cstring(&b, "rules:\n  - {id: above, when: x > 100}\n"
                       "  - {id: window, when: 'avg(x, 1m) > 100'}\n");
    for (int i = 0; i < n; i++) {
        buffer_format(&b, "  - {id: armed-%05d, when: y > 0, repeat: 1h}\n", i);
    }
    world_begin(w, "", buffer_cstr(&b));
    buffer_finish(&b);
}

struct work {
    uint64_t heap_calls, evaluations;
};

/* Of readings of d-1, a second apart, whose clock gains a millisecond on each: all its
 * timers come up earlier than they were set for. */
static struct work work_of_readings(struct world *w)
{
    struct mono wake;
    uint64_t evaluations = counter_value(COUNT_EVALUATIONS);
    heap_calls = 0;
    for (int i = 0; i < READINGS; i++) {
        w->at_us += S;
        read_ahead(w, "d-1", i * INT64_C(1000), "x", i % 10);
        pipeline_step(w->pipeline, world_now(w), &wake);
    }
    return (struct work){heap_calls, counter_value(COUNT_EVALUATIONS) - evaluations};
}

static void expect_flat(const struct work *work, const char *where)
{
    for (size_t k = 0; k < N_ARMED; k++) {
        printf("# %5d timers on %s: %.1f calls of the heap, %.1f evaluations a reading\n",
               armed[k], where, (double)work[k].heap_calls / READINGS,
               (double)work[k].evaluations / READINGS);
        ck_assert_uint_eq(work[k].heap_calls, work[0].heap_calls);
        ck_assert_uint_eq(work[k].evaluations, work[0].evaluations);
    }
}

START_TEST(test_reading_does_not_touch_the_timers_of_its_device)
{
    struct work work[N_ARMED];
    for (size_t k = 0; k < N_ARMED; k++) {
        static struct world w;
        begin(&w, armed[k]);
        read_ahead(&w, "d-1", 0, "y", 1);
        work[k] = work_of_readings(&w);
        world_end(&w);
    }
    expect_flat(work, "the device");
}
END_TEST

START_TEST(test_reading_does_not_touch_the_timers_of_other_devices)
{
    struct work work[N_ARMED];
    for (size_t k = 0; k < N_ARMED; k++) {
        static struct world w;
        begin(&w, 1);
        for (int i = 0; i < armed[k]; i++) {
            char device[32];
            snprintf(device, sizeof device, "other-%d", i);
            read_ahead(&w, device, 0, "y", 1);
        }
        work[k] = work_of_readings(&w);
        world_end(&w);
    }
    expect_flat(work, "other devices");
}
END_TEST

/* A backlog is decided on in the order of its times, whichever rule's they are. */
START_TEST(test_what_is_due_in_a_gap_comes_in_the_order_of_time)
{
    static struct world w;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: slow, when: y > 0, repeat: 40s}\n"
                "  - {id: quick, when: y > 0, repeat: 30s}\n");
    read_ahead(&w, "d-1", 0, "y", 1);
    read_ahead(&w, "d-1", 100 * S, "y", 1);
    ck_assert_str_eq(told(&w), "OPEN quick d-1\nOPEN slow d-1\n"
                               "REPEATED quick d-1\nREPEATED slow d-1\n"
                               "REPEATED quick d-1\nREPEATED slow d-1\n"
                               "REPEATED quick d-1\n");
    world_end(&w);
}
END_TEST

/* What is due of a rule that is evaluated often leaves the others their own moments. */
START_TEST(test_a_long_gap_has_an_end)
{
    static struct world w;
    world_begin(&w, "",
                "rules:\n"
                "  - {id: often, when: y > 0, repeat: 1s}\n"
                "  - {id: rare, when: y > 0, repeat: 4m}\n");
    read_ahead(&w, "d-1", 0, "y", 1);
    (void)told(&w);
    read_ahead(&w, "d-1", 299 * S, "z", 1);
    read_ahead(&w, "d-1", 299 * S, "y", 1);
    const char *all = told(&w);
    int often = 0, rare = 0;
    for (const char *line = all; *line; line = strchr(line, '\n') + 1) {
        often += strncmp(line, "REPEATED often", 14) == 0;
        rare += strncmp(line, "REPEATED rare", 13) == 0;
    }
    ck_assert_int_eq(often, 65); /* 64 in the gap, and with the reading */
    ck_assert_int_eq(rare, 1);
    world_end(&w);
}
END_TEST

/* A clock that was set back takes the deadlines of rules along that its readings do not
 * touch. */
START_TEST(test_deadlines_follow_a_clock_that_was_set_back)
{
    static struct world w;
    world_begin(&w, "",
                "rules:\n  - {id: armed, when: 'count(y, 5m) < 1', repeat: 1h}\n"
                "  - {id: other, when: x > 100}\n");
    read_ahead(&w, "d-1", 0, "y", 1);
    pass(&w, 6 * MINUTE);
    ck_assert_str_eq(told(&w), "OPEN armed d-1\n");
    for (int i = 0; i < 10; i++) { /* five minutes show it to be set back for good */
        read_ahead(&w, "d-1", -24 * HOUR, "x", 1);
        pass(&w, MINUTE);
    }
    pass(&w, 48 * MINUTE); /* 64 minutes since the beginning */
    ck_assert_str_eq(told(&w), "");
    pass(&w, 2 * MINUTE);
    ck_assert_str_eq(told(&w), "REPEATED armed d-1\n");
    world_end(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers");
    TCase *t = tcase_create("timers");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_reading_does_not_touch_the_timers_of_its_device);
    tcase_add_test(t, test_reading_does_not_touch_the_timers_of_other_devices);
    tcase_add_test(t, test_what_is_due_in_a_gap_comes_in_the_order_of_time);
    tcase_add_test(t, test_a_long_gap_has_an_end);
    tcase_add_test(t, test_deadlines_follow_a_clock_that_was_set_back);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
