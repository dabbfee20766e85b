/* Reads a payload once as decode/ does and once all by cJSON, and tells whether a visitor
 * was told the same. Shared by the unit test and the fuzzers. */
#ifndef BRINK_TESTS_DECODE_AGREE_H
#define BRINK_TESTS_DECODE_AGREE_H

#include <stdio.h>

#include "base/buffer.h"
#include "decode/json.h"

#include "entries.h"

/* Every way to ask: besides the JSON ones of entries.h (the first three), pointers that
 * lie in the metrics, that share their way, that name the same, that are in nobody's way.
 */
static struct value_name named[] = {
    {(char *)"ON", 1}, {(char *)"OFF", 0}, {(char *)"", -1}, {(char *)"a\\b", 5}};
static const struct telemetry_config asked[] = {
    {.metrics = POINTER((char *)"metrics"),
     .timestamp = POINTER((char *)"ts"),
     .site = POINTER((char *)"site_id"),
     .seq = POINTER((char *)"seq"),
     .values = named,
     .n_values = 4},
    {.metrics = {.given = true},
     .timestamp = POINTER((char *)"ts"),
     .site = POINTER((char *)"a", (char *)"site_id"),
     .seq = POINTER((char *)"seq")},
    {.metrics = POINTER((char *)"a/b", (char *)"0", (char *)"~"),
     .timestamp = POINTER((char *)"a/b", (char *)"1")},
    {.metrics = POINTER((char *)"metrics"),
     .timestamp = POINTER((char *)"metrics", (char *)"ts"),
     .site = POINTER((char *)"metrics", (char *)"a", (char *)"site_id"),
     .seq = POINTER((char *)"metrics", (char *)"a", (char *)"seq")},
    {.metrics = POINTER((char *)"a", (char *)"metrics"),
     .timestamp = POINTER((char *)"a", (char *)"ts"),
     .site = POINTER((char *)"a", (char *)"ts"),
     .seq = POINTER((char *)"a"),
     .values = named,
     .n_values = 4},
    {.metrics = {.given = true}, .timestamp = {.given = true}},
};
enum { N_ASKED = sizeof asked / sizeof *asked };

static inline void agree_value(struct buffer *out, const struct json_value *v, bool exact)
{
    buffer_format(out, " %d", (int)v->kind);
    if (v->kind == JSON_BOOLEAN || v->kind == JSON_NUMBER) {
        buffer_format(out, " %a", v->number);
    }
    if (v->kind == JSON_STRING || exact) {
        buffer_format(out, " %zu:", v->text.n);
        buffer_text(out, v->text);
    }
}

static inline void agree_metric(void *ctx, struct text name, double value)
{
    struct buffer *out = (struct buffer *)ctx;
    buffer_format(out, "metric %zu:", name.n);
    buffer_text(out, name);
    buffer_format(out, " %a\n", value);
}

static inline void agree_end(void *ctx, const struct json_payload *payload)
{
    struct buffer *out = (struct buffer *)ctx;
    for (size_t i = 0; i < payload->n_readings; i++) {
        agree_metric(ctx, payload->readings[i].metric, payload->readings[i].value);
        for (size_t k = 0; k < i; k++) {
            if (text_equal(payload->readings[k].metric, payload->readings[i].metric)) {
                buffer_cstring(out, "which stands twice\n");
            }
        }
    }
    buffer_format(out, "end %d", (int)payload->metrics);
    agree_value(out, &payload->timestamp, false);
    agree_value(out, &payload->site, false);
    agree_value(out, &payload->seq,
                payload->seq.kind == JSON_NUMBER &&
                    payload->seq.number >= 9007199254740992.0);
    buffer_char(out, '\n');
}

/* False: they differ, and both stories are on standard error. */
static inline bool readers_agree(struct json_reader *reader, struct text payload)
{
    static struct buffer fast, slow;
    const struct json_visitor to_fast = {&fast, agree_metric, agree_end};
    const struct json_visitor to_slow = {&slow, agree_metric, agree_end};
    size_t fast_left = 77, slow_left = 77;
    buffer_clear(&fast);
    buffer_clear(&slow);
    enum brink_status by_scan = json_visit(payload, reader, &to_fast, &fast_left);
    enum brink_status by_tree = json_visit_by_tree(payload, reader, &to_slow, &slow_left);
    if (by_scan == by_tree && fast_left == slow_left &&
        text_equal(buffer_view(&fast), buffer_view(&slow))) {
        return true;
    }
    fprintf(stderr, "%.*s\n-- fast: %d, %zu left out\n%s-- tree: %d, %zu left out\n%s",
            (int)payload.n, payload.p, (int)by_scan, fast_left, buffer_cstr(&fast),
            (int)by_tree, slow_left, buffer_cstr(&slow));
    return false;
}

#endif
