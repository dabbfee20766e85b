#include "config/env.h"

#include <stdlib.h>

#include "base/buffer.h"

struct expansion {
    struct document *document;
    struct problems *problems;
    size_t total;
    enum brink_status status;
};

static bool is_name(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* The name of "${NAME}" at t's start; n == 0: none. */
static struct text variable_name(struct text t)
{
    size_t i = 2;
    while (i < t.n && is_name(t.p[i], i == 2)) {
        i++;
    }
    bool closed = i < t.n && t.p[i] == '}';
    return (struct text){t.p + 2, closed && i - 2 <= ENV_NAME_BYTES_MAX ? i - 2 : 0};
}

/* Of the environment, or NULL (told). */
static const char *lookup(struct expansion *x, struct position at, struct text name)
{
    char cname[ENV_NAME_BYTES_MAX + 1];
    if (name.n == 0) {
        problem_add(
            x->problems, at,
            "`${` begins the name of an environment variable, as in ${NAME}; write $${ "
            "where the text is meant");
        return NULL;
    }
    memcpy(cname, name.p, name.n);
    cname[name.n] = '\0';
    const char *value = getenv(cname);
    if (!value) {
        problem_add(x->problems, at, "the environment variable `%s` is not set", cname);
    } else if (!text_is_utf8(text_of(value))) {
        problem_add(x->problems, at, "the environment variable `%s` is not UTF-8", cname);
        value = NULL;
    }
    return value;
}

static void expand_scalar(struct expansion *x, struct node *n)
{
    struct buffer out = {0};
    struct scalar_source source = node_source(n);
    bool changed = false;
    for (size_t i = 0; i < n->text.n;) {
        struct text rest = {n->text.p + i, n->text.n - i};
        if (rest.n >= 3 && memcmp(rest.p, "$${", 3) == 0) {
            buffer_cstring(&out, "${");
            i += 3;
            changed = true;
            continue;
        }
        if (rest.n < 2 || memcmp(rest.p, "${", 2) != 0) {
            buffer_char(&out, rest.p[0]);
            i++;
            continue;
        }
        struct text name = variable_name(rest);
        const char *value = lookup(x, place_find(&source, i), name);
        if (!value) {
            n->kind = NODE_BAD; /* further ones are looked up all the same */
            i += name.n > 0 ? name.n + 3 : 2;
            continue;
        }
        x->total += strlen(value);
        if (x->total > ENV_EXPANDED_BYTES_MAX) {
            problem_add(x->problems, n->at,
                        "the environment's values are larger than %d bytes",
                        ENV_EXPANDED_BYTES_MAX);
            n->kind = NODE_BAD;
            goto finish;
        }
        buffer_cstring(&out, value);
        i += name.n + 3;
        n->expanded = changed = true;
    }
    if (changed) {
        n->text = document_text(x->document, buffer_view(&out));
        n->raw = (struct text){0};
    }
    if (!buffer_ok(&out) || !n->text.p) {
        x->status = BRINK_E_NOMEM;
        n->kind = NODE_BAD;
    }
finish:
    buffer_finish(&out);
}

/* The document's depth is bounded (YAML_DEPTH_MAX). */
static void expand(struct expansion *x, struct node *n)
{
    if (n->kind == NODE_SCALAR) {
        if (memchr(n->text.p, '$', n->text.n)) {
            expand_scalar(x, n);
        }
        return;
    }
    for (struct node *child = n->first; child; child = child->next) {
        expand(x, child);
    }
}

enum brink_status env_expand(struct document *document, struct problems *problems)
{
    struct expansion x = {.document = document, .problems = problems};
    if (document->root) {
        expand(&x, document->root);
    }
    return x.status;
}
