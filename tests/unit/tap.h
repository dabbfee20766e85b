/* What every unit test program ends with: one suite, told as TAP. */
#ifndef BRINK_TESTS_TAP_H
#define BRINK_TESTS_TAP_H

#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int run_tap(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* With its own heap, larger frames, and several times the time. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define UNDER_A_SANITIZER 1
#else
#define UNDER_A_SANITIZER 0
#endif

/* So many seeds of a random walk; a quarter of them under a sanitizer, which looks for
 * faults of memory and threads: what the walk compares is compared without one. */
#define SEEDS(n) (UNDER_A_SANITIZER ? ((n) + 3) / 4 : (n))

/* As ck_assert_msg, for tight loops: ck_assert writes to a pipe each time it holds. */
#define expect(condition, ...)                                                           \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            ck_abort_msg(__VA_ARGS__);                                                   \
        }                                                                                \
    } while (0)

/* As fork, for a child that asserts. libcheck notes each assertion in an unlinked file
 * whose place parent and child share: two who write tear each other's notes, and the
 * runner gives up. The child's go nowhere. */
static inline pid_t fork_unheard(void)
{
    enum { LAST_FD = 64 };
    pid_t pid = fork();
    int nowhere = pid == 0 ? open("/dev/null", O_WRONLY) : -1;
    for (int fd = STDERR_FILENO + 1; nowhere >= 0 && fd <= LAST_FD; fd++) {
        struct stat file;
        if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 0) {
            (void)dup2(nowhere, fd);
        }
    }
    return pid;
}

/* A fixed stream of random bits (splitmix64): a failure comes back at the next run. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
