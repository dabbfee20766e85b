/* What a rule's condition is, at readings and as time passes (SPEC 4.3 to 4.8), and what
 * it costs to find out. */
#include <check.h>

#include "../tap.h"
#include "rig.h"

#define T TRUTH_TRUE
#define F TRUTH_FALSE
#define U TRUTH_UNKNOWN
#define S US_PER_S

/* --- allocations are counted: the linker sends them here --- */

static size_t allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}
void __wrap_free(void *p)
{
    allocations++;
    __real_free(p);
}

/* --- a device to which readings come --- */

static struct device *device;

static void start(const char *when)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml, "rules: [{id: r, when: \"%s\"}]", when);
    begin(yaml);
    device = get("acme", "d");
}

static struct instance *instance(void)
{
    return device->instances[0];
}

/* As the pipeline enters a reading, one of `n_metrics` of its message. */
static void reading(const char *metric, int64_t second, double value)
{
    int number = ruleset_metric(l.rules, text_of(metric));
    struct cell *cell = number < 0 ? NULL : device_cell(device, (uint32_t)number);
    struct point p = {{second * S}, value};
    device->seen_us = second * S;
    device->newest.us = device->newest.us > second * S ? device->newest.us : second * S;
    if (!cell) {
        return;
    }
    if (second * S >= cell->at.us || !cell->known) {
        cell->known = true;
        cell->value = value;
        cell->at = p.at;
    }
    cell->seen_us = second * S;
    uint32_t n_uses;
    const struct use *uses = cell_uses(device, cell, &n_uses);
    for (const struct use *use = uses; use < uses + n_uses; use++) {
        struct series *s = device->instances[use->instance]->series[use->metric];
        if (s) {
            (void)window_push(s->window, p, NULL, NULL);
        }
    }
}

static struct evaluation evaluated;

static enum truth at_reading(int64_t second)
{
    const struct moment m = {.by_reading = true,
                             .at = {second * S},
                             .now = device->newest,
                             .silence_us = second * S};
    instance_evaluate(&devices, instance(), &m, &evaluated);
    return evaluated.when;
}

static enum truth after(int64_t second)
{
    const struct moment m = {.now = {second * S}, .silence_us = second * S};
    instance_evaluate(&devices, instance(), &m, &evaluated);
    return evaluated.when;
}

static enum truth sent(const char *metric, int64_t second, double value)
{
    reading(metric, second, value);
    return at_reading(second);
}

/* --- windows --- */

START_TEST(test_window_includes_its_bound_and_empties_at_newest_plus_width)
{
    start("count(t, 10s) == 2");
    sent("t", 100, 1);
    ck_assert_int_eq(sent("t", 110, 1), T); /* 100 >= 110 - 10 */
    ck_assert_int_eq(sent("t", 111, 1), T); /* 110, 111 */
    ck_assert_int_eq(after(120), T);        /* as of the newest reading */
    ck_assert_int_eq(after(121), F);        /* empty */
    end();
}
END_TEST

START_TEST(test_a_window_that_emptied_is_unknown_but_for_its_count)
{
    start("avg(t, 10s) > 0 or sum(t, 10s) > 0 or last(t, 10s) > 0");
    sent("t", 100, 1);
    ck_assert_int_eq(sent("t", 101, 1), T);
    ck_assert_int_eq(after(110), T);
    ck_assert_int_eq(after(111), U);
    end();
    start("count(t, 10s) == 0");
    ck_assert_int_eq(at_reading(1), T); /* nothing was ever there */
    ck_assert_int_eq(sent("t", 100, 1), F);
    ck_assert_int_eq(after(110), T);
    ck_assert(evaluated.when_by_time);
    end();
}
END_TEST

START_TEST(test_a_window_by_count_never_empties)
{
    start("last(t, #1) == 1");
    sent("t", 100, 1);
    ck_assert_int_eq(after(1000000), T);
    ck_assert(!evaluated.when_by_time);
    end();
}
END_TEST

/* --- logic --- */

START_TEST(test_what_is_unknown_and_what_is_known_all_the_same)
{
    static const struct {
        const char *when;
        enum truth is; /* after one reading of t: 5 */
    } cases[] = {
        {"t > 1", T},
        {"never > 1", U},
        {"not never > 1", U},
        {"t > 1 or never > 1", T},
        {"t > 9 or never > 1", U},
        {"t > 9 and never > 1", F},
        {"t > 1 and never > 1", U},
        {"avg(t, 1m) > 1", U}, /* of one reading */
        {"sum(t, 1m) > 1", T},
        {"max(t, #2) > 1", U},
        {"count(t, #2) == 1", T},
        {"count(never, 1m) == 0", T},
        {"t / (t - 5) > 1", U},
        {"t * 1e308 > 1", U},
        {"stddev(t, 1m) > 1 or t == 5", T},
        {"absent(never, 1m)", F},
        {"absent(t, 1m)", F},
        {"held(never > 1, 1m)", U},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(cases[i].when);
        enum truth is = sent("t", 100, 5);
        ck_assert_msg(is == cases[i].is, "%s is %d", cases[i].when, (int)is);
        end();
    }
}
END_TEST

START_TEST(test_windows_are_unknown_without_the_store_and_other_metrics_are_not)
{
    start("sum(t, 1m) > 1 or t > 9");
    ck_assert_int_eq(sent("t", 100, 5), T);
    store_is_up = false;
    ck_assert_int_eq(sent("t", 101, 5), U);
    ck_assert(evaluated.store_unknown);
    ck_assert_int_eq(sent("t", 102, 10), T);
    end();
}
END_TEST

/* --- silence --- */

START_TEST(test_absent_begins_behind_a_reading_and_is_true_by_time_alone)
{
    start("absent(t, 60s)");
    ck_assert_int_eq(after(1000), F); /* never sent: not missed */
    ck_assert_int_eq(sent("t", 1000, 1), F);
    reading("other", 1050, 1);
    ck_assert_int_eq(after(1059), F);
    ck_assert_int_eq(after(1060), T);
    ck_assert(evaluated.when_by_time);
    ck_assert_int_eq(sent("t", 1061, 1), F);
    end();
}
END_TEST

START_TEST(test_silent_is_ended_by_anything_at_all)
{
    start("silent(60s)");
    reading("t", 1000, 1);
    ck_assert_int_eq(after(1059), F);
    ck_assert_int_eq(after(1060), T);
    ck_assert(evaluated.when_by_time);
    reading("unheard of", 1061, 1);
    ck_assert_int_eq(at_reading(1061), F);
    end();
}
END_TEST

START_TEST(test_a_latest_value_does_not_last_by_time)
{
    start("t > 1 and absent(t, 60s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(after(1060), T);
    ck_assert(!evaluated.when_by_time); /* `for` would not be complete by it */
    end();
    start("t > 1 or absent(t, 60s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(after(1060), T);
    ck_assert(evaluated.when_by_time);
    end();
}
END_TEST

/* --- held --- */

START_TEST(test_held_is_complete_at_a_reading_not_by_time)
{
    start("held(t > 1, 60s)");
    ck_assert_int_eq(sent("t", 0 + 1000, 5), F);
    ck_assert_int_eq(after(1060), F); /* the latest value is stale */
    ck_assert_int_eq(after(5000), F);
    ck_assert_int_eq(sent("t", 1059, 5), F);
    ck_assert_int_eq(sent("t", 1060, 5), T);
    ck_assert_int_eq(after(9000), T); /* once complete it stays so until it breaks */
    ck_assert_int_eq(sent("t", 9001, 0), F);
    ck_assert_int_eq(sent("t", 9002, 5), F);
    end();
}
END_TEST

START_TEST(test_one_fresh_reading_completes_nothing)
{
    start("held(t > 1, 60s)");
    ck_assert_int_eq(sent("t", 1000, 0), F);
    ck_assert_int_eq(sent("t", 5000, 5), F); /* the onset is now, not a long time ago */
    ck_assert_int_eq(sent("t", 5060, 5), T);
    end();
}
END_TEST

START_TEST(test_time_spent_unknown_does_not_count)
{
    start("held(avg(t, 10s) > 1, 60s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(sent("t", 1005, 5), F); /* onset: two readings */
    ck_assert_int_eq(after(1015), U);        /* the window emptied */
    ck_assert_int_eq(sent("t", 1100, 5), U); /* one reading */
    ck_assert_int_eq(sent("t", 1105, 5), F); /* 10 s so far; 90 s were unknown */
    for (int64_t s = 1110; s < 1155; s += 5) {
        ck_assert_int_eq(sent("t", s, 5), F);
    }
    ck_assert_int_eq(sent("t", 1155, 5), T);
    end();
}
END_TEST

START_TEST(test_silence_completes_held_by_time)
{
    start("held(absent(t, 60s), 30s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(after(1060), F);
    ck_assert_int_eq(after(1089), F);
    ck_assert_int_eq(after(1090), T);
    end();
    start("held(count(t, 60s) < 1, 30s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(after(1060), F);
    ck_assert_int_eq(after(1090), T);
    end();
}
END_TEST

START_TEST(test_next_look_is_due_when_time_alone_can_change_something)
{
    start("avg(t, 10s) > 1 or sum(t, 25s) > 1 or held(t > 3, 40s)");
    ck_assert_int_eq(instance_due(&devices, instance(), (struct wall){1000 * S}),
                     INT64_MAX);
    sent("t", 1000, 5);
    ck_assert_int_eq(instance_due(&devices, instance(), (struct wall){1000 * S}),
                     1010 * S);
    ck_assert_int_eq(instance_due(&devices, instance(), (struct wall){1010 * S}),
                     1025 * S);
    ck_assert_int_eq(instance_due(&devices, instance(), (struct wall){1025 * S}),
                     1040 * S);
    ck_assert_int_eq(instance_due(&devices, instance(), (struct wall){1040 * S}),
                     INT64_MAX);
    end();
    start("absent(t, 60s) or silent(20s)");
    sent("t", 1000, 5);
    ck_assert_int_eq(instance_silence_due(instance(), 1001 * S), 1020 * S);
    ck_assert_int_eq(instance_silence_due(instance(), 1020 * S), 1060 * S);
    ck_assert_int_eq(instance_silence_due(instance(), 1060 * S), INT64_MAX);
    end();
}
END_TEST

/* --- cost --- */

/* Every function, both kinds of window, held in held, as deep as it goes. */
START_TEST(test_evaluating_allocates_nothing)
{
    struct buffer yaml = {0};
    buffer_cstring(&yaml,
                   "rules:\n  - id: r\n    when: >\n      held(held(t > 1, 5s) or ");
    for (unsigned fn = 0; fn < FN_N; fn++) {
        const char *name = window_fn_name((enum window_fn)fn);
        const char *p = fn == FN_PERCENTILE ? "95, " : "";
        buffer_format(&yaml, "%s(t, %s1m) > 1 or %s(t, %s#50) / 0 > 1 or ", name, p, name,
                      p);
    }
    for (int i = 0; i < 60; i++) {
        buffer_cstring(&yaml, "not (");
    }
    buffer_cstring(&yaml, "absent(p, 1m) and abs(-t) * 2 - 1 > 3");
    for (int i = 0; i < 60; i++) {
        buffer_cstring(&yaml, ")");
    }
    buffer_cstring(&yaml, ", 10s) and not silent(1m)\n    clear: t < 1\n");
    begin(buffer_cstr(&yaml));
    buffer_finish(&yaml);
    device = get("acme", "d");
    uint64_t random = 1;
    for (int64_t s = 1000; s < 1500; s++) { /* until windows and their orders are full */
        sent("t", s, (double)(next_random(&random) % 1000));
    }
    size_t before = allocations;
    for (int64_t s = 1500; s < 6000; s++) {
        sent("t", s, (double)(next_random(&random) % 1000));
        (void)after(s + (s % 100 == 0 ? 70 : 0));
    }
    size_t made = allocations - before;
    end();
    ck_assert_uint_gt(before, 0);
    ck_assert_uint_eq(made, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate");
    TCase *t = tcase_create("evaluate");
    tcase_add_test(t, test_window_includes_its_bound_and_empties_at_newest_plus_width);
    tcase_add_test(t, test_a_window_that_emptied_is_unknown_but_for_its_count);
    tcase_add_test(t, test_a_window_by_count_never_empties);
    tcase_add_test(t, test_what_is_unknown_and_what_is_known_all_the_same);
    tcase_add_test(t,
                   test_windows_are_unknown_without_the_store_and_other_metrics_are_not);
    tcase_add_test(t, test_absent_begins_behind_a_reading_and_is_true_by_time_alone);
    tcase_add_test(t, test_silent_is_ended_by_anything_at_all);
    tcase_add_test(t, test_a_latest_value_does_not_last_by_time);
    tcase_add_test(t, test_held_is_complete_at_a_reading_not_by_time);
    tcase_add_test(t, test_one_fresh_reading_completes_nothing);
    tcase_add_test(t, test_time_spent_unknown_does_not_count);
    tcase_add_test(t, test_silence_completes_held_by_time);
    tcase_add_test(t, test_next_look_is_due_when_time_alone_can_change_something);
    tcase_add_test(t, test_evaluating_allocates_nothing);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
