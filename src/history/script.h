/* The server-side script behind every change of a list (SPEC 5.2), and its requests.
 *
 * One EVALSHA handles many keys. For each it compares the value with what was last seen
 * (length, first and last 32 bytes) and only then writes; otherwise it hands back the
 * value as it is. A key's error stays that key's. Knows RESP as bytes to send; answers
 * come through connection.h. */
#ifndef BRINK_HISTORY_SCRIPT_H
#define BRINK_HISTORY_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"

#define SCRIPT_GUARD_BYTES 32 /* compared at either end */
#define SCRIPT_KEYS_MAX 64    /* in one call: bounds how long the server is held */
#define SCRIPT_CALL_BYTES                                                                \
    (256 * 1024) /* of texts in one call, unless one alone is longer */
#define SCRIPT_SHA_BYTES 40

#define SCRIPT_LEN_MISSING 0             /* the key is expected not to exist */
#define SCRIPT_LEN_WRONG_TYPE UINT32_MAX /* it is expected to hold no string */
#define SCRIPT_LEN_NONE (UINT32_MAX - 1) /* no value is as expected */

#define SCRIPT_DELETE "-"

extern const char script_source[];

/* What a key is expected to hold: the first and last min(len, 32) bytes. */
struct script_guard {
    uint32_t len; /* or SCRIPT_LEN_x */
    char head[SCRIPT_GUARD_BYTES], tail[SCRIPT_GUARD_BYTES];
};

struct script_key {
    struct text key;
    const struct script_guard *guard;
    struct text text; /* ",[..]]": overwrites the last byte; "[..": the whole value;
                         SCRIPT_DELETE: no key; empty: compare only */
    int64_t ttl_ms;
};

void script_guard_set(struct script_guard *g, struct text value);
/* As after `text` overwrote the last byte of the value. */
void script_guard_append(struct script_guard *g, struct text text);

/* The answer to a call is an integer when every key was as expected, else an array of
 * triples: the key's number from 1, one of these, and what belongs to it. */
#define SCRIPT_VALUE 'v'      /* another value: the value */
#define SCRIPT_MISSING 'm'    /* there is no key */
#define SCRIPT_WRONG_TYPE 't' /* it holds no string */
#define SCRIPT_TOO_LARGE                                                                 \
    'l' /* more than value_max bytes: "length:" and first and last 32 bytes */
#define SCRIPT_ERROR 'e' /* the server's words */

/* Appends one EVALSHA for keys[0..n). */
void script_request(struct buffer *out, const char *sha, const struct script_key *keys,
                    size_t n, size_t value_max);

/* Parts of requests, for other commands. */
void resp_array(struct buffer *out, size_t n);
void resp_bulk(struct buffer *out, struct text t);
void resp_integer(struct buffer *out, int64_t v); /* as a bulk string */

#endif
