/* The text of a window in Valkey (SPEC 5.1, 5.2):
 * [[1767225600.0,25.1],[1767225601.5,25.3]].
 *
 * The canonical form is what Python's json.dumps(list, separators=(',', ':')) writes of
 * floats: no spaces, shortest numbers, stamps in whole microseconds, sorted by time, no
 * entry twice. Only a canonical value can be appended to; all else that is a JSON list is
 * read as well as it can be, and rewritten. Pure. */
#ifndef BRINK_HISTORY_WBUF_H
#define BRINK_HISTORY_WBUF_H

#include <stddef.h>

#include "base/status.h"
#include "base/text.h"
#include "history/points.h"
#include "window/window.h"

#define WBUF_ENTRY_BYTES 72 /* more than any "[ts,v]" */
#define WBUF_DEPTH_MAX 128  /* of nested junk; deeper counts as no JSON */
#define WBUF_BYTES_MAX ((size_t)512 * 1024 * 1024) /* what Valkey takes as one value */

enum wbuf_form {
    WBUF_CANONICAL, /* not empty; ends in "]]" */
    WBUF_OTHER,     /* a JSON list in any other form; entries that are no finite pair were
                       left out */
    WBUF_NOT_A_LIST, /* not JSON, or JSON but no list: no points */
};

/* "[ts,v]" without a NUL; returns its bytes. */
size_t wbuf_print_entry(struct point p, char out[WBUF_ENTRY_BYTES]);
/* Only its bytes. */
size_t wbuf_entry_bytes(struct point p);

/* Adds the list's readings to `out`, which is empty, sorted by time and without
 * duplicates. E_NOMEM; E_LIMIT: more than WBUF_BYTES_MAX. O(n) for a sorted list. */
enum brink_status wbuf_parse(struct text t, struct points *out,
                             enum wbuf_form *ret_form) BRINK_MUST_CHECK;

/* Where the k-th entry of a canonical text begins; k < entries. */
size_t wbuf_offset(struct text t, size_t k);

#endif
