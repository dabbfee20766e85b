/* A series of readings as a rule test writes it (SPEC 9.1): "20x5 25+1x10 _x3".
 *
 * Items stand apart by blanks. An item is a number, `_` for a reading that does not come,
 * or either of them with `xN`: N of it, one an interval. A number may step, by +S or -S,
 * and then needs its count: 25+1x10 is the ten readings 25 26 ... 34. Pure. */
#ifndef BRINK_CONFIG_VALUES_H
#define BRINK_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

#define VALUES_MAX 1000000 /* readings of one series, missing ones included */
#define VALUES_ITEMS_MAX 100000

struct values_item {
    bool missing;
    double first, step;
    unsigned decimals; /* of both as written: 0.1+0.1x3 ends in 0.3, not in
                          0.30000000000000004 */
    uint32_t n;        /* > 0 */
};

struct values {
    struct values_item *items;
    size_t n_items;
    size_t n; /* of all items together */
};

/* E_SYNTAX, E_RANGE, E_LIMIT: *ret_at is the byte and *ret_why says why, static. E_NOMEM.
 */
enum brink_status values_parse(struct text t, struct values *ret_values, size_t *ret_at,
                               const char **ret_why) BRINK_MUST_CHECK;
void values_finish(struct values *v);

/* Reading k < item->n of an item that is not missing. */
double values_item_at(const struct values_item *item, uint32_t k);

#endif
