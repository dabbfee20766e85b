#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/map.h"
#include "config/config.h"

#define ARENA_BLOCK_BYTES (64 * 1024)
#define CONTEXT_BYTES 128
#define SHOWN_BYTES 64 /* of a text from the file, in a message */

/* --- memory: blocks that are freed together --- */

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    max_align_t bytes[];
};

static void *arena_take(struct document *d, size_t n)
{
    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct arena_block *b = d->blocks;
    if (!b || b->cap - b->used < n) {
        size_t cap = n > ARENA_BLOCK_BYTES ? n : ARENA_BLOCK_BYTES;
        b = malloc(sizeof *b + cap);
        if (!b) {
            return NULL;
        }
        *b = (struct arena_block){.next = d->blocks, .cap = cap};
        d->blocks = b;
    }
    void *p = (char *)b->bytes + b->used;
    b->used += n;
    return p;
}

void document_free(struct document *d)
{
    while (d->blocks) {
        struct arena_block *b = d->blocks;
        d->blocks = b->next;
        free(b);
    }
    d->root = NULL;
}

struct text document_text(struct document *d, struct text t)
{
    char *p = arena_take(d, t.n + 1);
    if (!p) {
        return (struct text){0};
    }
    if (t.n > 0) {
        memcpy(p, t.p, t.n);
    }
    p[t.n] = '\0';
    return (struct text){p, t.n};
}

/* --- the bytes before libyaml sees them --- */

/* Bytes of the well-formed character at p, or 0. */
static size_t utf8_length(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0x80 ? 2 : 1;
    return c == 0 || (len <= n && text_is_utf8((struct text){p, len})) ? len : 0;
}

/* YAML takes no control character but tab and line breaks, and no non-character. */
static bool is_allowed(const unsigned char *p)
{
    if (p[0] < 0x80) {
        return (p[0] >= 0x20 && p[0] != 0x7f) || p[0] == '\t' || p[0] == '\n' ||
               p[0] == '\r';
    }
    bool c1_control = p[0] == 0xc2 && p[1] < 0xa0 && p[1] != 0x85;
    bool bom_within = p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
    bool no_character = p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe; /* U+FFFE, U+FFFF */
    return !c1_control && !bom_within && !no_character;
}

/* libyaml tells neither line nor column of a byte that it cannot read. */
static bool check_characters(const char *file, struct text bytes,
                             struct problems *problems)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    struct position at = {file, 1, 1};
    for (size_t i = 0; i < bytes.n;) {
        size_t len = utf8_length(bytes.p + i, bytes.n - i);
        if (len == 0) {
            problem_add(problems, at, "not UTF-8 (byte 0x%02x)", p[i]);
            return false;
        }
        if (!is_allowed(p + i)) {
            problem_add(problems, at, "a control character is not allowed (byte 0x%02x)",
                        p[i]);
            return false;
        }
        if (p[i] == '\n' || (p[i] == '\r' && (i + 1 == bytes.n || p[i + 1] != '\n'))) {
            at.line++;
            at.column = 1;
        } else {
            at.column++;
        }
        i += len;
    }
    return true;
}

/* --- libyaml's events to nodes --- */

struct open {
    struct node *node, *last, *key;
};

struct loader {
    yaml_parser_t parser;
    const char *file;
    struct text source;
    struct problems *problems;
    struct document document;
    struct open stack[YAML_DEPTH_MAX];
    size_t depth, nodes, documents;
    size_t index, offset; /* a character that was looked up, and its first byte */
    enum brink_status status;
};

static struct position position_of(const struct loader *l, yaml_mark_t mark)
{
    return (struct position){l->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* The byte that a mark is at. Marks count characters; they are asked for in rising order,
 * or nearly so. */
static size_t offset_of(struct loader *l, yaml_mark_t mark)
{
    if (mark.index < l->index) {
        l->index = l->offset = 0;
    }
    for (; l->index < mark.index && l->offset < l->source.n; l->index++) {
        do {
            l->offset++;
        } while (l->offset < l->source.n &&
                 ((unsigned char)l->source.p[l->offset] & 0xc0) == 0x80);
    }
    return l->offset;
}

/* The byte at a mark; 0 at the end. */
static char byte_at(struct loader *l, yaml_mark_t mark)
{
    size_t i = offset_of(l, mark);
    return i < l->source.n ? l->source.p[i] : '\0';
}

/* The text of a | or > scalar begins on one of the lines below its mark; *offset moves
 * there. */
static struct position block_position(const struct loader *l, yaml_mark_t mark,
                                      size_t *offset)
{
    struct position at = position_of(l, mark);
    bool below = false;
    for (size_t i = *offset; i < l->source.n;) {
        size_t broken = place_line_break(l->source, i);
        if (broken > 0) {
            at.line++;
            at.column = 1;
            below = true;
        } else if (below && l->source.p[i] != ' ') {
            *offset = i;
            return at;
        } else {
            at.column++;
        }
        i += broken > 0 ? broken : 1;
    }
    return position_of(l, mark);
}

static const char *hint(struct loader *l)
{
    const yaml_parser_t *p = &l->parser;
    char c = byte_at(l, p->problem_mark);
    if (c == '\t') {
        return "; a tab cannot indent, use spaces";
    }
    if (c == '`' || c == '@') {
        return "; put the text in quotes";
    }
    if (p->context && strstr(p->context, "block scalar")) {
        return "; a text that begins with > or | must be quoted";
    }
    if (p->context && strstr(p->context, "alias")) {
        return "; a text that begins with * must be quoted";
    }
    if (p->context && strstr(p->context, "flow mapping")) {
        return "; a text that begins with { must be quoted";
    }
    return "";
}

static void tell_syntax(struct loader *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        l->status = BRINK_E_NOMEM;
        return;
    }
    l->status = BRINK_E_SYNTAX;
    char context[CONTEXT_BYTES] = "";
    if (p->context && p->context_mark.index != p->problem_mark.index) {
        snprintf(context, sizeof context, " %s that begins at %zu:%zu", p->context,
                 p->context_mark.line + 1, p->context_mark.column + 1);
    }
    problem_add(l->problems, position_of(l, p->problem_mark), "%s%s%s",
                p->problem ? p->problem : "not YAML", context, hint(l));
}

static struct node *node_new(struct loader *l, enum node_kind kind, struct position at)
{
    if (++l->nodes > YAML_NODES_MAX) {
        problem_add(l->problems, at, "more than %d keys and values in one file",
                    YAML_NODES_MAX);
        l->status = BRINK_E_LIMIT;
        return NULL;
    }
    struct node *n = arena_take(&l->document, sizeof *n);
    if (!n) {
        l->status = BRINK_E_NOMEM;
        return NULL;
    }
    *n = (struct node){.kind = kind, .at = at};
    return n;
}

static void take_key(struct loader *l, struct open *top, struct node *key)
{
    if (key->kind == NODE_LIST || key->kind == NODE_MAPPING) {
        problem_add(l->problems, key->at, "a key must be a plain text, not a %s",
                    key->kind == NODE_LIST ? "list" : "mapping");
        key->kind = NODE_BAD;
    } else if (key->kind == NODE_SCALAR && key->plain &&
               text_equal(key->text, TEXT("<<"))) {
        problem_add(l->problems, key->at, "merge keys (`<<`) are not supported");
        key->kind = NODE_BAD;
    }
    top->key = key;
}

/* Hangs a node where the events have come to. */
static void attach(struct loader *l, struct node *n)
{
    if (l->depth == 0) {
        if (!l->document.root) {
            l->document.root = n;
        }
        return;
    }
    struct open *top = &l->stack[l->depth - 1];
    bool in_mapping = top->node->kind == NODE_MAPPING;
    if (in_mapping && !top->key) {
        take_key(l, top, n);
        return;
    }
    struct node *key = top->key;
    top->key = NULL;
    if (in_mapping && key->kind == NODE_BAD) {
        return; /* told; its value has no place to go */
    }
    n->key = key;
    if (top->last) {
        top->last->next = n;
    } else {
        top->node->first = n;
    }
    top->last = n;
    top->node->n++;
}

static void add_alias(struct loader *l, const yaml_event_t *e)
{
    struct node *n = node_new(l, NODE_BAD, position_of(l, e->start_mark));
    if (!n) {
        return;
    }
    char shown[SHOWN_BYTES];
    text_escape(text_of((const char *)e->data.alias.anchor), shown, sizeof shown);
    problem_add(
        l->problems, n->at,
        "`*%s` is a YAML alias, which is not supported: write the value out, or quote a "
        "text that begins with *",
        shown);
    attach(l, n);
}

/* Told when there is an anchor or a tag; both would change what the value means. */
static bool is_marked(struct loader *l, struct position at, const yaml_char_t *anchor,
                      const yaml_char_t *tag)
{
    char shown[SHOWN_BYTES];
    if (anchor) {
        text_escape(text_of((const char *)anchor), shown, sizeof shown);
        problem_add(
            l->problems, at,
            "`&%s` is a YAML anchor, which is not supported: quote a text that begins "
            "with &",
            shown);
    } else if (tag) {
        problem_add(l->problems, at,
                    "YAML tags are not supported: quote a text that begins with !");
    }
    return anchor || tag;
}

/* The scalar's text, and how it stands in the file if that is otherwise: the source is
 * gone when problems within the text are told. */
static void take_text(struct loader *l, struct node *n, const yaml_event_t *e,
                      size_t offset)
{
    n->text =
        document_text(&l->document, (struct text){(const char *)e->data.scalar.value,
                                                  e->data.scalar.length});
    size_t end = offset_of(l, e->end_mark);
    struct text raw = {l->source.p + offset, end > offset ? end - offset : 0};
    if (n->quote && raw.n > 0) {
        raw.n--; /* the closing quote */
    }
    while (end < l->source.n && (l->source.p[end] == ' ' || l->source.p[end] == '\t')) {
        end++;
    }
    n->comment = n->plain && end < l->source.n && l->source.p[end] == '#';
    bool otherwise = raw.n > 0 && !text_equal(raw, n->text);
    if (otherwise) {
        n->raw = document_text(&l->document, raw);
    }
    if (!n->text.p || (otherwise && !n->raw.p)) {
        l->status = BRINK_E_NOMEM;
    }
}

static void add_scalar(struct loader *l, const yaml_event_t *e)
{
    yaml_scalar_style_t style = e->data.scalar.style;
    struct position at = position_of(l, e->start_mark);
    bool marked = is_marked(l, at, e->data.scalar.anchor, e->data.scalar.tag);
    bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    char quote = style == YAML_SINGLE_QUOTED_SCALAR_STYLE   ? '\''
                 : style == YAML_DOUBLE_QUOTED_SCALAR_STYLE ? '"'
                                                            : '\0';
    size_t offset = offset_of(l, e->start_mark);
    if (quote) {
        at.column++;
        offset++;
    } else if (block && e->data.scalar.length > 0) {
        at = block_position(l, e->start_mark, &offset);
    }
    struct node *n = node_new(l, marked ? NODE_BAD : NODE_SCALAR, at);
    if (!n) {
        return;
    }
    n->plain = style == YAML_PLAIN_SCALAR_STYLE;
    n->block = block;
    n->quote = quote;
    take_text(l, n, e, offset);
    if (l->status == BRINK_OK) {
        attach(l, n);
    }
}

static void open_node(struct loader *l, enum node_kind kind, const yaml_event_t *e,
                      const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct position at = position_of(l, e->start_mark);
    if (l->depth == YAML_DEPTH_MAX) {
        problem_add(l->problems, at, "more than %d lists and mappings inside one another",
                    YAML_DEPTH_MAX);
        l->status = BRINK_E_LIMIT;
        return;
    }
    (void)is_marked(l, at, anchor, tag); /* what is inside is looked at all the same */
    struct node *n = node_new(l, kind, at);
    if (!n) {
        return;
    }
    attach(l, n);
    /* A list as a key became BAD; its events must still be told apart from its value's.
     */
    l->stack[l->depth++] = (struct open){.node = n};
}

/* A key that comes again is told, and left out: the first one is looked at. */
static void drop_duplicates(struct loader *l, struct node *mapping)
{
    struct map seen = {0};
    struct node **link = &mapping->first;
    while (*link) {
        struct node *n = *link, *earlier = map_get(&seen, n->key->text);
        if (earlier) {
            char shown[SHOWN_BYTES];
            text_escape(n->key->text, shown, sizeof shown);
            problem_add(l->problems, n->key->at,
                        "duplicate key `%s`, first given at %u:%u", shown,
                        earlier->key->at.line, earlier->key->at.column);
            *link = n->next;
            mapping->n--;
            continue;
        }
        if (map_put(&seen, n->key->text, n)) {
            l->status = BRINK_E_NOMEM;
            break;
        }
        link = &n->next;
    }
    map_finish(&seen);
}

static void close_node(struct loader *l)
{
    struct node *n = l->stack[--l->depth].node;
    if (n->kind == NODE_MAPPING && n->n > 1) {
        drop_duplicates(l, n);
    }
}

/* False: no more to come. */
static bool take_event(struct loader *l, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_STREAM_END_EVENT:
        return false;
    case YAML_DOCUMENT_START_EVENT:
        if (l->documents++ > 0) {
            problem_add(l->problems, position_of(l, e->start_mark),
                        "a second document begins here; one file holds one document");
            return false;
        }
        break;
    case YAML_ALIAS_EVENT:
        add_alias(l, e);
        break;
    case YAML_SCALAR_EVENT:
        add_scalar(l, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_node(l, NODE_LIST, e, e->data.sequence_start.anchor,
                  e->data.sequence_start.tag);
        break;
    case YAML_MAPPING_START_EVENT:
        open_node(l, NODE_MAPPING, e, e->data.mapping_start.anchor,
                  e->data.mapping_start.tag);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_node(l);
        break;
    default:
        break;
    }
    return l->status == BRINK_OK;
}

static void load(struct loader *l)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&l->parser, &event)) {
            tell_syntax(l);
            return;
        }
        more = take_event(l, &event);
        yaml_event_delete(&event);
    }
}

enum brink_status document_load(const char *file, struct text bytes,
                                struct problems *problems, struct document *ret_document)
{
    if (bytes.n > CONFIG_FILE_BYTES_MAX) {
        problem_add(problems, (struct position){file, 0, 0}, "is larger than %d bytes",
                    CONFIG_FILE_BYTES_MAX);
        return BRINK_E_LIMIT;
    }
    if (bytes.n == 0) {
        bytes.p = ""; /* libyaml aborts at NULL */
    }
    if (bytes.n >= 3 && memcmp(bytes.p, "\xef\xbb\xbf", 3) == 0) {
        bytes.p += 3;
        bytes.n -= 3;
    }
    if (!check_characters(file, bytes, problems)) {
        return BRINK_E_SYNTAX;
    }
    struct loader *l = calloc(1, sizeof *l);
    if (!l) {
        return BRINK_E_NOMEM;
    }
    l->file = file;
    l->source = bytes;
    l->problems = problems;
    enum brink_status status = BRINK_E_NOMEM;
    if (!yaml_parser_initialize(&l->parser)) {
        goto free_loader;
    }
    yaml_parser_set_encoding(&l->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l->parser, (const unsigned char *)bytes.p, bytes.n);
    load(l);
    yaml_parser_delete(&l->parser);
    status = l->status;
    if (status == BRINK_OK) {
        *ret_document = l->document;
    } else {
        document_free(&l->document);
    }
free_loader:
    free(l);
    return status;
}

/* --- looking at nodes --- */

bool node_is_null(const struct node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (n->kind != NODE_SCALAR || !n->plain || n->expanded) {
        return false;
    }
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) {
        if (text_equal(n->text, text_of(nulls[i]))) {
            return true;
        }
    }
    return false;
}

const struct node *node_member(const struct node *mapping, struct text key)
{
    if (!mapping || mapping->kind != NODE_MAPPING) {
        return NULL;
    }
    for (const struct node *n = mapping->first; n; n = n->next) {
        if (text_equal(n->key->text, key)) {
            return n;
        }
    }
    return NULL;
}

struct scalar_source node_source(const struct node *n)
{
    return (struct scalar_source){n->text, n->raw, n->quote, n->at};
}
