/* Stored state: any bytes as a device's line and as an alert's. They are refused, or
 * applied without a time that overflows what is worked out from it; and what was applied
 * is, printed and applied once more, the same. A `#` stands for the hash of the rule's
 * condition, which a timer has to name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/rules/load.h"
#include "rules/evaluate.h"
#include "rules/state.h"
#include "rules/timeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_US INT64_C(1767225600000000)
#define HOUR_US (3600 * US_PER_S)

static const char yaml[] =
    "rules: [{id: a, for: 1m, no_data_after: 5m, when: 'held(t > 1, "
    "1m) or (p > 2 and silent(1m))'}]";

static void require(int truth)
{
    if (!truth) {
        abort();
    }
}

/* No windows: the rule asks for none. */
static struct series *open_series(void *ctx, struct instance *user, size_t metric)
{
    (void)ctx;
    (void)user;
    (void)metric;
    return NULL;
}

static void leaving(void *ctx, struct instance *i, const char *reason)
{
    (void)ctx;
    (void)i;
    (void)reason;
}

static const struct rules_hooks hooks = {.open = open_series, .leaving = leaving};
static const struct instant now = {{2 * HOUR_US}, {NOW_US}};
static struct loaded loaded;

/* One device, as the gateway subscribes: what is silent later was so in this run, too. */
static struct device *begin(struct devices *d)
{
    enum brink_status why;
    devices_init(d, loaded.rules, &hooks);
    d->limit = 1;
    silence_start(&d->silence, now.mono);
    struct device *device = devices_get(d, TEXT("acme"), TEXT("d1"), now.mono, &why);
    require(device && device_bind(d, device) == BRINK_OK);
    return device;
}

/* What the gateway works out of a device that it has just restored. */
static void use(struct devices *d, struct device *device)
{
    const struct instant later = {{3 * HOUR_US}, {NOW_US + HOUR_US}};
    struct wall at = device_now(device, later.mono);
    struct instance *i = device_instance(device, TEXT("a"));
    struct evaluation evaluation;
    const struct moment moment = {.now = at,
                                  .silence_us = silence_now(&d->silence, later.mono)};
    require(i != NULL);
    (void)device_clock_back(device, device->newest, later.wall, later.mono);
    if (at.us != INT64_MIN) {
        (void)instance_due(d, i, at);
        instance_evaluate(d, i, &moment, &evaluation);
    }
    (void)instance_silence_due(i, moment.silence_us);
}

static bool apply_device(struct text line, int64_t alive_us, struct buffer *ret_printed)
{
    struct devices d;
    struct device *device = begin(&d);
    enum brink_status status =
        device_state_apply(&d, device, line, now, (struct wall){alive_us});
    require(status == BRINK_OK || status == BRINK_E_SYNTAX);
    if (status == BRINK_OK) {
        device_state_print(&d, device, now, ret_printed);
        require(buffer_ok(ret_printed));
        use(&d, device);
    }
    devices_finish(&d);
    return status == BRINK_OK;
}

/* What is read is what is printed, if it says anything. */
static void check_gateway(struct text line)
{
    struct silence_clock c = {0}, again = {0};
    struct wall alive = {0}, alive_again = {0};
    struct buffer printed = {0};
    gateway_state_apply(&c, line, &alive);
    require(c.series >= 0 && c.total_us >= 0 && alive.us >= 0);
    if (alive.us > 0) {
        gateway_state_print(&c, alive, now.mono, &printed);
        require(buffer_ok(&printed));
        gateway_state_apply(&again, buffer_view(&printed), &alive_again);
        require(again.series == c.series && again.total_us == c.total_us);
    }
    buffer_finish(&printed);
}

static bool apply_alert(struct text line, struct buffer *ret_printed)
{
    struct saved_alert saved;
    if (saved_alert_parse(line, &saved) != BRINK_OK) {
        return false;
    }
    require(saved.severity >= SEVERITY_INFO && saved.severity <= SEVERITY_CRITICAL);
    require(saved.state.phase != ALERT_PENDING && saved.state.trigger_count > 0);
    struct devices d;
    struct device *device = begin(&d);
    struct instance *i = device_instance(device, TEXT("a"));
    saved_alert_apply(&saved, i, now);
    saved_alert_labels(line, device);
    alert_state_print(i, now, ret_printed);
    require(buffer_ok(ret_printed));
    use(&d, device);
    saved_alert_finish(&saved);
    devices_finish(&d);
    return true;
}

/* The first print leaves out what does not parse; from then on nothing changes. */
static void check_device(struct text line)
{
    struct buffer first = {0}, second = {0}, third = {0};
    if (apply_device(line, NOW_US - 1, &first)) {
        require(apply_device(buffer_view(&first), 0, &second));
        require(apply_device(buffer_view(&second), 0, &third));
        require(text_equal(buffer_view(&second), buffer_view(&third)));
    }
    buffer_finish(&first);
    buffer_finish(&second);
    buffer_finish(&third);
}

static void check_alert(struct text line)
{
    struct buffer first = {0}, second = {0}, third = {0};
    if (apply_alert(line, &first)) {
        require(apply_alert(buffer_view(&first), &second));
        require(apply_alert(buffer_view(&second), &third));
        require(text_equal(buffer_view(&second), buffer_view(&third)));
    }
    buffer_finish(&first);
    buffer_finish(&second);
    buffer_finish(&third);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loaded.rules) {
        load_rules(&loaded, yaml);
        require(loaded.rules && loaded.rules->n_rules == 1);
    }
    struct buffer line = {0};
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '#') {
            buffer_format(&line, "%llx",
                          (unsigned long long)loaded.rules->rules[0]->condition);
        } else {
            buffer_char(&line, (char)data[i]);
        }
    }
    if (buffer_ok(&line) && line.n > 0) {
        /* An exact copy, so that a sanitizer sees a read beyond the end. */
        char *exact = malloc(line.n);
        require(exact != NULL);
        memcpy(exact, line.p, line.n);
        check_device((struct text){exact, line.n});
        check_alert((struct text){exact, line.n});
        check_gateway((struct text){exact, line.n});
        free(exact);
    }
    buffer_finish(&line);
    return 0;
}
