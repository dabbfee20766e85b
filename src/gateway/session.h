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

/* was_subscribed: the session_filters() of the last run, whose session the broker may
 * have kept. */
enum brink_status session_new(const struct config *config, struct inbox *inbox,
                              const struct clock *clock, struct text was_subscribed,
                              struct session **ret_session) BRINK_MUST_CHECK;
/* Says offline, disconnects, frees. The inbox must be emptied meanwhile, not closed: what
 * the broker already sent is still taken. */
void session_free(struct session *s);
int session_fd(const struct session *s); /* to be polled: session_step() when readable */
void session_step(struct session *s, struct mono now, struct mono *ret_wake);
bool session_is_subscribed(
    const struct session *s); /* connected, and every filter granted */
bool session_is_connected(const struct session *s);
/* Another configuration's telemetry and limits (borrowed from now on): the next step
 * subscribes to what is new and unsubscribes from what is gone. Where larger payloads are
 * to be taken than were announced to the broker, it connects anew (MQTT 5). E_NOMEM: the
 * subscriptions stay as they were. */
enum brink_status session_reload(struct session *s,
                                 const struct config *config) BRINK_MUST_CHECK;
/* Filters that a session of ours at the broker may hold, a line each, for the next run;
 * false: as last taken. Of what is new, the caller notes down the filters of a
 * configuration before session_new() or session_reload(). */
bool session_filters(struct session *s, struct buffer *out);

#endif
