/* What a good configuration becomes, and what it takes from the world around it. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define TELEMETRY "telemetry: [{topic: 't/{device}'}]\n"
#define BASE "gateway: {id: gw, state_dir: /s}\n" TELEMETRY "rules: []\n"

static char dir[] = "/tmp/brink-config-XXXXXX";
static struct problems problems;
static struct config *config;

static void setup(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    problems = (struct problems){0};
    config = NULL;
    unsetenv("STATE_DIRECTORY");
}

static void teardown(void)
{
    config_free(config);
    problems_finish(&problems);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *bytes, size_t n, mode_t mode)
{
    FILE *f = fopen(in_dir(name), "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
    ck_assert_int_eq(chmod(in_dir(name), mode), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text), 0600);
}

static void fresh(void)
{
    config_free(config);
    config = NULL;
    problems_finish(&problems);
}

/* Must load, without any problem. */
static void load(const char *yaml)
{
    fresh();
    write_text("brink.yaml", yaml);
    enum brink_status status = config_load(in_dir("brink.yaml"), &problems, &config);
    char *got = printed(&problems);
    ck_assert_str_eq(got, "");
    free(got);
    ck_assert_int_eq(status, BRINK_OK);
    ck_assert_ptr_nonnull(config);
}

/* What is said of it, without the folder's name. */
static char *told(const char *yaml, enum brink_status expected)
{
    fresh();
    write_text("brink.yaml", yaml);
    ck_assert_int_eq(config_load(in_dir("brink.yaml"), &problems, &config), expected);
    char *got = printed(&problems), *to = got;
    size_t n = strlen(dir) + 1;
    for (const char *from = got; *from;) {
        if (strncmp(from, dir, n - 1) == 0 && from[n - 1] == '/') {
            from += n;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return got;
}

static void expect_told(const char *yaml, enum brink_status expected, const char *message)
{
    char *got = told(yaml, expected);
    ck_assert_str_eq(got, message);
    free(got);
}

/* --- values --- */

START_TEST(test_every_key_of_the_contract_is_read)
{
    write_text("mqtt", "mqtt secret\n");
    write_text("valkey", "valkey secret");
    write_text("token", "abc123\n");
    write_text("ca.pem", "");
    write_text("gw.pem", "");
    write_text("gw.key", "");
    ck_assert_int_eq(mkdir(in_dir("rules.d"), 0700), 0);
    write_text("rules.d/b.yaml", "rules: [{id: b, when: x > 1}]\n");
    write_text("rules.d/a.yaml", "rules: [{id: a, when: x > 1}]\n");
    load("gateway: {id: gw-01, state_dir: state}\n"
         "mqtt:\n"
         "  servers: [mqtts://broker.example, 'wss://[::1]:8443/mqtt', "
         "mqtt://127.0.0.1:1883]\n"
         "  version: 3.1.1\n"
         "  client_id: me\n"
         "  username: svc\n"
         "  password_file: mqtt\n"
         "  tls: {ca_file: ca.pem, cert_file: gw.pem, key_file: gw.key, insecure: true}\n"
         "  keep_alive: 1m\n"
         "  session_expiry: 0\n"
         "  inbox: 0\n"
         "  status_topic: site/{gateway}/s\n"
         "telemetry:\n"
         "  - topic: tenant/{tenant}/device/{device}/telemetry\n"
         "    qos: 2\n"
         "    format: json\n"
         "    metrics: /a~1b/~0c//0\n"
         "    values: {ON: 1, OFF: 0, half: 0.5}\n"
         "    timestamp: /ts\n"
         "    site: /site_id\n"
         "    seq: \"\"\n"
         "    retained: evaluate\n"
         "  - {topic: 'v/{area}/{device}', format: value, metric: t, qos: 0}\n"
         "  - {topic: 'tenant/{tenant}/device/{device}/heartbeat', format: heartbeat}\n"
         "alerts: {topic: 'al/{tenant}/{area}/{device}/{rule}', qos: 2, retain: true, "
         "sync: always}\n"
         "store:\n"
         "  address: redis://[fe80::1]:7000/3\n"
         "  username: u\n"
         "  password_file: valkey\n"
         "  timeout: 1s\n"
         "  fallback: memory\n"
         "rules: [rules.d/*.yaml]\n"
         "http: {listen: '0.0.0.0:80', token_file: token}\n"
         "limits: {payload_bytes: 1000, devices: 10, points_per_window: 20, "
         "forget_after: 1h, "
         "outbox: 30}\n"
         "log: {level: debug, format: journal}\n");
    const struct config *c = config;
    ck_assert_str_eq(c->path, in_dir("brink.yaml"));
    ck_assert_str_eq(c->gateway.id, "gw-01");
    ck_assert_str_eq(c->gateway.state_dir, in_dir("state"));
    ck_assert_uint_eq(c->mqtt.n_servers, 3);
    ck_assert_str_eq(c->mqtt.servers[1], "wss://[::1]:8443/mqtt");
    ck_assert_int_eq(c->mqtt.version, 3);
    ck_assert_str_eq(c->mqtt.client_id, "me");
    ck_assert_str_eq(c->mqtt.username, "svc");
    ck_assert_str_eq(c->mqtt.password, "mqtt secret");
    ck_assert(c->mqtt.tls.given && c->mqtt.tls.insecure);
    ck_assert_str_eq(c->mqtt.tls.ca_file, in_dir("ca.pem"));
    ck_assert_str_eq(c->mqtt.tls.cert_file, in_dir("gw.pem"));
    ck_assert_str_eq(c->mqtt.tls.key_file, in_dir("gw.key"));
    ck_assert_int_eq(c->mqtt.keep_alive_us, 60000000);
    ck_assert_int_eq(c->mqtt.session_expiry_us, 0);
    ck_assert_uint_eq(c->mqtt.inbox, 0);
    ck_assert_str_eq(c->mqtt.status_topic, "site/gw-01/s");
    ck_assert_uint_eq(c->n_telemetry, 3);
    const struct telemetry_config *t = &c->telemetry[0];
    ck_assert_str_eq(t->pattern.filter, "tenant/+/device/+/telemetry");
    ck_assert_uint_eq(t->at.line, 14);
    ck_assert_uint_eq(t->topic.at.column, 12);
    ck_assert_int_eq(t->qos, 2);
    ck_assert_int_eq(t->format, TELEMETRY_JSON);
    ck_assert(t->metrics.given);
    ck_assert_uint_eq(t->metrics.n, 4);
    ck_assert_str_eq(t->metrics.tokens[0], "a/b");
    ck_assert_str_eq(t->metrics.tokens[1], "~c");
    ck_assert_str_eq(t->metrics.tokens[2], "");
    ck_assert_str_eq(t->metrics.tokens[3], "0");
    ck_assert_uint_eq(t->n_values, 3);
    ck_assert_str_eq(t->values[2].text, "half");
    ck_assert_double_eq(t->values[2].value, 0.5);
    ck_assert(t->timestamp.given && t->timestamp.n == 1);
    ck_assert_str_eq(t->site.tokens[0], "site_id");
    ck_assert(t->seq.given && t->seq.n == 0);
    ck_assert(t->evaluate_retained);
    ck_assert_int_eq(c->telemetry[1].format, TELEMETRY_VALUE);
    ck_assert_str_eq(c->telemetry[1].metric, "t");
    ck_assert_int_eq(c->telemetry[1].qos, 0);
    ck_assert_int_eq(c->telemetry[2].format, TELEMETRY_HEARTBEAT);
    ck_assert_str_eq(c->alerts.topic, "al/{tenant}/{area}/{device}/{rule}");
    ck_assert(c->alerts.qos == 2 && c->alerts.retain && c->alerts.sync_always);
    ck_assert_int_eq(c->store.kind, STORE_TCP);
    ck_assert(!c->store.tls);
    ck_assert_str_eq(c->store.host, "fe80::1");
    ck_assert_uint_eq(c->store.port, 7000);
    ck_assert_uint_eq(c->store.db, 3);
    ck_assert_str_eq(c->store.username, "u");
    ck_assert_str_eq(c->store.password, "valkey secret");
    ck_assert_int_eq(c->store.timeout_us, 1000000);
    ck_assert(c->store.fallback_memory);
    ck_assert_str_eq(c->store.address, "redis://[fe80::1]:7000/3");
    ck_assert(c->http.given);
    ck_assert_str_eq(c->http.host, "0.0.0.0");
    ck_assert_uint_eq(c->http.port, 80);
    ck_assert_str_eq(c->http.token, "abc123");
    ck_assert_uint_eq(c->limits.payload_bytes, 1000);
    ck_assert_uint_eq(c->limits.devices, 10);
    ck_assert_uint_eq(c->limits.points_per_window, 20);
    ck_assert_int_eq(c->limits.forget_after_us, INT64_C(3600000000));
    ck_assert_uint_eq(c->limits.outbox, 30);
    ck_assert_int_eq(c->log.level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(c->log.format, LOG_FORMAT_JOURNAL);
    ck_assert_uint_eq(c->n_rule_files, 2); /* sorted */
    ck_assert_str_eq(c->rule_files[0]->path, in_dir("rules.d/a.yaml"));
    ck_assert_str_eq(c->rule_files[1]->rules[0].id.s, "b");
}
END_TEST

START_TEST(test_what_is_left_out_or_null_takes_its_default)
{
    static const char *const forms[] = {
        BASE,
        BASE "mqtt:\nalerts: null\nstore: ~\nhttp:\nlimits:\nlog:\n",
        BASE
        "mqtt: {username: null, password_file: null, tls: null, keep_alive: , inbox: ~}\n"
        "store: {username: null, password_file: null}\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        load(forms[i]);
        const struct config *c = config;
        ck_assert_uint_eq(c->mqtt.n_servers, 1);
        ck_assert_str_eq(c->mqtt.servers[0], "mqtt://127.0.0.1:1883");
        ck_assert_int_eq(c->mqtt.version, 5);
        ck_assert_str_eq(c->mqtt.client_id, "brink-gw");
        ck_assert_ptr_null(c->mqtt.username);
        ck_assert_ptr_null(c->mqtt.password);
        ck_assert(!c->mqtt.tls.given);
        ck_assert_int_eq(c->mqtt.keep_alive_us, 30000000);
        ck_assert_int_eq(c->mqtt.session_expiry_us, INT64_C(3600000000));
        ck_assert_uint_eq(c->mqtt.inbox, 1024);
        ck_assert_str_eq(c->mqtt.status_topic, "brink/gw/status");
        const struct telemetry_config *t = &c->telemetry[0];
        ck_assert_int_eq(t->qos, 1);
        ck_assert_int_eq(t->format, TELEMETRY_JSON);
        ck_assert(!t->metrics.given && t->metrics.n == 1);
        ck_assert_str_eq(t->metrics.tokens[0], "metrics");
        ck_assert(!t->timestamp.given && !t->site.given && !t->seq.given);
        ck_assert(!t->evaluate_retained);
        ck_assert_str_eq(c->alerts.topic, "alerts/{tenant}/{device}/{rule}");
        ck_assert(c->alerts.qos == 1 && !c->alerts.retain && !c->alerts.sync_always);
        ck_assert_int_eq(c->store.kind, STORE_TCP);
        ck_assert_str_eq(c->store.host, "127.0.0.1");
        ck_assert_uint_eq(c->store.port, 6379);
        ck_assert_uint_eq(c->store.db, 0);
        ck_assert_int_eq(c->store.timeout_us, 200000);
        ck_assert(!c->store.fallback_memory);
        ck_assert(!c->http.given);
        ck_assert_uint_eq(c->limits.payload_bytes, 65536);
        ck_assert_uint_eq(c->limits.devices, 100000);
        ck_assert_uint_eq(c->limits.points_per_window, 100000);
        ck_assert_int_eq(c->limits.forget_after_us, INT64_C(30) * 86400 * 1000000);
        ck_assert_uint_eq(c->limits.outbox, 100000);
        ck_assert_int_eq(c->log.level, LOG_LEVEL_INFO);
        ck_assert_int_eq(c->log.format, LOG_FORMAT_TEXT);
    }
}
END_TEST

START_TEST(test_durations_are_read_in_each_unit)
{
    static const struct {
        const char *written;
        int64_t us;
    } cases[] = {
        {"250ms", 250000}, {"30s", 30000000},     {"1.5", 1500000},
        {"7", 7000000},    {"\"45s\"", 45000000}, {"1m", 60000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, BASE "store: {timeout: %s}\n", cases[i].written);
        load(yaml);
        ck_assert_int_eq(config->store.timeout_us, cases[i].us);
    }
    load(BASE "limits: {forget_after: 2h}\n");
    ck_assert_int_eq(config->limits.forget_after_us, INT64_C(7200000000));
    load(BASE "limits: {forget_after: 7d}\n");
    ck_assert_int_eq(config->limits.forget_after_us, INT64_C(604800000000));
}
END_TEST

START_TEST(test_store_addresses_are_taken_apart)
{
    load(BASE "store: {address: memory}\n");
    ck_assert_int_eq(config->store.kind, STORE_MEMORY);
    load(BASE "store: {address: 'unix:///run/user@1/v.sock?db=5'}\n");
    ck_assert_int_eq(config->store.kind, STORE_UNIX);
    ck_assert_str_eq(config->store.path, "/run/user@1/v.sock");
    ck_assert_uint_eq(config->store.db, 5);
    load(BASE "store: {address: 'unix:///v.sock'}\n");
    ck_assert_uint_eq(config->store.db, 0);
    load(BASE "store: {address: 'valkey://cache.example'}\n");
    ck_assert_str_eq(config->store.host, "cache.example");
    ck_assert_uint_eq(config->store.port, 6379);
    load(BASE "store: {address: 'valkey://cache:1/'}\n");
    ck_assert_uint_eq(config->store.port, 1);
}
END_TEST

START_TEST(test_the_gateway_is_named_after_the_host)
{
    char host[256] = "";
    ck_assert_int_eq(gethostname(host, sizeof host - 1), 0);
    load("gateway: {state_dir: /s}\n" TELEMETRY "rules: []\n");
    ck_assert_str_eq(config->gateway.id, host);
}
END_TEST

START_TEST(test_state_lives_in_the_first_state_directory)
{
    setenv("STATE_DIRECTORY", "/var/lib/brink:/var/lib/other", 1);
    load(TELEMETRY "rules: []\n");
    ck_assert_str_eq(config->gateway.state_dir, "/var/lib/brink");
    load(BASE);
    ck_assert_str_eq(config->gateway.state_dir, "/s");
    unsetenv("STATE_DIRECTORY");
}
END_TEST

START_TEST(test_a_status_topic_cannot_be_broken_by_the_gateways_name)
{
    load("gateway: {id: 'a/b+%', state_dir: /s}\n" TELEMETRY "rules: []\n");
    ck_assert_str_eq(config->mqtt.status_topic, "brink/a%2Fb%2B%25/status");
}
END_TEST

/* --- environment --- */

START_TEST(test_environment_takes_the_place_of_names_in_braces)
{
    setenv("BRINK_TEST_A", "value", 1);
    setenv("BRINK_TEST_N", "77", 1);
    setenv("BRINK_TEST_EMPTY", "", 1);
    setenv("BRINK_TEST_TRUE", "true", 1);
    load(BASE
         "mqtt:\n"
         "  username: a${BRINK_TEST_A}b${BRINK_TEST_A}${BRINK_TEST_EMPTY}\n"
         "  client_id: \"$${BRINK_TEST_A} $x $\"\n"
         "  password: ${BRINK_TEST_A}\n"
         "  inbox: ${BRINK_TEST_N}\n"
         "alerts: {retain: \"${BRINK_TEST_TRUE}\"}\n"
         "limits: {devices: \"${BRINK_TEST_N}\", forget_after: \"${BRINK_TEST_N}s\"}\n");
    ck_assert_str_eq(config->mqtt.username, "avaluebvalue");
    ck_assert_str_eq(config->mqtt.client_id, "${BRINK_TEST_A} $x $");
    ck_assert_str_eq(config->mqtt.password, "value");
    ck_assert_uint_eq(config->mqtt.inbox, 77);
    ck_assert(config->alerts.retain);
    ck_assert_uint_eq(config->limits.devices, 77);
    ck_assert_int_eq(config->limits.forget_after_us, 77000000);
}
END_TEST

START_TEST(test_an_environment_variable_is_text_and_no_yaml)
{
    setenv("BRINK_TEST_A", "{x: [y", 1);
    load(BASE "mqtt: {username: \"${BRINK_TEST_A}\"}\n");
    ck_assert_str_eq(config->mqtt.username, "{x: [y");
    setenv("BRINK_TEST_A", "null", 1);
    load(BASE "mqtt:\n  username: ${BRINK_TEST_A}\n");
    ck_assert_str_eq(config->mqtt.username, "null");
    setenv("BRINK_TEST_A", "a\nb", 1);
    expect_told(BASE "mqtt: {username: \"${BRINK_TEST_A}\"}\n", BRINK_E_SYNTAX,
                "brink.yaml:4:19: `mqtt.username` must not hold control characters\n");
    setenv("BRINK_TEST_A", "\xff", 1);
    expect_told(
        BASE "mqtt: {username: \"${BRINK_TEST_A}\"}\n", BRINK_E_SYNTAX,
        "brink.yaml:4:19: the environment variable `BRINK_TEST_A` is not UTF-8\n");
}
END_TEST

/* --- secrets and files --- */

START_TEST(test_a_secret_loses_one_newline)
{
    static const struct {
        const char *file, *secret;
    } cases[] = {{"abc", "abc"},
                 {"abc\n", "abc"},
                 {"abc\n\n", "abc\n"},
                 {"abc\r\n", "abc"},
                 {" a b ", " a b "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("secret", cases[i].file);
        load(BASE "mqtt: {password_file: secret}\n");
        ck_assert_str_eq(config->mqtt.password, cases[i].secret);
    }
}
END_TEST

START_TEST(test_a_secret_that_everybody_may_read_is_warned_of)
{
    write_file("secret", "abc", 3, 0644);
    char *got = told(BASE "store: {password_file: secret}\n", BRINK_OK);
    ck_assert_str_eq(got, "brink.yaml:4:24: warning: `secret` can be read by everybody "
                          "(mode 0644): chmod o-r\n");
    free(got);
    ck_assert_str_eq(config->store.password, "abc");
    write_file("secret", "abc", 3, 0640);
    load(BASE "store: {password_file: secret}\n");
}
END_TEST

START_TEST(test_secrets_that_are_none_are_told)
{
    char *big = malloc(CONFIG_SECRET_BYTES_MAX + 2);
    ck_assert_ptr_nonnull(big);
    memset(big, 'x', CONFIG_SECRET_BYTES_MAX + 2);
    write_file("big", big, CONFIG_SECRET_BYTES_MAX + 1, 0600);
    write_file("most", big, CONFIG_SECRET_BYTES_MAX, 0600);
    free(big);
    write_file("nul", "a\0b", 3, 0600);
    write_text("newline", "\n");
    ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
    load(BASE "mqtt: {password_file: most}\n");
    ck_assert_uint_eq(strlen(config->mqtt.password), CONFIG_SECRET_BYTES_MAX);
    expect_told(BASE "mqtt: {password_file: big}\n", BRINK_E_SYNTAX,
                "brink.yaml:4:23: `big` is larger than 65536 bytes\n");
    expect_told(BASE "mqtt: {password_file: nul}\n", BRINK_E_SYNTAX,
                "brink.yaml:4:23: `nul` holds a NUL byte\n");
    expect_told(BASE "mqtt: {password_file: newline}\n", BRINK_E_SYNTAX,
                "brink.yaml:4:23: `newline` is empty\n");
    expect_told(BASE "mqtt: {password_file: fifo}\n", BRINK_E_SYNTAX,
                "brink.yaml:4:23: `fifo` is empty\n"); /* and does not hang */
}
END_TEST

START_TEST(test_a_configuration_that_cannot_be_read_is_told)
{
    ck_assert_int_eq(config_load(in_dir("none.yaml"), &problems, &config), BRINK_E_IO);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_str_eq(problems.items[0].message,
                     "cannot be read: No such file or directory");
    ck_assert_uint_eq(problems.items[0].at.line, 0);
    problems_finish(&problems);
    ck_assert_int_eq(config_load(dir, &problems, &config), BRINK_E_IO);
    ck_assert_str_eq(problems.items[0].message, "cannot be read: Is a directory");
    problems_finish(&problems);
    ck_assert_int_eq(config_load("/dev/zero", &problems, &config), BRINK_E_LIMIT);
    ck_assert_str_eq(problems.items[0].message, "is larger than 4194304 bytes");
}
END_TEST

/* --- rule files of a configuration --- */

START_TEST(test_a_file_that_two_patterns_name_is_loaded_once)
{
    write_text("a.yaml", "rules: [{id: a, when: x > 1}]\n");
    load("gateway: {state_dir: /s}\n" TELEMETRY
         "rules: ['a*.yaml', a.yaml, '[a].yaml']\n");
    ck_assert_uint_eq(config->n_rule_files, 1);
}
END_TEST

START_TEST(test_problems_of_all_files_are_told_at_once)
{
    write_text("a.yaml", "rules:\n"
                         "  - {id: one, when: x > 1, scope: {groups: [pumps, meter]}}\n"
                         "  - {id: two, serverity: info}\n"
                         "groups: {meters: [m]}\n"
                         "metrics: {t: [{raw: x}]}\n");
    write_text("b.yaml", "rules: [{id: two}, {id: one}]\n"
                         "groups: {pumps: [p], meters: [n]}\n"
                         "metrics: {t: [{raw: y}]}\n");
    expect_told("gateway: {state_dir: /s}\n"
                "telemetry: [{topic: x}]\n"
                "rules: ['?.yaml']\n",
                BRINK_E_SYNTAX,
                "brink.yaml:2:21: `telemetry.topic`: no {device}\n"
                "a.yaml:2:52: no rule file has a group `meter`, did you mean `meters`?\n"
                "a.yaml:3:15: unknown key `serverity`, did you mean `severity`?\n"
                "b.yaml:1:14: the rule id `two` is there already, at a.yaml:3:10\n"
                "b.yaml:1:25: the rule id `one` is there already, at a.yaml:2:10\n"
                "b.yaml:2:22: the group `meters` is there already, at a.yaml:4:10\n"
                "b.yaml:3:11: the metric `t` is there already, at a.yaml:5:11\n");
}
END_TEST

START_TEST(test_groups_are_not_missed_in_a_file_that_could_not_be_read)
{
    write_text("a.yaml", "rules: [{id: one, when: x > 1, scope: {groups: [pumps]}}]\n");
    write_text("b.yaml", "groups: {pumps: [p]\n");
    expect_told(
        "gateway: {state_dir: /s}\n" TELEMETRY "rules: ['?.yaml']\n", BRINK_E_SYNTAX,
        "b.yaml:2:1: did not find expected ',' or '}' while parsing a flow mapping that "
        "begins at 1:9; a text that begins with { must be quoted\n");
}
END_TEST

START_TEST(test_a_folder_whose_name_looks_like_a_pattern_is_no_pattern)
{
    ck_assert_int_eq(mkdir(in_dir("[x]*"), 0700), 0);
    write_text("[x]*/brink.yaml",
               "gateway: {state_dir: /s}\n" TELEMETRY "rules: ['*.rules']\n");
    write_text("[x]*/a.rules", "rules: [{id: a, when: x > 1}]\n");
    ck_assert_int_eq(config_load(in_dir("[x]*/brink.yaml"), &problems, &config),
                     BRINK_OK);
    ck_assert_uint_eq(config->n_rule_files, 1);
}
END_TEST

/* --- what needs a restart --- */

static struct config *parsed(const char *yaml)
{
    struct config *c = NULL;
    struct problems p = {0};
    ck_assert_int_eq(config_parse("c.yaml", text_of(yaml), false, &p, &c), BRINK_OK);
    problems_finish(&p);
    return c;
}

START_TEST(test_what_needs_a_restart_is_named)
{
    static const struct {
        const char *yaml, *parts;
    } cases[] = {
        {BASE, ""},
        {BASE "mqtt: {servers: [mqtt://127.0.0.1:1883], client_id: brink-gw}\n", ""},
        {BASE "limits: {devices: 5}\nlog: {level: debug}\nalerts: {qos: 0}\n", ""},
        {"gateway: {id: gw, state_dir: /s}\ntelemetry: [{topic: 'u/{device}'}]\nrules: "
         "[]\n",
         ""},
        {"gateway: {id: gw, state_dir: /t}\n" TELEMETRY "rules: []\n", "gateway"},
        {"gateway: {id: gx, state_dir: /s}\n" TELEMETRY "rules: []\n", "gateway,mqtt"},
        {BASE "mqtt: {password: x}\n", "mqtt"},
        {BASE "mqtt: {servers: [mqtt://127.0.0.1:1883, mqtt://b]}\n", "mqtt"},
        {BASE "mqtt: {inbox: 5}\n", "mqtt"},
        {BASE "mqtt: {tls: {}}\n", "mqtt"},
        {BASE "store: {timeout: 1s}\n", "store"},
        {BASE "store: {address: memory}\nhttp: {}\n", "store,http"},
    };
    struct config *running = parsed(BASE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *loaded = parsed(cases[i].yaml);
        struct buffer out = {0};
        config_needs_restart(running, loaded, &out);
        ck_assert_str_eq(buffer_cstr(&out), cases[i].parts);
        buffer_finish(&out);
        config_free(loaded);
    }
    config_free(running);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config");
    TCase *c = tcase_create("config");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_every_key_of_the_contract_is_read);
    tcase_add_test(c, test_what_is_left_out_or_null_takes_its_default);
    tcase_add_test(c, test_durations_are_read_in_each_unit);
    tcase_add_test(c, test_store_addresses_are_taken_apart);
    tcase_add_test(c, test_the_gateway_is_named_after_the_host);
    tcase_add_test(c, test_state_lives_in_the_first_state_directory);
    tcase_add_test(c, test_a_status_topic_cannot_be_broken_by_the_gateways_name);
    tcase_add_test(c, test_environment_takes_the_place_of_names_in_braces);
    tcase_add_test(c, test_an_environment_variable_is_text_and_no_yaml);
    tcase_add_test(c, test_a_secret_loses_one_newline);
    tcase_add_test(c, test_a_secret_that_everybody_may_read_is_warned_of);
    tcase_add_test(c, test_secrets_that_are_none_are_told);
    tcase_add_test(c, test_a_configuration_that_cannot_be_read_is_told);
    tcase_add_test(c, test_a_file_that_two_patterns_name_is_loaded_once);
    tcase_add_test(c, test_problems_of_all_files_are_told_at_once);
    tcase_add_test(c, test_groups_are_not_missed_in_a_file_that_could_not_be_read);
    tcase_add_test(c, test_a_folder_whose_name_looks_like_a_pattern_is_no_pattern);
    tcase_add_test(c, test_what_needs_a_restart_is_named);
    suite_add_tcase(s, c);
    return run_suite(s);
}
