#include "outbox/wire.h"

#include <string.h>

/* ---- Writing ---- */

static void put_u8(struct buffer *b, unsigned v)
{
    buffer_char(b, (char)(unsigned char)v);
}

static void put_u32(struct buffer *b, uint32_t v)
{
    buffer_put(b, &v, sizeof(v));
}

static void put_u64(struct buffer *b, uint64_t v)
{
    buffer_put(b, &v, sizeof(v));
}

static void put_text(struct buffer *b, struct text t)
{
    put_u32(b, (uint32_t)t.n);
    buffer_text(b, t);
}

/* With its NUL, so that the reader's view is a C string; NULL is a length of 0. */
static void put_string(struct buffer *b, const char *s)
{
    put_text(b, (struct text){s, s ? strlen(s) + 1 : 0});
}

static void begin(struct buffer *b, enum wire_kind kind)
{
    buffer_clear(b);
    put_u8(b, kind);
}

void wire_write_options(struct buffer *b, const struct mqtt_options *o)
{
    begin(b, WIRE_OPTIONS);
    put_u8(b, WIRE_VERSION);
    put_u32(b, (uint32_t)o->n_servers);
    for (size_t i = 0; i < o->n_servers; i++) {
        put_string(b, o->servers[i]);
    }
    put_u32(b, (uint32_t)o->version);
    put_string(b, o->client_id);
    put_string(b, o->username);
    put_string(b, o->password);
    put_u8(b, o->has_tls);
    put_string(b, o->ca_file);
    put_string(b, o->cert_file);
    put_string(b, o->key_file);
    put_u8(b, o->tls_insecure);
    put_u64(b, (uint64_t)o->keep_alive_us);
    put_u64(b, (uint64_t)o->session_expiry_us);
    put_u32(b, o->packet_bytes_max);
}

void wire_write_log(struct buffer *b, struct wire_log log)
{
    begin(b, WIRE_LOG);
    put_u8(b, log.level);
    put_u8(b, log.format);
}

void wire_write_event(struct buffer *b, const struct outbox_event *e)
{
    begin(b, WIRE_EVENT);
    put_u64(b, e->id);
    put_u8(b, (unsigned)e->qos);
    put_u8(b, e->retain);
    put_text(b, e->topic);
    put_text(b, e->payload);
}

void wire_write_report(struct buffer *b, const struct wire_report *r)
{
    begin(b, WIRE_REPORT);
    put_u8(b, r->connected);
    put_u32(b, r->blocked);
    put_u32(b, r->retried);
    put_u32(b, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        put_u64(b, r->answers[i].id);
        put_u8(b, r->answers[i].verdict);
    }
}

/* ---- Reading ---- */

/* What is left; once something did not fit, `failed` stays and all reads give nothing. */
struct reader {
    struct text rest;
    bool failed;
};

static const char *take(struct reader *r, size_t n)
{
    if (r->failed || r->rest.n < n) {
        r->failed = true;
        return NULL;
    }
    const char *p = r->rest.p;
    r->rest.p += n;
    r->rest.n -= n;
    return p;
}

static unsigned get_u8(struct reader *r)
{
    const char *p = take(r, 1);
    return p ? (unsigned char)*p : 0;
}

static uint32_t get_u32(struct reader *r)
{
    uint32_t v = 0;
    const char *p = take(r, sizeof(v));
    if (p) {
        memcpy(&v, p, sizeof(v));
    }
    return v;
}

static uint64_t get_u64(struct reader *r)
{
    uint64_t v = 0;
    const char *p = take(r, sizeof(v));
    if (p) {
        memcpy(&v, p, sizeof(v));
    }
    return v;
}

static struct text get_text(struct reader *r)
{
    size_t n = get_u32(r);
    const char *p = take(r, n);
    return (struct text){p, p ? n : 0};
}

static const char *get_string(struct reader *r)
{
    struct text t = get_text(r);
    if (t.n == 0) {
        return NULL;
    }
    if (t.p[t.n - 1] != '\0') {
        r->failed = true;
        return NULL;
    }
    return t.p;
}

static struct reader open_record(struct text record, enum wire_kind kind)
{
    struct reader r = {record, false};
    r.failed = get_u8(&r) != (unsigned)kind;
    return r;
}

static enum brink_status close_record(const struct reader *r)
{
    return r->failed || r->rest.n > 0 ? BRINK_E_SYNTAX : BRINK_OK;
}

enum wire_kind wire_kind(struct text record)
{
    unsigned kind = record.n > 0 ? (unsigned char)record.p[0] : 0;
    return kind >= WIRE_OPTIONS && kind <= WIRE_REPORT ? (enum wire_kind)kind
                                                       : (enum wire_kind)0;
}

enum brink_status wire_read_options(struct text record,
                                    const char *servers[WIRE_SERVERS_MAX],
                                    struct mqtt_options *ret_options)
{
    struct reader r = open_record(record, WIRE_OPTIONS);
    struct mqtt_options o = {0};
    r.failed = r.failed || get_u8(&r) != WIRE_VERSION;
    o.n_servers = get_u32(&r);
    r.failed = r.failed || o.n_servers > WIRE_SERVERS_MAX;
    for (size_t i = 0; !r.failed && i < o.n_servers; i++) {
        servers[i] = get_string(&r);
        r.failed = r.failed || !servers[i];
    }
    o.servers = servers;
    o.version = (int)get_u32(&r);
    o.client_id = get_string(&r);
    o.username = get_string(&r);
    o.password = get_string(&r);
    o.has_tls = get_u8(&r) != 0;
    o.ca_file = get_string(&r);
    o.cert_file = get_string(&r);
    o.key_file = get_string(&r);
    o.tls_insecure = get_u8(&r) != 0;
    o.keep_alive_us = (int64_t)get_u64(&r);
    o.session_expiry_us = (int64_t)get_u64(&r);
    o.packet_bytes_max = get_u32(&r);
    enum brink_status st = close_record(&r);
    if (st == BRINK_OK) {
        *ret_options = o;
    }
    return st;
}

enum brink_status wire_read_log(struct text record, struct wire_log *ret_log)
{
    struct reader r = open_record(record, WIRE_LOG);
    unsigned level = get_u8(&r), format = get_u8(&r);
    r.failed = r.failed || level > LOG_LEVEL_DEBUG || format > LOG_FORMAT_JOURNAL;
    enum brink_status st = close_record(&r);
    if (st == BRINK_OK) {
        *ret_log = (struct wire_log){(enum log_level)level, (enum log_format)format};
    }
    return st;
}

enum brink_status wire_read_event(struct text record, struct outbox_event *ret_event)
{
    struct reader r = open_record(record, WIRE_EVENT);
    struct outbox_event e = {.id = get_u64(&r)};
    unsigned qos = get_u8(&r);
    e.retain = get_u8(&r) != 0;
    e.topic = get_text(&r);
    e.payload = get_text(&r);
    r.failed = r.failed || qos > 2;
    e.qos = (int)qos;
    enum brink_status st = close_record(&r);
    if (st == BRINK_OK) {
        *ret_event = e;
    }
    return st;
}

enum brink_status wire_read_report(struct text record, struct wire_report *ret_report)
{
    struct reader r = open_record(record, WIRE_REPORT);
    bool connected = get_u8(&r) != 0;
    uint32_t blocked = get_u32(&r), retried = get_u32(&r), n = get_u32(&r);
    r.failed = r.failed || n > WIRE_ANSWERS_MAX;
    if (r.failed) {
        return BRINK_E_SYNTAX;
    }
    ret_report->connected = connected;
    ret_report->blocked = blocked;
    ret_report->retried = retried;
    ret_report->n = n;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t id = get_u64(&r);
        unsigned verdict = get_u8(&r);
        r.failed = r.failed || verdict > WIRE_REFUSED;
        ret_report->answers[i] = (struct wire_answer){id, (enum wire_verdict)verdict};
    }
    return close_record(&r);
}
