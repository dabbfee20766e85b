#include "rules/sequence.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_MIN 2
#define STEP_MAX UINT16_MAX

/* first, first + step, ...; n of them. */
struct run {
    uint32_t first;
    uint16_t step, n;
};

struct sequence {
    struct sequence *next;
    unsigned entry;
    uint8_t n; /* numbers in all runs */
    uint8_t n_runs, cap;
    struct run runs[]; /* oldest first */
};

/* Numbers near each other never fold to the same, and neighbours stay neighbours. */
static uint32_t fold(uint64_t seq)
{
    return (uint32_t)(seq + (seq >> 32));
}

static bool holds(const struct sequence *s, uint32_t number)
{
    for (uint8_t i = 0; i < s->n_runs; i++) {
        const struct run *r = &s->runs[i];
        uint32_t beyond = number - r->first;
        if (beyond == 0 || (beyond < (uint32_t)r->step * r->n && beyond % r->step == 0)) {
            return true;
        }
    }
    return false;
}

static void forget_oldest(struct sequence *s)
{
    struct run *r = &s->runs[0];
    r->first += r->step;
    if (--r->n == 0) {
        s->n_runs--;
        memmove(r, r + 1, s->n_runs * sizeof *r);
    }
    s->n--;
}

/* Does it go on with the newest run? A run of one takes any step. */
static bool goes_on(struct sequence *s, uint32_t number)
{
    struct run *r = &s->runs[s->n_runs - 1];
    uint32_t step = number - (r->first + (uint32_t)r->step * (r->n - 1u));
    if (step > STEP_MAX || (r->n > 1 && step != r->step)) {
        return false;
    }
    r->step = (uint16_t)step;
    r->n++;
    return true;
}

static struct sequence *grow(struct sequence **at)
{
    uint8_t cap = *at ? (uint8_t)(2 * (*at)->cap) : RUNS_MIN;
    struct sequence *s = realloc(*at, sizeof *s + cap * sizeof s->runs[0]);
    if (s) {
        s->cap = cap;
        *at = s;
    }
    return s;
}

bool sequence_seen(struct sequence **list, unsigned entry, uint64_t seq)
{
    struct sequence **at = list, *s;
    while ((s = *at) && s->entry != entry) {
        at = &s->next;
    }
    if (!s) {
        s = grow(at);
        if (!s) {
            return false;
        }
        s->next = NULL;
        s->entry = entry;
        s->n = s->n_runs = 0;
    }
    uint32_t number = fold(seq);
    if (holds(s, number)) {
        return true;
    }
    if (s->n == SEQ_REMEMBERED) {
        forget_oldest(s);
    }
    if (s->n_runs == 0 || !goes_on(s, number)) {
        if (s->n_runs == s->cap) {
            s = grow(at);
            if (!s) {
                return false;
            }
        }
        s->runs[s->n_runs++] = (struct run){number, 1, 1};
    }
    s->n++;
    return false;
}

void sequences_renumber(struct sequence **list, const int *to, size_t n)
{
    for (struct sequence **at = list, *s; (s = *at);) {
        if (s->entry < n && to[s->entry] >= 0) {
            s->entry = (unsigned)to[s->entry];
            at = &s->next;
        } else {
            *at = s->next;
            free(s);
        }
    }
}

void sequences_free(struct sequence *list)
{
    while (list) {
        struct sequence *next = list->next;
        free(list);
        list = next;
    }
}
