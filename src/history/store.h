/* Keeps a connection to Valkey: a thread connects, and connects anew after growing,
 * jittered pauses (SPEC 5.4); a connection that is ready waits in a mailbox until the
 * pipeline takes it. But for the thread, all functions are the pipeline's, and none waits
 * but where it says so. */
#ifndef BRINK_HISTORY_STORE_H
#define BRINK_HISTORY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "config/config.h"
#include "history/connection.h"

#define STORE_PAUSE_MIN_US (100 * US_PER_MS)
#define STORE_PAUSE_MAX_US (10 * US_PER_S)

struct store;

/* Starts the thread, which begins to connect. wake: called by it when store_poll() has
 * news. Has SIGPIPE ignored where it was at its default. */
enum brink_status store_new(const struct config *config, void (*wake)(void *ctx),
                            void *wake_ctx, struct store **ret_store) BRINK_MUST_CHECK;
/* Waits up to two seconds for the thread; one that hangs in the resolver is left to end
 * by itself. */
void store_free(struct store *st);

enum store_news {
    STORE_NO_NEWS,
    STORE_CONNECTED, /* store_connection() is new */
    STORE_REFUSED,   /* an attempt failed: store_reason() */
};
enum store_news store_poll(struct store *st);
/* Waits for news, at most so long. */
void store_wait(struct store *st, int64_t timeout_us);

struct connection *store_connection(const struct store *st); /* NULL: none */
/* Closes it and has the thread connect anew after a pause. */
void store_give_up(struct store *st, const char *reason);
/* The server did what it was asked for: pauses start short again. Merely being connected
 * does not count: a server that refuses every write would be connected to in a hot loop.
 */
void store_worked(struct store *st);
const char *store_reason(const struct store *st); /* of the last failure; "" none yet */

#endif
