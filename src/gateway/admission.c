/* Who may speak how often, so that one device or tenant cannot starve the others. */
#include "gateway/engine.h"

static bool is_limited(const struct config *c)
{
    return c->limits.device_rate > 0 || c->limits.tenant_rate > 0;
}

/* A device that is not known yet passes: how many there may be is bounded elsewhere. */
static bool admit(void *ctx, struct text tenant, struct text id, uint32_t n,
                  struct mono arrived, enum counter *ret_why)
{
    struct pipeline *p = ctx;
    const struct config *c = p->config;
    struct device *device = devices_find(&p->devices, tenant, id);
    if (!device) {
        return true;
    }
    if (n == 1 && !rate_allows(&device->rate, c->limits.device_rate, arrived)) {
        *ret_why = COUNT_DROP_DEVICE_RATE;
        return false;
    }
    if (n == 1 && !rate_allows(&device->owner->rate, c->limits.tenant_rate, arrived)) {
        *ret_why = COUNT_DROP_TENANT_RATE;
        return false;
    }
    rate_count(&device->rate, c->limits.device_rate, n, arrived);
    rate_count(&device->owner->rate, c->limits.tenant_rate, n, arrived);
    return true;
}

void apply_limits(struct pipeline *p)
{
    const struct config *c = p->config;
    const struct decoder_gate gate = {is_limited(c) ? p : NULL, admit};
    p->devices.limit = c->limits.devices;
    p->devices.tenant_limit = c->limits.tenant_devices;
    decoder_set_gate(p->decoder, &gate);
}
