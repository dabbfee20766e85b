/* TLS, client certificates, passwords and websockets, against a real broker with
 * certificates made here. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "broker.h"

static struct broker broker;
static char url_text[64], ca[96], other_ca[96], cert[96], key[96];
static const char *url = url_text;

/* An authority, and what it signed: a server named localhost and 127.0.0.1, a server of
 * another name, a client. And an authority that signed nothing. */
static void make_certificates(const char *dir)
{
    char command[2048];
    (void)snprintf(
        command, sizeof(command),
        "cd '%s' && exec >openssl.log 2>&1 && set -e\n"
        "key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
        "new=\"openssl req -x509 $key -days 2\"\n"
        "$new -keyout ca.key -out ca.pem -subj /CN=authority\n"
        "$new -keyout other.key -out other.pem -subj /CN=other-authority\n"
        "sign() {\n"
        "  openssl req $key -keyout $1.key -out $1.csr -subj /CN=$1\n"
        "  printf '%%s' \"$2\" >$1.ext\n"
        "  openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile $1.ext -out $1.pem\n"
        "}\n"
        "sign server 'subjectAltName=DNS:localhost,IP:127.0.0.1'\n"
        "sign stranger 'subjectAltName=DNS:elsewhere.example'\n"
        "sign client 'extendedKeyUsage=clientAuth'\n",
        dir);
    ck_assert_int_eq(system(command), 0);
    (void)snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    (void)snprintf(other_ca, sizeof(other_ca), "%s/other.pem", dir);
    (void)snprintf(cert, sizeof(cert), "%s/client.pem", dir);
    (void)snprintf(key, sizeof(key), "%s/client.key", dir);
}

static void start(const char *scheme, const char *host, const char *lines)
{
    broker_prepare(&broker, scheme, lines);
    make_certificates(broker.dir);
    broker_start(&broker);
    (void)snprintf(url_text, sizeof(url_text), "%s://%s:%u", scheme, host, broker.port);
}

static void teardown(void)
{
    broker_finish(&broker);
}

#define SERVER(name)                                                                     \
    "allow_anonymous true\n"                                                             \
    "cafile %s/ca.pem\ncertfile %s/" name ".pem\nkeyfile %s/" name ".key\n"

static struct mqtt_options options(const char *ca_file)
{
    struct mqtt_options o = peer_options(&url, "a", 5);
    o.has_tls = true;
    o.ca_file = ca_file;
    return o;
}

static void works(const struct mqtt_options *o)
{
    struct peer *p = peer_new(o);
    peer_await_events(p, MQTT_CONNECTED, 1);
    peer_subscribe(p, "t", 1);
    char big[70000]; /* more than one record of TLS, or one frame */
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    peer_publish(p, "t", big, 1, false);
    peer_await_messages(p, 1);
    ck_assert_str_eq(p->messages[0].payload, big);
    peer_free(p, US_PER_S);
}

/* Fails twice, never connects, and says why. */
static void fails(const struct mqtt_options *o, const char *why)
{
    struct peer *p = peer_new(o);
    peer_await_events(p, MQTT_CONNECT_FAILED, 2);
    ck_assert_uint_eq(peer_events(p, MQTT_CONNECTED), 0);
    const char *told = peer_event(p, MQTT_CONNECT_FAILED, 0)->why;
    ck_assert_msg(strstr(told, why), "%s", told);
    ck_assert_msg(strstr(told, url), "%s", told);
    peer_free(p, 0);
}

START_TEST(test_server_of_the_right_name_is_trusted)
{
    start("mqtts", _i ? "localhost" : "127.0.0.1", SERVER("server"));
    struct mqtt_options o = options(ca);
    works(&o);
}
END_TEST

START_TEST(test_server_of_an_unknown_authority_is_refused)
{
    start("mqtts", "localhost", SERVER("server"));
    struct mqtt_options o = options(_i ? other_ca : NULL); /* NULL: the system's */
    fails(&o, "certificate verify failed");
    o.tls_insecure = true;
    works(&o);
}
END_TEST

START_TEST(test_server_of_another_name_is_refused)
{
    start("mqtts", _i ? "localhost" : "127.0.0.1", SERVER("stranger"));
    struct mqtt_options o = options(ca);
    fails(&o, "does not name");
    o.tls_insecure = true;
    works(&o);
}
END_TEST

START_TEST(test_client_certificate_is_shown)
{
    start("mqtts", "localhost", SERVER("server") "require_certificate true\n");
    struct mqtt_options o = options(ca);
    fails(&o, "");
    o.cert_file = cert;
    o.key_file = key;
    works(&o);
}
END_TEST

START_TEST(test_file_that_cannot_be_read_is_told)
{
    start("mqtts", "localhost", SERVER("server"));
    struct mqtt_options o = options("/no/such/ca.pem");
    fails(&o, "no such file");
}
END_TEST

START_TEST(test_websockets_carry_it_too)
{
    char lines[512];
    /* mosquitto does not start without a listener of the ordinary kind. */
    (void)snprintf(lines, sizeof(lines), "%sprotocol websockets\nlistener %u 127.0.0.1\n",
                   _i ? SERVER("server") : "allow_anonymous true\n", free_port());
    start(_i ? "wss" : "ws", "localhost", lines);
    struct mqtt_options o = options(ca);
    works(&o);
}
END_TEST

/* As test_client.c has it without TLS: Paho would free what it could not send twice. */
START_TEST(test_publishing_to_a_connection_that_is_gone)
{
    start("mqtts", "127.0.0.1", SERVER("server"));
    struct mqtt_options o = options(ca);
    struct peer *p = peer_new(&o);
    peer_await_events(p, MQTT_CONNECTED, 1);
    ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
    broker_break_sending(&broker);
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("in vain"), _i, false, NULL, 0),
                     BRINK_OK);
    peer_await_events(p, MQTT_LOST, 1);
    broker_kill(&broker, SIGKILL);
    broker_start(&broker);
    peer_await_events(p, MQTT_CONNECTED, 2);
    peer_publish(p, "t", "again", 1, false);
    peer_free(p, US_PER_S);
}
END_TEST

START_TEST(test_password_is_checked)
{
    broker_prepare(&broker, "mqtt",
                   "allow_anonymous false\npassword_file %s/passwords\n");
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "mosquitto_passwd -c -b '%s/passwords' gw right", broker.dir);
    ck_assert_int_eq(system(command), 0);
    broker_start(&broker);
    (void)snprintf(url_text, sizeof(url_text), "%s", broker.url);
    struct mqtt_options o = peer_options(&url, "a", _i ? 5 : 3);
    o.username = "gw";
    o.password = "right";
    works(&o);
    o.password = "wrong";
    fails(&o, _i ? "Not authorized" : "not authorized");
    o.username = o.password = NULL;
    fails(&o, "uthorized");
}
END_TEST

static Suite *tls_suite(void)
{
    Suite *s = suite_create("mqtt tls");
    TCase *t = tcase_create("tls");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, test_server_of_the_right_name_is_trusted, 0, 2);
    tcase_add_loop_test(t, test_server_of_an_unknown_authority_is_refused, 0, 2);
    tcase_add_loop_test(t, test_server_of_another_name_is_refused, 0, 2);
    tcase_add_test(t, test_client_certificate_is_shown);
    tcase_add_test(t, test_file_that_cannot_be_read_is_told);
    tcase_add_loop_test(t, test_websockets_carry_it_too, 0, 2);
    tcase_add_loop_test(t, test_publishing_to_a_connection_that_is_gone, 0, 3);
    tcase_add_loop_test(t, test_password_is_checked, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(tls_suite());
}
