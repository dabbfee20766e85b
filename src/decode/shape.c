#include "decode/shape.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "decode/value.h"
#include "model/message.h"

/* What a value is to the reader, and so what may stand in its place. */
enum slot_kind {
    SLOT_METRIC,    /* a finite number, a boolean, a string that `values:` names */
    SLOT_NO_METRIC, /* among the metrics: what begins with the same byte, and is none */
    SLOT_POINTED,   /* any scalar: a pointer names it */
    SLOT_OTHER,     /* anything */
};

struct slot {
    uint16_t literal;   /* so many bytes stand before the value */
    uint16_t name_back; /* a metric's name begins so many bytes before its value; 0: the
                           name is a joined one, */
    uint16_t name_at;   /* and stands here in the shape's text */
    uint16_t name_n;
    uint8_t kind;
    uint8_t here;  /* of SLOT_POINTED: which pointers */
    uint8_t depth; /* of SLOT_OTHER, SLOT_NO_METRIC: arrays and objects it is in */
    char begins;
};

struct shape {
    uint32_t id;
    uint16_t n;
    uint16_t last; /* bytes behind the last value */
    struct slot slots[SHAPE_VALUES_MAX];
    char text[SHAPE_BYTES_MAX]; /* what is between the values, then joined names */
};

void shapes_finish(struct shapes *s)
{
    for (size_t i = 0; i < SHAPES_MAX; i++) {
        free(s->shapes[i]);
        s->shapes[i] = NULL;
    }
}

/* --- learning --- */

bool shapes_want(struct shapes *s)
{
    if (s->wait > 0) {
        s->wait--;
        return false;
    }
    s->pause = s->pause < SHAPE_PAUSE_MAX ? 2 * s->pause + 1 : SHAPE_PAUSE_MAX;
    s->wait = s->pause;
    return true;
}

/* Never the same twice, not even of two readers: whoever keeps something by it need not
 * know whose it is. 0 is none. */
static uint32_t new_id(void)
{
    static _Atomic uint32_t last;
    uint32_t id = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    return id != 0 ? id : new_id();
}

static bool put(struct shape *shape, size_t *at, const char *p, size_t n)
{
    if (n > SHAPE_BYTES_MAX - *at) {
        return false;
    }
    memcpy(shape->text + *at, p, n);
    *at += n;
    return true;
}

static struct text joined_name(const struct shape *shape, const struct slot *slot)
{
    return (struct text){shape->text + slot->name_at, slot->name_n};
}

/* Joined names can meet another: then they are to be looked at each time anew. */
static bool names_differ(const struct shape *shape, const struct shape_trace *trace)
{
    for (size_t i = 0; i < trace->n; i++) {
        const struct slot *a = &shape->slots[i];
        if (a->kind != SLOT_METRIC || a->name_back > 0) {
            continue;
        }
        for (size_t k = 0; k < trace->n; k++) {
            const struct slot *b = &shape->slots[k];
            struct text name =
                b->name_back > 0 ? trace->values[k].name : joined_name(shape, b);
            if (k != i && b->kind == SLOT_METRIC &&
                text_equal(joined_name(shape, a), name)) {
                return false;
            }
        }
    }
    return true;
}

static bool name_slot(struct shape *shape, struct slot *slot, size_t *at,
                      const struct shape_value *v)
{
    size_t n = v->above.n + (v->above.p ? 1 : 0) + v->name.n;
    size_t back = (size_t)(v->from - v->name.p);
    if (n == 0 || n > METRIC_BYTES_MAX || !text_is_plain(v->name) ||
        !text_is_plain(v->above) || back > UINT16_MAX) {
        return false; /* whether it is a name at all, decode.c looks at each time */
    }
    slot->name_n = (uint16_t)n;
    if (!v->above.p) {
        slot->name_back = (uint16_t)back;
        return true;
    }
    slot->name_at = (uint16_t)*at;
    return put(shape, at, v->above.p, v->above.n) && put(shape, at, ".", 1) &&
           put(shape, at, v->name.p, v->name.n);
}

static bool is_metric(const struct shape_value *v, const struct telemetry_config *entry)
{
    double number;
    switch (*v->from) {
    case '[':
    case '{':
    case 'n':
        return false;
    case '"':
        return json_named_value(
            entry, (struct text){v->from + 1, (size_t)(v->to - v->from) - 2}, &number);
    default:
        return true;
    }
}

static enum slot_kind kind_of(const struct shape_value *v,
                              const struct telemetry_config *entry)
{
    if (!v->in_metrics) {
        return v->here ? SLOT_POINTED : SLOT_OTHER;
    }
    return is_metric(v, entry) ? SLOT_METRIC : SLOT_NO_METRIC;
}

static bool learn(struct shape *shape, struct text t, const struct shape_trace *trace,
                  const struct telemetry_config *entry)
{
    size_t at = 0;
    const char *p = t.p;
    *shape = (struct shape){.id = new_id(), .n = (uint16_t)trace->n};
    for (size_t i = 0; i < trace->n; i++) {
        const struct shape_value *v = &trace->values[i];
        size_t literal = (size_t)(v->from - p);
        if (!put(shape, &at, p, literal)) {
            return false;
        }
        enum slot_kind kind = kind_of(v, entry);
        shape->slots[i] = (struct slot){.literal = (uint16_t)literal,
                                        .kind = (uint8_t)kind,
                                        .here = (uint8_t)v->here,
                                        .depth = (uint8_t)v->depth,
                                        .begins = *v->from};
        p = v->to;
    }
    shape->last = (uint16_t)(t.p + t.n - p);
    if (t.p + t.n - p > SHAPE_BYTES_MAX || !put(shape, &at, p, shape->last)) {
        return false;
    }
    for (size_t i = 0; i < trace->n; i++) {
        if (shape->slots[i].kind == SLOT_METRIC &&
            !name_slot(shape, &shape->slots[i], &at, &trace->values[i])) {
            return false;
        }
    }
    return names_differ(shape, trace);
}

static void to_front(struct shapes *s, size_t i)
{
    struct shape *first = s->shapes[i];
    memmove(s->shapes + 1, s->shapes, i * sizeof(struct shape *));
    s->shapes[0] = first;
}

void shapes_learn(struct shapes *s, struct text t, const struct shape_trace *trace,
                  const struct telemetry_config *entry)
{
    size_t i = s->n < SHAPES_MAX ? s->n : SHAPES_MAX - 1;
    if (trace->n > SHAPE_VALUES_MAX) {
        return;
    }
    if (!s->shapes[i] && !(s->shapes[i] = malloc(sizeof *s->shapes[i]))) {
        return;
    }
    s->n = i; /* should it be none, its memory waits for the next */
    if (learn(s->shapes[i], t, trace, entry)) {
        s->n++;
        to_front(s, i);
    }
}

/* --- reading --- */

/* What one payload says. */
struct said {
    struct json_payload payload;
    struct reading readings[SHAPE_VALUES_MAX];
};

/* A value among the metrics. */
static const char *read_metric(const struct shape *shape, const struct slot *slot,
                               const char *p, const char *end,
                               const struct telemetry_config *entry, struct said *said)
{
    struct json_value v;
    unsigned seen = 0;
    const char *from = p;
    p = value_read(p, end, &v, &seen);
    /* What `values:` names is UTF-8, and so is a string that is the same. */
    if (!p || v.kind == JSON_NULL || seen & JSON_SEEN_ESCAPE ||
        (v.kind == JSON_STRING ? !json_named_value(entry, v.text, &v.number)
                               : !isfinite(v.number))) {
        return NULL;
    }
    struct text name = {from - slot->name_back, slot->name_n};
    said->readings[said->payload.n_readings++] =
        (struct reading){slot->name_back > 0 ? name : joined_name(shape, slot), v.number};
    return p;
}

/* Any other. */
static const char *read_other(const struct slot *slot, const char *p, const char *end,
                              const struct telemetry_config *entry, struct said *said)
{
    struct json_value v = {.kind = JSON_ABSENT};
    const char *from = p;
    unsigned seen = 0;
    if (slot->kind == SLOT_OTHER) {
        p = json_value(p, end, slot->depth, &seen);
    } else if (slot->kind == SLOT_POINTED) {
        p = value_read(p, end, &v, &seen);
        value_keep(&said->payload, slot->here, &v);
    } else if (*p != slot->begins) {
        p = NULL;
    } else if (*p == '"') {
        p = value_read(p, end, &v, &seen);
        p = p && json_named_value(entry, v.text, &v.number) ? NULL : p;
    } else {
        p = json_value(p, end, slot->depth, &seen);
    }
    if (!p || (seen & JSON_SEEN_ESCAPE && slot->kind != SLOT_OTHER) ||
        (seen & JSON_SEEN_HIGH &&
         !text_is_utf8((struct text){from, (size_t)(p - from)}))) {
        return NULL;
    }
    return p;
}

static const char *read_shape(const struct shape *shape, const char *p, const char *end,
                              const struct telemetry_config *entry, struct said *said)
{
    const char *text = shape->text;
    said->payload = (struct json_payload){
        .metrics = JSON_METRICS_FOUND, .shape = shape->id, .readings = said->readings};
    for (size_t i = 0; i < shape->n; i++) {
        const struct slot *slot = &shape->slots[i];
        if ((size_t)(end - p) <= slot->literal || !word_same(p, text, slot->literal)) {
            return NULL;
        }
        p += slot->literal;
        text += slot->literal;
        p = slot->kind == SLOT_METRIC ? read_metric(shape, slot, p, end, entry, said)
                                      : read_other(slot, p, end, entry, said);
        if (!p) {
            return NULL;
        }
    }
    if ((size_t)(end - p) < shape->last || !word_same(p, text, shape->last)) {
        return NULL;
    }
    return p + shape->last;
}

const char *shapes_visit(struct shapes *s, const char *p, const char *end, bool whole,
                         const struct telemetry_config *entry,
                         const struct json_visitor *visitor)
{
    struct said said;
    for (size_t i = 0; i < s->n; i++) {
        const char *behind = read_shape(s->shapes[i], p, end, entry, &said);
        if (behind && (!whole || behind == end)) {
            if (i > 0) {
                to_front(s, i);
            }
            s->pause = s->wait = 0;
            visitor->end(visitor->ctx, &said.payload);
            return behind;
        }
    }
    return NULL;
}
