/* What decoding asks of a JSON payload (SPEC 3.2), and what it finds there. Private to
 * decode/.
 *
 * One call walks along a payload and tells a visitor what it asked for. Most payloads are
 * like one of the last and are compared with it (shape.h); others are read in one pass
 * over their bytes without a tree (scan.h); the few that ask for more than that go
 * through cJSON (tree.h). Whichever it is, what is told is the same: that is what
 * tests/fuzz/fuzz_json.c holds them to. Of members with one name the last counts,
 * as in most languages. */
#ifndef BRINK_DECODE_JSON_H
#define BRINK_DECODE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "config/config.h"
#include "decode/shape.h"
#include "model/message.h"

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
        seq;     /* JSON_ABSENT also where no pointer is given */
    bool joined; /* names were joined, and may repeat: the last counts */
    /* Readings that were not told one by one, as metric() would: all are finite, their
     * names plain ASCII of the right length, none stands twice. */
    const struct reading *readings;
    size_t n_readings;
    uint32_t shape; /* of payloads with the same, not 0, all readings are here, and of
                       the same metrics in the same order */
};

struct json_visitor {
    void *ctx;
    /* Each boolean, number and string that `values:` gives a number, under `metrics`; not
     * what the other pointers name. The name is a view into the payload, or, where those
     * of nested objects were joined or something was escaped, valid during the call; it
     * is cut above METRIC_BYTES_MAX, but stays longer than that. value: of a boolean 0 or
     * 1; infinite for 1e999. */
    void (*metric)(void *ctx, struct text name, double value);
    /* One payload is complete: what came since the last end was its metrics. */
    void (*end)(void *ctx, const struct json_payload *payload);
};

/* Which of a payload's members are asked for. */
enum json_pointer_id {
    JSON_POINTER_METRICS,
    JSON_POINTER_TIMESTAMP,
    JSON_POINTER_SITE,
    JSON_POINTER_SEQ,
    JSON_POINTERS
};

/* A name as it is compared: by its length and first eight bytes, before all others. */
struct json_name {
    struct text text;
    uint64_t first; /* the first eight bytes, or all of them and zeros */
};

/* One telemetry entry's pointers, compiled once, and the shapes of its last payloads. */
struct json_reader {
    const struct telemetry_config *entry;
    struct json_path {
        struct json_name *names;
        size_t n;
    } paths[JSON_POINTERS];
    unsigned given;     /* 1 << id, of those that have a name to look for */
    bool strings_count; /* some strings are metrics */
    bool needs_tree;    /* it asks for what no scan finds */
    bool whole_metrics; /* the payload itself is the metrics */
    struct shapes shapes;
    struct json_name all[]; /* the paths' */
};

/* entry: borrowed. E_NOMEM. */
enum brink_status json_reader_new(const struct telemetry_config *entry,
                                  struct json_reader **ret_reader) BRINK_MUST_CHECK;
void json_reader_free(struct json_reader *r); /* NULL is fine */

/* Does `values:` give the string a number? */
bool json_named_value(const struct telemetry_config *entry, struct text t,
                      double *ret_value);

/* Visits the payload, or each element of an array. *ret_left_out: elements
 * beyond MESSAGES_PER_PAYLOAD_MAX, not visited.
 * E_SYNTAX: not JSON as decode/grammar.h has it; nothing was visited. E_NOMEM: perhaps in
 * the middle; whoever was ended is complete. A byte order mark in front is skipped. */
enum brink_status json_visit(struct text payload, struct json_reader *reader,
                             const struct json_visitor *visitor,
                             size_t *ret_left_out) BRINK_MUST_CHECK;

/* The same, all of it by cJSON: what the scan is compared with. */
enum brink_status json_visit_by_tree(struct text payload, struct json_reader *reader,
                                     const struct json_visitor *visitor,
                                     size_t *ret_left_out) BRINK_MUST_CHECK;

#endif
