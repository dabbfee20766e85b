#include "decode/tree.h"

#include <assert.h>
#include <cjson/cJSON.h>

#include "base/map.h"
#include "base/number.h"
#include "decode/grammar.h"
#include "model/message.h"

#define EXACT_BELOW 9007199254740992.0 /* 2^53 */

/* Objects up to this size are searched for repeated names by comparing each with each. */
#define FEW_MEMBERS 16

static_assert(CJSON_NESTING_LIMIT > JSON_DEPTH_MAX, "what is valid must be readable");

struct walk {
    const struct json_visitor *visitor;
    const cJSON *timestamp, *site, *seq; /* of the payload at hand; NULL: absent */
    const struct telemetry_config *entry;
    bool joined;
    size_t path_bytes;
    char path[METRIC_BYTES_MAX + 1];
};

static int kind_of(const cJSON *node)
{
    return node->type & 0xff; /* the rest are flags of cJSON's own */
}

/* The element of an array that a pointer's token means (RFC 6901: no sign, no leading
 * zero). */
static const cJSON *element(const cJSON *array, const char *token)
{
    uint64_t index;
    if ((token[0] == '0' && token[1] != '\0') || token[0] == '+' ||
        number_parse_u64(text_of(token), &index) != BRINK_OK) {
        return NULL;
    }
    const cJSON *node = array->child;
    while (node && index > 0) {
        node = node->next;
        index--;
    }
    return node;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *found = NULL;
    for (const cJSON *node = object->child; node; node = node->next) {
        if (strcmp(node->string, name) == 0) {
            found = node; /* and the last one stays */
        }
    }
    return found;
}

static const cJSON *find(const cJSON *node, const struct json_pointer *pointer)
{
    for (size_t i = 0; node && i < pointer->n; i++) {
        if (kind_of(node) == cJSON_Object) {
            node = member(node, pointer->tokens[i]);
        } else if (kind_of(node) == cJSON_Array) {
            node = element(node, pointer->tokens[i]);
        } else {
            node = NULL;
        }
    }
    return node;
}

static const cJSON *find_given(const cJSON *node, const struct json_pointer *pointer)
{
    return pointer->given ? find(node, pointer) : NULL;
}

static struct json_value value_of(const cJSON *node)
{
    struct json_value value = {.kind = JSON_OTHER};
    switch (node ? kind_of(node) : cJSON_Invalid) {
    case cJSON_Invalid:
        value.kind = JSON_ABSENT;
        break;
    case cJSON_NULL:
        value.kind = JSON_NULL;
        break;
    case cJSON_True:
    case cJSON_False:
        value.kind = JSON_BOOLEAN;
        value.number = kind_of(node) == cJSON_True;
        break;
    case cJSON_Number:
        value.kind = JSON_NUMBER;
        value.number = node->valuedouble;
        break;
    case cJSON_String:
        value.kind = JSON_STRING;
        value.text = text_of(node->valuestring);
        break;
    default:
        break;
    }
    return value;
}

/* Counts the numbers before `wanted` in the order they are written; true: it was found.
 */
static bool numbers_before(const cJSON *node, const cJSON *wanted, size_t *count)
{
    if (node == wanted) {
        return true;
    }
    if (kind_of(node) == cJSON_Number) {
        ++*count;
    }
    for (const cJSON *child = node->child; child; child = child->next) {
        if (numbers_before(child, wanted, count)) {
            return true;
        }
    }
    return false;
}

/* cJSON keeps a number as a double only: where that is not exact, the digits are found in
 * the payload again. */
static struct text exact_text(struct text written, const cJSON *payload,
                              const cJSON *number)
{
    size_t before = 0;
    (void)numbers_before(payload, number, &before); /* it is in there */
    return json_number_at(written, before);
}

/* Of members with one name, marks all but the last as none. */
static enum brink_status mark_repeated(const cJSON *object)
{
    size_t n = 0;
    for (const cJSON *node = object->child; node; node = node->next) {
        n++;
    }
    if (n <= FEW_MEMBERS) {
        for (cJSON *node = object->child; node; node = node->next) {
            for (const cJSON *later = node->next; later; later = later->next) {
                if (strcmp(node->string, later->string) == 0) {
                    node->type = cJSON_Invalid;
                    break;
                }
            }
        }
        return BRINK_OK;
    }
    /* From the last to the first, which is how cJSON's list can be walked: the first
     * node's prev is the last one. */
    enum brink_status status = BRINK_OK;
    struct map seen = {0};
    cJSON *node = object->child->prev;
    for (size_t i = 0; i < n && status == BRINK_OK; i++, node = node->prev) {
        struct text name = text_of(node->string);
        uint64_t hash = map_hash(name);
        if (map_get_hashed(&seen, name, hash)) {
            node->type = cJSON_Invalid;
        } else {
            status = map_put(&seen, name, node);
        }
    }
    map_finish(&seen);
    return status;
}

/* Appends to the path what of it fits; one byte beyond the allowed does, so that too
 * long remains visible. */
static void path_add(struct walk *w, const char *bytes, size_t n)
{
    size_t room = sizeof w->path - w->path_bytes;
    size_t k = n < room ? n : room;
    memcpy(w->path + w->path_bytes, bytes, k);
    w->path_bytes += k;
}

/* Depth is at most JSON_DEPTH_MAX. */
static enum brink_status visit_metrics(struct walk *w, const cJSON *object, bool nested)
{
    enum brink_status status = mark_repeated(object);
    const size_t above = w->path_bytes;
    for (const cJSON *node = object->child; node && status == BRINK_OK;
         node = node->next) {
        int kind = kind_of(node);
        if (kind == cJSON_Invalid || kind == cJSON_NULL || kind == cJSON_Array ||
            node == w->timestamp || node == w->site || node == w->seq) {
            continue;
        }
        struct text name = text_of(node->string);
        if (nested || kind == cJSON_Object) {
            if (nested) {
                path_add(w, ".", 1);
            }
            path_add(w, name.p, name.n);
            name = (struct text){w->path, w->path_bytes};
        }
        if (kind == cJSON_Object) {
            w->joined = true;
            status = visit_metrics(w, node, true);
        } else {
            struct json_value value = value_of(node);
            if (value.kind != JSON_STRING ||
                json_named_value(w->entry, value.text, &value.number)) {
                w->visitor->metric(w->visitor->ctx, name, value.number);
            }
        }
        w->path_bytes = above;
    }
    return status;
}

enum brink_status tree_visit(struct text written, const struct json_reader *reader,
                             const struct json_visitor *visitor)
{
    const struct telemetry_config *entry = reader->entry;
    cJSON *root = cJSON_ParseWithLength(written.p, written.n);
    if (!root) {
        return BRINK_E_NOMEM; /* it is valid: nothing else is left */
    }
    enum brink_status status = BRINK_OK;
    const cJSON *metrics = find(root, &entry->metrics);
    struct walk w = {
        .visitor = visitor,
        .timestamp = find_given(root, &entry->timestamp),
        .site = find_given(root, &entry->site),
        .seq = find_given(root, &entry->seq),
        .entry = entry,
    };
    struct json_payload payload = {
        .metrics = JSON_METRICS_FOUND,
        .timestamp = value_of(w.timestamp),
        .site = value_of(w.site),
        .seq = value_of(w.seq),
    };
    if (payload.seq.kind == JSON_NUMBER && payload.seq.number >= EXACT_BELOW) {
        payload.seq.text = exact_text(written, root, w.seq);
    }
    if (!metrics) {
        payload.metrics = JSON_METRICS_ABSENT;
    } else if (kind_of(metrics) != cJSON_Object) {
        payload.metrics = JSON_METRICS_NO_OBJECT;
    } else {
        status = visit_metrics(&w, metrics, false);
    }
    if (status == BRINK_OK) {
        payload.joined = w.joined;
        visitor->end(visitor->ctx, &payload);
    }
    cJSON_Delete(root);
    return status;
}
