#include "gateway/subscriptions.h"

#include <stdlib.h>
#include <string.h>

static uint32_t here(const struct subscriptions *s)
{
    return UINT32_C(1) << s->server;
}

static uint32_t everywhere(const struct subscriptions *s)
{
    return s->n_servers == 0 ? UINT32_MAX : UINT32_MAX >> (32 - s->n_servers);
}

static void drop(struct subscriptions *s, size_t i)
{
    free(s->items[i].filter);
    s->n--;
    memmove(s->items + i, s->items + i + 1, (s->n - i) * sizeof *s->items);
    s->changed = true;
}

void subscriptions_finish(struct subscriptions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].filter);
    }
    free(s->items);
    *s = (struct subscriptions){0};
}

static struct subscription *find(const struct subscriptions *s, struct text filter)
{
    for (size_t i = 0; i < s->n; i++) {
        if (text_equal(text_of(s->items[i].filter), filter)) {
            return &s->items[i];
        }
    }
    return NULL;
}

/* Room for `more` items. */
static bool reserve(struct subscriptions *s, size_t more)
{
    if (s->n + more <= s->cap) {
        return true;
    }
    struct subscription *grown = realloc(s->items, (s->n + more) * sizeof *grown);
    if (!grown) {
        return false;
    }
    s->items = grown;
    s->cap = s->n + more;
    return true;
}

/* The one with this filter, new where there is none. NULL: no memory. */
static struct subscription *enter(struct subscriptions *s, struct text filter)
{
    struct subscription *item = find(s, filter);
    if (item) {
        return item;
    }
    char *copy = reserve(s, 1) ? text_dup(filter) : NULL;
    if (!copy) {
        return NULL;
    }
    s->items[s->n] = (struct subscription){.filter = copy};
    s->changed = true;
    return &s->items[s->n++];
}

enum brink_status subscriptions_remember(struct subscriptions *s, struct text lines)
{
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        struct text line = {lines.p, end ? (size_t)(end - lines.p) : lines.n};
        size_t used = line.n + (end ? 1 : 0);
        lines.p += used;
        lines.n -= used;
        if (line.n == 0) {
            continue;
        }
        struct subscription *item = enter(s, line);
        if (!item) {
            return BRINK_E_NOMEM;
        }
        item->held = everywhere(s);
    }
    return BRINK_OK;
}

/* What no session can hold is forgotten, and the oldest beyond the limit. */
static void forget(struct subscriptions *s)
{
    size_t gone = 0;
    for (size_t i = s->n; i-- > 0;) {
        const struct subscription *item = &s->items[i];
        if (item->wanted || item->tag != 0) {
            continue;
        }
        if (item->held == 0) {
            drop(s, i);
        } else if (++gone > SUBSCRIPTIONS_GONE_MAX) {
            drop(s, i);
            s->given_up++;
        }
    }
}

static bool is_noted(const struct subscription *item)
{
    return item->wanted || item->held != 0;
}

enum brink_status subscriptions_want(struct subscriptions *s, const struct config *config)
{
    /* All that can fail comes first; a new item that nobody wants yet and no session has
     * is none. */
    for (size_t t = 0; t < config->n_telemetry; t++) {
        if (!enter(s, text_of(config->telemetry[t].pattern.filter))) {
            forget(s);
            return BRINK_E_NOMEM;
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        s->changed = s->changed || s->items[i].held == 0; /* goes, or comes */
        s->items[i].wanted = false;
    }
    for (size_t t = 0; t < config->n_telemetry; t++) {
        struct subscription *item = find(s, text_of(config->telemetry[t].pattern.filter));
        if (item->qos != config->telemetry[t].qos) {
            item->granted = 0;
        }
        item->wanted = true;
        item->qos = config->telemetry[t].qos;
    }
    for (size_t i = 0; i < s->n; i++) {
        s->items[i].retry.us = INT64_MIN;
    }
    forget(s);
    return BRINK_OK;
}

/* No request is under way any more, and each may be made at once. */
static void start_anew(struct subscriptions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->items[i].tag = 0;
        s->items[i].refused = false;
        s->items[i].retry.us = INT64_MIN;
    }
}

void subscriptions_connected(struct subscriptions *s, size_t server, bool session_present)
{
    s->server = server;
    s->connected = true;
    start_anew(s);
    for (size_t i = 0; i < s->n && !session_present; i++) {
        s->items[i].held &= ~here(s);
        s->items[i].granted &= ~here(s);
    }
    forget(s);
}

void subscriptions_lost(struct subscriptions *s)
{
    s->connected = false;
    start_anew(s);
    forget(s);
}

/* Does the session at hand differ from what is wanted? */
static bool wants_asking(const struct subscriptions *s, const struct subscription *item)
{
    return item->wanted ? !(item->granted & here(s)) : (item->held & here(s)) != 0;
}

const struct subscription *subscriptions_next(struct subscriptions *s, struct mono now)
{
    for (size_t i = 0; i < s->n && s->connected; i++) {
        struct subscription *item = &s->items[i];
        if (item->tag == 0 && wants_asking(s, item) && now.us >= item->retry.us) {
            item->tag = ++s->tags;
            item->leaving = !item->wanted;
            item->asked_qos = item->qos;
            item->granted &= ~here(s);
            item->held |= here(s); /* from now on it may */
            return item;
        }
    }
    return NULL;
}

static struct subscription *under_way(const struct subscriptions *s, uint64_t tag)
{
    for (size_t i = 0; i < s->n; i++) {
        if (tag != 0 && s->items[i].tag == tag) {
            return &s->items[i];
        }
    }
    return NULL;
}

static void refuse(struct subscription *item, struct mono now)
{
    item->tag = 0;
    item->refused = true;
    item->retry.us = now.us + SUBSCRIPTIONS_RETRY_US;
}

void subscriptions_failed(struct subscriptions *s, uint64_t tag, struct mono now)
{
    struct subscription *item = under_way(s, tag);
    if (item) {
        refuse(item, now);
    }
}

const struct subscription *subscriptions_answered(struct subscriptions *s, uint64_t tag,
                                                  int reason, struct mono now)
{
    forget(s); /* not at the end: what is returned stays for the caller */
    struct subscription *item = under_way(s, tag);
    if (!item) {
        return NULL;
    }
    if (reason < 0 || reason >= 0x80) {
        refuse(item, now);
        return item;
    }
    item->tag = 0;
    item->refused = false;
    if (item->leaving) {
        item->held &= ~here(s);
        s->changed = s->changed || !is_noted(item);
    } else if (item->asked_qos == item->qos) {
        item->granted |= here(s);
    }
    return item;
}

bool subscriptions_busy(const struct subscriptions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i].tag != 0) {
            return true;
        }
    }
    return false;
}

bool subscriptions_complete(const struct subscriptions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i].wanted && !(s->items[i].granted & here(s))) {
            return false;
        }
    }
    return s->connected;
}

struct mono subscriptions_due(const struct subscriptions *s)
{
    struct mono due = {INT64_MAX};
    for (size_t i = 0; i < s->n && s->connected; i++) {
        const struct subscription *item = &s->items[i];
        if (item->tag == 0 && wants_asking(s, item) && item->retry.us < due.us) {
            due = item->retry;
        }
    }
    return due;
}

void subscriptions_lines(const struct subscriptions *s, struct buffer *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct subscription *item = &s->items[i];
        if (is_noted(item)) {
            buffer_cstring(out, item->filter);
            buffer_char(out, '\n');
        }
    }
}
