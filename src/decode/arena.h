/* Memory that is given out piece by piece and taken back all at once. Private to decode/.
 */
#ifndef BRINK_DECODE_ARENA_H
#define BRINK_DECODE_ARENA_H

#include <stddef.h>

#include "base/text.h"

struct arena {
    struct arena_chunk *chunks; /* the newest, which is filled, first */
    size_t used;                /* of the newest chunk */
    size_t bytes;               /* of all chunks */
};

/* n bytes, aligned for any type and not cleared, or NULL: memory is out, or bytes_max
 * would be passed. Valid until arena_reset(). */
void *arena_take(struct arena *a, size_t n, size_t bytes_max);
/* A copy in the arena; p == NULL: as above (an empty text has a p). */
struct text arena_copy(struct arena *a, struct text t, size_t bytes_max);
void arena_reset(struct arena *a); /* keeps one chunk */
void arena_finish(struct arena *a);

#endif
