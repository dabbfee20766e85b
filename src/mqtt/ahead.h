/* Paho's socket calls, fewer of them. Used with -Dpaho=fast alone (src/mqtt/meson.build):
 * there Paho's poll, recv, writev, shutdown and close are these.
 *
 * For one message Paho asks the kernel six times (two polls; header, two bytes of length,
 * body), and once more to acknowledge it: more than all else that a message costs. Here
 * the first recv takes what is there, up to AHEAD_BYTES, and what follows is answered
 * from it. PUBACKs wait while there is more at hand and leave in one write, at the latest
 * when the kernel is asked for more: an acknowledgement is never early, and late only by
 * what was received before it was due.
 *
 * A handler that has taken a message but not yet done with it may owe that (ahead_owe)
 * and return: then the acknowledgements of all that came at once wait for one settlement,
 * and not each for its own.
 *
 * What Paho sees is what a socket may do at any time (a short recv, a poll that does not
 * yet tell of room to write). TLS does not come by: OpenSSL reads for itself.
 *
 * Any thread; a lock around copies and calls that do not block. */
#ifndef BRINK_MQTT_AHEAD_H
#define BRINK_MQTT_AHEAD_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#define AHEAD_BYTES 16384
#define AHEAD_HELD_BYTES 1024 /* PUBACKs that wait; 4 to 6 bytes each */

/* As poll(2). A descriptor with bytes at hand is readable. */
int ahead_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/* As recv(2), of a socket that does not block. */
ssize_t ahead_recv(int fd, void *bytes, size_t n, int flags);

/* From a handler of a message, on the thread that received it by ahead_recv(): before
 * anything but what is held leaves that socket, and before the kernel is asked for more,
 * settle(ctx) is called, once for all that was owed by then, on the thread that writes or
 * asks. It may block. False from it: neither what is held nor a later PUBACK is ever sent
 * (the connection is being given up). `ctx` lives until ahead_close(). False from here:
 * the message did not come this way; nothing is owed. */
bool ahead_owe(bool (*settle)(void *ctx), void *ctx);

/* From such a handler, before it takes its message: settles what is owed and lets the
 * acknowledgements go. Nothing owed or held: no cost. */
void ahead_settle(void);

/* As writev(2); what is owed is settled and what is held goes first. EAGAIN where that
 * found no room, or while another thread settles. Two threads that write or ask at a time
 * must not be in a handler meanwhile: of Paho's, those that write hold its lock. */
ssize_t ahead_writev(int fd, const struct iovec *parts, int n);

int ahead_shutdown(int fd, int how);

/* As close(2); forgets what was at hand. */
int ahead_close(int fd);

#endif
