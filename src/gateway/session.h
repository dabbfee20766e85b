/* The telemetry connection: what is subscribed, and what the status topic says (SPEC 7).
 *
 * Driven by the main thread; messages go from Paho's thread straight into the inbox. */
#ifndef BRINK_GATEWAY_SESSION_H
#define BRINK_GATEWAY_SESSION_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "ingest/inbox.h"
#include "mqtt/client.h"

struct session;

/* The options of a connection for this configuration; views into it. suffix: behind the
 * client id, in `id`. */
void session_options(const struct config *c, const char *suffix, char *id,
                     size_t id_bytes, struct mqtt_options *ret_options);

/* was_subscribed: newline-separated filters of the last run, whose session the broker may
 * have kept. */
enum brink_status session_new(const struct config *config, struct inbox *inbox,
                              const struct clock *clock, const char *was_subscribed,
                              struct session **ret_session) BRINK_MUST_CHECK;
/* Says offline, disconnects, frees. The inbox must be emptied meanwhile, not closed: what
 * the broker already sent is still taken. */
void session_free(struct session *s);
int session_fd(const struct session *s); /* to be polled: session_step() when readable */
void session_step(struct session *s, struct mono now, struct mono *ret_wake);
bool session_is_subscribed(
    const struct session *s); /* connected, and every filter granted */
bool session_is_connected(const struct session *s);
/* Another configuration's telemetry (borrowed from now on): subscribes to what is new,
 * unsubscribes from what is gone. */
void session_reload(struct session *s, const struct config *config);
/* The filters, newline-separated, for the next run. */
void session_filters(const struct config *c, struct buffer *out);

#endif
