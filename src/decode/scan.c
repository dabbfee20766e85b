#include "decode/scan.h"

#include "decode/value.h"
#include "model/message.h"

#define BIT(id) (1u << (id))
#define BIT_METRICS BIT(JSON_POINTER_METRICS)

/* One member of the metrics; what is no reading (null, an array, what another pointer
 * names) stands here too, as JSON_OTHER, since its name must not come again. */
struct member {
    struct text name;
    struct json_value value;
    size_t object; /* which of the nested objects it is in */
};

struct scan {
    const struct json_reader *reader;
    const char *end;
    unsigned seen; /* in strings */
    enum scan_outcome failure;
    struct shape_trace *trace;
    struct json_payload payload;
    size_t reached[JSON_POINTERS]; /* so many names of each path were found */
    size_t n_objects, n_members, joined_bytes;
    uint32_t prints[SCAN_MEMBERS_MAX]; /* of each member's name and object */
    struct member members[SCAN_MEMBERS_MAX];
    /* Of the metrics and each object in them: what their names are joined to; p == NULL:
     * nothing. Each but the first is a member, too. */
    struct text above[SCAN_MEMBERS_MAX + 1];
    char joined[SCAN_JOINED_BYTES];
};

/* An object on the way. */
struct place {
    size_t depth;      /* it is inside so many arrays and objects */
    unsigned inside;   /* paths that go on in it */
    size_t names;      /* of which so many were found to get here */
    bool in_metrics;   /* its members are metrics */
    struct text above; /* their names are joined to it; p == NULL: they are not */
};

static const char *fail(struct scan *s, enum scan_outcome how)
{
    s->failure = how;
    return NULL;
}

/* --- names --- */

static struct json_name name_of(struct text t, const char *end)
{
    struct json_name name = {t, 0};
    if (end - t.p >= WORD_BYTES) {
        name.first = word_load(t.p);
        if (t.n < WORD_BYTES) {
            name.first &= (UINT64_C(1) << 8 * t.n) - 1;
        }
    } else {
        for (size_t i = t.n; i-- > 0;) {
            name.first = name.first << 8 | (unsigned char)t.p[i];
        }
    }
    return name;
}

static bool name_equal(const struct json_name *a, const struct json_name *b)
{
    return a->first == b->first && a->text.n == b->text.n &&
           (a->text.n <= WORD_BYTES ||
            memcmp(a->text.p + WORD_BYTES, b->text.p + WORD_BYTES,
                   a->text.n - WORD_BYTES) == 0);
}

/* Equal names in one object have equal prints; others hardly ever. */
static uint32_t print_of(const struct json_name *name, size_t object)
{
    uint64_t print = word_mix(name->first, object << 32 | name->text.n);
    for (size_t i = WORD_BYTES; i < name->text.n; i += WORD_BYTES) {
        size_t last = name->text.n - WORD_BYTES;
        print = word_mix(print, word_load(name->text.p + (i < last ? i : last)));
    }
    return (uint32_t)(print ^ print >> 32);
}

/* Which paths name this member: those that end here and those that go on inside it.
 * False: one did so before. */
static bool follow(struct scan *s, const struct place *at, const struct json_name *name,
                   unsigned *ret_here, unsigned *ret_inside)
{
    for (unsigned id = 0; id < JSON_POINTERS; id++) {
        const struct json_path *path = &s->reader->paths[id];
        if (!(at->inside & BIT(id)) || !name_equal(&path->names[at->names], name)) {
            continue;
        }
        if (s->reached[id] > at->names) {
            return false;
        }
        s->reached[id] = at->names + 1;
        *(path->n == at->names + 1 ? ret_here : ret_inside) |= BIT(id);
    }
    return true;
}

/* above.name, in the scan's own memory; p == NULL: no room. */
static struct text join(struct scan *s, struct text above, struct text name)
{
    size_t n = above.n + 1 + name.n;
    char *to = s->joined + s->joined_bytes;
    if (name.n >= SCAN_JOINED_BYTES || n > SCAN_JOINED_BYTES - s->joined_bytes) {
        return (struct text){NULL, 0};
    }
    if (above.n > 0) {
        memcpy(to, above.p, above.n);
    }
    to[above.n] = '.';
    memcpy(to + above.n + 1, name.p, name.n);
    s->joined_bytes += n;
    return (struct text){to, n};
}

/* --- what is kept --- */

static bool comes_again(const struct scan *s, uint32_t print, struct text name,
                        size_t object)
{
    uint32_t same = 0;
    for (size_t i = 0; i < s->n_members; i++) {
        same |= s->prints[i] == print;
    }
    for (size_t i = 0; same && i < s->n_members; i++) {
        if (s->members[i].object == object && text_equal(s->members[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* A member of the metrics. False: for a tree. */
static bool keep_member(struct scan *s, const struct json_name *name, size_t object,
                        const struct json_value *value)
{
    uint32_t print = print_of(name, object);
    if (s->n_members == SCAN_MEMBERS_MAX || comes_again(s, print, name->text, object)) {
        return false;
    }
    s->prints[s->n_members] = print;
    s->members[s->n_members++] = (struct member){name->text, *value, object};
    return true;
}

static void keep_no_shape(const struct scan *s)
{
    if (s->trace) {
        s->trace->n = SHAPE_VALUES_MAX + 1;
    }
}

/* What the names of an object are joined to, moved to the trace once an object. False: no
 * room. */
static bool move_above(struct shape_trace *trace, struct text above)
{
    if (above.p == trace->above.p && above.n == trace->above.n) {
        return true;
    }
    if (above.n > sizeof trace->joined - trace->joined_bytes) {
        return false;
    }
    trace->above = above;
    trace->kept = (struct text){NULL, 0};
    if (above.p) {
        trace->kept = (struct text){trace->joined + trace->joined_bytes, above.n};
        memcpy(trace->joined + trace->joined_bytes, above.p, above.n);
        trace->joined_bytes += above.n;
    }
    return true;
}

static void note(struct scan *s, const struct place *at, const struct shape_value *value)
{
    struct shape_trace *trace = s->trace;
    if (trace->n < SHAPE_VALUES_MAX && !move_above(trace, at->above)) {
        keep_no_shape(s);
    } else if (trace->n < SHAPE_VALUES_MAX) {
        trace->values[trace->n] = *value;
        trace->values[trace->n].above = trace->kept;
        trace->values[trace->n].depth = at->depth + 1;
    }
    trace->n++;
}

/* --- the pass --- */

/* A value that is no object; `matters`: somebody wants to know a string's text. */
static const char *read_value(struct scan *s, const char *p, size_t depth, bool matters,
                              struct json_value *ret_value)
{
    unsigned seen = 0;
    if (*p == '[') {
        p = json_value(p, s->end, depth, &s->seen);
    } else {
        p = value_read(p, s->end, ret_value, &seen);
        s->seen |= seen;
    }
    if (!p) {
        return fail(s, SCAN_NOT_JSON);
    }
    return matters && seen & JSON_SEEN_ESCAPE ? fail(s, SCAN_NEEDS_TREE) : p;
}

/* An object that is looked into, behind its brace. It recurs only where the paths or the
 * metrics go deeper, to JSON_DEPTH_MAX at most. */
static const char *read_object(struct scan *s, const char *p, const struct place *at);

/* A member that is an object, from its brace on. */
static const char *read_nested(struct scan *s, const char *p, const struct place *at,
                               const struct text *name, bool is_metrics, bool reading,
                               unsigned inside)
{
    struct place in = {
        .depth = at->depth + 1,
        .inside = inside,
        .names = at->names + 1,
        .in_metrics = is_metrics || reading,
    };
    if (is_metrics) {
        s->payload.metrics = JSON_METRICS_FOUND;
    } else if (reading) {
        in.above = at->above.p ? join(s, at->above, *name) : *name;
        s->payload.joined = true;
        if (!in.above.p) {
            return fail(s, SCAN_NEEDS_TREE);
        }
    }
    return read_object(s, p + 1, &in);
}

/* A member's value, from its first byte on. */
static const char *read_member(struct scan *s, const char *p, const struct place *at,
                               const struct json_name *name, size_t object)
{
    unsigned here = 0, inside = 0;
    struct json_value value = {.kind = JSON_OTHER};
    if (at->inside && !follow(s, at, name, &here, &inside)) {
        return fail(s, SCAN_NEEDS_TREE);
    }
    bool is_metrics = (here & BIT_METRICS) != 0;
    here &= ~BIT_METRICS;
    bool reading = at->in_metrics && here == 0;
    const char *from = p;
    bool nested = *p == '{' && (inside || is_metrics || reading);
    if (nested) {
        if (at->in_metrics && !keep_member(s, name, object, &value)) {
            return fail(s, SCAN_NEEDS_TREE);
        }
        if (here) { /* a pointer names what others lead through: no use, but legal */
            value_keep(&s->payload, here, &value);
            keep_no_shape(s);
        }
        return read_nested(s, p, at, &name->text, is_metrics, reading, inside);
    }
    if (*p == '[' && inside) {
        return fail(s, SCAN_NEEDS_TREE);
    }
    if (*p == '{') {
        p = json_value(p, s->end, at->depth + 1, &s->seen);
        p = p ? p : fail(s, SCAN_NOT_JSON);
    } else {
        p = read_value(s, p, at->depth + 1, here || (reading && s->reader->strings_count),
                       &value);
    }
    if (!p) {
        return NULL;
    }
    value_keep(&s->payload, here, &value);
    if (is_metrics) {
        s->payload.metrics = JSON_METRICS_NO_OBJECT;
    }
    if (s->trace) {
        note(s, at,
             &(struct shape_value){.from = from,
                                   .to = p,
                                   .name = name->text,
                                   .in_metrics = reading,
                                   .here = here});
    }
    if (at->in_metrics) {
        value.kind = reading ? value.kind : JSON_OTHER;
        p = keep_member(s, name, object, &value) ? p : fail(s, SCAN_NEEDS_TREE);
    }
    return p;
}

static const char *read_object(struct scan *s, const char *p, const struct place *at)
{
    const char *end = s->end;
    size_t object = s->n_objects;
    if (at->depth == JSON_DEPTH_MAX) {
        return fail(s, SCAN_NOT_JSON);
    }
    if (at->in_metrics) {
        s->above[s->n_objects++] = at->above;
    }
    p = json_spaces(p, end);
    if (p < end && *p == '}') {
        return p + 1;
    }
    for (;;) {
        unsigned seen = 0;
        if (p == end || *p != '"') {
            return fail(s, SCAN_NOT_JSON);
        }
        const char *from = p + 1;
        p = json_string(from, end, &seen);
        if (!p) {
            return fail(s, SCAN_NOT_JSON);
        }
        if (seen & JSON_SEEN_ESCAPE) {
            return fail(s, SCAN_NEEDS_TREE);
        }
        s->seen |= seen;
        const struct json_name name =
            name_of((struct text){from, (size_t)(p - from)}, end);
        p = json_spaces(p + 1, end);
        if (p == end || *p != ':') {
            return fail(s, SCAN_NOT_JSON);
        }
        p = json_spaces(p + 1, end);
        if (p == end) {
            return fail(s, SCAN_NOT_JSON);
        }
        p = read_member(s, p, at, &name, object);
        if (!p) {
            return NULL;
        }
        p = json_spaces(p, end);
        if (p == end || (*p != ',' && *p != '}')) {
            return fail(s, SCAN_NOT_JSON);
        }
        if (*p++ == '}') {
            return p;
        }
        p = json_spaces(p, end);
    }
}

/* Any payload. */
static const char *read_payload(struct scan *s, const char *p, size_t depth)
{
    const struct json_reader *r = s->reader;
    struct json_value value = {.kind = JSON_OTHER};
    if (p == s->end) {
        return fail(s, SCAN_NOT_JSON);
    }
    if (*p == '{') {
        const struct place root = {
            .depth = depth, .inside = r->given, .in_metrics = r->whole_metrics};
        s->payload.metrics = r->whole_metrics ? JSON_METRICS_FOUND : JSON_METRICS_ABSENT;
        return read_object(s, p + 1, &root);
    }
    if (*p == '[') {
        return fail(s, SCAN_NEEDS_TREE);
    }
    s->payload.metrics = r->whole_metrics ? JSON_METRICS_NO_OBJECT : JSON_METRICS_ABSENT;
    return read_value(s, p, depth, false, &value);
}

static void tell_joined(const struct scan *s, const struct member *m, double value,
                        const struct json_visitor *visitor)
{
    const struct text above = s->above[m->object];
    char path[METRIC_BYTES_MAX + 1];
    size_t n = above.n < sizeof path ? above.n : sizeof path;
    memcpy(path, above.p, n);
    if (n < sizeof path) {
        path[n++] = '.';
    }
    size_t rest = m->name.n < sizeof path - n ? m->name.n : sizeof path - n;
    memcpy(path + n, m->name.p, rest);
    visitor->metric(visitor->ctx, (struct text){path, n + rest}, value);
}

static void tell(const struct scan *s, const struct json_visitor *visitor)
{
    for (size_t i = 0; i < s->n_members; i++) {
        const struct member *m = &s->members[i];
        double value = m->value.number;
        if (m->value.kind != JSON_NUMBER && m->value.kind != JSON_BOOLEAN &&
            !(m->value.kind == JSON_STRING &&
              json_named_value(s->reader->entry, m->value.text, &value))) {
            continue;
        }
        if (s->above[m->object].p) {
            tell_joined(s, m, value, visitor);
        } else {
            visitor->metric(visitor->ctx, m->name, value);
        }
    }
    visitor->end(visitor->ctx, &s->payload);
    if (s->payload.metrics != JSON_METRICS_FOUND) {
        keep_no_shape(s);
    }
}

/* The tables stay as they are: there is nothing in them to be looked at yet. */
static void begin(struct scan *s, const struct json_reader *reader, struct text t,
                  struct shape_trace *trace)
{
    s->reader = reader;
    s->end = t.p + t.n;
    s->seen = 0;
    s->failure = SCAN_VISITED;
    s->trace = trace;
    if (trace) {
        trace->n = trace->joined_bytes = 0;
        trace->above = trace->kept = (struct text){NULL, 0};
    }
    s->payload = (struct json_payload){.metrics = JSON_METRICS_ABSENT};
    memset(s->reached, 0, sizeof s->reached);
    s->n_objects = s->n_members = s->joined_bytes = 0;
}

enum scan_outcome scan_visit(struct text t, const struct json_reader *reader,
                             const struct json_visitor *visitor,
                             struct shape_trace *trace)
{
    struct scan s;
    begin(&s, reader, t, trace);
    const char *p = read_payload(&s, json_spaces(t.p, s.end), 0);
    if (!p) {
        return s.failure;
    }
    /* Outside of strings only ASCII was let pass. */
    if (json_spaces(p, s.end) != s.end || (s.seen & JSON_SEEN_HIGH && !text_is_utf8(t))) {
        return SCAN_NOT_JSON;
    }
    tell(&s, visitor);
    return SCAN_VISITED;
}

enum scan_outcome scan_visit_element(struct text t, const struct json_reader *reader,
                                     const struct json_visitor *visitor,
                                     struct shape_trace *trace, const char **ret_end)
{
    struct scan s;
    begin(&s, reader, t, trace);
    const char *p = read_payload(&s, t.p, 1);
    if (p) {
        tell(&s, visitor);
        *ret_end = p;
    }
    return s.failure;
}
