#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82 };

int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(2);
}

void wire_flush(struct wire *w)
{
    for (size_t sent = 0; sent < w->out;) {
        ssize_t n = send(w->fd, w->out_bytes + sent, w->out - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            fail("send");
        }
        sent += n > 0 ? (size_t)n : 0;
    }
    w->out = 0;
}

static void put(struct wire *w, const void *bytes, size_t n)
{
    memcpy(w->out_bytes + w->out, bytes, n);
    w->out += n;
}

static void put_text(struct wire *w, const char *text, size_t n)
{
    uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    put(w, length, 2);
    put(w, text, n);
}

static void put_header(struct wire *w, uint8_t kind, size_t rest)
{
    put(w, &kind, 1);
    do {
        uint8_t byte = rest & 127;
        rest >>= 7;
        byte |= rest > 0 ? 128 : 0;
        put(w, &byte, 1);
    } while (rest > 0);
}

static void put_id(struct wire *w)
{
    w->last_id = w->last_id == UINT16_MAX ? 1 : (uint16_t)(w->last_id + 1);
    uint8_t id[2] = {(uint8_t)(w->last_id >> 8), (uint8_t)w->last_id};
    put(w, id, 2);
}

/* One short answer of a known kind; its last byte. */
static uint8_t await(struct wire *w, uint8_t kind, size_t bytes)
{
    uint8_t answer[8];
    for (size_t got = 0; got < bytes;) {
        ssize_t n = recv(w->fd, answer + got, bytes - got, 0);
        if (n <= 0) {
            fail("the broker closed the connection");
        }
        got += (size_t)n;
    }
    if (answer[0] != kind) {
        fail("unexpected answer of the broker");
    }
    return answer[bytes - 1];
}

void wire_open(struct wire *w, int port, const char *client_id)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(w, 0, sizeof *w);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (w->fd < 0 || connect(w->fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        fail("connect");
    }
    (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t n = strlen(client_id);
    put_header(w, CONNECT, 12 + n);
    put(w, "\0\4MQTT\4\2\0\0", 10); /* clean, no keep-alive */
    put_text(w, client_id, n);
    wire_flush(w);
    if (await(w, CONNACK, 4) != 0) {
        fail("the broker refused the connection");
    }
}

void wire_subscribe(struct wire *w, const char *filter, int qos)
{
    uint8_t wanted = (uint8_t)qos;
    size_t n = strlen(filter);
    put_header(w, SUBSCRIBE, 5 + n);
    put_id(w);
    put_text(w, filter, n);
    put(w, &wanted, 1);
    wire_flush(w);
    if (await(w, 0x90, 5) > 2) {
        fail("the broker refused the subscription");
    }
}

void wire_publish(struct wire *w, const struct wire_message *m, int qos)
{
    size_t bytes = 2 + m->topic_bytes + m->payload_bytes + (qos > 0 ? 2 : 0);
    if (w->out + bytes + 5 > sizeof w->out_bytes) {
        wire_flush(w);
    }
    put_header(w, (uint8_t)(PUBLISH | qos << 1), bytes);
    put_text(w, m->topic, m->topic_bytes);
    if (qos > 0) {
        put_id(w);
        w->unacknowledged++;
    }
    put(w, m->payload, m->payload_bytes);
}

static void take_packet(struct wire *w, uint8_t kind, const uint8_t *p, size_t n,
                        void (*take)(void *ctx, const struct wire_message *m), void *ctx)
{
    if ((kind & 0xf0) == PUBACK) {
        w->unacknowledged--;
    } else if ((kind & 0xf0) == PUBLISH) {
        size_t topic = (size_t)p[0] << 8 | p[1], head = 2 + topic;
        if (kind & 6) {
            if (w->out + 4 > sizeof w->out_bytes) {
                wire_flush(w);
            }
            put_header(w, PUBACK, 2);
            put(w, p + head, 2);
            head += 2;
        }
        struct wire_message m = {(const char *)p + 2, (const char *)p + head, topic,
                                 n - head};
        if (take) {
            take(ctx, &m);
        }
    }
}

bool wire_read(struct wire *w, int timeout_ms,
               void (*take)(void *ctx, const struct wire_message *m), void *ctx)
{
    struct pollfd ready = {.fd = w->fd, .events = POLLIN};
    if (poll(&ready, 1, timeout_ms) <= 0) {
        return false;
    }
    ssize_t got = recv(w->fd, w->in_bytes + w->in, sizeof w->in_bytes - w->in, 0);
    if (got <= 0) {
        fail("the broker closed the connection");
    }
    w->in += (size_t)got;
    size_t at = 0;
    for (;;) {
        size_t rest = 0, body = at + 1;
        int shift = 0;
        while (body < w->in && w->in_bytes[body] & 128) {
            rest |= (size_t)(w->in_bytes[body++] & 127) << shift;
            shift += 7;
        }
        if (body >= w->in) {
            break;
        }
        rest |= (size_t)w->in_bytes[body++] << shift;
        if (w->in - body < rest) {
            break;
        }
        take_packet(w, w->in_bytes[at], w->in_bytes + body, rest, take, ctx);
        at = body + rest;
    }
    memmove(w->in_bytes, w->in_bytes + at, w->in - at);
    w->in -= at;
    return true;
}
