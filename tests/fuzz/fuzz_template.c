/* Any bytes as an alert's message: it is refused with at least one fault, each at a byte
 * of it and whole text, or filled in with any values it stays within its limit, and
 * within UTF-8 where the source is. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const labels[] = {"runbook", "a:b", "}"};
static char *const label_values[] = {"https://w", "\xf0\x9f\x8c\xa1 22", ""};
static const char *const metrics[] = {"temp_c", "x", ""};

static void require(bool promise)
{
    if (!promise) {
        abort();
    }
}

struct told {
    size_t n, size;
    bool is_utf8;
};

static void note(void *ctx, size_t at, const char *fault)
{
    struct told *told = ctx;
    told->n++;
    require(at < told->size && fault[0] != '\0');
    require(!told->is_utf8 || text_is_utf8(text_of(fault)));
}

static bool metric(const void *ctx, size_t index, double *ret)
{
    *ret = *(const double *)ctx;
    return index > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const double values[] = {0, -0.0, 1e308, -1e308, 5e-324, -12.5, 1e21, 0.1};
    const struct template_scope scope = {labels, metrics, 3, 3, false};
    struct text source = {(const char *)data, size};
    struct told told = {0, size, text_is_utf8(source)};
    char out[512];
    struct template *t = template_new(source, &scope, note, &told);
    if (!t) {
        require(told.n > 0 || size > TEMPLATE_BYTES_MAX);
        return 0;
    }
    require(told.n == 0 && text_equal(template_source(t), source));
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        const struct template_values v = {
            .texts = {[TEMPLATE_DEVICE] = "d\xc3\xa9j\xc3\xa0",
                      [TEMPLATE_TENANT] = "",
                      [TEMPLATE_NAME] = "\xe6\xb8\xa9\xe5\xba\xa6"},
            .compared = k % 2 == 0,
            .value = values[k],
            .threshold = -values[k],
            .labels = label_values,
            .metric = k % 3 == 0 ? NULL : metric,
            .ctx = &values[k],
        };
        struct bounded text = {.p = out, .cap = k * 70};
        template_print(t, &v, &text);
        require(text.n <= text.cap);
        require(!text_is_utf8(source) || text_is_utf8((struct text){out, text.n}));
    }
    free(t);
    return 0;
}
