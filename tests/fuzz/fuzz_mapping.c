/* Any JSON Pointers and any payloads: pointers that a telemetry entry is refused for are
 * told; by those that it takes, the fast readers of payloads tell what cJSON's tree
 * tells. Input, with a NUL between them: the pointers of metrics, timestamp, site and seq
 * (what begins with a blank is not given), then payloads. */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/decode/agree.h"
#include "config/draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static struct text part(struct text *rest)
{
    const char *nul = rest->n > 0 ? memchr(rest->p, '\0', rest->n) : NULL;
    struct text t = {rest->p, nul ? (size_t)(nul - rest->p) : rest->n};
    rest->p += t.n + (nul != NULL);
    rest->n -= t.n + (nul != NULL);
    return t;
}

/* As a quoted text in YAML, whatever it holds. */
static void put_member(struct buffer *out, const char *key, struct text pointer)
{
    if (pointer.n > 0 && pointer.p[0] == ' ') {
        return;
    }
    buffer_format(out, ", %s: \"", key);
    for (size_t i = 0; i < pointer.n; i++) {
        unsigned char c = (unsigned char)pointer.p[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            buffer_format(out, "\\x%02x", (unsigned)c);
        } else {
            buffer_char(out, (char)c);
        }
    }
    buffer_char(out, '"');
}

/* NULL: one of the pointers is none. */
static struct config *configure(struct text *rest)
{
    static const char *const keys[] = {"metrics", "timestamp", "site", "seq"};
    struct buffer yaml = {0};
    struct problems problems = {0};
    struct config *config = NULL;
    buffer_cstring(&yaml, "mqtt: {servers: ['mqtt://h']}\nstore: {address: memory}\n"
                          "gateway: {state_dir: /s}\nrules: [r]\n"
                          "telemetry: [{topic: 'a/{device}', values: {ON: 1, 'OFF': 0}");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        put_member(&yaml, keys[i], part(rest));
    }
    buffer_cstring(&yaml, "}]\n");
    must(buffer_ok(&yaml), "memory");
    enum brink_status status =
        config_parse("c.yaml", buffer_view(&yaml), true, &problems, &config);
    must((status == BRINK_OK) == (config != NULL), "a result, or none");
    must((problems.errors == 0) == (config != NULL), "an error is told");
    problems_finish(&problems);
    buffer_finish(&yaml);
    return config;
}

static void must_agree(struct json_reader *reader, struct text payload)
{
    /* A copy of its own, so that a sanitizer sees a read beyond its end. */
    char *exact = malloc(payload.n ? payload.n : 1);
    must(exact != NULL, "memory");
    if (payload.n > 0) {
        memcpy(exact, payload.p, payload.n);
    }
    must(readers_agree(reader, (struct text){exact, payload.n}), "the readers agree");
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {(const char *)data, size};
    struct config *config = configure(&rest);
    if (config) {
        struct json_reader *reader = NULL;
        must(config->n_telemetry == 1, "the entry");
        must(json_reader_new(&config->telemetry[0], &reader) == BRINK_OK, "a reader");
        struct text first = rest;
        first = part(&first);
        while (rest.n > 0) {
            must_agree(reader, part(&rest));
        }
        must_agree(reader, first); /* with the shapes that it learned meanwhile */
        json_reader_free(reader);
        config_free(config);
    }
    return 0;
}
