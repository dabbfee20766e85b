/* The text of an alert: its id, its message, its JSON payload (SPEC 6.2). Pure: all that
 * it says is handed in. Written straight into a buffer: an alert is on the path of a
 * reading. */
#ifndef BRINK_ALERT_PAYLOAD_H
#define BRINK_ALERT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "expr/expr.h"
#include "model/alert.h"
#include "model/template.h"
#include "window/window.h"

#define ALERT_POINTS_MAX 32  /* of each window, the newest */
#define ALERT_WINDOWS_MAX 16 /* windows told of in one payload */
#define ALERT_ID_BYTES 33    /* 32 hex digits and NUL */
#define ALERT_MESSAGE_BYTES                                                              \
    4097 /* a longer message is cut, at a whole character; and NUL */

/* One window that the condition uses. */
struct alert_window {
    const char *metric;
    enum window_fn fn;
    int64_t width_us;
    uint32_t last; /* #N, or 0 */
    const struct window *window;
    size_t span;
};

/* What a storm holds back (SPEC 6.6). */
struct alert_held_rule {
    const char *rule;
    size_t n;
};
struct alert_held {
    uint64_t events;                     /* since the storm began */
    size_t waiting;                      /* alerts that fire and were not told of */
    const struct alert_held_rule *rules; /* of those, by number */
    size_t n_rules;
};

/* Everything that a payload says; borrowed for the call. */
struct alert_facts {
    enum alert_event_type event;
    const char *alert_type, *tenant, *device, *site /* NULL: unknown */, *rule,
        *rule_name;
    const char *gateway;
    enum severity severity;
    const struct template *message; /* NULL: */
    const char *text;               /* the message itself; NULL: the default */
    /* The latest value of the rule's metric of this index; false: unknown. */
    bool (*metric)(const void *ctx, size_t index, double *ret);
    const void *metric_ctx;
    struct wall onset; /* part of the id */
    struct wall triggered_at, event_at;
    uint32_t trigger_count;
    bool degraded;
    char *const *label_keys, *const *label_values;
    size_t n_labels;
    const char *reason;            /* of a CLOSED that no condition caused; or NULL */
    const char *expression;        /* canonical; NULL: the rule is gone */
    const struct expr *comparison; /* what decided, or NULL */
    bool values_known;
    double left, right;
    struct wall now; /* for the windows */
    struct alert_window windows[ALERT_WINDOWS_MAX];
    size_t n_windows;
    const struct alert_held *held; /* of a summary; or NULL */
};

/* ">" and so on; NULL: not a comparison, or none. */
const char *alert_operator(const struct expr *comparison);

/* The same for the whole life of an alert, in every process: 128 bits over rule, tenant,
 * device and onset. */
void alert_id_print(const char *rule, const char *tenant, const char *device,
                    struct wall onset, char out[ALERT_ID_BYTES]);

/* The template filled in (model/template.h); without one "name: value operator
 * threshold", or the name alone. Returns out. */
const char *alert_message_print(const struct alert_facts *f,
                                char out[ALERT_MESSAGE_BYTES]);

void alert_payload_print(const struct alert_facts *f, struct buffer *out);

#endif
