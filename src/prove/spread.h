/* How values are spread: counted in bins of less than 1 % of the value's size, whatever
 * the size, each of which remembers a value that really came. Memory: 64 KiB for each
 * power of 2^32 that occurs, 8 MiB at most. */
#ifndef BRINK_PROVE_SPREAD_H
#define BRINK_PROVE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#define SPREAD_PAGES 128
#define SPREAD_PAGE_BINS 4096

struct spread {
    struct spread_bin {
        uint64_t n;
        double value; /* the first that came */
    } * pages[SPREAD_PAGES];
    uint64_t n;
    double least, most;
};

/* v: finite. False: out of memory, it is not counted. */
bool spread_add(struct spread *s, double v);
/* The value that `share` (0 to 1) of all values do not exceed, but for the bin's width. n
 * > 0.
 */
double spread_quantile(const struct spread *s, double share);
void spread_finish(struct spread *s);

#endif
