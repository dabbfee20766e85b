#include "rules/device.h"

#include <stdlib.h>
#include <string.h>

#include "rules/cover.h"
#include "rules/timers.h"

void devices_init(struct devices *d, struct ruleset *rules,
                  const struct rules_hooks *hooks)
{
    *d = (struct devices){.rules = rules,
                          .hooks = hooks,
                          .timers = {.tie = timers_by_device},
                          .silences = {.tie = timers_by_device_and_rule}};
}

/* --- binding --- */

struct cell *device_cell(const struct device *device, uint32_t metric)
{
    uint32_t low = 0, high = device->n_cells;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (device->cells[mid].metric < metric) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < device->n_cells && device->cells[low].metric == metric
               ? &device->cells[low]
               : NULL;
}

/* A block (struct device) for what covers it, with cells that no rule uses yet. NULL: out
 * of memory. */
static struct cell *block_new(const struct cover *c)
{
    size_t bytes =
        c->n_metrics * sizeof(struct cell) + c->n_rules * sizeof(struct instance *) +
        c->n_uses * sizeof(struct use) + (c->n_rules + 1) * sizeof(struct heap_item *);
    struct cell *cells = calloc(1, bytes);
    for (uint32_t k = 0; cells && k < c->n_metrics; k++) {
        cells[k].metric = c->metrics[k];
    }
    return cells;
}

/* Enters into the cells what uses them, and what the old ones knew. */
static void fill_cells(struct device *device, const struct cell *old, uint32_t n_old)
{
    struct use *uses = device_uses(device);
    uint32_t n = 0;
    for (uint32_t i = 0; i < device->n_instances; i++) {
        const struct rule *r = device->instances[i]->rule;
        for (size_t m = 0; m < r->n_metrics; m++) {
            device_cell(device, r->metrics[m].number)->first_use++;
        }
    }
    for (uint32_t c = 0; c < device->n_cells; c++) {
        n += device->cells[c].first_use;            /* how many it has */
        device->cells[c].first_use = n & INT32_MAX; /* for now, behind the last of them */
        device->cells[c].seen_us = device->seen_us;
    }
    for (uint32_t i = device->n_instances; i-- > 0;) {
        const struct rule *r = device->instances[i]->rule;
        for (size_t m = r->n_metrics; m-- > 0;) {
            struct cell *c = device_cell(device, r->metrics[m].number);
            uses[--c->first_use] = (struct use){i, (uint32_t)m};
        }
    }
    device->n_uses = n;
    for (uint32_t c = 0; c < n_old; c++) {
        struct cell *to = device_cell(device, old[c].metric);
        if (to) {
            to->known = old[c].known;
            to->value = old[c].value;
            to->at = old[c].at;
            to->seen_us = old[c].seen_us;
        }
    }
}

/* Takes the timers over into the block, which has room for one of each instance: arming
 * one cannot fail. */
static void move_timers(struct device *device)
{
    struct heap *h = &device->timers;
    struct heap_item **room = (void *)(device_uses(device) + device->n_uses);
    for (uint32_t i = 1; i <= h->n; i++) {
        room[i] = h->items[i];
    }
    *h = (struct heap){
        .items = room, .n = h->n, .cap = device->n_instances + 1, .tie = timers_by_rule};
}

static const char *reason_gone(const struct devices *d, const struct rule *r)
{
    if (map_get(&d->rules->by_id, text_of(r->id))) {
        return "out_of_scope";
    }
    return map_get(&d->rules->disabled, text_of(r->id)) ? "rule_disabled"
                                                        : "rule_removed";
}

/* The old instance of the rule moves over; that of the rule as it was leaves what it has.
 * NULL: out of memory. */
static struct instance *take_over(struct devices *d, struct device *device,
                                  struct rule *rule, struct instance **old,
                                  uint32_t n_old)
{
    for (uint32_t i = 0; i < n_old; i++) {
        struct instance *was = old[i], *made = was;
        if (!was || (was->rule != rule && strcmp(was->rule->id, rule->id) != 0)) {
            continue;
        }
        old[i] = NULL;
        if (was->rule != rule) {
            made = instance_new(d, device, rule);
            if (made) {
                instance_inherit(d, made, was);
            }
            d->hooks->replaced(d->hooks->ctx, made, was);
            instance_free(d, was);
        }
        if (made) {
            return made;
        }
    }
    return instance_new(d, device, rule);
}

static enum brink_status rebind(struct devices *d, struct device *device)
{
    struct instance **old = device->instances;
    struct cell *old_cells = device->cells;
    uint32_t n_old = device->n_instances, n_old_cells = device->n_cells, n = 0;
    enum brink_status status = BRINK_OK;
    struct cover cover;
    bool found = cover_find(d->rules, device, &cover);
    struct cell *cells = found ? block_new(&cover) : NULL;
    if (!cells) { /* what it has stays until there is memory */
        cover_finish(&cover);
        device->bound = false;
        return BRINK_E_NOMEM;
    }
    struct instance **instances = (void *)(cells + cover.n_metrics);
    device->longest_us = 0;
    device->has_silent = false;
    for (uint32_t k = 0; k < cover.n_rules; k++) {
        struct rule *rule = cover.rules[k];
        struct instance *made = take_over(d, device, rule, old, n_old);
        if (!made) {
            status = BRINK_E_NOMEM;
            continue;
        }
        instances[n++] = made;
        device->has_silent = device->has_silent || rule->has_silent;
        device->longest_us =
            rule->longest_us > device->longest_us ? rule->longest_us : device->longest_us;
    }
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i]) {
            d->hooks->leaving(d->hooks->ctx, old[i], reason_gone(d, old[i]->rule));
            instance_free(d, old[i]);
        }
    }
    device->cells = cells;
    device->n_cells = cover.n_metrics;
    device->instances = instances;
    device->n_instances = n;
    device->bound = true;
    device->lists_ahead = false;
    fill_cells(device, old_cells, n_old_cells);
    move_timers(device);
    free(old_cells); /* with it what stood behind them */
    cover_finish(&cover);
    return status;
}

enum brink_status device_bind(struct devices *d, struct device *device)
{
    return device->bound ? BRINK_OK : rebind(d, device);
}

enum brink_status device_set_site(struct devices *d, struct device *device,
                                  struct text site)
{
    if (device->site && text_equal(text_of(device->site), site)) {
        return BRINK_OK;
    }
    char *copy = text_dup(site);
    if (!copy) {
        return BRINK_E_NOMEM;
    }
    free(device->site);
    device->site = copy;
    return device->bound ? rebind(d, device) : BRINK_OK;
}

static struct device_label *find_label(const struct device *device, struct text name)
{
    for (uint32_t i = 0; i < device->n_labels; i++) {
        if (text_equal(text_of(device->labels[i].name), name)) {
            return &device->labels[i];
        }
    }
    return NULL;
}

const char *device_label(const struct device *device, struct text name)
{
    const struct device_label *label = find_label(device, name);
    return label ? label->value : NULL;
}

enum brink_status device_set_label(struct device *device, struct text name,
                                   struct text value)
{
    struct device_label *label = find_label(device, name);
    if (label && text_equal(text_of(label->value), value)) {
        return BRINK_OK;
    }
    char *copy = text_dup(value);
    if (label && copy) {
        free(label->value);
        label->value = copy;
        return BRINK_OK;
    }
    char *key = device->n_labels < TOPIC_LABELS_MAX ? text_dup(name) : NULL;
    struct device_label *grown =
        copy && key ? realloc(device->labels, (device->n_labels + 1) * sizeof *grown)
                    : NULL;
    if (!grown) {
        free(copy);
        free(key);
        return device->n_labels < TOPIC_LABELS_MAX ? BRINK_E_NOMEM : BRINK_E_LIMIT;
    }
    device->labels = grown;
    grown[device->n_labels++] = (struct device_label){key, copy};
    return BRINK_OK;
}

/* What stands behind the cells is not needed any more. */
static void cut_block(struct device *device)
{
    if (device->n_cells == 0) {
        free(device->cells);
        device->cells = NULL;
        return;
    }
    struct cell *kept = realloc(device->cells, device->n_cells * sizeof *kept);
    device->cells = kept ? kept : device->cells;
}

static void drop_instances(struct devices *d, struct device *device)
{
    for (uint32_t i = 0; i < device->n_instances; i++) {
        instance_free(d, device->instances[i]);
    }
    heap_remove(&d->timers, &device->timer);
    for (uint32_t c = 0; c < device->n_cells; c++) {
        device->cells[c].first_use = 0;
    }
    cut_block(device);
    device->timers = (struct heap){0};
    device->instances = NULL;
    device->n_instances = device->n_uses = 0;
    device->has_silent = false;
    device->bound = false;
}

bool device_unbind(struct devices *d, struct device *device)
{
    /* What this run found is not to be forgotten before the last one's is known; nor is
     * that a reading waits to be decided on. */
    if (!device->bound || device_is_unread(d, device)) {
        return false;
    }
    for (uint32_t i = 0; i < device->n_instances; i++) {
        struct instance *in = device->instances[i];
        if (in->alert.phase != ALERT_INACTIVE || in->alert.cooldown_until.us != 0 ||
            in->timer.place != 0 || in->stored || !in->decided) {
            return false;
        }
        const struct silence_timer *silence = instance_silence(in);
        if (silence && (silence->place.place != 0 || silence->due != INT64_MAX)) {
            return false;
        }
        for (size_t h = 0; h < in->rule->n_held; h++) {
            if (instance_held(in)[h].onset.us != 0) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < device->n_instances; i++) {
        struct instance *in = device->instances[i];
        for (size_t m = 0; m < in->rule->n_metrics; m++) {
            if (in->series[m] && !d->hooks->unload(in->series[m])) {
                return false;
            }
        }
    }
    drop_instances(d, device);
    return true;
}

enum brink_status devices_set_rules(struct devices *d, struct ruleset *rules)
{
    enum brink_status status = BRINK_OK;
    d->rules = rules;
    struct device *device;
    for (size_t i = 0; (device = map_next(&d->by_field, &i));) {
        if (device->bound && rebind(d, device) != BRINK_OK) {
            status = BRINK_E_NOMEM;
        }
    }
    return status;
}

/* --- the registry --- */

static size_t field_print(struct text tenant, struct text id, char *out)
{
    size_t n = 0;
    memcpy(out, tenant.p, tenant.n);
    n += tenant.n;
    out[n++] = '/';
    memcpy(out + n, id.p, id.n);
    return n + id.n;
}

struct device *devices_find(const struct devices *d, struct text tenant, struct text id)
{
    char field[2 * ID_BYTES_MAX + 1];
    if (tenant.n > ID_BYTES_MAX || id.n > ID_BYTES_MAX) {
        return NULL;
    }
    return map_get(&d->by_field, (struct text){field, field_print(tenant, id, field)});
}

/* Finds, or adds with no device yet. */
static struct tenant *get_tenant(struct devices *d, struct text name)
{
    struct tenant *t = map_get(&d->tenants, name);
    if (!t && (t = calloc(1, sizeof *t + name.n + 1))) {
        memcpy(t->name, name.p, name.n);
        if (map_put(&d->tenants, (struct text){t->name, name.n}, t) != BRINK_OK) {
            free(t);
            t = NULL;
        }
    }
    return t;
}

static void leave_tenant(struct devices *d, struct tenant *t)
{
    if (t && t->n_devices == 0) {
        map_remove(&d->tenants, text_of(t->name));
        free(t);
    }
}

static void device_free(struct devices *d, struct device *device)
{
    if (device->owner) {
        device->owner->n_devices--;
        leave_tenant(d, device->owner);
    }
    sequences_free(device->sequences);
    for (uint32_t i = 0; i < device->n_labels; i++) {
        free(device->labels[i].name);
        free(device->labels[i].value);
    }
    free(device->labels);
    free(device->cells); /* the block */
    free(device->site);
    free(device);
}

struct device *devices_get(struct devices *d, struct text tenant, struct text id,
                           struct mono now, enum brink_status *ret_why)
{
    struct device *device = devices_find(d, tenant, id);
    if (device) {
        return device;
    }
    if (d->by_field.n >= d->limit || tenant.n > ID_BYTES_MAX || id.n > ID_BYTES_MAX) {
        *ret_why = BRINK_E_LIMIT;
        return NULL;
    }
    *ret_why = BRINK_E_NOMEM;
    struct tenant *owner = get_tenant(d, tenant);
    if (!owner) {
        return NULL;
    }
    if (d->tenant_limit > 0 && owner->n_devices >= d->tenant_limit) {
        *ret_why = BRINK_E_STATE;
        return NULL;
    }
    size_t n = tenant.n + 1 + id.n;
    device = calloc(1, sizeof *device + n + 1);
    if (!device) {
        leave_tenant(d, owner);
        return NULL;
    }
    device->owner = owner;
    owner->n_devices++;
    field_print(tenant, id, device->field);
    device->id = device->field + tenant.n + 1;
    device->newest.us = device->seen.us = INT64_MIN;
    device->seen_us = silence_now(&d->silence, now);
    if (map_put(&d->by_field, (struct text){device->field, n}, device) != BRINK_OK) {
        device_free(d, device);
        return NULL;
    }
    return device;
}

static bool take_out(struct device **list, const struct device *device)
{
    for (; *list; list = &(*list)->dirty_next) {
        if (*list == device) {
            *list = device->dirty_next;
            return true;
        }
    }
    return false;
}

void devices_remove(struct devices *d, struct device *device, const char *reason)
{
    for (uint32_t i = 0; i < device->n_instances; i++) {
        d->hooks->leaving(d->hooks->ctx, device->instances[i], reason);
    }
    drop_instances(d, device);
    map_remove(&d->by_field, text_of(device->field));
    if (device->dirty && !take_out(&d->dirty, device)) {
        (void)take_out(&d->saving, device);
    }
    device_free(d, device);
}

void devices_finish(struct devices *d)
{
    struct device *device;
    for (size_t i = 0; (device = map_next(&d->by_field, &i));) {
        drop_instances(d, device);
        device_free(d, device);
    }
    map_finish(&d->by_field);
    map_finish(&d->tenants);
    heap_finish(&d->timers);
    heap_finish(&d->silences);
}

struct instance *device_instance(const struct device *device, struct text rule)
{
    for (uint32_t i = 0; i < device->n_instances; i++) {
        if (text_equal(text_of(device->instances[i]->rule->id), rule)) {
            return device->instances[i];
        }
    }
    return NULL;
}

void devices_renumber_entries(struct devices *d, const int *to, size_t n)
{
    struct device *device;
    for (size_t i = 0; (device = map_next(&d->by_field, &i));) {
        sequences_renumber(&device->sequences, to, n);
    }
}

/* --- saving --- */

void device_mark_dirty(struct devices *d, struct device *device)
{
    if (!device->dirty) {
        device->dirty = true;
        device->dirty_next = d->dirty;
        d->dirty = device;
    }
}

void devices_begin_saving(struct devices *d)
{
    struct device **end = &d->saving; /* what an unfinished round left goes first */
    while (*end) {
        end = &(*end)->dirty_next;
    }
    *end = d->dirty;
    d->dirty = NULL;
}

struct device *devices_next_to_save(struct devices *d)
{
    struct device *device = d->saving;
    if (device) {
        d->saving = device->dirty_next;
        device->dirty = false;
    }
    return device;
}
