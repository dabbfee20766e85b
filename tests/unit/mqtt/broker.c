#include "broker.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mono now(void)
{
    return clock_system.mono(clock_system.ctx);
}

static int tcp_socket(unsigned port, struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return fd;
}

unsigned free_port(void)
{
    struct sockaddr_in at;
    int fd = tcp_socket(0, &at);
    socklen_t n = sizeof(at);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

/* lines with the folder in place of each %s */
static void put_lines(struct broker *b, char *out, size_t bytes, const char *lines)
{
    size_t n = strlen(out);
    for (const char *p = lines; *p && n + sizeof(b->dir) < bytes; p++) {
        if (p[0] == '%' && p[1] == 's') {
            n += (size_t)snprintf(out + n, bytes - n, "%s", b->dir);
            p++;
        } else {
            out[n++] = *p;
            out[n] = '\0';
        }
    }
}

void broker_prepare(struct broker *b, const char *scheme, const char *lines)
{
    *b = (struct broker){.port = free_port()};
    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/brink-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(b->dir));
    (void)snprintf(b->url, sizeof(b->url), "%s://127.0.0.1:%u", scheme, b->port);
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "user root\nset_tcp_nodelay true\nlog_dest file %s/broker.log\n"
                   "listener %u 127.0.0.1\n",
                   b->dir, b->port);
    put_lines(b, text, sizeof(text), lines);
    write_file(b->dir, "broker.conf", text);
}

void broker_start(struct broker *b)
{
    char conf[128];
    (void)snprintf(conf, sizeof(conf), "%s/broker.conf", b->dir);
    b->pid = fork();
    ck_assert_int_ge(b->pid, 0);
    if (b->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)setenv("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin", 1);
        (void)execlp("mosquitto", "mosquitto", "-c", conf, (char *)NULL);
        _exit(127);
    }
    for (int64_t until = now().us + WAIT_MS * US_PER_MS; now().us < until;) {
        struct sockaddr_in at;
        int fd = tcp_socket(b->port, &at);
        int rc = connect(fd, (struct sockaddr *)&at, sizeof(at));
        (void)close(fd);
        if (rc == 0) {
            return;
        }
        ck_assert_msg(waitpid(b->pid, NULL, WNOHANG) == 0, "mosquitto did not start");
        (void)poll(NULL, 0, 10);
    }
    ck_abort_msg("mosquitto takes no connection");
}

void broker_kill(struct broker *b, int signal)
{
    if (b->pid > 0) {
        ck_assert_int_eq(kill(b->pid, signal), 0);
        ck_assert_int_eq(waitpid(b->pid, NULL, 0), b->pid);
        b->pid = 0;
    }
}

void broker_break_sending(const struct broker *b)
{
    int broken = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in to;
        socklen_t n = sizeof(to);
        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 &&
            to.sin_family == AF_INET && ntohs(to.sin_port) == b->port) {
            ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
            broken++;
        }
    }
    ck_assert_int_eq(broken, 1);
}

void broker_finish(struct broker *b)
{
    broker_kill(b, SIGKILL);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", b->dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- Peers ---- */

static bool may_join(void *ctx, struct text topic)
{
    struct peer *p = ctx;
    (void)topic;
    (void)pthread_mutex_lock(&p->lock);
    bool joins = !p->reluctant || p->asked;
    p->asked = !joins;
    p->n_joined += joins;
    (void)pthread_mutex_unlock(&p->lock);
    return joins;
}

static bool on_message(void *ctx, struct text topic, struct text payload, int qos,
                       bool retained)
{
    struct peer *p = ctx;
    (void)pthread_mutex_lock(&p->lock);
    p->n_strays += p->n_joined == 0;
    p->n_joined = 0;
    while (p->blocked) {
        (void)pthread_cond_wait(&p->unblocked, &p->lock);
    }
    if (p->n_messages < sizeof(p->messages) / sizeof(p->messages[0])) {
        p->messages[p->n_messages++] =
            (struct peer_message){text_dup(topic), text_dup(payload), qos, retained};
    }
    (void)pthread_mutex_unlock(&p->lock);
    uint64_t one = 1;
    ssize_t n = write(p->wake_fd, &one, sizeof(one));
    (void)n;
    return true;
}

static void on_event(void *ctx)
{
    struct peer *p = ctx;
    uint64_t one = 1;
    ssize_t n = write(p->wake_fd, &one, sizeof(one));
    (void)n;
}

struct mqtt_options peer_options(const char *const *url, const char *client_id,
                                 int version)
{
    return (struct mqtt_options){.servers = url,
                                 .n_servers = 1,
                                 .version = version,
                                 .client_id = client_id,
                                 .keep_alive_us = 30 * US_PER_S};
}

struct peer *peer_new(const struct mqtt_options *options)
{
    struct peer *p = calloc(1, sizeof(*p));
    ck_assert_ptr_nonnull(p);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->unblocked, NULL);
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct mqtt_callbacks callbacks = {p, may_join, on_message, NULL, on_event};
    ck_assert_int_eq(mqtt_client_new(options, &callbacks, &p->client), BRINK_OK);
    return p;
}

void peer_free(struct peer *p, int64_t timeout_us)
{
    peer_block(p, false);
    mqtt_client_free(p->client, timeout_us);
    for (size_t i = 0; i < p->n_messages; i++) {
        free(p->messages[i].topic);
        free(p->messages[i].payload);
    }
    (void)close(p->wake_fd);
    (void)pthread_cond_destroy(&p->unblocked);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

void peer_block(struct peer *p, bool blocked)
{
    (void)pthread_mutex_lock(&p->lock);
    p->blocked = blocked;
    (void)pthread_cond_broadcast(&p->unblocked);
    (void)pthread_mutex_unlock(&p->lock);
}

void peer_turn(struct peer *p, int ms)
{
    struct mono wake;
    mqtt_client_step(p->client, now(), &wake);
    struct mqtt_event e;
    while (mqtt_next_event(p->client, &e)) {
        ck_assert_uint_lt(p->n_events, sizeof(p->events) / sizeof(p->events[0]));
        p->events[p->n_events++] = e;
    }
    mqtt_client_step(p->client, now(), &wake);
    int64_t until_ms = wake.us == INT64_MAX ? ms : (wake.us - now().us) / US_PER_MS + 1;
    struct pollfd fd = {.fd = p->wake_fd, .events = POLLIN};
    if (poll(&fd, 1, until_ms < 0 ? 0 : until_ms < ms ? (int)until_ms : ms) > 0) {
        uint64_t n;
        ssize_t got = read(p->wake_fd, &n, sizeof(n));
        (void)got;
    }
}

size_t peer_count(struct peer *p)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t n = p->n_messages;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

const struct mqtt_event *peer_event(const struct peer *p, enum mqtt_event_kind kind,
                                    size_t nth)
{
    for (size_t i = 0; i < p->n_events; i++) {
        if (p->events[i].kind == kind && nth-- == 0) {
            return &p->events[i];
        }
    }
    ck_abort_msg("no such event");
    return NULL;
}

size_t peer_events(const struct peer *p, enum mqtt_event_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_events; i++) {
        n += p->events[i].kind == kind;
    }
    return n;
}

void peer_await_events(struct peer *p, enum mqtt_event_kind kind, size_t n)
{
    int64_t until = now().us + WAIT_MS * US_PER_MS;
    while (peer_events(p, kind) < n) {
        const char *why = p->n_events ? p->events[p->n_events - 1].why : "";
        ck_assert_msg(now().us < until, "only %zu of %zu events of kind %d: %s",
                      peer_events(p, kind), n, (int)kind, why);
        peer_turn(p, 100);
    }
}

void peer_await_messages(struct peer *p, size_t n)
{
    int64_t until = now().us + WAIT_MS * US_PER_MS;
    while (peer_count(p) < n) {
        ck_assert_msg(now().us < until, "only %zu of %zu messages", peer_count(p), n);
        peer_turn(p, 100);
    }
}

void peer_subscribe(struct peer *p, const char *filter, int qos)
{
    size_t n = peer_events(p, MQTT_SUBSCRIBED);
    ck_assert_int_eq(mqtt_subscribe(p->client, filter, qos, n), BRINK_OK);
    peer_await_events(p, MQTT_SUBSCRIBED, n + 1);
    const struct mqtt_event *e = peer_event(p, MQTT_SUBSCRIBED, n);
    ck_assert_int_eq(e->reason, qos);
    ck_assert_uint_eq(e->tag, n);
}

void peer_publish(struct peer *p, const char *topic, const char *payload, int qos,
                  bool retain)
{
    size_t n = peer_events(p, MQTT_PUBLISHED);
    ck_assert_int_eq(
        mqtt_publish(p->client, topic, text_of(payload), qos, retain, NULL, 1000 + n),
        BRINK_OK);
    peer_await_events(p, MQTT_PUBLISHED, n + 1);
    ck_assert_uint_eq(peer_event(p, MQTT_PUBLISHED, n)->tag, 1000 + n);
}
