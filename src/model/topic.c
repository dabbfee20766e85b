#include "model/topic.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "base/word.h"

/* Takes the next level off *rest; false when none is left. An empty text has one level,
 * an empty one. *rest must start with p set; at the end its p is NULL. */
static bool next_level(struct text *rest, struct text *ret_level)
{
    if (!rest->p) {
        return false;
    }
    const char *slash = rest->n > 0 ? memchr(rest->p, '/', rest->n) : NULL;
    if (slash) {
        *ret_level = (struct text){rest->p, (size_t)(slash - rest->p)};
        *rest = (struct text){slash + 1, rest->n - ret_level->n - 1};
    } else {
        *ret_level = *rest;
        *rest = (struct text){NULL, 0};
    }
    return true;
}

static bool holds(struct text t, char c)
{
    return t.n > 0 && memchr(t.p, c, t.n) != NULL;
}

static bool starts_with_dollar(struct text t)
{
    return t.n > 0 && t.p[0] == '$';
}

static bool is_wildcard(struct text level, char which)
{
    return level.n == 1 && level.p[0] == which;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-' || c == '.';
}

static bool is_name(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        if (!is_name_char(t.p[i])) {
            return false;
        }
    }
    return t.n > 0;
}

/* ---- patterns ---- */

static const char *text_fault(struct text t)
{
    if (t.n == 0) {
        return "empty";
    }
    if (t.n > TOPIC_BYTES_MAX) {
        return "longer than 65535 bytes";
    }
    if (!text_is_utf8(t)) {
        return "not UTF-8";
    }
    if (holds(t, '+') || holds(t, '#')) {
        return "wildcards + and # cannot stand here";
    }
    return NULL;
}

static const char *level_fault(struct topic_pattern *p, struct text level)
{
    if (p->n_levels == TOPIC_LEVELS_MAX) {
        return "more than 64 levels";
    }
    struct topic_level *to = &p->levels[p->n_levels];
    *to = (struct topic_level){.is_name = false, .text = level};
    if (holds(level, '{') || holds(level, '}')) {
        if (level.p[0] != '{' || level.p[level.n - 1] != '}') {
            return "a {name} must be a whole level";
        }
        *to = (struct topic_level){true, {level.p + 1, level.n - 2}};
        if (!is_name(to->text)) {
            return "a {name} takes letters, digits, _ - and . only";
        }
        for (size_t i = 0; i < p->n_levels; i++) {
            if (p->levels[i].is_name && text_equal(p->levels[i].text, to->text)) {
                return "a {name} stands twice";
            }
        }
    }
    p->n_levels++;
    return NULL;
}

/* Splits p->source; its levels are views into it. */
static const char *compile(struct topic_pattern *p, struct text source)
{
    struct text rest = source, level;
    size_t labels = 0;
    while (next_level(&rest, &level)) {
        const char *why = level_fault(p, level);
        if (why) {
            return why;
        }
        const struct topic_level *l = &p->levels[p->n_levels - 1];
        int index = (int)p->n_levels - 1;
        if (!l->is_name) {
            continue;
        }
        if (text_equal(l->text, TEXT("tenant"))) {
            p->tenant_level = index;
        } else if (text_equal(l->text, TEXT("device"))) {
            p->device_level = index;
        } else if (text_equal(l->text, TEXT("metric"))) {
            p->metric_level = index;
        } else if (++labels > TOPIC_LABELS_MAX) {
            return "more than 16 {name}s";
        }
    }
    return p->device_level < 0 ? "no {device}" : NULL;
}

static char *make_filter(const struct topic_pattern *p, size_t source_bytes)
{
    char *filter = malloc(source_bytes + 1); /* `+` is shorter than any {name} */
    if (!filter) {
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < p->n_levels; i++) {
        if (i > 0) {
            filter[n++] = '/';
        }
        if (p->levels[i].is_name) {
            filter[n++] = '+';
        } else {
            memcpy(filter + n, p->levels[i].text.p, p->levels[i].text.n);
            n += p->levels[i].text.n;
        }
    }
    filter[n] = '\0';
    return filter;
}

enum brink_status topic_pattern_init(struct topic_pattern *p, struct text source,
                                     const char **ret_why)
{
    const char *why = text_fault(source);
    if (!why && source.n >= 7 && memcmp(source.p, "$share/", 7) == 0) {
        why = "a shared subscription ($share) cannot stand here";
    } else if (!why && starts_with_dollar(source)) {
        why = "starts with $";
    }
    if (why) {
        *ret_why = why;
        return BRINK_E_SYNTAX;
    }
    enum brink_status status = BRINK_E_NOMEM;
    struct topic_pattern made = {
        .tenant_level = -1, .device_level = -1, .metric_level = -1};
    made.source = text_dup(source);
    if (!made.source) {
        goto failed;
    }
    why = compile(&made, (struct text){made.source, source.n});
    if (why) {
        *ret_why = why;
        status = BRINK_E_SYNTAX;
        goto failed;
    }
    made.filter = make_filter(&made, source.n);
    if (!made.filter) {
        goto failed;
    }
    *p = made;
    return BRINK_OK;

failed:
    topic_pattern_finish(&made);
    return status;
}

void topic_pattern_finish(struct topic_pattern *p)
{
    if (p) {
        free(p->source);
        free(p->filter);
        *p = (struct topic_pattern){0};
    }
}

/* Where the level that begins at `from` ends: at a slash or with the topic. */
static size_t level_end(struct text topic, size_t from)
{
    while (topic.n - from >= WORD_BYTES) {
        uint64_t slashes = word_find(word_load(topic.p + from), '/');
        if (slashes) {
            return from + word_first(slashes);
        }
        from += WORD_BYTES;
    }
    while (from < topic.n && topic.p[from] != '/') {
        from++;
    }
    return from;
}

bool topic_pattern_match(const struct topic_pattern *p, struct text topic,
                         struct topic_match *ret_match)
{
    if (topic.n == 0 || (p->levels[0].is_name && starts_with_dollar(topic))) {
        return false; /* MQTT: a leading + does not match $SYS and its like */
    }
    ret_match->tenant = TEXT("default");
    ret_match->metric = (struct text){NULL, 0};
    ret_match->n_labels = 0;
    size_t from = 0; /* of the level; one behind the topic's end: there is none */
    for (size_t i = 0; i < p->n_levels; i++) {
        const struct topic_level *level = &p->levels[i];
        if (from > topic.n) {
            return false;
        }
        size_t end = from + level->text.n;
        if (level->is_name) {
            end = level_end(topic, from);
            struct text value = {topic.p + from, end - from};
            if ((int)i == p->device_level) {
                ret_match->device = value;
            } else if ((int)i == p->tenant_level) {
                ret_match->tenant = value;
            } else if ((int)i == p->metric_level) {
                ret_match->metric = value;
            } else {
                ret_match->labels[ret_match->n_labels++] =
                    (struct topic_label){level->text, value};
            }
        } else if (end > topic.n || (end < topic.n && topic.p[end] != '/') ||
                   !word_same(topic.p + from, level->text.p, level->text.n)) {
            return false;
        }
        from = end + 1;
    }
    return from > topic.n;
}

/* ---- filters ---- */

bool topic_filters_overlap(struct text a, struct text b)
{
    if (a.n == 0 || b.n == 0) {
        return false;
    }
    /* What they would share is the empty topic, which there is not. */
    if ((text_equal(a, TEXT("/#")) && text_equal(b, TEXT("+"))) ||
        (text_equal(b, TEXT("/#")) && text_equal(a, TEXT("+")))) {
        return false;
    }
    for (bool first = true;; first = false) {
        /* Both have a first level; gcc 12 does not see that at -O3. */
        struct text x = {0}, y = {0};
        bool more_x = next_level(&a, &x), more_y = next_level(&b, &y);
        /* A wildcard at the very start takes no topic that begins with $. */
        if (first &&
            ((starts_with_dollar(x) && (is_wildcard(y, '+') || is_wildcard(y, '#'))) ||
             (starts_with_dollar(y) && (is_wildcard(x, '+') || is_wildcard(x, '#'))))) {
            return false;
        }
        /* `a/#` takes `a` itself too. */
        if ((more_x && !a.p && is_wildcard(x, '#')) ||
            (more_y && !b.p && is_wildcard(y, '#'))) {
            return true;
        }
        if (!more_x || !more_y) {
            return more_x == more_y;
        }
        if (!is_wildcard(x, '+') && !is_wildcard(y, '+') && !text_equal(x, y)) {
            return false;
        }
    }
}

/* ---- templates ---- */

/* The length of the {name} that t begins with at i, braces included; 0: none does. */
static size_t name_at(struct text t, size_t i)
{
    if (t.p[i] != '{') {
        return 0;
    }
    const char *close = memchr(t.p + i, '}', t.n - i);
    return close ? (size_t)(close - (t.p + i)) + 1 : 0;
}

/* Can the level of a template become the literal? As a glob in which a {name} is `?*`. */
static bool level_may_become(struct text level, struct text literal)
{
    size_t t = 0, l = 0;
    size_t behind_name = 0, name_end = 0;
    bool name = false;
    while (l < literal.n) {
        size_t length = t < level.n ? name_at(level, t) : 0;
        if (length > 0) {
            name = true;
            t += length;
            l++;
            behind_name = t;
            name_end = l;
        } else if (t < level.n && level.p[t] == literal.p[l]) {
            t++;
            l++;
        } else if (name) {
            t = behind_name;
            l = ++name_end;
        } else {
            return false;
        }
    }
    return t == level.n;
}

bool topic_template_may_match(struct text template, struct text filter)
{
    if (template.n == 0 || filter.n == 0) {
        return false;
    }
    for (bool first = true;; first = false) {
        struct text made = {0}, wanted = {0}; /* as above */
        bool more_made = next_level(&template, &made);
        bool more_wanted = next_level(&filter, &wanted);
        if (first && starts_with_dollar(made) &&
            (is_wildcard(wanted, '+') || is_wildcard(wanted, '#'))) {
            return false;
        }
        if (more_wanted && !filter.p && is_wildcard(wanted, '#')) {
            return true;
        }
        if (!more_made || !more_wanted) {
            return more_made == more_wanted;
        }
        if (!is_wildcard(wanted, '+') && !level_may_become(made, wanted)) {
            return false;
        }
    }
}

/* Appends a value as it may stand in a level; `first` at the very start of a topic, where
 * a $ would make it one of the server's own. */
static void put_value(struct buffer *out, struct text value, bool first)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.n;) {
        uint32_t c = 0;
        size_t length = utf8_decode(value.p + i, value.n - i, &c);
        bool stays = length > 0 && !utf8_is_control(c) && c != '/' && c != '+' &&
                     c != '#' && c != '%' && !(c == '$' && first && i == 0);
        length = length > 0 ? length : 1;
        if (stays) {
            buffer_put(out, value.p + i, length);
        } else {
            for (size_t j = i; j < i + length; j++) {
                unsigned char byte = (unsigned char)value.p[j];
                char escaped[3] = {'%', hex[byte >> 4], hex[byte & 15]};
                buffer_put(out, escaped, sizeof escaped);
            }
        }
        i += length;
    }
}

enum brink_status topic_expand(struct text template, topic_lookup *lookup, void *ctx,
                               struct buffer *out)
{
    size_t start = out->n;
    for (size_t i = 0; i < template.n;) {
        size_t length = name_at(template, i);
        if (length == 0) {
            size_t run = 1;
            while (i + run < template.n && template.p[i + run] != '{') {
                run++;
            }
            /* Behind an empty value, a $ of the template's own would lead the topic. */
            bool leads = i > 0 && out->n == start && template.p[i] == '$';
            buffer_cstring(out, leads ? "%24" : "");
            buffer_put(out, template.p + i + leads, run - leads);
            i += run;
            continue;
        }
        struct text value;
        if (!lookup(ctx, (struct text){template.p + i + 1, length - 2}, &value)) {
            return BRINK_E_SYNTAX;
        }
        put_value(out, value, out->n == start);
        i += length;
    }
    return buffer_ok(out) ? BRINK_OK : BRINK_E_NOMEM;
}

static bool is_known(struct text name, const char *const *names)
{
    for (; *names; names++) {
        if (text_equal(name, text_of(*names))) {
            return true;
        }
    }
    return false;
}

enum brink_status topic_template_check(struct text template, const char *const *names,
                                       const char **ret_why, size_t *ret_at)
{
    const char *why = text_fault(template);
    size_t at = 0;
    if (!why && starts_with_dollar(template)) {
        why = "starts with $";
    } else if (why && (holds(template, '+') || holds(template, '#'))) {
        while (at < template.n && template.p[at] != '+' && template.p[at] != '#') {
            at++;
        }
    }
    for (size_t i = 0; !why && i < template.n;) {
        at = i;
        if (template.p[i] == '}') {
            why = "a } without its {";
        }
        if (template.p[i] != '{') {
            i++;
            continue;
        }
        size_t length = name_at(template, i);
        if (length == 0) {
            why = "a { without its }";
        } else if (!is_known((struct text){template.p + i + 1, length - 2}, names)) {
            why = "unknown {name}";
        }
        i += length;
    }
    if (why) {
        *ret_why = why;
        *ret_at = at;
        return BRINK_E_SYNTAX;
    }
    return BRINK_OK;
}
