/* JSON is read by a scan where that will do and by cJSON's tree elsewhere (SPEC 3.2), and
 * nobody can tell which. fuzz_json.c looks further. */
#include "../tap.h"

#include <stdio.h>

#include "decode/scan.h"

#include "agree.h"

static struct json_reader *reader_of(size_t which)
{
    struct json_reader *reader = NULL;
    ck_assert_int_eq(json_reader_new(&asked[which], &reader), BRINK_OK);
    return reader;
}

static void ignore_metric(void *ctx, struct text name, const struct json_value *value)
{
    (void)ctx;
    (void)name;
    (void)value;
}

static void ignore_end(void *ctx, const struct json_payload *payload)
{
    (void)ctx;
    (void)payload;
}

static const struct json_visitor nobody = {NULL, ignore_metric, ignore_end};

#define NUMBER_63 "123456789.12345678901234567890123456789012345678901234567890123"

/* --- which way --- */

static const struct {
    size_t which;
    const char *payload;
    enum scan_outcome way;
} ways[] = {
    /* What devices send takes the fast way. */
    {0, "{\"ts\":\"2026-01-01T00:00:00Z\",\"metrics\":{\"temp_c\":21.37,\"vbat\":3.7}}",
     SCAN_VISITED},
    {0, " { \"metrics\" : { \"a\" : -1e3 , \"b\" : true , \"c\" : null } , \"ts\" : 5 } ",
     SCAN_VISITED},
    {0,
     "{\"metrics\":{\"bat\":{\"v\":3.7,\"cell\":{\"1\":1.8,\"2\":1.9}},\"on\":\"ON\"}}",
     SCAN_VISITED},
    {0,
     "{\"metrics\":{\"gr\xc3\xb6\xc3\x9f"
     "e\":1},\"seq\":18446744073709551615}",
     SCAN_VISITED},
    {0, "{\"metrics\":{\"a\":[1,{\"\\u0061\":[]}]},\"x\":{\"\\n\":\"\\n\",\"\\n\":0}}",
     SCAN_VISITED},
    {0, "{\"ts\":1,\"other\":1,\"other\":2,\"metrics\":{}}", SCAN_VISITED},
    {0, "7", SCAN_VISITED},
    {1, "{\"ts\":1,\"a\":{\"site_id\":\"s\",\"b\":2},\"c\":3,\"name\":\"\\u00e4\"}",
     SCAN_VISITED},
    /* What needs a second look does not. */
    {0, "{\"metrics\":{\"a\":1,\"b\":2,\"a\":3}}", SCAN_NEEDS_TREE},
    {0, "{\"metrics\":{\"a\":{\"b\":1,\"b\":1}}}", SCAN_NEEDS_TREE},
    {0, "{\"metrics\":{\"a\":1},\"metrics\":{\"b\":1}}", SCAN_NEEDS_TREE},
    {0, "{\"ts\":1,\"ts\":2,\"metrics\":{}}", SCAN_NEEDS_TREE},
    {0, "{\"metrics\":{\"\\u0061\":1}}", SCAN_NEEDS_TREE},
    {0, "{\"metrics\":{\"a\":\"O\\u004e\"}}", SCAN_NEEDS_TREE},
    {0, "{\"site_id\":\"\\u0061\"}", SCAN_NEEDS_TREE},
    {1, "{\"a\":{},\"a\":{}}", SCAN_NEEDS_TREE},
    {2, "{\"a/b\":[{\"~\":{\"x\":1}},5]}", SCAN_NEEDS_TREE},
    /* And what is wrong is seen at once. */
    {0, "", SCAN_NOT_JSON},
    {0, "{\"metrics\":{\"a\":1}", SCAN_NOT_JSON},
    {0, "{\"metrics\":{\"a\":01}}", SCAN_NOT_JSON},
    {0, "{\"metrics\":{\"a\":1}}}", SCAN_NOT_JSON},
    {0, "{\"metrics\":{\"a\":1,}}", SCAN_NOT_JSON},
    {0, "{\"metrics\":{\"a\":1}} \"", SCAN_NOT_JSON},
    {0, "{\"x\":\"\xc3(\"}", SCAN_NOT_JSON},
    {0, "{\"x\":\"\t\"}", SCAN_NOT_JSON},
    {0, "{\"x\":\"a\tb\",\"metrics\":{}}", SCAN_NOT_JSON},
    {0,
     "{\"x\":\"12345678\x1f"
     "1234567812345678\",\"metrics\":{}}",
     SCAN_NOT_JSON},
    {0, "{\"ts\":" NUMBER_63 ",\"metrics\":{}}", SCAN_VISITED},
    {0, "{\"ts\":" NUMBER_63 "1,\"metrics\":{}}", SCAN_NOT_JSON},
};

START_TEST(test_payloads_take_the_way_that_they_need)
{
    struct json_reader *reader = reader_of(ways[_i].which);
    struct text payload = text_of(ways[_i].payload);
    ck_assert_msg(scan_visit(payload, reader, &nobody) == ways[_i].way, "%s",
                  ways[_i].payload);
    ck_assert(readers_agree(reader, payload));
    json_reader_free(reader);
}
END_TEST

START_TEST(test_more_members_than_the_table_holds_take_the_tree)
{
    for (size_t n = SCAN_MEMBERS_MAX - 1; n <= SCAN_MEMBERS_MAX + 1; n++) {
        struct json_reader *reader = reader_of(0);
        struct buffer b = {0};
        buffer_cstring(&b, "{\"metrics\":{\"m0\":0");
        for (size_t i = 1; i < n; i++) {
            buffer_format(&b, ",\"m%zu\":%zu", i, i);
        }
        buffer_cstring(&b, "}}");
        ck_assert_int_eq(scan_visit(buffer_view(&b), reader, &nobody),
                         n <= SCAN_MEMBERS_MAX ? SCAN_VISITED : SCAN_NEEDS_TREE);
        ck_assert(readers_agree(reader, buffer_view(&b)));
        buffer_finish(&b);
        json_reader_free(reader);
    }
}
END_TEST

/* --- the same story --- */

static const char *pick(const char *const *from, size_t n, uint64_t *random)
{
    return from[next_random(random) % n];
}

/* Names that the readers ask for, near misses, and such as need care. */
static void put_name(struct buffer *b, uint64_t *random)
{
    static const char *const names[] = {
        "ts",
        "seq",
        "metrics",
        "a",
        "b",
        "site_id",
        "a/b",
        "~",
        "0",
        "",
        "metric",
        "metrics2",
        "temp_c",
        "humidity",
        "battery_voltage",
        "battery_voltagf",
        "\\u0061",
        "t\\u0073",
        "gr\xc3\xb6\xc3\x9f"
        "e",
        "x.y",
        "a.b",
        "seq\xc2\x85",
        "\x7f",
        "a_name_that_is_longer_than_eight_bytes_and_than_16"};
    buffer_char(b, '"');
    buffer_cstring(b, pick(names, sizeof names / sizeof *names, random));
    buffer_char(b, '"');
}

static void put_spaces(struct buffer *b, uint64_t *random)
{
    static const char *const spaces[] = {"", "", "", "", "", " ", "\n", "\t\r ", "  "};
    buffer_cstring(b, pick(spaces, sizeof spaces / sizeof *spaces, random));
}

static void put_scalar(struct buffer *b, uint64_t *random)
{
    static const char *const scalars[] = {"0",
                                          "-0",
                                          "1",
                                          "21.37",
                                          "1e3",
                                          "-1.5E-2",
                                          "true",
                                          "false",
                                          "null",
                                          "\"ON\"",
                                          "\"\"",
                                          "\"x\"",
                                          "1e999",
                                          "9007199254740993",
                                          "\"O\\u004e\"",
                                          "\"2026-01-01T00:00:00Z\"",
                                          "1767225600.25",
                                          "\"s\xc3\xbc"
                                          "d\"",
                                          "[]",
                                          "{}",
                                          "[1,{\"a\":2}]",
                                          "21.400000000000002",
                                          "123456789012345678901234567890",
                                          NUMBER_63,
                                          NUMBER_63 "4"};
    buffer_cstring(b, pick(scalars, sizeof scalars / sizeof *scalars, random));
}

static void put_object(struct buffer *b, uint64_t *random, int depth)
{
    size_t n = next_random(random) % 6;
    buffer_char(b, '{');
    put_spaces(b, random);
    for (size_t i = 0; i < n; i++) {
        put_name(b, random);
        put_spaces(b, random);
        buffer_char(b, ':');
        put_spaces(b, random);
        uint64_t kind = next_random(random) % 8;
        if (kind < 3 && depth > 0) {
            put_object(b, random, depth - 1);
        } else if (kind == 3 && depth > 0) {
            buffer_char(b, '[');
            put_object(b, random, depth - 1);
            buffer_char(b, ',');
            put_scalar(b, random);
            buffer_char(b, ']');
        } else {
            put_scalar(b, random);
        }
        put_spaces(b, random);
        if (i + 1 < n) {
            buffer_char(b, ',');
            put_spaces(b, random);
        }
    }
    buffer_char(b, '}');
}

static void put_payload(struct buffer *b, uint64_t *random)
{
    uint64_t kind = next_random(random) % 8;
    put_spaces(b, random);
    if (kind == 0) {
        buffer_char(b, '[');
        size_t n = next_random(random) % 4;
        for (size_t i = 0; i < n; i++) {
            put_object(b, random, 3);
            put_spaces(b, random);
            buffer_cstring(b, i + 1 < n ? "," : "");
        }
        buffer_char(b, ']');
    } else if (kind == 1) {
        put_scalar(b, random);
    } else {
        put_object(b, random, 4);
    }
    put_spaces(b, random);
}

/* One slip: a byte more, less or another. */
static void spoil(struct buffer *b, uint64_t *random)
{
    static const char bytes[] = "{}[]\",:\\0159.eE-+ tfn\x01\x80\xff\n";
    size_t at = next_random(random) % b->n;
    char byte = bytes[next_random(random) % (sizeof bytes - 1)];
    switch (next_random(random) % 3) {
    case 0:
        b->p[at] = byte;
        break;
    case 1:
        memmove(b->p + at, b->p + at + 1, b->n - at - 1);
        b->n--;
        break;
    default:
        buffer_char(b, byte);
        memmove(b->p + at + 1, b->p + at, b->n - at - 1);
        b->p[at] = byte;
        break;
    }
}

START_TEST(test_scan_and_tree_tell_the_same)
{
    uint64_t random = (uint64_t)_i;
    struct buffer b = {0};
    for (int round = 0; round < 4000; round++) {
        struct json_reader *reader = reader_of((size_t)(round % N_ASKED));
        buffer_clear(&b);
        put_payload(&b, &random);
        expect(readers_agree(reader, buffer_view(&b)), "round %d", round);
        for (int i = 0; i < 4 && b.n > 0; i++) {
            spoil(&b, &random);
            /* An exact copy, so that a sanitizer sees a read beyond its end. */
            char *exact = malloc(b.n ? b.n : 1);
            ck_assert_ptr_nonnull(exact);
            memcpy(exact, b.p, b.n);
            expect(readers_agree(reader, (struct text){exact, b.n}), "round %d", round);
            free(exact);
        }
        json_reader_free(reader);
    }
    buffer_finish(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("json");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_payloads_take_the_way_that_they_need, 0,
                        sizeof ways / sizeof *ways);
    tcase_add_test(tc, test_more_members_than_the_table_holds_take_the_tree);
    tcase_add_loop_test(tc, test_scan_and_tree_tell_the_same, 0, 4);
    suite_add_tcase(suite, tc);
    return run_tap(suite);
}
