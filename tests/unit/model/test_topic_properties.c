/* Topics against brute force: every topic of a small alphabet, every filter of it. */
#include "model/topic.h"

#include <stdint.h>
#include <stdio.h>

#include "../tap.h"

#define DEPTH 3       /* levels of a filter */
#define TOPIC_DEPTH 4 /* and of a topic, one more than any filter names */
#define TEXTS_MAX 4096

/* MQTT 4.7, by recursion over NUL-terminated texts. */
static bool mqtt_matches(const char *filter, const char *topic, bool first)
{
    if (first && topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) {
        return false;
    }
    if (strcmp(filter, "#") == 0) {
        return true;
    }
    size_t f = strcspn(filter, "/"), t = strcspn(topic, "/");
    if (!(f == 1 && filter[0] == '+') && (f != t || memcmp(filter, topic, f) != 0)) {
        return false;
    }
    if (!filter[f] || !topic[t]) {
        return filter[f] == topic[t] || strcmp(filter + f, "/#") == 0;
    }
    return mqtt_matches(filter + f + 1, topic + t + 1, false);
}

struct texts {
    char items[TEXTS_MAX][40];
    size_t n;
};

/* Every text of up to `depth` levels, each one of `levels`; `last` may end it as well. */
static void spell(struct texts *out, const char *prefix, int depth,
                  const char *const *levels, const char *last)
{
    for (size_t i = 0; levels[i] || last; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s%s", prefix, levels[i] ? levels[i] : last);
        if (text[0]) {
            ck_assert_uint_lt(out->n, TEXTS_MAX);
            memcpy(out->items[out->n++], text, sizeof text);
        }
        if (!levels[i]) {
            break;
        }
        if (depth > 1) {
            strncat(text, "/", sizeof text - strlen(text) - 1);
            spell(out, text, depth - 1, levels, last);
        }
    }
}

static struct texts topics, filters;

/* c stands for a level that no filter names. */
static const char *const topic_levels[] = {"a", "b", "", "$x", "c", NULL};
static const char *const filter_levels[] = {"a", "b", "", "$x", "+", NULL};

START_TEST(test_overlap_is_a_topic_that_both_match)
{
    spell(&topics, "", TOPIC_DEPTH, topic_levels, NULL);
    spell(&filters, "", DEPTH, filter_levels, "#");
    size_t overlapping = 0;
    for (size_t i = 0; i < filters.n; i++) {
        for (size_t j = i; j < filters.n; j++) {
            const char *a = filters.items[i], *b = filters.items[j];
            bool want = false;
            for (size_t k = 0; k < topics.n && !want; k++) {
                want = mqtt_matches(a, topics.items[k], true) &&
                       mqtt_matches(b, topics.items[k], true);
            }
            overlapping += want;
            expect(topic_filters_overlap(text_of(a), text_of(b)) == want,
                   "%s and %s: not %d", a, b, want);
            expect(topic_filters_overlap(text_of(b), text_of(a)) == want,
                   "%s and %s: not %d", b, a, want);
        }
    }
    ck_assert_uint_gt(overlapping, filters.n);
    ck_assert(!topic_filters_overlap(TEXT(""), TEXT("#")));
    ck_assert(!topic_filters_overlap(TEXT("#"), (struct text){NULL, 0}));
}
END_TEST

/* Does some topic match that the template makes? The values are all that could. */
static bool made_matches(const char *template, const char *filter, const char *made)
{
    static const char *const values[] = {"a",   "b",   "$",  "aa", "ab", "ba",
                                         "aaa", "aba", "$x", "x",  NULL};
    const char *name = strstr(template, "{n}");
    char text[80];
    if (!name) {
        snprintf(text, sizeof text, "%s%s", made, template);
        return mqtt_matches(filter, text, true);
    }
    for (size_t i = 0; values[i]; i++) {
        snprintf(text, sizeof text, "%s%.*s%s", made, (int)(name - template), template,
                 values[i]);
        if (made_matches(name + 3, filter, text)) {
            return true;
        }
    }
    return false;
}

START_TEST(test_template_may_match_what_some_value_makes_match)
{
    static const char *const template_levels[] = {
        "a", "", "$x", "{n}", "a{n}", "{n}b", "{n}{n}", "a{n}a", NULL};
    static const char *const wanted_levels[] = {"a",   "",   "aa", "ab", "aaa",
                                                "aba", "$x", "+",  NULL};
    static struct texts templates, wanted;
    spell(&templates, "", 2, template_levels, NULL);
    spell(&wanted, "", 2, wanted_levels, "#");
    size_t matching = 0;
    for (size_t i = 0; i < templates.n; i++) {
        for (size_t j = 0; j < wanted.n; j++) {
            const char *t = templates.items[i], *f = wanted.items[j];
            bool want = made_matches(t, f, "");
            matching += want;
            expect(topic_template_may_match(text_of(t), text_of(f)) == want,
                   "%s against %s: not %d", t, f, want);
        }
    }
    ck_assert_uint_gt(matching, 100);
}
END_TEST

START_TEST(test_pattern_matches_the_topics_of_its_filter)
{
    static const char *const levels[] = {"a",        "",        "$x", "{device}",
                                         "{tenant}", "{label}", NULL};
    static struct texts sources, all;
    spell(&sources, "", DEPTH, levels, NULL);
    spell(&all, "", TOPIC_DEPTH, topic_levels, NULL);
    size_t patterns = 0, matches = 0;
    for (size_t i = 0; i < sources.n; i++) {
        struct topic_pattern p;
        const char *why = NULL;
        if (topic_pattern_init(&p, text_of(sources.items[i]), &why)) {
            continue;
        }
        patterns++;
        for (size_t k = 0; k < all.n; k++) {
            struct topic_match m;
            bool want = mqtt_matches(p.filter, all.items[k], true);
            matches += want;
            expect(topic_pattern_match(&p, text_of(all.items[k]), &m) == want, "%s on %s",
                   p.source, all.items[k]);
        }
        topic_pattern_finish(&p);
    }
    ck_assert_uint_gt(patterns, 50);
    ck_assert_uint_gt(matches, 500);
}
END_TEST

static bool lookup(void *ctx, struct text name, struct text *ret_value)
{
    (void)name;
    *ret_value = *(struct text *)ctx;
    return true;
}

START_TEST(test_two_ids_never_share_a_topic)
{
    /* Every id of up to three of these bytes. */
    static const char bytes[] = {'a', '%', '2',  'F',        '/',
                                 '$', '4', '\0', (char)0xc2, (char)0x85};
    static char seen[1200][16];
    static const char *const templates[] = {"{device}", "x/{device}"};
    for (size_t t = 0; t < 2; t++) {
        size_t n = 0;
        for (int code = 1; code < 1000; code++) {
            char id[3];
            size_t length = 0;
            for (int rest = code; rest > 0; rest /= 10) {
                id[length++] = bytes[rest % 10];
            }
            struct text value = {id, length};
            struct buffer out = {0};
            ck_assert_int_eq(topic_expand(text_of(templates[t]), lookup, &value, &out),
                             BRINK_OK);
            expect(text_is_utf8(buffer_view(&out)) && buffer_cstr(&out)[0] != '$',
                   "not a topic: %s", buffer_cstr(&out));
            memcpy(seen[n], buffer_cstr(&out), out.n + 1);
            for (size_t i = 0; i < n; i++) {
                expect(strcmp(seen[i], seen[n]) != 0, "two ids make %s", seen[n]);
            }
            n++;
            buffer_finish(&out);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("topic_properties");
    TCase *t = tcase_create("topic_properties");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_overlap_is_a_topic_that_both_match);
    tcase_add_test(t, test_template_may_match_what_some_value_makes_match);
    tcase_add_test(t, test_pattern_matches_the_topics_of_its_filter);
    tcase_add_test(t, test_two_ids_never_share_a_topic);
    suite_add_tcase(s, t);
    return run_tap(s);
}
