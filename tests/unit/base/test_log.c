#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tap.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: what a pipe takes in one piece */

/* Standard error becomes a socket that keeps each write(2) apart. */
static int writes[2];
static int real_stderr;

static void setup(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, writes), 0);
    real_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(writes[1], STDERR_FILENO), STDERR_FILENO);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
}

static void teardown(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(writes[0]);
    close(writes[1]);
}

/* What the next write(2) wrote; "" when there was none. */
static const char *line(void)
{
    static char bytes[LINE_MAX_BYTES * 2];
    ssize_t n = recv(writes[0], bytes, sizeof bytes - 1, MSG_DONTWAIT);
    bytes[n > 0 ? n : 0] = '\0';
    return bytes;
}

START_TEST(test_log_line_is_one_write_and_keeps_errno)
{
    errno = ENOTTY;
    log_event(LOG_LEVEL_WARNING, "payload rejected", LOG_S("reason", "not json"),
              LOG_I("bytes", -12), LOG_N("value", 25.5), LOG_T("topic", TEXT("a/b")));
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_str_eq(
        line(),
        "<4>payload rejected reason=\"not json\" bytes=-12 value=25.5 topic=a/b\n");
    ck_assert_str_eq(line(), "");
}
END_TEST

START_TEST(test_log_text_has_stamp_and_level)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_LEVEL_ERROR, "stopped", LOG_END);
    const char *l = line();
    ck_assert_str_eq(l + 24, " error stopped\n");
    ck_assert_int_eq(l[10], 'T');
    ck_assert_int_eq(l[23], 'Z');
}
END_TEST

START_TEST(test_log_leaves_out_what_is_below_the_level)
{
    log_event(LOG_LEVEL_DEBUG, "quiet", LOG_END);
    ck_assert_str_eq(line(), "");
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_JOURNAL);
    log_event(LOG_LEVEL_WARNING, "quiet", LOG_END);
    ck_assert_str_eq(line(), "");
    log_event(LOG_LEVEL_ERROR, "heard", LOG_END);
    ck_assert_str_eq(line(), "<3>heard\n");
}
END_TEST

START_TEST(test_log_value_cannot_forge_a_line_or_a_field)
{
    log_event(LOG_LEVEL_INFO, "x", LOG_S("a", "1\n<3>forged b=2"),
              LOG_S("c", "say \"hi\""), LOG_S("d", ""), LOG_S("e", "\\\""));
    ck_assert_str_eq(
        line(),
        "<6>x a=\"1\\x0a<3>forged b=2\" c=\"say \\\"hi\\\"\" d=\"\" e=\"\\\\\\\"\"\n");
}
END_TEST

START_TEST(test_log_writes_numbers_that_are_none)
{
    log_event(LOG_LEVEL_INFO, "x", LOG_N("a", NAN), LOG_N("b", -INFINITY), LOG_N("c", 3),
              LOG_I("d", INT64_MIN));
    ck_assert_str_eq(line(), "<6>x a=nan b=-inf c=3 d=-9223372036854775808\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_event(LOG_LEVEL_INFO, "x", LOG_N("a", NAN), LOG_N("b", INFINITY));
    ck_assert_ptr_nonnull(strstr(line(), ",\"a\":\"nan\",\"b\":\"inf\"}\n"));
}
END_TEST

START_TEST(test_log_cuts_values_and_then_fields)
{
    char large[5000];
    memset(large, 'v', sizeof large);
    struct log_field fields[40];
    for (size_t i = 0; i < 39; i++) {
        fields[i] = LOG_T("field", ((struct text){large, sizeof large}));
    }
    fields[39] = LOG_END;
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JOURNAL,
                                              LOG_FORMAT_JSON};
    static const char *const ends[] = {" cut=1\n", " cut=1\n", ",\"cut\":1}\n"};
    for (size_t i = 0; i < 3; i++) {
        log_configure(LOG_LEVEL_INFO, formats[i]);
        log_fields(LOG_LEVEL_INFO, "large", fields);
        const char *l = line();
        size_t n = strlen(l);
        ck_assert_uint_le(n, LINE_MAX_BYTES);
        ck_assert_uint_gt(n, LINE_MAX_BYTES / 2);
        ck_assert_str_eq(l + n - strlen(ends[i]), ends[i]);
        ck_assert_ptr_nonnull(strstr(l, "vvv..."));
    }
}
END_TEST

START_TEST(test_log_limit_lets_one_a_second_through_and_tells_the_rest)
{
    struct log_limit limit = {0};
    struct mono now = {123456789};
    log_limited(&limit, now, LOG_LEVEL_INFO, "bad", LOG_I("n", 1));
    ck_assert_str_eq(line(), "<6>bad n=1\n");
    for (int i = 0; i < 5; i++) {
        now.us += US_PER_S / 5 - 1;
        log_limited(&limit, now, LOG_LEVEL_INFO, "bad", LOG_I("n", 2));
        ck_assert_str_eq(line(), "");
    }
    now.us += 5;
    log_limited(&limit, now, LOG_LEVEL_INFO, "bad", LOG_I("n", 3));
    ck_assert_str_eq(line(), "<6>bad held_back=5 n=3\n");
    now.us += US_PER_S;
    log_limited(&limit, now, LOG_LEVEL_INFO, "bad", LOG_END);
    ck_assert_str_eq(line(), "<6>bad\n");
}
END_TEST

START_TEST(test_log_limit_does_not_count_what_the_level_leaves_out)
{
    struct log_limit limit = {0};
    log_limited(&limit, (struct mono){1}, LOG_LEVEL_DEBUG, "quiet", LOG_END);
    ck_assert_str_eq(line(), "");
    log_limited(&limit, (struct mono){2}, LOG_LEVEL_INFO, "heard", LOG_END);
    ck_assert_str_eq(line(), "<6>heard\n");
}
END_TEST

START_TEST(test_log_json_is_json_for_any_bytes)
{
    FILE *oracle =
        popen("python3 -c '\n"
              "import json, sys\n"
              "n = 0\n"
              "for line in sys.stdin.buffer:\n"
              "    event = json.loads(line.decode(\"utf-8\"))\n"
              "    assert set(event) <= {\"time\", \"level\", \"msg\", \"a\", \"b\", "
              "\"c\", \"cut\"}, event\n"
              "    assert event[\"msg\"] == \"x\" and event[\"level\"] == \"info\"\n"
              "    n += 1\n"
              "assert n == 5001, n\n"
              "assert event[\"a\"] == \"q\\x22\\\\\\u20ac\\n\\x85\\ufffd\", event\n"
              "' 1>&2",
              "w");
    ck_assert_ptr_nonnull(oracle);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    uint64_t random = 10;
    for (int i = 0; i < 5000; i++) {
        char bytes[300];
        uint64_t r = next_random(&random);
        size_t n = r % sizeof bytes;
        for (size_t j = 0; j < n; j++) {
            uint64_t q = next_random(&random);
            bytes[j] = q & 256 ? (char)q : "\xe2\x82\xac\xc2\x85\\\"\n\0"[(q >> 9) % 9];
        }
        log_event(LOG_LEVEL_INFO, "x", LOG_T("a", ((struct text){bytes, n})),
                  LOG_I("b", i), LOG_N("c", (double)r));
        fputs(line(), oracle);
    }
    log_event(LOG_LEVEL_INFO, "x", LOG_S("a", "q\"\\\xe2\x82\xac\n\xc2\x85\xff"));
    fputs(line(), oracle);
    ck_assert_int_eq(pclose(oracle), 0);
}
END_TEST

START_TEST(test_log_gives_up_on_a_closed_standard_error)
{
    close(STDERR_FILENO);
    errno = 0;
    log_event(LOG_LEVEL_INFO, "x", LOG_END);
    ck_assert_int_eq(errno, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_log_line_is_one_write_and_keeps_errno);
    tcase_add_test(t, test_log_text_has_stamp_and_level);
    tcase_add_test(t, test_log_leaves_out_what_is_below_the_level);
    tcase_add_test(t, test_log_value_cannot_forge_a_line_or_a_field);
    tcase_add_test(t, test_log_writes_numbers_that_are_none);
    tcase_add_test(t, test_log_cuts_values_and_then_fields);
    tcase_add_test(t, test_log_limit_lets_one_a_second_through_and_tells_the_rest);
    tcase_add_test(t, test_log_limit_does_not_count_what_the_level_leaves_out);
    tcase_add_test(t, test_log_json_is_json_for_any_bytes);
    tcase_add_test(t, test_log_gives_up_on_a_closed_standard_error);
    suite_add_tcase(s, t);
    return run_tap(s);
}
