/* What is written by those who come from another language, and how it is said here; for
 * messages. Private to expr/. */
#ifndef BRINK_EXPR_ADVICE_H
#define BRINK_EXPR_ADVICE_H

#include "base/number.h"
#include "base/text.h"

/* How the text at hand, which begins no word of the language, would be said; or NULL. */
const char *advice_sign(struct text at_hand);

/* The duration that is meant by 5min, 5 M, 1h30m or 2w, as it is written here; false:
 * none is. */
bool advice_duration(struct text written, char ret_meant[NUMBER_BYTES]);

/* The function that is meant by a name that is none, or NULL. */
const char *advice_function(struct text name);

#endif
