/* Where the characters of a YAML scalar stand in its file. A scalar may be folded over
 * lines, indented, quoted and escaped; what was read of it is one text, and a problem at
 * its 40th character stands on some other line at some other column. */
#ifndef BRINK_CONFIG_PLACE_H
#define BRINK_CONFIG_PLACE_H

#include <stddef.h>

#include "base/text.h"
#include "model/rule.h"

/* A scalar: the text that was read, and what stands in the file for it from its first
 * character on (behind an opening quote). */
struct scalar_source {
    struct text text;
    struct text raw;    /* p == NULL: as the text */
    char quote;         /* ' or ", or 0 */
    struct position at; /* of raw's first character */
};

/* Where the text's byte number `offset` stands; white space and the end: right behind
 * what is before them. O(offset). */
struct position place_find(const struct scalar_source *s, size_t offset);

/* The marks of a struct placed (free() them): NULL if none is needed, or out of memory:
 * then places within the text are told as if it stood on one line. */
struct place_mark *place_marks(const struct scalar_source *s);

/* Bytes of the line break at `i`, 0 if there is none: the ones that YAML 1.1 counts. */
size_t place_line_break(struct text s, size_t i);

#endif
