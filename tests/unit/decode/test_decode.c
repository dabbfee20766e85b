/* Bytes to messages (SPEC 3.1-3.4). Each row: what comes in, and all that comes of it,
 * written down as text. oracle_decode.py compares thousands more with Python's json. */
#include "../tap.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/number.h"
#include "decode/decode.h"

#include "entries.h"

#define ARRIVED (INT64_C(1767225600) * US_PER_S) /* 2026-01-01T00:00:00Z */

static struct decoder *decoder_of_entries(void)
{
    struct decoder *d = NULL;
    ck_assert_int_eq(decoder_new(entries, N_ENTRIES, &d), BRINK_OK);
    return d;
}

static struct raw_message raw_of(struct text topic, struct text payload)
{
    return (struct raw_message){
        .topic = topic, .payload = payload, .arrived = {5}, .arrived_wall = {ARRIVED}};
}

/* "tenant/device@time[/site][#seq][*] name=value ...; ...": time relative to arrival in
 * seconds, or `now`. */
static void write_message(struct buffer *out, const struct message *m)
{
    char number[NUMBER_BYTES];
    if (out->n > 0) {
        buffer_cstring(out, "; ");
    }
    buffer_text(out, m->tenant);
    buffer_char(out, '/');
    buffer_text(out, m->device);
    buffer_char(out, '@');
    if (m->at_is_arrival) {
        ck_assert_int_eq(m->at.us, ARRIVED);
        buffer_cstring(out, "now");
    } else {
        buffer_put(out, number,
                   number_print_plain((double)(m->at.us - ARRIVED) / 1e6, number));
    }
    if (m->site.n > 0) {
        buffer_char(out, '/');
        buffer_text(out, m->site);
    }
    if (m->has_seq) {
        buffer_format(out, "#%llu", (unsigned long long)m->seq);
    }
    if (m->heartbeat) {
        buffer_char(out, '*');
    }
    for (size_t i = 0; i < m->n_readings; i++) {
        buffer_char(out, ' ');
        buffer_text(out, m->readings[i].metric);
        buffer_char(out, '=');
        buffer_put(out, number, number_print_plain(m->readings[i].value, number));
    }
    ck_assert_int_eq(m->arrived.us, 5);
}

static const char *const counter_ids[COUNTER_COUNT] = {
#define X(id, name, label, help) [COUNT_##id] = #id,
    COUNTERS(X)
#undef X
};

/* The messages, then the counters that moved: " !NAME" or " !NAME=n". Readings are not
 * told. */
static void check_decodes(struct raw_message raw, const char *expected)
{
    struct decoder *d = decoder_of_entries();
    struct buffer out = {0};
    uint64_t before[COUNTER_COUNT];
    uint64_t readings = 0;
    for (int c = 0; c < COUNTER_COUNT; c++) {
        before[c] = counter_value((enum counter)c);
    }
    decoder_add(d, &raw);
    size_t n;
    const struct message *m = decoder_messages(d, &n);
    for (size_t i = 0; i < n; i++) {
        write_message(&out, &m[i]);
        readings += m[i].n_readings;
    }
    for (int c = 0; c < COUNTER_COUNT; c++) {
        uint64_t moved = counter_value((enum counter)c) - before[c];
        if (c == COUNT_READINGS) {
            ck_assert_uint_eq(moved, readings);
        } else if (moved > 0) {
            buffer_format(&out, moved == 1 ? " !%s" : " !%s=%llu", counter_ids[c],
                          (unsigned long long)moved);
        }
    }
    ck_assert_msg(strcmp(buffer_cstr(&out), expected) == 0,
                  "%.*s\n  expected %s\n  got      %s",
                  (int)(raw.payload.n < 300 ? raw.payload.n : 300), raw.payload.p,
                  expected, buffer_cstr(&out));
    buffer_finish(&out);
    decoder_free(d);
}

struct row {
    const char *topic, *payload, *expected;
};

static const struct row rows[] = {
    /* json: what is a reading */
    {"j/a/d",
     "{\"ts\":\"2026-01-01T00:00:01.5Z\",\"site_id\":\"s1\",\"seq\":5,"
     "\"metrics\":{\"temp_c\":21.37,\"vbat\":3.7}}",
     "a/d@1.5/s1#5 temp_c=21.37 vbat=3.7"},
    {"j/a/d",
     "{\"ts\":1767225599,\"metrics\":{\"a\":true,\"b\":false,\"c\":null,\"d\":[1]}}",
     "a/d@-1 a=1 b=0"},
    {"j/a/d",
     "{\"ts\":1767225599,\"metrics\":{\"a\":\"ON\",\"b\":\"on\",\"c\":\"1\",\"d\":\"\"}}",
     "a/d@-1 a=1 d=-1"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":3}}",
     "a/d@-1 a.b.c=1 a.d=2 e=3"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{\"a\":1,\"b\":2,\"a\":3}}",
     "a/d@-1 b=2 a=3"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{\"a\":{\"b\":1},\"a.b\":2}}",
     "a/d@-1 a.b=2"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{\"a\":1e999,\"b\":2}}",
     "a/d@-1 b=2 !READING_NOT_FINITE"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{\"\":1,\"a\\u0001\":2,\"b\":3}}",
     "a/d@-1 b=3 !READING_NAME=2"},
    {"j/a/d", "{\"ts\":1767225599,\"metrics\":{}}", "a/d@-1"},
    {"j/a/d", "{\"ts\":1767225599}", " !DROP_NO_MEMBER"},
    {"j/a/d", "5", " !DROP_NO_MEMBER"},
    {"j/a/d", "{\"metrics\":5}", " !DROP_NOT_NUMBER"},
    {"j/a/d", "{\"metrics\":[1]}", " !DROP_NOT_NUMBER"},
    {"j/a/d",
     "[{\"ts\":1767225599,\"metrics\":{\"a\":1}},7,{\"ts\":1767225600,\"metrics\":{}}]",
     "a/d@-1 a=1; a/d@0 !DROP_NO_MEMBER"},
    {"j/a/d", "[]", ""},
    /* json: the whole payload, without what the pointers name */
    {"whole/d/2", "{\"ts\":1767225599,\"seq\":1,\"a\":{\"site_id\":7,\"x\":2},\"b\":3}",
     "default/d@-1/7#1 a.x=2 b=3"},
    /* pointers with escapes and indexes */
    {"deep/d", "{\"a/b\":[{\"~\":{\"x\":1}},1767225599]}", "default/d@-1 x=1"},
    {"deep/d", "{\"a/b\":{\"0\":{\"~\":{\"x\":1}},\"1\":1767225599}}",
     "default/d@-1 x=1"},
    /* strict JSON, which cJSON alone is not */
    {"j/a/d", "", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":01}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":1.}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":+1}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":.5}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":NaN}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\":1,}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{}} x", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{}}\x01", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\nb\":1}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"\xff\":1}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"a\\u0000b\":1}}", " !DROP_NOT_JSON"},
    {"j/a/d", "{\"metrics\":{\"\\ud800\":1}}", " !DROP_NOT_JSON"},
    {"j/a/d", "\xef\xbb\xbf{\"ts\":1767225599,\"metrics\":{\"a\":1}}", "a/d@-1 a=1"},
    /* time */
    {"j/a/d", "{\"metrics\":{}}", "a/d@now !TIME_MISSING"},
    {"j/a/d", "{\"ts\":null,\"metrics\":{}}", "a/d@now !TIME_MISSING"},
    {"j/a/d", "{\"ts\":true,\"metrics\":{}}", "a/d@now !TIME_INVALID"},
    {"j/a/d", "{\"ts\":\"noon\",\"metrics\":{}}", "a/d@now !TIME_INVALID"},
    {"j/a/d", "{\"ts\":1e999,\"metrics\":{}}", "a/d@now !TIME_INVALID"},
    {"j/a/d", "{\"ts\":\"1767225599\",\"metrics\":{}}", "a/d@-1"},
    {"j/a/d", "{\"ts\":1767225599123,\"metrics\":{}}", "a/d@-0.877"},
    {"j/a/d", "{\"ts\":\"20260101\",\"metrics\":{}}", "a/d@0"},
    {"j/a/d", "{\"ts\":1767225900,\"metrics\":{}}", "a/d@300"},
    {"j/a/d", "{\"ts\":1767225900.001,\"metrics\":{}}", "a/d@now !TIME_FUTURE"},
    {"j/a/d", "{\"ts\":1000000000,\"metrics\":{}}", "a/d@-767225600"},
    {"j/a/d", "{\"ts\":\"2001-09-09T01:46:39.999Z\",\"metrics\":{}}",
     "a/d@now !TIME_TOO_OLD"},
    /* site and sequence */
    {"j/a/d", "{\"ts\":1767225599,\"site_id\":\"\",\"metrics\":{}}", "a/d@-1"},
    {"j/a/d", "{\"ts\":1767225599,\"site_id\":\"a\\nb\",\"metrics\":{}}", "a/d@-1"},
    {"j/a/d", "{\"ts\":1767225599,\"site_id\":2.5,\"metrics\":{}}", "a/d@-1/2.5"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":\"007\",\"metrics\":{}}", "a/d@-1#7"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":-1,\"metrics\":{\"a\":1}}",
     "a/d@-1 a=1 !SEQ_INVALID"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":1.5,\"metrics\":{}}", "a/d@-1 !SEQ_INVALID"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":null,\"metrics\":{}}", "a/d@-1"},
    {"j/a/d",
     "{\"ts\":1767225599,\"x\":[1,\"2\",3],\"seq\":9007199254740993,\"metrics\":{}}",
     "a/d@-1#9007199254740993"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":9223372036854775808,\"metrics\":{}}",
     "a/d@-1#9223372036854775808"},
    {"j/a/d", "{\"ts\":1767225599,\"seq\":9223372036854775809,\"metrics\":{}}",
     "a/d@-1 !SEQ_INVALID"},
    /* value */
    {"v/d/temp", "21.5", "default/d@now temp=21.5"},
    {"v/d/temp", " -1e1\r\n", "default/d@now temp=-10"},
    {"v/d/temp", "ON", "default/d@now temp=1"},
    {"v/d/temp", "  ", "default/d@now temp=-1"},
    {"v/d/temp", "false", "default/d@now temp=0"},
    {"v/d/temp", "warm", " !DROP_NOT_NUMBER"},
    {"v/d/temp", "nan", " !DROP_NOT_NUMBER"},
    {"v/d/temp", "1 2", " !DROP_NOT_NUMBER"},
    {"v/d/temp", "1e999", " !READING_NOT_FINITE"},
    {"v/d/", "1", " !READING_NAME"},
    {"level/a/d", "7", "a/d@now level=7"},
    {"level/a/d", "", " !DROP_NOT_NUMBER"},
    /* heartbeat */
    {"hb/d", "", "default/d@now*"},
    {"hb/d", "\xff whatever", "default/d@now*"},
    /* topics */
    {"nobody/d", "1", " !DROP_BAD_TOPIC"},
    {"hb/\xff", "1", " !DROP_BAD_TOPIC"},
    {"hb/", "1", " !DROP_BAD_ID"},
    {"j//d", "{}", " !DROP_BAD_ID"},
    {"hb/a\x1b", "1", " !DROP_BAD_ID"},
    {"hb/a\xc2\x9b", "1", " !DROP_BAD_ID"},
};

START_TEST(test_payload_becomes_its_messages)
{
    check_decodes(raw_of(text_of(rows[_i].topic), text_of(rows[_i].payload)),
                  rows[_i].expected);
}
END_TEST

START_TEST(test_id_above_its_limit_drops_the_message)
{
    char topic[ID_BYTES_MAX + 8] = "hb/";
    char expected[ID_BYTES_MAX + 32];
    memset(topic + 3, 'x', ID_BYTES_MAX + 1);
    check_decodes(raw_of((struct text){topic, 3 + ID_BYTES_MAX + 1}, TEXT("")),
                  " !DROP_BAD_ID");
    snprintf(expected, sizeof expected, "default/%.*s@now*", ID_BYTES_MAX, topic + 3);
    check_decodes(raw_of((struct text){topic, 3 + ID_BYTES_MAX}, TEXT("")), expected);
}
END_TEST

START_TEST(test_retained_message_counts_only_where_it_was_asked_for)
{
    struct raw_message raw = raw_of(TEXT("hb/d"), TEXT(""));
    raw.retained = true;
    check_decodes(raw, " !DROP_RETAINED");
    raw = raw_of(TEXT("whole/d/1"), TEXT("{\"ts\":1767225599,\"a\":1}"));
    raw.retained = true;
    check_decodes(raw, "default/d@-1 a=1");
}
END_TEST

START_TEST(test_too_large_payload_is_dropped_unless_nobody_reads_it)
{
    struct raw_message raw = raw_of(TEXT("j/a/d"), TEXT(""));
    raw.too_large = true;
    check_decodes(raw, " !DROP_TOO_LARGE");
    raw.topic = TEXT("v/d/m");
    check_decodes(raw, " !DROP_TOO_LARGE");
    raw.topic = TEXT("hb/d");
    check_decodes(raw, "default/d@now*");
}
END_TEST

START_TEST(test_name_above_its_limit_is_dropped_also_when_it_is_joined)
{
    char name[METRIC_BYTES_MAX + 1], payload[1024], expected[1024];
    memset(name, 'n', sizeof name);
    int most = METRIC_BYTES_MAX;
    snprintf(payload, sizeof payload,
             "{\"ts\":1767225599,\"metrics\":{\"%.*s\":1,\"%.*s\":2}}", most, name,
             most + 1, name);
    snprintf(expected, sizeof expected, "a/d@-1 %.*s=1 !READING_NAME", most, name);
    check_decodes(raw_of(TEXT("j/a/d"), text_of(payload)), expected);
    snprintf(
        payload, sizeof payload,
        "{\"ts\":1767225599,\"metrics\":{\"%.*s\":{\"a\":1,\"ab\":2,\"c\":{\"d\":3}}}}",
        most - 2, name);
    snprintf(expected, sizeof expected, "a/d@-1 %.*s.a=1 !READING_NAME=2", most - 2,
             name);
    check_decodes(raw_of(TEXT("j/a/d"), text_of(payload)), expected);
}
END_TEST

/* n times `item` between open and close, with commas. */
static struct text repeat(struct buffer *b, const char *open, const char *item, size_t n,
                          const char *close)
{
    buffer_clear(b);
    buffer_cstring(b, open);
    for (size_t i = 0; i < n; i++) {
        buffer_cstring(b, i > 0 ? "," : "");
        buffer_cstring(b, item);
    }
    buffer_cstring(b, close);
    ck_assert(buffer_ok(b));
    return buffer_view(b);
}

START_TEST(test_array_beyond_its_limit_is_cut_and_counted)
{
    struct decoder *d = decoder_of_entries();
    struct buffer b = {0};
    struct raw_message raw =
        raw_of(TEXT("whole/d/1"),
               repeat(&b, "[", "{\"a\":1}", MESSAGES_PER_PAYLOAD_MAX + 3, "]"));
    uint64_t before = counter_value(COUNT_DROP_MESSAGE_LIMIT);
    decoder_add(d, &raw);
    size_t n;
    const struct message *m = decoder_messages(d, &n);
    ck_assert_uint_eq(n, MESSAGES_PER_PAYLOAD_MAX);
    ck_assert(text_equal(m[n - 1].readings[0].metric, TEXT("a")));
    ck_assert_uint_eq(counter_value(COUNT_DROP_MESSAGE_LIMIT) - before, 3);
    buffer_finish(&b);
    decoder_free(d);
}
END_TEST

START_TEST(test_depth_beyond_its_limit_is_not_json)
{
    struct buffer b = {0};
    for (int depth = 128; depth <= 129; depth++) {
        buffer_clear(&b);
        buffer_cstring(&b, "{\"metrics\":{},\"ts\":1767225599,\"x\":");
        for (int i = 1; i < depth; i++) {
            buffer_char(&b, '[');
        }
        for (int i = 1; i < depth; i++) {
            buffer_char(&b, ']');
        }
        buffer_char(&b, '}');
        check_decodes(raw_of(TEXT("j/a/d"), buffer_view(&b)),
                      depth == 128 ? "a/d@-1" : " !DROP_NOT_JSON");
    }
    buffer_finish(&b);
}
END_TEST

/* Many messages, of which each must still be what it was when all are there. */
START_TEST(test_messages_of_a_batch_stay_as_they_are_until_reset)
{
    struct decoder *d = decoder_of_entries();
    static char payloads[3000][96];
    size_t n;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3000; i++) {
            snprintf(payloads[i], sizeof payloads[i],
                     "{\"ts\":1767225599,\"site_id\":\"s%d\",\"metrics\":{\"m%d\":%d}}",
                     i, i, i);
            struct raw_message raw = raw_of(TEXT("j/a/d"), text_of(payloads[i]));
            decoder_add(d, &raw);
        }
        const struct message *m = decoder_messages(d, &n);
        ck_assert_uint_eq(n, 3000);
        for (int i = 0; i < 3000; i++) {
            char name[16];
            int k = snprintf(name, sizeof name, "m%d", i);
            expect(text_equal(m[i].readings[0].metric, (struct text){name, (size_t)k}) &&
                       m[i].readings[0].value == i,
                   "reading %d", i);
            name[0] = 's';
            expect(text_equal(m[i].site, (struct text){name, (size_t)k}), "site %d", i);
        }
        decoder_reset(d);
        decoder_messages(d, &n);
        ck_assert_uint_eq(n, 0);
    }
    decoder_free(d);
}
END_TEST

START_TEST(test_memory_of_a_batch_is_bounded)
{
    struct decoder *d = decoder_of_entries();
    struct buffer b = {0}, name = {0};
    /* A small payload that unfolds: a long name joined to a thousand short ones. */
    repeat(&name, "{\"", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", 4,
           "\":{");
    for (int i = 0; i < 1000; i++) {
        buffer_format(&b, "%s\"%d\":1", i > 0 ? "," : buffer_cstr(&name), i);
    }
    buffer_cstring(&b, "}}");
    struct raw_message raw = raw_of(TEXT("whole/d/1"), buffer_view(&b));
    uint64_t before = counter_value(COUNT_DROP_NO_MEMORY);
    ck_assert(!decoder_is_full(d));
    int full_after = 0, added = 0;
    for (; counter_value(COUNT_DROP_NO_MEMORY) == before; added++) {
        ck_assert_int_lt(added, 1000);
        decoder_add(d, &raw);
        full_after = full_after == 0 && decoder_is_full(d) ? added + 1 : full_after;
    }
    ck_assert_int_gt(full_after, 4);
    ck_assert_int_gt(added,
                     4 * full_after); /* who looks at decoder_is_full() never loses one */
    size_t n;
    decoder_messages(d, &n);
    ck_assert_int_eq((int)n, added - 1);
    decoder_reset(d);
    ck_assert(!decoder_is_full(d));
    decoder_add(d, &raw);
    decoder_messages(d, &n);
    ck_assert_uint_eq(n, 1);
    buffer_finish(&b);
    buffer_finish(&name);
    decoder_free(d);
}
END_TEST

int main(void)
{
    entries_init();
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    Suite *s = suite_create("decode");
    TCase *t = tcase_create("decode");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_payload_becomes_its_messages, 0,
                        sizeof rows / sizeof *rows);
    tcase_add_test(t, test_id_above_its_limit_drops_the_message);
    tcase_add_test(t, test_retained_message_counts_only_where_it_was_asked_for);
    tcase_add_test(t, test_too_large_payload_is_dropped_unless_nobody_reads_it);
    tcase_add_test(t, test_name_above_its_limit_is_dropped_also_when_it_is_joined);
    tcase_add_test(t, test_array_beyond_its_limit_is_cut_and_counted);
    tcase_add_test(t, test_depth_beyond_its_limit_is_not_json);
    tcase_add_test(t, test_messages_of_a_batch_stay_as_they_are_until_reset);
    tcase_add_test(t, test_memory_of_a_batch_is_bounded);
    suite_add_tcase(s, t);
    int status = run_tap(s);
    entries_finish();
    return status;
}
