#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/number.h"
#include "history/internal.h"

/* --- small states --- */

bool series_has_work(const struct series *s)
{
    return s->pending > 0 || (s->flags & (S_WANTED | S_VERIFY)) ||
           ((s->flags & S_RESTART) && window_count(s->window) > 0);
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

static void settle(struct series *s, bool exact)
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

bool op_list_put(struct op_list *list, struct op op)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct op *more = realloc(list->p, cap * sizeof *more);
        if (!more) {
            return false;
        }
        list->p = more;
        list->cap = cap;
    }
    list->p[list->n++] = op;
    return true;
}

/* --- what a list keeps: as window.h says of the ring --- */

/* Does any span need the reading that is the behind-th from the end (1: the newest)? */
static bool is_needed(const struct window_spec *spec, int64_t at_us, int64_t newest_us,
                      size_t behind)
{
    if (spec->points_max != 0 && behind > spec->points_max) {
        return false;
    }
    for (size_t i = 0; i < spec->n_spans; i++) {
        const struct span_spec *span = &spec->spans[i];
        if ((span->width_us == 0 || at_us >= newest_us - span->width_us) &&
            (span->count == 0 || behind <= span->count)) {
            return true;
        }
    }
    return false;
}

/* Bytes that a value may have whose live entries take `live` with a comma each. */
static size_t bytes_allowed(const struct history *h, size_t live)
{
    size_t allowed = 2 * (live + 1) + SLACK_BYTES;
    return allowed < h->value_max ? allowed : h->value_max;
}

/* --- texts --- */

static bool put_entry(struct buffer *out, char before, struct point p, uint32_t *live)
{
    char *at = buffer_reserve(out, WBUF_ENTRY_BYTES + 1);
    if (!at) {
        return false;
    }
    at[0] = before;
    size_t n = wbuf_print_entry(p, at + 1);
    buffer_advance(out, n + 1);
    *live += (uint32_t)n + 1;
    return true;
}

static bool put_op(struct series *s, struct op_list *list, enum op_kind kind,
                   size_t text_at, uint32_t live, bool writes_back)
{
    struct history *h = s->h;
    return buffer_ok(&h->texts) &&
           op_list_put(list, (struct op){.s = s,
                                         .text_at = text_at,
                                         .text_n = h->texts.n - text_at,
                                         .live = live,
                                         .kind = (uint8_t)kind,
                                         .writes_back = writes_back});
}

/* --- the plain case: new readings behind the newest, nothing else to do --- */

/* The batch's readings that are new, in order, at h->extra. False: one belongs elsewhere.
 */
static bool gather_new(struct series *s)
{
    struct history *h = s->h;
    int64_t newest = window_newest(s->window).us;
    h->extra.n = 0;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        const struct staged *r = &h->staged[i];
        if (r->state == STAGED_VOID) {
            continue;
        }
        size_t n = h->extra.n;
        int64_t last = n > 0 ? h->extra.p[n - 1].at.us : newest;
        if (r->p.at.us <= last) {
            enum window_push would = window_would(s->window, r->p);
            if (would == WINDOW_DUPLICATE || would == WINDOW_LATE) {
                continue;
            }
            if (r->p.at.us < last) {
                return false;
            }
        }
        bool again = false;
        for (size_t k = n; k > 0 && h->extra.p[k - 1].at.us == r->p.at.us; k--) {
            again = again || h->extra.p[k - 1].value == r->p.value;
        }
        if (!again && points_put(&h->extra, r->p) != BRINK_OK) {
            return false;
        }
    }
    return true;
}

static struct point nth(const struct series *s, size_t held, size_t i)
{
    return i < held ? window_at(s->window, i) : s->h->extra.p[i - held];
}

static bool write_from(struct series *s, size_t held, size_t from, enum op_kind kind,
                       uint32_t live)
{
    struct buffer *out = &s->h->texts;
    size_t text_at = out->n, all = held + s->h->extra.n;
    uint32_t written = 0;
    for (size_t i = from; i < all; i++) {
        char before = kind == OP_REPLACE && i == from ? '[' : ',';
        if (!put_entry(out, before, nth(s, held, i), &written)) {
            return false;
        }
    }
    buffer_char(out, ']');
    return put_op(s, &s->h->ops, kind, text_at,
                  kind == OP_REPLACE ? written : live + written, false);
}

/* False: not that plain, or out of memory; nothing was planned. */
static bool plan_fast(struct series *s)
{
    struct history *h = s->h;
    if (!gather_new(s)) {
        return false;
    }
    size_t held = window_count(s->window), all = held + h->extra.n;
    if (h->extra.n == 0) {
        settle(s, true);
        return true;
    }
    int64_t newest = h->extra.p[h->extra.n - 1].at.us;
    uint32_t live = s->live;
    size_t from = 0;
    while (from < all &&
           !is_needed(s->spec, nth(s, held, from).at.us, newest, all - from)) {
        if (from < held) {
            live -= (uint32_t)wbuf_entry_bytes(window_at(s->window, from)) + 1;
        }
        from++;
    }
    size_t ops = h->ops.n, text_at = h->texts.n;
    if (!write_from(s, held, from > held ? from : held, OP_APPEND, live)) {
        return false;
    }
    const struct op *op = &h->ops.p[ops];
    if (s->guard.len + op->text_n - 1 > bytes_allowed(h, op->live)) {
        /* Too much of it is dead: the live part alone. */
        h->ops.n = ops;
        h->texts.n = text_at;
        return write_from(s, held, from, OP_REPLACE, 0);
    }
    return true;
}

/* --- any other case: the whole list is put together --- */

static bool put_merged(struct history *h, struct point p, bool stored, bool held)
{
    size_t look = h->n_merged < POINTS_SAME_TIME_MAX ? h->n_merged : POINTS_SAME_TIME_MAX;
    for (size_t i = 1; i <= look; i++) {
        struct merged *m = &h->merged[h->n_merged - i];
        if (m->p.at.us != p.at.us) {
            break;
        }
        if (m->p.value == p.value) {
            return true;
        }
    }
    if (h->n_merged == h->cap_merged) {
        size_t cap = h->cap_merged ? h->cap_merged * 2 : 256;
        struct merged *more = realloc(h->merged, cap * sizeof *more);
        if (!more) {
            return false;
        }
        h->merged = more;
        h->cap_merged = cap;
    }
    h->merged[h->n_merged++] = (struct merged){p, stored, held};
    return true;
}

/* Is this stored reading one of the batch that is yet to be admitted? */
static bool awaits_admission(const struct series *s, struct point p)
{
    for (int32_t i = s->staged_first; i >= 0; i = s->h->staged[i].next) {
        const struct staged *r = &s->h->staged[i];
        if (r->stored && r->state == STAGED_OPEN && point_same(r->p, p)) {
            return true;
        }
    }
    return false;
}

/* h->value (stored), h->extra (held, not stored) and the batch's readings, by time. */
static bool merge(struct series *s)
{
    struct history *h = s->h;
    size_t held = h->extra.n;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        if (h->staged[i].state == STAGED_OPEN &&
            points_put(&h->extra, h->staged[i].p) != BRINK_OK) {
            return false;
        }
    }
    struct points batch = {h->extra.p + held, h->extra.n - held, 0};
    if (points_sort(&batch) != BRINK_OK) {
        return false;
    }
    h->n_merged = 0;
    size_t v = 0, e = 0, b = 0;
    while (v < h->value.n || e < held || b < batch.n) {
        int64_t at_v = v < h->value.n ? h->value.p[v].at.us : INT64_MAX;
        int64_t at_e = e < held ? h->extra.p[e].at.us : INT64_MAX;
        int64_t at_b = b < batch.n ? batch.p[b].at.us : INT64_MAX;
        bool ok;
        if (v < h->value.n && at_v <= at_e && at_v <= at_b) {
            struct point p = h->value.p[v++];
            ok = put_merged(h, p, true, !awaits_admission(s, p));
        } else if (e < held && at_e <= at_b) {
            ok = put_merged(h, h->extra.p[e++], false, true);
        } else {
            ok = put_merged(h, batch.p[b++], false, false);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Settles the series, or puts to `list` what makes the value the merged list. */
static bool plan_merged(struct series *s, struct op_list *list, bool may_append,
                        bool writes_back)
{
    struct history *h = s->h;
    size_t n = h->n_merged, from = 0, first_new = n;
    int64_t newest = n > 0 ? h->merged[n - 1].p.at.us : 0;
    while (from < n && !is_needed(s->spec, h->merged[from].p.at.us, newest, n - from)) {
        from++;
    }
    bool behind = true; /* are the new ones all behind the stored ones? */
    uint32_t live = 0;
    for (size_t i = from; i < n; i++) {
        live += (uint32_t)wbuf_entry_bytes(h->merged[i].p) + 1;
        if (!h->merged[i].stored && first_new == n) {
            first_new = i;
        }
        behind = behind && (first_new == n || !h->merged[i].stored);
    }
    may_append = may_append && behind;
    if (first_new == n &&
        (from == n || (may_append && s->guard.len <= bytes_allowed(h, live)))) {
        s->live = live;
        settle(s, from < n);
        return true;
    }
    size_t text_at = h->texts.n;
    uint32_t written = 0;
    if (may_append && first_new < n) {
        for (size_t i = first_new; i < n; i++) {
            if (!put_entry(&h->texts, ',', h->merged[i].p, &written)) {
                return false;
            }
        }
        buffer_char(&h->texts, ']');
        if (s->guard.len + (h->texts.n - text_at) - 1 <= bytes_allowed(h, live)) {
            return put_op(s, list, OP_APPEND, text_at, live, writes_back);
        }
        h->texts.n = text_at;
    }
    for (size_t i = from; i < n; i++) {
        if (!put_entry(&h->texts, i == from ? '[' : ',', h->merged[i].p, &written)) {
            return false;
        }
    }
    buffer_char(&h->texts, ']');
    return put_op(s, list, OP_REPLACE, text_at, live, writes_back);
}

/* The window's readings from `from` on to h->extra, those before to h->value. */
static bool split_window(struct series *s, int64_t from, bool with_value)
{
    struct history *h = s->h;
    size_t n = window_count(s->window);
    if (with_value) {
        h->value.n = 0;
    }
    h->extra.n = 0;
    for (size_t i = 0; i < n; i++) {
        struct point p = window_at(s->window, i);
        bool extra = p.at.us >= from;
        if ((extra || with_value) &&
            points_put(extra ? &h->extra : &h->value, p) != BRINK_OK) {
            return false;
        }
    }
    return true;
}

bool series_plan(struct series *s)
{
    bool staged = s->staged_first >= 0;
    s->flags |= S_OPEN;
    if (!staged && s->pending == 0 && !(s->flags & S_RESTART)) {
        if (!(s->flags & (S_WANTED | S_VERIFY))) {
            settle(s, (s->flags & S_EXACT) != 0);
            return true;
        }
        return put_op(s, &s->h->ops, OP_COMPARE, s->h->texts.n, s->live, false);
    }
    if ((s->flags & S_EXACT) && s->pending == 0 && !(s->flags & S_RESTART) &&
        plan_fast(s)) {
        return true;
    }
    int64_t from = s->flags & S_RESTART ? INT64_MIN : s->unconfirmed_from;
    bool may_append = s->form == FORM_CANONICAL && !(s->flags & (S_MIXED | S_RESTART));
    return split_window(s, from, true) && merge(s) &&
           plan_merged(s, &s->h->ops, may_append, false);
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

/* A reading of the batch that the value holds but the window did not was written by an
 * exchange whose end was not seen, by a run of ours that was killed, or by another
 * gateway: here it is yet to be admitted. */
static void mark_stored(struct series *s)
{
    struct history *h = s->h;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        struct staged *r = &h->staged[i];
        r->stored =
            value_holds(h, r->p) && window_would(s->window, r->p) != WINDOW_DUPLICATE;
    }
}

static bool rebuild_window(struct series *s)
{
    struct history *h = s->h;
    size_t over_all = 0;
    window_clear(s->window);
    for (size_t i = 0; i < h->n_merged; i++) {
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
    bool restart = (s->flags & S_RESTART) != 0;
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
    if (!split_window(s, from, false)) {
        goto fail;
    }
    uint32_t unconfirmed = (uint32_t)h->extra.n;
    bool writes_back = other_server && unconfirmed > s->pending;
    int64_t first = unconfirmed > 0 ? h->extra.p[0].at.us : INT64_MAX;
    mark_stored(s);
    if (!merge(s) || !rebuild_window(s)) {
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
    return plan_merged(s, &h->again, s->form == FORM_CANONICAL && !ended, writes_back);
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
    default:
        settle(s, (s->flags & S_EXACT) != 0);
        return;
    }
    h->wrote = true;
    s->live = op->live;
    s->flags &= (uint8_t)~S_RESTART;
    settle(s, true);
}
