/* One MQTT connection over Paho's MQTTAsync: connect, reconnect, subscribe, publish.
 * The only room that knows Paho.
 *
 * Threads. Every function here is called by one thread, the client's driver. Callbacks come on
 * Paho's own thread, with Paho's process-wide lock held: they may post and wake, and on_message
 * may block (that is the back-pressure), but they must never call into this room.
 * A connection that is lost is given up whole: the handle is destroyed and made anew, so
 * nothing of Paho's state outlives it. */
#ifndef BRINK_MQTT_CLIENT_H
#define BRINK_MQTT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

#define MQTT_ERROR_BYTES 256

struct mqtt_options {
    const char *const *servers; /* mqtt:// mqtts:// ws:// wss://; tried in turn */
    size_t n_servers;
    int version; /* 5 or 3 (3.1.1) */
    const char *client_id;
    const char *username, *password; /* or NULL */
    bool has_tls;
    const char *ca_file, *cert_file, *key_file; /* or NULL */
    bool tls_insecure;
    int64_t keep_alive_us, session_expiry_us; /* expiry 0: clean session */
    uint32_t packet_bytes_max; /* announced with MQTT 5; 0: not announced */
    const char *will_topic, *will_payload; /* or NULL; QoS 1, retained */
};

enum mqtt_event_kind {
    MQTT_CONNECTED,      /* session_present, packet_bytes_max of the broker */
    MQTT_CONNECT_FAILED, /* why */
    MQTT_LOST,           /* why */
    MQTT_SUBSCRIBED,     /* index of the filter, granted QoS or failure */
    MQTT_PUBLISHED,      /* tag: acknowledged (QoS 0: written) */
    MQTT_REFUSED,        /* tag, reason: the broker refused, or it was not sent */
};

struct mqtt_event {
    enum mqtt_event_kind kind;
    bool session_present;
    uint32_t broker_packet_bytes_max; /* 0: none */
    int reason;                       /* MQTT 5 reason code; -1: none */
    uint64_t tag;
    char why[MQTT_ERROR_BYTES];
};

struct mqtt_callbacks {
    void *ctx;
    /* A message. Views last until it returns; the acknowledgement leaves when it returns. */
    void (*on_message)(void *ctx, struct text topic, struct text payload, int qos, bool retained);
    /* Something is waiting for mqtt_next_event(): wake the driver (write to an eventfd, no more). */
    void (*on_event)(void *ctx);
};

struct mqtt_client;

enum brink_status mqtt_client_new(const struct mqtt_options *options, /* copied */
                                  const struct mqtt_callbacks *callbacks,
                                  struct mqtt_client **ret_client) BRINK_MUST_CHECK;
/* Disconnects (at most timeout_us, so that a graceful DISCONNECT leaves and no will is sent), frees. NULL is fine. */
void mqtt_client_free(struct mqtt_client *c, int64_t timeout_us);

/* Drives connecting: to be called when woken and not later than *ret_wake says. Starts an
 * attempt when one is due (100 ms to 30 s, jittered, growing; servers in turn). */
void mqtt_client_step(struct mqtt_client *c, struct mono now, struct mono *ret_wake);
/* The next thing that happened, in order; false: none. */
bool mqtt_next_event(struct mqtt_client *c, struct mqtt_event *ret_event);
bool mqtt_is_connected(const struct mqtt_client *c);
/* Gives the present connection up, as if lost; the next attempt comes after the usual pause. */
void mqtt_client_drop(struct mqtt_client *c);

/* Asks for (un)subscription now; answered by MQTT_SUBSCRIBED. E_STATE: not connected. */
enum brink_status mqtt_subscribe(struct mqtt_client *c, const char *filter, int qos, uint64_t tag) BRINK_MUST_CHECK;
enum brink_status mqtt_unsubscribe(struct mqtt_client *c, const char *filter) BRINK_MUST_CHECK;
/* Answered by MQTT_PUBLISHED or MQTT_REFUSED with the tag. content_type (MQTT 5 only) may be NULL.
 * E_STATE: not connected; E_RANGE: topic invalid or too large; E_LIMIT: too many in flight. */
enum brink_status mqtt_publish(struct mqtt_client *c, const char *topic, struct text payload, int qos,
                               bool retain, const char *content_type, uint64_t tag) BRINK_MUST_CHECK;

/* Checks a server address as `check` does. *ret_why is static. */
enum brink_status mqtt_server_check(const char *address, bool *ret_tls, const char **ret_why) BRINK_MUST_CHECK;

#endif
