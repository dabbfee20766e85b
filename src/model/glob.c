#include "model/glob.h"

#include <stddef.h>

bool glob_match(struct text pattern, struct text subject)
{
    size_t p = 0, s = 0;
    /* Only the last star needs to be tried with more: an earlier one that took less
     * leaves the rest of the pattern at least as much to match. */
    size_t behind_star = 0, star_end = 0;
    bool star = false;
    while (s < subject.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = true;
            behind_star = ++p;
            star_end = s;
        } else if (p < pattern.n &&
                   (pattern.p[p] == '?' || pattern.p[p] == subject.p[s])) {
            p++;
            s++;
        } else if (star) {
            p = behind_star;
            s = ++star_end;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*') {
        p++;
    }
    return p == pattern.n;
}
