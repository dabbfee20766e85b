/* What stands in a file, and where. */
#ifndef BRINK_MODEL_PLACED_H
#define BRINK_MODEL_PLACED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position {
    const char
        *file; /* as named on the command line or in the pattern; outlives the problems */
    unsigned line, column; /* from 1; 0: the file as a whole */
};

/* From the text's byte `offset` on, it stands here, a column a character. */
struct place_mark {
    uint32_t offset;
    unsigned line, column;
};
#define PLACE_MARKS_END UINT32_MAX /* the offset behind the last mark */

/* A string with its place. s == NULL: key absent (or null). `at` is the first character
 * of the scalar's text (behind an opening quote). */
struct placed {
    char *s;
    struct position at;
    struct place_mark
        *marks;   /* of texts that may have lines; NULL: as it stands at `at` */
    bool comment; /* of such: a comment follows on its last line */
};

/* Where the text's byte number `offset` stands in its file. */
struct position placed_position(const struct placed *p, size_t offset);

struct strings {
    struct placed *items;
    size_t n;
    bool given;
};

/* What they own, not themselves. */
void placed_free(struct placed *p);
void strings_free(struct strings *s);

#endif
