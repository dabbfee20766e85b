/* The few MQTT 3.1.1 packets that the load generator and the null gateway need, over a
 * blocking socket, and a clock. */
#ifndef BRINK_BENCH_WIRE_H
#define BRINK_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_OUT_BYTES (32 * 1024)
#define WIRE_IN_BYTES (256 * 1024)

struct wire {
    int fd;
    uint16_t last_id;
    unsigned unacknowledged; /* QoS 1 publishes */
    size_t out, in;
    uint8_t out_bytes[WIRE_OUT_BYTES], in_bytes[WIRE_IN_BYTES];
};

struct wire_message {
    const char *topic, *payload;
    size_t topic_bytes, payload_bytes;
};

int64_t now_ns(void);
_Noreturn void fail(const char *what); /* with errno */

/* Connects to the broker on this machine; a clean session. */
void wire_open(struct wire *w, int port, const char *client_id);
void wire_subscribe(struct wire *w, const char *filter, int qos);

/* Puts a PUBLISH into the buffer, which is flushed when it is full. */
void wire_publish(struct wire *w, const struct wire_message *m, int qos);
void wire_flush(struct wire *w);

/* Waits at most timeout_ms (-1: for ever) and reads once; each PUBLISH goes to `take`
 * (may be NULL), QoS 1 ones are acknowledged with the next flush. False: nothing came. */
bool wire_read(struct wire *w, int timeout_ms,
               void (*take)(void *ctx, const struct wire_message *m), void *ctx);

#endif
