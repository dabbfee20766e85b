#include "outbox/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/counters.h"
#include "base/log.h"
#include "outbox/wire.h"

#define RESPAWN_MIN_US (100 * US_PER_MS)
#define RESPAWN_MAX_US (30 * US_PER_S)
#define RESPAWN_STABLE_US                                                                \
    (10 * US_PER_S) /* a child that lived this long was a good one */
#define FULL_SOCKET_US                                                                   \
    (10 * US_PER_MS) /* before a socket that took no more is tried again */
#define SOCKET_BYTES (1024 * 1024)
#define END_US (3 * US_PER_S) /* for the child to end once its socket closed */
#define POLL_MS 20
#define LOOK_US US_PER_MS /* between two looks that nothing asked for */

struct courier {
    struct outbox *outbox;
    struct buffer options; /* as a record: what every new child is told first */
    struct wire_log log;
    struct buffer record;
    struct wire_report report;
    char *input;

    int fd;    /* -1: no child */
    pid_t pid; /* 0: none that is not reaped */
    bool connected;
    uint32_t blocked;
    size_t outstanding;
    uint64_t last_fed;
    struct mono started;
    struct mono spawn_at;
    struct mono look_at; /* for answers, where no poll told of them */
    struct backoff pause;
};

/* ---- The child's life ---- */

static bool send_record(const struct courier *c, const struct buffer *b)
{
    ssize_t n;
    do {
        n = send(c->fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0;
}

/* 0, or what went wrong. */
static int spawn(int child_end, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) {
        return error;
    }
    error = posix_spawnattr_init(&attr);
    if (error) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    /* Handlers and masks of ours are not the child's. Those that it will ignore are held
     * until it does. */
    sigset_t all, held;
    (void)sigfillset(&all);
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGHUP);
    char name[] = "brink", command[] = SENDER_COMMAND;
    char *const argv[] = {name, command, NULL};
    extern char **environ;
    error = posix_spawn_file_actions_adddup2(&actions, child_end, WIRE_SOCKET);
    error = error ? error : posix_spawnattr_setsigdefault(&attr, &all);
    error = error ? error : posix_spawnattr_setsigmask(&attr, &held);
    error = error ? error
                  : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
                                                        POSIX_SPAWN_SETSIGMASK);
    error = error
                ? error
                : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

static enum brink_status start(struct courier *c, struct mono now)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_event(LOG_LEVEL_ERROR, "sender not started", LOG_S("why", strerror(errno)));
        return BRINK_E_IO;
    }
    for (int i = 0; i < 2; i++) {
        int bytes = SOCKET_BYTES; /* as much of it as the system allows */
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    pid_t pid = 0;
    int error = spawn(pair[1], &pid);
    (void)close(pair[1]);
    if (error) {
        (void)close(pair[0]);
        log_event(LOG_LEVEL_ERROR, "sender not started", LOG_S("why", strerror(error)));
        return BRINK_E_IO;
    }
    c->fd = pair[0];
    c->pid = pid;
    c->started = now;
    c->outstanding = 0;
    c->last_fed = 0; /* whatever was not answered goes to this one */
    wire_write_log(&c->record, c->log);
    if (!buffer_ok(&c->record) || !send_record(c, &c->record) ||
        !send_record(c, &c->options)) {
        log_event(LOG_LEVEL_ERROR, "sender not told its options",
                  LOG_S("why", strerror(errno)));
        (void)close(c->fd); /* and so ends it */
        c->fd = -1;
        return BRINK_E_IO;
    }
    return BRINK_OK;
}

/* True once there is no child left to wait for. */
static bool reap(struct courier *c)
{
    if (c->pid == 0) {
        return true;
    }
    int status = 0;
    pid_t got = waitpid(c->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) {
        return false;
    }
    if (got > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        log_event(
            LOG_LEVEL_ERROR, "sender died",
            LOG_S("how", WIFSIGNALED(status) ? "signal" : "exit status"),
            LOG_I("code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
            LOG_S("action", "starting it again"));
    }
    c->pid = 0;
    return true;
}

static void child_gone(struct courier *c, struct mono now)
{
    (void)close(c->fd);
    c->fd = -1;
    c->connected = false;
    c->blocked = 0;
    outbox_handed_over(c->outbox, 0);
    (void)kill(c->pid,
               SIGKILL); /* whatever closed the socket, it is of no use any more */
    if (now.us - c->started.us >= RESPAWN_STABLE_US) {
        backoff_reset(&c->pause);
    }
    c->spawn_at.us = now.us + backoff_next(&c->pause);
}

/* ---- Answers ---- */

static void take_report(struct courier *c)
{
    static const enum counter counters[] = {
        [WIRE_DELIVERED] = COUNT_ALERTS_DELIVERED,
        [WIRE_TOO_LARGE] = COUNT_ALERTS_TOO_LARGE,
        [WIRE_REFUSED] = COUNT_ALERTS_REFUSED,
    };
    const struct wire_report *r = &c->report;
    c->connected = r->connected;
    c->blocked = r->blocked;
    count_add(COUNT_ALERTS_RETRIED, r->retried);
    for (uint32_t i = 0; i < r->n; i++) {
        outbox_acknowledged(c->outbox, r->answers[i].id);
        count(counters[r->answers[i].verdict]);
        c->outstanding -= c->outstanding > 0;
    }
}

/* False: the child is gone, or talks nonsense. */
static bool take_reports(struct courier *c, struct mono now)
{
    if (now.us < c->look_at.us) {
        return true;
    }
    c->look_at.us = now.us + LOOK_US;
    for (;;) {
        ssize_t n = recv(c->fd, c->input, WIRE_RECORD_BYTES_MAX, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK;
        }
        if (n == 0 || wire_read_report((struct text){c->input, (size_t)n}, &c->report) !=
                          BRINK_OK) {
            return false;
        }
        take_report(c);
    }
}

/* ---- Events ---- */

/* Sets *ret_full when the socket took no more. False: the child is gone. */
static bool feed(struct courier *c, bool *ret_full)
{
    size_t blocked = c->blocked < COURIER_BLOCKED_MAX ? c->blocked : COURIER_BLOCKED_MAX;
    struct outbox_event e;
    while (c->outstanding < COURIER_IN_FLIGHT + blocked &&
           outbox_next(c->outbox, c->last_fed, &e)) {
        wire_write_event(&c->record, &e);
        if (!buffer_ok(&c->record)) {
            *ret_full = true; /* no memory now: as good as no room */
            return true;
        }
        if (!send_record(c, &c->record)) {
            if (errno == EMSGSIZE) {
                /* Larger than any packet that this system lets through. */
                log_event(LOG_LEVEL_ERROR, "alert dropped",
                          LOG_S("why", "too large for the system's sockets"),
                          LOG_I("bytes", c->record.n));
                count(COUNT_ALERTS_TOO_LARGE);
                c->last_fed = e.id;
                outbox_acknowledged(c->outbox, e.id);
                continue;
            }
            *ret_full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
            return *ret_full;
        }
        c->last_fed = e.id;
        c->outstanding++;
        outbox_handed_over(c->outbox, e.id);
    }
    return true;
}

/* ---- Public ---- */

enum brink_status courier_new(const struct mqtt_options *options, struct outbox *outbox,
                              struct courier **ret_courier)
{
    if (options->n_servers > WIRE_SERVERS_MAX) {
        return BRINK_E_LIMIT;
    }
    struct courier *c = calloc(1, sizeof(*c));
    if (!c) {
        return BRINK_E_NOMEM;
    }
    c->outbox = outbox;
    c->fd = -1;
    c->log = (struct wire_log){LOG_LEVEL_INFO, LOG_FORMAT_TEXT};
    c->pause = (struct backoff){
        .min_us = RESPAWN_MIN_US, .max_us = RESPAWN_MAX_US, .random = (uint64_t)getpid()};
    struct mqtt_options own = *options;
    own.session_expiry_us = 0;
    own.will_topic = own.will_payload = NULL;
    wire_write_options(&c->options, &own);
    c->input = malloc(WIRE_RECORD_BYTES_MAX);
    enum brink_status st = BRINK_E_NOMEM;
    if (c->input && buffer_ok(&c->options)) {
        struct mono now = clock_system.mono(clock_system.ctx);
        st = start(c, now);
        if (st != BRINK_OK && c->pid != 0) {
            /* A child that died at once is started again like any other. */
            c->spawn_at.us = now.us + backoff_next(&c->pause);
            st = BRINK_OK;
        }
    }
    if (st != BRINK_OK) {
        courier_free(c, 0);
        return st;
    }
    *ret_courier = c;
    return BRINK_OK;
}

void courier_set_log(struct courier *c, enum log_level level, enum log_format format)
{
    c->log = (struct wire_log){level, format};
    if (c->fd >= 0) {
        wire_write_log(&c->record, c->log);
        /* Should the socket be full, the next child is told. */
        (void)(buffer_ok(&c->record) && send_record(c, &c->record));
    }
}

int courier_fd(const struct courier *c)
{
    return c->fd;
}

void courier_ready(struct courier *c)
{
    c->look_at.us = 0;
}

bool courier_is_connected(const struct courier *c)
{
    return c->connected;
}

void courier_step(struct courier *c, struct mono now, struct mono *ret_wake)
{
    bool full = false;
    ret_wake->us = INT64_MAX;
    if (c->fd >= 0 && !(take_reports(c, now) && feed(c, &full))) {
        child_gone(c, now);
    }
    if (c->fd < 0) {
        bool reaped = reap(c);
        if (reaped && now.us >= c->spawn_at.us && start(c, now) != BRINK_OK) {
            c->spawn_at.us = now.us + backoff_next(&c->pause);
        }
        if (c->fd < 0) {
            ret_wake->us = reaped ? c->spawn_at.us : now.us + FULL_SOCKET_US;
            return;
        }
        (void)feed(c, &full); /* a child that is gone again is found at the next step */
    }
    if (full) {
        ret_wake->us = now.us + FULL_SOCKET_US;
    }
}

/* Steps until the outbox is empty. */
static void flush(struct courier *c, int64_t flush_us)
{
    struct mono now = clock_system.mono(clock_system.ctx), wake;
    int64_t until_us = now.us + flush_us;
    while (now.us < until_us) {
        outbox_step(c->outbox, now, &wake);
        courier_step(c, now, &wake);
        if (outbox_count(c->outbox) == 0) {
            return;
        }
        struct pollfd fd = {.fd = c->fd, .events = POLLIN};
        (void)poll(&fd, 1, POLL_MS);
        courier_ready(c);
        now = clock_system.mono(clock_system.ctx);
    }
}

void courier_free(struct courier *c, int64_t flush_us)
{
    if (!c) {
        return;
    }
    flush(c, flush_us);
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
    int64_t until_us = clock_system.mono(clock_system.ctx).us + END_US;
    while (!reap(c)) {
        if (clock_system.mono(clock_system.ctx).us >= until_us) {
            (void)kill(c->pid, SIGKILL);
            (void)waitpid(c->pid, NULL, 0);
            c->pid = 0;
        } else {
            (void)poll(NULL, 0, POLL_MS);
        }
    }
    buffer_finish(&c->options);
    buffer_finish(&c->record);
    free(c->input);
    free(c);
}
