#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../tap.h"
#include "mqtt/address.h"
#include "mqtt/client.h"

static const struct {
    const char *text, *uri;
    bool tls, websocket;
    unsigned port;
} good[] = {
    {"mqtt://host", "tcp://host:1883", false, false, 1883},
    {"mqtts://host", "ssl://host:8883", true, false, 8883},
    {"ws://host", "ws://host:80", false, true, 80},
    {"wss://host", "wss://host:443", true, true, 443},
    {"mqtt://host/", "tcp://host:1883", false, false, 1883},
    {"mqtt://10.0.0.1:1", "tcp://10.0.0.1:1", false, false, 1},
    {"mqtts://a-b.example:65535", "ssl://a-b.example:65535", true, false, 65535},
    {"mqtt://my_broker", "tcp://my_broker:1883", false, false, 1883},
    {"mqtt://[::1]", "tcp://[::1]:1883", false, false, 1883},
    {"mqtts://[fe80::1%eth0]:99", "ssl://[fe80::1%eth0]:99", true, false, 99},
    {"ws://host:8080/mqtt", "ws://host:8080/mqtt", false, true, 8080},
    {"wss://host/a/b?c=d", "wss://host:443/a/b?c=d", true, true, 443},
};

START_TEST(test_addresses_are_read_and_given_their_port)
{
    struct mqtt_address a;
    const char *why = NULL;
    ck_assert_int_eq(mqtt_address_parse(good[_i].text, &a, &why), BRINK_OK);
    ck_assert_str_eq(a.uri, good[_i].uri);
    ck_assert_int_eq(a.tls, good[_i].tls);
    ck_assert_int_eq(a.websocket, good[_i].websocket);
    ck_assert_uint_eq(a.port, good[_i].port);
    bool tls = !good[_i].tls;
    ck_assert_int_eq(mqtt_server_check(good[_i].text, &tls, &why), BRINK_OK);
    ck_assert_int_eq(tls, good[_i].tls);
    ck_assert_ptr_null(why);
}
END_TEST

static const struct {
    const char *text, *why;
    enum brink_status status;
} bad[] = {
    {"", "must begin", BRINK_E_SYNTAX},
    {"host:1883", "must begin", BRINK_E_SYNTAX},
    {"tcp://host", "must begin", BRINK_E_SYNTAX},
    {"MQTT://host", "must begin", BRINK_E_SYNTAX},
    {" mqtt://host", "must begin", BRINK_E_SYNTAX},
    {"mqtt://", "no host", BRINK_E_SYNTAX},
    {"mqtt://:1883", "no host", BRINK_E_SYNTAX},
    {"mqtt:///x", "path", BRINK_E_SYNTAX},
    {"mqtt://host/topic", "path", BRINK_E_SYNTAX},
    {"mqtt://user:secret@host", "user name", BRINK_E_SYNTAX},
    {"mqtt://ho st", "character", BRINK_E_SYNTAX},
    {"mqtt://h\xc3\xb6st", "character", BRINK_E_SYNTAX},
    {"mqtt://host,other", "character", BRINK_E_SYNTAX},
    {"mqtt://[::1", "bracket", BRINK_E_SYNTAX},
    {"mqtt://[]", "no host", BRINK_E_SYNTAX},
    {"mqtt://::1", "port", BRINK_E_SYNTAX},
    {"ws://host/a b", "path", BRINK_E_SYNTAX},
    {"mqtt://host:", "port", BRINK_E_RANGE},
    {"mqtt://host:0", "port", BRINK_E_RANGE},
    {"mqtt://host:65536", "port", BRINK_E_RANGE},
    {"mqtt://host:99999999999999999999", "port", BRINK_E_RANGE},
    {"mqtt://host:-1", "port", BRINK_E_RANGE},
    {"mqtt://host:18x", "port", BRINK_E_RANGE},
};

START_TEST(test_bad_addresses_are_refused_with_a_reason)
{
    struct mqtt_address a = {.port = 7};
    const char *why = NULL;
    enum brink_status st = mqtt_address_parse(bad[_i].text, &a, &why);
    ck_assert_msg(st != BRINK_OK, "%s", bad[_i].text);
    ck_assert_ptr_nonnull(why);
    if (strcmp(bad[_i].why, "port") != 0 || st == BRINK_E_RANGE) {
        ck_assert_int_eq(st, bad[_i].status);
        ck_assert_msg(strstr(why, bad[_i].why), "%s: %s", bad[_i].text, why);
    }
    ck_assert_uint_eq(a.port, 7); /* untouched */
}
END_TEST

START_TEST(test_longest_address_fits_and_longer_ones_are_refused)
{
    char text[2048];
    const char *why;
    struct mqtt_address a;
    for (int over = 0; over < 2; over++) {
        (void)snprintf(text, sizeof(text), "wss://%0*d:65535/%0*d",
                       MQTT_HOST_BYTES_MAX + over, 0, MQTT_PATH_BYTES_MAX - 1, 0);
        ck_assert_int_eq(mqtt_address_parse(text, &a, &why),
                         over ? BRINK_E_SYNTAX : BRINK_OK);
        ck_assert(over || strcmp(a.uri, text) == 0);
    }
    (void)snprintf(text, sizeof(text), "wss://h/%0*d", MQTT_PATH_BYTES_MAX, 0);
    ck_assert_int_eq(mqtt_address_parse(text, &a, &why), BRINK_E_SYNTAX);
}
END_TEST

static Suite *address_suite(void)
{
    Suite *s = suite_create("mqtt address");
    TCase *t = tcase_create("address");
    tcase_add_loop_test(t, test_addresses_are_read_and_given_their_port, 0,
                        (int)(sizeof(good) / sizeof(good[0])));
    tcase_add_loop_test(t, test_bad_addresses_are_refused_with_a_reason, 0,
                        (int)(sizeof(bad) / sizeof(bad[0])));
    tcase_add_test(t, test_longest_address_fits_and_longer_ones_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(address_suite());
}
