/* Any bytes as a series: refused with a place and a reason, or readings that are all
 * finite and as many as are counted. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "config/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
    if (!promise) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values v = {0};
    size_t at = SIZE_MAX, n = 0;
    const char *why = NULL;
    enum brink_status status =
        values_parse((struct text){(const char *)data, size}, &v, &at, &why);
    if (status) {
        require(status != BRINK_E_NOMEM && why && at <= size && !v.items);
        return 0;
    }
    for (size_t i = 0; i < v.n_items; i++) {
        const struct values_item *item = &v.items[i];
        require(item->n > 0);
        n += item->n;
        for (uint32_t k = 0; !item->missing && k < item->n; k += item->n / 8 + 1) {
            require(isfinite(values_item_at(item, k)));
        }
        require(item->missing || isfinite(values_item_at(item, item->n - 1)));
    }
    require(n == v.n && n > 0 && n <= VALUES_MAX);
    values_finish(&v);
    return 0;
}
