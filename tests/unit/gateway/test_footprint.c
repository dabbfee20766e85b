/* What a device costs in memory, its rules and its windows included, and what each
 * reading of a window: allocated bytes, as the difference between many and few. */
#include <malloc.h>
#include <stdio.h>

#include "../tap.h"
#include "world.h"

#define FEW 500
#define MANY 2500

/* Bounds, in bytes; what was measured is printed and stands in docs/PERFORMANCE.md. */
#define DEVICE_MAX 580   /* with one threshold rule */
#define RULE_MAX 165     /* another one for it */
#define WINDOW_MAX 580   /* that rule over a window instead, with three readings in it */
#define ENTRY_MAX 6      /* each further reading */
#define TYPICAL_MAX 1650 /* a threshold rule, and one over a window of 60 readings */

static double held_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return (double)m.uordblks + (double)m.hblkhd;
}

/* `n` devices of that rules file, with as many readings each, a second apart. */
static double bytes_of(const char *rules, int n, int readings)
{
    static struct world w;
    world_begin(&w, "", rules);
    double before = held_bytes();
    for (int k = 0; k < readings; k++) {
        for (int d = 0; d < n; d++) {
            char device[24];
            snprintf(device, sizeof device, "d-%06d", d);
            add(&w, device, NULL, k % 10);
            if (d % 256 == 255 || d + 1 == n) {
                apply(&w);
            }
        }
        pass(&w, S);
    }
    pass(&w, 5 * S); /* what is only underway is over */
    double bytes = held_bytes() - before;
    world_end(&w);
    return bytes;
}

static double each(const char *rules, int readings)
{
    return (bytes_of(rules, MANY, readings) - bytes_of(rules, FEW, readings)) /
           (MANY - FEW);
}

static void bounded(const char *what, double bytes, double max)
{
    printf("# %.1f bytes %s\n", bytes, what);
    ck_assert_double_lt(bytes, max);
    ck_assert_double_gt(bytes, max / 2); /* else the bound says nothing any more */
}

START_TEST(test_bytes_a_device_a_rule_a_window_and_an_entry)
{
    (void)bytes_of("rules: [{id: a, when: x > 100}]", FEW, 1); /* what comes once */
    double one = each("rules: [{id: a, when: x > 100}]", 3);
    double two = each("rules: [{id: a, when: x > 100}, {id: b, when: x > 200}]", 3);
    double window = each("rules: [{id: a, when: 'avg(x, 5m) > 100'}]", 3);
    double longer = each("rules: [{id: a, when: 'avg(x, 5m) > 100'}]", 323);
    double typical =
        each("rules: [{id: a, when: 'avg(x, 60s) > 100'}, {id: b, when: x > 200}]", 60);
    bounded("a device with a threshold rule", one, DEVICE_MAX);
    bounded("a further threshold rule for it", two - one, RULE_MAX);
    bounded("more for a window of three readings", window - one, WINDOW_MAX);
    bounded("each further reading", (longer - window) / 320, ENTRY_MAX);
    bounded("a device with two rules, one over 60 readings", typical, TYPICAL_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("footprint");
    TCase *t = tcase_create("bytes");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_bytes_a_device_a_rule_a_window_and_an_entry);
    suite_add_tcase(s, t);
    return run_tap(s);
}
