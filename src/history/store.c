#include "history/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/counters.h"

#define LEAVE_US (2 * US_PER_S)

/* Shared with the thread, and freed by whoever leaves last. */
struct mailbox {
    struct connection_target target; /* fixed */
    void (*wake)(void *ctx);
    void *wake_ctx;
    int to_thread[2],
        from_thread[2]; /* pipes: a byte says that something changed below */

    /* Of all below, and of what goes to the thread's pipe, so that no byte of old news
     * cuts a pause short. Never held across a callback or anything that could wait. */
    pthread_mutex_t lock;
    bool wanted; /* a connection */
    bool pause;  /* before the next attempt */
    bool reset;  /* the pauses start anew */
    bool stop, ended, abandoned;
    struct connection *ready;
    bool refused;
    char reason[CONNECTION_REASON_BYTES];
};

struct store {
    struct mailbox *box;
    pthread_t thread;
    struct connection *connection;
    bool worked; /* since it was connected */
    char reason[CONNECTION_REASON_BYTES];
};

/* --- the mailbox --- */

static char *copy_or_null(const char *s, bool *failed)
{
    char *copy = s ? text_dup(text_of(s)) : NULL;
    *failed = *failed || (s && !copy);
    return copy;
}

static void close_pipe(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void mailbox_free(struct mailbox *box)
{
    if (!box) {
        return;
    }
    connection_free(box->ready);
    close_pipe(box->to_thread);
    close_pipe(box->from_thread);
    pthread_mutex_destroy(&box->lock);
    free(box->target.host);
    free(box->target.path);
    free(box->target.username);
    if (box->target.password) {
        /* Not left behind in freed memory; volatile, or it would be left out. */
        for (volatile char *p = box->target.password; *p; p++) {
            *p = '\0';
        }
    }
    free(box->target.password);
    free(box);
}

static bool open_pipe(int fds[2])
{
    if (pipe(fds) != 0) {
        fds[0] = fds[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        int flags = fcntl(fds[i], F_GETFL);
        if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0) {
            return false;
        }
    }
    return true;
}

static enum brink_status mailbox_new(const struct config *config,
                                     struct mailbox **ret_box)
{
    struct mailbox *box = calloc(1, sizeof *box);
    if (!box) {
        return BRINK_E_NOMEM;
    }
    box->to_thread[0] = box->to_thread[1] = -1;
    box->from_thread[0] = box->from_thread[1] = -1;
    pthread_mutex_init(&box->lock, NULL);
    bool failed = false;
    box->target = (struct connection_target){
        .kind = config->store.kind,
        .tls = config->store.tls,
        .host = copy_or_null(config->store.host, &failed),
        .port = config->store.port,
        .path = copy_or_null(config->store.path, &failed),
        .db = config->store.db,
        .username = copy_or_null(config->store.username, &failed),
        .password = copy_or_null(config->store.password, &failed),
        .timeout_us = config->store.timeout_us,
    };
    if (failed || !open_pipe(box->to_thread) || !open_pipe(box->from_thread)) {
        mailbox_free(box);
        return failed ? BRINK_E_NOMEM : BRINK_E_IO;
    }
    *ret_box = box;
    return BRINK_OK;
}

static void notify(int fd)
{
    ssize_t n = write(fd, "", 1);
    (void)n; /* a full pipe is notice enough */
}

static void drain(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) > 0) {}
}

/* Waits for a byte; timeout_us < 0: without end. */
static void await(int fd, int64_t timeout_us)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ms = timeout_us < 0 ? -1 : (int)((timeout_us + US_PER_MS - 1) / US_PER_MS);
    (void)poll(&p, 1, ms); /* whatever ended it, the caller looks */
}

/* --- the thread --- */

/* Sleeps while nothing is to be done; false: stop. A pause is slept in one piece: only a
 * stop ends it early. It is poll's time, so no clock is read. */
static bool next_attempt(struct mailbox *box, struct backoff *backoff)
{
    for (;;) {
        pthread_mutex_lock(&box->lock);
        drain(box->to_thread[0]);
        bool stop = box->stop, wanted = box->wanted && !box->ready, pause = box->pause;
        if (box->reset) {
            backoff_reset(backoff);
            box->reset = false;
        }
        if (wanted) {
            box->pause = false;
        }
        pthread_mutex_unlock(&box->lock);
        if (stop) {
            return false;
        }
        if (wanted && !pause) {
            return true;
        }
        await(box->to_thread[0], wanted ? backoff_next(backoff) : -1);
    }
}

static void *connect_thread(void *arg)
{
    struct mailbox *box = arg;
    struct backoff backoff = {.min_us = STORE_PAUSE_MIN_US,
                              .max_us = STORE_PAUSE_MAX_US,
                              .random = (uint64_t)(uintptr_t)box ^ (uint64_t)getpid()};
    while (next_attempt(box, &backoff)) {
        char reason[CONNECTION_REASON_BYTES];
        struct connection *c = NULL;
        bool ok = connection_open(&box->target, reason, &c) == BRINK_OK;
        if (!ok) {
            count(COUNT_STORE_FAIL_CONNECT);
        }
        pthread_mutex_lock(&box->lock);
        box->ready = c;
        box->wanted = !ok;
        box->pause = !ok;
        box->refused = !ok;
        if (!ok) {
            memcpy(box->reason, reason, sizeof reason);
        }
        bool stop = box->stop;
        pthread_mutex_unlock(&box->lock);
        if (!stop) {
            notify(box->from_thread[1]);
            box->wake(box->wake_ctx);
        }
    }
    pthread_mutex_lock(&box->lock);
    box->ended = true;
    bool abandoned = box->abandoned;
    pthread_mutex_unlock(&box->lock);
    if (abandoned) {
        mailbox_free(box);
    } else {
        notify(box->from_thread[1]);
    }
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct store *st)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&st->thread, NULL, connect_thread, st->box);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* --- the pipeline's side --- */

static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &action, NULL); /* fails for a wrong number only */
    }
}

enum brink_status store_new(const struct config *config, void (*wake)(void *ctx),
                            void *wake_ctx, struct store **ret_store)
{
    struct store *st = calloc(1, sizeof *st);
    if (!st) {
        return BRINK_E_NOMEM;
    }
    enum brink_status status = mailbox_new(config, &st->box);
    if (status) {
        goto fail;
    }
    ignore_sigpipe();
    st->box->wake = wake;
    st->box->wake_ctx = wake_ctx;
    st->box->wanted = true;
    if (start_thread(st) != 0) {
        status = BRINK_E_IO;
        goto fail;
    }
    *ret_store = st;
    return BRINK_OK;
fail:
    mailbox_free(st->box);
    free(st);
    return status;
}

/* True: the thread has left the mailbox. Otherwise the mailbox is the thread's to free.
 */
static bool thread_left(struct mailbox *box)
{
    bool ended = false;
    for (int turn = 0; turn < 2 && !ended; turn++) {
        pthread_mutex_lock(&box->lock);
        ended = box->ended;
        box->abandoned = turn == 1 && !ended;
        pthread_mutex_unlock(&box->lock);
        if (turn == 0 && !ended) {
            drain(box->from_thread[0]);
            pthread_mutex_lock(&box->lock);
            ended = box->ended;
            pthread_mutex_unlock(&box->lock);
            if (!ended) {
                await(box->from_thread[0], LEAVE_US);
            }
        }
    }
    return ended;
}

void store_free(struct store *st)
{
    if (!st) {
        return;
    }
    struct mailbox *box = st->box;
    pthread_mutex_lock(&box->lock);
    box->stop = true;
    notify(box->to_thread[1]);
    pthread_mutex_unlock(&box->lock);
    if (thread_left(box)) {
        pthread_join(st->thread, NULL);
        mailbox_free(box);
    } else {
        pthread_detach(st->thread);
    }
    connection_free(st->connection);
    free(st);
}

enum store_news store_poll(struct store *st)
{
    struct mailbox *box = st->box;
    enum store_news news = STORE_NO_NEWS;
    pthread_mutex_lock(&box->lock);
    if (box->refused) {
        box->refused = false;
        memcpy(st->reason, box->reason, sizeof st->reason);
        news = STORE_REFUSED;
    }
    if (box->ready && !st->connection) {
        st->connection = box->ready;
        st->worked = false;
        box->ready = NULL;
        news = STORE_CONNECTED;
    }
    pthread_mutex_unlock(&box->lock);
    return news;
}

void store_wait(struct store *st, int64_t timeout_us)
{
    drain(st->box->from_thread[0]);
    pthread_mutex_lock(&st->box->lock);
    bool news = st->box->refused || (st->box->ready && !st->connection);
    pthread_mutex_unlock(&st->box->lock);
    if (!news && timeout_us > 0) {
        await(st->box->from_thread[0], timeout_us);
    }
}

struct connection *store_connection(const struct store *st)
{
    return st->connection;
}

void store_give_up(struct store *st, const char *reason)
{
    /* The reason may be the connection's own text. */
    size_t n = strlen(reason);
    n = n < sizeof st->reason - 1 ? n : sizeof st->reason - 1;
    memmove(st->reason, reason, n);
    st->reason[n] = '\0';
    connection_free(st->connection);
    st->connection = NULL;
    pthread_mutex_lock(&st->box->lock);
    st->box->wanted = true;
    st->box->pause = true;
    st->box->reset = st->worked;
    notify(st->box->to_thread[1]);
    pthread_mutex_unlock(&st->box->lock);
    st->worked = false;
}

void store_worked(struct store *st)
{
    st->worked = true;
}

const char *store_reason(const struct store *st)
{
    return st->reason;
}
