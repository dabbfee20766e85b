#include "decode/json.h"

#include <stdlib.h>

#include "decode/grammar.h"
#include "decode/lexeme.h"
#include "decode/scan.h"
#include "decode/tree.h"
#include "model/message.h"

/* --- the reader --- */

static struct json_name name_of(const char *token)
{
    struct json_name name = {text_of(token), 0};
    char first[WORD_BYTES] = {0};
    memcpy(first, token, name.text.n < WORD_BYTES ? name.text.n : WORD_BYTES);
    name.first = word_load(first);
    return name;
}

enum brink_status json_reader_new(const struct telemetry_config *entry,
                                  struct json_reader **ret_reader)
{
    const struct json_pointer *pointers[JSON_POINTERS] = {
        [JSON_POINTER_METRICS] = &entry->metrics,
        [JSON_POINTER_TIMESTAMP] = &entry->timestamp,
        [JSON_POINTER_SITE] = &entry->site,
        [JSON_POINTER_SEQ] = &entry->seq,
    };
    size_t n = 0;
    for (size_t id = 0; id < JSON_POINTERS; id++) {
        n += pointers[id]->n;
    }
    struct json_reader *r = calloc(1, sizeof *r + n * sizeof *r->all);
    if (!r) {
        return BRINK_E_NOMEM;
    }
    r->entry = entry;
    r->strings_count = entry->n_values > 0;
    r->whole_metrics = entry->metrics.n == 0;
    struct json_name *names = r->all;
    for (size_t id = 0; id < JSON_POINTERS; id++) {
        const struct json_pointer *pointer = pointers[id];
        bool metrics = id == JSON_POINTER_METRICS; /* looked for whether given or not */
        r->paths[id] = (struct json_path){names, pointer->n};
        for (size_t i = 0; i < pointer->n; i++) {
            *names++ = name_of(pointer->tokens[i]);
        }
        if ((pointer->given || metrics) && pointer->n > 0) {
            r->given |= 1u << id;
        }
        /* The payload itself as a time: legal, and no use. */
        r->needs_tree = r->needs_tree || (pointer->given && !metrics && pointer->n == 0);
    }
    *ret_reader = r;
    return BRINK_OK;
}

void json_reader_free(struct json_reader *r)
{
    free(r);
}

/* --- the visit --- */

/* The byte order mark that some devices send; RFC 8259 lets a reader ignore it. */
static struct text without_mark(struct text t)
{
    if (t.n >= 3 && memcmp(t.p, "\xef\xbb\xbf", 3) == 0) {
        return (struct text){t.p + 3, t.n - 3};
    }
    return t;
}

static bool is_array(struct text t)
{
    const char *end = t.p + t.n, *p = json_spaces(t.p, end);
    return p < end && *p == '[';
}

/* A payload of its own, or one element; *ret_end: behind it. It is valid. */
static enum brink_status visit_element(struct text t, const struct json_reader *reader,
                                       const struct json_visitor *visitor, bool by_tree,
                                       const char **ret_end)
{
    if (!by_tree && scan_visit_element(t, reader, visitor, ret_end) == SCAN_VISITED) {
        return BRINK_OK;
    }
    struct text element = json_next_value(t);
    *ret_end = element.p + element.n;
    return tree_visit(element, reader, visitor);
}

/* Checked whole before its first element is told. */
static enum brink_status visit_array(struct text t, const struct json_reader *reader,
                                     const struct json_visitor *visitor, bool by_tree,
                                     size_t *ret_left_out)
{
    if (!json_is_valid(t)) {
        return BRINK_E_SYNTAX;
    }
    enum brink_status status = BRINK_OK;
    const char *end = t.p + t.n, *p = json_spaces(t.p, end) + 1;
    size_t n = 0;
    for (p = json_spaces(p, end); status == BRINK_OK && *p != ']'; n++) {
        struct text rest = {p, (size_t)(end - p)};
        if (n < MESSAGES_PER_PAYLOAD_MAX) {
            status = visit_element(rest, reader, visitor, by_tree, &p);
        } else {
            struct text element = json_next_value(rest);
            p = element.p + element.n;
        }
        p = json_spaces(p, end);
        p = *p == ',' ? json_spaces(p + 1, end) : p;
    }
    if (status == BRINK_OK) {
        *ret_left_out = n > MESSAGES_PER_PAYLOAD_MAX ? n - MESSAGES_PER_PAYLOAD_MAX : 0;
    }
    return status;
}

static enum brink_status visit(struct text payload, const struct json_reader *reader,
                               const struct json_visitor *visitor, bool by_tree,
                               size_t *ret_left_out)
{
    payload = without_mark(payload);
    if (payload.n == 0) {
        return BRINK_E_SYNTAX;
    }
    if (is_array(payload)) {
        return visit_array(payload, reader, visitor, by_tree, ret_left_out);
    }
    enum scan_outcome scan =
        by_tree ? SCAN_NEEDS_TREE : scan_visit(payload, reader, visitor);
    enum brink_status status = scan == SCAN_VISITED ? BRINK_OK : BRINK_E_SYNTAX;
    if (scan == SCAN_NEEDS_TREE && json_is_valid(payload)) {
        status = tree_visit(payload, reader, visitor);
    }
    if (status == BRINK_OK) {
        *ret_left_out = 0;
    }
    return status;
}

enum brink_status json_visit(struct text payload, const struct json_reader *reader,
                             const struct json_visitor *visitor, size_t *ret_left_out)
{
    return visit(payload, reader, visitor, reader->needs_tree, ret_left_out);
}

enum brink_status json_visit_by_tree(struct text payload,
                                     const struct json_reader *reader,
                                     const struct json_visitor *visitor,
                                     size_t *ret_left_out)
{
    return visit(payload, reader, visitor, true, ret_left_out);
}
