/* A wall clock that the tests set: preloaded into the gateway, it moves CLOCK_REALTIME
 * and nothing else. The file that FAULTS_CLOCK names holds two int64_t: microseconds to
 * add, and whether a time service holds the clock. It is mapped, so a change counts at
 * once. */
#define _GNU_SOURCE /* RTLD_NEXT */

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct setting {
    int64_t add_us;
    int64_t held;
};

static const volatile struct setting *setting;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void prepare(void)
{
    static const struct setting none;
    setting = &none;
    /* A function's address comes as an object's: POSIX says how. */
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("FAULTS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, sizeof *setting, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at != MAP_FAILED) {
        setting = at;
    }
    if (fd >= 0) {
        close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!real_clock_gettime) {
        prepare(); /* another library's constructor was first */
    }
    int rc = real_clock_gettime(clock, t);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t us = t->tv_nsec / 1000 + setting->add_us % 1000000;
        t->tv_sec += (time_t)(setting->add_us / 1000000 + (us < 0 ? -1 : us / 1000000));
        t->tv_nsec =
            (long)(us < 0 ? us + 1000000 : us % 1000000) * 1000 + t->tv_nsec % 1000;
    }
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) {
        *t = now.tv_sec;
    }
    return now.tv_sec;
}

int adjtimex(struct timex *t)
{
    t->status = setting->held ? 0 : STA_UNSYNC;
    return setting->held ? TIME_OK : TIME_ERROR;
}
