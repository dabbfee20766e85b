#include "decode/decode.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/number.h"
#include "decode/arena.h"
#include "decode/complain.h"
#include "decode/grammar.h"
#include "decode/json.h"
#include "decode/timestamp.h"
#include "model/topic.h"

/* SPEC 3.3: what a device's clock may say. */
#define TIME_EARLIEST_US (INT64_C(1000000000) * US_PER_S) /* 2001-09-09T01:46:40Z */

#define EXACT_BELOW 9007199254740992.0 /* 2^53: above, not every integer is a double */
#define SEQ_MAX (UINT64_C(1) << 63)

#define MESSAGES_AT_FIRST 64
#define MESSAGES_KEPT 1024 /* room that a reset leaves */

/* Up to so many readings, repeated names are found by comparing each with each. */
#define FEW_READINGS 16

struct decoder {
    const struct telemetry_config *telemetry;
    size_t n_telemetry;
    struct json_reader **readers; /* of each entry that is JSON */
    struct complaints complaints;
    struct timestamp_memo minute;
    struct decoder_gate gate;

    struct arena arena; /* readings of all messages, names and sites not in a payload */
    struct message *messages;
    size_t n_messages, cap_messages;

    /* The MQTT message at hand. */
    const struct raw_message *raw;
    const struct telemetry_config *entry;
    unsigned entry_index;
    struct topic_match match;
    struct topic_label *labels; /* of the match, in the arena; NULL: not yet */
    uint64_t readings_decoded;
    bool plain_topic; /* printable ASCII, and so are the ids in it */

    /* The payload at hand: all of it, or one element of an array. */
    struct reading readings[READINGS_PER_MESSAGE_MAX];
    size_t n_readings;
    bool out_of_memory;
};

enum brink_status decoder_new(const struct telemetry_config *telemetry,
                              size_t n_telemetry, struct decoder **ret_decoder)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) {
        return BRINK_E_NOMEM;
    }
    d->telemetry = telemetry;
    d->n_telemetry = n_telemetry;
    d->readers = calloc(n_telemetry ? n_telemetry : 1, sizeof(struct json_reader *));
    enum brink_status status = d->readers ? BRINK_OK : BRINK_E_NOMEM;
    for (size_t i = 0; i < n_telemetry && status == BRINK_OK; i++) {
        if (telemetry[i].format == TELEMETRY_JSON) {
            status = json_reader_new(&telemetry[i], &d->readers[i]);
        }
    }
    if (status != BRINK_OK) {
        decoder_free(d);
        return status;
    }
    *ret_decoder = d;
    return BRINK_OK;
}

void decoder_free(struct decoder *d)
{
    if (d) {
        for (size_t i = 0; d->readers && i < d->n_telemetry; i++) {
            json_reader_free(d->readers[i]);
        }
        free(d->readers);
        arena_finish(&d->arena);
        free(d->messages);
        free(d);
    }
}

void decoder_set_gate(struct decoder *d, const struct decoder_gate *gate)
{
    d->gate = *gate;
}

/* ---- memory ---- */

/* What the arena may hold, so that it and the list together stay within
 * DECODER_BYTES_MAX. */
static size_t arena_bytes_max(const struct decoder *d)
{
    size_t list = d->cap_messages * sizeof *d->messages;
    return list < DECODER_BYTES_MAX ? DECODER_BYTES_MAX - list : 0;
}

/* What lies in the payload lives as long as the message. */
static struct text keep(struct decoder *d, struct text t)
{
    uintptr_t from = (uintptr_t)d->raw->payload.p, at = (uintptr_t)t.p;
    if (at >= from && at - from < d->raw->payload.n) {
        return t;
    }
    return arena_copy(&d->arena, t, arena_bytes_max(d));
}

static bool has_room_for_message(struct decoder *d)
{
    if (d->n_messages < d->cap_messages) {
        return true;
    }
    size_t cap = d->cap_messages ? 2 * d->cap_messages : MESSAGES_AT_FIRST;
    if (cap > (DECODER_BYTES_MAX - d->arena.bytes) / sizeof *d->messages) {
        return false;
    }
    struct message *more = realloc(d->messages, cap * sizeof *more);
    if (!more) {
        return false;
    }
    d->messages = more;
    d->cap_messages = cap;
    return true;
}

const struct message *decoder_messages(const struct decoder *d, size_t *ret_n)
{
    *ret_n = d->n_messages;
    return d->messages;
}

bool decoder_is_full(const struct decoder *d)
{
    return d->arena.bytes + d->n_messages * sizeof *d->messages >= DECODER_BYTES_FULL;
}

void decoder_reset(struct decoder *d)
{
    arena_reset(&d->arena);
    d->n_messages = 0;
    if (d->cap_messages > MESSAGES_KEPT) {
        free(d->messages);
        d->messages = NULL;
        d->cap_messages = 0;
    }
}

/* ---- what is refused ---- */

static void refuse_n(struct decoder *d, enum counter why, uint64_t n)
{
    complain(&d->complaints, why, n, d->raw->topic, d->raw->arrived);
}

static void refuse(struct decoder *d, enum counter why)
{
    refuse_n(d, why, 1);
}

static bool is_name(struct text t, size_t bytes_max)
{
    return t.n > 0 && t.n <= bytes_max && (text_is_plain(t) || !text_has_control(t));
}

/* ---- one message ---- */

/* The topic's other names, kept once for all messages of one payload. */
static const struct topic_label *keep_labels(struct decoder *d)
{
    size_t bytes = d->match.n_labels * sizeof *d->labels;
    if (!d->labels && bytes > 0) {
        d->labels = arena_take(&d->arena, bytes, arena_bytes_max(d));
        if (d->labels) {
            memcpy(d->labels, d->match.labels, bytes);
        }
    }
    return d->labels;
}

/* Completes and lists a message; what is common to all of one MQTT message is set here.
 */
static void append(struct decoder *d, struct message m)
{
    struct reading *readings = NULL;
    size_t bytes = d->n_readings * sizeof *readings;
    if (d->n_readings > 0) {
        readings = arena_take(&d->arena, bytes, arena_bytes_max(d));
    }
    if (d->out_of_memory || (d->n_readings > 0 && !readings) ||
        !has_room_for_message(d)) {
        refuse(d, COUNT_DROP_NO_MEMORY);
        return;
    }
    if (readings) {
        memcpy(readings, d->readings, bytes);
    }
    m.tenant = d->match.tenant;
    m.device = d->match.device;
    m.arrived = d->raw->arrived;
    m.entry = d->entry_index;
    m.labels = keep_labels(d);
    m.n_labels = m.labels ? d->match.n_labels : 0;
    m.readings = readings;
    m.n_readings = d->n_readings;
    d->messages[d->n_messages++] = m;
    d->readings_decoded += d->n_readings;
}

static void begin_payload(struct decoder *d)
{
    d->n_readings = 0;
    d->out_of_memory = false;
}

static void add_reading(struct decoder *d, struct text name, double value)
{
    if (!is_name(name, METRIC_BYTES_MAX)) {
        refuse(d, COUNT_READING_NAME);
    } else if (!isfinite(value)) {
        refuse(d, COUNT_READING_NOT_FINITE);
    } else if (d->n_readings == READINGS_PER_MESSAGE_MAX) {
        refuse(d, COUNT_READING_LIMIT);
    } else {
        struct text kept = keep(d, name);
        d->out_of_memory = d->out_of_memory || !kept.p;
        d->readings[d->n_readings++] = (struct reading){kept, value};
    }
}

/* ---- json: time, site, sequence ---- */

static bool read_time(struct decoder *d, const struct json_value *v, struct wall *ret_at)
{
    double number;
    if (v->kind == JSON_NUMBER) {
        return timestamp_of_number(v->number, ret_at) == BRINK_OK;
    }
    /* A date first: 20260101 is one. */
    return v->kind == JSON_STRING &&
           (timestamp_parse_near(v->text, &d->minute, ret_at) == BRINK_OK ||
            (number_parse(v->text, &number) == BRINK_OK &&
             timestamp_of_number(number, ret_at) == BRINK_OK));
}

static void set_time(struct decoder *d, const struct json_value *v, struct message *m)
{
    struct wall at = {0};
    enum counter why;
    if (!d->entry->timestamp.given) {
        return; /* nothing is replaced where nothing was announced */
    }
    if (v->kind == JSON_ABSENT || v->kind == JSON_NULL) {
        why = COUNT_TIME_MISSING;
    } else if (!read_time(d, v, &at)) {
        why = COUNT_TIME_INVALID;
    } else if (at.us < TIME_EARLIEST_US) {
        why = COUNT_TIME_TOO_OLD;
    } else if (at.us - d->raw->arrived_wall.us > TIME_AHEAD_US_MAX) {
        why = COUNT_TIME_FUTURE;
    } else {
        m->at = at;
        m->at_is_arrival = false;
        return;
    }
    refuse(d, why);
}

/* A site that cannot be one counts as not said: it only narrows a rule's scope. */
static void set_site(struct decoder *d, const struct json_value *v, struct message *m)
{
    char number[NUMBER_BYTES];
    struct text site = {NULL, 0};
    if (v->kind == JSON_STRING) {
        site = v->text;
    } else if (v->kind == JSON_NUMBER && isfinite(v->number)) {
        site = (struct text){number, number_print_plain(v->number, number)};
    }
    if (is_name(site, SITE_BYTES_MAX)) {
        m->site = keep(d, site);
        d->out_of_memory = d->out_of_memory || !m->site.p;
    }
}

static bool read_seq(const struct json_value *v, uint64_t *ret_seq)
{
    uint64_t seq = UINT64_MAX;
    if (v->kind == JSON_STRING) {
        if (number_parse_u64(v->text, &seq) != BRINK_OK) {
            return false;
        }
    } else if (v->kind != JSON_NUMBER || !(v->number >= 0) ||
               v->number > (double)SEQ_MAX || v->number != floor(v->number)) {
        return false;
    } else if (v->number < EXACT_BELOW ||
               number_parse_u64(v->text, &seq) == BRINK_E_SYNTAX) {
        seq = (uint64_t)v->number; /* exact, or written with a point or an exponent */
    }
    if (seq > SEQ_MAX) {
        return false;
    }
    *ret_seq = seq;
    return true;
}

static void set_seq(struct decoder *d, const struct json_value *v, struct message *m)
{
    if (v->kind == JSON_ABSENT || v->kind == JSON_NULL) {
        return;
    }
    m->has_seq = read_seq(v, &m->seq);
    if (!m->has_seq) {
        refuse(d, COUNT_SEQ_INVALID);
    }
}

/* ---- json: readings ---- */

static void visit_metric(void *ctx, struct text name, double value)
{
    add_reading(ctx, name, value);
}

/* What needs no second look. */
static void take_readings(struct decoder *d, const struct json_payload *payload)
{
    for (size_t i = 0; i < payload->n_readings; i++) {
        struct reading *r = &d->readings[d->n_readings++];
        *r = payload->readings[i];
        r->metric = keep(d, r->metric);
        d->out_of_memory = d->out_of_memory || !r->metric.p;
    }
}

/* {"a": {"b": 1}, "a.b": 2} says one thing twice: the last counts, as everywhere. */
static void drop_repeated_names(struct decoder *d)
{
    struct map seen = {0};
    bool few = d->n_readings <= FEW_READINGS;
    struct reading *const end = d->readings + d->n_readings;
    struct reading *kept = end; /* from here on: those that stay */
    while (d->n_readings > 0) {
        struct reading *r = &d->readings[--d->n_readings];
        bool repeated = false;
        if (few) {
            for (const struct reading *k = kept; k < end && !repeated; k++) {
                repeated = text_equal(k->metric, r->metric);
            }
        } else if (map_get(&seen, r->metric)) {
            repeated = true;
        } else if (map_put(&seen, r->metric, r) != BRINK_OK) {
            d->out_of_memory = true;
        }
        if (!repeated) {
            *--kept = *r;
        }
    }
    map_finish(&seen);
    d->n_readings = (size_t)(end - kept);
    memmove(d->readings, kept, d->n_readings * sizeof *kept);
}

static void visit_end(void *ctx, const struct json_payload *payload)
{
    struct decoder *d = ctx;
    if (payload->metrics == JSON_METRICS_ABSENT) {
        refuse(d, COUNT_DROP_NO_MEMBER);
    } else if (payload->metrics == JSON_METRICS_NO_OBJECT) {
        refuse(d, COUNT_DROP_NOT_NUMBER);
    } else {
        struct message m = {.at = d->raw->arrived_wall, .at_is_arrival = true};
        set_time(d, &payload->timestamp, &m);
        set_site(d, &payload->site, &m);
        set_seq(d, &payload->seq, &m);
        if (payload->joined && !d->out_of_memory) {
            drop_repeated_names(d);
        }
        m.shape = payload->shape;
        take_readings(d, payload);
        append(d, m); /* without readings: a sign of life all the same */
    }
    begin_payload(d);
}

static void add_json(struct decoder *d)
{
    const struct json_visitor visitor = {d, visit_metric, visit_end};
    size_t left_out = 0;
    begin_payload(d);
    switch (
        json_visit(d->raw->payload, d->readers[d->entry_index], &visitor, &left_out)) {
    case BRINK_OK:
        break;
    case BRINK_E_SYNTAX:
        refuse(d, COUNT_DROP_NOT_JSON);
        break;
    default:
        refuse(d, COUNT_DROP_NO_MEMORY);
        break;
    }
    if (left_out > 0) {
        refuse_n(d, COUNT_DROP_MESSAGE_LIMIT, left_out);
    }
}

/* ---- value ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct text trim(struct text t)
{
    while (t.n > 0 && is_space(t.p[0])) {
        t.p++;
        t.n--;
    }
    while (t.n > 0 && is_space(t.p[t.n - 1])) {
        t.n--;
    }
    return t;
}

static enum brink_status read_value(const struct telemetry_config *entry, struct text t,
                                    double *ret_value)
{
    if (json_named_value(entry, t, ret_value)) {
        return BRINK_OK;
    }
    if (text_equal(t, TEXT("true")) || text_equal(t, TEXT("false"))) {
        *ret_value = t.n == 4;
        return BRINK_OK;
    }
    return number_parse(t, ret_value);
}

/* The message is its one reading: without it, it is dropped, under the reading's reason.
 */
static void add_value(struct decoder *d, struct text metric, enum brink_status status,
                      double value)
{
    if (status != BRINK_OK && status != BRINK_E_RANGE) {
        refuse(d, COUNT_DROP_NOT_NUMBER);
        return;
    }
    begin_payload(d);
    add_reading(d, metric, status == BRINK_OK ? value : (double)INFINITY);
    if (d->n_readings == 1) {
        append(d, (struct message){.at = d->raw->arrived_wall, .at_is_arrival = true});
    }
}

/* `[20.5, true, "ON"]` is three messages. A string counts by its name alone. */
static void add_element(struct decoder *d, struct text metric, struct text t)
{
    double value = 0;
    enum brink_status status = BRINK_E_SYNTAX;
    if (t.p[0] != '"') {
        status = read_value(d->entry, t, &value);
    } else if (json_named_value(d->entry, (struct text){t.p + 1, t.n - 2}, &value)) {
        status = BRINK_OK;
    }
    add_value(d, metric, status, value);
}

static void add_value_array(struct decoder *d, struct text metric, struct text array)
{
    if (!json_is_valid(array)) {
        refuse(d, COUNT_DROP_NOT_JSON);
        return;
    }
    struct text rest = {array.p + 1, array.n - 2};
    size_t n = 0;
    for (struct text t; (t = json_next_value(rest)).n > 0; n++) {
        rest.n -= (size_t)(t.p + t.n - rest.p);
        rest.p = t.p + t.n;
        if (n < MESSAGES_PER_PAYLOAD_MAX) {
            add_element(d, metric, t);
        }
    }
    if (n > MESSAGES_PER_PAYLOAD_MAX) {
        refuse_n(d, COUNT_DROP_MESSAGE_LIMIT, n - MESSAGES_PER_PAYLOAD_MAX);
    }
}

static void add_values(struct decoder *d)
{
    struct text metric = d->match.metric, t = trim(d->raw->payload);
    if (d->entry->pattern.metric_level < 0 && d->entry->metric) {
        metric = text_of(d->entry->metric);
    }
    double value = 0;
    enum brink_status status = read_value(d->entry, t, &value);
    if (status == BRINK_E_SYNTAX && t.n > 0 && t.p[0] == '[') {
        add_value_array(d, metric, t);
    } else {
        add_value(d, metric, status, value);
    }
}

/* ---- topic ---- */

static bool match_entry(struct decoder *d)
{
    for (size_t i = 0; i < d->n_telemetry; i++) {
        if (topic_pattern_match(&d->telemetry[i].pattern, d->raw->topic, &d->match)) {
            d->entry = &d->telemetry[i];
            d->entry_index = (unsigned)i;
            return true;
        }
    }
    return false;
}

static bool is_admitted(struct decoder *d, uint32_t n)
{
    enum counter why = COUNT_DROP_DEVICE_RATE;
    bool yes = !d->gate.ctx || d->gate.admit(d->gate.ctx, d->match.tenant,
                                             d->match.device, n, d->raw->arrived, &why);
    if (!yes && n == 1) {
        refuse(d, why);
    }
    return yes;
}

static void add_payload(struct decoder *d)
{
    size_t before = d->n_messages;
    if (d->entry->format == TELEMETRY_VALUE) {
        add_values(d);
    } else {
        add_json(d);
    }
    if (d->n_messages > before + 1) { /* an array: its first was counted */
        (void)is_admitted(d, (uint32_t)(d->n_messages - before - 1));
    }
}

static bool is_id(const struct decoder *d, struct text t)
{
    return d->plain_topic ? t.n > 0 && t.n <= ID_BYTES_MAX : is_name(t, ID_BYTES_MAX);
}

static void add_matched(struct decoder *d)
{
    if (!is_id(d, d->match.tenant) || !is_id(d, d->match.device)) {
        refuse(d, COUNT_DROP_BAD_ID);
    } else if (d->raw->retained && !d->entry->evaluate_retained) {
        refuse(d, COUNT_DROP_RETAINED);
    } else if (!is_admitted(d, 1)) {
        return;
    } else if (d->entry->format == TELEMETRY_HEARTBEAT) {
        /* Whatever it says, and however long it is. */
        begin_payload(d);
        append(d, (struct message){.at = d->raw->arrived_wall,
                                   .at_is_arrival = true,
                                   .heartbeat = true});
    } else if (d->raw->too_large) {
        refuse(d, COUNT_DROP_TOO_LARGE);
    } else {
        add_payload(d);
    }
}

void decoder_add(struct decoder *d, const struct raw_message *raw)
{
    d->raw = raw;
    d->labels = NULL;
    d->readings_decoded = 0;
    d->plain_topic = text_is_plain(raw->topic);
    if ((d->plain_topic || text_is_utf8(raw->topic)) && match_entry(d)) {
        add_matched(d);
    } else {
        refuse(d, COUNT_DROP_BAD_TOPIC);
    }
    if (d->readings_decoded > 0) {
        count_add(COUNT_READINGS, d->readings_decoded);
    }
    d->raw = NULL;
}
