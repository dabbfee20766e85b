/* What every unit test program ends with: one suite, told as TAP. */
#ifndef BRINK_TESTS_TAP_H
#define BRINK_TESTS_TAP_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

static inline int run_tap(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* As ck_assert_msg, for tight loops: ck_assert writes to a pipe each time it holds. */
#define expect(condition, ...)                                                           \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            ck_abort_msg(__VA_ARGS__);                                                   \
        }                                                                                \
    } while (0)

/* A fixed stream of random bits (splitmix64): a failure comes back at the next run. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
