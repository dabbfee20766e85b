/* The tree: what is where, and what bytes from anywhere cannot do to it. */
#include <check.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "config/config.h"
#include "config/yaml.h"
#include "util.h"

static struct problems problems;
static struct document document;

static enum brink_status load(struct text yaml)
{
    return document_load("y.yaml", yaml, &problems, &document);
}

static void setup(void)
{
    problems = (struct problems){0};
    document = (struct document){0};
}

static void teardown(void)
{
    document_free(&document);
    problems_finish(&problems);
}

static void expect_at(const struct node *n, const char *text, unsigned line,
                      unsigned column)
{
    ck_assert_ptr_nonnull(n);
    ck_assert_str_eq(n->text.p, text);
    ck_assert_uint_eq(n->at.line, line);
    ck_assert_uint_eq(n->at.column, column);
}

static const struct node *root_member(const char *key)
{
    return node_member(document.root, text_of(key));
}

START_TEST(test_a_scalar_stands_where_its_text_begins)
{
    ck_assert_int_eq(load(TEXT("plain: abc\n"
                               "double: \"abc\"\n"
                               "single: 'abc'\n"
                               "literal: |\n"
                               "\n"
                               "    abc\n"
                               "folded: >-\n"
                               "  abc\n"
                               "late:\n"
                               "  abc\n"
                               "\xc3\xa9\xe2\x82\xac: abc\n"
                               "list: [x, abc]\n")),
                     BRINK_OK);
    expect_at(root_member("plain"), "abc", 1, 8);
    expect_at(root_member("double"), "abc", 2, 10);
    expect_at(root_member("single"), "abc", 3, 10);
    expect_at(root_member("literal"), "\nabc\n", 6, 5);
    expect_at(root_member("folded"), "abc", 8, 3);
    expect_at(root_member("late"), "abc", 10, 3);
    expect_at(root_member("\xc3\xa9\xe2\x82\xac"), "abc", 11,
              5); /* characters, not bytes */
    expect_at(root_member("list")->first->next, "abc", 12, 11);
    expect_at(root_member("double")->key, "double", 2, 1);
    ck_assert_uint_eq(document.root->n, 8);
    ck_assert_uint_eq(problems.n, 0);
}
END_TEST

START_TEST(test_only_a_plain_null_is_null)
{
    ck_assert_int_eq(load(TEXT("a:\nb: ~\nc: null\nd: ''\ne: \"null\"\nf: none\n")),
                     BRINK_OK);
    ck_assert(node_is_null(root_member("a")));
    ck_assert(node_is_null(root_member("b")));
    ck_assert(node_is_null(root_member("c")));
    ck_assert(!node_is_null(root_member("d")));
    ck_assert(!node_is_null(root_member("e")));
    ck_assert(!node_is_null(root_member("f")));
    ck_assert_ptr_null(root_member("g"));
}
END_TEST

START_TEST(test_a_key_that_comes_again_is_left_out)
{
    ck_assert_int_eq(load(TEXT("a: 1\nb: 2\na: 3\na: 4\n")), BRINK_OK);
    ck_assert_uint_eq(document.root->n, 2);
    expect_at(root_member("a"), "1", 1, 4);
    ck_assert_uint_eq(problems.errors, 2);
}
END_TEST

START_TEST(test_an_empty_document_has_no_root)
{
    ck_assert_int_eq(load(TEXT("# only a comment\n")), BRINK_OK);
    ck_assert_ptr_null(document.root);
    ck_assert_int_eq(load((struct text){NULL, 0}), BRINK_OK);
    ck_assert_ptr_null(document.root);
}
END_TEST

START_TEST(test_a_byte_order_mark_at_the_start_counts_for_nothing)
{
    ck_assert_int_eq(load(TEXT("\xef\xbb\xbf"
                               "a: x\n")),
                     BRINK_OK);
    expect_at(root_member("a"), "x", 1, 4);
}
END_TEST

START_TEST(test_problems_do_not_hide_what_comes_behind_them)
{
    ck_assert_int_eq(
        load(TEXT("a: *x\nb: !t y\nc: &z 1\n<<: {d: 1}\n? [k]\n: v\ne: 5\n")), BRINK_OK);
    ck_assert_uint_eq(problems.errors, 5);
    expect_at(root_member("e"), "5", 7, 4);
    ck_assert_int_eq(root_member("a")->kind, NODE_BAD);
    ck_assert_int_eq(root_member("b")->kind, NODE_BAD);
    ck_assert_int_eq(root_member("c")->kind, NODE_BAD);
    ck_assert_uint_eq(document.root->n, 4);
}
END_TEST

static void expect_only_problem(const char *expected)
{
    char *got = printed(&problems);
    ck_assert_str_eq(got, expected);
    free(got);
}

START_TEST(test_depth_is_bounded)
{
    struct buffer yaml = {0};
    for (int i = 0; i < 100000; i++) {
        buffer_char(&yaml, '[');
    }
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_E_LIMIT);
    ck_assert_ptr_null(document.root);
    expect_only_problem(
        "y.yaml:1:33: more than 32 lists and mappings inside one another\n");
    buffer_finish(&yaml);
}
END_TEST

START_TEST(test_depth_at_its_bound_is_fine)
{
    struct buffer yaml = {0};
    for (int i = 0; i < YAML_DEPTH_MAX; i++) {
        buffer_char(&yaml, '[');
    }
    for (int i = 0; i < YAML_DEPTH_MAX; i++) {
        buffer_char(&yaml, ']');
    }
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_OK);
    ck_assert_uint_eq(problems.n, 0);
    buffer_finish(&yaml);
}
END_TEST

START_TEST(test_nodes_are_bounded)
{
    struct buffer yaml = {0};
    for (int i = 0; i < YAML_NODES_MAX + 10; i++) {
        buffer_cstring(&yaml, "- 1\n");
    }
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_E_LIMIT);
    expect_only_problem(
        "y.yaml:500000:3: more than 500000 keys and values in one file\n");
    buffer_finish(&yaml);
}
END_TEST

START_TEST(test_bytes_are_bounded)
{
    struct buffer yaml = {0};
    char *p = buffer_reserve(&yaml, CONFIG_FILE_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(p);
    memset(p, ' ', CONFIG_FILE_BYTES_MAX + 1);
    buffer_advance(&yaml, CONFIG_FILE_BYTES_MAX);
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_OK);
    buffer_advance(&yaml, 1);
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_E_LIMIT);
    expect_only_problem("y.yaml: is larger than 4194304 bytes\n");
    buffer_finish(&yaml);
}
END_TEST

/* What would be 10^9 values if aliases were followed is told at its first alias, at no
 * cost. */
START_TEST(test_aliases_are_not_followed)
{
    struct buffer yaml = {0};
    buffer_cstring(&yaml, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buffer_format(&yaml, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) {
            buffer_format(&yaml, "%s*a%d", k ? ", " : "", i - 1);
        }
        buffer_cstring(&yaml, "]\n");
    }
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_OK);
    ck_assert_uint_eq(problems.errors, 100);
    buffer_finish(&yaml);
}
END_TEST

/* Block texts are found by line: a file of them must not cost its square. */
START_TEST(test_many_block_texts_are_found_in_one_pass)
{
    struct buffer yaml = {0};
    int n = 100000;
    for (int i = 0; i < n; i++) {
        buffer_cstring(&yaml, "- |\n    abc\n");
    }
    ck_assert_int_eq(load(buffer_view(&yaml)), BRINK_OK);
    const struct node *last = document.root->first;
    while (last->next) {
        last = last->next;
    }
    expect_at(last, "abc\n", (unsigned)n * 2, 5);
    buffer_finish(&yaml);
}
END_TEST

/* Any prefix of a good file is told as wrong or read; none crashes or hangs. */
START_TEST(test_every_prefix_of_a_file_is_survived)
{
    static const char yaml[] = "a: [1, {b: \"x\\u00e9\"}, 'y', *z]\n"
                               "c: |\n  text\n  more\n"
                               "d: >\n\n  folded\n"
                               "? - e\n: !t &g {h: ~}\n"
                               "i: \"\xe2\x82\xac\"\n"
                               "--- x\n";
    for (size_t n = 0; n < sizeof yaml; n++) {
        char *exact = malloc(n ? n : 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, yaml, n);
        enum brink_status status = load((struct text){exact, n});
        ck_assert(status == BRINK_OK ||
                  (status == BRINK_E_SYNTAX && problems.errors > 0));
        free(exact);
        teardown();
        setup();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_yaml");
    TCase *c = tcase_create("yaml");
    tcase_set_timeout(c, 60); /* a sanitizer or an emulator takes its time */
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_a_scalar_stands_where_its_text_begins);
    tcase_add_test(c, test_only_a_plain_null_is_null);
    tcase_add_test(c, test_a_key_that_comes_again_is_left_out);
    tcase_add_test(c, test_an_empty_document_has_no_root);
    tcase_add_test(c, test_a_byte_order_mark_at_the_start_counts_for_nothing);
    tcase_add_test(c, test_problems_do_not_hide_what_comes_behind_them);
    tcase_add_test(c, test_depth_is_bounded);
    tcase_add_test(c, test_depth_at_its_bound_is_fine);
    tcase_add_test(c, test_nodes_are_bounded);
    tcase_add_test(c, test_bytes_are_bounded);
    tcase_add_test(c, test_aliases_are_not_followed);
    tcase_add_test(c, test_many_block_texts_are_found_in_one_pass);
    tcase_add_test(c, test_every_prefix_of_a_file_is_survived);
    suite_add_tcase(s, c);
    return run_suite(s);
}
