#include "gateway/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/number.h"

static struct {
    int fd;
    struct sockaddr_un address;
    socklen_t address_bytes;
    int64_t watchdog_us;
} state = {.fd = -1};

static uint64_t environment_number(const char *name)
{
    const char *s = getenv(name);
    uint64_t v;
    return s && number_parse_u64(text_of(s), &v) == BRINK_OK ? v : 0;
}

void notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n > 1 && n < sizeof state.address.sun_path &&
        (path[0] == '/' || path[0] == '@')) {
        state.address.sun_family = AF_UNIX;
        memcpy(state.address.sun_path, path, n);
        if (path[0] == '@') {
            state.address.sun_path[0] = '\0'; /* the abstract namespace */
        }
        state.address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        uint64_t pid = environment_number("WATCHDOG_PID");
        uint64_t every = environment_number("WATCHDOG_USEC");
        if ((pid == 0 || pid == (uint64_t)getpid()) && every < INT64_MAX) {
            state.watchdog_us = (int64_t)every / 3;
        }
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_send(const char *text)
{
    if (state.fd >= 0) {
        /* Lost when systemd does not listen: there is nobody else to tell. */
        (void)sendto(state.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&state.address, state.address_bytes);
    }
}

int64_t notify_watchdog_us(void)
{
    return state.watchdog_us;
}
