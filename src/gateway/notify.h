/* Tells systemd how we are, by the datagrams that sd_notify(3) documents: a few lines
 * that need no library on a gateway without systemd. No effect when $NOTIFY_SOCKET is not
 * set. Any thread. */
#ifndef BRINK_GATEWAY_NOTIFY_H
#define BRINK_GATEWAY_NOTIFY_H

#include <stdint.h>

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID, and removes them, so that no
 * child speaks for us. Once, before any thread. */
void notify_init(void);
/* "READY=1", "STATUS=...", several separated by newlines. */
void notify_send(const char *state);
/* How often WATCHDOG=1 is to be sent (a third of what systemd allows); 0: not asked for.
 */
int64_t notify_watchdog_us(void);

#endif
