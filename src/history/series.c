/* A series: its small states, and what an answer makes of it. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/number.h"
#include "history/internal.h"

/* --- small states --- */

bool series_has_work(const struct series *s)
{
    return s->pending > 0 || (s->flags & (S_WANTED | S_VERIFY | S_RESTART));
}

void series_due(struct series *s)
{
    if (!link_linked(&s->due)) {
        link_append(&s->h->due, &s->due);
        s->h->n_due++;
    }
}

static void not_due(struct series *s)
{
    if (link_linked(&s->due)) {
        link_remove(&s->due);
        s->h->n_due--;
    }
}

void series_mark_changed(struct series *s)
{
    if (!link_linked(&s->changed)) {
        link_append(&s->h->changed, &s->changed);
    }
}

void series_forget(struct series *s)
{
    s->flags &= (uint8_t) ~(S_LOADED | S_KNOWN | S_EXACT);
    s->guard.len = SCRIPT_LEN_MISSING;
    s->form = FORM_NONE;
}

static void set_pending(struct series *s, uint32_t n)
{
    s->h->pending_points = s->h->pending_points - s->pending + n;
    s->pending = n;
    if (n == 0) {
        s->unconfirmed_from = INT64_MAX;
        s->flags &= (uint8_t)~S_MIXED;
    }
}

/* Pending readings are the window's: what leaves it need not be written, so
 * points_per_window bounds them, too. */
void series_add_pending(struct series *s, struct point p, enum window_push push,
                        struct wall newest_before)
{
    s->flags &= (uint8_t)~S_EXACT;
    if (p.at.us < s->unconfirmed_from) {
        s->unconfirmed_from = p.at.us;
    }
    if (push == WINDOW_INSERTED || p.at.us == newest_before.us) {
        s->flags |= S_MIXED;
    }
    size_t held = window_count(s->window);
    set_pending(s, s->pending < held ? s->pending + 1 : (uint32_t)held);
    series_due(s);
}

void series_settle(struct series *s, bool exact)
{
    struct history *h = s->h;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        if (h->staged[i].state == STAGED_OPEN) {
            h->staged[i].state = STAGED_CONFIRMED;
        }
    }
    if (s->pending > 0 || (s->flags & S_WANTED)) {
        series_mark_changed(s);
    }
    set_pending(s, 0);
    s->flags &= (uint8_t) ~(S_WANTED | S_VERIFY | S_OPEN | S_EXACT);
    s->flags |= (uint8_t)(S_LOADED | S_KNOWN | (exact ? S_EXACT : 0));
    s->run = h->run;
    not_due(s);
}

/* --- another clock --- */

/* The list starts anew, with the readings that the window holds. */
static void rewrite(struct series *s, int64_t newest_stored)
{
    size_t n = window_count(s->window);
    s->restart_newest = newest_stored;
    s->unconfirmed_from = n > 0 ? window_at(s->window, 0).at.us : INT64_MAX;
    set_pending(s, (uint32_t)n);
    s->flags &= (uint8_t) ~(S_EXACT | S_WANTED | S_VERIFY | S_MIXED);
    s->flags |= S_LOADED | S_RESTART;
}

void series_shift(struct series *s, int64_t by_us)
{
    int64_t newest = window_newest(s->window).us;
    window_shift(s->window, by_us);
    if (!s->h->store) {
        return;
    }
    if (s->unconfirmed_from != INT64_MAX) {
        s->unconfirmed_from += by_us;
    }
    s->h->backlog.stale = backlog_is_open(&s->h->backlog); /* it has the old times */
    if (!(s->flags & S_LOADED)) {
        s->shift_us += by_us;
    } else if (!(s->flags & S_RESTART)) {
        rewrite(s, newest);
        series_due(s);
    }
}

/* --- another rule over the same list --- */

/* Is all that `a` needs among what `b` kept? */
static bool needs_no_more(const struct window_spec *a, const struct window_spec *b,
                          size_t held)
{
    for (size_t i = 0; i < a->n_spans; i++) {
        const struct span_spec *x = &a->spans[i];
        bool covered = false;
        for (size_t k = 0; k < b->n_spans; k++) {
            const struct span_spec *y = &b->spans[k];
            covered =
                covered ||
                ((y->width_us == 0 || (x->width_us != 0 && x->width_us <= y->width_us)) &&
                 (y->count == 0 || (x->count != 0 && x->count <= y->count)));
        }
        if (!covered) {
            return false;
        }
    }
    return b->points_max == 0 || held < b->points_max;
}

void series_inherit(struct series *to, const struct series *from)
{
    struct history *h = to->h;
    size_t held = window_count(from->window);
    uint32_t pending = 0;
    if (to->flags & S_RESTART) {
        return; /* another metric's list */
    }
    for (size_t i = 0; i < held; i++) {
        struct point p = window_at(from->window, i);
        size_t over = 0;
        enum window_push push = window_push(to->window, p, NULL, &over);
        count_add(COUNT_POINTS_DROPPED, over);
        pending += push == WINDOW_APPENDED && p.at.us >= from->unconfirmed_from;
    }
    if (!h->store) {
        return;
    }
    to->flags =
        from->flags & (S_LOADED | S_KNOWN | S_RESTART | S_WANTED | S_VERIFY | S_MIXED);
    to->form = from->form;
    to->guard = from->guard;
    to->run = from->run;
    to->restart_newest = from->restart_newest;
    to->shift_us = from->shift_us;
    size_t kept = window_count(to->window);
    if (from->pending > 0 && pending > 0) {
        to->unconfirmed_from = from->unconfirmed_from;
        set_pending(to, pending < kept ? pending : (uint32_t)kept);
    }
    if (!(to->flags & S_RESTART) && !needs_no_more(to->spec, from->spec, held)) {
        series_forget(to);
    }
    if (series_has_work(to)) {
        series_due(to);
    }
    if (link_linked(&from->changed)) {
        series_mark_changed(to);
    }
}

/* --- a value that is not what was last seen --- */

/* "length:" and the two ends. False: not that. */
static bool take_large(struct script_guard *g, struct text what)
{
    const char *colon = what.n > 0 ? memchr(what.p, ':', what.n) : NULL;
    uint64_t len = 0;
    if (!colon || number_parse_u64((struct text){what.p, (size_t)(colon - what.p)},
                                   &len) != BRINK_OK) {
        return false;
    }
    size_t used = (size_t)(colon - what.p) + 1;
    if (what.n - used != 2 * SCRIPT_GUARD_BYTES || len >= SCRIPT_LEN_WRONG_TYPE) {
        return false;
    }
    g->len = (uint32_t)len;
    memcpy(g->head, what.p + used, SCRIPT_GUARD_BYTES);
    memcpy(g->tail, what.p + used + SCRIPT_GUARD_BYTES, SCRIPT_GUARD_BYTES);
    return true;
}

/* The guard and form of what the server holds now, its readings to h->value. */
static bool read_value(struct series *s, char kind, struct text what)
{
    struct history *h = s->h;
    enum wbuf_form form = WBUF_NOT_A_LIST;
    h->value.n = 0;
    switch (kind) {
    case SCRIPT_VALUE:
        if (wbuf_parse(what, &h->value, &form) != BRINK_OK) {
            return false;
        }
        script_guard_set(&s->guard, what);
        s->form = form == WBUF_CANONICAL ? FORM_CANONICAL
                  : form == WBUF_OTHER   ? FORM_OTHER
                                         : FORM_NOT_A_LIST;
        count(COUNT_STORE_LOADS);
        return true;
    case SCRIPT_WRONG_TYPE:
        s->guard.len = SCRIPT_LEN_WRONG_TYPE;
        s->form = FORM_WRONG_TYPE;
        return true;
    case SCRIPT_TOO_LARGE:
        s->form = FORM_TOO_LARGE;
        return take_large(&s->guard, what);
    default:
        s->guard.len = SCRIPT_LEN_MISSING;
        s->form = FORM_NONE;
        return true;
    }
}

static bool value_holds(const struct history *h, struct point p)
{
    size_t lo = 0, hi = h->value.n;
    while (lo < hi) {
        size_t m = lo + (hi - lo) / 2;
        if (h->value.p[m].at.us < p.at.us) {
            lo = m + 1;
        } else {
            hi = m;
        }
    }
    for (; lo < h->value.n && h->value.p[lo].at.us == p.at.us; lo++) {
        if (h->value.p[lo].value == p.value) {
            return true;
        }
    }
    return false;
}

/* How many of the batch's first readings are, in the same order, the last of the value.
 */
static size_t resumed(const struct history *h, const struct series *s)
{
    const struct staged *first = &h->staged[s->staged_first];
    size_t from = h->value.n, n = 0;
    while (from > 0 && h->value.p[from - 1].at.us >= first->p.at.us) {
        from--;
        if (h->value.p[from].at.us == first->p.at.us &&
            h->value.p[from].value == first->p.value) {
            break;
        }
    }
    for (int32_t i = s->staged_first; i >= 0 && from + n < h->value.n;
         i = h->staged[i].next, n++) {
        const struct point *p = &h->value.p[from + n];
        if (p->at.us != h->staged[i].p.at.us || p->value != h->staged[i].p.value) {
            return 0;
        }
    }
    return from + n == h->value.n ? n : 0;
}

/* A reading of the batch that the value holds but the window did not was written by an
 * exchange whose end was not seen, or by another gateway: here it is yet to be admitted.
 *
 * In a value that is read for the first time, so were those that a killed run had begun
 * with and did not decide on. Where no note of that was kept (`inbox` > 0) they are those
 * that the broker sends again before all others, and they end the list. Any other one
 * that comes again was decided on before, and stays. */
static void mark_stored(struct series *s)
{
    struct history *h = s->h;
    bool known = (s->flags & S_KNOWN) != 0;
    bool begun = h->backlog.begun.n > 0;
    bool told = h->keeps_all && backlog_is_open(&h->backlog);
    size_t n = !known && !begun && !told && s->staged_first >= 0 ? resumed(h, s) : 0;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        struct staged *r = &h->staged[i];
        if (begun && !known) {
            r->stored = value_holds(h, r->p) &&
                        backlog_is_begun(&h->backlog, series_key(s), r->p);
        } else if (known) {
            r->stored =
                value_holds(h, r->p) && window_would(s->window, r->p) != WINDOW_DUPLICATE;
        } else {
            r->stored = n > 0 && window_would(s->window, r->p) != WINDOW_DUPLICATE;
            n -= n > 0;
        }
    }
}

static bool rebuild_window(struct series *s)
{
    struct history *h = s->h;
    size_t over_all = 0;
    window_clear(s->window);
    size_t n = 0, first = h->n_merged;
    for (size_t i = h->n_merged; i-- > 0;) {
        if (h->merged[i].held) {
            first = i;
            n++;
        }
    }
    if (n > 0) {
        window_expect(s->window, n, h->merged[first].p);
    }
    for (size_t i = first; i < h->n_merged; i++) {
        size_t over = 0;
        if (h->merged[i].held &&
            window_push(s->window, h->merged[i].p, NULL, &over) == WINDOW_NO_MEMORY) {
            return false;
        }
        over_all += over;
    }
    count_add(COUNT_POINTS_DROPPED, over_all);
    return true;
}

bool series_take(struct series *s, char kind, struct text what)
{
    struct history *h = s->h;
    bool known = (s->flags & S_KNOWN) != 0, had = known && s->guard.len > 0;
    bool other_server = known && s->run != h->run;
    if (known) {
        count(COUNT_STORE_CONFLICTS);
    }
    if (!read_value(s, kind, what)) {
        goto fail;
    }
    bool restart = (s->flags & S_RESTART) != 0, shifted = s->shift_us != 0;
    int64_t newest_stored = h->value.n > 0 ? h->value.p[h->value.n - 1].at.us : INT64_MIN;
    for (size_t i = 0; shifted && i < h->value.n; i++) {
        h->value.p[i].at = wall_shifted(h->value.p[i].at, s->shift_us);
    }
    int64_t newest = h->value.n > 0 ? h->value.p[h->value.n - 1].at.us : INT64_MIN;
    bool ended = restart && h->value.n > 0 && newest >= s->restart_newest;
    if (ended) {
        h->value.n = 0;
        newest = INT64_MIN;
    }
    /* What the server lost, being another one or having restarted, memory may still hold.
     */
    int64_t from = restart ? INT64_MIN : s->unconfirmed_from;
    if (other_server && newest < from) {
        from = newest == INT64_MIN ? INT64_MIN : newest + 1;
    }
    if (had && s->form == FORM_NONE && !other_server && !restart) {
        count(COUNT_STORE_VANISHED);
    }
    if (!series_split_window(s, from, false)) {
        goto fail;
    }
    uint32_t unconfirmed = (uint32_t)h->extra.n;
    bool writes_back = other_server && unconfirmed > s->pending;
    int64_t first = unconfirmed > 0 ? h->extra.p[0].at.us : INT64_MAX;
    mark_stored(s);
    if (!series_merge(s) || !rebuild_window(s)) {
        goto fail;
    }
    s->flags &= (uint8_t) ~(S_EXACT | S_MIXED | (ended ? 0 : S_RESTART));
    s->flags |= S_LOADED | S_KNOWN;
    if (unconfirmed != s->pending) {
        set_pending(s, unconfirmed);
    }
    if (unconfirmed > 0) {
        s->unconfirmed_from = first;
        s->flags |= newest >= first ? S_MIXED : 0;
    }
    if (shifted) {
        rewrite(s, newest_stored);
        s->shift_us = 0;
    }
    return series_plan_merged(
        s, &h->again, s->form == FORM_CANONICAL && !ended && !shifted, writes_back);
fail:
    series_forget(s);
    return false;
}

/* --- done --- */

static void count_replaced(uint8_t form)
{
    static const enum counter counter_of[] = {
        [FORM_NONE] = COUNT_STORE_APPENDS,
        [FORM_CANONICAL] = COUNT_STORE_REWRITES,
        [FORM_OTHER] = COUNT_STORE_REPAIRED,
        [FORM_NOT_A_LIST] = COUNT_STORE_BAD_JSON,
        [FORM_WRONG_TYPE] = COUNT_STORE_BAD_TYPE,
        [FORM_TOO_LARGE] = COUNT_STORE_TOO_LARGE,
    };
    count(counter_of[form]);
    if (form != FORM_NONE && form != FORM_CANONICAL) {
        count(COUNT_STORE_REWRITES);
    }
}

void series_done(const struct op *op)
{
    struct series *s = op->s;
    struct history *h = s->h;
    struct text text = {h->texts.p ? h->texts.p + op->text_at : "", op->text_n};
    if (op->writes_back) {
        count(COUNT_STORE_WRITTEN_BACK);
    }
    switch (op->kind) {
    case OP_APPEND:
        script_guard_append(&s->guard, text);
        count(COUNT_STORE_APPENDS);
        break;
    case OP_REPLACE:
        count_replaced(s->form);
        script_guard_set(&s->guard, text);
        s->form = FORM_CANONICAL;
        break;
    case OP_DELETE:
        s->guard.len = SCRIPT_LEN_MISSING;
        s->form = FORM_NONE;
        break;
    default:
        series_settle(s, (s->flags & S_EXACT) != 0);
        return;
    }
    h->wrote = true;
    s->live = op->live;
    s->flags &= (uint8_t)~S_RESTART;
    series_settle(s, op->kind != OP_DELETE);
}
