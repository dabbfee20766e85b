/* Where in its file each character of a text stands, however YAML lets it be written. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/yaml.h"
#include "util.h"

/* Every text is made of characters that come once, so that the one that stands at a place
 * says whether the place is right. */
static const char *const files[] = {
    "k: abc > de and (f)\n",
    "k:    abc > de   # a comment\n",
    "k:\n  abc\n  > de\n\n    and  f\n",
    "k: 'abc > de'\n",
    "k: 'ab''c'' > de'\n",
    "k: 'abc\n  > de\n\n  and f'\n",
    "k: \"abc > de\"\n",
    "k: \"a\\\"bc \\\\ > d\\x65\\u00e9\\U0001F600f\"\n",
    "k: \"abc\\n\\t> \\x20\\u2028\\\n    de \\\n    f\"\n",
    "k: \"a\\\n   b\n   c\"\n",
    "k: |\n  abc\n    > de\n\n  f\n",
    "k: |-\n\n\n      abc\n       > de",
    "k: |2+\n    abc > de\n  f\n\n\n",
    "k: >\n  abc\n  > de\n\n  and\n    more\n  f\n",
    "k: >-\n    abc\n    > de",
    "k: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 > d\n",
    "k: >\n  \xc3\xa9\n  \xe2\x82\xac\n  c\n",
    "{x: {k: ab\n  c > de}}\n",
    "[x, k, \"ab\n c\"]\n",
    "\xc3\xa9\xe2\x82\xac: >\n   x\n   y\n",
    "? x\n: ab\n  c\n",
};

/* The character at a line and column; "" if there is none. Lines may end in CR LF. */
static const char *at_place(const char *file, struct position at)
{
    for (unsigned line = 1; line < at.line; line++) {
        file = strchr(file, '\n');
        if (!file) {
            return "";
        }
        file++;
    }
    for (unsigned column = 1; column < at.column && *file;) {
        file++;
        column += ((unsigned char)*file & 0xc0) != 0x80;
    }
    return file;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The last scalar of the document. */
static const struct node *last_scalar(const struct node *n)
{
    while (n->kind != NODE_SCALAR) {
        const struct node *child = n->first;
        while (child->next) {
            child = child->next;
        }
        n = child;
    }
    return n;
}

static size_t check_places(const char *file)
{
    struct problems problems = {0};
    struct document document = {0};
    ck_assert_int_eq(document_load("y.yaml", text_of(file), &problems, &document),
                     BRINK_OK);
    ck_assert_uint_eq(problems.n, 0);
    const struct node *n = last_scalar(document.root);
    struct scalar_source source = node_source(n);
    struct placed placed = {(char *)n->text.p, n->at, place_marks(&source), false};
    size_t compared = 0;
    struct position before = {0};
    for (size_t i = 0; i < n->text.n; i++) {
        struct position found = place_find(&source, i);
        ck_assert(found.line > before.line ||
                  (found.line == before.line && found.column >= before.column));
        if (is_space(n->text.p[i]) || ((unsigned char)n->text.p[i] & 0xc0) == 0x80 ||
            memcmp(n->text.p + i, "\xe2\x80\xa8", 3) == 0) {
            continue;
        }
        before = found;
        struct position marked = placed_position(&placed, i);
        ck_assert_msg(marked.line == found.line && marked.column == found.column,
                      "marks say %u:%u, not %u:%u, of byte %zu of\n%s", marked.line,
                      marked.column, found.line, found.column, i, file);
        const char *there = at_place(file, found);
        bool escaped = n->quote && (*there == '\\' || *there == '\'');
        ck_assert_msg(escaped || strncmp(there, n->text.p + i, 1) == 0,
                      "byte %zu stands at %u:%u in\n%s", i, found.line, found.column,
                      file);
        compared++;
    }
    (void)placed_position(&placed, SIZE_MAX); /* beyond the text: somewhere */
    /* The end is right behind the last character, or behind the quote. */
    struct position end = place_find(&source, n->text.n);
    ck_assert_uint_eq(end.line, before.line);
    ck_assert_uint_gt(end.column, before.column);
    free(placed.marks);
    document_free(&document);
    problems_finish(&problems);
    return compared;
}

START_TEST(test_each_character_is_found_in_every_style)
{
    ck_assert_uint_ge(check_places(files[_i]), 2);
}
END_TEST

START_TEST(test_line_ends_of_every_system_count_once)
{
    char crlf[512];
    size_t n = 0;
    for (const char *p = files[_i]; *p; p++) {
        if (*p == '\n') {
            crlf[n++] = '\r';
        }
        crlf[n++] = *p;
    }
    crlf[n] = '\0';
    ck_assert_uint_ge(check_places(crlf), 2);
}
END_TEST

/* What was expanded from the environment stands nowhere: as if on one line. */
START_TEST(test_text_that_stands_nowhere_is_counted_from_its_start)
{
    struct scalar_source source = {TEXT("a\xc3\xa9 c"), {0}, '"', {"y", 3, 7}};
    struct position at = place_find(&source, 4);
    ck_assert_uint_eq(at.line, 3);
    ck_assert_uint_eq(at.column, 10);
    ck_assert_ptr_null(place_marks(&source));
}
END_TEST

/* A source that does not fit its text, as no parser would make it, ends the walk. */
START_TEST(test_source_that_ends_early_is_survived)
{
    for (size_t n = 0; n <= 8; n++) {
        struct scalar_source source = {
            TEXT("abc def ghi"), {"a\\x6\\U1\\", n}, '"', {"y", 1, 1}};
        (void)place_find(&source, 11);
        free(place_marks(&source));
    }
}
END_TEST

int main(void)
{
    int n = (int)(sizeof files / sizeof files[0]);
    Suite *s = suite_create("config_place");
    TCase *c = tcase_create("place");
    tcase_add_loop_test(c, test_each_character_is_found_in_every_style, 0, n);
    tcase_add_loop_test(c, test_line_ends_of_every_system_count_once, 0, n);
    tcase_add_test(c, test_text_that_stands_nowhere_is_counted_from_its_start);
    tcase_add_test(c, test_source_that_ends_early_is_survived);
    suite_add_tcase(s, c);
    return run_suite(s);
}
