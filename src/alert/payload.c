#include "alert/payload.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

const char *alert_operator(const struct expr *comparison)
{
    switch (comparison ? comparison->kind : EXPR_NUMBER) {
    case EXPR_GT:
        return ">";
    case EXPR_GE:
        return ">=";
    case EXPR_LT:
        return "<";
    case EXPR_LE:
        return "<=";
    case EXPR_EQ:
        return "==";
    case EXPR_NE:
        return "!=";
    default:
        return NULL;
    }
}

/* --- id --- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * UINT64_C(1099511628211); /* FNV-1a */
    }
    return h;
}

/* The finalizer of MurmurHash3: without it FNV leaves the last bytes' traces visible. */
static uint64_t finish(uint64_t h)
{
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

void alert_id_print(const char *rule, const char *tenant, const char *device,
                    struct wall onset, char out[ALERT_ID_BYTES])
{
    uint64_t seeds[2] = {UINT64_C(14695981039346656037), UINT64_C(0x9e3779b97f4a7c15)};
    unsigned char stamp[8];
    for (size_t i = 0; i < sizeof stamp; i++) {
        stamp[i] =
            (unsigned char)((uint64_t)onset.us >> (8 * i)); /* the same on any machine */
    }
    for (size_t k = 0; k < 2; k++) {
        /* The NUL goes in too and keeps the parts apart. */
        uint64_t h = mix(seeds[k], rule, strlen(rule) + 1);
        h = mix(h, tenant, strlen(tenant) + 1);
        h = mix(h, device, strlen(device) + 1);
        h = finish(mix(h, stamp, sizeof stamp));
        snprintf(out + 16 * k, 17, "%016llx", (unsigned long long)h);
    }
}

/* --- message --- */

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static const char *metric_of(const struct expr *e)
{
    while (e && expr_operands(e->kind) > 0) {
        e = e->left;
    }
    return e && e->metric ? e->metric : "";
}

static void put_number(struct buffer *out, bool known, double v, struct text format)
{
    if (!known) {
        buffer_char(out, '?');
    } else if (format.n == 4) { /* ":.2f" */
        buffer_format(out, "%.*f", format.p[2] - '0', v);
    } else {
        /* For people: an average's last bits say nothing. The details have it exact. */
        buffer_format(out, "%.9g", v);
    }
}

static void put_name(const struct alert_facts *f, struct text name, struct text format,
                     struct buffer *out)
{
    const struct {
        struct text name;
        const char *value;
    } texts[] = {
        {TEXT("tenant"), f->tenant},
        {TEXT("device"), f->device},
        {TEXT("site"), f->site},
        {TEXT("rule"), f->rule},
        {TEXT("name"), f->rule_name},
        {TEXT("severity"), severity_name(f->severity)},
        {TEXT("operator"), alert_operator(f->comparison)},
        {TEXT("metric"), metric_of(f->comparison)},
        {TEXT("event"), alert_event_name(f->event)},
    };
    bool known = f->values_known && alert_operator(f->comparison);
    if (text_equal(name, TEXT("value"))) {
        put_number(out, known, f->left, format);
    } else if (text_equal(name, TEXT("threshold"))) {
        put_number(out, known, f->right, format);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (text_equal(name, texts[i].name)) {
            buffer_cstring(out, or_empty(texts[i].value));
        }
    }
}

void alert_message_print(const struct alert_facts *f, struct buffer *out)
{
    const char *p = f->message;
    if (!p) {
        bool compared = alert_operator(f->comparison) && f->values_known;
        p = compared ? "{name}: {value} {operator} {threshold}" : "{name}";
    }
    while (*p) {
        const char *end = *p == '{' && p[1] != '{' ? strchr(p, '}') : NULL;
        if (end) {
            size_t n = strcspn(p + 1, ":}");
            put_name(f, (struct text){p + 1, n},
                     (struct text){p + 1 + n, (size_t)(end - (p + 1 + n))}, out);
            p = end + 1;
        } else {
            bool doubled = (*p == '{' || *p == '}') && p[1] == *p;
            buffer_char(out, *p);
            p += doubled ? 2 : 1;
        }
    }
}

/* --- payload --- */

static void put_key(struct buffer *out, const char *key)
{
    buffer_char(out, ',');
    buffer_json_string(out, text_of(key));
    buffer_char(out, ':');
}

static void put_text(struct buffer *out, const char *key, const char *value)
{
    put_key(out, key);
    if (value) {
        buffer_json_string(out, text_of(value));
    } else {
        buffer_cstring(out, "null");
    }
}

static void put_double(struct buffer *out, bool known, double v)
{
    char text[NUMBER_BYTES];
    if (known) {
        number_print(v, text);
    }
    buffer_cstring(out, known ? text : "null");
}

static void put_seconds(struct buffer *out, bool known, struct wall at)
{
    char text[NUMBER_BYTES];
    if (known) {
        number_print_seconds(at.us, text);
    }
    buffer_cstring(out, known ? text : "null");
}

static void put_stamp(struct buffer *out, const char *key, bool given, struct wall at)
{
    char iso[CLOCK_ISO_BYTES];
    wall_format_iso(at, iso);
    put_text(out, key, given ? iso : NULL);
}

static void put_window(struct buffer *out, const struct alert_window *w, struct wall now)
{
    size_t n = w->window ? span_count(w->window, w->span, now) : 0;
    buffer_cstring(out, "{\"metric_name\":");
    buffer_json_string(out, text_of(w->metric));
    put_text(out, "aggregation", window_fn_name(w->fn));
    put_key(out, "window_seconds");
    put_double(out, w->width_us > 0, (double)w->width_us / (double)US_PER_S);
    if (w->last > 0) {
        buffer_format(out, ",\"window_count\":%u", w->last);
    }
    buffer_format(out, ",\"count\":%zu,\"first_ts\":", n);
    put_seconds(out, n > 0, n > 0 ? span_at(w->window, w->span, 0).at : now);
    put_key(out, "last_ts");
    put_seconds(out, n > 0, n > 0 ? span_at(w->window, w->span, n - 1).at : now);
    put_key(out, "points");
    buffer_char(out, '[');
    for (size_t i = n > ALERT_POINTS_MAX ? n - ALERT_POINTS_MAX : 0, first = i; i < n;
         i++) {
        struct point p = span_at(w->window, w->span, i);
        buffer_cstring(out, i > first ? ",[" : "[");
        put_seconds(out, true, p.at);
        buffer_char(out, ',');
        put_double(out, true, p.value);
        buffer_char(out, ']');
    }
    buffer_cstring(out, "]}");
}

static void put_held(struct buffer *out, const struct alert_held *h)
{
    if (!h) {
        return;
    }
    buffer_format(out, ",\"held_back\":{\"events\":%llu,\"waiting\":%zu,\"rules\":{",
                  (unsigned long long)h->events, h->waiting);
    for (size_t i = 0; i < h->n_rules; i++) {
        if (i > 0) {
            buffer_char(out, ',');
        }
        buffer_json_string(out, text_of(h->rules[i].rule));
        buffer_format(out, ":%zu", h->rules[i].n);
    }
    buffer_cstring(out, "}}");
}

static void put_details(struct buffer *out, const struct alert_facts *f)
{
    bool known = f->values_known && alert_operator(f->comparison);
    put_key(out, "details");
    buffer_cstring(out, "{\"expression\":");
    if (f->expression) {
        buffer_json_string(out, text_of(f->expression));
    } else {
        buffer_cstring(out, "null");
    }
    put_key(out, "value");
    put_double(out, known, f->left);
    put_text(out, "operator", alert_operator(f->comparison));
    put_key(out, "threshold");
    put_double(out, known, f->right);
    put_key(out, "windows");
    buffer_char(out, '[');
    for (size_t i = 0; i < f->n_windows; i++) {
        if (i > 0) {
            buffer_char(out, ',');
        }
        put_window(out, &f->windows[i], f->now);
    }
    buffer_char(out, ']');
    put_held(out, f->held);
    buffer_char(out, '}');
}

void alert_payload_print(const struct alert_facts *f, struct buffer *out)
{
    char id[ALERT_ID_BYTES];
    struct buffer message = {0};
    alert_id_print(f->rule, f->tenant, f->device, f->onset, id);
    alert_message_print(f, &message);
    buffer_cstring(out, "{\"schema\":\"brink.alert/1\"");
    put_text(out, "alert_id", id);
    put_text(out, "event_type", alert_event_name(f->event));
    put_text(out, "alert_type", f->alert_type);
    put_text(out, "tenant_id", f->tenant);
    put_text(out, "device_id", f->device);
    put_text(out, "site_id", f->site);
    put_text(out, "rule_id", f->rule);
    put_text(out, "rule_name", f->rule_name);
    put_text(out, "severity", severity_name(f->severity));
    put_text(out, "message", buffer_cstr(&message));
    put_stamp(out, "triggered_at", true, f->triggered_at);
    put_stamp(out, "event_at", true, f->event_at);
    put_stamp(out, "closed_at", f->event == ALERT_CLOSED, f->event_at);
    buffer_format(out, ",\"trigger_count\":%u", f->trigger_count);
    put_text(out, "gateway_id", f->gateway);
    buffer_cstring(out, f->degraded ? ",\"degraded\":true" : ",\"degraded\":false");
    if (f->reason) {
        put_text(out, "reason", f->reason);
    }
    put_key(out, "labels");
    buffer_char(out, '{');
    for (size_t i = 0; i < f->n_labels; i++) {
        if (i > 0) {
            buffer_char(out, ',');
        }
        buffer_json_string(out, text_of(f->label_keys[i]));
        buffer_char(out, ':');
        buffer_json_string(out, text_of(f->label_values[i]));
    }
    buffer_char(out, '}');
    put_details(out, f);
    buffer_char(out, '}');
    out->failed = out->failed || !buffer_ok(&message);
    buffer_finish(&message);
}
