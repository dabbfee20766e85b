#include "prove/spread.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BITS 19 /* sign, exponent, and 7 bits of the fraction */

/* Rises with the value: a double's bits do, but for the sign. */
static uint32_t key_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits ^= bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63;
    return (uint32_t)(bits >> (64 - KEY_BITS));
}

bool spread_add(struct spread *s, double v)
{
    v = v == 0 ? 0 : v; /* -0 */
    uint32_t key = key_of(v);
    struct spread_bin **page = &s->pages[key / SPREAD_PAGE_BINS];
    if (!*page && !(*page = calloc(SPREAD_PAGE_BINS, sizeof **page))) {
        return false;
    }
    struct spread_bin *bin = &(*page)[key % SPREAD_PAGE_BINS];
    if (bin->n++ == 0) {
        bin->value = v;
    }
    s->least = s->n == 0 || v < s->least ? v : s->least;
    s->most = s->n == 0 || v > s->most ? v : s->most;
    s->n++;
    return true;
}

double spread_quantile(const struct spread *s, double share)
{
    double wanted = ceil(share * (double)s->n);
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted, sum = 0;
    for (size_t p = 0; p < SPREAD_PAGES; p++) {
        for (size_t b = 0; s->pages[p] && b < SPREAD_PAGE_BINS; b++) {
            sum += s->pages[p][b].n;
            if (sum >= rank) {
                return s->pages[p][b].value;
            }
        }
    }
    return s->most;
}

void spread_finish(struct spread *s)
{
    for (size_t p = 0; p < SPREAD_PAGES; p++) {
        free(s->pages[p]);
        s->pages[p] = NULL;
    }
    s->n = 0;
}
