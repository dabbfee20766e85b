#include "model/template.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_BYTES 40 /* of a name in a fault */
#define FAULT_BYTES 320

enum piece_kind { PIECE_LITERAL, PIECE_NAME, PIECE_LABEL, PIECE_METRIC };

struct piece {
    struct format format;
    uint8_t kind;
    uint16_t at; /* PIECE_LITERAL: into the source; else what it names */
    uint16_t n;
};

struct template
{
    uint16_t n_bytes, n_pieces;
    struct piece pieces[]; /* and the source behind them */
};

static const char *const plain_names[TEMPLATE_PLAIN_NAMES] = {
    [TEMPLATE_TENANT] = "tenant",     [TEMPLATE_DEVICE] = "device",
    [TEMPLATE_SITE] = "site",         [TEMPLATE_RULE] = "rule",
    [TEMPLATE_NAME] = "name",         [TEMPLATE_SEVERITY] = "severity",
    [TEMPLATE_OPERATOR] = "operator", [TEMPLATE_METRIC] = "metric",
    [TEMPLATE_EVENT] = "event",       [TEMPLATE_GATEWAY] = "gateway",
    [TEMPLATE_VALUE] = "value",       [TEMPLATE_THRESHOLD] = "threshold",
};

/* --- reading --- */

struct reader {
    struct text source;
    const struct template_scope *scope;
    template_report *report;
    void *ctx;
    bool faulty;
    struct piece *pieces; /* NULL: only count them */
    size_t n_pieces;
};

static void fault(struct reader *r, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fault(struct reader *r, size_t at, const char *format, ...)
{
    char text[FAULT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->report && !r->pieces) {
        r->report(r->ctx, at, text);
    }
    r->faulty = true;
}

static void put(struct reader *r, struct piece piece)
{
    if (r->pieces) {
        r->pieces[r->n_pieces] = piece;
    }
    r->n_pieces++;
}

static void put_literal(struct reader *r, size_t from, size_t to)
{
    if (to > from) {
        put(r, (struct piece){.kind = PIECE_LITERAL,
                              .at = (uint16_t)from,
                              .n = (uint16_t)(to - from)});
    }
}

/* As much of a name as a fault shows, in whole characters. */
static int shown(struct text name)
{
    size_t n = name.n < SHOWN_BYTES ? name.n : SHOWN_BYTES;
    while (n < name.n && n > 0 && ((unsigned char)name.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return (int)n;
}

static int find(struct text name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text_equal(name, text_of(names[i]))) {
            return (int)i;
        }
    }
    return -1;
}

static bool begins(struct text t, struct text with)
{
    return t.n >= with.n && text_equal((struct text){t.p, with.n}, with);
}

/* Whose name it is, with what is known of that kind. */
struct kind {
    struct text prefix;
    const char *const *names;
    size_t n;
    enum piece_kind kind;
};

static struct kind kind_of(const struct reader *r, struct text name)
{
    const struct template_scope *s = r->scope;
    const struct kind kinds[] = {
        {TEXT("labels."), s->labels, s->n_labels, PIECE_LABEL},
        {TEXT("metrics."), s->metrics, s->n_metrics, PIECE_METRIC},
        {{"", 0}, plain_names, TEMPLATE_PLAIN_NAMES, PIECE_NAME},
    };
    size_t k = 0;
    while (!begins(name, kinds[k].prefix)) {
        k++;
    }
    return kinds[k];
}

static void unknown_name(struct reader *r, size_t at, struct text name,
                         const struct kind *k)
{
    struct text rest = {name.p + k->prefix.n, name.n - k->prefix.n};
    const char *near = text_nearest(rest, k->names, k->n);
    if (near) {
        fault(r, at, "unknown name `{%.*s}`, did you mean `{%s%s}`?", shown(name), name.p,
              k->prefix.p, near);
    } else if (k->kind == PIECE_LABEL) {
        fault(r, at, "unknown name `{%.*s}`: the rule has no such label", shown(name),
              name.p);
    } else if (k->kind == PIECE_METRIC) {
        fault(r, at, "unknown name `{%.*s}`: the rule's condition names no such metric",
              shown(name), name.p);
    } else {
        fault(r, at,
              "unknown name `{%.*s}`; there are tenant, device, site, rule, name, "
              "severity, metric, value, operator, threshold, event, gateway, labels.NAME "
              "and metrics.NAME",
              shown(name), name.p);
    }
}

/* What stands between braces; `at`: its first byte in the source. */
static void read_field(struct reader *r, struct text field, size_t at)
{
    struct kind k = kind_of(r, field);
    struct text name = field, spec = {0};
    struct text rest = {field.p + k.prefix.n, field.n - k.prefix.n};
    int index = find(rest, k.names, k.n); /* some have a colon of their own */
    for (size_t i = field.n; index < 0 && i > k.prefix.n; i--) {
        if (field.p[i - 1] == ':') {
            name.n = i - 1;
            spec = (struct text){field.p + i, field.n - i};
            index = find((struct text){rest.p, name.n - k.prefix.n}, k.names, k.n);
            break;
        }
    }
    bool is_number =
        k.kind == PIECE_METRIC || (k.kind == PIECE_NAME && index >= (int)TEMPLATE_TEXTS);
    if (index < 0 && !(k.kind == PIECE_METRIC && r->scope->any_metric)) {
        unknown_name(r, at - 1, name, &k);
        return;
    }
    struct piece piece = {.kind = (uint8_t)k.kind, .at = (uint16_t)index};
    char why[FORMAT_FAULT_BYTES];
    size_t spec_at;
    if (format_parse(spec, is_number, &piece.format, &spec_at, why)) {
        put(r, piece);
    } else {
        fault(r, at + (size_t)(spec.p - field.p) + spec_at, "`{%.*s}` is a %s: %s",
              shown(name), name.p, is_number ? "number" : "text", why);
    }
}

static void read_all(struct reader *r)
{
    struct text s = r->source;
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool opens = s.p[i] == '{', doubled = i + 1 < s.n && s.p[i + 1] == s.p[i];
        if (!opens && s.p[i] != '}') {
            continue;
        }
        put_literal(r, from, doubled ? i + 1 : i);
        if (doubled) {
            i++;
        } else if (opens) {
            const char *end = memchr(s.p + i, '}', s.n - i);
            if (!end) {
                fault(r, i, "`{` without `}`; `{{` stands for a brace");
                return;
            }
            size_t close = (size_t)(end - s.p);
            read_field(r, (struct text){s.p + i + 1, close - i - 1}, i + 1);
            i = close;
        } else {
            fault(r, i, "`}` without `{`; `}}` stands for a brace");
        }
        from = i + 1;
    }
    put_literal(r, from, s.n);
}

struct template *template_new(struct text source, const struct template_scope *scope,
                              template_report *report, void *ctx)
{
    struct reader r = {source, scope, report, ctx, false, NULL, 0};
    if (source.n > TEMPLATE_BYTES_MAX) {
        fault(&r, 0, "a message is at most %d bytes", TEMPLATE_BYTES_MAX);
        return NULL;
    }
    read_all(&r);
    struct template *t =
        r.faulty ? NULL : malloc(sizeof *t + r.n_pieces * sizeof *t->pieces + source.n);
    if (!t) {
        return NULL;
    }
    *t = (struct template){(uint16_t)source.n, (uint16_t)r.n_pieces};
    r.pieces = t->pieces;
    r.n_pieces = 0;
    read_all(&r);
    memcpy(t->pieces + t->n_pieces, source.p, source.n);
    return t;
}

size_t template_bytes(const struct template *t)
{
    return sizeof *t + t->n_pieces * sizeof *t->pieces + t->n_bytes;
}

struct text template_source(const struct template *t)
{
    return (struct text){(const char *)(t->pieces + t->n_pieces), t->n_bytes};
}

/* --- filling in --- */

static void put_known(const struct format *f, bool known, double v, struct bounded *out)
{
    const struct format word = {.width = f->width,
                                .align = f->align ? f->align : '>', /* as a number */
                                .precision = -1};
    if (known) {
        format_number(f, v, out);
    } else {
        format_text(&word, TEXT(TEMPLATE_UNKNOWN), out);
    }
}

static void put_piece(const struct piece *p, const struct template_values *v,
                      struct bounded *out)
{
    double number = p->at == TEMPLATE_VALUE ? v->value : v->threshold;
    if (p->kind == PIECE_METRIC) {
        bool known = v->metric && v->metric(v->ctx, p->at, &number);
        put_known(&p->format, known, number, out);
    } else if (p->kind == PIECE_LABEL) {
        format_text(&p->format, text_of(v->labels[p->at]), out);
    } else if (p->at >= TEMPLATE_TEXTS) {
        put_known(&p->format, v->compared, number, out);
    } else {
        const char *text = v->texts[p->at];
        format_text(&p->format, text_of(text ? text : TEMPLATE_UNKNOWN), out);
    }
}

void template_print(const struct template *t, const struct template_values *v,
                    struct bounded *out)
{
    const char *source = template_source(t).p;
    for (size_t i = 0; i < t->n_pieces; i++) {
        const struct piece *p = &t->pieces[i];
        if (p->kind == PIECE_LITERAL) {
            bounded_put(out, (struct text){source + p->at, p->n});
        } else {
            put_piece(p, v, out);
        }
    }
}
