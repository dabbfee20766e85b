#include "rules/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fields.h"
#include "base/number.h"

/* --- writing --- */

static void put_labels(struct buffer *out, const struct device *device)
{
    for (uint32_t i = 0; i < device->n_labels; i++) {
        buffer_cstring(out, " l.");
        fields_escape(out, device->labels[i].name);
        buffer_char(out, '=');
        fields_escape(out, device->labels[i].value);
    }
}

/* What the wall clock showed at a monotonic time, and the other way round: a stamp of an
 * earlier run is at most as old as the wall clock says, and never ahead. */
static int64_t to_wall(struct mono at, struct instant now)
{
    return now.wall.us - (now.mono.us - at.us);
}

static struct mono to_mono(int64_t wall_us, struct instant now)
{
    bool before = wall_us > 0 && wall_us < now.wall.us;
    return (struct mono){now.mono.us - (before ? now.wall.us - wall_us : 0)};
}

static void put_timeline(const struct device *device, struct instant now,
                         struct buffer *out)
{
    fields_put_int(out, "newest", device->newest.us);
    fields_put_int(out, "arrived", to_wall(device->newest_arrived, now));
    fields_put_int(out, "readings", device->has_reading);
    fields_put_int(out, "by_arrival", device->by_arrival);
}

void device_state_print(const struct devices *d, const struct device *device,
                        struct instant now, struct buffer *out)
{
    int64_t silence = silence_now(&d->silence, now.mono);
    buffer_cstring(out, "1");
    fields_put_int(out, "saved", now.wall.us);
    fields_put_int(out, "silent", silence - device->seen_us);
    silence_put_total(&d->silence, now.mono, out);
    if (device->seen.us != INT64_MIN) {
        fields_put_int(out, "seen", to_wall(device->seen, now));
    }
    if (device->newest.us != INT64_MIN) {
        put_timeline(device, now, out);
    }
    fields_put_text(out, "site", device->site);
    put_labels(out, device);
    bool in_part = device_is_unread(d, device);
    if (in_part) {
        fields_put_int(out, "part", 1);
    }
    for (uint32_t c = 0; c < device->n_cells; c++) {
        const struct cell *cell = &device->cells[c];
        if (cell->known) {
            char value[NUMBER_BYTES];
            number_print(cell->value, value);
            buffer_cstring(out, " v.");
            fields_escape(out, d->rules->metrics[cell->metric]);
            buffer_char(out, '=');
            buffer_cstring(out, value);
            buffer_char(out, '@');
            buffer_int(out, cell->at.us);
            buffer_char(out, '@');
            buffer_int(out, silence - cell->seen_us);
        }
    }
    for (uint32_t i = 0; i < device->n_instances; i++) {
        const struct instance *in = device->instances[i];
        uint64_t hash = in->rule->condition;
        if (in->alert.phase == ALERT_PENDING) {
            buffer_format(out, " p.%s=%" PRIx64 "@%" PRId64 "@%" PRId64 "@%d",
                          in->rule->id, hash, in->alert.onset.us,
                          in->alert.unknown_since.us, in->alert.complete);
        }
        if (!in->decided) {
            buffer_format(out, " n.%s=%" PRIx64, in->rule->id, hash);
        }
        if (in_part && in->broken) {
            buffer_format(out, " b.%s=%" PRIx64 "@-1", in->rule->id, hash);
        }
        if (in->rule->no_data_after_us > 0 && in->unknown_us != NOT_UNKNOWN) {
            buffer_format(out, " u.%s=%" PRIx64 "@%" PRId64, in->rule->id, hash,
                          silence - in->unknown_us);
        }
        for (size_t h = 0; h < in->rule->n_held; h++) {
            if (instance_held(in)[h].onset.us != 0) {
                buffer_format(out, " h.%s=%" PRIx64 "@%zu@%" PRId64 "@%" PRId64 "@%d",
                              in->rule->id, hash, h, instance_held(in)[h].onset.us,
                              instance_held(in)[h].unknown_since.us,
                              instance_held(in)[h].complete);
            }
            if (in_part && instance_held(in)[h].broken) {
                buffer_format(out, " b.%s=%" PRIx64 "@%zu", in->rule->id, hash, h);
            }
        }
    }
}

void alert_state_print(const struct instance *i, struct instant now, struct buffer *out)
{
    const struct alert_state *a = &i->alert;
    buffer_format(out, "1 rule=%" PRIx64, i->rule->condition);
    fields_put_int(out, "phase", a->phase);
    fields_put_int(out, "onset", a->onset.us);
    fields_put_int(out, "triggered", a->triggered_at.us);
    fields_put_int(out, "clear", a->clear_onset.us);
    fields_put_int(out, "unknown", a->unknown_since.us);
    fields_put_int(out, "cooldown", a->cooldown_until.us);
    fields_put_int(out, "published", a->published_at.us);
    fields_put_int(out, "told", a->published);
    fields_put_int(out, "withheld", (int64_t)a->withheld);
    fields_put_int(out, "waits", a->waits);
    fields_put_int(out, "escalated", a->escalated);
    const struct acknowledgement *ack = instance_ack(i);
    if (ack) {
        fields_put_int(out, "ack", ack->at.us);
        fields_put_text(out, "ackby", ack->by);
        fields_put_text(out, "ackfor", ack->comment);
    }
    fields_put_int(out, "degraded", a->degraded);
    fields_put_int(out, "count", a->trigger_count);
    put_timeline(i->device, now, out);
    fields_put_text(out, "site", i->device->site);
    put_labels(out, i->device);
    fields_put_text(out, "name", i->rule->name);
    fields_put_text(out, "type", i->rule->type_name);
    fields_put_text(out, "retained", instance_retained(i));
    fields_put_int(out, "severity",
                   a->escalated ? i->rule->escalate_to : i->rule->severity);
}

/* --- reading --- */

/* A stored stamp or duration, within what the differences of two of them can hold: none
 * is beyond the year 9999. */
#define STORED_US_MAX INT64_C(253402300799999999)

static bool to_int(struct text t, int64_t *ret)
{
    int64_t v;
    if (!fields_int(t, &v)) {
        return false;
    }
    *ret = v > STORED_US_MAX ? STORED_US_MAX : v < -STORED_US_MAX ? -STORED_US_MAX : v;
    return true;
}

static bool to_hash(struct text t, uint64_t *ret)
{
    uint64_t v = 0;
    if (t.n == 0 || t.n > 16) {
        return false;
    }
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        int d = c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : -1;
        if (d < 0) {
            return false;
        }
        v = v * 16 + (uint64_t)d;
    }
    *ret = v;
    return true;
}

/* "l.name=value", of either kind of line. */
static void apply_label(struct device *device, struct text key, struct text value)
{
    char *name = fields_unescape((struct text){key.p + 2, key.n - 2});
    char *text = fields_unescape(value);
    if (name && text && !device_label(device, text_of(name))) {
        (void)!device_set_label(device, text_of(name),
                                text_of(text)); /* its topic says it again */
    }
    free(name);
    free(text);
}

static void apply_value(const struct devices *d, struct device *device, struct text name,
                        struct text rest, int64_t saved_us)
{
    char *metric = fields_unescape(name);
    int number = metric ? ruleset_metric(d->rules, text_of(metric)) : -1;
    struct cell *cell = number < 0 ? NULL : device_cell(device, (uint32_t)number);
    double value;
    int64_t at, silent;
    free(metric);
    if (cell && !cell->known &&
        number_parse(fields_cut(&rest, '@'), &value) == BRINK_OK &&
        to_int(fields_cut(&rest, '@'), &at) && to_int(rest, &silent) && silent >= 0) {
        cell->known = true;
        cell->value = value;
        cell->at.us = at > cell->at.us ? at : cell->at.us;
        cell->seen_us = saved_us - silent;
    }
}

/* What is stored goes on, also where this run has looked at it already and found it true
 * ever since. */
static void take_held(struct held *h, struct held stored)
{
    if (h->broken) {
        return;
    }
    if (h->onset.us != 0) {
        if (stored.unknown_since.us != 0 && h->onset.us > stored.unknown_since.us) {
            stored.onset.us += h->onset.us - stored.unknown_since.us;
        }
        if (stored.onset.us >= h->onset.us) {
            return;
        }
        stored.unknown_since = h->unknown_since;
        stored.complete = stored.complete || h->complete;
    }
    *h = stored;
}

/* The same of an alert that is pending. */
static void take_pending(struct instance *in, struct held stored)
{
    struct alert_state *a = &in->alert;
    struct held h = {.onset = a->onset,
                     .unknown_since = a->unknown_since,
                     .complete = a->complete,
                     .broken = in->broken};
    if (a->phase == ALERT_INACTIVE) {
        h = (struct held){.broken = in->broken};
    } else if (a->phase != ALERT_PENDING) {
        return;
    }
    take_held(&h, stored);
    if (h.onset.us != 0) {
        a->phase = ALERT_PENDING;
        a->onset = h.onset;
        a->unknown_since = h.unknown_since;
        a->complete = h.complete;
    }
}

/* known: until when the last run knew the condition, if this one began without its
 * windows; 0: there was no such gap. */
static void apply_timer(struct device *device, bool pending, struct wall known,
                        struct text id, struct text rest)
{
    struct instance *in = device_instance(device, id);
    uint64_t hash;
    int64_t slot = 0, onset, unknown, complete;
    if (!in || !to_hash(fields_cut(&rest, '@'), &hash) || hash != in->rule->condition ||
        (!pending && !to_int(fields_cut(&rest, '@'), &slot)) ||
        !to_int(fields_cut(&rest, '@'), &onset) ||
        !to_int(fields_cut(&rest, '@'), &unknown) || !to_int(rest, &complete)) {
        return;
    }
    struct held stored = {
        .onset = {onset}, .unknown_since = {unknown}, .complete = complete != 0};
    if (onset == 0) {
        return;
    }
    if (unknown == 0 && in->rule->has_window) {
        stored.unknown_since = known;
    }
    if (pending) {
        take_pending(in, stored);
    } else if (slot >= 0 && (size_t)slot < in->rule->n_held) {
        take_held(&instance_held(in)[slot], stored);
    }
}

/* What was false in a run that had not read the device's own line: the time that this has
 * stored does not go on. */
static void apply_broken(struct device *device, struct text id, struct text rest)
{
    struct instance *in = device_instance(device, id);
    uint64_t hash;
    int64_t slot;
    if (!in || !to_hash(fields_cut(&rest, '@'), &hash) || hash != in->rule->condition ||
        !to_int(rest, &slot)) {
        return;
    }
    if (slot < 0) {
        in->broken = true;
    } else if ((uint64_t)slot < in->rule->n_held) {
        instance_held(in)[slot].broken = true;
    }
}

/* What its newest reading means was not known when the line was written. */
static void apply_undecided(struct device *device, struct text id, struct text rest)
{
    struct instance *in = device_instance(device, id);
    uint64_t hash;
    if (in && to_hash(rest, &hash) && hash == in->rule->condition) {
        in->decided = false;
    }
}

/* Since when the rule has had no answer, on the silence clock. A look at it before its
 * device was read back found it unknown only since the start. */
static void apply_unknown(struct device *device, struct text id, struct text rest,
                          int64_t saved_us)
{
    struct instance *in = device_instance(device, id);
    uint64_t hash;
    int64_t unknown;
    if (in && to_hash(fields_cut(&rest, '@'), &hash) && hash == in->rule->condition &&
        to_int(rest, &unknown) && unknown >= 0) {
        int64_t since = saved_us - unknown;
        if (in->unknown_us == NOT_UNKNOWN || since < in->unknown_us) {
            in->unknown_us = since;
        }
    }
}

/* The device's timeline, unless it has a newer one of its own. */
static void apply_timeline(struct device *device, const struct saved_timeline *t,
                           struct instant now)
{
    if (t->newest != INT64_MIN && t->newest > device->newest.us) {
        device->newest.us = t->newest;
        device->newest_arrived = to_mono(t->arrived, now);
        device->by_arrival = t->by_arrival != 0;
        device->has_reading = device->has_reading || t->readings != 0;
    }
}

static const struct saved_timeline no_timeline = {.newest = INT64_MIN, .readings = 1};

static void read_timeline(struct text key, struct text value, struct saved_timeline *t)
{
    const struct {
        struct text key;
        int64_t *to;
    } integers[] = {{TEXT("newest"), &t->newest},
                    {TEXT("arrived"), &t->arrived},
                    {TEXT("readings"), &t->readings},
                    {TEXT("by_arrival"), &t->by_arrival}};
    for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++) {
        if (text_equal(key, integers[k].key)) {
            (void)to_int(value, integers[k].to);
        }
    }
}

static void apply_seen(struct device *device, int64_t seen, struct instant now)
{
    struct mono at = to_mono(seen, now);
    if (!device->heard && at.us > device->seen.us) {
        device->seen = at;
    }
}

enum brink_status device_state_apply(struct devices *d, struct device *device,
                                     struct text line, struct instant now,
                                     struct wall alive)
{
    struct text rest = line, first = fields_cut(&rest, ' ');
    if (line.n > STATE_TEXT_BYTES_MAX || !text_equal(first, TEXT("1"))) {
        return BRINK_E_SYNTAX;
    }
    /* The timeline and the site come first: the site says which rules there are. */
    struct saved_timeline timeline = no_timeline;
    int64_t saved = 0, silent = -1, seen = 0, part = 0;
    struct silence_total total = {0};
    char *site = NULL;
    struct text key, value;
    for (struct text scan = rest; fields_next(&scan, &key, &value);) {
        if (text_equal(key, TEXT("saved"))) {
            (void)to_int(value, &saved);
        } else if (text_equal(key, TEXT("silent"))) {
            (void)to_int(value, &silent);
        } else if (text_equal(key, TEXT("seen"))) {
            (void)to_int(value, &seen);
        } else if (text_equal(key, TEXT(SILENCE_TOTAL))) {
            silence_read_total(value, &total);
        } else if (text_equal(key, TEXT("part"))) {
            (void)to_int(value, &part);
        } else if (text_equal(key, TEXT("site")) && !site) {
            site = fields_unescape(value);
        } else {
            read_timeline(key, value, &timeline);
        }
    }
    /* What was not heard in this run was silent since then, however late this is read. */
    int64_t saved_us = silence_saved_at(&d->silence, &total, (struct wall){saved}, alive);
    bool fresh = !device_was_heard(device);
    struct wall known = {fresh || timeline.newest == INT64_MIN ? 0 : timeline.newest};
    enum brink_status status = BRINK_OK;
    apply_timeline(device, &timeline, now);
    if (seen > 0) {
        apply_seen(device, seen, now);
    }
    if (fresh && silent >= 0) {
        device->seen_us = saved_us - silent;
    }
    if (site && !device->site) {
        status = device_set_site(d, device, text_of(site));
    }
    free(site);
    status = status == BRINK_OK ? device_bind(d, device) : status;
    for (struct text scan = rest;
         status == BRINK_OK && fields_next(&scan, &key, &value);) {
        if (key.n < 3 || key.p[1] != '.') {
            continue;
        }
        struct text name = {key.p + 2, key.n - 2};
        if (key.p[0] == 'l') {
            apply_label(device, key, value);
        } else if (key.p[0] == 'v') {
            apply_value(d, device, name, value, saved_us);
        } else if (key.p[0] == 'u' && fresh) {
            apply_unknown(device, name, value, saved_us);
        } else if (key.p[0] == 'p' || key.p[0] == 'h') {
            apply_timer(device, key.p[0] == 'p', known, name, value);
        } else if (key.p[0] == 'b') {
            apply_broken(device, name, value);
        } else if (key.p[0] == 'n') {
            apply_undecided(device, name, value);
        }
    }
    device->in_part = part != 0;
    return status;
}

enum brink_status saved_alert_parse(struct text line, struct saved_alert *ret_saved)
{
    struct text rest = line, first = fields_cut(&rest, ' ');
    struct saved_alert s = {.timeline = no_timeline};
    if (line.n > STATE_TEXT_BYTES_MAX || !text_equal(first, TEXT("1"))) {
        return BRINK_E_SYNTAX;
    }
    int64_t phase = ALERT_INACTIVE, escalated = 0, degraded = 0, n = 1, told = 1,
            withheld = 0, waits = 0, severity = SEVERITY_WARNING;
    const struct {
        struct text key;
        int64_t *to;
    } integers[] = {
        {TEXT("phase"), &phase},
        {TEXT("onset"), &s.state.onset.us},
        {TEXT("triggered"), &s.state.triggered_at.us},
        {TEXT("clear"), &s.state.clear_onset.us},
        {TEXT("unknown"), &s.state.unknown_since.us},
        {TEXT("cooldown"), &s.state.cooldown_until.us},
        {TEXT("published"), &s.state.published_at.us},
        {TEXT("told"), &told},
        {TEXT("withheld"), &withheld},
        {TEXT("waits"), &waits},
        {TEXT("ack"), &s.ack_at.us},
        {TEXT("escalated"), &escalated},
        {TEXT("degraded"), &degraded},
        {TEXT("count"), &n},
        {TEXT("severity"), &severity},
    };
    const struct {
        struct text key;
        char **to;
    } strings[] = {
        {TEXT("site"), &s.site},    {TEXT("name"), &s.name},
        {TEXT("type"), &s.type},    {TEXT("retained"), &s.retained},
        {TEXT("ackby"), &s.ack_by}, {TEXT("ackfor"), &s.ack_comment},
    };
    struct text key, value;
    while (fields_next(&rest, &key, &value)) {
        for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++) {
            if (text_equal(key, integers[k].key)) {
                (void)to_int(value, integers[k].to);
            }
        }
        for (size_t k = 0; k < sizeof strings / sizeof strings[0]; k++) {
            if (text_equal(key, strings[k].key) && !*strings[k].to) {
                *strings[k].to = fields_unescape(value);
            }
        }
        if (text_equal(key, TEXT("rule"))) {
            (void)to_hash(value, &s.condition);
        }
        read_timeline(key, value, &s.timeline);
    }
    s.state.phase = phase == ALERT_FIRING ? ALERT_FIRING : ALERT_INACTIVE;
    s.state.published = s.state.phase == ALERT_FIRING && told != 0;
    s.state.withheld = withheld > 0 ? (uint64_t)withheld : 0;
    s.state.waits = waits != 0;
    s.state.escalated = escalated != 0;
    s.state.degraded = degraded != 0;
    s.state.trigger_count = n > 0 && n < UINT32_MAX ? (uint32_t)n : 1;
    s.severity = severity >= SEVERITY_INFO && severity <= SEVERITY_CRITICAL
                     ? (enum severity)severity
                     : SEVERITY_WARNING;
    *ret_saved = s;
    return BRINK_OK;
}

void saved_alert_labels(struct text line, struct device *device)
{
    struct text key, value;
    while (fields_next(&line, &key, &value)) {
        if (key.n > 2 && key.p[0] == 'l' && key.p[1] == '.') {
            apply_label(device, key, value);
        }
    }
}

void saved_alert_finish(struct saved_alert *s)
{
    free(s->site);
    free(s->name);
    free(s->type);
    free(s->retained);
    free(s->ack_by);
    free(s->ack_comment);
}

void saved_alert_apply(const struct saved_alert *s, struct instance *i,
                       struct instant now)
{
    struct device *device = i->device;
    apply_timeline(device, &s->timeline, now);
    apply_seen(device, s->timeline.arrived, now);
    /* The rule was decided at `newest`: a reading from before is not the latest of its
     * metrics, even where the value itself was not kept. */
    for (size_t m = 0; m < i->rule->n_metrics; m++) {
        struct cell *cell = device_cell(device, i->rule->metrics[m].number);
        if (cell && cell->at.us < s->timeline.newest) {
            cell->at.us = s->timeline.newest;
        }
    }
    i->alert = s->state;
    i->stored = true;
    if (s->state.phase == ALERT_FIRING && s->ack_by && s->ack_comment) {
        (void)instance_set_ack(i, acknowledgement_new(s->ack_at, text_of(s->ack_by),
                                                      text_of(s->ack_comment)));
    }
    if (s->retained) {
        free(instance_retained(i));
        (void)instance_set_retained(i, text_dup(text_of(s->retained)));
    }
    if (s->condition != i->rule->condition) {
        i->alert.clear_onset.us = 0;
        i->alert.unknown_since.us = 0;
    }
}
