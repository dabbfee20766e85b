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
        for (size_t i = 0; i < 16; i++) {
            out[16 * k + i] = "0123456789abcdef"[h >> (60 - 4 * i) & 15];
        }
    }
    out[32] = '\0';
}

/* --- message --- */

static const char *metric_of(const struct expr *e)
{
    while (e && expr_operands(e->kind) > 0) {
        e = e->left;
    }
    return e ? e->metric : NULL;
}

/* "name: value operator threshold", or the name alone. */
static void print_default(const struct template_values *v, struct bounded *out)
{
    const struct format plain = FORMAT_PLAIN;
    bounded_put(out, text_of(v->texts[TEMPLATE_NAME]));
    if (v->compared) {
        bounded_put(out, TEXT(": "));
        format_number(&plain, v->value, out);
        bounded_put(out, TEXT(" "));
        bounded_put(out, text_of(v->texts[TEMPLATE_OPERATOR]));
        bounded_put(out, TEXT(" "));
        format_number(&plain, v->threshold, out);
    }
}

const char *alert_message_print(const struct alert_facts *f,
                                char out[ALERT_MESSAGE_BYTES])
{
    struct bounded text = {.p = out, .cap = ALERT_MESSAGE_BYTES - 1};
    const char *op = alert_operator(f->comparison);
    const struct template_values v = {
        .texts = {[TEMPLATE_TENANT] = f->tenant,
                  [TEMPLATE_DEVICE] = f->device,
                  [TEMPLATE_SITE] = f->site,
                  [TEMPLATE_RULE] = f->rule,
                  [TEMPLATE_NAME] = f->rule_name,
                  [TEMPLATE_SEVERITY] = severity_name(f->severity),
                  [TEMPLATE_OPERATOR] = op,
                  [TEMPLATE_METRIC] = metric_of(f->comparison),
                  [TEMPLATE_EVENT] = alert_event_name(f->event),
                  [TEMPLATE_GATEWAY] = f->gateway},
        .compared = f->values_known && op,
        .value = f->left,
        .threshold = f->right,
        .labels = f->label_values,
        .metric = f->metric,
        .ctx = f->metric_ctx,
    };
    if (f->message) {
        template_print(f->message, &v, &text);
    } else if (f->text) {
        bounded_put(&text, text_of(f->text));
    } else {
        print_default(&v, &text);
    }
    out[text.n] = '\0';
    return out;
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
    char message[ALERT_MESSAGE_BYTES];
    alert_id_print(f->rule, f->tenant, f->device, f->onset, id);
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
    put_text(out, "message", alert_message_print(f, message));
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
}
