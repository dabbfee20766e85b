/* How a value is written: what Python's format() calls a format specification, of which
 * this is a part:
 *
 *   [<>^][+- ][0][width][.precision][type]
 *
 * Of a number the type is f, e, g, d (the nearest whole number, halves to even) or %;
 * none is g with 9 digits, or as many as the precision says. Of a text it is s or none,
 * its precision is the most characters that are taken; a sign and `0` are of numbers.
 * Without an alignment numbers go to the right and texts to the left. Pure; never
 * allocates. */
#ifndef BRINK_BASE_FORMAT_H
#define BRINK_BASE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define FORMAT_WIDTH_MAX 99     /* characters */
#define FORMAT_PRECISION_MAX 20 /* digits, or characters of a text */
#define FORMAT_FAULT_BYTES 160

struct format {
    char align;       /* < > ^; 0: as is usual */
    char sign;        /* + or blank before what is not negative; 0: nothing */
    char type;        /* f e g d % s; 0: none */
    bool zeros;       /* between sign and digits up to the width */
    uint8_t width;    /* in characters, at least */
    int8_t precision; /* -1: none */
};

/* As without a specification. */
#define FORMAT_PLAIN ((struct format){.precision = -1})

/* Text of bounded length: what does not fit is left out, from a whole character on. */
struct bounded {
    char *p;
    size_t n, cap;
    bool cut;
};
void bounded_put(struct bounded *out, struct text t);

/* The specification of a number, or of a text. False: *ret_at bytes of it are in order,
 * and `fault` says what is not. */
bool format_parse(struct text spec, bool of_number, struct format *ret, size_t *ret_at,
                  char fault[FORMAT_FAULT_BYTES]) __attribute__((warn_unused_result));

void format_number(const struct format *f, double value, struct bounded *out);
void format_text(const struct format *f, struct text value, struct bounded *out);

#endif
