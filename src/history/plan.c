/* What is to be sent for a series: nothing, its new readings, or its whole list. */
#include <stdlib.h>

#include "history/internal.h"

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

/* With `inbox: 0` a kill has the batch decided on anew, each of its readings by itself,
 * and before them maybe the message before, whose acknowledgement was lost: then a list
 * that is compacted is to have what the window needs before the batch, not only after it.
 */
static bool keeps_before(const struct series *s)
{
    return s->h->keeps_all && s->staged_first >= 0;
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

/* The oldest reading that the window needs before the batch. */
static size_t first_needed_before(const struct series *s, size_t held)
{
    int64_t newest = window_newest(s->window).us;
    size_t from = 0;
    while (from < held &&
           !is_needed(s->spec, nth(s, held, from).at.us, newest, held - from)) {
        from++;
    }
    return from;
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
        series_settle(s, true);
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
    live = h->ops.p[ops].live;
    size_t allowed = bytes_allowed(h, live);
    if (s->guard.len + h->ops.p[ops].text_n - 1 <= allowed) {
        return true;
    }
    /* Too much of it is dead: the live part alone. */
    size_t first = keeps_before(s) ? first_needed_before(s, held) : from;
    for (;; first = from) {
        h->ops.n = ops;
        h->texts.n = text_at;
        if (!write_from(s, held, first, OP_REPLACE, 0)) {
            return false;
        }
        if (first >= from || h->ops.p[ops].text_n <= allowed) {
            h->ops.p[ops].live = live;
            return true;
        }
    }
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
bool series_merge(struct series *s)
{
    struct history *h = s->h;
    size_t held = h->extra.n;
    for (int32_t i = s->staged_first; i >= 0; i = h->staged[i].next) {
        if (h->staged[i].state == STAGED_OPEN &&
            points_put(&h->extra, h->staged[i].p) != BRINK_OK) {
            return false;
        }
    }
    struct points batch = {h->extra.p ? h->extra.p + held : NULL, h->extra.n - held, 0};
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
            ok = put_merged(h, p, true,
                            !awaits_admission(s, p) &&
                                !backlog_is_begun(&h->backlog, series_key(s), p));
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

/* The same of the merged list. */
static size_t first_merged_before(const struct series *s)
{
    const struct history *h = s->h;
    size_t n = h->n_merged, held = 0;
    int64_t newest = 0;
    for (size_t i = 0; i < n; i++) {
        held += h->merged[i].held;
        newest = h->merged[i].held ? h->merged[i].p.at.us : newest;
    }
    for (size_t i = 0; held > 0; i++) {
        if (h->merged[i].held &&
            is_needed(s->spec, h->merged[i].p.at.us, newest, held--)) {
            return i;
        }
    }
    return n;
}

/* Settles the series, or puts to `list` what makes the value the merged list. */
bool series_plan_merged(struct series *s, struct op_list *list, bool may_append,
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
    if (from == n && (s->flags & S_RESTART)) {
        size_t at = h->texts.n;
        buffer_cstring(&h->texts, SCRIPT_DELETE);
        return put_op(s, list, OP_DELETE, at, 0, false);
    }
    may_append = may_append && behind;
    if (first_new == n &&
        (from == n || (may_append && s->guard.len <= bytes_allowed(h, live)))) {
        s->live = live;
        series_settle(s, from < n);
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
    size_t first = keeps_before(s) ? first_merged_before(s) : from;
    for (first = first < from ? first : from;; first = from) {
        for (size_t i = first; i < n; i++) {
            if (!put_entry(&h->texts, i == first ? '[' : ',', h->merged[i].p, &written)) {
                return false;
            }
        }
        buffer_char(&h->texts, ']');
        if (first == from || h->texts.n - text_at <= bytes_allowed(h, live)) {
            return put_op(s, list, OP_REPLACE, text_at, live, writes_back);
        }
        h->texts.n = text_at;
    }
}

/* The window's readings from `from` on to h->extra, those before to h->value. */
bool series_split_window(struct series *s, int64_t from, bool with_value)
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
            series_settle(s, (s->flags & S_EXACT) != 0);
            return true;
        }
        return put_op(s, &s->h->ops, OP_COMPARE, s->h->texts.n, s->live, false);
    }
    if (staged && s->h->keeps_all && !(s->flags & S_LOADED) &&
        backlog_is_open(&s->h->backlog)) {
        s->guard.len = SCRIPT_LEN_NONE; /* to be read, and noted, first: keep_begin() */
        return put_op(s, &s->h->ops, OP_COMPARE, s->h->texts.n, 0, false);
    }
    if ((s->flags & S_EXACT) && s->pending == 0 && !(s->flags & S_RESTART) &&
        plan_fast(s)) {
        return true;
    }
    int64_t from = s->flags & S_RESTART ? INT64_MIN : s->unconfirmed_from;
    bool may_append = s->form == FORM_CANONICAL && !(s->flags & (S_MIXED | S_RESTART));
    return series_split_window(s, from, true) && series_merge(s) &&
           series_plan_merged(s, &s->h->ops, may_append, false);
}
