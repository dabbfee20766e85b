#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

#include "../tap.h"

START_TEST(test_buffer_holds_what_was_put)
{
    struct buffer b = {0};
    ck_assert_str_eq(buffer_cstr(&b), "");
    buffer_put(&b, NULL, 0);
    buffer_text(&b, (struct text){NULL, 0});
    ck_assert_ptr_null(b.p);
    buffer_cstring(&b, "ab");
    buffer_char(&b, 'c');
    buffer_text(&b, TEXT("de"));
    buffer_format(&b, "%d-%s", 7, "x");
    ck_assert_str_eq(buffer_cstr(&b), "abcde7-x");
    ck_assert_uint_eq(buffer_view(&b).n, 8);
    ck_assert(buffer_ok(&b));
    buffer_finish(&b);
    ck_assert_str_eq(buffer_cstr(&b), "");
    buffer_char(&b, 'z'); /* usable again */
    ck_assert_str_eq(buffer_cstr(&b), "z");
    buffer_finish(&b);
    buffer_finish(NULL);
}
END_TEST

START_TEST(test_buffer_is_terminated_at_every_length)
{
    struct buffer b = {0};
    char want[1000] = "";
    for (size_t i = 0; i < sizeof want - 1; i++) {
        want[i] = (char)('a' + i % 26);
        buffer_char(&b, want[i]);
        expect(b.n == i + 1 && b.n < b.cap && strcmp(buffer_cstr(&b), want) == 0,
               "at %zu", i);
    }
    buffer_clear(&b);
    ck_assert_str_eq(buffer_cstr(&b), "");
    buffer_format(&b, "%0500d", 1);
    ck_assert_uint_eq(b.n, 500);
    buffer_finish(&b);
}
END_TEST

START_TEST(test_buffer_reserve_gives_room_and_advance_takes_it)
{
    struct buffer b = {0};
    char *to = buffer_reserve(&b, 100);
    ck_assert_ptr_nonnull(to);
    memset(to, 'q', 100);
    buffer_advance(&b, 60);
    ck_assert_uint_eq(strlen(buffer_cstr(&b)), 60);
    ck_assert_ptr_nonnull(buffer_reserve(&b, 0));
    buffer_advance(&b, 0);
    ck_assert_uint_eq(b.n, 60);
    buffer_finish(&b);
    ck_assert_ptr_nonnull(buffer_reserve(&b, 0)); /* from nothing, too */
    buffer_advance(&b, 0);
    buffer_finish(&b);
}
END_TEST

START_TEST(test_buffer_remembers_a_failure_until_cleared)
{
    struct buffer b = {0};
    buffer_cstring(&b, "kept");
    ck_assert_ptr_null(buffer_reserve(&b, SIZE_MAX - 2));
    buffer_cstring(&b, "lost");
    buffer_format(&b, "%d", 1);
    ck_assert(!buffer_ok(&b));
    ck_assert_str_eq(buffer_cstr(&b), "kept");
    buffer_clear(&b);
    ck_assert(buffer_ok(&b));
    buffer_cstring(&b, "new");
    ck_assert_str_eq(buffer_cstr(&b), "new");
    buffer_finish(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("buffer");
    TCase *t = tcase_create("buffer");
    tcase_add_test(t, test_buffer_holds_what_was_put);
    tcase_add_test(t, test_buffer_is_terminated_at_every_length);
    tcase_add_test(t, test_buffer_reserve_gives_room_and_advance_takes_it);
    tcase_add_test(t, test_buffer_remembers_a_failure_until_cleared);
    suite_add_tcase(s, t);
    return run_tap(s);
}
