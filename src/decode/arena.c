#include "decode/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define CHUNK_BYTES ((size_t)64 * 1024)

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes; /* of data */
    alignas(max_align_t) unsigned char data[];
};

static struct arena_chunk *chunk_add(struct arena *a, size_t n, size_t bytes_max)
{
    size_t bytes = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    if (bytes_max < a->bytes || bytes > bytes_max - a->bytes) {
        return NULL;
    }
    struct arena_chunk *chunk = malloc(sizeof *chunk + bytes);
    if (!chunk) {
        return NULL;
    }
    chunk->older = a->chunks;
    chunk->bytes = bytes;
    a->chunks = chunk;
    a->used = 0;
    a->bytes += bytes;
    return chunk;
}

void *arena_take(struct arena *a, size_t n, size_t bytes_max)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX / 2) {
        return NULL;
    }
    n = (n + align - 1) / align * align;
    struct arena_chunk *chunk = a->chunks;
    if (!chunk || chunk->bytes - a->used < n) {
        chunk = chunk_add(a, n, bytes_max);
        if (!chunk) {
            return NULL;
        }
    }
    void *piece = chunk->data + a->used;
    a->used += n;
    return piece;
}

struct text arena_copy(struct arena *a, struct text t, size_t bytes_max)
{
    char *copy = arena_take(a, t.n ? t.n : 1, bytes_max);
    if (!copy) {
        return (struct text){NULL, 0};
    }
    if (t.n > 0) {
        memcpy(copy, t.p, t.n);
    }
    return (struct text){copy, t.n};
}

void arena_reset(struct arena *a)
{
    while (a->chunks && (a->chunks->older || a->chunks->bytes > CHUNK_BYTES)) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->older;
        a->bytes -= chunk->bytes;
        free(chunk);
    }
    a->used = 0;
}

void arena_finish(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->older;
        free(chunk);
    }
    *a = (struct arena){0};
}
