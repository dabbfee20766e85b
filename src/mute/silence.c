#include "mute/silence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fields.h"
#include "model/glob.h"
#include "model/message.h"
#include "model/rule.h"

#define YEAR_10000_US INT64_C(253402300800000000)
#define LINE_BYTES_MAX (32 * 1024)

static void silence_free(struct silence *x)
{
    if (x) {
        mute_cause_finish(&x->cause);
        free(x->tenant);
        free(x->rule);
        free(x->device);
        free(x->by);
        free(x->comment);
        free(x);
    }
}

void silences_finish(struct silences *s)
{
    for (size_t i = 0; i < s->n; i++) {
        silence_free(s->items[i]);
    }
    free(s->items);
    heap_finish(&s->timers);
    *s = (struct silences){0};
}

/* --- making --- */

bool silence_text_is_clean(struct text t, size_t bytes_max, bool lines)
{
    bool clean = t.n <= bytes_max && (t.n == 0 || text_is_utf8(t));
    for (size_t i = 0; clean && i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        clean = (c >= 0x20 && c != 0x7f) || (lines && (c == '\n' || c == '\t'));
    }
    return clean;
}

static enum brink_status check(const struct silence_order *o, struct wall now,
                               const char **ret_why)
{
    if (o->until.us <= now.us || o->until.us >= YEAR_10000_US) {
        *ret_why = o->until.us <= now.us ? "it would end before it begins"
                                         : "it must end before the year 10000";
        return BRINK_E_RANGE;
    }
    if (!silence_text_is_clean(o->tenant, ID_BYTES_MAX, false) ||
        !silence_text_is_clean(o->rule, RULE_ID_BYTES_MAX, false) ||
        !silence_text_is_clean(o->device, ID_BYTES_MAX, false)) {
        *ret_why = "a pattern is too long, not UTF-8, or holds control characters";
        return BRINK_E_SYNTAX;
    }
    if (!silence_text_is_clean(o->by, SILENCE_BY_BYTES_MAX, false) ||
        !silence_text_is_clean(o->comment, SILENCE_COMMENT_BYTES_MAX, true)) {
        *ret_why = "who or why is too long, not UTF-8, or holds control characters";
        return BRINK_E_SYNTAX;
    }
    return BRINK_OK;
}

static uint64_t mix(uint64_t h, struct text t)
{
    for (size_t i = 0; i <= t.n; i++) { /* the end goes in too and keeps parts apart */
        h = (h ^ (i < t.n ? (unsigned char)t.p[i] : 0x100)) * UINT64_C(1099511628211);
    }
    return h;
}

/* FNV-1a with the finalizer of MurmurHash3: the same order is the same silence in every
 * run, so that a replay gives the same ids. */
static void make_id(const struct silence_order *o, struct wall now,
                    char out[SILENCE_ID_BYTES])
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)now.us;
    h = mix(mix(mix(h, o->tenant), o->rule), o->device);
    h = mix(mix(h ^ (uint64_t)o->until.us, o->by), o->comment);
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    snprintf(out, SILENCE_ID_BYTES, "%016" PRIx64, h ^ (h >> 33));
}

/* In its place; takes it over. */
static enum brink_status insert(struct silences *s, struct silence *x)
{
    struct silence **grown = realloc(s->items, (s->n + 1) * sizeof *grown);
    if (!grown) {
        return BRINK_E_NOMEM;
    }
    s->items = grown;
    if (heap_set(&s->timers, &x->timer, x->until.us) != BRINK_OK) {
        return BRINK_E_NOMEM;
    }
    size_t at = s->n++;
    while (at > 0 && (grown[at - 1]->created_at.us > x->created_at.us ||
                      (grown[at - 1]->created_at.us == x->created_at.us &&
                       strcmp(grown[at - 1]->id, x->id) > 0))) {
        grown[at] = grown[at - 1];
        at--;
    }
    grown[at] = x;
    return BRINK_OK;
}

enum brink_status silences_add(struct silences *s, const struct silence_order *o,
                               struct wall now, const char **ret_why,
                               struct silence **ret_silence)
{
    char id[SILENCE_ID_BYTES];
    enum brink_status status = check(o, now, ret_why);
    if (status) {
        return status;
    }
    make_id(o, now, id);
    struct silence *x = silences_by_id(s, text_of(id));
    if (x) {
        *ret_silence = x;
        return BRINK_OK;
    }
    if (s->n >= SILENCES_MAX) {
        *ret_why = "there are 1000 silences already: expire some";
        return BRINK_E_LIMIT;
    }
    *ret_why = "out of memory";
    x = calloc(1, sizeof *x);
    if (!x) {
        return BRINK_E_NOMEM;
    }
    memcpy(x->id, id, sizeof id);
    x->cause.kind = MUTE_SILENCE;
    x->cause.active = true;
    x->created_at = now;
    x->until = o->until;
    x->tenant = text_dup(o->tenant);
    x->rule = text_dup(o->rule);
    x->device = text_dup(o->device);
    x->by = text_dup(o->by);
    x->comment = text_dup(o->comment);
    bool whole = x->tenant && x->rule && x->device && x->by && x->comment;
    if (!whole || insert(s, x) != BRINK_OK) {
        silence_free(x);
        return BRINK_E_NOMEM;
    }
    *ret_silence = x;
    return BRINK_OK;
}

/* --- asking --- */

struct silence *silences_by_id(const struct silences *s, struct text id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i]->cause.active && text_equal(text_of(s->items[i]->id), id)) {
            return s->items[i];
        }
    }
    return NULL;
}

static bool fits(const char *pattern, struct text subject)
{
    return pattern[0] == '\0' || glob_match(text_of(pattern), subject);
}

struct silence *silences_find(const struct silences *s,
                              const struct mute_subject *subject)
{
    for (size_t i = 0; i < s->n; i++) {
        struct silence *x = s->items[i];
        if (x->cause.active && fits(x->tenant, subject->tenant) &&
            fits(x->rule, subject->rule) && fits(x->device, subject->device)) {
            return x;
        }
    }
    return NULL;
}

/* --- ends --- */

int64_t silences_due(const struct silences *s)
{
    const struct heap_item *first = heap_first(&s->timers);
    return first ? first->due : INT64_MAX;
}

void silence_end(struct silences *s, struct silence *x)
{
    heap_remove(&s->timers, &x->timer);
    x->cause.active = false;
}

struct silence *silences_end_due(struct silences *s)
{
    struct silence *x = (struct silence *)(void *)((char *)heap_first(&s->timers) -
                                                   offsetof(struct silence, timer));
    silence_end(s, x);
    return x;
}

void silences_drop(struct silences *s, struct silence *x)
{
    size_t at = 0;
    while (s->items[at] != x) {
        at++;
    }
    memmove(s->items + at, s->items + at + 1, (s->n - at - 1) * sizeof *s->items);
    s->n--;
    silence_free(x);
}

/* --- state --- */

void silence_print(const struct silence *x, struct buffer *out)
{
    buffer_cstring(out, "1");
    fields_put_int(out, "created", x->created_at.us);
    fields_put_int(out, "until", x->until.us);
    fields_put_text(out, "tenant", x->tenant);
    fields_put_text(out, "rule", x->rule);
    fields_put_text(out, "device", x->device);
    fields_put_text(out, "by", x->by);
    fields_put_text(out, "comment", x->comment);
}

static bool is_whole(const struct silence *x)
{
    const struct silence_order order = {
        .tenant = text_of(x->tenant),
        .rule = text_of(x->rule),
        .device = text_of(x->device),
        .until = x->until,
        .by = text_of(x->by),
        .comment = text_of(x->comment),
    };
    const char *why;
    return x->tenant && x->rule && x->device && x->by && x->comment &&
           check(&order, x->created_at, &why) == BRINK_OK;
}

enum brink_status silences_restore(struct silences *s, struct text id, struct text line)
{
    struct text rest = line, key, value;
    if (line.n > LINE_BYTES_MAX || id.n != SILENCE_ID_BYTES - 1 ||
        !text_equal(fields_cut(&rest, ' '), TEXT("1"))) {
        return BRINK_E_SYNTAX;
    }
    if (s->n >= SILENCES_MAX || silences_by_id(s, id)) {
        return BRINK_E_LIMIT;
    }
    struct silence *x = calloc(1, sizeof *x);
    if (!x) {
        return BRINK_E_NOMEM;
    }
    const struct {
        struct text key;
        char **to;
    } texts[] = {
        {TEXT("tenant"), &x->tenant},   {TEXT("rule"), &x->rule},
        {TEXT("device"), &x->device},   {TEXT("by"), &x->by},
        {TEXT("comment"), &x->comment},
    };
    while (fields_next(&rest, &key, &value)) {
        if (text_equal(key, TEXT("created"))) {
            (void)fields_int(value, &x->created_at.us);
        } else if (text_equal(key, TEXT("until"))) {
            (void)fields_int(value, &x->until.us);
        }
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            if (text_equal(key, texts[i].key) && !*texts[i].to) {
                *texts[i].to = fields_unescape(value);
            }
        }
    }
    memcpy(x->id, id.p, id.n);
    x->cause.kind = MUTE_SILENCE;
    x->cause.active = true;
    enum brink_status status = is_whole(x) ? insert(s, x) : BRINK_E_SYNTAX;
    if (status) {
        silence_free(x);
    }
    return status;
}
