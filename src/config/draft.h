/* A configuration on its way from YAML to struct config: what keys.c reads by its tables,
 * and what settle.c needs to know beside it to look at keys together and to say where
 * they stand. */
#ifndef BRINK_CONFIG_DRAFT_H
#define BRINK_CONFIG_DRAFT_H

#include "config/config.h"
#include "config/schema.h"

#define CONFIG_SERVERS_MAX 32
#define CONFIG_TELEMETRY_MAX 256
#define CONFIG_VALUES_MAX 1000       /* names in `values:` */
#define CONFIG_POINTER_TOKENS_MAX 32 /* of a JSON Pointer */
#define CONFIG_RULE_PATTERNS_MAX 1000
#define CONFIG_GATEWAY_ID_BYTES_MAX 200

struct draft {
    struct config c;
    struct strings servers, rules;
    struct placed state_dir, status_topic, alert_topic, store_address, http_listen;
    bool state_dir_given; /* though it may be no text */
    struct position gateway_at, mqtt_at, tls_at, key_file_at, password_at,
        store_password_at, store_at, http_token_at, retain_at;
};

extern const struct schema config_schema, telemetry_schema;

/* Defaults that depend on other keys, addresses, topics; all problems told. */
void draft_settle(struct reader *r, struct draft *d);

/* The draft's configuration on its own, as the caller's; the draft keeps the rest.
 * E_NOMEM.
 */
enum brink_status draft_take(struct draft *d,
                             struct config **ret_config) BRINK_MUST_CHECK;
void draft_free(struct draft *d); /* NULL is fine */

/* config_load() from memory. no_files: secrets, TLS files and rule files are not looked
 * for. */
enum brink_status config_parse(const char *path, struct text yaml, bool no_files,
                               struct problems *problems,
                               struct config **ret_config) BRINK_MUST_CHECK;

#endif
