/* What a client asks of its broker: filters and messages. Any thread (client.h). */
#include <stdlib.h>
#include <string.h>

#include "mqtt/link.h"

#define TOPIC_BYTES 65535       /* MQTT's own limit */
#define PACKET_BYTES 268435455u /* likewise, of what follows the fixed header */

/* A new op in flight. E_STATE, E_LIMIT, E_NOMEM.
 *
 * Never more flows than the broker takes at once, though Paho would queue them: what is
 * in its queue when a handle is destroyed, Paho 1.3.12 leaks. (It still queues while the
 * socket takes no more.) */
static enum brink_status op_new(struct mqtt_client *c, enum mqtt_event_kind kind,
                                uint64_t tag, bool is_flow, struct op **ret_op)
{
    struct op *op = calloc(1, sizeof(*op));
    if (!op) {
        return BRINK_E_NOMEM;
    }
    op->event.kind = kind;
    op->event.tag = tag;
    op->is_flow = is_flow;
    enum brink_status st = BRINK_OK;
    mqtt_lock(c);
    if (c->phase != CONNECTED) {
        st = BRINK_E_STATE;
    } else if (c->n_in_flight >= MQTT_IN_FLIGHT_MAX ||
               (is_flow && c->n_flows >= (size_t)c->broker_receive_max)) {
        st = BRINK_E_LIMIT;
    } else {
        op->link = c->link;
        op->generation = c->generation;
        c->n_in_flight++;
        c->n_flows += is_flow;
        ops_append(&c->in_flight, op);
    }
    mqtt_unlock(c);
    if (st != BRINK_OK) {
        free(op);
        return st;
    }
    *ret_op = op;
    return BRINK_OK;
}

static enum brink_status op_finish(struct mqtt_client *c, struct op *op, int rc)
{
    if (rc == MQTTASYNC_SUCCESS) {
        return BRINK_OK; /* op may be gone already */
    }
    mqtt_lock(c);
    ops_remove(&c->in_flight, op);
    if (op->generation == c->generation) {
        c->n_in_flight--;
        c->n_flows -= op->is_flow;
    }
    mqtt_unlock(c);
    free(op);
    switch (rc) {
    case MQTTASYNC_BAD_UTF8_STRING:
    case MQTTASYNC_BAD_QOS:
    case MQTTASYNC_NULL_PARAMETER:
        return BRINK_E_RANGE;
    case MQTTASYNC_NO_MORE_MSGIDS:
    case MQTTASYNC_MAX_BUFFERED_MESSAGES:
    case MQTTASYNC_MAX_MESSAGES_INFLIGHT:
        return BRINK_E_LIMIT;
    default:
        return BRINK_E_STATE;
    }
}

static bool filter_is_valid(const char *filter)
{
    struct text t = text_of(filter);
    return t.n > 0 && t.n <= TOPIC_BYTES && text_is_utf8(t);
}

enum brink_status mqtt_subscribe(struct mqtt_client *c, const char *filter, int qos,
                                 uint64_t tag)
{
    if (!filter_is_valid(filter)) {
        return BRINK_E_RANGE;
    }
    struct op *op;
    enum brink_status st = op_new(c, MQTT_SUBSCRIBED, tag, false, &op);
    if (st != BRINK_OK) {
        return st;
    }
    return op_finish(c, op, link_subscribe(op->link, filter, qos, op));
}

enum brink_status mqtt_unsubscribe(struct mqtt_client *c, const char *filter,
                                   uint64_t tag)
{
    if (!filter_is_valid(filter)) {
        return BRINK_E_RANGE;
    }
    struct op *op;
    enum brink_status st = op_new(c, MQTT_UNSUBSCRIBED, tag, false, &op);
    if (st != BRINK_OK) {
        return st;
    }
    return op_finish(c, op, link_unsubscribe(op->link, filter, op));
}

static size_t varint_bytes(size_t n)
{
    return n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : 4;
}

/* Of the whole PUBLISH packet. */
static size_t packet_bytes(bool is_v5, size_t topic, size_t payload, size_t content_type,
                           int qos)
{
    size_t rest = 2 + topic + payload + (qos > 0 ? 2 : 0);
    if (is_v5) {
        size_t properties = content_type > 0 ? 1 + 2 + content_type : 0;
        rest += varint_bytes(properties) + properties;
    }
    return 1 + varint_bytes(rest) + rest;
}

enum brink_status mqtt_publish(struct mqtt_client *c, const char *topic,
                               struct text payload, int qos, bool retain,
                               const char *content_type, uint64_t tag)
{
    struct text t = text_of(topic);
    if (!mqtt_topic_is_valid(t)) {
        return BRINK_E_RANGE;
    }
    mqtt_lock(c);
    uint32_t max = c->broker_packet_bytes_max ? c->broker_packet_bytes_max : PACKET_BYTES;
    qos = qos < c->broker_qos_max ? qos : c->broker_qos_max;
    retain = retain && c->broker_retains;
    mqtt_unlock(c);

    struct op *op;
    enum brink_status st = op_new(c, MQTT_PUBLISHED, tag, qos > 0, &op);
    if (st != BRINK_OK) {
        return st;
    }
    size_t type_bytes = c->is_v5 && content_type ? strlen(content_type) : 0;
    int rc = MQTTASYNC_BAD_UTF8_STRING; /* becomes E_RANGE */
    if (payload.n <= PACKET_BYTES &&
        packet_bytes(c->is_v5, t.n, payload.n, type_bytes, qos) <= max) {
        rc = link_publish(op->link, topic, payload, qos, retain,
                          type_bytes > 0 ? content_type : NULL, op);
    }
    return op_finish(c, op, rc);
}

bool mqtt_topic_is_valid(struct text topic)
{
    return topic.n > 0 && topic.n <= TOPIC_BYTES && !memchr(topic.p, '+', topic.n) &&
           !memchr(topic.p, '#', topic.n) && text_is_utf8(topic);
}
