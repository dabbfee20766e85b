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
    if (r) {
        shapes_finish(&r->shapes);
        free(r);
    }
}

bool json_named_value(const struct telemetry_config *entry, struct text t,
                      double *ret_value)
{
    for (size_t i = 0; i < entry->n_values; i++) {
        if (text_equal(text_of(entry->values[i].text), t)) {
            *ret_value = entry->values[i].value;
            return true;
        }
    }
    return false;
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

/* Without the spaces around it. */
static struct text trim(struct text t)
{
    const char *end = t.p + t.n, *p = json_spaces(t.p, end);
    while (end > p && (unsigned char)end[-1] <= ' ' && json_spaces(end - 1, end) == end) {
        end--;
    }
    return (struct text){p, (size_t)(end - p)};
}

static void learn(struct json_reader *reader, struct text t,
                  const struct shape_trace *trace)
{
    shapes_learn(&reader->shapes, t, trace, reader->entry);
}

/* The first element of what is left of a valid array; *ret_end: behind it. */
static enum brink_status visit_element(struct text t, struct json_reader *reader,
                                       const struct json_visitor *visitor, bool by_tree,
                                       const char **ret_end)
{
    struct shape_trace trace;
    if (!by_tree) {
        const char *behind =
            shapes_visit(&reader->shapes, t.p, t.p + t.n, false, reader->entry, visitor);
        if (behind) {
            *ret_end = behind;
            return BRINK_OK;
        }
        bool learns = shapes_want(&reader->shapes);
        if (scan_visit_element(t, reader, visitor, learns ? &trace : NULL, ret_end) ==
            SCAN_VISITED) {
            if (learns) {
                learn(reader, (struct text){t.p, (size_t)(*ret_end - t.p)}, &trace);
            }
            return BRINK_OK;
        }
    }
    struct text element = json_next_value(t);
    *ret_end = element.p + element.n;
    return tree_visit(element, reader, visitor);
}

/* Checked whole before its first element is told. */
static enum brink_status visit_array(struct text t, struct json_reader *reader,
                                     const struct json_visitor *visitor, bool by_tree,
                                     size_t *ret_left_out)
{
    if (!json_is_valid(t)) {
        return BRINK_E_SYNTAX;
    }
    enum brink_status status = BRINK_OK;
    const char *end = t.p + t.n, *p = json_spaces(t.p + 1, end);
    size_t n = 0;
    for (; status == BRINK_OK && *p != ']'; n++) {
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

/* Not an array. */
static enum brink_status visit_one(struct text t, struct json_reader *reader,
                                   const struct json_visitor *visitor, bool by_tree)
{
    struct shape_trace trace;
    enum scan_outcome scan = SCAN_NEEDS_TREE;
    if (!by_tree) {
        if (shapes_visit(&reader->shapes, t.p, t.p + t.n, true, reader->entry, visitor)) {
            return BRINK_OK;
        }
        bool learns = shapes_want(&reader->shapes);
        scan = scan_visit(t, reader, visitor, learns ? &trace : NULL);
        if (scan == SCAN_VISITED && learns) {
            learn(reader, t, &trace);
        }
    }
    if (scan == SCAN_NEEDS_TREE && json_is_valid(t)) {
        return tree_visit(t, reader, visitor);
    }
    return scan == SCAN_VISITED ? BRINK_OK : BRINK_E_SYNTAX;
}

static enum brink_status visit(struct text payload, struct json_reader *reader,
                               const struct json_visitor *visitor, bool by_tree,
                               size_t *ret_left_out)
{
    struct text t = trim(without_mark(payload));
    if (t.n == 0) {
        return BRINK_E_SYNTAX;
    }
    if (*t.p == '[') {
        return visit_array(t, reader, visitor, by_tree, ret_left_out);
    }
    enum brink_status status = visit_one(t, reader, visitor, by_tree);
    if (status == BRINK_OK) {
        *ret_left_out = 0;
    }
    return status;
}

enum brink_status json_visit(struct text payload, struct json_reader *reader,
                             const struct json_visitor *visitor, size_t *ret_left_out)
{
    return visit(payload, reader, visitor, reader->needs_tree, ret_left_out);
}

enum brink_status json_visit_by_tree(struct text payload, struct json_reader *reader,
                                     const struct json_visitor *visitor,
                                     size_t *ret_left_out)
{
    return visit(payload, reader, visitor, true, ret_left_out);
}
