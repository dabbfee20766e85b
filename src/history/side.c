#include "history/side.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "history/script.h"

struct side_device {
    struct side_device *next;
    char *value; /* of its own: replaced in place */
    size_t value_n, field_n;
    char field[];
};

static const struct mono never = {INT64_MAX};

enum brink_status side_init(struct side *s, const char *gateway_id)
{
    struct buffer hash = {0};
    buffer_cstring(&hash, "brink:");
    buffer_cstring(&hash, gateway_id);
    buffer_cstring(&hash, ":devices");
    *s = (struct side){.due = never};
    s->hash = buffer_ok(&hash) ? text_dup(buffer_view(&hash)) : NULL;
    buffer_finish(&hash);
    return s->hash ? BRINK_OK : BRINK_E_NOMEM;
}

static void free_device(struct side_device *d)
{
    if (d) {
        free(d->value);
        free(d);
    }
}

static void free_devices(struct side_device *d)
{
    while (d) {
        struct side_device *next = d->next;
        free_device(d);
        d = next;
    }
}

static struct text field_of(const struct side_device *d)
{
    return (struct text){d->field, d->field_n};
}

static void drop_all(struct side *s)
{
    free_devices(s->first);
    free_devices(s->sent);
    s->first = s->last = s->sent = NULL;
    map_finish(&s->devices);
    for (size_t i = 0; i < s->n_cooldowns; i++) {
        free(s->cooldowns[i].key);
    }
    s->n_cooldowns = s->sent_cooldowns = 0;
    s->due = never;
}

void side_finish(struct side *s)
{
    drop_all(s);
    free(s->cooldowns);
    free(s->hash);
    s->cooldowns = NULL;
    s->hash = NULL;
}

static void begins_to_wait(struct side *s, struct mono now)
{
    if (s->due.us == INT64_MAX) {
        s->due.us = now.us + SIDE_AGE_US;
    }
}

/* --- devices --- */

static void queue_device(struct side *s, struct side_device *d)
{
    d->next = NULL;
    if (s->last) {
        s->last->next = d;
    } else {
        s->first = d;
    }
    s->last = d;
}

void side_put_device(struct side *s, struct mono now, struct text field,
                     struct text value)
{
    char *copy = value.n > 0 ? malloc(value.n) : NULL;
    if (value.n > 0 && !copy) {
        return;
    }
    if (copy) {
        memcpy(copy, value.p, value.n);
    }
    struct side_device *d = map_get(&s->devices, field);
    bool is_new = !d;
    if (is_new) {
        d = s->devices.n < SIDE_DEVICES_MAX ? calloc(1, sizeof *d + field.n) : NULL;
        if (!d) {
            free(copy);
            return;
        }
        d->field_n = field.n;
        memcpy(d->field, field.p, field.n);
    }
    free(d->value);
    d->value = copy;
    d->value_n = value.n;
    if (!is_new) {
        return;
    }
    if (map_put(&s->devices, field_of(d), d) != BRINK_OK) {
        free_device(d);
        return;
    }
    queue_device(s, d);
    begins_to_wait(s, now);
    if (s->devices.n == SIDE_FIELDS_MAX) {
        s->due = now; /* enough for an exchange of their own */
    }
}

void side_each_device(const struct side *s,
                      void (*visit)(void *ctx, struct text field, struct text value),
                      void *ctx)
{
    for (const struct side_device *d = s->first; d; d = d->next) {
        visit(ctx, field_of(d), (struct text){d->value, d->value_n});
    }
}

void side_keep_devices(struct side *s,
                       bool (*keep)(void *ctx, struct text field, struct text value),
                       void *ctx)
{
    struct side_device **tail = &s->first;
    s->last = NULL;
    while (*tail) {
        struct side_device *d = *tail;
        if (keep(ctx, field_of(d), (struct text){d->value, d->value_n})) {
            s->last = d;
            tail = &d->next;
        } else {
            *tail = d->next;
            (void)map_remove(&s->devices, field_of(d));
            free_device(d);
        }
    }
}

static size_t device_requests(struct side *s, struct buffer *out)
{
    size_t n = 0;
    struct side_device **tail = &s->sent;
    for (; s->first && n < SIDE_FIELDS_MAX; n++) {
        struct side_device *d = s->first;
        s->first = d->next;
        if (!s->first) {
            s->last = NULL;
        }
        (void)map_remove(&s->devices, field_of(d));
        d->next = NULL;
        *tail = d;
        tail = &d->next;
        resp_array(out, d->value ? 4 : 3);
        resp_bulk(out, d->value ? TEXT("HSET") : TEXT("HDEL"));
        resp_bulk(out, text_of(s->hash));
        resp_bulk(out, field_of(d));
        if (d->value) {
            resp_bulk(out, (struct text){d->value, d->value_n});
        }
    }
    return n;
}

/* Those sent go back before the others, unless a newer value waits. */
static void devices_wait_again(struct side *s)
{
    struct side_device *first = NULL, **tail = &first;
    while (s->sent) {
        struct side_device *d = s->sent;
        s->sent = d->next;
        if (map_get(&s->devices, field_of(d)) ||
            map_put(&s->devices, field_of(d), d) != BRINK_OK) {
            free_device(d);
            continue;
        }
        d->next = NULL;
        *tail = d;
        tail = &d->next;
        if (!s->first) {
            s->last = d;
        }
    }
    *tail = s->first;
    s->first = first;
}

/* --- cooldowns --- */

void side_put_cooldown(struct side *s, struct mono now, struct text key, int64_t ttl_us)
{
    if (s->n_cooldowns >= SIDE_COOLDOWNS_MAX || ttl_us < US_PER_MS) {
        return;
    }
    if (s->n_cooldowns == s->cap_cooldowns) {
        size_t cap = s->cap_cooldowns ? s->cap_cooldowns * 2 : 16;
        struct side_cooldown *more = realloc(s->cooldowns, cap * sizeof *more);
        if (!more) {
            return;
        }
        s->cooldowns = more;
        s->cap_cooldowns = cap;
    }
    char *copy = text_dup(key);
    if (copy) {
        s->cooldowns[s->n_cooldowns++] = (struct side_cooldown){copy, {now.us + ttl_us}};
        begins_to_wait(s, now);
    }
}

/* The time to live is what remains when it is sent, which after an outage is less. */
static size_t cooldown_requests(struct side *s, struct mono now, struct buffer *out)
{
    size_t n = 0;
    for (; s->sent_cooldowns < s->n_cooldowns && n < SIDE_COOLDOWNS_ONCE;
         s->sent_cooldowns++) {
        const struct side_cooldown *c = &s->cooldowns[s->sent_cooldowns];
        int64_t left_ms = (c->until.us - now.us) / US_PER_MS;
        if (left_ms <= 0) {
            continue;
        }
        resp_array(out, 5);
        resp_bulk(out, TEXT("SET"));
        resp_bulk(out, text_of(c->key));
        resp_bulk(out, TEXT("1"));
        resp_bulk(out, TEXT("PX"));
        resp_integer(out, left_ms);
        n++;
    }
    return n;
}

static void forget_cooldowns(struct side *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(s->cooldowns[i].key);
    }
    s->n_cooldowns -= n;
    if (n > 0) {
        memmove(s->cooldowns, s->cooldowns + n, s->n_cooldowns * sizeof *s->cooldowns);
    }
}

/* --- loading the devices --- */

void side_load(struct side *s, const char *first,
               void (*visit)(void *ctx, struct text field, struct text value), void *ctx)
{
    s->load.first = first;
    s->load.visit = visit;
    s->load.ctx = ctx;
    memcpy(s->load.cursor, "0", 2);
}

/* Returns how many answers there will be. */
static size_t load_request(struct side *s, struct buffer *out)
{
    s->load.asked = true;
    s->load.asked_first = strcmp(s->load.cursor, "0") == 0;
    if (s->load.asked_first) {
        resp_array(out, 3);
        resp_bulk(out, TEXT("HGET"));
        resp_bulk(out, text_of(s->hash));
        resp_bulk(out, text_of(s->load.first));
    }
    resp_array(out, 5);
    resp_bulk(out, TEXT("HSCAN"));
    resp_bulk(out, text_of(s->hash));
    resp_bulk(out, text_of(s->load.cursor));
    resp_bulk(out, TEXT("COUNT"));
    resp_integer(out, SIDE_SCAN_COUNT);
    return s->load.asked_first ? 2 : 1;
}

static void load_done(struct side *s)
{
    if (s->load.visit) {
        s->load.visit(s->load.ctx, (struct text){NULL, 0}, (struct text){NULL, 0});
        s->load.visit = NULL;
    }
}

static void load_reply(struct side *s, const struct reply *r)
{
    s->load.asked = false;
    struct text cursor = {"", 0};
    if (reply_count(r) == 2) {
        cursor = reply_text(reply_at(r, 0));
        const struct reply *fields = reply_at(r, 1);
        for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
            s->load.visit(s->load.ctx, reply_text(reply_at(fields, i)),
                          reply_text(reply_at(fields, i + 1)));
        }
    }
    /* An error, or an answer that is none, ends it: without what could not be read. */
    if (cursor.n == 0 || cursor.n >= sizeof s->load.cursor ||
        text_equal(cursor, TEXT("0"))) {
        load_done(s);
        return;
    }
    memcpy(s->load.cursor, cursor.p, cursor.n);
    s->load.cursor[cursor.n] = '\0';
}

/* --- exchanges --- */

bool side_waits(const struct side *s)
{
    return s->load.visit || s->first || s->n_cooldowns > 0;
}

bool side_has_more(const struct side *s)
{
    return (s->first && !s->load.visit) || s->n_cooldowns > 0;
}

size_t side_request(struct side *s, struct mono now, bool with_load, struct buffer *out)
{
    s->n_asked = 0;
    if (s->load.visit) {
        s->n_asked += with_load ? load_request(s, out) : 0;
    } else {
        s->n_asked += device_requests(s, out);
    }
    s->n_asked += cooldown_requests(s, now, out);
    return s->n_asked;
}

void side_reply(struct side *s, size_t i, const struct reply *r)
{
    if (reply_kind(r) == REPLY_ERROR) {
        struct text words = reply_text(r);
        size_t n = words.n < sizeof s->reason - 1 ? words.n : sizeof s->reason - 1;
        memcpy(s->reason, words.p, n);
        s->reason[n] = '\0';
        s->refused = true;
        count(COUNT_STORE_FAIL_ANSWER);
    }
    if (!s->load.asked || i > s->load.asked_first) {
        return;
    }
    if (i < s->load.asked_first) {
        if (reply_kind(r) == REPLY_TEXT) {
            s->load.visit(s->load.ctx, text_of(s->load.first), reply_text(r));
        }
    } else {
        load_reply(s, r);
    }
}

void side_settle(struct side *s, struct mono now, bool answered)
{
    if (answered) {
        free_devices(s->sent);
        s->sent = NULL;
        forget_cooldowns(s, s->sent_cooldowns);
    } else {
        devices_wait_again(s);
        if (s->load.visit) {
            memcpy(s->load.cursor, "0", 2);
        }
    }
    s->sent_cooldowns = 0;
    s->load.asked = false;
    s->due = never;
    if (s->first || s->n_cooldowns > 0) {
        begins_to_wait(s, now);
    }
    if (answered && s->devices.n >= SIDE_FIELDS_MAX) {
        s->due = now;
    }
}

void side_drop(struct side *s)
{
    drop_all(s);
    load_done(s);
}
