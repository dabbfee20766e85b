#include "mqtt/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sockets at a time: one a connection, and one or two that are being closed. A further
 * one is served by the kernel alone. */
#define SOCKETS 8
/* While there are bytes at hand every so manyth poll asks the kernel all the same:
 * whether there is still room to write (Paho reads only then), and for other sockets.
 * Odd, since Paho polls for both ways in turn. */
#define ASK_EVERY 15
/* Looks again so soon when PUBACKs found no room. */
#define RETRY_MS 10
#define PUBACK 0x40
#define PUBACK_BYTES_MAX 6 /* MQTT 5, with a reason and no properties */

struct socket {
    bool used;
    bool writable; /* so the kernel said last */
    int fd;
    uint8_t *bytes; /* AHEAD_BYTES */
    size_t from, to;
    bool (*settle)(void *ctx); /* NULL: nothing is owed */
    void *settle_ctx;
    bool settling; /* a thread is in there */
    bool given_up; /* settle() said so: nothing is acknowledged any more */
    size_t n_held;
    uint8_t held[AHEAD_HELD_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct socket sockets[SOCKETS];
static unsigned polls;
/* Where this thread last received something; -1: nowhere. */
static _Thread_local int receives_from = -1;

/* All below: under the lock. */

static struct socket *find(int fd)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        if (sockets[i].used && sockets[i].fd == fd) {
            return &sockets[i];
        }
    }
    return NULL;
}

static struct socket *find_or_add(int fd)
{
    struct socket *s = find(fd);
    for (size_t i = 0; !s && i < SOCKETS; i++) {
        if (!sockets[i].used) {
            uint8_t *bytes = malloc(AHEAD_BYTES);
            if (!bytes) {
                return NULL;
            }
            s = &sockets[i];
            s->used = true;
            s->writable = false;
            s->settle = NULL;
            s->settling = s->given_up = false;
            s->fd = fd;
            s->bytes = bytes;
            s->from = s->to = s->n_held = 0;
        }
    }
    return s;
}

static bool has_bytes(const struct socket *s)
{
    return s && s->from < s->to;
}

/* Gives up the lock meanwhile; others see that something is owed until it no longer is.
 */
static void settle(struct socket *s)
{
    if (!s->settle || s->settling) {
        return;
    }
    bool (*call)(void *ctx) = s->settle;
    void *ctx = s->settle_ctx;
    s->settling = true;
    (void)pthread_mutex_unlock(&lock);
    bool settled = call(ctx);
    (void)pthread_mutex_lock(&lock);
    /* Closed meanwhile, or even another's by now: nothing is owed there either, since a
     * handler would owe it, and none runs. */
    bool same = s->settle != NULL;
    s->settle = NULL;
    s->settling = false;
    if (!settled && same) {
        s->n_held = 0;
        s->given_up = true;
    }
}

/* False where some of it is still held. */
static bool let_go(struct socket *s)
{
    settle(s);
    if (s->settle) {
        return false;
    }
    while (s->n_held > 0) {
        ssize_t n = send(s->fd, s->held, s->n_held, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            s->n_held = 0; /* the connection is gone; Paho will see for itself */
            break;
        }
        if (n <= 0) {
            return false;
        }
        s->n_held -= (size_t)n;
        memmove(s->held, s->held + n, s->n_held);
    }
    return true;
}

/* Tells of the bytes at hand, on top of what the kernel told. */
static int tell(struct pollfd *fds, nfds_t n, int told)
{
    for (nfds_t i = 0; i < n; i++) {
        if ((fds[i].events & POLLIN) && has_bytes(find(fds[i].fd))) {
            told += fds[i].revents == 0;
            fds[i].revents |= POLLIN;
        }
    }
    return told;
}

/* Without the kernel; -1 where it has to be asked. */
static int tell_alone(struct pollfd *fds, nfds_t n)
{
    int told = 0;
    for (nfds_t i = 0; i < n; i++) {
        const struct socket *s = find(fds[i].fd);
        if (!has_bytes(s) || ((fds[i].events & POLLOUT) && !s->writable)) {
            return -1;
        }
        fds[i].revents = (short)(fds[i].events & (POLLIN | POLLOUT));
        told += fds[i].revents != 0;
    }
    return told;
}

bool ahead_owe(bool (*settle_by)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&lock);
    struct socket *s = receives_from >= 0 ? find(receives_from) : NULL;
    if (s && s->settling) {
        s = NULL;
    }
    if (s) {
        s->settle = settle_by;
        s->settle_ctx = ctx;
    }
    (void)pthread_mutex_unlock(&lock);
    return s != NULL;
}

void ahead_settle(void)
{
    (void)pthread_mutex_lock(&lock);
    struct socket *s = receives_from >= 0 ? find(receives_from) : NULL;
    if (s) {
        (void)let_go(s);
    }
    (void)pthread_mutex_unlock(&lock);
}

int ahead_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    bool at_hand = false, all_gone = true;
    (void)pthread_mutex_lock(&lock);
    int told = ++polls % ASK_EVERY != 0 ? tell_alone(fds, n) : -1;
    if (told >= 0) {
        (void)pthread_mutex_unlock(&lock);
        return told;
    }
    for (nfds_t i = 0; i < n; i++) {
        at_hand = at_hand || has_bytes(find(fds[i].fd));
    }
    for (nfds_t i = 0; !at_hand && i < n; i++) {
        struct socket *s = find(fds[i].fd);
        all_gone = (!s || let_go(s)) && all_gone;
    }
    (void)pthread_mutex_unlock(&lock);
    if (at_hand) {
        timeout_ms = 0;
    } else if (!all_gone && (timeout_ms < 0 || timeout_ms > RETRY_MS)) {
        timeout_ms = RETRY_MS;
    }
    told = poll(fds, n, timeout_ms);
    if (told >= 0) {
        (void)pthread_mutex_lock(&lock);
        for (nfds_t i = 0; i < n; i++) {
            struct socket *s = find(fds[i].fd);
            if (s && (fds[i].events & POLLOUT)) {
                s->writable = (fds[i].revents & POLLOUT) != 0;
            }
        }
        told = tell(fds, n, told);
        (void)pthread_mutex_unlock(&lock);
    }
    return told;
}

ssize_t ahead_recv(int fd, void *bytes, size_t n, int flags)
{
    if (n == 0 || flags != 0) {
        return recv(fd, bytes, n, flags);
    }
    (void)pthread_mutex_lock(&lock);
    struct socket *s = find_or_add(fd);
    ssize_t got = 0;
    if (s && !has_bytes(s)) {
        (void)let_go(s); /* else a poll does */
        s = find(fd);
    }
    if (!s || (!has_bytes(s) && n >= AHEAD_BYTES)) {
        got = recv(fd, bytes, n, 0);
    } else {
        if (!has_bytes(s)) {
            got = recv(fd, s->bytes, AHEAD_BYTES, 0);
            s->from = 0;
            s->to = got > 0 ? (size_t)got : 0;
        }
        if (has_bytes(s)) {
            size_t more = s->to - s->from;
            got = (ssize_t)(n < more ? n : more);
            memcpy(bytes, s->bytes + s->from, (size_t)got);
            s->from += (size_t)got;
            receives_from = fd;
        }
    }
    (void)pthread_mutex_unlock(&lock); /* keeps errno */
    return got;
}

/* A whole PUBACK and nothing else? */
static bool is_puback(const struct iovec *parts, int n, size_t *ret_bytes)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        bytes += parts[i].iov_len;
    }
    *ret_bytes = bytes;
    return n > 0 && parts[0].iov_len > 0 && bytes <= PUBACK_BYTES_MAX &&
           *(const uint8_t *)parts[0].iov_base == PUBACK;
}

ssize_t ahead_writev(int fd, const struct iovec *parts, int n)
{
    (void)pthread_mutex_lock(&lock);
    struct socket *s = find(fd);
    ssize_t written = -1;
    size_t bytes;
    if (s && s->given_up && is_puback(parts, n, &bytes)) {
        written = (ssize_t)bytes;
    } else if (has_bytes(s) && is_puback(parts, n, &bytes) &&
               s->n_held + bytes <= sizeof(s->held)) {
        for (int i = 0; i < n; i++) {
            memcpy(s->held + s->n_held, parts[i].iov_base, parts[i].iov_len);
            s->n_held += parts[i].iov_len;
        }
        written = (ssize_t)bytes;
    } else if (s && !let_go(s)) {
        errno = EAGAIN;
    } else if (s && s->given_up && is_puback(parts, n, &bytes)) { /* just now */
        written = (ssize_t)bytes;
    } else {
        written = writev(fd, parts, n);
    }
    (void)pthread_mutex_unlock(&lock);
    return written;
}

int ahead_shutdown(int fd, int how)
{
    (void)pthread_mutex_lock(&lock);
    struct socket *s = find(fd);
    if (s) {
        (void)let_go(s);
    }
    (void)pthread_mutex_unlock(&lock);
    return shutdown(fd, how);
}

int ahead_close(int fd)
{
    (void)pthread_mutex_lock(&lock);
    struct socket *s = find(fd);
    if (s) {
        free(s->bytes);
        s->bytes = NULL;
        s->from = s->to = s->n_held = 0;
        s->settle = NULL;
        s->settling = false;
        s->used = false;
    }
    /* Under the lock: else the number could be another socket's before we are back. */
    int failed = close(fd);
    (void)pthread_mutex_unlock(&lock);
    return failed;
}
