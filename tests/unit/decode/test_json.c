/* JSON is read by a scan where that will do and by cJSON's tree elsewhere (SPEC 3.2), and
 * nobody can tell which. fuzz_json.c looks further. */
#include "../tap.h"

#include <stdio.h>

#include "decode/grammar.h"
#include "decode/scan.h"

#include "agree.h"

static struct json_reader *reader_of(size_t which)
{
    struct json_reader *reader = NULL;
    ck_assert_int_eq(json_reader_new(&asked[which], &reader), BRINK_OK);
    return reader;
}

static void ignore_metric(void *ctx, struct text name, double value)
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
    {0, "{\"metrics\":{\"a\":{\"b\":1},\"a.b\":2}}", SCAN_VISITED},
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
    ck_assert_msg(scan_visit(payload, reader, &nobody, NULL) == ways[_i].way, "%s",
                  ways[_i].payload);
    for (int again = 0; again < 3; again++) { /* by now it may have a shape */
        ck_assert(readers_agree(reader, payload));
    }
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
        ck_assert_int_eq(scan_visit(buffer_view(&b), reader, &nobody, NULL),
                         n <= SCAN_MEMBERS_MAX ? SCAN_VISITED : SCAN_NEEDS_TREE);
        ck_assert(readers_agree(reader, buffer_view(&b)));
        buffer_finish(&b);
        json_reader_free(reader);
    }
}
END_TEST

/* --- the same story --- */

/* Two streams of chance: with the same `shape`, payloads differ in their values alone. */
struct maker {
    uint64_t shape, values;
};

static uint64_t chance(struct maker *m)
{
    return next_random(&m->shape);
}

static const char *pick(const char *const *from, size_t n, uint64_t random)
{
    return from[random % n];
}

/* Names that the readers ask for, near misses, and such as need care. */
static void put_name(struct buffer *b, struct maker *m)
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
        "gr\xc3\xb6\xc3\x9f\x65",
        "x.y",
        "a.b",
        "seq\xc2\x85",
        "\x7f",
        "a_name_that_is_longer_than_eight_bytes_and_than_16"};
    buffer_char(b, '"');
    buffer_cstring(b, pick(names, sizeof names / sizeof *names, chance(m)));
    buffer_char(b, '"');
}

static void put_spaces(struct buffer *b, struct maker *m)
{
    static const char *const spaces[] = {"", "", "", "", "", " ", "\n", "\t\r ", "  "};
    buffer_cstring(b, pick(spaces, sizeof spaces / sizeof *spaces, chance(m)));
}

#define KINDS 5
#define OF_A_KIND 8

/* Mostly of the kind that the shape says, else of any. */
static void put_scalar(struct buffer *b, struct maker *m)
{
    static const char *const scalars[KINDS][OF_A_KIND] = {
        {"0", "-0", "1", "21.37", "1e3", "-1.5E-2", "9007199254740993", "1e999"},
        {"true", "false", "1767225600.25", "21.400000000000002", NUMBER_63, NUMBER_63 "4",
         "123456789012345678901234567890", "5"},
        {"\"ON\"", "\"\"", "\"x\"", "\"OFF\"", "\"O\\u004e\"", "\"a\\b\"", "\"a\\\\b\"",
         "\"s\xc3\xbc"
         "d\""},
        {"\"2026-01-01T00:00:00Z\"", "\"1767225600\"", "\"\"", "\"\xc3\"", "\"ON\"",
         "\"\\n\"", "\"\x01\"", "\"12345678901234567890\""},
        {"null", "null", "[]", "[1,{\"a\":2}]", "{}", "[\"\\u0000\"]", "{\"a\":1}",
         "null"},
    };
    uint64_t kind = chance(m), value = next_random(&m->values);
    kind = value % 32 == 0 ? value >> 16 : kind;
    buffer_cstring(b, scalars[kind % KINDS][(value >> 8) % OF_A_KIND]);
}

static void put_object(struct buffer *b, struct maker *m, int depth)
{
    size_t n = chance(m) % 6;
    buffer_char(b, '{');
    put_spaces(b, m);
    for (size_t i = 0; i < n; i++) {
        put_name(b, m);
        put_spaces(b, m);
        buffer_char(b, ':');
        put_spaces(b, m);
        uint64_t kind = chance(m) % 8;
        if (kind < 3 && depth > 0) {
            put_object(b, m, depth - 1);
        } else if (kind == 3 && depth > 0) {
            buffer_char(b, '[');
            put_object(b, m, depth - 1);
            buffer_char(b, ',');
            put_scalar(b, m);
            buffer_char(b, ']');
        } else {
            put_scalar(b, m);
        }
        put_spaces(b, m);
        if (i + 1 < n) {
            buffer_char(b, ',');
            put_spaces(b, m);
        }
    }
    buffer_char(b, '}');
}

/* What devices send. */
static void put_telemetry(struct buffer *b, struct maker *m)
{
    bool deeper = chance(m) % 2 == 0;
    buffer_cstring(b, deeper ? "{\"a\":{\"ts\":" : "{\"ts\":");
    put_scalar(b, m);
    buffer_cstring(b, ",\"metrics\":");
    put_object(b, m, 2);
    buffer_cstring(b, ",\"seq\":");
    put_scalar(b, m);
    buffer_cstring(b, deeper ? "}}" : "}");
}

static void put_payload(struct buffer *b, struct maker *m)
{
    uint64_t kind = chance(m) % 8;
    put_spaces(b, m);
    if (kind == 0) {
        buffer_char(b, '[');
        size_t n = chance(m) % 4;
        for (size_t i = 0; i < n; i++) {
            put_object(b, m, 3);
            put_spaces(b, m);
            buffer_cstring(b, i + 1 < n ? "," : "");
        }
        buffer_char(b, ']');
    } else if (kind == 1) {
        put_scalar(b, m);
    } else if (kind < 5) {
        put_telemetry(b, m);
    } else {
        put_object(b, m, 4);
    }
    put_spaces(b, m);
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

static void must_agree(struct json_reader *reader, struct text payload, int round)
{
    /* An exact copy, so that a sanitizer sees a read beyond its end. */
    char *exact = malloc(payload.n ? payload.n : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, payload.p, payload.n);
    expect(readers_agree(reader, (struct text){exact, payload.n}), "round %d", round);
    free(exact);
}

START_TEST(test_scan_and_tree_tell_the_same)
{
    struct maker maker = {(uint64_t)_i, (uint64_t)_i};
    uint64_t slips = (uint64_t)_i;
    struct buffer b = {0};
    for (int round = 0; round < 4000; round++) {
        struct json_reader *reader = reader_of((size_t)(round % N_ASKED));
        buffer_clear(&b);
        put_payload(&b, &maker);
        must_agree(reader, buffer_view(&b), round);
        for (int i = 0; i < 4 && b.n > 0; i++) {
            spoil(&b, &slips);
            must_agree(reader, buffer_view(&b), round);
        }
        json_reader_free(reader);
    }
    buffer_finish(&b);
}
END_TEST

/* Payloads of a few shapes take turns, with other values each time and now and then a
 * slip. */
START_TEST(test_shapes_lead_nobody_astray)
{
    uint64_t random = (uint64_t)_i, values = random;
    struct buffer b = {0};
    for (int round = 0; round < 500; round++) {
        struct json_reader *reader = reader_of((size_t)(round % N_ASKED));
        uint64_t first = next_random(&random);
        size_t n_shapes = 1 + next_random(&random) % (SHAPES_MAX + 4);
        for (int i = 0; i < 60; i++) {
            struct maker maker = {first + next_random(&random) % n_shapes,
                                  next_random(&values)};
            buffer_clear(&b);
            put_payload(&b, &maker);
            if (next_random(&random) % 4 == 0 && b.n > 0) {
                spoil(&b, &random);
            }
            must_agree(reader, buffer_view(&b), round);
        }
        json_reader_free(reader);
    }
    buffer_finish(&b);
}
END_TEST

static void note_shape(void *ctx, const struct json_payload *payload)
{
    *(uint32_t *)ctx = payload->shape;
}

static uint32_t shape_of(struct json_reader *reader, const char *payload)
{
    uint32_t shape = 77;
    size_t left_out;
    const struct json_visitor visitor = {&shape, ignore_metric, note_shape};
    ck_assert_int_eq(json_visit(text_of(payload), reader, &visitor, &left_out), BRINK_OK);
    ck_assert(readers_agree(reader, text_of(payload)));
    return shape;
}

START_TEST(test_payloads_of_one_shape_are_told_as_such)
{
    struct json_reader *reader = reader_of(0), *other = reader_of(0);
    ck_assert_uint_eq(shape_of(reader, "{\"ts\":1,\"metrics\":{\"a\":1,\"b\":2}}"), 0);
    uint32_t ab = shape_of(reader, "{\"ts\":\"x\",\"metrics\":{\"a\":true,\"b\":-5e3}}");
    ck_assert_uint_ne(ab, 0);
    /* The same names in another payload are another shape, even in another reader. */
    (void)shape_of(reader, "{\"metrics\":{\"a\":1,\"b\":2}}");
    uint32_t without = shape_of(reader, "{\"metrics\":{\"a\":1,\"b\":2}}");
    ck_assert(without != 0 && without != ab);
    (void)shape_of(other, "{\"ts\":1,\"metrics\":{\"a\":1,\"b\":2}}");
    ck_assert_uint_ne(shape_of(other, "{\"ts\":1,\"metrics\":{\"a\":1,\"b\":2}}"), ab);
    /* It holds for good, and in arrays; but only where each metric is a reading. */
    ck_assert_uint_eq(shape_of(reader, "[{\"ts\":3,\"metrics\":{\"a\":1,\"b\":7}}]"), ab);
    ck_assert_uint_eq(shape_of(reader, "{\"ts\":1,\"metrics\":{\"a\":\"ON\",\"b\":2}}"),
                      ab);
    ck_assert_uint_eq(shape_of(reader, "{\"ts\":1,\"metrics\":{\"a\":null,\"b\":2}}"), 0);
    ck_assert_uint_eq(shape_of(reader, "{\"ts\":1,\"metrics\":{\"a\":1e999,\"b\":2}}"),
                      0);
    ck_assert_uint_eq(shape_of(reader, "{\"ts\":1,\"metrics\":{\"a\":\"no\",\"b\":2}}"),
                      0);
    json_reader_free(reader);
    json_reader_free(other);
}
END_TEST

/* Depth counts from the payload on, also where only a value is read. */
START_TEST(test_a_shape_does_not_let_deeper_values_in)
{
    struct json_reader *reader = reader_of(0);
    char payload[6 * JSON_DEPTH_MAX], open[JSON_DEPTH_MAX + 1], shut[JSON_DEPTH_MAX + 1];
    memset(open, '[', sizeof open);
    memset(shut, ']', sizeof shut);
    for (int depth = 1; depth <= JSON_DEPTH_MAX; depth++) {
        (void)snprintf(payload, sizeof payload,
                       "{\"metrics\":{\"a\":1,\"b\":[%.*s%.*s]},\"x\":%.*s%.*s}",
                       depth - 1, open, depth - 1, shut, depth, open, depth, shut);
        expect(readers_agree(reader, text_of(payload)), "%d deep", depth);
    }
    json_reader_free(reader);
}
END_TEST

START_TEST(test_payloads_that_are_all_different_are_not_learned_from_for_long)
{
    struct shapes shapes = {0};
    size_t wanted = 0;
    for (int i = 0; i < 1000; i++) {
        wanted += shapes_want(&shapes);
    }
    ck_assert_uint_ge(wanted, 1000 / (SHAPE_PAUSE_MAX + 1));
    ck_assert_uint_le(wanted, 1000 / SHAPE_PAUSE_MAX + 6);
    shapes_finish(&shapes);
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
    tcase_add_loop_test(tc, test_shapes_lead_nobody_astray, 0, 4);
    tcase_add_test(tc, test_payloads_of_one_shape_are_told_as_such);
    tcase_add_test(tc, test_a_shape_does_not_let_deeper_values_in);
    tcase_add_test(tc,
                   test_payloads_that_are_all_different_are_not_learned_from_for_long);
    suite_add_tcase(suite, tc);
    return run_tap(suite);
}
