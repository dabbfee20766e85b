/* Silences (SPEC 6.5): what people hold back by hand, until a time. Few, and each alert's
 * event asks all of them; when one ends, only what it withheld is looked at. */
#ifndef BRINK_MUTE_SILENCE_H
#define BRINK_MUTE_SILENCE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/status.h"
#include "mute/mute.h"

#define SILENCES_MAX 1000   /* at a time */
#define SILENCE_ID_BYTES 17 /* 16 hex digits and NUL */
#define SILENCE_BY_BYTES_MAX 256
#define SILENCE_COMMENT_BYTES_MAX 2000

/* What is asked for. Views. */
struct silence_order {
    struct text tenant, rule, device; /* patterns (`*`, `?`); n == 0: any */
    struct wall until;
    struct text by, comment; /* who and why; may be empty */
};

struct silence {
    struct mute_cause cause; /* active until it ends */
    struct heap_item timer;
    char id[SILENCE_ID_BYTES];
    char *tenant, *rule, *device; /* "": any */
    char *by, *comment;
    struct wall created_at, until;
};

struct silences {
    struct silence **items; /* in the order in which they were made */
    size_t n;
    struct heap timers; /* wall, us */
};

void silences_finish(struct silences *s);

/* UTF-8 of at most so many bytes, without control characters; lines: but for line breaks
 * and tabs. */
bool silence_text_is_clean(struct text t, size_t bytes_max, bool lines);

/* Begins at once. The same order at the same moment once more is the same silence.
 * E_RANGE: `until` is past, or after the year 9999; E_SYNTAX: a text is too long, is not
 * UTF-8 or holds control characters (a comment may have lines); E_LIMIT: SILENCES_MAX;
 * *ret_why says it for people. E_NOMEM. */
enum brink_status silences_add(struct silences *s, const struct silence_order *order,
                               struct wall now, const char **ret_why,
                               struct silence **ret_silence) BRINK_MUST_CHECK;
struct silence *silences_by_id(const struct silences *s, struct text id); /* or NULL */
/* The first that covers the alert, or NULL. */
struct silence *silences_find(const struct silences *s,
                              const struct mute_subject *subject);

/* When the next ends; INT64_MAX: none is there. */
int64_t silences_due(const struct silences *s);
/* The one that is due ends. */
struct silence *silences_end_due(struct silences *s);
void silence_end(struct silences *s, struct silence *silence); /* before its time */
/* Forgets one that ended and withholds nothing. */
void silences_drop(struct silences *s, struct silence *silence);

/* What survives a restart, without the id. */
void silence_print(const struct silence *silence, struct buffer *out);
/* E_SYNTAX: not such a line; E_LIMIT; E_NOMEM. One that is over by now ends at once. */
enum brink_status silences_restore(struct silences *s, struct text id,
                                   struct text line) BRINK_MUST_CHECK;

#endif
