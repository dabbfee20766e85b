/* _GNU_SOURCE: close_range(2), which has no portable like. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "mqtt/client.h"
#include "outbox/courier.h"
#include "outbox/queue.h"
#include "outbox/wire.h"

#define SOURCE LOG_S("source", "alerts")
#define STOP_US (500 * US_PER_MS) /* for a graceful DISCONNECT */
#define NO_MEMORY_US                                                                     \
    (1 * US_PER_S) /* before a publish that found no memory is tried again */

/* MQTT 5 reason codes of an alert that no repetition helps. */
#define REASON_TOPIC_INVALID 0x90
#define REASON_PACKET_TOO_LARGE 0x95
#define REASON_PAYLOAD_INVALID 0x99

struct sender {
    int wake_fd;
    struct mqtt_client *client; /* NULL until the options came */
    struct queue *queue;
    struct mono now, retry_at;

    bool connected;
    struct wire_report report; /* being collected */
    bool report_due;
    uint32_t blocked_told;
    struct buffer answers; /* struct wire_answer each: those that no report took yet */
    struct buffer record;  /* for writing */
    bool stuck;            /* the socket took no more */
    char *input;           /* WIRE_RECORD_BYTES_MAX */
    struct log_limit refused_limit, dropped_limit, connect_limit;
};

static void on_event(void *ctx)
{
    const struct sender *s = ctx;
    uint64_t one = 1;
    ssize_t n = write(s->wake_fd, &one, sizeof(one));
    (void)n; /* full: then it is readable already */
}

static bool on_message(void *ctx, struct text topic, struct text payload, int qos,
                       bool retained)
{
    /* Nothing is subscribed to. */
    (void)ctx, (void)topic, (void)payload, (void)qos, (void)retained;
    return true;
}

static void answer(struct sender *s, uint64_t id, enum wire_verdict verdict)
{
    struct wire_answer a = {id, verdict};
    buffer_put(&s->answers, &a, sizeof(a));
    s->report_due = true;
}

static void drop(struct sender *s, const struct outbox_event *e,
                 enum wire_verdict verdict, int reason)
{
    log_limited(&s->dropped_limit, s->now, LOG_LEVEL_ERROR, "alert dropped", SOURCE,
                LOG_S("why", verdict == WIRE_TOO_LARGE ? "too large for the broker"
                                                       : "refused for good"),
                LOG_I("reason", reason), LOG_T("topic", e->topic),
                LOG_I("bytes", e->payload.n));
    answer(s, e->id, verdict);
}

/* ---- From the courier ---- */

static enum brink_status take_options(struct sender *s, struct text record)
{
    const char *servers[WIRE_SERVERS_MAX];
    struct mqtt_options options;
    enum brink_status st = wire_read_options(record, servers, &options);
    if (st != BRINK_OK || s->client) {
        return BRINK_E_SYNTAX;
    }
    struct mqtt_callbacks callbacks = {s, NULL, on_message, NULL, on_event};
    return mqtt_client_new(&options, &callbacks, &s->client);
}

static enum brink_status take_event(struct sender *s, struct text record)
{
    struct outbox_event e;
    enum brink_status st = wire_read_event(record, &e);
    if (st != BRINK_OK) {
        return st;
    }
    if (!mqtt_topic_is_valid(e.topic)) {
        drop(s, &e, WIRE_REFUSED, -1);
        return BRINK_OK;
    }
    return queue_add(s->queue, &e);
}

static enum brink_status take_record(struct sender *s, struct text record)
{
    struct wire_log log;
    enum brink_status st = BRINK_E_SYNTAX;
    switch (wire_kind(record)) {
    case WIRE_OPTIONS:
        return take_options(s, record);
    case WIRE_EVENT:
        return take_event(s, record);
    case WIRE_LOG:
        st = wire_read_log(record, &log);
        if (st == BRINK_OK) {
            log_configure(log.level, log.format);
        }
        return st;
    case WIRE_REPORT:
        break;
    }
    return st;
}

/* E_STATE: the courier is gone. */
static enum brink_status take_records(struct sender *s)
{
    for (;;) {
        ssize_t n = recv(WIRE_SOCKET, s->input, WIRE_RECORD_BYTES_MAX, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? BRINK_OK : BRINK_E_STATE;
        }
        if (n == 0) {
            return BRINK_E_STATE;
        }
        enum brink_status st = take_record(s, (struct text){s->input, (size_t)n});
        if (st != BRINK_OK) {
            return st;
        }
    }
}

/* ---- From the broker ---- */

static void on_refused(struct sender *s, struct queued *q, int reason)
{
    const struct outbox_event *e = queue_event(q);
    switch (reason) {
    case REASON_PACKET_TOO_LARGE:
        drop(s, e, WIRE_TOO_LARGE, reason);
        queue_dropped(s->queue, q);
        break;
    case REASON_TOPIC_INVALID:
    case REASON_PAYLOAD_INVALID:
        drop(s, e, WIRE_REFUSED, reason);
        queue_dropped(s->queue, q);
        break;
    case -1:
        /* Paho could not send it: what else it did with the connection is not to be
         * trusted. */
        mqtt_client_drop(s->client);
        break;
    default:
        log_limited(&s->refused_limit, s->now, LOG_LEVEL_WARNING, "alert refused", SOURCE,
                    LOG_I("reason", reason), LOG_T("topic", e->topic),
                    LOG_S("action", "trying again"));
        queue_refused(s->queue, q, s->now);
    }
}

static void take_event_of_broker(struct sender *s, const struct mqtt_event *e)
{
    struct queued *q = (struct queued *)(uintptr_t)e->tag;
    switch (e->kind) {
    case MQTT_CONNECTED:
        s->connected = s->report_due = true;
        log_event(LOG_LEVEL_INFO, "connected", SOURCE, LOG_S("server", e->why));
        break;
    case MQTT_CONNECT_FAILED:
        log_limited(&s->connect_limit, s->now, LOG_LEVEL_WARNING, "not connected", SOURCE,
                    LOG_S("why", e->why));
        break;
    case MQTT_LOST:
        s->connected = false;
        s->report_due = true;
        log_event(LOG_LEVEL_WARNING, "connection lost", SOURCE, LOG_S("why", e->why),
                  LOG_I("in_flight", queue_in_flight(s->queue)));
        if (queue_connection_lost(s->queue, s->now) > 0) {
            log_event(LOG_LEVEL_ERROR, "alert yields", SOURCE,
                      LOG_S("why", "the connection broke with it again and again"),
                      LOG_S("action", "trying it again later, alone"));
        }
        break;
    case MQTT_PUBLISHED:
        answer(s, queue_event(q)->id, WIRE_DELIVERED);
        queue_delivered(s->queue, q);
        break;
    case MQTT_REFUSED:
        on_refused(s, q, e->reason);
        break;
    case MQTT_SUBSCRIBED:
    case MQTT_UNSUBSCRIBED:
        break; /* never asked for here */
    }
}

static void publish_due(struct sender *s)
{
    if (!s->connected || s->now.us < s->retry_at.us) {
        return;
    }
    struct queued *q;
    while ((q = queue_next(s->queue, s->now))) {
        const struct outbox_event *e = queue_event(q);
        bool retry = queue_is_retry(q);
        enum brink_status st =
            mqtt_publish(s->client, e->topic.p, e->payload, e->qos, e->retain,
                         e->payload.n > 0 ? "application/json" : NULL, (uintptr_t)q);
        if (st == BRINK_E_RANGE) {
            drop(s, e, WIRE_TOO_LARGE, -1); /* its topic was found valid when it came */
            queue_dropped(s->queue, q);
            continue;
        }
        if (st != BRINK_OK) {
            queue_not_sent(s->queue, q);
            if (st == BRINK_E_NOMEM) {
                s->retry_at.us = s->now.us + NO_MEMORY_US;
            }
            return; /* not connected any more: MQTT_LOST is on its way */
        }
        if (retry) {
            s->report.retried++;
            s->report_due = true;
        }
    }
}

/* ---- To the courier ---- */

static enum brink_status send_reports(struct sender *s)
{
    uint32_t blocked = (uint32_t)queue_blocked(s->queue);
    if (blocked != s->blocked_told) {
        s->report_due = true;
    }
    s->stuck = false;
    while (s->report_due) {
        size_t n = s->answers.n / sizeof(struct wire_answer);
        n = n > WIRE_ANSWERS_MAX ? WIRE_ANSWERS_MAX : n;
        s->report.connected = s->connected;
        s->report.blocked = blocked;
        s->report.n = (uint32_t)n;
        if (n > 0) {
            memcpy(s->report.answers, s->answers.p, n * sizeof(struct wire_answer));
        }
        wire_write_report(&s->record, &s->report);
        if (!buffer_ok(&s->record) || !buffer_ok(&s->answers)) {
            return BRINK_E_NOMEM;
        }
        ssize_t sent;
        do {
            sent =
                send(WIRE_SOCKET, s->record.p, s->record.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0) {
            s->stuck = errno == EAGAIN || errno == EWOULDBLOCK;
            return s->stuck ? BRINK_OK : BRINK_E_STATE;
        }
        size_t taken = n * sizeof(struct wire_answer);
        if (taken > 0) {
            memmove(s->answers.p, s->answers.p + taken, s->answers.n - taken);
            s->answers.n -= taken;
        }
        s->report.retried = 0;
        s->blocked_told = blocked;
        s->report_due = s->answers.n > 0;
    }
    return BRINK_OK;
}

/* ---- The loop ---- */

static int poll_timeout_ms(const struct sender *s, struct mono wake)
{
    /* What is due already and was not sent waits for an answer of the broker, not for
     * time. */
    struct mono due = queue_due(s->queue);
    if (s->connected && due.us > s->now.us && due.us < wake.us) {
        wake = due;
    }
    if (s->retry_at.us > s->now.us && s->retry_at.us < wake.us) {
        wake = s->retry_at;
    }
    if (wake.us == INT64_MAX) {
        return -1;
    }
    int64_t ms =
        (wake.us - clock_system.mono(clock_system.ctx).us + US_PER_MS - 1) / US_PER_MS;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

static enum brink_status turn(struct sender *s)
{
    s->now = clock_system.mono(clock_system.ctx);
    enum brink_status st = take_records(s);
    struct mono wake = {INT64_MAX};
    if (st == BRINK_OK && s->client) {
        mqtt_client_step(s->client, s->now, &wake);
        struct mqtt_event e;
        while (mqtt_next_event(s->client, &e)) {
            take_event_of_broker(s, &e);
        }
        publish_due(s);
        /* An event of just now may have changed when the next step is due. */
        mqtt_client_step(s->client, s->now, &wake);
    }
    if (st == BRINK_OK) {
        st = send_reports(s);
    }
    if (st != BRINK_OK) {
        return st;
    }
    struct pollfd fds[] = {
        {.fd = WIRE_SOCKET, .events = (short)(POLLIN | (s->stuck ? POLLOUT : 0))},
        {.fd = s->wake_fd, .events = POLLIN},
    };
    if (poll(fds, 2, poll_timeout_ms(s, wake)) < 0 && errno != EINTR) {
        return BRINK_E_IO;
    }
    if (fds[1].revents & POLLIN) {
        uint64_t n;
        ssize_t got = read(s->wake_fd, &n, sizeof(n));
        (void)got; /* only emptied */
    }
    return BRINK_OK;
}

/* The parent decides when this ends, by its end of the socket: a Ctrl-C in a terminal,
 * which goes to both, must not take the alerts of its last second along. */
static void set_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        (void)sigaction(ignored[i], &ignore, NULL);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none,
                      NULL); /* the courier started us with these held */
}

int sender_main(void)
{
    int type = 0;
    socklen_t n = sizeof(type);
    if (getsockopt(WIRE_SOCKET, SOL_SOCKET, SO_TYPE, &type, &n) != 0 ||
        type != SOCK_SEQPACKET) {
        (void)fprintf(stderr, "%s: not a command for people\n", SENDER_COMMAND);
        return 2;
    }
    process_hide_memory();
    set_signals();
    /* Names are for ps; what the parent's libraries left open would outlive the parent
     * here. */
    (void)prctl(PR_SET_NAME, "brink-alerts");
    (void)close_range(WIRE_SOCKET + 1, ~0u, 0);

    struct sender *s = calloc(1, sizeof(*s));
    enum brink_status st = BRINK_E_NOMEM;
    if (!s) {
        return 1;
    }
    s->retry_at.us = INT64_MIN;
    s->input = malloc(WIRE_RECORD_BYTES_MAX);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->input && s->wake_fd >= 0 && queue_new(&s->queue) == BRINK_OK) {
        do {
            st = turn(s);
        } while (st == BRINK_OK);
    }
    if (st != BRINK_E_STATE) {
        log_event(LOG_LEVEL_ERROR, "sender ends", SOURCE, LOG_I("status", st));
    }
    mqtt_client_free(s->client, STOP_US);
    queue_free(s->queue);
    buffer_finish(&s->answers);
    buffer_finish(&s->record);
    if (s->wake_fd >= 0) {
        (void)close(s->wake_fd);
    }
    free(s->input);
    free(s);
    return st == BRINK_E_STATE ? 0 : 1;
}
