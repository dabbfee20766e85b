/* Lines of a recording: as mosquitto_sub really prints them, in any order of their
 * members, and with each thing wrong that can be. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/buffer.h"
#include "prove/recording.h"

#define T0 INT64_C(1795773365000000) /* 2026-11-27T09:56:05Z */

static char line[8192]; /* what recording_parse() took apart */

static enum recording_fault parse(const char *text, struct recorded *ret)
{
    struct recording_clock clock = {0};
    size_t n = strlen(text);
    ck_assert_uint_lt(n, sizeof line);
    memcpy(line, text, n); /* no NUL behind it */
    return recording_parse(&clock, line, n, ret);
}

static void assert_text(struct text got, const char *want)
{
    ck_assert_msg(text_equal(got, text_of(want)), "got `%.*s`, expected `%s`", (int)got.n,
                  got.p, want);
}

START_TEST(test_reads_what_mosquitto_sub_prints)
{
    static const struct {
        const char *line, *topic, *payload;
        int64_t at_us;
        bool retained;
    } rows[] = {
        /* 2.0.11, -F %J, -F %j */
        {"{\"tst\":\"2026-11-27T09:56:05.746247Z+0000\",\"topic\":\"a/b\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":113,\"payload\":{\"ts\":1767225600.1234567,"
         "\"metrics\":{\"x\":25.1,\"s\":\"a\\\"b\xc3\xa9/}\",\"t\":true}}}",
         "a/b",
         "{\"ts\":1767225600.1234567,\"metrics\":{\"x\":25.1,\"s\":\"a\\\"b\xc3\xa9/}\","
         "\"t\":true}}",
         T0 + 746247, false},
        {"{\"tst\":\"2026-11-27T15:26:05.746306Z+0530\",\"topic\":\"a/b\",\"qos\":0,"
         "\"retain\":1,\"payloadlen\":16,\"payload\":\"{\\\"x\\\": "
         "\\\"\\\\u00e9\\/\\\"}\"}",
         "a/b", "{\"x\": \"\\u00e9/\"}", T0 + 746306, true},
        {"{\"tst\":\"2026-11-27T09:56:05.752639Z+0000\",\"topic\":\"a/c\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":2,\"payload\":\"ON\"}",
         "a/c", "ON", T0 + 752639, false},
        {"{\"tst\":\"2026-11-27T04:56:05.756023-0500\",\"topic\":\"a/d\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":4,\"payload\":\"ON\"}",
         "a/d", "\"ON\"", T0 + 756023, false},
        {"{\"tst\":\"2026-11-27T09:56:05.756066Z\",\"topic\":\"a/d\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":4,\"payload\":\"\\\"ON\\\"\"}",
         "a/d", "\"ON\"", T0 + 756066, false},
        {"{\"tst\":\"2026-11-27T09:56:05.761120Z+0000\",\"topic\":\"a/e\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":5,\"payload\":21.5}",
         "a/e", "21.5", T0 + 761120, false},
        {"{\"tst\":\"2026-11-27T09:56:05.766363Z+0000\",\"topic\":\"a/f\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":0,\"payload\":null}",
         "a/f", "", T0 + 766363, false},
        {"{\"tst\":\"2026-11-27T09:56:05.766363Z+0000\",\"topic\":\"a/f\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":4,\"payload\":null}",
         "a/f", "null", T0 + 766363, false},
        {"{\"tst\":\"2026-11-27T09:56:05.778975Z+0000\",\"topic\":\"a/"
         "\xc3\xa9\\\"q\\\\\","
         "\"qos\":0,\"retain\":0,\"payloadlen\":5,\"payload\":\"a\\u0001\xff\\nb\"}",
         "a/\xc3\xa9\"q\\", "a\x01\xff\nb", T0 + 778975, false},
        {"{\"tst\":\"2026-11-27T09:56:05.786149Z+0000\",\"topic\":\"a/g\",\"qos\":0,"
         "\"retain\":0,\"payloadlen\":10,\"properties\":{\"user-properties\":{\"k\":\"v]"
         "\"},"
         "\"content-type\":\"application/json\"},\"payload\":[1,2,null]}",
         "a/g", "[1,2,null]", T0 + 786149, false},
        /* by hand */
        {" { \"payload\" : \"\\ud83d\\ude00\" ,\t\"topic\":\"t\", \"tst\" : 1795773365.5 "
         "} \r",
         "t", "\xf0\x9f\x98\x80", T0 + 500000, false},
        {"{\"retain\":true,\"tst\":1795773365000,\"topic\":\"t\"}", "t", "", T0, true},
        {"{\"topic\":\"x\",\"topic\":\"t\",\"tst\":1795773365,\"payload\":\"\","
         "\"payloadlen\":0}",
         "t", "", T0, false},
    };
    ck_assert_int_eq(sizeof rows / sizeof *rows, 13);
    struct recorded got;
    ck_assert_int_eq(parse(rows[_i].line, &got), RECORDING_FINE);
    assert_text(got.topic, rows[_i].topic);
    assert_text(got.payload, rows[_i].payload);
    ck_assert_int_eq(got.at.us, rows[_i].at_us);
    ck_assert_int_eq(got.retained, rows[_i].retained);
}
END_TEST

START_TEST(test_tells_what_is_wrong)
{
    static const struct {
        const char *line;
        enum recording_fault fault;
    } rows[] = {
        {"", RECORDING_BLANK},
        {" \t\r", RECORDING_BLANK},
        {"Error: Message payload is not valid JSON on topic a/c.", RECORDING_NO_OBJECT},
        {"[]", RECORDING_NO_OBJECT},
        {"{", RECORDING_NO_OBJECT},
        {"{\"topic\"", RECORDING_NO_OBJECT},
        {"{\"topic\":", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\\", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\",}", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\" \"tst\":1}", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\",\"tst\":1,\"payload\":{\"x\":1}", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\",\"tst\":1}}", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\",\"tst\":1}{}", RECORDING_NO_OBJECT},
        {"{\"topic\":\"a\",\"tst\":}", RECORDING_NO_OBJECT},
        {"{}", RECORDING_NO_TOPIC},
        {"{\"tst\":1}", RECORDING_NO_TOPIC},
        {"{\"tst\":1,\"topic\":1}", RECORDING_NO_TOPIC},
        {"{\"tst\":1,\"topic\":\"\"}", RECORDING_NO_TOPIC},
        {"{\"topic\":\"a\"}", RECORDING_NO_TIME},
        {"{\"topic\":\"a\",\"tst\":null}", RECORDING_NO_TIME},
        {"{\"topic\":\"a\",\"tst\":\"yesterday\"}", RECORDING_NO_TIME},
        {"{\"topic\":\"a\",\"tst\":\"2026-11-27T09:56:61.746247Z+0000\"}",
         RECORDING_NO_TIME},
        {"{\"topic\":\"a\\x\",\"tst\":1}", RECORDING_BAD_TEXT},
        {"{\"topic\":\"a\\u12\",\"tst\":1}", RECORDING_BAD_TEXT},
        {"{\"topic\":\"a\\ud800\",\"tst\":1}", RECORDING_BAD_TEXT},
        {"{\"topic\":\"a\",\"tst\":1,\"payload\":\"\\udc00\"}", RECORDING_BAD_TEXT},
        {"{\"topic\":\"a\",\"tst\":1,\"payload\":\"\\ud800\\u0020\"}",
         RECORDING_BAD_TEXT},
    };
    ck_assert_int_eq(sizeof rows / sizeof *rows, 28);
    struct recorded got;
    ck_assert_msg(parse(rows[_i].line, &got) == rows[_i].fault, "%s", rows[_i].line);
}
END_TEST

/* The time of a line is found by what changed since the one before: it must be the same
 * as without knowing that one. */
START_TEST(test_a_time_is_the_same_whatever_was_before)
{
    static const struct {
        const char *date, *colon, *point, *zone;
    } forms[] = {{"2026-11-27T", ":", ".", "Z+0000"}, {"2026-11-27T", ":", ".", "+0100"},
                 {"2026-11-27T", ":", ".", ""},       {"2026-11-27T", ":", ",", ""},
                 {"2026-11-27 ", ":", ".", "-05"},    {"20261127T", "", ".", "Z"}};
    uint64_t random = 5;
    struct recording_clock known = {0};
    for (int i = 0; i < 20000; i++) {
        char text[128], at[64];
        struct recorded one, other;
        struct recording_clock unknown = {0};
        size_t form = (size_t)(next_random(&random) % 6);
        const char *colon = forms[form].colon;
        snprintf(at, sizeof at, "%s09%s%02u%s%02u%s%06u%s", forms[form].date, colon,
                 (unsigned)(next_random(&random) % 3), colon,
                 (unsigned)(next_random(&random) % 62), forms[form].point,
                 (unsigned)(next_random(&random) % 1000000), forms[form].zone);
        if (next_random(&random) % 20 == 0) {
            at[next_random(&random) % strlen(at)] = "0Z+:x."[next_random(&random) % 6];
        }
        int n = snprintf(text, sizeof text, "{\"tst\":\"%s\",\"topic\":\"a\"}", at);
        memcpy(line, text, (size_t)n);
        enum recording_fault a = recording_parse(&known, line, (size_t)n, &one);
        enum recording_fault b = recording_parse(&unknown, line, (size_t)n, &other);
        expect(a == b, "%s", at);
        expect(a != RECORDING_FINE || one.at.us == other.at.us, "%s", at);
    }
}
END_TEST

static void put_random_text(struct buffer *raw, struct buffer *escaped, uint64_t *random)
{
    static const char *const pieces[][2] = {{"a", "a"},
                                            {"\"", "\\\""},
                                            {"\\", "\\\\"},
                                            {"/", "\\/"},
                                            {"\n", "\\n"},
                                            {"{", "{"},
                                            {"]", "]"},
                                            {"\xc3\xa9", "\\u00e9"},
                                            {"\t", "\\t"},
                                            {"\x01", "\\u0001"},
                                            {"\xe2\x82\xac", "\\u20AC"},
                                            {"\xf0\x9f\x98\x80", "\\uD83D\\uDE00"},
                                            {" ", " "},
                                            {",", ","}};
    for (unsigned n = (unsigned)(next_random(random) % 30); n > 0; n--) {
        const char *const *piece = pieces[next_random(random) % 14];
        buffer_cstring(raw, piece[0]);
        buffer_cstring(escaped, piece[1]);
    }
}

START_TEST(test_any_order_of_members)
{
    uint64_t random = 11;
    for (int i = 0; i < 5000; i++) {
        struct buffer topic = {0}, topic_in = {0}, payload = {0}, payload_in = {0},
                      text = {0};
        struct recorded got;
        buffer_char(&topic, 't');
        buffer_char(&topic_in, 't');
        put_random_text(&topic, &topic_in, &random);
        put_random_text(&payload, &payload_in, &random);
        char members[5][2048];
        snprintf(members[0], sizeof *members, "\"topic\":\"%s\"", buffer_cstr(&topic_in));
        snprintf(members[1], sizeof *members, "\"payload\":\"%s\"",
                 buffer_cstr(&payload_in));
        snprintf(members[2], sizeof *members, "\"tst\":1795773365");
        snprintf(members[3], sizeof *members, "\"payloadlen\":%zu", payload.n);
        snprintf(members[4], sizeof *members, "\"properties\":{\"a\":[\"]}\\\"\"]}");
        buffer_char(&text, '{');
        for (size_t left = 5; left > 0; left--) {
            size_t k = (size_t)(next_random(&random) % left);
            buffer_format(&text, "%s%s", left < 5 ? "," : "", members[k]);
            memcpy(members[k], members[left - 1], sizeof *members);
        }
        buffer_char(&text, '}');
        expect(parse(buffer_cstr(&text), &got) == RECORDING_FINE, "%s", text.p);
        expect(text_equal(got.topic, buffer_view(&topic)), "%s", text.p);
        expect(text_equal(got.payload, buffer_view(&payload)), "%s", text.p);
        buffer_finish(&topic);
        buffer_finish(&topic_in);
        buffer_finish(&payload);
        buffer_finish(&payload_in);
        buffer_finish(&text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recording");
    TCase *t = tcase_create("line");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_reads_what_mosquitto_sub_prints, 0, 13);
    tcase_add_loop_test(t, test_tells_what_is_wrong, 0, 28);
    tcase_add_test(t, test_a_time_is_the_same_whatever_was_before);
    tcase_add_test(t, test_any_order_of_members);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
