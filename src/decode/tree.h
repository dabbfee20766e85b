/* One payload by way of cJSON's tree: for what a scan does not do. Private to decode/;
 * the only reader of cJSON. */
#ifndef BRINK_DECODE_TREE_H
#define BRINK_DECODE_TREE_H

#include "decode/json.h"

/* payload: one valid value (grammar.h), not to be taken apart further. Everything of it
 * that is asked for goes to the visitor. E_NOMEM: it was not ended. */
enum brink_status tree_visit(struct text payload, const struct json_reader *reader,
                             const struct json_visitor *visitor) BRINK_MUST_CHECK;

#endif
