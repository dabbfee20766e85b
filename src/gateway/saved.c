/* What a restart finds again (SPEC 5.6): devices' lines and alerts' states, written and
 * read back. */
#include "gateway/engine.h"

#include <string.h>

/* --- writing --- */

void save_device(struct pipeline *p, struct device *device)
{
    if (!history_is_kept(p->history)) {
        return; /* nowhere to save it */
    }
    buffer_clear(&p->text);
    device_state_print(&p->devices, device, p->now, &p->text);
    if (buffer_ok(&p->text)) {
        history_put_device(p->history, text_of(device->field), buffer_view(&p->text));
    }
}

void save_devices(struct pipeline *p, size_t n_max)
{
    struct device *device;
    for (size_t n = 0; n < n_max && (device = devices_next_to_save(&p->devices)); n++) {
        save_device(p, device);
    }
}

/* The gateway's own line; false: there is nothing to say yet. */
static bool print_alive(struct pipeline *p)
{
    struct wall alive = p->saved_alive.us > 0 ? p->saved_alive : p->alive;
    buffer_clear(&p->text);
    gateway_state_print(&p->devices.silence, alive, p->now.mono, &p->text);
    return alive.us > 0 && buffer_ok(&p->text);
}

static void put_alive(struct pipeline *p)
{
    if (print_alive(p)) {
        history_put_device(p->history, TEXT(GATEWAY_FIELD), buffer_view(&p->text));
    }
}

void save_alive(struct pipeline *p)
{
    if (p->devices.silence.runs) {
        p->saved_alive = p->now.wall;
        put_alive(p);
    }
}

void keep_all_devices(void *ctx, struct history *h)
{
    struct pipeline *p = ctx;
    struct device *device;
    if (print_alive(p)) {
        history_keep_device(h, TEXT(GATEWAY_FIELD), buffer_view(&p->text));
    }
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        /* Known from its alert alone: what Valkey has says more, and is not to be taken
         * for older than this. */
        if (device_is_unread(&p->devices, device) && !device_was_heard(device)) {
            continue;
        }
        buffer_clear(&p->text);
        device_state_print(&p->devices, device, p->now, &p->text);
        if (buffer_ok(&p->text)) {
            history_keep_device(h, text_of(device->field), buffer_view(&p->text));
        }
    }
}

/* --- reading back --- */

/* A window that was firing, pending or counted may change by emptying alone: it is read
 * without waiting for a reading. So is one of which the newest is not decided on. */
static void want_windows(struct instance *i)
{
    const struct rule *r = i->rule;
    bool held = false;
    for (size_t h = 0; h < r->n_held; h++) {
        held = held || instance_held(i)[h].onset.us != 0;
    }
    for (size_t m = 0; m < r->n_metrics; m++) {
        bool counts = false;
        for (size_t k = 0; k < r->metrics[m].window.n_spans; k++) {
            counts =
                counts || (r->metrics[m].window.spans[k].functions & (1u << FN_COUNT));
        }
        if (i->series[m] &&
            (counts || held || !i->decided || i->alert.phase != ALERT_INACTIVE)) {
            series_want(i->series[m]);
        }
    }
}

static void visit_undecided(void *ctx, void *user)
{
    struct instance *i = user;
    (void)ctx;
    i->decided = false;
}

/* What the broker queued is taken first: until then a list may hold what a killed run
 * wrote and did not decide on, and what the rest of that message said is not known. */
void want_all_windows(struct pipeline *p)
{
    struct device *device;
    if (p->devices.silence.runs && drained(p, p->now.mono)) {
        history_end_begun(p->history, visit_undecided, NULL);
    }
    if (!p->wants_windows || !p->devices.silence.runs || !drained(p, p->now.mono)) {
        return;
    }
    p->wants_windows = false;
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        for (uint32_t k = 0; k < device->n_instances; k++) {
            want_windows(device->instances[k]);
        }
    }
}

void pipeline_restore_alert(struct pipeline *p, struct text rule, struct text tenant,
                            struct text id, struct text value, struct instant now)
{
    struct saved_alert saved;
    enum brink_status why;
    p->now = now;
    if (saved_alert_parse(value, &saved) != BRINK_OK) {
        log_limited(&p->limit_state, now.mono, LOG_LEVEL_WARNING,
                    "stored alert is unreadable, forgetting it", LOG_T("rule", rule),
                    LOG_T("tenant", tenant), LOG_T("device", id));
        p->sink.state(p->sink.ctx, rule, tenant, id, TEXT(""));
        return;
    }
    struct device *device = devices_get(&p->devices, tenant, id, now.mono, &why);
    struct instance *i = NULL;
    if (device &&
        (!saved.site || device->site ||
         device_set_site(&p->devices, device, text_of(saved.site)) == BRINK_OK) &&
        device_bind(&p->devices, device) == BRINK_OK) {
        i = device_instance(device, rule);
    }
    if (i) {
        saved_alert_apply(&saved, i, now);
        saved_alert_labels(value, device);
        p->gate.has_orphans = true;
        p->wants_windows = true;
        schedule_device(p, device);
    } else {
        close_saved(p, &saved, rule, tenant, id);
    }
    saved_alert_finish(&saved);
}

/* What a rule said without what is stored of its device is to be said now: what its
 * newest reading means, and then what time alone did since. */
static void look_again(struct pipeline *p, struct device *device)
{
    bool before = device_was_heard(device), said = false;
    for (uint32_t k = 0; k < device->n_instances; k++) {
        struct instance *in = device->instances[k];
        struct moment m = newest_moment(p, in);
        bool open = !in->decided && m.at.us != INT64_MIN && m.now.us != INT64_MIN &&
                    is_readable(in); /* else when its windows are read */
        if (open) {
            decide(p, in, &m);
            gate_settle(p);
            said = true;
        }
        if (open || (before && in->rule->n_held > 0)) {
            schedule_now(p, in);
        }
    }
    if (said) { /* that it was not decided stands in its line */
        save_device(p, device);
        device_mark_dirty(&p->devices, device);
    }
}

/* What was saved before Valkey said how long the gateway was subscribed in all does not
 * know that, and what waits to be written must not take its place. */
static void save_totals(struct pipeline *p)
{
    struct silence_clock *c = &p->devices.silence;
    struct device *device;
    if (c->series == 0) {
        c->series = p->now.wall.us > 0 ? p->now.wall.us : 1;
    }
    put_alive(p);
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        if (device_was_heard(device)) {
            device_mark_dirty(&p->devices, device);
        }
    }
}

static void tell_unreadable(struct pipeline *p, struct text field)
{
    log_limited(&p->limit_state, p->now.mono, LOG_LEVEL_WARNING,
                "stored state of a device is unreadable, ignoring it",
                LOG_T("field", field));
}

/* False: it is none. */
static bool restore_line(struct pipeline *p, struct text field, struct text value)
{
    const char *slash = memchr(field.p, '/', field.n);
    enum brink_status why;
    if (text_equal(field, TEXT(GATEWAY_FIELD))) {
        gateway_state_apply(&p->devices.silence, value, &p->alive);
        return true;
    }
    if (!slash) {
        return true;
    }
    struct text tenant = {field.p, (size_t)(slash - field.p)};
    struct text id = {slash + 1, field.n - tenant.n - 1};
    /* As in a topic: a line break would stand in the backlog's lines. */
    if (tenant.n == 0 || id.n == 0 || !text_is_utf8(field) || text_has_control(field)) {
        tell_unreadable(p, field);
        return false;
    }
    struct device *device = devices_get(&p->devices, tenant, id, p->now.mono, &why);
    bool before = device && device_was_heard(device);
    if (!device || device->restored) {
        return true;
    }
    enum brink_status status =
        device_state_apply(&p->devices, device, value, p->now, p->alive);
    if (status == BRINK_E_SYNTAX && value.n > 0) {
        tell_unreadable(p, field);
        return false;
    }
    if (status == BRINK_OK) {
        device->restored = true;
        p->wants_windows = true;
        schedule_device(p, device);
        if (before) { /* what waits to be written does not know all of this */
            device->in_part = true;
            save_device(p, device);
            device_mark_dirty(&p->devices, device);
        }
    }
    return true;
}

/* One device's line from Valkey. */
void restore_device(void *ctx, struct text field, struct text value)
{
    struct pipeline *p = ctx;
    struct device *device;
    if (field.p) {
        (void)restore_line(p, field, value); /* told there */
        return;
    }
    p->devices_loaded = true;
    p->devices.unread = false;
    save_totals(p);
    for (size_t i = 0; (device = map_next(&p->devices.by_field, &i));) {
        look_again(p, device);
    }
}

/* The gateway's own line has to be known when the devices' are read. */
static bool visit_own(void *ctx, struct text field, struct text value)
{
    return !text_equal(field, TEXT(GATEWAY_FIELD)) || restore_line(ctx, field, value);
}

static bool visit_left_device(void *ctx, struct text field, struct text value)
{
    struct pipeline *p = ctx;
    bool is_line = restore_line(p, field, value);
    struct device *device = map_get(&p->devices.by_field, field);
    if (device && device->restored) { /* else Valkey's is looked at */
        device->restored = !device->in_part;
    }
    return is_line;
}

static void visit_left_window(void *ctx, struct text tenant, struct text rule,
                              struct text id)
{
    struct pipeline *p = ctx;
    enum brink_status why;
    struct device *device = devices_get(&p->devices, tenant, id, p->now.mono, &why);
    (void)rule; /* the device's rules come all at once: open_series() */
    if (device) {
        (void)!device_bind(&p->devices, device); /* told there */
    }
}

void pipeline_restore_left(struct pipeline *p, struct instant now)
{
    p->now = now;
    history_each_left_device(p->history, visit_own, p);
    history_each_left_device(p->history, visit_left_device, p);
    history_take_left_windows(p->history, visit_left_window, p);
}

bool pipeline_is_loaded(const struct pipeline *p)
{
    return p->devices_loaded;
}
