#include "config/config.h"

#include <stdlib.h>

#include "config/draft.h"
#include "config/env.h"
#include "config/file.h"
#include "config/mutes.h"
#include "config/rulefiles.h"

/* --- ownership --- */

static void finish_pointer(struct json_pointer *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->tokens[i]);
    }
    free(p->tokens);
}

static void finish_telemetry(struct telemetry_config *t)
{
    topic_pattern_finish(&t->pattern);
    free(t->topic.s);
    finish_pointer(&t->metrics);
    finish_pointer(&t->timestamp);
    finish_pointer(&t->site);
    finish_pointer(&t->seq);
    free(t->metric);
    for (size_t i = 0; i < t->n_values; i++) {
        free(t->values[i].text);
    }
    free(t->values);
}

static void finish_mqtt(struct config *c)
{
    for (size_t i = 0; i < c->mqtt.n_servers; i++) {
        free(c->mqtt.servers[i]);
    }
    free(c->mqtt.servers);
    free(c->mqtt.client_id);
    free(c->mqtt.username);
    free(c->mqtt.password);
    free(c->mqtt.tls.ca_file);
    free(c->mqtt.tls.cert_file);
    free(c->mqtt.tls.key_file);
    free(c->mqtt.status_topic);
}

static void config_finish(struct config *c)
{
    free(c->path);
    free(c->gateway.id);
    free(c->gateway.state_dir);
    finish_mqtt(c);
    for (size_t i = 0; i < c->n_telemetry; i++) {
        finish_telemetry(&c->telemetry[i]);
    }
    free(c->telemetry);
    free(c->alerts.topic);
    free(c->store.host);
    free(c->store.path);
    free(c->store.username);
    free(c->store.password);
    free(c->store.address);
    free(c->http.host);
    free(c->http.token);
    for (size_t i = 0; i < c->n_rule_files; i++) {
        rule_file_free(c->rule_files[i]);
    }
    free(c->rule_files);
}

void config_free(struct config *c)
{
    if (c) {
        config_finish(c);
        free(c);
    }
}

enum brink_status config_groups(const struct config *c, struct groups *ret_groups)
{
    struct groups groups = {0};
    for (size_t f = 0; f < c->n_rule_files; f++) {
        for (size_t g = 0; g < c->rule_files[f]->n_groups; g++) {
            if (groups_add(&groups, &c->rule_files[f]->groups[g]) != BRINK_OK) {
                groups_finish(&groups);
                return BRINK_E_NOMEM;
            }
        }
    }
    *ret_groups = groups;
    return BRINK_OK;
}

/* What settling did not move into the configuration. */
void draft_free(struct draft *d)
{
    if (!d) {
        return;
    }
    config_finish(&d->c);
    strings_free(&d->servers);
    strings_free(&d->rules);
    free(d->state_dir.s);
    free(d->status_topic.s);
    free(d->alert_topic.s);
    free(d->store_address.s);
    free(d->http_listen.s);
    free(d);
}

/* --- loading --- */

static void read_root(struct reader *r, const struct document *document, struct draft *d)
{
    struct node empty = {.kind = NODE_MAPPING, .at = {d->c.path, 0, 0}};
    const struct node *root = document->root ? document->root : &empty;
    if (root->kind != NODE_MAPPING) {
        problem_add(r->problems, root->at,
                    "a configuration is a mapping of keys and values, such as `mqtt:`");
        return;
    }
    schema_read(r, &config_schema, root, d);
    draft_settle(r, d);
    if (!r->no_files) {
        rule_files_load(r, &d->rules, NULL, &d->c.rule_files, &d->c.n_rule_files);
        r->failed = r->failed || mutes_check_labels(&d->c, r->problems) != BRINK_OK;
    }
    if (!d->rules.given && root != &empty) {
        problem_warn(r->problems, (struct position){d->c.path, 0, 0},
                     "`rules` is missing: nothing will be evaluated");
    }
}

enum brink_status draft_take(struct draft *d, struct config **ret_config)
{
    struct config *c = malloc(sizeof *c);
    if (!c) {
        return BRINK_E_NOMEM;
    }
    *c = d->c;
    d->c = (struct config){0};
    *ret_config = c;
    return BRINK_OK;
}

static enum brink_status parse(const char *path, struct text yaml, bool no_files,
                               bool faulty_too, struct problems *problems,
                               struct config **ret_config)
{
    size_t errors = problems->errors;
    struct document document = {0};
    struct draft *d = calloc(1, sizeof *d);
    enum brink_status status = BRINK_E_NOMEM;
    if (!d || !(d->c.path = text_dup(text_of(path)))) {
        goto finish;
    }
    struct reader r = {.problems = problems,
                       .file = d->c.path,
                       .folder = file_folder(d->c.path),
                       .no_files = no_files};
    status = document_load(d->c.path, yaml, problems, &document);
    if (status) {
        goto finish;
    }
    status = env_expand(&document, problems);
    if (status) {
        goto finish;
    }
    read_root(&r, &document, d);
    if (r.failed) {
        status = BRINK_E_NOMEM;
    } else if (problems->errors == errors || faulty_too) {
        status = draft_take(d, ret_config);
    }
finish:
    document_free(&document);
    draft_free(d);
    if (status != BRINK_E_NOMEM && problems->errors > errors) {
        status = BRINK_E_SYNTAX;
    }
    return status;
}

enum brink_status config_parse(const char *path, struct text yaml, bool no_files,
                               struct problems *problems, struct config **ret_config)
{
    return parse(path, yaml, no_files, false, problems, ret_config);
}

static enum brink_status load(const char *path, bool faulty_too,
                              struct problems *problems, struct config **ret_config)
{
    struct buffer bytes = {0};
    enum brink_status status = file_read(path, CONFIG_FILE_BYTES_MAX, problems,
                                         (struct position){path, 0, 0}, &bytes);
    if (status == BRINK_OK) {
        status =
            parse(path, buffer_view(&bytes), false, faulty_too, problems, ret_config);
    }
    buffer_finish(&bytes);
    return status;
}

enum brink_status config_load(const char *path, struct problems *problems,
                              struct config **ret_config)
{
    return load(path, false, problems, ret_config);
}

enum brink_status config_load_faulty(const char *path, struct problems *problems,
                                     struct config **ret_config)
{
    return load(path, true, problems, ret_config);
}

/* --- comparing --- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_gateway(const struct config *a, const struct config *b)
{
    return same(a->gateway.id, b->gateway.id) &&
           same(a->gateway.state_dir, b->gateway.state_dir);
}

static bool same_tls(const struct config *a, const struct config *b)
{
    return a->mqtt.tls.given == b->mqtt.tls.given &&
           same(a->mqtt.tls.ca_file, b->mqtt.tls.ca_file) &&
           same(a->mqtt.tls.cert_file, b->mqtt.tls.cert_file) &&
           same(a->mqtt.tls.key_file, b->mqtt.tls.key_file) &&
           a->mqtt.tls.insecure == b->mqtt.tls.insecure;
}

static bool same_mqtt(const struct config *a, const struct config *b)
{
    bool servers = a->mqtt.n_servers == b->mqtt.n_servers;
    for (size_t i = 0; servers && i < a->mqtt.n_servers; i++) {
        servers = same(a->mqtt.servers[i], b->mqtt.servers[i]);
    }
    return servers && a->mqtt.version == b->mqtt.version &&
           same(a->mqtt.client_id, b->mqtt.client_id) &&
           same(a->mqtt.username, b->mqtt.username) &&
           same(a->mqtt.password, b->mqtt.password) && same_tls(a, b) &&
           a->mqtt.keep_alive_us == b->mqtt.keep_alive_us &&
           a->mqtt.session_expiry_us == b->mqtt.session_expiry_us &&
           a->mqtt.inbox == b->mqtt.inbox &&
           same(a->mqtt.status_topic, b->mqtt.status_topic);
}

static bool same_store(const struct config *a, const struct config *b)
{
    return same(a->store.address, b->store.address) &&
           same(a->store.username, b->store.username) &&
           same(a->store.password, b->store.password) &&
           a->store.timeout_us == b->store.timeout_us &&
           a->store.fallback_memory == b->store.fallback_memory;
}

static bool same_http(const struct config *a, const struct config *b)
{
    return a->http.given == b->http.given && same(a->http.host, b->http.host) &&
           a->http.port == b->http.port && same(a->http.token, b->http.token);
}

void config_needs_restart(const struct config *running, const struct config *loaded,
                          struct buffer *out)
{
    static const struct {
        const char *name;
        bool (*same)(const struct config *a, const struct config *b);
    } parts[] = {
        {"gateway", same_gateway},
        {"mqtt", same_mqtt},
        {"store", same_store},
        {"http", same_http},
    };
    const char *between = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i].same(running, loaded)) {
            buffer_cstring(out, between);
            buffer_cstring(out, parts[i].name);
            between = ",";
        }
    }
}
