/* What no single key can say: defaults made of other keys, addresses, topics that meet.
 */
#include <stdlib.h>
#include <unistd.h>

#include "config/address.h"
#include "config/draft.h"
#include "config/file.h"

#define HOST_NAME_BYTES 256
#define DEFAULT_SERVER "mqtt://127.0.0.1:1883"

static struct position whole_file(const struct draft *d)
{
    return (struct position){d->c.path, 0, 0};
}

/* The place if the key is there, else the file. */
static struct position at_or_file(const struct draft *d, struct position at)
{
    return at.line ? at : whole_file(d);
}

/* Where byte `offset` of a text on one line stands. */
static struct position within(const struct draft *d, const struct placed *p,
                              size_t offset)
{
    struct position at = at_or_file(d, p->at);
    for (size_t i = 0; at.line && i < offset && p->s[i]; i++) {
        at.column += ((unsigned char)p->s[i] & 0xc0) != 0x80;
    }
    return at;
}

static void keep(struct reader *r, char **field, struct text t)
{
    *field = text_dup(t);
    r->failed = r->failed || !*field;
}

/* --- gateway --- */

static void settle_gateway(struct reader *r, struct draft *d)
{
    char host[HOST_NAME_BYTES] = "";
    if (!d->c.gateway.id) {
        if (gethostname(host, sizeof host - 1) != 0 || !text_is_utf8(text_of(host)) ||
            host[0] == '\0') {
            problem_add(
                r->problems, at_or_file(d, d->gateway_at),
                "`gateway.id` is missing, and this host has no name to take instead");
        } else {
            keep(r, &d->c.gateway.id, text_of(host));
        }
    }
    if (d->state_dir.s) {
        d->c.gateway.state_dir = file_beside(r->folder, d->state_dir.s);
        r->failed = r->failed || !d->c.gateway.state_dir;
    }
    if (d->state_dir_given) {
        return; /* or told */
    }
    const char *env = getenv("STATE_DIRECTORY");
    struct text first = {env, env ? strcspn(env, ":") : 0};
    if (first.n > 0) {
        keep(r, &d->c.gateway.state_dir, first);
    } else {
        problem_add(r->problems, at_or_file(d, d->gateway_at),
                    "`gateway.state_dir` is missing, and $STATE_DIRECTORY is not set");
    }
}

/* --- mqtt --- */

static void settle_servers(struct reader *r, struct draft *d)
{
    bool any_tls = false;
    size_t n = d->servers.given ? d->servers.n : 1;
    d->c.mqtt.servers = calloc(n ? n : 1, sizeof *d->c.mqtt.servers);
    if (!d->c.mqtt.servers) {
        r->failed = true;
        return;
    }
    if (!d->servers.given) {
        keep(r, &d->c.mqtt.servers[d->c.mqtt.n_servers++], TEXT(DEFAULT_SERVER));
    }
    for (size_t i = 0; i < d->servers.n; i++) {
        struct placed *server = &d->servers.items[i];
        const char *why = "";
        bool tls = false;
        if (address_mqtt(text_of(server->s), &tls, &why)) {
            problem_add(r->problems, server->at, "not the address of an MQTT server: %s",
                        why);
        }
        any_tls = any_tls || tls;
        d->c.mqtt.servers[d->c.mqtt.n_servers++] = server->s;
        server->s = NULL;
    }
    if (d->c.mqtt.tls.given && !any_tls) {
        problem_warn(
            r->problems, d->tls_at,
            "`mqtt.tls` has no effect: no server begins with mqtts:// or wss://");
    }
}

static bool gateway_lookup(void *ctx, struct text name, struct text *ret_value)
{
    *ret_value = text_of(ctx);
    return text_equal(name, TEXT("gateway"));
}

static void settle_status_topic(struct reader *r, struct draft *d)
{
    static const char *const names[] = {"gateway", NULL};
    const char *why = "";
    size_t at = 0;
    struct buffer topic = {0};
    if (!d->status_topic.s || !d->c.gateway.id) {
        return; /* told */
    }
    if (topic_template_check(text_of(d->status_topic.s), names, &why, &at)) {
        problem_add(r->problems, within(d, &d->status_topic, at),
                    "`mqtt.status_topic`: %s", why);
        return;
    }
    if (topic_expand(text_of(d->status_topic.s), gateway_lookup, d->c.gateway.id,
                     &topic) ||
        !buffer_ok(&topic)) {
        r->failed = true; /* names were checked: it can only be memory */
    } else {
        keep(r, &d->c.mqtt.status_topic, buffer_view(&topic));
    }
    buffer_finish(&topic);
}

static void settle_mqtt(struct reader *r, struct draft *d)
{
    settle_servers(r, d);
    settle_status_topic(r, d);
    if (!d->c.mqtt.client_id && d->c.gateway.id) {
        struct buffer id = {0};
        buffer_cstring(&id, "brink-");
        buffer_cstring(&id, d->c.gateway.id);
        r->failed = r->failed || !buffer_ok(&id);
        if (buffer_ok(&id)) {
            keep(r, &d->c.mqtt.client_id, buffer_view(&id));
        }
        buffer_finish(&id);
    }
    if (d->c.mqtt.tls.key_file && !d->c.mqtt.tls.cert_file) {
        problem_add(r->problems, d->key_file_at,
                    "`mqtt.tls.key_file` needs `mqtt.tls.cert_file`");
    }
    if (d->password_at.line && !d->c.mqtt.username && d->c.mqtt.version != 5) {
        problem_add(r->problems, d->password_at,
                    "with version 3.1.1 a password needs `mqtt.username`");
    }
}

/* --- telemetry --- */

static void tell_no_effect(struct reader *r, const struct telemetry_config *t, bool given,
                           const char *name, const char *format)
{
    if (given) {
        problem_warn(r->problems, t->at, "`telemetry.%s` has no effect with format: %s",
                     name, format);
    }
}

static void check_entry(struct reader *r, const struct telemetry_config *t)
{
    const char *format = t->format == TELEMETRY_JSON    ? "json"
                         : t->format == TELEMETRY_VALUE ? "value"
                                                        : "heartbeat";
    if (t->format != TELEMETRY_JSON) {
        tell_no_effect(r, t, t->metrics.given, "metrics", format);
        tell_no_effect(r, t, t->timestamp.given, "timestamp", format);
        tell_no_effect(r, t, t->site.given, "site", format);
        tell_no_effect(r, t, t->seq.given, "seq", format);
    }
    tell_no_effect(r, t, t->format != TELEMETRY_VALUE && t->metric, "metric", format);
    tell_no_effect(r, t, t->format == TELEMETRY_HEARTBEAT && t->n_values > 0, "values",
                   format);
    if (t->format != TELEMETRY_VALUE) {
        return;
    }
    bool in_topic = t->pattern.metric_level >= 0;
    if (!in_topic && !t->metric) {
        problem_add(
            r->problems, t->at,
            "format: value needs the metric's name: {metric} in the topic, or the key "
            "`metric`");
    } else if (in_topic && t->metric) {
        problem_add(
            r->problems, t->at,
            "both {metric} in the topic and the key `metric` name the metric: keep one");
    }
}

/* With the entries before it; an entry whose topic is none has no filter. */
static void check_overlaps(struct reader *r, const struct draft *d, size_t i)
{
    const struct telemetry_config *t = &d->c.telemetry[i];
    for (size_t k = 0; k < i; k++) {
        const struct telemetry_config *other = &d->c.telemetry[k];
        if (other->pattern.filter &&
            topic_filters_overlap(text_of(t->pattern.filter),
                                  text_of(other->pattern.filter))) {
            problem_add(
                r->problems, t->topic.at,
                "the topic `%s` overlaps with `%s` at %u:%u: one message could be both",
                t->topic.s, other->topic.s, other->topic.at.line, other->topic.at.column);
            return;
        }
    }
}

static void settle_telemetry(struct reader *r, struct draft *d)
{
    for (size_t i = 0; i < d->c.n_telemetry; i++) {
        struct telemetry_config *t = &d->c.telemetry[i];
        const char *why = "";
        if (!t->topic.s) {
            continue; /* told */
        }
        enum brink_status status =
            topic_pattern_init(&t->pattern, text_of(t->topic.s), &why);
        if (status) {
            t->pattern = (struct topic_pattern){0};
            r->failed = r->failed || status == BRINK_E_NOMEM;
            problem_add(r->problems, t->topic.at, "`telemetry.topic`: %s", why);
            continue;
        }
        check_entry(r, t);
        check_overlaps(r, d, i);
    }
}

/* --- alerts --- */

static bool is_own_name(const struct topic_pattern *p, size_t level)
{
    return (int)level == p->tenant_level || (int)level == p->device_level ||
           (int)level == p->metric_level;
}

static void free_names(char **names)
{
    for (size_t i = 0; names && names[i]; i++) {
        free(names[i]);
    }
    free(names);
}

/* The names that an alert topic may use: a list that ends in NULL, or NULL when memory is
 * out. */
static char **alert_names(const struct draft *d)
{
    static const char *const fixed[] = {"tenant",   "device",     "rule",
                                        "severity", "event_type", "gateway"};
    size_t n_fixed = sizeof fixed / sizeof *fixed, n = 0;
    char **names =
        calloc(n_fixed + d->c.n_telemetry * TOPIC_LABELS_MAX + 1, sizeof *names);
    bool whole = names != NULL;
    for (size_t i = 0; whole && i < n_fixed; i++) {
        names[n] = text_dup(text_of(fixed[i]));
        whole = names[n++] != NULL;
    }
    for (size_t i = 0; i < d->c.n_telemetry; i++) {
        const struct topic_pattern *p = &d->c.telemetry[i].pattern;
        for (size_t level = 0; whole && level < p->n_levels; level++) {
            if (p->levels[level].is_name && !is_own_name(p, level)) {
                names[n] = text_dup(p->levels[level].text);
                whole = names[n++] != NULL;
            }
        }
    }
    if (!whole) {
        free_names(names);
        return NULL;
    }
    return names;
}

static void check_alert_template(struct reader *r, const struct draft *d)
{
    const char *why = "";
    size_t at = 0;
    char **names = alert_names(d);
    if (!names) {
        r->failed = true;
        return;
    }
    const struct placed *topic = &d->alert_topic;
    if (topic_template_check(text_of(topic->s), (const char *const *)names, &why, &at)) {
        problem_add(r->problems, within(d, topic, at), "`alerts.topic`: %s", why);
    }
    free_names(names);
    bool tells_all = strstr(topic->s, "{tenant}") && strstr(topic->s, "{device}") &&
                     strstr(topic->s, "{rule}");
    if (d->c.alerts.retain && !tells_all) {
        problem_add(
            r->problems, at_or_file(d, d->retain_at),
            "`alerts.retain` needs {tenant}, {device} and {rule} in `alerts.topic`, or "
            "alerts would overwrite one another");
    }
}

/* What Brink publishes must not come back to it as telemetry. */
static void check_own_topics(struct reader *r, const struct draft *d)
{
    for (size_t i = 0; i < d->c.n_telemetry; i++) {
        const struct telemetry_config *t = &d->c.telemetry[i];
        if (!t->pattern.filter) {
            continue;
        }
        struct text filter = text_of(t->pattern.filter);
        if (topic_template_may_match(text_of(d->alert_topic.s), filter)) {
            problem_add(
                r->problems, t->topic.at,
                "the topic `%s` would also take in the alerts that `alerts.topic` (`%s`) "
                "publishes",
                t->topic.s, d->alert_topic.s);
        }
        if (d->c.mqtt.status_topic &&
            topic_filters_overlap(text_of(d->c.mqtt.status_topic), filter)) {
            problem_add(r->problems, t->topic.at,
                        "the topic `%s` would also take in `mqtt.status_topic` (`%s`)",
                        t->topic.s, d->c.mqtt.status_topic);
        }
    }
}

static void settle_alerts(struct reader *r, struct draft *d)
{
    if (!d->alert_topic.s) {
        return; /* told */
    }
    check_alert_template(r, d);
    check_own_topics(r, d);
    d->c.alerts.topic = d->alert_topic.s;
    d->alert_topic.s = NULL;
}

/* --- store, http --- */

static void settle_store(struct reader *r, struct draft *d)
{
    struct store_address a;
    const char *why = "";
    if (!d->store_address.s) {
        return; /* told */
    }
    if (address_store(text_of(d->store_address.s), &a, &why)) {
        problem_add(r->problems, at_or_file(d, d->store_address.at),
                    "`store.address`: %s", why);
        return;
    }
    d->c.store.kind = a.kind == ADDRESS_MEMORY ? STORE_MEMORY
                      : a.kind == ADDRESS_TCP  ? STORE_TCP
                                               : STORE_UNIX;
    d->c.store.tls = a.tls;
    d->c.store.port = a.port;
    d->c.store.db = a.db;
    if (a.kind == ADDRESS_TCP) {
        keep(r, &d->c.store.host, a.host);
    } else if (a.kind == ADDRESS_UNIX) {
        keep(r, &d->c.store.path, a.path);
    }
    d->c.store.address = d->store_address.s;
    d->store_address.s = NULL;
    if (d->c.store.username && !d->store_password_at.line) {
        problem_add(r->problems, at_or_file(d, d->store_at),
                    "`store.username` needs `store.password_file` (or `store.password`)");
    }
}

static void settle_http(struct reader *r, struct draft *d)
{
    const char *why = "";
    struct text host;
    if (!d->c.http.given || !d->http_listen.s) {
        return;
    }
    if (address_host_port(text_of(d->http_listen.s), &host, &d->c.http.port, &why)) {
        problem_add(r->problems, at_or_file(d, d->http_listen.at),
                    "`http.listen` must be host:port, as in 127.0.0.1:9464: %s", why);
        return;
    }
    keep(r, &d->c.http.host, host);
    for (const char *c = d->c.http.token; c && *c; c++) {
        if (*c <= ' ' || *c > '~') {
            problem_add(r->problems, d->http_token_at,
                        "`http.token` must be of printable ASCII without spaces");
            return;
        }
    }
}

void draft_settle(struct reader *r, struct draft *d)
{
    settle_gateway(r, d);
    settle_mqtt(r, d);
    settle_telemetry(r, d);
    settle_alerts(r, d);
    settle_store(r, d);
    settle_http(r, d);
}
