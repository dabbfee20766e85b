/* Hash map from bytes to a pointer. Keys are the caller's memory and must live as long as
 * the entry (usually they are a field of the value). SipHash-1-3 with a key drawn at
 * process start: device ids are hostile. Open addressing, grows by doubling. One thread.
 */
#ifndef BRINK_BASE_MAP_H
#define BRINK_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

/* Kept small, there are up to three for each entry: a key may have 4 GiB at most. */
struct map_slot {
    const char *key;
    void *value; /* NULL: never used or removed */
    uint32_t key_n, hash;
};

struct map {
    struct map_slot *slots;
    size_t cap;  /* a power of two, or 0 */
    size_t n;    /* live entries */
    size_t used; /* live and removed */
};

uint64_t map_hash(struct text key);

void map_finish(struct map *m); /* frees the slots, not the values */
void *map_get(const struct map *m, struct text key);
void *map_get_hashed(const struct map *m, struct text key, uint64_t hash);
/* Adds or replaces; value must not be NULL. E_NOMEM, also of more than 2^32 slots. */
enum brink_status map_put(struct map *m, struct text key, void *value) BRINK_MUST_CHECK;
void *map_remove(struct map *m, struct text key); /* the value, or NULL */
/* Not drawn but fixed, for a run that must come out the same each time; before the first
 * entry. Whoever chooses the keys may then slow the process down. */
void map_fix_seed(void);
/* Walks: start with *i = 0; NULL at the end. Removing the entry just returned is allowed.
 * The order differs from one start to the next: sort what must come out the same. */
void *map_next(const struct map *m, size_t *i);

#endif
