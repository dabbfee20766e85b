/* One payload in one pass over its bytes: no tree, no memory, no copy. Private to
 * decode/.
 *
 * It checks the whole grammar as it goes and keeps what is asked for in a table, since
 * nothing may be told before the last byte was seen to be right. It leaves to a tree what
 * would need a second look at what went by: a name that stands twice where it matters,
 * something escaped, a pointer into an array, more members than the table has room for.
 */
#ifndef BRINK_DECODE_SCAN_H
#define BRINK_DECODE_SCAN_H

#include "decode/json.h"

#define SCAN_MEMBERS_MAX 256   /* under `metrics`, those of nested objects included */
#define SCAN_JOINED_BYTES 4096 /* of names joined from those of nested objects */

enum scan_outcome {
    SCAN_VISITED,
    SCAN_NOT_JSON,   /* nothing was visited */
    SCAN_NEEDS_TREE, /* nothing was visited; the rest may not be JSON */
};

/* The payload is all of t, with spaces around. trace: where its values stand, for
 * shapes_learn() if it was visited; NULL: not asked for. */
enum scan_outcome scan_visit(struct text t, const struct json_reader *reader,
                             const struct json_visitor *visitor,
                             struct shape_trace *trace);

/* One element of an array that was found to be valid: it begins at t, and *ret_end is the
 * place behind it. Never SCAN_NOT_JSON. */
enum scan_outcome scan_visit_element(struct text t, const struct json_reader *reader,
                                     const struct json_visitor *visitor,
                                     struct shape_trace *trace, const char **ret_end);

#endif
