/* The gateway's configuration (SPEC 2) and the rule files that it names.
 *
 * config_load() reads everything and reports every problem it finds; a configuration is
 * returned only when there is no error. All strings are owned by the configuration; paths
 * in it are already resolved against the file's folder. Immutable once loaded; any thread
 * may read. */
#ifndef BRINK_CONFIG_CONFIG_H
#define BRINK_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "config/problems.h"
#include "model/rule.h"
#include "model/topic.h"

#define CONFIG_FILE_BYTES_MAX (4 * 1024 * 1024) /* of one YAML file */
#define CONFIG_SECRET_BYTES_MAX                                                          \
    (64 * 1024) /* of a *_file secret; one trailing newline is cut */
#define CONFIG_RULE_FILES_MAX 10000

enum telemetry_format { TELEMETRY_JSON, TELEMETRY_VALUE, TELEMETRY_HEARTBEAT };

struct value_name { /* values: {ON: 1} */
    char *text;
    double value;
};

/* A JSON Pointer, taken apart: "/a~1b/0" is {"a/b", "0"}. n == 0: the whole payload. */
struct json_pointer {
    char **tokens;
    size_t n;
    bool given;
};

struct telemetry_config {
    struct position at;
    struct topic_pattern pattern;
    struct placed topic;
    int qos;
    enum telemetry_format format;
    struct json_pointer metrics, timestamp, site,
        seq;      /* metrics defaults to "/metrics", given or not */
    char *metric; /* `metric:` of a value entry, or NULL */
    struct value_name *values;
    size_t n_values;
    bool evaluate_retained;
};

enum store_kind { STORE_MEMORY, STORE_TCP, STORE_UNIX };

struct config {
    char *path;
    struct {
        char *id;        /* default: the host name */
        char *state_dir; /* default: the first of $STATE_DIRECTORY; an error if neither */
    } gateway;
    struct {
        char **servers; /* as written: mqtt:// mqtts:// ws:// wss://host[:port][/path] */
        size_t n_servers;
        int version; /* 5 or 3 (for 3.1.1) */
        char *client_id;
        char *username, *password; /* NULL: none */
        struct {
            bool given;
            char *ca_file, *cert_file, *key_file; /* NULL: none */
            bool insecure;
        } tls;
        int64_t keep_alive_us, session_expiry_us;
        uint32_t inbox;
        char *status_topic; /* expanded */
    } mqtt;
    struct telemetry_config *telemetry;
    size_t n_telemetry;
    struct {
        char *topic; /* template */
        int qos;
        bool retain;
        bool sync_always;
        uint32_t storm_alerts; /* 0: no bound */
        int64_t storm_within_us;
    } alerts;
    struct {
        enum store_kind kind;
        bool tls;
        char *host;    /* TCP */
        uint16_t port; /* TCP */
        char *path;    /* unix socket */
        unsigned db;
        char *username, *password; /* NULL: none */
        int64_t timeout_us;
        bool fallback_memory;
        char *address; /* for logs: without credentials */
    } store;
    struct {
        bool given;
        char *host;
        uint16_t port;
        char *token; /* NULL: none */
    } http;
    struct {
        uint32_t payload_bytes, devices, points_per_window, outbox;
        uint32_t tenant_devices;           /* 0: no limit but `devices` */
        uint32_t device_rate, tenant_rate; /* messages a second; 0: no limit */
        int64_t forget_after_us;
    } limits;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    struct rule_file **rule_files;
    size_t n_rule_files;
};

/* Loads FILE, the environment, secrets and all rule files named by `rules:`. Every
 * problem goes to `problems`. BRINK_E_SYNTAX when there was any error (no configuration
 * is returned then); E_NOMEM, E_IO (also told in problems). */
enum brink_status config_load(const char *path, struct problems *problems,
                              struct config **ret_config) BRINK_MUST_CHECK;
/* The same, but a configuration that has errors is handed out as well, with E_SYNTAX:
 * good for finding what else is wrong with its rules, and for config_free(). *ret_config
 * stays NULL where there is nothing to hand out. */
enum brink_status config_load_faulty(const char *path, struct problems *problems,
                                     struct config **ret_config) BRINK_MUST_CHECK;
void config_free(struct config *c);
/* The groups of all its rule files, for groups_finish(). E_NOMEM: untouched. */
enum brink_status config_groups(const struct config *c,
                                struct groups *ret_groups) BRINK_MUST_CHECK;

/* Which parts differ in a way that only a restart can apply: a comma-separated list of
 * "gateway" "mqtt" "store" "http", or "" (SPEC 1.3). */
void config_needs_restart(const struct config *running, const struct config *loaded,
                          struct buffer *out);

/* For rules/ and tests: one rule file by its path or from memory. E_SYNTAX as above. */
enum brink_status rule_file_load(const char *path, struct problems *problems,
                                 struct rule_file **ret_file) BRINK_MUST_CHECK;
enum brink_status rule_file_parse(const char *path, struct text yaml,
                                  struct problems *problems,
                                  struct rule_file **ret_file) BRINK_MUST_CHECK;

#endif
