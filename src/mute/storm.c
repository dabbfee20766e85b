#include "mute/storm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fields.h"

#define LINE_BYTES_MAX (256 * 1024) /* with the longest topic escaped */

static void storm_free(struct storm *x)
{
    mute_cause_finish(&x->cause);
    free(x->retained);
    free(x);
}

void storms_finish(struct storms *s)
{
    struct storm *x;
    for (size_t i = 0; (x = map_next(&s->by_tenant, &i));) {
        storm_free(x);
    }
    map_finish(&s->by_tenant);
    heap_finish(&s->timers);
    *s = (struct storms){0};
}

struct storm *storms_find(const struct storms *s, struct text tenant)
{
    return map_get(&s->by_tenant, tenant);
}

struct storm *storms_add(struct storms *s, struct text tenant)
{
    struct storm *x = calloc(1, sizeof *x + tenant.n + 1);
    if (!x) {
        return NULL;
    }
    x->cause.kind = MUTE_STORM;
    x->tenant = (struct text){x->bytes, tenant.n};
    if (tenant.n > 0) {
        memcpy(x->bytes, tenant.p, tenant.n);
    }
    if (heap_set(&s->timers, &x->timer, INT64_MAX) != BRINK_OK) {
        free(x);
        return NULL;
    }
    if (map_put(&s->by_tenant, x->tenant, x) != BRINK_OK) {
        heap_remove(&s->timers, &x->timer);
        free(x);
        return NULL;
    }
    return x;
}

void storms_drop(struct storms *s, struct storm *x)
{
    heap_remove(&s->timers, &x->timer);
    (void)map_remove(&s->by_tenant, x->tenant);
    storm_free(x);
}

/* --- places --- */

static int64_t slot_us(const struct storms *s)
{
    int64_t us = s->limit.within_us / STORM_SLOTS;
    return us > 0 ? us : 1;
}

/* Gives back what is due. A clock that was set back must not keep places for longer than
 * they would have been away. */
static void give_back(const struct storms *s, struct storm *x, struct wall now)
{
    int64_t latest = now.us + s->limit.within_us + slot_us(s);
    size_t gone = 0;
    for (size_t i = 0; i < x->n_slots; i++) {
        if (x->slots[i].until_us > latest) {
            x->slots[i].until_us = latest;
        }
        if (x->slots[i].until_us <= now.us) {
            x->taken -= x->slots[i].n;
            gone++;
        }
    }
    x->n_slots -= gone;
    memmove(x->slots, x->slots + gone, x->n_slots * sizeof x->slots[0]);
}

bool storm_has_room(const struct storms *s, struct storm *x, struct wall now)
{
    give_back(s, x, now);
    return s->limit.alerts == 0 || x->taken < s->limit.alerts;
}

bool storm_take(const struct storms *s, struct storm *x, struct wall now)
{
    if (!storm_has_room(s, x, now)) {
        return false;
    }
    if (s->limit.alerts == 0) {
        return true;
    }
    int64_t until = (now.us / slot_us(s) + 1) * slot_us(s) + s->limit.within_us;
    bool last = x->n_slots > 0 && (x->slots[x->n_slots - 1].until_us >= until ||
                                   x->n_slots == STORM_SLOTS_KEPT);
    if (!last) { /* else they go with the last; after a reload that may be later */
        x->slots[x->n_slots].n = 0;
        x->slots[x->n_slots++].until_us = until;
    } else if (x->slots[x->n_slots - 1].until_us < until) {
        x->slots[x->n_slots - 1].until_us = until;
    }
    x->slots[x->n_slots - 1].n++;
    x->taken++;
    return true;
}

int64_t storm_news_due(const struct storms *s, const struct storm *x)
{
    bool news = x->cause.active && x->held_back > x->told_held_back;
    /* Not just before the first places come back. */
    return news ? x->told_at.us + s->limit.within_us + slot_us(s) : INT64_MAX;
}

void storm_schedule(struct storms *s, struct storm *x)
{
    int64_t due = INT64_MIN; /* nothing is away: at once */
    if (x->n_slots > 0) {
        int64_t news = storm_news_due(s, x);
        due = x->slots[x->cause.active ? 0 : x->n_slots - 1].until_us;
        due = news < due ? news : due;
    }
    (void)!heap_set(&s->timers, &x->timer, due); /* a move cannot fail */
}

struct storm *storms_first_due(const struct storms *s)
{
    struct heap_item *first = heap_first(&s->timers);
    return first ? (struct storm *)(void *)((char *)first - offsetof(struct storm, timer))
                 : NULL;
}

int64_t storms_due(const struct storms *s)
{
    const struct heap_item *first = heap_first(&s->timers);
    return first ? first->due : INT64_MAX;
}

/* --- state --- */

void storm_print(const struct storm *x, struct buffer *out)
{
    buffer_cstring(out, "1");
    if (x->cause.active) {
        fields_put_int(out, "onset", x->onset.us);
        fields_put_int(out, "told_at", x->told_at.us);
        fields_put_int(out, "held", (int64_t)x->held_back);
        fields_put_int(out, "told_held", (int64_t)x->told_held_back);
        fields_put_int(out, "worst", (int64_t)x->worst);
        fields_put_int(out, "told", x->told);
        fields_put_text(out, "retained", x->retained);
    }
    for (size_t i = 0; i < x->n_slots; i++) {
        buffer_format(out, " slot=%" PRId64 "@%" PRIu32, x->slots[i].until_us,
                      x->slots[i].n);
    }
}

static bool restore_slot(struct storm *x, struct text value)
{
    int64_t until, n;
    struct text first = fields_cut(&value, '@');
    bool ok = x->n_slots < STORM_SLOTS_KEPT && fields_int(first, &until) &&
              fields_int(value, &n) && n > 0 && n <= UINT32_MAX - x->taken &&
              until >= 0 && until < INT64_MAX / 2 &&
              (x->n_slots == 0 || x->slots[x->n_slots - 1].until_us <= until);
    if (ok) {
        x->slots[x->n_slots].until_us = until;
        x->slots[x->n_slots++].n = (uint32_t)n;
        x->taken += (uint32_t)n;
    }
    return ok;
}

static bool restore_fields(struct storm *x, struct text rest)
{
    int64_t held = 0, told_held = 0, worst = SEVERITY_INFO, told = 0;
    const struct {
        struct text key;
        int64_t *to;
    } integers[] = {
        {TEXT("onset"), &x->onset.us}, {TEXT("told_at"), &x->told_at.us},
        {TEXT("held"), &held},         {TEXT("told_held"), &told_held},
        {TEXT("worst"), &worst},       {TEXT("told"), &told},
    };
    struct text key, value;
    while (fields_next(&rest, &key, &value)) {
        if (text_equal(key, TEXT("slot")) && !restore_slot(x, value)) {
            return false;
        }
        for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++) {
            if (text_equal(key, integers[k].key) &&
                (!fields_int(value, integers[k].to) || *integers[k].to < 0)) {
                return false;
            }
        }
        if (text_equal(key, TEXT("retained")) && !x->retained) {
            x->retained = fields_unescape(value);
        }
    }
    x->cause.active = x->onset.us != 0;
    x->held_back = (uint64_t)held;
    x->told_held_back = (uint64_t)told_held;
    x->worst = worst <= SEVERITY_CRITICAL ? (enum severity)worst : SEVERITY_CRITICAL;
    x->told = told <= UINT32_MAX ? (uint32_t)told : UINT32_MAX;
    return true;
}

enum brink_status storms_restore(struct storms *s, struct text tenant, struct text line)
{
    struct text rest = line;
    if (line.n > LINE_BYTES_MAX || !text_equal(fields_cut(&rest, ' '), TEXT("1"))) {
        return BRINK_E_SYNTAX;
    }
    if (storms_find(s, tenant)) {
        return BRINK_E_STATE;
    }
    struct storm *x = storms_add(s, tenant);
    if (!x) {
        return BRINK_E_NOMEM;
    }
    if (!restore_fields(x, rest)) {
        storms_drop(s, x);
        return BRINK_E_SYNTAX;
    }
    storm_schedule(s, x);
    return BRINK_OK;
}
