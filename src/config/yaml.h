/* A YAML document as a tree that knows where each of its parts stands.
 *
 * Loading takes any bytes: size, depth and the number of nodes are bounded, and what is
 * not a plain tree of mappings, lists and scalars (aliases, anchors, tags, merge keys,
 * further documents) is told with its place, not followed. Nothing here knows what keys
 * mean: schema.h does.
 *
 * yaml.c alone knows libyaml. */
#ifndef BRINK_CONFIG_YAML_H
#define BRINK_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/text.h"
#include "config/place.h"
#include "config/problems.h"
#include "model/rule.h"

#define YAML_DEPTH_MAX 32     /* mappings and lists inside one another */
#define YAML_NODES_MAX 500000 /* keys and values; some 60 MB at most */

enum node_kind {
    NODE_SCALAR,
    NODE_LIST,
    NODE_MAPPING,
    NODE_BAD, /* what stands here was told already: no more to say about it */
};

struct node {
    enum node_kind kind;
    bool plain;         /* a scalar without quotes: may be null, a bool or a number */
    bool expanded;      /* ... or any of these since its text came from the environment */
    bool block;         /* a scalar written with | or > */
    bool comment;       /* a plain scalar with a comment behind it */
    struct position at; /* of a scalar: its first character, behind an opening quote */
    struct text text;   /* of a scalar; NUL-terminated, well-formed UTF-8, may hold NUL */
    struct text raw;    /* how it stands in the file from `at` on, if otherwise */
    char quote;         /* of a scalar: ' or ", or 0 */
    struct node *key;   /* of a mapping's member, a scalar; else NULL */
    struct node *first; /* of a list or mapping: children, in order, */
    struct node *next;  /* linked; a key comes once */
    size_t n;           /* how many */
};

struct document {
    struct node *root; /* NULL: nothing but comments */
    struct arena_block *blocks;
};

/* Takes the bytes apart; `file` goes into positions and must outlive the document. Every
 * problem goes to `problems`; a document is returned when enough of it could be read to
 * look for further ones (so problems may have grown all the same). E_SYNTAX, E_LIMIT:
 * told in problems; E_NOMEM. */
enum brink_status document_load(const char *file, struct text bytes,
                                struct problems *problems,
                                struct document *ret_document) BRINK_MUST_CHECK;
void document_free(struct document *d);

/* A copy that lives as long as the document, with a NUL behind it; p == NULL: out of
 * memory. */
struct text document_text(struct document *d, struct text t);

/* `null`, `~` or nothing at all behind a key. */
bool node_is_null(const struct node *n);
/* The member of a mapping, or NULL. */
const struct node *node_member(const struct node *mapping, struct text key);

/* A scalar's text and where it stands (place.h); of one that the environment changed, as
 * if it stood on one line. */
struct scalar_source node_source(const struct node *n);

#endif
