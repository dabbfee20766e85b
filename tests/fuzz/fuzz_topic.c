/* Topics from any bytes. The input is "pattern\ntopic\nfilter"; a missing part is empty.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/glob.h"
#include "model/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static struct text part(struct text *rest)
{
    const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    struct text t = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t skip = end ? t.n + 1 : t.n;
    *rest = (struct text){rest->p ? rest->p + skip : NULL, rest->n - skip};
    return t;
}

static bool within(struct text inner, struct text outer)
{
    return inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
}

static bool lookup(void *ctx, struct text name, struct text *ret_value)
{
    if (name.n > 0 && name.p[0] == 'x') {
        return false;
    }
    *ret_value = *(struct text *)ctx;
    return true;
}

static void check_pattern(struct text source, struct text topic, struct text filter)
{
    struct topic_pattern p;
    const char *why = NULL;
    enum brink_status status = topic_pattern_init(&p, source, &why);
    if (status) {
        demand(status == BRINK_E_NOMEM || why, "a reason");
        return;
    }
    struct text own = text_of(p.filter);
    demand(text_is_utf8(own) && own.n <= source.n, "a filter");
    demand(topic_filters_overlap(own, own), "a filter overlaps itself");
    struct topic_match m;
    if (topic_pattern_match(&p, topic, &m)) {
        demand(within(m.device, topic) && within(m.metric, topic),
               "views into the topic");
        demand(p.tenant_level < 0 ? text_equal(m.tenant, TEXT("default"))
                                  : within(m.tenant, topic),
               "the tenant");
        demand(m.n_labels <= TOPIC_LABELS_MAX, "labels");
        for (size_t i = 0; i < m.n_labels; i++) {
            demand(within(m.labels[i].value, topic), "a label's value");
        }
        bool is_filter = memchr(topic.p, '+', topic.n) || memchr(topic.p, '#', topic.n);
        if (!is_filter) {
            demand(topic_filters_overlap(own, topic), "a topic is a filter of itself");
            demand(topic_template_may_match(topic, own) || memchr(topic.p, '{', topic.n),
                   "a topic is a template of itself");
        }
    }
    if (topic_template_may_match(source, filter)) {
        demand(filter.n > 0, "an empty filter matches nothing");
    }
    topic_pattern_finish(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tenant", "device", "rule", "t", NULL};
    struct text rest = {(const char *)data, size};
    struct text a = part(&rest), b = part(&rest), c = part(&rest);
    check_pattern(a, b, c);
    demand(topic_filters_overlap(b, c) == topic_filters_overlap(c, b),
           "overlap is symmetric");
    (void)topic_template_may_match(a, c);
    demand(glob_match(TEXT("*"), b) && glob_match(TEXT("**"), b), "a star matches all");
    if (a.n + b.n < 4096) {
        (void)glob_match(a, b);
    }

    struct buffer out = {0};
    const char *why = NULL;
    size_t at = 0;
    enum brink_status checked = topic_template_check(a, names, &why, &at);
    demand(checked == BRINK_OK || (why && at <= a.n), "a place for the fault");
    enum brink_status status = topic_expand(a, lookup, &b, &out);
    if (checked == BRINK_OK) {
        demand(status == BRINK_OK, "what was checked expands");
        demand(text_is_utf8(buffer_view(&out)), "a topic is UTF-8");
        demand(out.n == 0 || (!memchr(out.p, '+', out.n) && !memchr(out.p, '#', out.n) &&
                              out.p[0] != '$'),
               "a topic to publish to");
        if (b.n > 0 && out.n > 0) {
            demand(topic_template_may_match(a, buffer_view(&out)),
                   "it may become what it became");
        }
    }
    buffer_finish(&out);
    return 0;
}
