/* Any bytes as a record between courier and sender: refused, or read with every view
 * inside the record; and what was read, written and read again writes the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outbox/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static bool within(struct text t, struct text record)
{
    return t.n == 0 || (t.p >= record.p && t.p + t.n <= record.p + record.n);
}

static void check_string(const char *s, struct text record)
{
    must(!s || within((struct text){s, strlen(s) + 1}, record), "a string ends inside");
}

/* Each reads the record and, if it is one of its kind, writes it to `out`. */

static bool rewrite_options(struct text record, struct buffer *out)
{
    const char *servers[WIRE_SERVERS_MAX];
    struct mqtt_options o;
    if (wire_read_options(record, servers, &o) != BRINK_OK) {
        return false;
    }
    must(o.n_servers <= WIRE_SERVERS_MAX && o.servers == servers, "the servers");
    for (size_t i = 0; i < o.n_servers; i++) {
        must(servers[i] != NULL, "each server has a name");
        check_string(servers[i], record);
    }
    check_string(o.client_id, record);
    check_string(o.username, record);
    check_string(o.password, record);
    check_string(o.ca_file, record);
    check_string(o.cert_file, record);
    check_string(o.key_file, record);
    wire_write_options(out, &o);
    return true;
}

static bool rewrite_log(struct text record, struct buffer *out)
{
    struct wire_log log;
    if (wire_read_log(record, &log) != BRINK_OK) {
        return false;
    }
    wire_write_log(out, log);
    return true;
}

static bool rewrite_event(struct text record, struct buffer *out)
{
    struct outbox_event e;
    if (wire_read_event(record, &e) != BRINK_OK) {
        return false;
    }
    must(within(e.topic, record) && within(e.payload, record), "views into the record");
    must(e.qos >= 0 && e.qos <= 2, "a QoS");
    wire_write_event(out, &e);
    return true;
}

static bool rewrite_report(struct text record, struct buffer *out)
{
    static struct wire_report r;
    if (wire_read_report(record, &r) != BRINK_OK) {
        return false;
    }
    must(r.n <= WIRE_ANSWERS_MAX, "the answers");
    for (uint32_t i = 0; i < r.n; i++) {
        must(r.answers[i].verdict <= WIRE_REFUSED, "a verdict");
    }
    wire_write_report(out, &r);
    return true;
}

typedef bool rewrite_fn(struct text record, struct buffer *out);

static void check_kind(struct text record, enum wire_kind kind, rewrite_fn *rewrite)
{
    struct buffer once = {0}, twice = {0};
    if (rewrite(record, &once)) {
        must(wire_kind(record) == kind, "of the kind that it says");
        /* Flags may have been another truth than 1, and strings had more than one NUL. */
        must(buffer_ok(&once) && once.n <= record.n, "no longer than it came");
        must(rewrite(buffer_view(&once), &twice), "it is read again");
        must(text_equal(buffer_view(&once), buffer_view(&twice)), "... as it was");
    }
    buffer_finish(&once);
    buffer_finish(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text record = {(const char *)data, size};
    check_kind(record, WIRE_OPTIONS, rewrite_options);
    check_kind(record, WIRE_LOG, rewrite_log);
    check_kind(record, WIRE_EVENT, rewrite_event);
    check_kind(record, WIRE_REPORT, rewrite_report);
    return 0;
}
