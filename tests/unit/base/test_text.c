#include "base/text.h"

#include <stdint.h>
#include <stdio.h>

#include "../tap.h"

START_TEST(test_compare_orders_as_memcmp_then_by_length)
{
    ck_assert_int_eq(text_compare(TEXT("a"), TEXT("a")), 0);
    ck_assert_int_lt(text_compare(TEXT("a"), TEXT("b")), 0);
    ck_assert_int_lt(text_compare(TEXT("a"), TEXT("aa")), 0);
    ck_assert_int_gt(text_compare(TEXT("b"), TEXT("aa")), 0);
    ck_assert_int_gt(text_compare(TEXT("\xff"), TEXT("a")), 0);
    ck_assert_int_eq(text_compare((struct text){NULL, 0}, TEXT("")), 0);
    ck_assert(text_equal((struct text){NULL, 0}, TEXT("")));
    ck_assert(text_equal_nocase(TEXT("ThreShold"), TEXT("THRESHOLD")));
    ck_assert(!text_equal_nocase(TEXT("ab"), TEXT("abc")));
    ck_assert(
        !text_equal_nocase(TEXT("@"), TEXT("`"))); /* differ by 0x20 as letters do */
}
END_TEST

START_TEST(test_dup_copies_and_terminates)
{
    char *copy = text_dup((struct text){"abc", 2});
    ck_assert_str_eq(copy, "ab");
    free(copy);
    copy = text_dup((struct text){NULL, 0});
    ck_assert_str_eq(copy, "");
    free(copy);
}
END_TEST

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)(lead[n] | c);
    return n;
}

START_TEST(test_utf8_accepts_every_character_but_nul_and_surrogates)
{
    for (uint32_t c = 0; c < 0x200000; c++) {
        char bytes[4];
        size_t n = encode(c, bytes);
        bool want = c > 0 && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        expect(text_is_utf8((struct text){bytes, n}) == want, "U+%04X", c);
        if (n > 1) { /* cut off */
            expect(!text_is_utf8((struct text){bytes, n - 1}), "U+%04X cut", c);
        }
    }
}
END_TEST

START_TEST(test_utf8_refuses_ill_formed_bytes)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80",
        "\xf0\x8f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80",
        "\xfe",
        "\xff",
        "\xc3(",
        "\xe2\x28\xa1",
        "ok\xe2\x82",
        "\xed\xa0\x80",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!text_is_utf8(text_of(bad[i])), "row %zu", i);
    }
    ck_assert(text_is_utf8(TEXT("")));
    ck_assert(text_is_utf8(TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80")));
    ck_assert(!text_is_utf8((struct text){"a\0b", 3}));
}
END_TEST

/* Each byte at each place of texts short and long: what looks at eight at once must see
 * it. */
START_TEST(test_no_byte_goes_unseen_wherever_it_stands)
{
    char bytes[27];
    for (size_t n = 1; n <= sizeof bytes; n++) {
        memset(bytes, 'a', n);
        for (size_t at = 0; at < n; at++) {
            for (int b = 0; b < 256; b++) {
                bytes[at] = (char)b;
                bool plain = text_is_plain((struct text){bytes, n});
                bool utf8 = text_is_utf8((struct text){bytes, n});
                expect(plain == (b >= 0x20 && b <= 0x7e), "%d at %zu of %zu", b, at, n);
                expect(utf8 == (b > 0 && b <= 0x7f), "%d at %zu of %zu", b, at, n);
            }
            bytes[at] = 'a';
        }
    }
    ck_assert(text_is_plain((struct text){NULL, 0}));
    ck_assert(!text_is_plain(TEXT("0123456789gr\xc3\xbc\xc3\x9f")));
    ck_assert(text_is_utf8(TEXT("0123456789gr\xc3\xbc\xc3\x9f 0123456789 \xe2\x82\xac")));
    ck_assert(!text_is_utf8(TEXT("0123456\xc3 23456789")));
}
END_TEST

START_TEST(test_escape_leaves_printable_and_shows_the_rest)
{
    static const struct {
        struct text in;
        const char *out;
    } rows[] = {
        {{"plain", 5}, "plain"},
        {{"a\\b", 3}, "a\\\\b"},
        {{"a\nb\0c", 5}, "a\\x0ab\\x00c"},
        {{"\x1b[31m", 5}, "\\x1b[31m"},
        {{"\x7f", 1}, "\\x7f"},
        {{"\xc2\x85", 2}, "\\xc2\\x85"}, /* C1 */
        {{"\xc2\xa0", 2}, "\xc2\xa0"},
        {{"\xe2\x82\xac", 3}, "\xe2\x82\xac"},
        {{"\xe2\x82", 2}, "\\xe2\\x82"},
        {{NULL, 0}, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        ck_assert_uint_eq(text_escape(rows[i].in, out, sizeof out), strlen(rows[i].out));
        ck_assert_str_eq(out, rows[i].out);
    }
}
END_TEST

START_TEST(test_escape_cuts_between_characters)
{
    char out[8];
    ck_assert_uint_eq(text_escape(TEXT("1234567"), out, sizeof out), 7);
    ck_assert_str_eq(out, "1234567");
    text_escape(TEXT("12345678"), out, sizeof out);
    ck_assert_str_eq(out, "1234...");
    text_escape(TEXT("123\xe2\x82\xac\xe2\x82\xac"), out, sizeof out);
    ck_assert_str_eq(out, "123...");
    text_escape(TEXT("\n\n\n"), out, sizeof out);
    ck_assert_str_eq(out, "\\x0a...");
    /* Any bytes, any room: terminated, within bounds, UTF-8, no control characters. */
    uint64_t random = 9;
    for (int i = 0; i < 100000; i++) {
        char in[40], to[64];
        uint64_t r = next_random(&random);
        size_t n = r % sizeof in, room = 8 + (r >> 8) % 50;
        for (size_t j = 0; j < n; j++) {
            uint64_t q = next_random(&random);
            in[j] = q & 256 ? (char)q : "\xe2\x82\xac\xc2\x85\\ab\n"[(q >> 9) % 9];
        }
        memset(to, '!', sizeof to);
        size_t wrote = text_escape((struct text){in, n}, to, room);
        expect(wrote < room && to[wrote] == '\0' && strlen(to) == wrote &&
                   to[room] == '!',
               "wrote %zu of %zu", wrote, room);
        expect(text_is_utf8(text_of(to)), "not UTF-8");
        for (size_t j = 0; j < wrote; j++) {
            expect((unsigned char)to[j] >= 0x20 && to[j] != 0x7f, "a control character");
        }
    }
}
END_TEST

START_TEST(test_nearest_means_a_slip_and_no_more)
{
    static const char *const keys[] = {
        "metric_name", "window_seconds", "threshold", "operator", "for", "when"};
    const size_t n = sizeof keys / sizeof keys[0];
    static const struct {
        const char *wrong, *meant;
    } rows[] = {
        {"treshold", "threshold"},
        {"thershold", "threshold"},
        {"Threshold", "threshold"},
        {"window_second", "window_seconds"},
        {"metricname", "metric_name"},
        {"fro", "for"},
        {"wehn", "when"},
        {"x", NULL},
        {"", NULL},
        {"colour", NULL},
        {"a_very_long_name_that_is_no_slip_of_the_pen_but_something_else_altogether",
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = text_nearest(text_of(rows[i].wrong), keys, n);
        ck_assert_msg(got == rows[i].meant ||
                          (got && rows[i].meant && strcmp(got, rows[i].meant) == 0),
                      "%s: %s", rows[i].wrong, got ? got : "none");
    }
    ck_assert_ptr_null(text_nearest(TEXT("for"), NULL, 0));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *t = tcase_create("text");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_compare_orders_as_memcmp_then_by_length);
    tcase_add_test(t, test_dup_copies_and_terminates);
    tcase_add_test(t, test_utf8_accepts_every_character_but_nul_and_surrogates);
    tcase_add_test(t, test_utf8_refuses_ill_formed_bytes);
    tcase_add_test(t, test_no_byte_goes_unseen_wherever_it_stands);
    tcase_add_test(t, test_escape_leaves_printable_and_shows_the_rest);
    tcase_add_test(t, test_escape_cuts_between_characters);
    tcase_add_test(t, test_nearest_means_a_slip_and_no_more);
    suite_add_tcase(s, t);
    return run_tap(s);
}
