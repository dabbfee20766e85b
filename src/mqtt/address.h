/* A broker's address as people write it, and as Paho wants it. Pure. */
#ifndef BRINK_MQTT_ADDRESS_H
#define BRINK_MQTT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define MQTT_HOST_BYTES_MAX 253 /* a domain name's own limit */
#define MQTT_PATH_BYTES_MAX 512 /* of a websocket */
/* "wss://[" host "]:65535" path NUL */
#define MQTT_URI_BYTES (6 + 2 + MQTT_HOST_BYTES_MAX + 6 + MQTT_PATH_BYTES_MAX + 1)

struct mqtt_address {
    bool tls, websocket;
    uint16_t port;            /* the scheme's own when none was written */
    char uri[MQTT_URI_BYTES]; /* tcp:// ssl:// ws:// wss://, the port always written */
};

/* "mqtt://host[:port]", also mqtts://, ws:// and wss:// (these with a path if wanted); an
 * IPv6 address in brackets. E_SYNTAX or E_RANGE with a static *ret_why. */
enum brink_status mqtt_address_parse(const char *text, struct mqtt_address *ret_address,
                                     const char **ret_why) BRINK_MUST_CHECK;

#endif
