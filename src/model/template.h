/* The text of an alert with {names} in it, as Python's format strings have them:
 * {device}, {value:.1f}, {{ for a brace. Checked and cut into pieces once, when rules are
 * loaded; filling it in allocates nothing. */
#ifndef BRINK_MODEL_TEMPLATE_H
#define BRINK_MODEL_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/format.h"
#include "base/text.h"

#define TEMPLATE_BYTES_MAX 4096    /* of its source */
#define TEMPLATE_UNKNOWN "unknown" /* stands for what is not known */

/* Texts first, then numbers. */
enum template_name {
    TEMPLATE_TENANT,
    TEMPLATE_DEVICE,
    TEMPLATE_SITE,
    TEMPLATE_RULE,
    TEMPLATE_NAME,
    TEMPLATE_SEVERITY,
    TEMPLATE_OPERATOR,
    TEMPLATE_METRIC,
    TEMPLATE_EVENT,
    TEMPLATE_GATEWAY,
    TEMPLATE_VALUE,
    TEMPLATE_THRESHOLD,
    TEMPLATE_PLAIN_NAMES,
    TEMPLATE_TEXTS = TEMPLATE_VALUE,
};

/* What {labels.x} and {metrics.x} may name. */
struct template_scope {
    const char *const *labels, *const *metrics;
    size_t n_labels, n_metrics;
    bool any_metric; /* they are not known */
};

/* Each fault, with the byte of the source at which it is. */
typedef void template_report(void *ctx, size_t at, const char *fault);

struct template;

/* NULL: it has faults, each reported, or memory is out. free() it. It may be copied, so
 * many bytes as it has. */
struct template *template_new(struct text source, const struct template_scope *scope,
                              template_report *report, void *ctx);
size_t template_bytes(const struct template *t);
struct text template_source(const struct template *t);

/* What the names stand for. */
struct template_values {
    const char *texts[TEMPLATE_TEXTS]; /* NULL: unknown */
    bool compared;                     /* value and threshold are known */
    double value, threshold;
    char *const *labels; /* by the scope's index, as the metrics */
    /* False: unknown. */
    bool (*metric)(const void *ctx, size_t index, double *ret);
    const void *ctx;
};

void template_print(const struct template *t, const struct template_values *v,
                    struct bounded *out);

#endif
