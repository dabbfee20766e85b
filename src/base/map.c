#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define FIRST_CAP 16

/* The key of a removed slot (its value is NULL): probing goes on behind it. */
static const char removed[1];

static uint64_t seed[2];

/* Before main(), so that hashing needs no check. It does not wait for entropy: at an
 * early boot the process's own addresses (randomized by the kernel), its id and the clock
 * must do, which still differ from one start to the next. */
__attribute__((constructor)) static void draw_seed(void)
{
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) {
        return;
    }
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    seed[0] =
        (uint64_t)(uintptr_t)&t * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)t.tv_nsec;
    seed[1] = (uint64_t)(uintptr_t)&draw_seed * UINT64_C(0xbf58476d1ce4e5b9) ^
              (uint64_t)getpid() << 32 ^ (uint64_t)t.tv_sec;
}

void map_fix_seed(void)
{
    seed[0] = UINT64_C(0x243f6a8885a308d3);
    seed[1] = UINT64_C(0x13198a2e03707344);
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

#define SIP_ROUND                                                                        \
    do {                                                                                 \
        v0 += v1;                                                                        \
        v1 = rotate(v1, 13) ^ v0;                                                        \
        v0 = rotate(v0, 32);                                                             \
        v2 += v3;                                                                        \
        v3 = rotate(v3, 16) ^ v2;                                                        \
        v0 += v3;                                                                        \
        v3 = rotate(v3, 21) ^ v0;                                                        \
        v2 += v1;                                                                        \
        v1 = rotate(v1, 17) ^ v2;                                                        \
        v2 = rotate(v2, 32);                                                             \
    } while (0)

/* SipHash-1-3. Words are read in the machine's byte order: the hash never leaves it. */
uint64_t map_hash(struct text key)
{
    uint64_t v0 = seed[0] ^ UINT64_C(0x736f6d6570736575);
    uint64_t v1 = seed[1] ^ UINT64_C(0x646f72616e646f6d);
    uint64_t v2 = seed[0] ^ UINT64_C(0x6c7967656e657261);
    uint64_t v3 = seed[1] ^ UINT64_C(0x7465646279746573);
    uint64_t word;
    size_t i = 0;
    for (; key.n - i >= 8; i += 8) {
        memcpy(&word, key.p + i, 8);
        v3 ^= word;
        SIP_ROUND;
        v0 ^= word;
    }
    word = 0;
    if (key.n > i) {
        memcpy(&word, key.p + i, key.n - i);
    }
    /* Xor, not or: in a big-endian word the length's byte is taken by the tail. */
    word ^= (uint64_t)key.n << 56;
    v3 ^= word;
    SIP_ROUND;
    v0 ^= word;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

void map_finish(struct map *m)
{
    if (m) {
        free(m->slots);
        *m = (struct map){0};
    }
}

static bool is_of(const struct map_slot *slot, struct text key, uint32_t hash)
{
    return slot->hash == hash && text_equal((struct text){slot->key, slot->key_n}, key);
}

static struct map_slot *find(const struct map *m, struct text key, uint32_t hash)
{
    if (m->cap == 0) {
        return NULL;
    }
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (!slot->value) {
            if (!slot->key) {
                return NULL;
            }
        } else if (is_of(slot, key, hash)) {
            return slot;
        }
    }
}

void *map_get_hashed(const struct map *m, struct text key, uint64_t hash)
{
    struct map_slot *slot = find(m, key, (uint32_t)hash);
    return slot ? slot->value : NULL;
}

void *map_get(const struct map *m, struct text key)
{
    return map_get_hashed(m, key, map_hash(key));
}

/* Puts what is not in the map yet into a slot that was never used. */
static void insert(struct map *m, struct map_slot slot)
{
    size_t i = slot.hash & (m->cap - 1);
    while (m->slots[i].value || m->slots[i].key) {
        i = (i + 1) & (m->cap - 1);
    }
    m->slots[i] = slot;
    m->n++;
    m->used++;
}

/* Makes room for one more: doubles, or only sweeps the removed away where they are many.
 */
static enum brink_status grow(struct map *m)
{
    size_t cap = m->cap == 0 ? FIRST_CAP : m->n >= m->cap / 2 ? m->cap * 2 : m->cap;
    if (cap < m->cap || cap - 1 > UINT32_MAX) { /* by more the hash does not tell apart */
        return BRINK_E_NOMEM;
    }
    struct map larger = {.slots = calloc(cap, sizeof *larger.slots), .cap = cap};
    if (!larger.slots) {
        return BRINK_E_NOMEM;
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].value) {
            insert(&larger, m->slots[i]);
        }
    }
    free(m->slots);
    *m = larger;
    return BRINK_OK;
}

enum brink_status map_put(struct map *m, struct text key, void *value)
{
    uint32_t hash = (uint32_t)map_hash(key);
    struct map_slot *slot = find(m, key, hash);
    if (key.n > UINT32_MAX) {
        return BRINK_E_NOMEM;
    }
    if (slot) {
        slot->key = key.p; /* the old one may be a field of the value that goes */
        slot->value = value;
        return BRINK_OK;
    }
    if (m->used + 1 > m->cap / 4 * 3) {
        enum brink_status status = grow(m);
        if (status) {
            return status;
        }
    }
    insert(m, (struct map_slot){key.p, value, (uint32_t)key.n, hash});
    return BRINK_OK;
}

void *map_remove(struct map *m, struct text key)
{
    struct map_slot *slot = find(m, key, (uint32_t)map_hash(key));
    if (!slot) {
        return NULL;
    }
    void *value = slot->value;
    *slot = (struct map_slot){.key = removed};
    m->n--;
    /* Removed slots at the end of a run hold nothing together: they are free again. */
    size_t mask = m->cap - 1;
    size_t i = (size_t)(slot - m->slots);
    const struct map_slot *next = &m->slots[(i + 1) & mask];
    if (!next->value && !next->key) {
        while (!m->slots[i].value && m->slots[i].key) {
            m->slots[i].key = NULL;
            m->used--;
            i = (i - 1) & mask;
        }
    }
    return value;
}

void *map_next(const struct map *m, size_t *i)
{
    while (*i < m->cap) {
        void *value = m->slots[(*i)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}
