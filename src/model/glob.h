/* Device patterns in scopes and groups: `*` any run of bytes, `?` any one byte, all else
 * itself. Linear in the text times the stars (no backtracking blow-up). */
#ifndef BRINK_MODEL_GLOB_H
#define BRINK_MODEL_GLOB_H

#include <stdbool.h>

#include "base/text.h"

bool glob_match(struct text pattern, struct text subject);

#endif
