/* Every key of the configuration file (SPEC 2): docs/CONFIGURATION.md says the same in
 * words. */
#include <stdlib.h>

#include "base/rate.h"
#include "config/draft.h"

#define CONFIG(field) offsetof(struct draft, c.field)
#define DRAFT(field) offsetof(struct draft, field)
#define CONFIG_AT(field) FLAG_AT(struct draft, c.field)
#define DRAFT_AT(field) FLAG_AT(struct draft, field)

static const struct choice mqtt_versions[] = {{"5", 5, NULL}, {"3.1.1", 3, NULL}, {0}};
static const struct choice formats[] = {
    {"json", TELEMETRY_JSON, NULL},
    {"value", TELEMETRY_VALUE, NULL},
    {"heartbeat", TELEMETRY_HEARTBEAT, NULL},
    {0},
};
static const struct choice retained[] = {{"ignore", 0, NULL}, {"evaluate", 1, NULL}, {0}};
static const struct choice syncs[] = {{"normal", 0, NULL}, {"always", 1, NULL}, {0}};
static const struct choice fallbacks[] = {{"none", 0, NULL}, {"memory", 1, NULL}, {0}};
static const struct choice log_levels[] = {
    {"error", LOG_LEVEL_ERROR, NULL},
    {"warning", LOG_LEVEL_WARNING, NULL},
    {"info", LOG_LEVEL_INFO, NULL},
    {"debug", LOG_LEVEL_DEBUG, NULL},
    {0},
};
static const struct choice log_formats[] = {
    {"text", LOG_FORMAT_TEXT, NULL},
    {"json", LOG_FORMAT_JSON, NULL},
    {"journal", LOG_FORMAT_JOURNAL, NULL},
    {0},
};

/* --- telemetry entries --- */

/* RFC 6901: in a token ~1 stands for / and ~0 for ~. */
static bool unescape_token(struct text raw, struct buffer *out)
{
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '~') {
            i++;
            if (i == raw.n || (raw.p[i] != '0' && raw.p[i] != '1')) {
                return false;
            }
            c = raw.p[i] == '0' ? '~' : '/';
        }
        buffer_char(out, c);
    }
    return true;
}

static void clear_pointer(struct json_pointer *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->tokens[i]);
    }
    free(p->tokens);
    p->tokens = NULL;
    p->n = 0;
}

static bool add_token(struct reader *r, struct json_pointer *p, struct text raw)
{
    struct buffer token = {0};
    bool fits = unescape_token(raw, &token) && p->n < CONFIG_POINTER_TOKENS_MAX;
    if (fits) {
        char *copy = buffer_ok(&token) ? text_dup(text_of(buffer_cstr(&token))) : NULL;
        r->failed = r->failed || !copy;
        if (copy) {
            p->tokens[p->n++] = copy;
        }
    }
    buffer_finish(&token);
    return fits;
}

static void read_pointer(struct reader *r, const char *name, const struct node *n,
                         void *field)
{
    struct json_pointer *p = field;
    clear_pointer(p); /* the default */
    struct text t = n->text;
    bool is_text = n->kind == NODE_SCALAR;
    p->tokens = calloc(CONFIG_POINTER_TOKENS_MAX, sizeof *p->tokens);
    r->failed = r->failed || !p->tokens;
    if (!p->tokens || n->kind == NODE_BAD) {
        return;
    }
    bool fits =
        is_text && (t.n == 0 || t.p[0] == '/') && !memchr(t.n ? t.p : "", '\0', t.n);
    for (size_t i = 0; fits && i < t.n;) {
        const char *slash = memchr(t.p + i + 1, '/', t.n - i - 1);
        size_t end = slash ? (size_t)(slash - t.p) : t.n;
        fits = add_token(r, p, (struct text){t.p + i + 1, end - i - 1});
        i = end;
    }
    if (!fits) {
        problem_add(
            r->problems, n->at,
            "`%s` must be a JSON Pointer such as /data/metrics, or \"\" for the whole "
            "payload",
            name);
    }
}

static void read_values(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct telemetry_config *t = field;
    if (!schema_is_mapping(r, name, n)) {
        return;
    }
    if (n->n > CONFIG_VALUES_MAX) {
        problem_add(r->problems, n->at, "`%s` has more than %d names", name,
                    CONFIG_VALUES_MAX);
        return;
    }
    t->values = calloc(n->n ? n->n : 1, sizeof *t->values);
    if (!t->values) {
        r->failed = true;
        return;
    }
    for (const struct node *member = n->first; member; member = member->next) {
        char member_name[SCHEMA_NAME_BYTES];
        struct value_name *v = &t->values[t->n_values];
        schema_member_name(name, member, member_name);
        if (schema_number(r, member_name, member, &v->value) &&
            schema_text(r, name, member->key, 0, 0, &v->text)) {
            t->n_values++;
        }
    }
}

#define ENTRY(field) offsetof(struct telemetry_config, field)
#define ENTRY_AT(field) FLAG_AT(struct telemetry_config, field)

static const struct key telemetry_keys[] = {
    {.name = "topic",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = ENTRY(topic),
     .max = TOPIC_BYTES_MAX},
    {.name = "qos", .kind = KEY_WHOLE, .offset = ENTRY(qos), .max = 2, .initial = "1"},
    {.name = "format",
     .kind = KEY_CHOICE,
     .offset = ENTRY(format),
     .choices = formats,
     .initial = "json"},
    {.name = "metrics",
     .kind = KEY_OTHER,
     .offset = ENTRY(metrics),
     .given = ENTRY_AT(metrics.given),
     .read = read_pointer,
     .initial = "/metrics"},
    {.name = "metric", .kind = KEY_TEXT, .offset = ENTRY(metric), .max = 256},
    {.name = "values", .kind = KEY_OTHER, .read = read_values},
    {.name = "timestamp",
     .kind = KEY_OTHER,
     .offset = ENTRY(timestamp),
     .given = ENTRY_AT(timestamp.given),
     .read = read_pointer},
    {.name = "site",
     .kind = KEY_OTHER,
     .offset = ENTRY(site),
     .given = ENTRY_AT(site.given),
     .read = read_pointer},
    {.name = "seq",
     .kind = KEY_OTHER,
     .offset = ENTRY(seq),
     .given = ENTRY_AT(seq.given),
     .read = read_pointer},
    {.name = "retained",
     .kind = KEY_CHOICE,
     .flags = KEY_AS_BOOL,
     .offset = ENTRY(evaluate_retained),
     .choices = retained,
     .initial = "ignore"},
};
const struct schema telemetry_schema = {SCHEMA_OF("telemetry.", telemetry_keys),
                                        .place = ENTRY_AT(at)};

static void read_telemetry(struct reader *r, const char *name, const struct node *n,
                           void *field)
{
    struct draft *d = field;
    void *items = NULL;
    schema_read_list(r, name, &telemetry_schema, n, CONFIG_TELEMETRY_MAX,
                     sizeof *d->c.telemetry, &items, &d->c.n_telemetry);
    d->c.telemetry = items;
    if (n->kind == NODE_LIST && n->n == 0) {
        problem_add(r->problems, n->at, "`%s` is empty: name a topic to subscribe to",
                    name);
    }
}

/* --- the sections --- */

static const struct key gateway_keys[] = {
    {.name = "id",
     .kind = KEY_TEXT,
     .offset = CONFIG(gateway.id),
     .max = CONFIG_GATEWAY_ID_BYTES_MAX},
    {.name = "state_dir",
     .kind = KEY_PLACED,
     .offset = DRAFT(state_dir),
     .given = DRAFT_AT(state_dir_given)},
};
static const struct schema gateway_schema = {SCHEMA_OF("gateway.", gateway_keys)};

static const struct key tls_keys[] = {
    {.name = "ca_file", .kind = KEY_FILE, .offset = CONFIG(mqtt.tls.ca_file)},
    {.name = "cert_file", .kind = KEY_FILE, .offset = CONFIG(mqtt.tls.cert_file)},
    {.name = "key_file",
     .kind = KEY_FILE,
     .offset = CONFIG(mqtt.tls.key_file),
     .place = DRAFT_AT(key_file_at)},
    {.name = "insecure",
     .kind = KEY_BOOL,
     .offset = CONFIG(mqtt.tls.insecure),
     .initial = "false"},
};
static const struct schema tls_schema = {SCHEMA_OF("mqtt.tls.", tls_keys)};

static const struct key mqtt_keys[] = {
    {.name = "servers",
     .kind = KEY_TEXTS,
     .flags = KEY_NOT_EMPTY,
     .offset = DRAFT(servers),
     .list_max = CONFIG_SERVERS_MAX},
    {.name = "version",
     .kind = KEY_CHOICE,
     .offset = CONFIG(mqtt.version),
     .choices = mqtt_versions,
     .initial = "5"},
    {.name = "client_id",
     .kind = KEY_TEXT,
     .offset = CONFIG(mqtt.client_id),
     .max = 1024},
    {.name = "username", .kind = KEY_TEXT, .offset = CONFIG(mqtt.username), .max = 65535},
    {.name = "password",
     .kind = KEY_SECRET,
     .offset = CONFIG(mqtt.password),
     .place = DRAFT_AT(password_at)},
    {.name = "tls",
     .kind = KEY_MAPPING,
     .given = CONFIG_AT(mqtt.tls.given),
     .place = DRAFT_AT(tls_at),
     .within = &tls_schema},
    {.name = "keep_alive",
     .kind = KEY_DURATION,
     .offset = CONFIG(mqtt.keep_alive_us),
     .min = 1e6,
     .max = 18 * HOUR_US, /* MQTT counts it in 16 bits of seconds */
     .initial = "30s"},
    {.name = "session_expiry",
     .kind = KEY_DURATION,
     .offset = CONFIG(mqtt.session_expiry_us),
     .max = 365 * DAY_US,
     .initial = "1h"},
    {.name = "inbox",
     .kind = KEY_WHOLE,
     .offset = CONFIG(mqtt.inbox),
     .max = 1000000,
     .initial = "1024"},
    {.name = "status_topic",
     .kind = KEY_PLACED,
     .offset = DRAFT(status_topic),
     .max = TOPIC_BYTES_MAX,
     .initial = "brink/{gateway}/status"},
};
static const struct schema mqtt_schema = {SCHEMA_OF("mqtt.", mqtt_keys)};

static const struct key storm_keys[] = {
    {.name = "alerts",
     .kind = KEY_WHOLE,
     .flags = KEY_REQUIRED,
     .offset = CONFIG(alerts.storm_alerts),
     .min = 1,
     .max = 1000000},
    {.name = "within",
     .kind = KEY_DURATION,
     .flags = KEY_REQUIRED,
     .offset = CONFIG(alerts.storm_within_us),
     .min = 1e6,
     .max = DAY_US},
};
static const struct schema storm_schema = {SCHEMA_OF("alerts.storm.", storm_keys)};

static const struct key alert_keys[] = {
    {.name = "topic",
     .kind = KEY_PLACED,
     .offset = DRAFT(alert_topic),
     .max = TOPIC_BYTES_MAX,
     .initial = "alerts/{tenant}/{device}/{rule}"},
    {.name = "qos",
     .kind = KEY_WHOLE,
     .offset = CONFIG(alerts.qos),
     .max = 2,
     .initial = "1"},
    {.name = "retain",
     .kind = KEY_BOOL,
     .offset = CONFIG(alerts.retain),
     .place = DRAFT_AT(retain_at),
     .initial = "false"},
    {.name = "sync",
     .kind = KEY_CHOICE,
     .flags = KEY_AS_BOOL,
     .offset = CONFIG(alerts.sync_always),
     .choices = syncs,
     .initial = "normal"},
    {.name = "storm", .kind = KEY_MAPPING, .within = &storm_schema},
};
static const struct schema alerts_schema = {SCHEMA_OF("alerts.", alert_keys)};

static const struct key store_keys[] = {
    {.name = "address",
     .kind = KEY_PLACED,
     .offset = DRAFT(store_address),
     .initial = "valkey://127.0.0.1:6379/0"},
    {.name = "username", .kind = KEY_TEXT, .offset = CONFIG(store.username)},
    {.name = "password",
     .kind = KEY_SECRET,
     .offset = CONFIG(store.password),
     .place = DRAFT_AT(store_password_at)},
    {.name = "timeout",
     .kind = KEY_DURATION,
     .offset = CONFIG(store.timeout_us),
     .min = 1e3,
     .max = 60e6,
     .initial = "200ms"},
    {.name = "fallback",
     .kind = KEY_CHOICE,
     .flags = KEY_AS_BOOL,
     .offset = CONFIG(store.fallback_memory),
     .choices = fallbacks,
     .initial = "none"},
};
static const struct schema store_schema = {SCHEMA_OF("store.", store_keys)};

static const struct key http_keys[] = {
    {.name = "listen",
     .kind = KEY_PLACED,
     .offset = DRAFT(http_listen),
     .initial = "127.0.0.1:9464"},
    {.name = "token",
     .kind = KEY_SECRET,
     .offset = CONFIG(http.token),
     .place = DRAFT_AT(http_token_at)},
};
static const struct schema http_schema = {SCHEMA_OF("http.", http_keys)};

static const struct key limit_keys[] = {
    {.name = "payload_bytes",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.payload_bytes),
     .min = 64,
     .max = 16 * 1024 * 1024,
     .initial = "65536"},
    {.name = "devices",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.devices),
     .min = 1,
     .max = 10000000,
     .initial = "100000"},
    {.name = "tenant_devices",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.tenant_devices),
     .min = 0,
     .max = 10000000,
     .initial = "0"},
    {.name = "device_rate",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.device_rate),
     .min = 0,
     .max = RATE_MAX,
     .initial = "0"},
    {.name = "tenant_rate",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.tenant_rate),
     .min = 0,
     .max = RATE_MAX,
     .initial = "0"},
    {.name = "points_per_window",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.points_per_window),
     .min = 2,
     .max = 10000000,
     .initial = "100000"},
    {.name = "forget_after",
     .kind = KEY_DURATION,
     .offset = CONFIG(limits.forget_after_us),
     .min = 60e6,
     .max = 3650 * DAY_US,
     .initial = "30d"},
    {.name = "outbox",
     .kind = KEY_WHOLE,
     .offset = CONFIG(limits.outbox),
     .min = 1,
     .max = 10000000,
     .initial = "100000"},
};
static const struct schema limits_schema = {SCHEMA_OF("limits.", limit_keys)};

static const struct key log_keys[] = {
    {.name = "level",
     .kind = KEY_CHOICE,
     .offset = CONFIG(log.level),
     .choices = log_levels,
     .initial = "info"},
    {.name = "format",
     .kind = KEY_CHOICE,
     .offset = CONFIG(log.format),
     .choices = log_formats,
     .initial = "text"},
};
static const struct schema log_schema = {SCHEMA_OF("log.", log_keys)};

static const struct key config_keys[] = {
    {.name = "gateway",
     .kind = KEY_MAPPING,
     .place = DRAFT_AT(gateway_at),
     .within = &gateway_schema},
    {.name = "mqtt",
     .kind = KEY_MAPPING,
     .place = DRAFT_AT(mqtt_at),
     .within = &mqtt_schema},
    {.name = "telemetry",
     .kind = KEY_OTHER,
     .flags = KEY_REQUIRED,
     .read = read_telemetry},
    {.name = "alerts", .kind = KEY_MAPPING, .within = &alerts_schema},
    {.name = "store",
     .kind = KEY_MAPPING,
     .place = DRAFT_AT(store_at),
     .within = &store_schema},
    {.name = "rules",
     .kind = KEY_TEXTS,
     .offset = DRAFT(rules),
     .list_max = CONFIG_RULE_PATTERNS_MAX},
    {.name = "http",
     .kind = KEY_MAPPING,
     .given = CONFIG_AT(http.given),
     .within = &http_schema},
    {.name = "limits", .kind = KEY_MAPPING, .within = &limits_schema},
    {.name = "log", .kind = KEY_MAPPING, .within = &log_schema},
};
const struct schema config_schema = {SCHEMA_OF("", config_keys)};
