/* The shapes of payloads that were read: what stood between their values, byte by byte.
 * Private to decode/.
 *
 * A device sends the same members in the same order with the same spaces, time and again.
 * Once a scan has read such a payload, the next one is compared with it: where the bytes
 * between the values are the same, so is everything that they decided (that it is JSON,
 * that no name stands twice, which value is which), and only the values are read. A
 * payload that differs costs the comparison up to there, and is scanned.
 *
 * Each reader has its own few, the one that fitted last in front. */
#ifndef BRINK_DECODE_SHAPE_H
#define BRINK_DECODE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct json_visitor;
struct telemetry_config;

#define SHAPES_MAX 8         /* of one reader: devices of so many kinds take turns */
#define SHAPE_VALUES_MAX 64  /* of one shape */
#define SHAPE_BYTES_MAX 1024 /* between its values, and of joined names */
#define SHAPE_PAUSE_MAX 63   /* payloads that are not learned from, where none fits */

struct shapes {
    struct shape *shapes[SHAPES_MAX];
    size_t n;
    uint32_t pause, wait; /* before the next is learned */
};

/* What a scan noted of the values it passed, in order: views into the payload, and what
 * names are joined to into `joined`, since a scan's own memory ends with it. */
struct shape_trace {
    size_t n;                /* above SHAPE_VALUES_MAX: too many */
    struct text above, kept; /* joined to last, in the scan's memory and here */
    size_t joined_bytes;
    char joined[SHAPE_BYTES_MAX];
    struct shape_value {
        const char *from, *to;
        struct text name, above; /* its name, and what that is joined to; p == NULL: it is
                                    not */
        bool in_metrics;         /* and no other pointer names it */
        unsigned here;           /* which of the other pointers name it: 1 << id */
        size_t depth;            /* arrays and objects it is in */
    } values[SHAPE_VALUES_MAX];
};

void shapes_finish(struct shapes *s);

/* Should a payload that fits no shape be learned from? Not each one where no two are
 * alike. */
bool shapes_want(struct shapes *s);
/* Takes a payload's shape in, in place of the one that fitted longest ago; or not, where
 * it is none to be kept or memory is out. t: the payload without the spaces around. */
void shapes_learn(struct shapes *s, struct text t, const struct shape_trace *trace,
                  const struct telemetry_config *entry);

/* Does a payload that begins at p fit one of them? Then everything is told to the
 * visitor, and the place behind it is returned. NULL: nothing was told. whole: it has to
 * end at `end`. */
const char *shapes_visit(struct shapes *s, const char *p, const char *end, bool whole,
                         const struct telemetry_config *entry,
                         const struct json_visitor *visitor);

#endif
