/* One MQTT connection over Paho's MQTTAsync: connect, reconnect, subscribe, publish.
 * The only room that knows Paho.
 *
 * Threads. Every function here is called by one thread, the client's driver. Callbacks
 * come on Paho's own threads, with Paho's process-wide lock held (settle may come
 * without, and on the driver's in mqtt_client_free(); never beside another callback):
 * they may post and wake, and on_message and settle may block (that is the
 * back-pressure), but they must never call into this room. While one blocks, every
 * function here that talks to Paho may block as well: the driver must not be the thread
 * that unblocks it, and has to unblock it before mqtt_client_free(). The same holds while
 * a host name is being resolved.
 *
 * What outlives a connection. With session_expiry_us 0 nothing does: Paho's handle is
 * made anew for every attempt, so that a publish which was in flight is never sent again
 * behind the caller's back. With a persistent session the handle stays (one a server),
 * because it alone knows the QoS 2 messages between our PUBREC and the broker's PUBREL.
 * Paho delivers them at the PUBREL with MQTT 3.1.1 (a new handle would answer it with
 * PUBCOMP, and the message were lost), and at the PUBLISH with MQTT 5 (a new handle would
 * deliver a repetition twice). The price: what was published or subscribed and not
 * answered before the loss is sent again by Paho, unasked, after the next connect. And it
 * must be published with QoS 0: where the write itself fails, Paho 1.3.12 frees topic and
 * payload and yet keeps the message for that repetition (its issues 1592, 1621); the
 * broker then gets garbage after every connect, and disconnects.
 * A process that is killed forgets that state in any case. */
#ifndef BRINK_MQTT_CLIENT_H
#define BRINK_MQTT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

#define MQTT_ERROR_BYTES 256
#define MQTT_IN_FLIGHT_MAX 1024 /* publishes and subscriptions not yet answered */

struct mqtt_options {
    const char *const *servers; /* mqtt:// mqtts:// ws:// wss://; tried in turn */
    size_t n_servers;
    int version; /* 5 or 3 (3.1.1) */
    const char *client_id;
    const char *username, *password; /* or NULL */
    bool has_tls;
    const char *ca_file, *cert_file, *key_file; /* or NULL; no ca_file: the system's */
    bool tls_insecure; /* neither the certificate's chain nor its host name is checked */
    int64_t keep_alive_us, session_expiry_us; /* expiry 0: clean session */
    uint32_t packet_bytes_max;             /* announced with MQTT 5; 0: not announced */
    const char *will_topic, *will_payload; /* or NULL; QoS 1, retained */
};

enum mqtt_event_kind {
    /* server, session_present, the broker's packet_bytes_max; why: which server */
    MQTT_CONNECTED,
    MQTT_CONNECT_FAILED, /* why */
    MQTT_LOST,           /* why; what was not answered before will not be */
    /* tag; reason: granted QoS, or failure (0x80 and above, -1: not sent) */
    MQTT_SUBSCRIBED,
    MQTT_UNSUBSCRIBED, /* tag; reason: as above, below 0x80: the filter is gone */
    MQTT_PUBLISHED,    /* tag: acknowledged (QoS 0: written) */
    MQTT_REFUSED,      /* tag, reason: the broker refused (-1: it was not sent) */
};

struct mqtt_event {
    enum mqtt_event_kind kind;
    size_t server; /* index in the options' servers */
    bool session_present;
    uint32_t broker_packet_bytes_max; /* 0: none */
    int reason;                       /* MQTT 5 reason code; -1: none */
    uint64_t tag;
    char why[MQTT_ERROR_BYTES];
};

struct mqtt_callbacks {
    void *ctx;
    /* Before an on_message: may this one be taken while earlier ones are not yet
     * acknowledged? False: those are settled and acknowledged first, and it is asked once
     * more. NULL: it may. */
    bool (*may_join)(void *ctx, struct text topic);
    /* A message. Views last until it returns. True: it may be acknowledged. */
    bool (*on_message)(void *ctx, struct text topic, struct text payload, int qos,
                       bool retained);
    /* After an on_message that was false, before an acknowledgement leaves: waits until
     * all that came may be acknowledged. Once for several messages where they came
     * together (ahead.h). False: the connection is being given up, do not. NULL: all are
     * true. */
    bool (*settle)(void *ctx);
    /* Something is waiting for mqtt_next_event(): wake the driver (write to an eventfd,
     * no more). */
    void (*on_event)(void *ctx);
};

struct mqtt_client;

/* E_RANGE: no server, or an address that mqtt_server_check() refuses. */
enum brink_status mqtt_client_new(const struct mqtt_options *options, /* copied */
                                  const struct mqtt_callbacks *callbacks,
                                  struct mqtt_client **ret_client) BRINK_MUST_CHECK;
/* Disconnects (at most timeout_us, so that a graceful DISCONNECT leaves and no will is
 * sent), frees. NULL is fine. The process's last client takes up to a second more: Paho's
 * threads end. */
void mqtt_client_free(struct mqtt_client *c, int64_t timeout_us);

/* Drives connecting: to be called when woken and not later than *ret_wake says. Starts an
 * attempt when one is due (100 ms to 30 s, jittered, growing; servers in turn). */
void mqtt_client_step(struct mqtt_client *c, struct mono now, struct mono *ret_wake);
/* The next thing that happened, in order; false: none. */
bool mqtt_next_event(struct mqtt_client *c, struct mqtt_event *ret_event);
bool mqtt_is_connected(const struct mqtt_client *c);
/* Gives the present connection up, as if lost; the next attempt comes after the usual
 * pause. */
void mqtt_client_drop(struct mqtt_client *c);
/* Another packet_bytes_max, at least 1. MQTT 5 announces it in CONNECT only: where the
 * present connection announced less, the next step gives it up (MQTT_LOST) to make
 * another. A smaller one is told with the next connection, whenever that comes. */
void mqtt_client_announce(struct mqtt_client *c, uint32_t packet_bytes_max);

/* Asks for (un)subscription now; answered by MQTT_SUBSCRIBED or MQTT_UNSUBSCRIBED.
 * E_STATE: not connected; E_RANGE: filter invalid; E_LIMIT: too many in flight. */
enum brink_status mqtt_subscribe(struct mqtt_client *c, const char *filter, int qos,
                                 uint64_t tag) BRINK_MUST_CHECK;
enum brink_status mqtt_unsubscribe(struct mqtt_client *c, const char *filter,
                                   uint64_t tag) BRINK_MUST_CHECK;
/* Answered by MQTT_PUBLISHED or MQTT_REFUSED with the tag. content_type (MQTT 5 only) may
 * be NULL. A QoS or a retain flag that the broker announced not to take is lowered to
 * what it takes. E_STATE: not connected; E_RANGE: topic invalid or packet larger than the
 * broker takes; E_LIMIT: too many in flight, by our count or
 * by what the broker announced to take at once. */
enum brink_status mqtt_publish(struct mqtt_client *c, const char *topic,
                               struct text payload, int qos, bool retain,
                               const char *content_type, uint64_t tag) BRINK_MUST_CHECK;

/* Can a message be published on it at all: UTF-8 without NUL, no wildcard, 1 to 65535
 * bytes? */
bool mqtt_topic_is_valid(struct text topic);

/* Checks a server address as `check` does. *ret_why is static. */
enum brink_status mqtt_server_check(const char *address, bool *ret_tls,
                                    const char **ret_why) BRINK_MUST_CHECK;

#endif
