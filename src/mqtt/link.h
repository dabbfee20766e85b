/* What client.c (the driver's side) and link.c (Paho's side) of one client share. */
#ifndef BRINK_MQTT_LINK_H
#define BRINK_MQTT_LINK_H

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/backoff.h"
#include "mqtt/address.h"
#include "mqtt/client.h"

#define CONNECT_TIMEOUT_S 10
#define DISCONNECT_WITH_WILL 0x04 /* MQTT 5's reason code */

enum phase { DOWN, CONNECTING, CONNECTED, DISCONNECTING };

struct server {
    char *written;
    struct mqtt_address address;
    struct link *link; /* persistent session: kept as long as the client */
};

/* One handle of Paho's. */
struct link {
    struct mqtt_client *client;
    const struct server *server;
    MQTTAsync handle;
    bool spoiled; /* given up while Paho was still at work with it: not for another use */
};

/* Something asked of Paho: in flight until its callback, an event until it is taken. */
struct op {
    struct op *prev, *next;
    struct link *link;
    uint64_t generation;
    bool is_flow; /* a publish of QoS 1 or 2 */
    struct mqtt_event event;
};

struct ops {
    struct op *first, *last;
};

struct mqtt_client {
    /* Constant after mqtt_client_new(). */
    struct server *servers;
    size_t n_servers;
    char *client_id, *username, *password, *ca_file, *cert_file, *key_file;
    char *will_topic, *will_payload;
    bool is_v5, clean, insecure;
    int keep_alive_s;
    uint32_t session_expiry_s;
    struct mqtt_callbacks callbacks;

    /* The driver's own. */
    size_t current; /* server */
    struct backoff backoff;
    uint32_t packet_bytes_max, announced; /* to be announced; by the last attempt */
    bool scheduled, up_seen;
    bool doubted; /* Paho said once that it is not connected */
    struct mono next_at, up_since, deadline, check_at;

    atomic_bool delivering; /* on_message is at work, and Paho's lock taken */

    /* Under the lock, which is never held while Paho is called: Paho's comes first. The
     * link changes by the driver only. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* phase */
    enum phase phase;
    bool reached; /* the present attempt got through */
    struct link *link;
    uint64_t generation; /* of connections; what is of an older one is not answered */
    size_t n_in_flight, n_flows;
    struct ops in_flight, events;
    struct op *begun, *ended; /* the attempt's two events: callbacks need no memory */
    char tls_error[MQTT_ERROR_BYTES / 2]; /* the first of this attempt */
    uint32_t broker_packet_bytes_max;
    int broker_qos_max, broker_receive_max;
    bool broker_retains;
};

/* The lists and the lock. */
void ops_append(struct ops *list, struct op *op);
void ops_remove(struct ops *list, struct op *op);
void mqtt_lock(const struct mqtt_client *c);
void mqtt_unlock(const struct mqtt_client *c);

/* A new handle, its callbacks set. NULL: no memory. */
struct link *link_new(struct mqtt_client *c, const struct server *server);
void link_free(struct link *l); /* and all that it still had in flight; NULL is fine */
/* Both give what Paho returned. */
int link_connect(struct link *l);
int link_disconnect(struct link *l, int64_t timeout_us, int reason);
int link_subscribe(struct link *l, const char *filter, int qos, struct op *op);
int link_unsubscribe(struct link *l, const char *filter, struct op *op);
int link_publish(struct link *l, const char *topic, struct text payload, int qos,
                 bool retain, const char *content_type, struct op *op);

/* What callbacks do, for the driver where Paho does not: ends the present attempt, or the
 * present connection (this one under the lock), and says so once. */
void link_connect_failed(struct link *l, int code, const char *message);
void link_lose(struct link *l, const char *why);
void link_go_down(struct mqtt_client *c); /* under the lock */

#endif
