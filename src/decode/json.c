#include "decode/json.h"

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
    size_t path_bytes;
    char path[METRIC_BYTES_MAX + 1];

    /* Where the payload at hand is written, found only when somebody asks (exact_text).
     */
    struct text rest;  /* of the array, behind the last element that was looked for */
    size_t rest_index; /* of the element that comes next there */
    bool in_array;
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

/* cJSON keeps a number as a double only: where that is not exact, the digits are
 * looked up in the payload again. One pass over it for all elements of an array together.
 */
static struct text exact_text(struct walk *w, const cJSON *payload, size_t index,
                              const cJSON *number)
{
    struct text written = w->rest;
    while (w->in_array && w->rest_index <= index) {
        written = json_next_value(w->rest);
        const char *end = written.p + written.n;
        w->rest = (struct text){end, (size_t)(w->rest.p + w->rest.n - end)};
        w->rest_index++;
    }
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
            status = visit_metrics(w, node, true);
        } else {
            struct json_value value = value_of(node);
            w->visitor->metric(w->visitor->ctx, name, &value);
        }
        w->path_bytes = above;
    }
    return status;
}

static enum brink_status visit_payload(struct walk *w, const cJSON *root, size_t index,
                                       const struct telemetry_config *entry)
{
    enum brink_status status = BRINK_OK;
    const cJSON *metrics = find(root, &entry->metrics);
    w->timestamp = find_given(root, &entry->timestamp);
    w->site = find_given(root, &entry->site);
    w->seq = find_given(root, &entry->seq);
    struct json_payload payload = {
        .metrics = JSON_METRICS_FOUND,
        .timestamp = value_of(w->timestamp),
        .site = value_of(w->site),
        .seq = value_of(w->seq),
    };
    if (payload.seq.kind == JSON_NUMBER && payload.seq.number >= EXACT_BELOW) {
        payload.seq.text = exact_text(w, root, index, w->seq);
    }
    if (!metrics) {
        payload.metrics = JSON_METRICS_ABSENT;
    } else if (kind_of(metrics) != cJSON_Object) {
        payload.metrics = JSON_METRICS_NO_OBJECT;
    } else {
        w->path_bytes = 0;
        status = visit_metrics(w, metrics, false);
    }
    if (status == BRINK_OK) {
        w->visitor->end(w->visitor->ctx, &payload);
    }
    return status;
}

/* The byte order mark that some devices send; RFC 8259 lets a reader ignore it. */
static struct text without_mark(struct text t)
{
    if (t.n >= 3 && memcmp(t.p, "\xef\xbb\xbf", 3) == 0) {
        return (struct text){t.p + 3, t.n - 3};
    }
    return t;
}

enum brink_status json_visit(struct text payload, const struct telemetry_config *entry,
                             const struct json_visitor *visitor, size_t *ret_left_out)
{
    payload = without_mark(payload);
    if (!json_is_valid(payload)) {
        return BRINK_E_SYNTAX;
    }
    cJSON *root = cJSON_ParseWithLength(payload.p, payload.n);
    if (!root) {
        return BRINK_E_NOMEM; /* it is valid: nothing else is left */
    }
    enum brink_status status = BRINK_OK;
    size_t left_out = 0;
    struct walk w = {.visitor = visitor, .rest = payload};
    if (kind_of(root) == cJSON_Array) {
        const char *open = memchr(payload.p, '[', payload.n);
        w.in_array = true;
        w.rest = (struct text){open + 1, (size_t)(payload.p + payload.n - open - 1)};
        size_t index = 0;
        for (const cJSON *node = root->child; node && status == BRINK_OK;
             node = node->next) {
            if (index < MESSAGES_PER_PAYLOAD_MAX) {
                status = visit_payload(&w, node, index, entry);
            } else {
                left_out++;
            }
            index++;
        }
    } else {
        status = visit_payload(&w, root, 0, entry);
    }
    cJSON_Delete(root);
    if (status == BRINK_OK) {
        *ret_left_out = left_out;
    }
    return status;
}
