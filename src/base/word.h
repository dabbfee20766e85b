/* Eight bytes of text at once. A search answers with a mask in which the highest bit of
 * a byte marks a find; the first find is always a true one (those behind it may not be),
 * so that both "is there any?" and "where is the first?" are exact. */
#ifndef BRINK_BASE_WORD_H
#define BRINK_BASE_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORD_BYTES 8
#define WORD_ONES UINT64_C(0x0101010101010101)
#define WORD_HIGHS UINT64_C(0x8080808080808080)

/* The first byte is the lowest, whatever the machine's order. */
static inline uint64_t word_load(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w); /* GCC's and clang's */
#endif
    return w;
}

/* Fewer than eight, and zeros behind them. */
static inline uint64_t word_load_short(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    uint64_t w = 0;
    if (n >= 4) {
        uint64_t low =
            b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        b += n - 4; /* the last four, some of them once more */
        uint64_t high =
            b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        return low | high << 8 * (n - 4);
    }
    if (n > 0) {
        w = b[0] | (uint64_t)b[n / 2] << 8 * (n / 2) | (uint64_t)b[n - 1] << 8 * (n - 1);
    }
    return w;
}

/* Are n bytes the same? What memcmp tells, without a call. */
static inline int word_same(const char *a, const char *b, size_t n)
{
    if (n < WORD_BYTES) {
        return word_load_short(a, n) == word_load_short(b, n);
    }
    for (size_t i = 0; i + WORD_BYTES < n; i += WORD_BYTES) {
        if (word_load(a + i) != word_load(b + i)) {
            return 0;
        }
    }
    return word_load(a + n - WORD_BYTES) == word_load(b + n - WORD_BYTES);
}

static inline uint64_t word_find(uint64_t w, unsigned char byte)
{
    w ^= byte * WORD_ONES;
    return (w - WORD_ONES) & ~w & WORD_HIGHS;
}

/* Bytes below `bound`, which is at most 0x80. */
static inline uint64_t word_find_below(uint64_t w, unsigned char bound)
{
    return (w - bound * WORD_ONES) & ~w & WORD_HIGHS;
}

/* Bytes from 0x80 on. */
static inline uint64_t word_find_high(uint64_t w)
{
    return w & WORD_HIGHS;
}

/* Which byte is the first find? finds != 0. */
static inline size_t word_first(uint64_t finds)
{
    return (size_t)__builtin_ctzll(finds) / 8; /* GCC's and clang's: zeros at the end */
}

/* Two words, or one and something else, into one that looks random. */
static inline uint64_t word_mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ a >> 32;
}

#endif
