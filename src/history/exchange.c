/* An exchange: rounds of one pipeline each. The first carries an operation for every
 * series that is staged or due; the next ones those whose value was not what was last
 * seen. All rounds together have one deadline. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "history/internal.h"

/* A batch's buffers are kept up to this size. */
#define KEPT_BYTES ((size_t)4 * 1024 * 1024)

/* --- what there is to do --- */

bool exchange_is_needed(const struct history *h, struct mono now)
{
    return h->n_touched > 0 || h->n_due > 0 || side_has_more(&h->side) ||
           (h->facts.known && now.us >= h->next_info.us);
}

/* Series that are due, oldest first, but for those that are staged anyway. */
static void plan_due(struct history *h)
{
    size_t n = h->n_due < h->due_at_once ? h->n_due : h->due_at_once;
    struct link *next;
    for (struct link *l = h->due.next; l != &h->due && n > 0; l = next, n--) {
        next = l->next;
        struct series *s = series_of(l, due);
        if (s->flags & S_OPEN) {
            continue;
        }
        if (!series_has_work(s)) {
            link_remove(l);
            h->n_due--;
        } else {
            (void)!series_plan(s); /* out of memory: it stays due */
        }
    }
}

static void begin(struct history *h)
{
    h->ops.n = h->again.n = 0;
    buffer_clear(&h->texts);
    h->load_script = h->script_loaded = false;
    h->refused = h->wrote = false;
    for (size_t i = 0; i < h->n_touched; i++) {
        struct series *s = h->touched[i];
        if (s && !(s->flags & S_OPEN)) { /* one that was needed may be there twice */
            (void)!series_plan(s);       /* out of memory: it fails at the end */
        }
    }
    plan_due(h);
}

/* --- answers --- */

static void refuse(struct history *h, struct text words)
{
    count(COUNT_STORE_FAIL_ANSWER);
    if (!h->refused) {
        size_t n = words.n < sizeof h->refusal - 1 ? words.n : sizeof h->refusal - 1;
        memcpy(h->refusal, words.p, n);
        h->refusal[n] = '\0';
    }
    h->refused = true;
}

/* One that finds another value is planned anew; one that failed stays open. */
static void take_difference(struct history *h, struct series *s, const struct reply *r,
                            size_t at)
{
    struct text kind = reply_text(reply_at(r, at + 1));
    struct text what = reply_text(reply_at(r, at + 2));
    if (kind.n == 1 && kind.p[0] != SCRIPT_ERROR) {
        (void)!series_take(s, kind.p[0], what); /* out of memory: it stays open */
    } else {
        refuse(h, what);
    }
}

static void take_call(struct history *h, const struct call *call, const struct reply *r)
{
    enum reply_kind kind = reply_kind(r);
    struct text words = reply_text(r);
    if (kind == REPLY_ERROR && !h->script_loaded && words.n >= 8 &&
        memcmp(words.p, "NOSCRIPT", 8) == 0) {
        h->load_script = true;
        for (size_t i = 0; i < call->n; i++) {
            (void)!op_list_put(&h->again, h->ops.p[call->first + i]);
        }
        return;
    }
    if (kind != REPLY_INTEGER && kind != REPLY_ARRAY) {
        refuse(h, kind == REPLY_ERROR ? words : TEXT("unexpected answer"));
        return;
    }
    size_t at = 0, n = reply_count(r);
    for (size_t i = 0; i < call->n; i++) {
        const struct op *op = &h->ops.p[call->first + i];
        if (at + 2 < n && reply_integer(reply_at(r, at)) == (int64_t)i + 1) {
            take_difference(h, op->s, r, at);
            at += 3;
        } else {
            series_done(op);
        }
    }
}

struct round {
    struct history *h;
    size_t script, calls,
        side; /* where the answers of each begin; those of INFO end it */
    size_t n;
};

static void on_reply(void *ctx, size_t i, const struct reply *r)
{
    const struct round *round = ctx;
    struct history *h = round->h;
    if (i < round->calls) {
        if (reply_kind(r) == REPLY_ERROR) {
            refuse(h, reply_text(r));
        }
    } else if (i < round->side) {
        take_call(h, &h->calls[i - round->calls], r);
    } else if (h->asks_info && i == round->n - 1) {
        connection_read_info(reply_text(r), &h->facts);
    } else {
        side_reply(&h->side, i - round->side, r);
    }
}

/* --- requests --- */

static bool add_call(struct history *h, size_t first, size_t n)
{
    if (h->n_calls == h->cap_calls) {
        size_t cap = h->cap_calls ? h->cap_calls * 2 : 16;
        struct call *more = realloc(h->calls, cap * sizeof *more);
        if (!more) {
            return false;
        }
        h->calls = more;
        h->cap_calls = cap;
    }
    h->calls[h->n_calls++] = (struct call){first, n};
    return true;
}

/* Calls for all ops; without memory the last of them are left out, and fail. */
static void put_calls(struct history *h)
{
    struct script_key keys[SCRIPT_KEYS_MAX];
    const char *sha = connection_sha(store_connection(h->store));
    h->n_calls = 0;
    size_t first = 0;
    while (first < h->ops.n) {
        size_t n = 0, bytes = 0;
        while (n < SCRIPT_KEYS_MAX && first + n < h->ops.n) {
            const struct op *op = &h->ops.p[first + n];
            if (n > 0 && bytes + op->text_n > SCRIPT_CALL_BYTES) {
                break;
            }
            bytes += op->text_n;
            struct text text = {h->texts.p ? h->texts.p + op->text_at : "", op->text_n};
            keys[n++] =
                (struct script_key){.key = {op->s->key, op->s->key_n},
                                    .guard = &op->s->guard,
                                    .text = text,
                                    .ttl_ms = history_ttl_us(op->s->spec) / US_PER_MS};
        }
        if (!add_call(h, first, n)) {
            return;
        }
        script_request(&h->request, sha, keys, n, h->value_max);
        first += n;
    }
}

static struct round put_round(struct history *h, struct mono now, bool first,
                              bool with_load)
{
    struct round round = {.h = h};
    buffer_clear(&h->request);
    h->asks_info = false;
    if (h->load_script) {
        resp_array(&h->request, 3);
        resp_bulk(&h->request, TEXT("SCRIPT"));
        resp_bulk(&h->request, TEXT("LOAD"));
        resp_bulk(&h->request, text_of(script_source));
        h->load_script = false;
        h->script_loaded = true;
        round.calls = 1;
    }
    put_calls(h);
    round.n = round.side = round.calls + h->n_calls;
    if (first) {
        round.n += side_request(&h->side, now, with_load, &h->request);
        if (h->facts.known && now.us >= h->next_info.us) {
            resp_array(&h->request, 2);
            resp_bulk(&h->request, TEXT("INFO"));
            resp_bulk(&h->request, TEXT("stats"));
            h->next_info.us = now.us + INFO_EVERY_US;
            h->asks_info = true;
            round.n++;
        }
    }
    return round;
}

/* --- the exchange --- */

static enum brink_status run_round(struct history *h, struct mono now, bool first,
                                   bool with_load, struct mono deadline)
{
    struct round round = put_round(h, now, first, with_load);
    struct connection *c = store_connection(h->store);
    enum brink_status status = BRINK_E_NOMEM;
    if (buffer_ok(&h->request)) {
        status = round.n == 0 ? BRINK_OK
                              : connection_exchange(c, buffer_view(&h->request), round.n,
                                                    h->clock, deadline, on_reply, &round);
    }
    if (first) {
        side_settle(&h->side, now, status == BRINK_OK);
        count_add(COUNT_STORE_EXCHANGES, round.n > 0);
    }
    if (status == BRINK_E_TIMEOUT) {
        count(COUNT_STORE_FAIL_TIMEOUT);
        history_give_up(h, "timed out");
    } else if (status) {
        count(COUNT_STORE_FAIL_IO);
        history_give_up(h,
                        status == BRINK_E_NOMEM ? "out of memory" : connection_error(c));
    } else if (h->refused) {
        history_give_up(h, h->refusal);
        status = BRINK_E_IO;
    }
    return status;
}

static void swap_ops(struct history *h)
{
    struct op_list done = h->ops;
    h->ops = h->again;
    h->again = done;
    h->again.n = 0;
}

/* What was not settled fails: staged readings will be pending, what was due is due again,
 * behind the others. */
static void end(struct history *h)
{
    for (size_t i = 0; i < h->n_touched; i++) {
        struct series *s = h->touched[i];
        if (!s || !(s->flags & S_OPEN)) {
            continue;
        }
        s->flags &= (uint8_t) ~(S_OPEN | S_EXACT);
        for (int32_t k = s->staged_first; k >= 0; k = h->staged[k].next) {
            if (h->staged[k].state == STAGED_OPEN) {
                h->staged[k].state = STAGED_FAILED;
            }
        }
    }
    size_t n = h->n_due;
    struct link *next;
    for (struct link *l = h->due.next; l != &h->due && n > 0; l = next, n--) {
        next = l->next;
        struct series *s = series_of(l, due);
        if (s->flags & S_OPEN) {
            s->flags &= (uint8_t) ~(S_OPEN | S_EXACT);
            link_remove(l);
            link_append(&h->due, l);
        }
    }
}

/* More at once while it goes fast, so that restoring never holds up new readings for
 * long. */
static void adapt(struct history *h, struct mono began)
{
    int64_t took_us = h->clock->mono(h->clock->ctx).us - began.us;
    if (took_us > h->timeout_us / 4) {
        h->due_at_once = h->due_at_once > 1 ? h->due_at_once / 2 : 1;
    } else if (took_us < h->timeout_us / 8 && h->due_at_once < DUE_MAX) {
        h->due_at_once *= 2;
    }
}

static void shrink(struct buffer *b)
{
    if (b->cap > KEPT_BYTES) {
        buffer_finish(b);
    }
}

static void fail_staged(struct history *h)
{
    for (size_t i = 0; i < h->n_staged; i++) {
        if (h->staged[i].state == STAGED_OPEN) {
            h->staged[i].state = STAGED_FAILED;
        }
    }
}

void exchange_run(struct history *h, struct mono now, bool with_load)
{
    if (!store_connection(h->store)) {
        fail_staged(h);
        return;
    }
    struct mono began = h->clock->mono(h->clock->ctx);
    struct mono deadline = {began.us + h->timeout_us};
    begin(h);
    enum brink_status status = BRINK_OK;
    bool due = h->n_due > 0;
    for (bool first = true; status == BRINK_OK; first = false) {
        if (!first) {
            swap_ops(h);
            if (h->ops.n == 0 || h->clock->mono(h->clock->ctx).us >= deadline.us) {
                break;
            }
            keep_begin(h); /* the lists that the first round read */
        }
        status = run_round(h, now, first, with_load, deadline);
    }
    if (status == BRINK_OK && h->wrote) {
        store_worked(h->store);
    }
    end(h);
    if (due) {
        adapt(h, began);
    }
    h->next_peek.us = now.us + PEEK_EVERY_US;
    shrink(&h->texts);
    shrink(&h->request);
}
