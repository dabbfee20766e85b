/* Is it JSON (RFC 8259)? Private to decode/.
 *
 * cJSON 1.7.15 alone would not tell: it reads 01, 1. and .5e as numbers as far as
 * strtod() does, takes any byte up to 0x20 as a space and lets raw control characters,
 * invalid UTF-8 and anything behind the value pass; it cuts a string at an escaped NUL,
 * and a number at 63 bytes. So each payload is checked here first, in one pass without
 * memory of its own, and what passes is what cJSON reads rightly. */
#ifndef BRINK_DECODE_GRAMMAR_H
#define BRINK_DECODE_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define JSON_DEPTH_MAX 128       /* arrays and objects inside each other */
#define JSON_NUMBER_BYTES_MAX 63 /* of one number as written */

/* One value with spaces around it and nothing else: strict JSON in UTF-8 within the two
 * limits, and no string with a NUL (\u0000) or half a surrogate pair, neither of which is
 * text. */
bool json_is_valid(struct text t);

/* In valid JSON: the value that begins at the first byte of t that is neither a space nor
 * a comma, as it is written. For walking along the elements of an array (t is what is
 * behind `[`). */
struct text json_next_value(struct text t);

/* In one valid value: its number number n (from 0, in the order written) as it is
 * written; n == 0 if there are fewer. */
struct text json_number_at(struct text value, size_t n);

#endif
