/* What is served over HTTP: /metrics, /healthz, /readyz (SPEC 8.1). A thread of its own,
 * which reads counters and a snapshot, never the pipeline's data. Without libmicrohttpd
 * it says so once and serves nothing. */
#ifndef BRINK_GATEWAY_HTTP_H
#define BRINK_GATEWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/pipeline.h"
#include "history/history.h"

#define HTTP_CONNECTIONS_MAX 32
#define HTTP_TIMEOUT_S 10

/* A snapshot, at most a second old. */
struct http_health {
    bool subscribed, was_subscribed, alerts_connected;
    size_t outbox, inbox;
    struct pipeline_info pipeline;
    struct history_info store;
};

struct http;

/* Starts serving on host:port. read: fills in a snapshot; called on the server's thread,
 * must not block. NULL: not possible; why was logged, and the gateway goes on without. */
struct http *http_start(const char *host, uint16_t port,
                        void (*read)(void *ctx, struct http_health *ret_health),
                        void *ctx);
void http_stop(struct http *h); /* NULL is fine */

#endif
