/* Network addresses as a configuration writes them. Pure. */
#ifndef BRINK_CONFIG_ADDRESS_H
#define BRINK_CONFIG_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

#define ADDRESS_HOST_BYTES_MAX 255
#define ADDRESS_UNIX_BYTES_MAX 107 /* sockaddr_un on Linux, without the NUL */
#define ADDRESS_STORE_PORT 6379
#define ADDRESS_DB_MAX 65535

/* Each returns E_SYNTAX with a static *ret_why that completes "... is not an address: ".
 * None of them repeats the address: one with credentials in it must not reach a log. */

/* "host:port", "[::1]:port". Views into t. */
enum brink_status address_host_port(struct text t, struct text *ret_host,
                                    uint16_t *ret_port,
                                    const char **ret_why) BRINK_MUST_CHECK;

/* mqtt:// mqtts:// ws:// wss://host[:port], for ws and wss also a path. */
enum brink_status address_mqtt(struct text t, bool *ret_tls,
                               const char **ret_why) BRINK_MUST_CHECK;

struct store_address {
    enum { ADDRESS_MEMORY, ADDRESS_TCP, ADDRESS_UNIX } kind;
    bool tls;
    struct text host, path; /* views */
    uint16_t port;
    unsigned db;
};

/* valkey:// redis:// valkeys:// rediss://host[:port][/db], unix:///path[?db=N], memory.
 */
enum brink_status address_store(struct text t, struct store_address *ret_address,
                                const char **ret_why) BRINK_MUST_CHECK;

/* Can this build speak TLS to the store? */
bool address_store_tls_built(void);

#endif
