/* What decoding asks of a JSON payload (SPEC 3.2), and what it finds there. Private to
 * decode/; the only reader of cJSON.
 *
 * One call walks along a payload and tells a visitor what it asked for; no tree leaves
 * this file, so that another reader can take its place. Of members with one name the last
 * counts, as in most languages. */
#ifndef BRINK_DECODE_JSON_H
#define BRINK_DECODE_JSON_H

#include <stddef.h>

#include "base/status.h"
#include "base/text.h"
#include "config/config.h"

enum json_kind {
    JSON_ABSENT,
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OTHER
};

struct json_value {
    enum json_kind kind;
    double number; /* JSON_BOOLEAN: 0 or 1. JSON_NUMBER: nearest; infinite for 1e999 */
    struct text
        text; /* JSON_STRING: UTF-8 without NUL. JSON_NUMBER of `seq` from 2^53 on, where
                 a double is not exact: as it is written. Valid during the call */
};

/* What is beside the metrics in one payload. */
struct json_payload {
    enum { JSON_METRICS_FOUND, JSON_METRICS_ABSENT, JSON_METRICS_NO_OBJECT } metrics;
    struct json_value timestamp, site,
        seq; /* JSON_ABSENT also where no pointer is given */
};

struct json_visitor {
    void *ctx;
    /* Each boolean, number and string under `metrics` (never null or an array, nor what
     * the other pointers name). The name is joined from those of nested objects; it is
     * cut above METRIC_BYTES_MAX, but stays longer than that. Joined names may repeat. */
    void (*metric)(void *ctx, struct text name, const struct json_value *value);
    /* One payload is complete: what came since the last end was its metrics. */
    void (*end)(void *ctx, const struct json_payload *payload);
};

/* Visits the payload, or each element of an array. *ret_left_out: elements
 * beyond MESSAGES_PER_PAYLOAD_MAX, not visited.
 * E_SYNTAX: not JSON as decode/grammar.h has it; nothing was visited. E_NOMEM: perhaps in
 * the middle; whoever was ended is complete. A byte order mark in front is skipped. */
enum brink_status json_visit(struct text payload, const struct telemetry_config *entry,
                             const struct json_visitor *visitor,
                             size_t *ret_left_out) BRINK_MUST_CHECK;

#endif
