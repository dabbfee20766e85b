#include "gateway/http.h"

#include "base/counters.h"
#include "base/log.h"

#ifdef BRINK_HTTP

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "gateway/mhd.h"

struct http {
    const struct microhttpd *mhd;
    struct MHD_Daemon *daemon;
    void (*read)(void *ctx, struct http_health *ret_health);
    void *ctx;
    struct log_limit limit;
};

#define EXHAUSTED_PAUSE_MS 100

static void put_gauge(struct buffer *b, const char *name, const char *help, double value)
{
    buffer_format(b, "# HELP brink_%s %s\n# TYPE brink_%s gauge\nbrink_%s %.15g\n", name,
                  help, name, name, value);
}

static void put_withheld(struct buffer *b, const size_t withheld[MUTE_KINDS])
{
    buffer_cstring(b, "# HELP brink_alerts_withheld alerts of which something is held "
                      "back now\n# TYPE brink_alerts_withheld gauge\n");
    for (size_t k = 0; k < MUTE_KINDS; k++) {
        buffer_format(b, "brink_alerts_withheld{reason=\"%s\"} %zu\n",
                      mute_kind_name((enum mute_kind)k), withheld[k]);
    }
}

static void put_metrics(struct buffer *b, const struct http_health *h)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *c = &counter_info[i];
        /* Rows of one name stand together; the first has the help. */
        if (i == 0 || strcmp(counter_info[i - 1].name, c->name) != 0) {
            buffer_format(b, "# HELP brink_%s %s\n# TYPE brink_%s counter\n", c->name,
                          c->help, c->name);
        }
        buffer_format(b, "brink_%s%s%s%s %llu\n", c->name, c->label[0] ? "{" : "",
                      c->label, c->label[0] ? "}" : "",
                      (unsigned long long)counter_value((enum counter)i));
    }
    put_gauge(b, "subscribed", "1 while subscribed to all telemetry", h->subscribed);
    put_gauge(b, "alerts_connected", "1 while the alerts' own connection is up",
              h->alerts_connected);
    put_gauge(b, "store_up", "1 while Valkey answers",
              h->store.state == STORE_STATE_UP || h->store.state == STORE_STATE_MEMORY);
    put_gauge(b, "store_evicted_keys", "the server's evicted_keys",
              (double)h->store.evicted_keys);
    put_gauge(b, "store_pending_points", "readings not yet in Valkey",
              (double)h->store.pending_points);
    put_gauge(b, "series", "series with a window", (double)h->store.series);
    put_gauge(b, "devices", "known devices", (double)h->pipeline.devices);
    put_gauge(b, "rule_instances", "rules times the devices that they cover, in memory",
              (double)h->pipeline.instances);
    put_gauge(b, "rules", "enabled rules", (double)h->pipeline.rules);
    put_withheld(b, h->pipeline.withheld);
    put_gauge(b, "outbox_events", "alerts that the broker has not acknowledged",
              (double)h->outbox);
    put_gauge(b, "inbox_messages", "messages that are not applied yet", (double)h->inbox);
}

static const char *store_state_name(enum store_state s)
{
    static const char *const names[] = {"memory", "connecting", "up", "down"};
    return names[s];
}

static enum MHD_Result answer(const struct microhttpd *mhd, struct MHD_Connection *c,
                              unsigned code, const char *type, struct buffer *body)
{
    struct MHD_Response *r = mhd->create_response_from_buffer(
        body->n, (void *)buffer_cstr(body), MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;
    if (r) {
        mhd->add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        mhd->add_response_header(r, "X-Content-Type-Options", "nosniff");
        result = mhd->queue_response(c, code, r);
        mhd->destroy_response(r);
    }
    buffer_finish(body);
    return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version,
                                  const char *data, size_t *data_bytes, void **request)
{
    static int seen;
    struct http *h = cls;
    struct http_health health;
    struct buffer body = {0};
    (void)version;
    (void)data;
    if (!*request) { /* the first call brings the headers only */
        *request = &seen;
        return MHD_YES;
    }
    if (*data_bytes > 0) { /* nothing here takes a body: it is read and forgotten */
        *data_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
        strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        buffer_cstring(&body, "only GET\n");
        return answer(h->mhd, c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", &body);
    }
    h->read(h->ctx, &health);
    if (strcmp(url, "/metrics") == 0) {
        put_metrics(&body, &health);
        return answer(h->mhd, c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                      &body);
    }
    if (strcmp(url, "/healthz") == 0) {
        buffer_cstring(&body, "alive\n");
        return answer(h->mhd, c, MHD_HTTP_OK, "text/plain", &body);
    }
    if (strcmp(url, "/readyz") == 0) {
        buffer_format(
            &body, "{\"ready\":%s,\"subscribed\":%s,\"rules\":%zu,\"store\":\"%s\"}\n",
            health.subscribed ? "true" : "false", health.subscribed ? "true" : "false",
            health.pipeline.rules, store_state_name(health.store.state));
        return answer(h->mhd, c,
                      health.subscribed ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                      "application/json", &body);
    }
    buffer_cstring(&body, "not here: /metrics /healthz /readyz\n");
    return answer(h->mhd, c, MHD_HTTP_NOT_FOUND, "text/plain", &body);
}

/* The library's own words. Where the process has no descriptor left to accept with, it
 * tries again at once and for ever, keeping a processor busy: this is the one place to
 * slow it down. */
static void on_library_message(void *ctx, const char *format, va_list args)
{
    struct http *h = ctx;
    bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the library's */
    (void)vsnprintf(text, sizeof text, format, args);
#pragma GCC diagnostic pop
    text[strcspn(text, "\n")] = '\0';
    log_limited(&h->limit, clock_system.mono(clock_system.ctx),
                exhausted ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "http",
                LOG_S("why", text));
    if (exhausted) {
        (void)poll(NULL, 0, EXHAUSTED_PAUSE_MS);
    }
}

struct http *http_start(const char *host, uint16_t port,
                        void (*read)(void *ctx, struct http_health *ret_health),
                        void *ctx)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE},
                    *found = NULL;
    struct buffer text = {0};
    buffer_format(&text, "%u", port);
    strncpy(service, buffer_cstr(&text), sizeof service - 1);
    service[sizeof service - 1] = '\0';
    buffer_finish(&text);
    const char *why = "address in use?";
    const struct microhttpd *mhd = microhttpd_load(&why);
    int rc = mhd ? getaddrinfo(host, service, &hints, &found) : 0;
    why = rc ? gai_strerror(rc) : why;
    struct http *h = calloc(1, sizeof *h);
    if (found && h) {
        h->mhd = mhd;
        h->read = read;
        h->ctx = ctx;
        unsigned flags =
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG;
        flags |= found->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0;
        h->daemon = h->mhd->start_daemon(
            flags, port, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER,
            on_library_message, h, MHD_OPTION_SOCK_ADDR, found->ai_addr,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_END);
    }
    if (found) {
        freeaddrinfo(found);
    }
    if (!h || !h->daemon) {
        log_event(LOG_LEVEL_ERROR, "cannot serve http, going on without",
                  LOG_S("host", host), LOG_I("port", port), LOG_S("why", why));
        free(h);
        return NULL;
    }
    log_event(LOG_LEVEL_INFO, "serving http", LOG_S("host", host), LOG_I("port", port));
    return h;
}

void http_stop(struct http *h)
{
    if (h) {
        h->mhd->stop_daemon(h->daemon);
        free(h);
    }
}

#else

struct http *http_start(const char *host, uint16_t port,
                        void (*read)(void *ctx, struct http_health *ret_health),
                        void *ctx)
{
    (void)read;
    (void)ctx;
    log_event(LOG_LEVEL_ERROR, "built without libmicrohttpd, http is not served",
              LOG_S("host", host), LOG_I("port", port));
    return NULL;
}

void http_stop(struct http *h)
{
    (void)h;
}

#endif
