#include "mqtt/address.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

static const struct scheme {
    const char *written, *paho;
    bool tls, websocket;
    uint16_t port;
} schemes[] = {
    {"mqtt://", "tcp://", false, false, 1883},
    {"mqtts://", "ssl://", true, false, 8883},
    {"ws://", "ws://", false, true, 80},
    {"wss://", "wss://", true, true, 443},
};

static bool is_host_char(char c, bool bracketed)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    /* `_` is in no host name, but container networks use it; `%` begins a zone. */
    return bracketed ? c == ':' || c == '.' || c == '%'
                     : c == '-' || c == '.' || c == '_';
}

static bool is_path(struct text path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] <= ' ' || path.p[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes the host off the front of *rest, brackets included. */
static const char *take_host(struct text *rest, struct text *ret_host)
{
    bool bracketed = rest->n > 0 && rest->p[0] == '[';
    size_t n = bracketed ? 1 : 0;
    while (n < rest->n && is_host_char(rest->p[n], bracketed)) {
        n++;
    }
    size_t name_bytes = bracketed ? n - 1 : n;
    if (bracketed) {
        if (n == rest->n || rest->p[n] != ']') {
            return "an IPv6 address needs its closing bracket";
        }
        n++;
    }
    if (name_bytes == 0) {
        return "no host name";
    }
    if (name_bytes > MQTT_HOST_BYTES_MAX) {
        return "the host name is too long";
    }
    *ret_host = (struct text){rest->p, n};
    *rest = (struct text){rest->p + n, rest->n - n};
    return NULL;
}

enum brink_status mqtt_address_parse(const char *text, struct mqtt_address *ret_address,
                                     const char **ret_why)
{
    const struct scheme *scheme = NULL;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(text, schemes[i].written, strlen(schemes[i].written)) == 0) {
            scheme = &schemes[i];
        }
    }
    if (!scheme) {
        *ret_why = "must begin with mqtt://, mqtts://, ws:// or wss://";
        return BRINK_E_SYNTAX;
    }
    struct text rest = text_of(text + strlen(scheme->written));
    struct text path = {"", 0};
    const char *slash = memchr(rest.p, '/', rest.n);
    if (slash) {
        path = (struct text){slash, rest.n - (size_t)(slash - rest.p)};
        rest.n = (size_t)(slash - rest.p);
    }
    if (memchr(rest.p, '@', rest.n)) {
        *ret_why = "a user name does not belong into the address: use username and "
                   "password_file";
        return BRINK_E_SYNTAX;
    }
    if (path.n == 1 && !scheme->websocket) {
        path.n = 0; /* "mqtt://host/" is what many programs print */
    }
    if (path.n > 0 && !scheme->websocket) {
        *ret_why = "only ws:// and wss:// take a path";
        return BRINK_E_SYNTAX;
    }
    if (path.n > MQTT_PATH_BYTES_MAX || !is_path(path)) {
        *ret_why = "the path is too long or holds a character that it must not";
        return BRINK_E_SYNTAX;
    }

    struct text host;
    const char *why = take_host(&rest, &host);
    if (why) {
        *ret_why = why;
        return BRINK_E_SYNTAX;
    }
    uint64_t port = scheme->port;
    if (rest.n > 0) {
        if (rest.p[0] != ':') {
            *ret_why = "the host name holds a character that it must not";
            return BRINK_E_SYNTAX;
        }
        if (number_parse_u64((struct text){rest.p + 1, rest.n - 1}, &port) != BRINK_OK ||
            port == 0 || port > UINT16_MAX) {
            *ret_why = "the port must be a number from 1 to 65535";
            return BRINK_E_RANGE;
        }
    }

    struct mqtt_address a = {
        .tls = scheme->tls, .websocket = scheme->websocket, .port = (uint16_t)port};
    /* Every part was measured above, so this fits. */
    (void)snprintf(a.uri, sizeof(a.uri), "%s%.*s:%u%.*s", scheme->paho, (int)host.n,
                   host.p, (unsigned)port, (int)path.n, path.p);
    *ret_address = a;
    return BRINK_OK;
}
