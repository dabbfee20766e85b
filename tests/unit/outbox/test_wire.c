#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "outbox/wire.h"

static struct buffer b;

static void setup(void)
{
    b = (struct buffer){0};
}

static void teardown(void)
{
    buffer_finish(&b);
}

START_TEST(test_options_come_back_as_they_were)
{
    const char *servers[] = {"mqtt://a", "mqtts://b:1"};
    struct mqtt_options o = {.servers = servers,
                             .n_servers = 2,
                             .version = 5,
                             .client_id = "id",
                             .username = "u",
                             .password = "",
                             .has_tls = true,
                             .key_file = "k",
                             .tls_insecure = true,
                             .keep_alive_us = 1234567890123,
                             .session_expiry_us = 7,
                             .packet_bytes_max = 99};
    wire_write_options(&b, &o);
    ck_assert(buffer_ok(&b));
    ck_assert_int_eq(wire_kind(buffer_view(&b)), WIRE_OPTIONS);
    const char *list[WIRE_SERVERS_MAX];
    struct mqtt_options got;
    ck_assert_int_eq(wire_read_options(buffer_view(&b), list, &got), BRINK_OK);
    ck_assert_uint_eq(got.n_servers, 2);
    ck_assert_str_eq(got.servers[0], "mqtt://a");
    ck_assert_str_eq(got.servers[1], "mqtts://b:1");
    ck_assert_int_eq(got.version, 5);
    ck_assert_str_eq(got.client_id, "id");
    ck_assert_str_eq(got.username, "u");
    ck_assert_str_eq(got.password, ""); /* empty is not absent */
    ck_assert_ptr_null(got.ca_file);
    ck_assert_str_eq(got.key_file, "k");
    ck_assert(got.has_tls && got.tls_insecure);
    ck_assert_int_eq(got.keep_alive_us, 1234567890123);
    ck_assert_int_eq(got.session_expiry_us, 7);
    ck_assert_uint_eq(got.packet_bytes_max, 99);
    ck_assert_ptr_null(got.will_topic);
}
END_TEST

START_TEST(test_events_logs_and_reports_come_back_as_they_were)
{
    struct outbox_event e = {.id = UINT64_MAX,
                             .topic = TEXT("t"),
                             .payload = {"\0\xff", 2},
                             .qos = 2,
                             .retain = true};
    struct outbox_event event;
    wire_write_event(&b, &e);
    ck_assert_int_eq(wire_read_event(buffer_view(&b), &event), BRINK_OK);
    ck_assert_uint_eq(event.id, e.id);
    ck_assert(text_equal(event.topic, e.topic) && text_equal(event.payload, e.payload));
    ck_assert(event.qos == 2 && event.retain);

    struct wire_log log;
    wire_write_log(&b, (struct wire_log){LOG_LEVEL_DEBUG, LOG_FORMAT_JSON});
    ck_assert_int_eq(wire_read_log(buffer_view(&b), &log), BRINK_OK);
    ck_assert(log.level == LOG_LEVEL_DEBUG && log.format == LOG_FORMAT_JSON);

    static struct wire_report r, got;
    r = (struct wire_report){
        .connected = true, .blocked = 3, .retried = 4, .n = WIRE_ANSWERS_MAX};
    for (uint32_t i = 0; i < r.n; i++) {
        r.answers[i] = (struct wire_answer){i * UINT64_C(10000000000), i % 3};
    }
    wire_write_report(&b, &r);
    ck_assert_uint_le(b.n, WIRE_RECORD_BYTES_MAX);
    ck_assert_int_eq(wire_read_report(buffer_view(&b), &got), BRINK_OK);
    ck_assert(got.connected && got.blocked == 3 && got.retried == 4 && got.n == r.n);
    for (uint32_t i = 0; i < r.n; i++) {
        expect(got.answers[i].id == r.answers[i].id &&
                   got.answers[i].verdict == r.answers[i].verdict,
               "answer %u", i);
    }
}
END_TEST

START_TEST(test_largest_event_fits_a_record)
{
    static char bytes[OUTBOX_PAYLOAD_BYTES_MAX];
    struct outbox_event e = {.topic = {bytes, 65535}, .payload = {bytes, sizeof(bytes)}};
    wire_write_event(&b, &e);
    ck_assert_uint_le(b.n, WIRE_RECORD_BYTES_MAX);
}
END_TEST

/* Every truncation, every single changed byte: refused or read, never past the end (the
 * record lies at the end of its own allocation, for the address sanitizer to see). */
static void read_all(const char *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, n);
    struct text t = {copy, n};
    const char *servers[WIRE_SERVERS_MAX];
    struct mqtt_options o;
    struct outbox_event e;
    struct wire_log l;
    static struct wire_report r;
    (void)wire_kind(t);
    bool ok = wire_read_options(t, servers, &o) == BRINK_OK;
    if (ok) {
        for (size_t i = 0; i < o.n_servers; i++) {
            ok = ok && strlen(o.servers[i]) < n;
        }
    }
    (void)(wire_read_event(t, &e) == BRINK_OK);
    (void)(wire_read_log(t, &l) == BRINK_OK);
    (void)(wire_read_report(t, &r) == BRINK_OK);
    free(copy);
}

START_TEST(test_broken_records_are_refused)
{
    const char *servers[] = {"mqtt://a"};
    struct mqtt_options o = {.servers = servers, .n_servers = 1, .client_id = "id"};
    struct outbox_event e = {.id = 1, .topic = TEXT("t"), .payload = TEXT("p")};
    static struct wire_report r;
    r.n = 2;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0) {
            wire_write_options(&b, &o);
        } else if (kind == 1) {
            wire_write_event(&b, &e);
        } else {
            wire_write_report(&b, &r);
        }
        for (size_t n = 0; n < b.n; n++) {
            struct outbox_event event;
            struct text cut = {b.p, n};
            expect(kind != 1 || wire_read_event(cut, &event) == BRINK_E_SYNTAX,
                   "cut at %zu", n);
            expect(kind != 2 || wire_read_report(cut, &r) == BRINK_E_SYNTAX, "cut at %zu",
                   n);
            read_all(b.p, n);
            for (int v = 0; v < 256; v++) {
                char was = b.p[n];
                b.p[n] = (char)(unsigned char)v;
                read_all(b.p, b.n);
                b.p[n] = was;
            }
        }
    }
}
END_TEST

static Suite *wire_suite(void)
{
    Suite *s = suite_create("wire");
    TCase *t = tcase_create("wire");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_options_come_back_as_they_were);
    tcase_add_test(t, test_events_logs_and_reports_come_back_as_they_were);
    tcase_add_test(t, test_largest_event_fits_a_record);
    tcase_add_test(t, test_broken_records_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(wire_suite());
}
