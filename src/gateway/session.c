#include "gateway/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"

#define STATUS_TAG UINT64_MAX /* of the status message; filters have their index */
#define STOP_TIMEOUT_US (2 * US_PER_S) /* for the status and the disconnect at a stop */
#define RETRY_SUBSCRIBE_US (10 * US_PER_S)
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
    char *gone; /* filters of the last run, until the broker was told */
    bool connected, subscribed, session_known;
    size_t wanted;     /* subscriptions asked for and not yet answered */
    bool refused;      /* one of them was */
    struct mono retry; /* a refused subscription is asked for again */
};

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
        /* A payload just too large still comes and is counted; what is far too large the
         * broker keeps. */
        .packet_bytes_max = c->limits.payload_bytes + 2 * TOPIC_BYTES_MAX,
    };
}

/* Paho's thread. */
static void on_message(void *ctx, struct text topic, struct text payload, int qos,
                       bool retained)
{
    struct session *s = ctx;
    /* The inbox is closed only after this connection is gone; a topic too long for MQTT
     * cannot come. */
    (void)!inbox_put(s->inbox, topic, payload, qos, retained,
                     s->clock->mono(s->clock->ctx));
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

enum brink_status session_new(const struct config *config, struct inbox *inbox,
                              const struct clock *clock, const char *was_subscribed,
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
    s->inbox = inbox;
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->online = status_text(ONLINE, config->gateway.id);
    s->offline = status_text(OFFLINE, config->gateway.id);
    s->gone = text_dup(text_of(was_subscribed ? was_subscribed : ""));
    session_options(config, "", id, sizeof id, &options);
    options.will_topic = config->mqtt.status_topic;
    options.will_payload = s->offline;
    const struct mqtt_callbacks callbacks = {s, on_message, on_event};
    enum brink_status status = BRINK_E_NOMEM;
    if (s->fd >= 0 && s->online && s->offline && s->gone) {
        status = mqtt_client_new(&options, &callbacks, &s->client);
    }
    if (status != BRINK_OK) {
        session_free(s);
        return status;
    }
    *ret_session = s;
    return BRINK_OK;
}

static void say(struct session *s, const char *status)
{
    if (mqtt_publish(s->client, s->config->mqtt.status_topic, text_of(status), 1, true,
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
    free(s->gone);
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

void session_filters(const struct config *c, struct buffer *out)
{
    for (size_t i = 0; i < c->n_telemetry; i++) {
        buffer_cstring(out, c->telemetry[i].pattern.filter);
        buffer_char(out, '\n');
    }
}

static const struct telemetry_config *find_filter(const struct config *c,
                                                  struct text filter)
{
    for (size_t i = 0; i < c->n_telemetry; i++) {
        if (text_equal(text_of(c->telemetry[i].pattern.filter), filter)) {
            return &c->telemetry[i];
        }
    }
    return NULL;
}

static void unsubscribe(struct session *s, const char *filter)
{
    log_event(LOG_LEVEL_INFO, "unsubscribing", LOG_S("filter", filter));
    if (mqtt_unsubscribe(s->client, filter) != BRINK_OK) {
        log_event(LOG_LEVEL_WARNING, "not unsubscribed, its messages are dropped",
                  LOG_S("filter", filter));
    }
}

static void subscribe(struct session *s, size_t i)
{
    const struct telemetry_config *t = &s->config->telemetry[i];
    if (mqtt_subscribe(s->client, t->pattern.filter, t->qos, i) == BRINK_OK) {
        s->wanted++;
    } else {
        s->refused = true;
    }
}

static void settle(struct session *s, struct mono now)
{
    if (s->wanted > 0) {
        return;
    }
    if (s->refused) {
        s->retry.us = now.us + RETRY_SUBSCRIBE_US;
        return;
    }
    if (!s->subscribed) {
        s->subscribed = true;
        say(s, s->online);
        log_event(LOG_LEVEL_INFO, "subscribed", LOG_I("filters", s->config->n_telemetry));
    }
}

static void subscribe_all(struct session *s, struct mono now)
{
    s->wanted = 0;
    s->refused = false;
    s->retry.us = INT64_MAX;
    for (size_t i = 0; i < s->config->n_telemetry; i++) {
        subscribe(s, i);
    }
    settle(s, now);
}

static void on_connected(struct session *s, const struct mqtt_event *e, struct mono now)
{
    count(COUNT_MQTT_CONNECTS);
    log_event(LOG_LEVEL_INFO, "connected to the broker",
              LOG_S("session", e->session_present ? "resumed" : "new"));
    s->connected = true;
    /* What the last run subscribed to and this one does not want is still in a resumed
     * session. */
    for (char *line = s->gone, *end; e->session_present && *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end) {
            break;
        }
        *end = '\0';
        if (!find_filter(s->config, text_of(line))) {
            unsubscribe(s, line);
        }
    }
    s->gone[0] = '\0';
    if (e->session_present && s->session_known) {
        s->wanted = 0;
        s->refused = false;
        s->subscribed = false;
        settle(s, now);
    } else {
        subscribe_all(s, now);
    }
    s->session_known = true;
}

static void on_subscribed(struct session *s, const struct mqtt_event *e, struct mono now)
{
    s->wanted -= s->wanted > 0;
    if (e->reason < 0 || e->reason >= 0x80) {
        const char *filter = e->tag < s->config->n_telemetry
                                 ? s->config->telemetry[e->tag].pattern.filter
                                 : "?";
        log_event(
            LOG_LEVEL_ERROR, "the broker refused a subscription; see its access list",
            LOG_S("filter", filter), LOG_I("reason", e->reason), LOG_S("why", e->why));
        s->refused = true;
    }
    settle(s, now);
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
            on_connected(s, &e, now);
            break;
        case MQTT_CONNECT_FAILED:
            count(COUNT_MQTT_CONNECT_FAILURES);
            log_event(LOG_LEVEL_WARNING, "cannot connect to the broker, trying again",
                      LOG_S("why", e.why));
            break;
        case MQTT_LOST:
            s->connected = s->subscribed = false;
            log_event(LOG_LEVEL_WARNING,
                      "connection to the broker lost, connecting again",
                      LOG_S("why", e.why));
            break;
        case MQTT_SUBSCRIBED:
            on_subscribed(s, &e, now);
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
    if (s->connected && s->refused && s->wanted == 0) {
        if (now.us >= s->retry.us) {
            subscribe_all(s, now);
        } else if (s->retry.us < ret_wake->us) {
            *ret_wake = s->retry;
        }
    }
    /* Something may have come between the read and the last event. */
    struct mono again;
    mqtt_client_step(s->client, now, &again);
    ret_wake->us = again.us < ret_wake->us ? again.us : ret_wake->us;
}

void session_reload(struct session *s, const struct config *config)
{
    const struct config *old = s->config;
    s->config = config;
    if (!s->connected) {
        s->session_known = false; /* subscribe to all of it when connected */
        for (size_t i = 0; i < old->n_telemetry; i++) {
            const char *filter = old->telemetry[i].pattern.filter;
            size_t have = strlen(s->gone), n = strlen(filter);
            char *grown = realloc(s->gone, have + n + 2);
            if (grown) {
                memcpy(grown + have, filter, n);
                memcpy(grown + have + n, "\n", 2);
                s->gone = grown;
            }
        }
        return;
    }
    for (size_t i = 0; i < old->n_telemetry; i++) {
        if (!find_filter(config, text_of(old->telemetry[i].pattern.filter))) {
            unsubscribe(s, old->telemetry[i].pattern.filter);
        }
    }
    for (size_t i = 0; i < config->n_telemetry; i++) {
        const struct telemetry_config *t = &config->telemetry[i];
        const struct telemetry_config *was = find_filter(old, text_of(t->pattern.filter));
        if (!was || was->qos != t->qos) {
            subscribe(s, i);
        }
    }
}
