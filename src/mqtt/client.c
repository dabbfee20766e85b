#include "mqtt/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mqtt/link.h"

#define PAUSE_MIN_US (100 * US_PER_MS)
#define PAUSE_MAX_US (30 * US_PER_S)
/* A connection that held this long was a good one: the next pause is short again. */
#define STABLE_US (5 * US_PER_S)
/* Paho looks at its own time-out every 3 s only, and not at all while it is stuck: past
 * the grace the attempt is taken from it. */
#define CONNECT_GRACE_US (10 * US_PER_S)
#define DISCONNECT_TIMEOUT_US (5 * US_PER_S)
/* How often Paho is asked whether it is still connected: it has been known to close a
 * connection without telling. */
#define CHECK_US (5 * US_PER_S)

#define FDS_SEARCHED 1024

static void ops_free(struct ops *list)
{
    for (struct op *op = list->first, *next; op; op = next) {
        next = op->next;
        free(op);
    }
    *list = (struct ops){NULL, NULL};
}

static enum phase phase_of(const struct mqtt_client *c)
{
    mqtt_lock(c);
    enum phase p = c->phase;
    mqtt_unlock(c);
    return p;
}

static void wake(const struct mqtt_client *c)
{
    c->callbacks.on_event(c->callbacks.ctx);
}

/* The link for the next attempt. NULL: no memory. */
static struct link *link_take(struct mqtt_client *c)
{
    struct server *s = &c->servers[c->current];
    if (!c->clean && s->link && !s->link->spoiled) {
        mqtt_lock(c);
        c->link = s->link;
        mqtt_unlock(c);
        return s->link;
    }
    /* The old handle first. When it is the process's only one, Paho's threads end with
     * it, and those of the new one notice at once that they are connected; threads that
     * are idle already take a second for it. That second is what a kept handle costs. */
    struct link *old = c->clean ? c->link : s->link;
    mqtt_lock(c);
    c->link = NULL;
    mqtt_unlock(c);
    s->link = NULL;
    link_free(old);
    struct link *fresh = link_new(c, s);
    mqtt_lock(c);
    c->link = fresh;
    mqtt_unlock(c);
    s->link = c->clean ? NULL : fresh;
    return fresh;
}

/* Nagle's delay holds a small packet back until the one before was acknowledged by TCP.
 * Paho neither turns it off nor tells its socket, so look for the connections to the
 * broker's port. Harmless to anything else that is found. */
static void set_nodelay(uint16_t port)
{
    for (int fd = 0; fd < FDS_SEARCHED; fd++) {
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
            struct sockaddr_storage room;
        } peer;
        socklen_t n = sizeof(peer);
        if (getpeername(fd, &peer.any, &n) != 0) {
            continue;
        }
        if ((peer.any.sa_family == AF_INET && ntohs(peer.v4.sin_port) == port) ||
            (peer.any.sa_family == AF_INET6 && ntohs(peer.v6.sin6_port) == port)) {
            int on = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        }
    }
}

/* ---- Connecting ---- */

static bool reserve_events(struct mqtt_client *c)
{
    c->begun = c->begun ? c->begun : calloc(1, sizeof(*c->begun));
    c->ended = c->ended ? c->ended : calloc(1, sizeof(*c->ended));
    return c->begun && c->ended;
}

static void begin(struct mqtt_client *c, struct mono now)
{
    c->scheduled = false;
    c->up_seen = false;
    /* In phase DOWN no callback touches these. */
    if (!reserve_events(c)) {
        return;
    }
    struct link *l = link_take(c);
    if (!l) {
        return;
    }
    mqtt_lock(c);
    c->phase = CONNECTING;
    c->reached = false;
    c->tls_error[0] = '\0';
    mqtt_unlock(c);
    c->deadline.us = now.us + CONNECT_TIMEOUT_S * US_PER_S + CONNECT_GRACE_US;
    c->announced = c->packet_bytes_max;
    int rc = link_connect(l);
    if (rc != MQTTASYNC_SUCCESS) {
        l->spoiled = true;
        link_connect_failed(l, -1, MQTTAsync_strerror(rc));
    }
}

/* Paho did not answer in time. */
static void give_up(struct mqtt_client *c)
{
    c->link->spoiled = true;
    link_connect_failed(c->link, -1, "no answer in time");
    mqtt_lock(c);
    if (c->phase == DISCONNECTING) {
        link_go_down(c);
    }
    mqtt_unlock(c);
}

static void schedule(struct mqtt_client *c, struct mono now)
{
    mqtt_lock(c);
    bool reached = c->reached;
    mqtt_unlock(c);
    if (!reached) {
        c->current = (c->current + 1) % c->n_servers;
    } else if (c->up_seen && now.us - c->up_since.us >= STABLE_US) {
        backoff_reset(&c->backoff);
    }
    c->next_at.us = now.us + backoff_next(&c->backoff);
    c->scheduled = true;
}

/* Twice in a row, because the callback may just be on its way. */
static void check(struct mqtt_client *c, struct mono now)
{
    c->check_at.us = now.us + CHECK_US;
    if (atomic_load_explicit(&c->delivering, memory_order_relaxed) ||
        MQTTAsync_isConnected(c->link->handle)) {
        c->doubted = false;
    } else if (!c->doubted) {
        c->doubted = true;
    } else {
        mqtt_lock(c);
        if (c->phase == CONNECTED) {
            link_lose(c->link, "connection lost, and nothing said so");
        }
        mqtt_unlock(c);
        wake(c);
    }
}

/* Waits until the phase is DOWN. */
static void await_down(struct mqtt_client *c, int64_t timeout_us)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t us = until.tv_nsec / 1000 + timeout_us % US_PER_S;
    until.tv_sec += (time_t)(timeout_us / US_PER_S + us / US_PER_S);
    until.tv_nsec = (long)(us % US_PER_S * 1000);
    mqtt_lock(c);
    while (c->phase != DOWN &&
           pthread_cond_timedwait(&c->changed, &c->lock, &until) == 0) {}
    mqtt_unlock(c);
}

/* Ends the connection, if there is one, and says so; its will is published. */
static void give_back(struct mqtt_client *c, const char *why)
{
    mqtt_lock(c);
    bool connected = c->phase == CONNECTED;
    if (connected) {
        link_lose(c->link, why);
        c->phase = DISCONNECTING;
    }
    mqtt_unlock(c);
    if (!connected) {
        return;
    }
    /* Should Paho not get it done in that time, the next step gives the handle up. */
    c->deadline.us = INT64_MIN;
    if (link_disconnect(c->link, 0, DISCONNECT_WITH_WILL) == MQTTASYNC_SUCCESS) {
        await_down(c, DISCONNECT_TIMEOUT_US);
    }
    wake(c);
}

void mqtt_client_step(struct mqtt_client *c, struct mono now, struct mono *ret_wake)
{
    enum phase phase = phase_of(c);
    if ((phase == CONNECTING || phase == DISCONNECTING) && now.us >= c->deadline.us) {
        give_up(c);
        phase = phase_of(c);
    }
    if (phase == CONNECTED && !c->up_seen) {
        c->up_seen = true;
        c->up_since = now;
        c->doubted = false;
        c->check_at.us = now.us + CHECK_US;
        set_nodelay(c->link->server->address.port);
    }
    if (phase == CONNECTED && now.us >= c->check_at.us) {
        check(c, now);
        phase = phase_of(c);
    }
    if (phase == CONNECTED && c->is_v5 && c->announced < c->packet_bytes_max) {
        give_back(c, "connecting anew to announce larger packets");
        phase = phase_of(c);
    }
    if (phase == DOWN) {
        if (!c->scheduled) {
            schedule(c, now);
        }
        if (now.us >= c->next_at.us) {
            begin(c, now);
            phase = phase_of(c);
            if (phase == DOWN) {
                schedule(c, now);
            }
        }
    }
    ret_wake->us = phase == DOWN        ? c->next_at.us
                   : phase == CONNECTED ? c->check_at.us
                                        : c->deadline.us;
}

bool mqtt_next_event(struct mqtt_client *c, struct mqtt_event *ret_event)
{
    mqtt_lock(c);
    struct op *op = c->events.first;
    if (op) {
        ops_remove(&c->events, op);
    }
    mqtt_unlock(c);
    if (!op) {
        return false;
    }
    *ret_event = op->event;
    free(op);
    return true;
}

bool mqtt_is_connected(const struct mqtt_client *c)
{
    return phase_of(c) == CONNECTED;
}

/* ---- Life ---- */

static bool copy(const char *from, char **to)
{
    *to = from ? text_dup(text_of(from)) : NULL;
    return !from || *to;
}

static int clamp_seconds(int64_t us, int max)
{
    int64_t s = (us + US_PER_S - 1) / US_PER_S;
    return s < 0 ? 0 : s > max ? max : (int)s;
}

static uint64_t seed(const char *client_id)
{
    /* Gateways that lost one broker at one moment must not come back as one: their ids
     * differ. */
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)getpid();
    for (const char *p = client_id; *p; p++) {
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    }
    return h;
}

static bool init_sync(struct mqtt_client *c)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        return false;
    }
    if (pthread_condattr_init(&attr) != 0) {
        goto no_attr;
    }
    if (pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&c->changed, &attr) != 0) {
        goto no_cond;
    }
    (void)pthread_condattr_destroy(&attr);
    return true;
no_cond:
    (void)pthread_condattr_destroy(&attr);
no_attr:
    (void)pthread_mutex_destroy(&c->lock);
    return false;
}

static pthread_once_t paho_once = PTHREAD_ONCE_INIT;

/* OpenSSL sets itself up when it is first used; Paho would have it do all of it at once,
 * also where there is no TLS: 2 MiB and 10 ms. */
static void leave_openssl_alone(void)
{
    MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
    init.do_openssl_init = 0;
    MQTTAsync_global_init(&init);
}

enum brink_status mqtt_client_new(const struct mqtt_options *o,
                                  const struct mqtt_callbacks *callbacks,
                                  struct mqtt_client **ret_client)
{
    if (o->n_servers == 0 || !o->client_id) {
        return BRINK_E_RANGE;
    }
    struct mqtt_client *c = calloc(1, sizeof(*c));
    if (!c) {
        return BRINK_E_NOMEM;
    }
    if (!init_sync(c)) {
        free(c);
        return BRINK_E_NOMEM;
    }
    (void)pthread_once(&paho_once, leave_openssl_alone);
    enum brink_status st = BRINK_E_NOMEM;
    c->servers = calloc(o->n_servers, sizeof(*c->servers));
    if (!c->servers) {
        goto failed;
    }
    for (; c->n_servers < o->n_servers; c->n_servers++) {
        struct server *s = &c->servers[c->n_servers];
        const char *why;
        if (mqtt_address_parse(o->servers[c->n_servers], &s->address, &why) != BRINK_OK) {
            st = BRINK_E_RANGE;
            goto failed;
        }
        if (!copy(o->servers[c->n_servers], &s->written)) {
            goto failed;
        }
    }
    if (!copy(o->client_id, &c->client_id) || !copy(o->username, &c->username) ||
        !copy(o->password, &c->password) || !copy(o->ca_file, &c->ca_file) ||
        !copy(o->cert_file, &c->cert_file) || !copy(o->key_file, &c->key_file) ||
        !copy(o->will_topic, &c->will_topic) ||
        !copy(o->will_payload, &c->will_payload)) {
        goto failed;
    }
    c->is_v5 = o->version == 5;
    c->clean = o->session_expiry_us <= 0;
    c->insecure = o->tls_insecure;
    c->keep_alive_s = clamp_seconds(o->keep_alive_us, UINT16_MAX);
    c->session_expiry_s = (uint32_t)clamp_seconds(o->session_expiry_us, INT32_MAX);
    c->packet_bytes_max = o->packet_bytes_max;
    c->callbacks = *callbacks;
    c->backoff = (struct backoff){
        .min_us = PAUSE_MIN_US, .max_us = PAUSE_MAX_US, .random = seed(c->client_id)};
    c->scheduled = true; /* the first attempt needs no pause */
    c->next_at.us = INT64_MIN;
    *ret_client = c;
    return BRINK_OK;
failed:
    mqtt_client_free(c, 0);
    return st;
}

void mqtt_client_free(struct mqtt_client *c, int64_t timeout_us)
{
    if (!c) {
        return;
    }
    mqtt_lock(c);
    bool connected = c->phase == CONNECTED;
    if (connected) {
        c->phase = DISCONNECTING;
    }
    mqtt_unlock(c);
    if (connected && timeout_us > 0 &&
        link_disconnect(c->link, timeout_us, 0) == MQTTASYNC_SUCCESS) {
        await_down(c, timeout_us);
    }
    if (c->clean) {
        link_free(c->link);
    }
    for (size_t i = 0; i < c->n_servers; i++) {
        link_free(c->servers[i].link);
        free(c->servers[i].written);
    }
    free(c->servers);
    ops_free(&c->in_flight);
    ops_free(&c->events);
    free(c->begun);
    free(c->ended);
    free(c->client_id);
    free(c->username);
    free(c->password);
    free(c->ca_file);
    free(c->cert_file);
    free(c->key_file);
    free(c->will_topic);
    free(c->will_payload);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void mqtt_client_drop(struct mqtt_client *c)
{
    give_back(c, "given up");
}

void mqtt_client_announce(struct mqtt_client *c, uint32_t packet_bytes_max)
{
    c->packet_bytes_max = packet_bytes_max;
}

enum brink_status mqtt_server_check(const char *address, bool *ret_tls,
                                    const char **ret_why)
{
    struct mqtt_address a;
    enum brink_status st = mqtt_address_parse(address, &a, ret_why);
    if (st == BRINK_OK) {
        *ret_tls = a.tls;
    }
    return st;
}
