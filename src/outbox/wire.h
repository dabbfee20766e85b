/* What courier and sender say to each other: one record a packet, over a SOCK_SEQPACKET
 * pair between a process and itself started anew, so the machine's own byte order serves.
 */
#ifndef BRINK_OUTBOX_WIRE_H
#define BRINK_OUTBOX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/status.h"
#include "mqtt/client.h"
#include "outbox/outbox.h"

#define WIRE_VERSION 1
#define WIRE_SOCKET 3 /* the child's end */
#define WIRE_RECORD_BYTES_MAX (64 * 1024 + OUTBOX_PAYLOAD_BYTES_MAX + 64)
#define WIRE_ANSWERS_MAX 1024
#define WIRE_SERVERS_MAX 64

enum wire_kind {
    WIRE_OPTIONS = 1, /* to the child: the first record */
    WIRE_LOG,
    WIRE_EVENT,
    WIRE_REPORT, /* from the child */
};

enum wire_verdict { WIRE_DELIVERED, WIRE_TOO_LARGE, WIRE_REFUSED };

struct wire_answer {
    uint64_t id;
    enum wire_verdict verdict;
};

struct wire_report {
    bool connected;
    uint32_t blocked; /* events that the broker refuses for now, and those behind them */
    uint32_t retried; /* publishes tried again since the last report */
    uint32_t n;
    struct wire_answer answers[WIRE_ANSWERS_MAX];
};

struct wire_log {
    enum log_level level;
    enum log_format format;
};

/* Each replaces what the buffer holds; buffer_ok() says whether memory was there. */
void wire_write_options(struct buffer *b, const struct mqtt_options *o);
void wire_write_log(struct buffer *b, struct wire_log log);
void wire_write_event(struct buffer *b, const struct outbox_event *e);
void wire_write_report(struct buffer *b, const struct wire_report *r);

/* 0: none that is known. */
enum wire_kind wire_kind(struct text record);
/* Strings are views into the record; *servers gets the list that options point to.
 * E_SYNTAX. */
enum brink_status wire_read_options(struct text record,
                                    const char *servers[WIRE_SERVERS_MAX],
                                    struct mqtt_options *ret_options) BRINK_MUST_CHECK;
enum brink_status wire_read_log(struct text record,
                                struct wire_log *ret_log) BRINK_MUST_CHECK;
enum brink_status wire_read_event(struct text record,
                                  struct outbox_event *ret_event) BRINK_MUST_CHECK;
enum brink_status wire_read_report(struct text record,
                                   struct wire_report *ret_report) BRINK_MUST_CHECK;

#endif
