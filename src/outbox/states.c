#include "outbox/states.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PART_BYTES_MAX 65535

static void free_value(struct state *s)
{
    free((char *)(uintptr_t)s->value.p); /* ours, though views are const */
}

void states_clear(struct states *s)
{
    for (struct state *state = s->first, *next; state; state = next) {
        next = state->next;
        free_value(state);
        free(state);
    }
    map_finish(&s->by_key);
    *s = (struct states){0};
}

/* Its length before it: no two triples share a key, whatever bytes they hold. */
static char *put_part(char *at, struct text part, struct text *ret_copy)
{
    *at++ = (char)(unsigned char)(part.n >> 8);
    *at++ = (char)(unsigned char)(part.n & 0xff);
    if (part.n > 0) {
        memcpy(at, part.p, part.n);
    }
    *ret_copy = (struct text){at, part.n};
    return at + part.n;
}

static struct state *state_new(struct text rule, struct text tenant, struct text device)
{
    size_t bytes = 6 + rule.n + tenant.n + device.n;
    struct state *s = calloc(1, sizeof(*s) + bytes);
    if (!s) {
        return NULL;
    }
    char *at = (char *)(s + 1);
    s->key = (struct text){at, bytes};
    at = put_part(at, rule, &s->rule);
    at = put_part(at, tenant, &s->tenant);
    (void)put_part(at, device, &s->device);
    return s;
}

enum brink_status states_put(struct states *s, struct text rule, struct text tenant,
                             struct text device, struct text value)
{
    if (rule.n > PART_BYTES_MAX || tenant.n > PART_BYTES_MAX ||
        device.n > PART_BYTES_MAX) {
        return BRINK_E_LIMIT;
    }
    char *copy = value.n > 0 ? text_dup(value) : NULL;
    struct state *fresh = state_new(rule, tenant, device);
    if (!fresh || (value.n > 0 && !copy)) {
        goto no_memory;
    }
    struct state *held = map_get(&s->by_key, fresh->key);
    if (held) {
        free(fresh);
        free_value(held);
    } else {
        if (map_put(&s->by_key, fresh->key, fresh) != BRINK_OK) {
            goto no_memory;
        }
        held = fresh;
        held->next = s->first;
        s->first = held;
    }
    held->value = (struct text){copy, value.n};
    return BRINK_OK;
no_memory:
    free(fresh);
    free(copy);
    return BRINK_E_NOMEM;
}
