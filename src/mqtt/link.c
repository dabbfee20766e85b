#include "mqtt/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt/ahead.h"

#define REASON_FAILURE 0x80 /* and above, of MQTT 5's reason codes */

void ops_append(struct ops *list, struct op *op)
{
    op->next = NULL;
    op->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = op;
    list->last = op;
}

void ops_remove(struct ops *list, struct op *op)
{
    *(op->prev ? &op->prev->next : &list->first) = op->next;
    *(op->next ? &op->next->prev : &list->last) = op->prev;
}

void mqtt_lock(const struct mqtt_client *c)
{
    /* const: mqtt_is_connected() only looks. A default mutex cannot fail here. */
    (void)pthread_mutex_lock((pthread_mutex_t *)&c->lock);
}

void mqtt_unlock(const struct mqtt_client *c)
{
    (void)pthread_mutex_unlock((pthread_mutex_t *)&c->lock);
}

static void wake(const struct mqtt_client *c)
{
    c->callbacks.on_event(c->callbacks.ctx);
}

/* ---- Paho's callbacks: on its threads, its lock held ---- */

/* Under our lock. */
void link_go_down(struct mqtt_client *c)
{
    c->phase = DOWN;
    c->generation++;
    c->n_in_flight = c->n_flows = 0;
    (void)pthread_cond_broadcast(&c->changed);
}

/* Paho 1.3.12 gives an int, later ones an int64_t; four bytes may be negative in the
 * first. */
static uint32_t announced(MQTTProperties *properties, enum MQTTPropertyCodes code,
                          uint32_t otherwise)
{
    return properties && MQTTProperties_hasProperty(properties, code)
               ? (uint32_t)MQTTProperties_getNumericValue(properties, code)
               : otherwise;
}

static void connect_succeeded(struct link *l, bool session_present, MQTTProperties *p)
{
    struct mqtt_client *c = l->client;
    uint32_t bytes_max = announced(p, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, 0);
    mqtt_lock(c);
    if (l == c->link && c->phase == CONNECTING) {
        c->phase = CONNECTED;
        c->reached = true;
        c->tls_error[0] = '\0';
        c->broker_packet_bytes_max = bytes_max;
        c->broker_qos_max = (int)announced(p, MQTTPROPERTY_CODE_MAXIMUM_QOS, 2);
        c->broker_receive_max =
            (int)announced(p, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, UINT16_MAX);
        c->broker_retains = announced(p, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, 1) != 0;
        c->begun->event = (struct mqtt_event){.kind = MQTT_CONNECTED,
                                              .server = (size_t)(l->server - c->servers),
                                              .session_present = session_present,
                                              .broker_packet_bytes_max = bytes_max,
                                              .reason = -1};
        (void)snprintf(c->begun->event.why, sizeof(c->begun->event.why), "%s",
                       l->server->written);
        ops_append(&c->events, c->begun);
        c->begun = NULL;
    }
    mqtt_unlock(c);
    wake(c);
}

void link_connect_failed(struct link *l, int code, const char *message)
{
    static const char *const refusals[] = {"",
                                           "unacceptable protocol version",
                                           "client id rejected",
                                           "server unavailable",
                                           "bad user name or password",
                                           "not authorized"};
    struct mqtt_client *c = l->client;
    const char *what = message ? message : "no connection (refused, or no such host)";
    if (code > 0) {
        const char *name = code < (int)(sizeof(refusals) / sizeof(refusals[0]))
                               ? refusals[code]
                               : MQTTReasonCode_toString((enum MQTTReasonCodes)code);
        what = name ? name : "for an unknown reason";
    }
    mqtt_lock(c);
    if (l == c->link && c->phase == CONNECTING) {
        struct mqtt_event *e = &c->begun->event;
        *e = (struct mqtt_event){.kind = MQTT_CONNECT_FAILED,
                                 .reason = code > 0 ? code : -1};
        /* Paho has one message for two troubles; OpenSSL has none for a wrong name. */
        const char *hint = c->tls_error;
        if (code <= 0 && !hint[0] && l->server->address.tls && !c->insecure) {
            hint = "no connection, or the certificate does not name this host";
        }
        (void)snprintf(e->why, sizeof(e->why), "%s: %s%s%s%s", l->server->written,
                       code > 0 ? "the broker refused: " : "", what, hint[0] ? ": " : "",
                       hint);
        ops_append(&c->events, c->begun);
        c->begun = NULL;
        link_go_down(c);
    }
    mqtt_unlock(c);
    wake(c);
}

static void on_connect_success(void *ctx, MQTTAsync_successData *data)
{
    connect_succeeded(ctx, data && data->alt.connect.sessionPresent, NULL);
}

static void on_connect_success5(void *ctx, MQTTAsync_successData5 *data)
{
    connect_succeeded(ctx, data->alt.connect.sessionPresent, &data->properties);
}

static void on_connect_failure(void *ctx, MQTTAsync_failureData *data)
{
    link_connect_failed(ctx, data ? data->code : -1, data ? data->message : NULL);
}

static void on_connect_failure5(void *ctx, MQTTAsync_failureData5 *data)
{
    link_connect_failed(ctx, data ? data->code : -1, data ? data->message : NULL);
}

/* Under our lock: the connection is gone; says so once. */
void link_lose(struct link *l, const char *why)
{
    struct mqtt_client *c = l->client;
    if (c->phase == CONNECTED) {
        struct mqtt_event *e = &c->ended->event;
        *e = (struct mqtt_event){.kind = MQTT_LOST, .reason = -1};
        (void)snprintf(e->why, sizeof(e->why), "%s: %s", l->server->written, why);
        ops_append(&c->events, c->ended);
        c->ended = NULL;
    }
    link_go_down(c);
}

static void on_connection_lost(void *ctx, char *cause)
{
    struct link *l = ctx;
    struct mqtt_client *c = l->client;
    mqtt_lock(c);
    if (l == c->link && (c->phase == CONNECTED || c->phase == DISCONNECTING)) {
        link_lose(l, cause ? cause : "connection lost");
    }
    mqtt_unlock(c);
    wake(c);
}

/* MQTT 5: the broker disconnects and says why. This is the connection's end: after it,
 * Paho 1.3.12 closes the socket and does not call on_connection_lost. */
static void on_broker_disconnect(void *ctx, MQTTProperties *properties,
                                 enum MQTTReasonCodes reason)
{
    (void)properties;
    struct link *l = ctx;
    struct mqtt_client *c = l->client;
    const char *name = MQTTReasonCode_toString(reason);
    char why[MQTT_ERROR_BYTES / 2];
    (void)snprintf(why, sizeof(why), "the broker disconnected: %s",
                   name ? name : "for an unknown reason");
    mqtt_lock(c);
    if (l == c->link && c->phase == CONNECTED) {
        link_lose(l, why);
    }
    mqtt_unlock(c);
    wake(c);
}

/* OpenSSL's queue of errors, a line each, the first the closest to the cause:
 * thread:error:number:library:function:reason:file:line: */
static int on_tls_error(const char *line, size_t n, void *ctx)
{
    struct link *l = ctx;
    struct text reason = {line, n};
    for (int field = 0; field < 5; field++) {
        const char *colon = reason.n > 0 ? memchr(reason.p, ':', reason.n) : NULL;
        if (!colon) {
            return 1;
        }
        reason.n -= (size_t)(colon + 1 - reason.p);
        reason.p = colon + 1;
    }
    const char *end = reason.n > 0 ? memchr(reason.p, ':', reason.n) : NULL;
    reason.n = end ? (size_t)(end - reason.p) : reason.n;
    mqtt_lock(l->client);
    if (!l->client->tls_error[0]) {
        (void)snprintf(l->client->tls_error, sizeof(l->client->tls_error), "%.*s",
                       (int)reason.n, reason.p);
    }
    mqtt_unlock(l->client);
    return 1;
}

static bool settle(void *ctx)
{
    struct mqtt_client *c = ctx;
    atomic_store_explicit(&c->delivering, true, memory_order_relaxed);
    bool settled = c->callbacks.settle(c->callbacks.ctx);
    atomic_store_explicit(&c->delivering, false, memory_order_relaxed);
    return settled;
}

/* Only a PUBACK is held back where there is more at hand, and only on a plain connection.
 */
static bool is_owed(const struct link *l, int qos)
{
    const struct mqtt_address *a = &l->server->address;
    return qos == 1 && !a->tls && !a->websocket && ahead_owe(settle, l->client);
}

static int on_message_arrived(void *ctx, char *topic, int topic_bytes,
                              MQTTAsync_message *m)
{
    struct link *l = ctx;
    struct mqtt_client *c = l->client;
    /* Paho gives a length only where the topic holds a NUL. */
    struct text t = {topic, topic_bytes > 0 ? (size_t)topic_bytes : strlen(topic)};
    struct text payload = {m->payload, m->payloadlen > 0 ? (size_t)m->payloadlen : 0};
    if (c->callbacks.may_join && !c->callbacks.may_join(c->callbacks.ctx, t)) {
        ahead_settle();
        (void)c->callbacks.may_join(c->callbacks.ctx, t); /* now it may */
    }
    atomic_store_explicit(&c->delivering, true, memory_order_relaxed);
    bool done =
        c->callbacks.on_message(c->callbacks.ctx, t, payload, m->qos, m->retained != 0);
    atomic_store_explicit(&c->delivering, false, memory_order_relaxed);
    if (!done && !is_owed(l, m->qos)) {
        ahead_settle();
        (void)settle(c); /* Paho acknowledges all the same */
    }
    MQTTAsync_freeMessage(&m);
    MQTTAsync_free(topic);
    return 1;
}

enum outcome { DONE, FAILED, UNANSWERED };

static void op_end(struct op *op, enum outcome outcome, int reason)
{
    struct mqtt_client *c = op->link->client;
    mqtt_lock(c);
    ops_remove(&c->in_flight, op);
    bool present = op->generation == c->generation && c->phase == CONNECTED;
    if (present) {
        c->n_in_flight--;
        c->n_flows -= op->is_flow;
    }
    bool told = present && outcome != UNANSWERED;
    if (told) {
        if (op->event.kind == MQTT_PUBLISHED && outcome == FAILED) {
            op->event.kind = MQTT_REFUSED;
        }
        op->event.reason = reason;
        ops_append(&c->events, op);
    }
    mqtt_unlock(c);
    if (told) {
        wake(c);
    } else {
        free(op);
    }
}

/* Of both kinds of failure. code: Paho's own trouble, or the broker's 0x80 of MQTT 3.1.1.
 */
static void op_fail(struct op *op, int code, int reason)
{
    if (code == MQTTASYNC_OPERATION_INCOMPLETE) {
        op_end(op, UNANSWERED,
               -1); /* the connection is going: MQTT_LOST says it for all */
    } else {
        op_end(op, FAILED, reason >= REASON_FAILURE ? reason : -1);
    }
}

static void on_publish_success(void *ctx, MQTTAsync_successData *data)
{
    (void)data;
    op_end(ctx, DONE, -1);
}

static void on_publish_success5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)data;
    op_end(ctx, DONE, -1);
}

static void on_subscribe_success(void *ctx, MQTTAsync_successData *data)
{
    op_end(ctx, DONE, data->alt.qos);
}

static void on_subscribe_success5(void *ctx, MQTTAsync_successData5 *data)
{
    op_end(ctx, DONE, (int)data->reasonCode);
}

static void on_unsubscribe_success(void *ctx, MQTTAsync_successData *data)
{
    (void)data;
    op_end(ctx, DONE, 0);
}

/* Also where the broker refused: Paho gives the reason for what it is. */
static void on_unsubscribe_success5(void *ctx, MQTTAsync_successData5 *data)
{
    op_end(ctx, DONE, (int)data->reasonCode);
}

static void on_failure(void *ctx, MQTTAsync_failureData *data)
{
    op_fail(ctx, data->code, data->code);
}

static void on_failure5(void *ctx, MQTTAsync_failureData5 *data)
{
    /* With a code the reason is not always initialized. */
    op_fail(ctx, data->code, data->code == 0 ? (int)data->reasonCode : -1);
}

/* ---- Links ---- */

struct link *link_new(struct mqtt_client *c, const struct server *server)
{
    struct link *l = calloc(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->client = c;
    l->server = server;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.MQTTVersion = c->is_v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    create.sendWhileDisconnected = 0;
    create.maxBufferedMessages = MQTT_IN_FLIGHT_MAX;
    if (MQTTAsync_createWithOptions(&l->handle, server->address.uri, c->client_id,
                                    MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                    &create) != MQTTASYNC_SUCCESS) {
        free(l);
        return NULL;
    }
    if (MQTTAsync_setCallbacks(l->handle, l, on_connection_lost, on_message_arrived,
                               NULL) != MQTTASYNC_SUCCESS ||
        (c->is_v5 && MQTTAsync_setDisconnected(l->handle, l, on_broker_disconnect) !=
                         MQTTASYNC_SUCCESS)) {
        MQTTAsync_destroy(&l->handle);
        free(l);
        return NULL;
    }
    return l;
}

void link_free(struct link *l)
{
    if (!l) {
        return;
    }
    struct mqtt_client *c = l->client;
    MQTTAsync_destroy(&l->handle);
    /* Paho answers some of what was in flight while it destroys, and some never. */
    mqtt_lock(c);
    for (struct op *op = c->in_flight.first, *next; op; op = next) {
        next = op->next;
        if (op->link == l) {
            ops_remove(&c->in_flight, op);
            free(op);
        }
    }
    mqtt_unlock(c);
    free(l);
}

static bool add_number(MQTTProperties *properties, enum MQTTPropertyCodes code,
                       uint32_t value)
{
    MQTTProperty p;
    memset(&p, 0, sizeof(p));
    p.identifier = code;
    p.value.integer4 = value;
    return MQTTProperties_add(properties, &p) == 0;
}

int link_connect(struct link *l)
{
    const struct mqtt_client *c = l->client;
    MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions o = c->is_v5 ? v5 : v3;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    int rc = MQTTASYNC_FAILURE;

    o.context = l;
    o.keepAliveInterval = c->keep_alive_s;
    o.connectTimeout = CONNECT_TIMEOUT_S;
    o.automaticReconnect = 0;
    o.username = c->username;
    o.password = c->password;
    if (c->is_v5) {
        o.MQTTVersion = MQTTVERSION_5;
        o.cleansession = 0;
        o.cleanstart = c->clean;
        o.onSuccess5 = on_connect_success5;
        o.onFailure5 = on_connect_failure5;
        if ((c->session_expiry_s > 0 &&
             !add_number(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                         c->session_expiry_s)) ||
            (c->packet_bytes_max > 0 &&
             !add_number(&properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
                         c->packet_bytes_max))) {
            goto done;
        }
        o.connectProperties = &properties;
    } else {
        o.MQTTVersion = MQTTVERSION_3_1_1;
        o.cleansession = c->clean;
        o.onSuccess = on_connect_success;
        o.onFailure = on_connect_failure;
    }
    if (c->will_topic) {
        will.topicName = c->will_topic;
        will.message = c->will_payload ? c->will_payload : "";
        will.qos = 1;
        will.retained = 1;
        o.will = &will;
    }
    if (l->server->address.tls) {
        ssl.trustStore = c->ca_file;
        ssl.disableDefaultTrustStore = c->ca_file != NULL;
        ssl.keyStore = c->cert_file;
        ssl.privateKey = c->key_file;
        ssl.enableServerCertAuth = !c->insecure;
        ssl.verify = !c->insecure; /* the host name */
        /* OpenSSL's own choice; Paho's is ALL. The least version is left to the system's
         * policy: sslVersion would name the only one, not the least. */
        ssl.enabledCipherSuites = "DEFAULT";
        ssl.ssl_error_cb = on_tls_error;
        ssl.ssl_error_context = l;
        o.ssl = &ssl;
    }
    rc = MQTTAsync_connect(l->handle, &o);
done:
    MQTTProperties_free(&properties);
    return rc;
}

static void on_disconnected(struct link *l)
{
    struct mqtt_client *c = l->client;
    mqtt_lock(c);
    if (l == c->link && c->phase == DISCONNECTING) {
        link_go_down(c);
    }
    mqtt_unlock(c);
    wake(c);
}

static void on_disconnect_success(void *ctx, MQTTAsync_successData *data)
{
    (void)data;
    on_disconnected(ctx);
}

static void on_disconnect_success5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)data;
    on_disconnected(ctx);
}

int link_disconnect(struct link *l, int64_t timeout_us, int reason)
{
    MQTTAsync_disconnectOptions v3 = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions v5 = MQTTAsync_disconnectOptions_initializer5;
    MQTTAsync_disconnectOptions o = l->client->is_v5 ? v5 : v3;
    o.context = l;
    o.timeout =
        timeout_us / US_PER_MS > INT32_MAX ? INT32_MAX : (int)(timeout_us / US_PER_MS);
    if (l->client->is_v5) {
        o.reasonCode = (enum MQTTReasonCodes)reason;
        o.onSuccess5 = on_disconnect_success5;
    } else {
        o.onSuccess = on_disconnect_success;
    }
    return MQTTAsync_disconnect(l->handle, &o);
}

int link_subscribe(struct link *l, const char *filter, int qos, struct op *op)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = op;
    if (l->client->is_v5) {
        response.onSuccess5 = on_subscribe_success5;
        response.onFailure5 = on_failure5;
    } else {
        response.onSuccess = on_subscribe_success;
        response.onFailure = on_failure;
    }
    return MQTTAsync_subscribe(l->handle, filter, qos, &response);
}

int link_unsubscribe(struct link *l, const char *filter, struct op *op)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = op;
    if (l->client->is_v5) {
        response.onSuccess5 = on_unsubscribe_success5;
        response.onFailure5 = on_failure5;
    } else {
        response.onSuccess = on_unsubscribe_success;
        response.onFailure = on_failure;
    }
    return MQTTAsync_unsubscribe(l->handle, filter, &response);
}

int link_publish(struct link *l, const char *topic, struct text payload, int qos,
                 bool retain, const char *content_type, struct op *op)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = op;
    if (l->client->is_v5) {
        response.onSuccess5 = on_publish_success5;
        response.onFailure5 = on_failure5;
    } else {
        response.onSuccess = on_publish_success;
        response.onFailure = on_failure;
    }
    if (content_type) {
        MQTTProperty p;
        memset(&p, 0, sizeof(p));
        p.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE;
        p.value.data.data = (char *)(uintptr_t)content_type; /* copied, not written to */
        p.value.data.len = (int)strlen(content_type);
        if (MQTTProperties_add(&response.properties, &p) != 0) {
            return MQTTASYNC_FAILURE;
        }
    }
    int rc = MQTTAsync_send(l->handle, topic, (int)payload.n, payload.p, qos, retain,
                            &response);
    MQTTProperties_free(&response.properties);
    return rc;
}
