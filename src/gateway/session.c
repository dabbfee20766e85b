#include "gateway/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "gateway/subscriptions.h"
#include "ingest/owed.h"
#include "ingest/policer.h"

#define STATUS_TAG UINT64_MAX /* of the status message; filters have their index */
#define STOP_TIMEOUT_US (2 * US_PER_S) /* for the status and the disconnect at a stop */
#define ONLINE                                                                           \
    "{\"status\":\"online\",\"gateway_id\":\"%s\",\"version\":\"" BRINK_VERSION "\"}"
#define OFFLINE "{\"status\":\"offline\",\"gateway_id\":\"%s\"}"

struct session {
    const struct config *config;
    const struct clock *clock;
    struct inbox *inbox;
    struct mqtt_client *client;
    int fd;
    char *online, *offline;
    bool connected, subscribed;
    struct subscriptions subscriptions;
    size_t given_up; /* of those, as last told */
    struct policer policer;
    bool one_by_one; /* of a device: `inbox: 0` */
    struct owed owed;
    struct log_limit limit_policer; /* Paho's thread */
};

static uint32_t packet_bytes_max(const struct config *c)
{
    /* A payload just too large still comes and is counted; what is far too large the
     * broker keeps. */
    return c->limits.payload_bytes + 2 * TOPIC_BYTES_MAX;
}

void session_options(const struct config *c, const char *suffix, char *id,
                     size_t id_bytes, struct mqtt_options *ret_options)
{
    snprintf(id, id_bytes, "%s%s", c->mqtt.client_id, suffix);
    *ret_options = (struct mqtt_options){
        .servers = (const char *const *)c->mqtt.servers,
        .n_servers = c->mqtt.n_servers,
        .version = c->mqtt.version,
        .client_id = id,
        .username = c->mqtt.username,
        .password = c->mqtt.password,
        .has_tls = c->mqtt.tls.given,
        .ca_file = c->mqtt.tls.ca_file,
        .cert_file = c->mqtt.tls.cert_file,
        .key_file = c->mqtt.tls.key_file,
        .tls_insecure = c->mqtt.tls.insecure,
        .keep_alive_us = c->mqtt.keep_alive_us,
        .session_expiry_us = c->mqtt.session_expiry_us,
        .packet_bytes_max = packet_bytes_max(c),
    };
}

/* Paho's thread. */
static bool may_join(void *ctx, struct text topic)
{
    struct session *s = ctx;
    if (!s->one_by_one || owed_admits(&s->owed, topic)) {
        return true;
    }
    owed_clear(&s->owed);
    return false;
}

/* Likewise. */
static bool on_message(void *ctx, struct text topic, struct text payload, int qos,
                       bool retained)
{
    struct session *s = ctx;
    struct mono now = s->clock->mono(s->clock->ctx);
    if (!policer_admits(&s->policer, topic, now)) {
        count(COUNT_MESSAGES);
        count(COUNT_DROP_DEVICE_RATE);
        log_limited(&s->limit_policer, now, LOG_LEVEL_WARNING, "message dropped",
                    LOG_T("topic", topic), LOG_S("reason", "device_rate"),
                    LOG_S("hint", "look what is wrong with the device, or raise "
                                  "limits.device_rate"));
        return true;
    }
    /* The inbox is closed only after this connection is gone; a topic too long for MQTT
     * cannot come. */
    return inbox_put(s->inbox, topic, payload, qos, retained, now) == BRINK_OK &&
           inbox_is_settled(s->inbox);
}

/* Likewise. */
static bool settle(void *ctx)
{
    struct session *s = ctx;
    owed_clear(&s->owed);
    return inbox_settle(s->inbox) == BRINK_OK;
}

static void on_event(void *ctx)
{
    struct session *s = ctx;
    uint64_t one = 1;
    (void)!write(s->fd, &one, sizeof one); /* full is as good as written */
}

static char *status_text(const char *format, const char *gateway)
{
    size_t n = strlen(format) + strlen(gateway) + 1;
    char *text = malloc(n);
    if (text) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one of the two above */
        snprintf(text, n, format, gateway);
#pragma GCC diagnostic pop
    }
    return text;
}

/* Of all telemetry alike; -1: there is none such. */
static int device_level(const struct config *c)
{
    int level = -1;
    for (size_t i = 0; i < c->n_telemetry; i++) {
        int other = c->telemetry[i].pattern.device_level;
        if (i > 0 && other != level) {
            return -1;
        }
        level = other;
    }
    return level;
}

enum brink_status session_new(const struct config *config, struct inbox *inbox,
                              const struct clock *clock, struct text was_subscribed,
                              struct session **ret_session)
{
    char id[1024];
    struct mqtt_options options;
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        return BRINK_E_NOMEM;
    }
    s->config = config;
    s->clock = clock;
    s->subscriptions.n_servers = config->mqtt.n_servers;
    s->inbox = inbox;
    s->one_by_one = config->mqtt.inbox == 0;
    owed_set_level(&s->owed, device_level(config));
    atomic_init(&s->policer.per_second, config->limits.device_rate);
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->online = status_text(ONLINE, config->gateway.id);
    s->offline = status_text(OFFLINE, config->gateway.id);
    session_options(config, "", id, sizeof id, &options);
    options.will_topic = config->mqtt.status_topic;
    options.will_payload = s->offline;
    const struct mqtt_callbacks callbacks = {s, may_join, on_message, settle, on_event};
    enum brink_status status = BRINK_E_NOMEM;
    if (s->fd >= 0 && s->online && s->offline) {
        status = subscriptions_remember(&s->subscriptions, was_subscribed);
    }
    if (status == BRINK_OK) {
        status = subscriptions_want(&s->subscriptions, config);
    }
    if (status == BRINK_OK) {
        status = mqtt_client_new(&options, &callbacks, &s->client);
    }
    if (status != BRINK_OK) {
        session_free(s);
        return status;
    }
    *ret_session = s;
    return BRINK_OK;
}

/* QoS 0: what the connection takes arrives, and with another one it is said again. */
static void say(struct session *s, const char *status)
{
    if (mqtt_publish(s->client, s->config->mqtt.status_topic, text_of(status), 0, true,
                     "application/json", STATUS_TAG) != BRINK_OK) {
        log_event(LOG_LEVEL_WARNING, "status not published",
                  LOG_S("topic", s->config->mqtt.status_topic));
    }
}

void session_free(struct session *s)
{
    if (!s) {
        return;
    }
    if (s->client && s->connected) {
        struct mono now = s->clock->mono(s->clock->ctx), wake;
        struct mono end = {now.us + STOP_TIMEOUT_US};
        bool said = false;
        say(s, s->offline);
        while (!said && s->connected && now.us < end.us) {
            struct mqtt_event e;
            while (mqtt_next_event(s->client, &e)) {
                said = said || ((e.kind == MQTT_PUBLISHED || e.kind == MQTT_REFUSED) &&
                                e.tag == STATUS_TAG);
                s->connected = s->connected && e.kind != MQTT_LOST;
            }
            if (!said) {
                struct pollfd ready = {.fd = s->fd, .events = POLLIN};
                (void)poll(&ready, 1, 20);
                mqtt_client_step(s->client, s->clock->mono(s->clock->ctx), &wake);
            }
            now = s->clock->mono(s->clock->ctx);
        }
    }
    mqtt_client_free(s->client, STOP_TIMEOUT_US);
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->online);
    free(s->offline);
    subscriptions_finish(&s->subscriptions);
    free(s);
}

int session_fd(const struct session *s)
{
    return s->fd;
}

bool session_is_subscribed(const struct session *s)
{
    return s->subscribed;
}

bool session_is_connected(const struct session *s)
{
    return s->connected;
}

bool session_filters(struct session *s, struct buffer *out)
{
    bool changed = s->subscriptions.changed;
    s->subscriptions.changed = false;
    if (changed) {
        subscriptions_lines(&s->subscriptions, out);
    }
    return changed;
}

/* Asks for what is due, and says what has become of all of it. */
static void pursue(struct session *s, struct mono now)
{
    const struct subscription *next;
    while ((next = subscriptions_next(&s->subscriptions, now))) {
        uint64_t tag = next->tag;
        if (next->leaving) {
            log_event(LOG_LEVEL_INFO, "unsubscribing", LOG_S("filter", next->filter));
        }
        enum brink_status status =
            next->leaving ? mqtt_unsubscribe(s->client, next->filter, tag)
                          : mqtt_subscribe(s->client, next->filter, next->qos, tag);
        if (status != BRINK_OK) {
            subscriptions_failed(&s->subscriptions, tag, now);
        }
    }
    if (s->subscriptions.given_up != s->given_up) {
        s->given_up = s->subscriptions.given_up;
        log_event(LOG_LEVEL_WARNING,
                  "too many filters to unsubscribe from, forgetting the oldest; end the "
                  "session at the broker",
                  LOG_I("forgotten", s->given_up));
    }
    /* While an answer is missing nothing is known to have changed: a reload's new filter
     * does not stop the clocks of all the others. */
    if (subscriptions_busy(&s->subscriptions)) {
        return;
    }
    bool complete = subscriptions_complete(&s->subscriptions);
    if (complete && !s->subscribed) {
        say(s, s->online);
        log_event(LOG_LEVEL_INFO, "subscribed", LOG_I("filters", s->config->n_telemetry));
    }
    s->subscribed = complete;
}

static void on_connected(struct session *s, const struct mqtt_event *e)
{
    count(COUNT_MQTT_CONNECTS);
    log_event(LOG_LEVEL_INFO, "connected to the broker",
              LOG_S("session", e->session_present ? "resumed" : "new"));
    s->connected = true;
    subscriptions_connected(&s->subscriptions, e->server, e->session_present);
}

static void on_lost(struct session *s, const struct mqtt_event *e)
{
    s->connected = s->subscribed = false;
    subscriptions_lost(&s->subscriptions);
    log_event(LOG_LEVEL_WARNING, "connection to the broker lost, connecting again",
              LOG_S("why", e->why));
}

static void on_answered(struct session *s, const struct mqtt_event *e, struct mono now)
{
    const struct subscription *of =
        subscriptions_answered(&s->subscriptions, e->tag, e->reason, now);
    if (!of) {
        return;
    }
    if (of->refused && of->leaving) {
        log_event(LOG_LEVEL_WARNING,
                  "the broker refused to unsubscribe; its messages are dropped, asking "
                  "again",
                  LOG_S("filter", of->filter), LOG_I("reason", e->reason));
    } else if (of->refused) {
        log_event(LOG_LEVEL_ERROR,
                  "the broker refused a subscription; see its access list",
                  LOG_S("filter", of->filter), LOG_I("reason", e->reason),
                  LOG_S("why", e->why));
    } else if (!of->leaving && e->reason < of->asked_qos) {
        log_event(LOG_LEVEL_WARNING,
                  "the broker grants a lower QoS than asked for; messages may be lost or "
                  "come twice",
                  LOG_S("filter", of->filter), LOG_I("asked", of->asked_qos),
                  LOG_I("granted", e->reason));
    }
}

void session_step(struct session *s, struct mono now, struct mono *ret_wake)
{
    struct mqtt_event e;
    uint64_t n;
    (void)!read(s->fd, &n, sizeof n);
    mqtt_client_step(s->client, now, ret_wake);
    while (mqtt_next_event(s->client, &e)) {
        switch (e.kind) {
        case MQTT_CONNECTED:
            on_connected(s, &e);
            break;
        case MQTT_CONNECT_FAILED:
            count(COUNT_MQTT_CONNECT_FAILURES);
            log_event(LOG_LEVEL_WARNING, "cannot connect to the broker, trying again",
                      LOG_S("why", e.why));
            break;
        case MQTT_LOST:
            on_lost(s, &e);
            break;
        case MQTT_SUBSCRIBED:
        case MQTT_UNSUBSCRIBED:
            on_answered(s, &e, now);
            break;
        case MQTT_REFUSED:
            log_event(LOG_LEVEL_WARNING, "the broker refused the status message",
                      LOG_S("topic", s->config->mqtt.status_topic),
                      LOG_I("reason", e.reason));
            break;
        case MQTT_PUBLISHED:
            break;
        }
    }
    pursue(s, now);
    /* Something may have come between the read and the last event. */
    mqtt_client_step(s->client, now, ret_wake);
    struct mono due = subscriptions_due(&s->subscriptions);
    ret_wake->us = due.us < ret_wake->us ? due.us : ret_wake->us;
}

enum brink_status session_reload(struct session *s, const struct config *config)
{
    s->config = config;
    atomic_store(&s->policer.per_second, config->limits.device_rate);
    owed_set_level(&s->owed, device_level(config));
    mqtt_client_announce(s->client, packet_bytes_max(config));
    enum brink_status status = subscriptions_want(&s->subscriptions, config);
    on_event(s); /* the next step asks */
    return status;
}
