/* State as text: whatever was written is read back, whatever else stands there harms
 * nothing. */
#include "base/fields.h"

#include <stdlib.h>

#include "../tap.h"

START_TEST(test_fields_come_back_as_they_were_put)
{
    uint64_t random = 3;
    for (int n = 0; n < 20000; n++) {
        struct buffer line = {0};
        char text[12];
        size_t length = next_random(&random) % sizeof text;
        for (size_t i = 0; i < length; i++) {
            text[i] = (char)(1 + next_random(&random) % 255); /* any byte but NUL */
        }
        text[length < sizeof text ? length : sizeof text - 1] = '\0';
        int64_t number = (int64_t)next_random(&random);
        buffer_cstring(&line, "1");
        fields_put_int(&line, "n", number);
        fields_put_text(&line, "none", NULL);
        fields_put_text(&line, "t", text);
        struct text rest = buffer_view(&line), key, value;
        int64_t got;
        ck_assert(text_equal(fields_cut(&rest, ' '), TEXT("1")));
        ck_assert(fields_next(&rest, &key, &value));
        ck_assert(text_equal(key, TEXT("n")) && fields_int(value, &got));
        ck_assert_int_eq(got, number);
        ck_assert(fields_next(&rest, &key, &value));
        ck_assert(text_equal(key, TEXT("t")));
        char *back = fields_unescape(value);
        ck_assert_str_eq(back, text);
        ck_assert(!fields_next(&rest, &key, &value));
        free(back);
        buffer_finish(&line);
    }
}
END_TEST

START_TEST(test_what_is_no_field_is_read_as_it_stands)
{
    static const struct {
        const char *line, *key, *value;
    } cases[] = {
        {"a", "a", ""},      {"=b", "", "b"},           {"a=b=c", "a", "b=c"},
        {"a=%4", "a", "%4"}, {"a=%zz%41", "a", "%zzA"}, {"a=%00", "a", "%00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text rest = text_of(cases[i].line), key, value;
        ck_assert(fields_next(&rest, &key, &value));
        char *text = fields_unescape(value);
        ck_assert(text_equal(key, text_of(cases[i].key)));
        ck_assert_str_eq(text, cases[i].value);
        free(text);
    }
    int64_t n = 7;
    ck_assert(!fields_int(TEXT(""), &n) && !fields_int(TEXT("-"), &n) &&
              !fields_int(TEXT("1x"), &n) &&
              !fields_int(TEXT("9223372036854775808"), &n));
    ck_assert_int_eq(n, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fields");
    TCase *t = tcase_create("text");
    tcase_add_test(t, test_fields_come_back_as_they_were_put);
    tcase_add_test(t, test_what_is_no_field_is_read_as_it_stands);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
