/* What a session does when the connection breaks at the worst byte: the broker is a
 * script. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tap.h"
#include "broker.h"

#define CONNECT 0x10
#define PUBLISH 0x30
#define PUBREC 0x50
#define PUBCOMP 0x70
#define SUBSCRIBE 0x82
#define UNSUBSCRIBE 0xa2

static int listener = -1;
static char url_text[64];
static const char *url = url_text;

static void setup(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(url_text, sizeof(url_text), "mqtt://127.0.0.1:%u", ntohs(at.sin_port));
}

static void teardown(void)
{
    (void)close(listener);
}

/* The client's next connection. */
static int take(struct peer *p)
{
    for (int turns = 0; turns < WAIT_MS / 10; turns++) {
        struct pollfd fd = {.fd = listener, .events = POLLIN};
        if (poll(&fd, 1, 0) > 0) {
            return accept(listener, NULL, NULL);
        }
        peer_turn(p, 10);
    }
    ck_abort_msg("the client does not connect");
    return -1;
}

static void read_fully(int fd, unsigned char *out, size_t n)
{
    while (n > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
        ssize_t got = read(fd, out, n);
        ck_assert_int_gt(got, 0);
        out += got;
        n -= (size_t)got;
    }
}

/* The next packet (of less than 128 bytes) must be of this type; its body. */
static size_t expect_packet(int fd, int type, unsigned char body[128])
{
    unsigned char head[2];
    read_fully(fd, head, 2);
    ck_assert_int_eq(head[0] & 0xf0, type & 0xf0);
    ck_assert_int_lt(head[1], 128);
    read_fully(fd, body, head[1]);
    return head[1];
}

static void say(int fd, const void *bytes, size_t n)
{
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
}
#define SAY(fd, literal) say((fd), (literal), sizeof(literal) - 1)

static bool is_silent(int fd, struct peer *p, int ms)
{
    for (int waited = 0; waited < ms; waited += 10) {
        struct pollfd f = {.fd = fd, .events = POLLIN};
        if (poll(&f, 1, 0) > 0) {
            return false;
        }
        peer_turn(p, 10);
    }
    return true;
}

/* Connects; session: the broker says that it has one. */
static int meet(struct peer *p, int version, bool session)
{
    unsigned char body[128];
    size_t n = peer_events(p, MQTT_CONNECTED);
    int fd = take(p);
    (void)expect_packet(fd, CONNECT, body);
    char connack[] = {0x20, version == 5 ? 3 : 2, session ? 1 : 0, 0, 0};
    say(fd, connack, version == 5 ? 5 : 4);
    peer_await_events(p, MQTT_CONNECTED, n + 1);
    ck_assert(peer_event(p, MQTT_CONNECTED, n)->session_present == session);
    return fd;
}

static const int versions[] = {3, 5};

START_TEST(test_qos_2_message_survives_a_loss_between_pubrec_and_pubrel)
{
    bool v5 = versions[_i] == 5;
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", versions[_i]);
    o.session_expiry_us = 3600 * US_PER_S;
    struct peer *p = peer_new(&o);
    int fd = meet(p, versions[_i], false);
    if (v5) {
        SAY(fd, "\x34\x07\x00\x01t\x00\x07\x00x"); /* topic t, packet id 7, payload x */
    } else {
        SAY(fd, "\x34\x06\x00\x01t\x00\x07x");
    }
    (void)expect_packet(fd, PUBREC, body);
    ck_assert_int_eq(body[1], 7);
    (void)close(fd);
    peer_await_events(p, MQTT_LOST, 1);
    ck_assert_uint_eq(peer_count(p), v5 ? 1 : 0); /* 3.1.1: not before the PUBREL */

    fd = meet(p, versions[_i], true);
    SAY(fd, "\x62\x02\x00\x07"); /* PUBREL: the broker need not send the message again */
    (void)expect_packet(fd, PUBCOMP, body);
    peer_await_messages(p, 1);
    ck_assert_uint_eq(peer_count(p), 1);
    ck_assert_str_eq(p->messages[0].payload, "x");
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_repeated_qos_2_message_is_delivered_once)
{
    bool v5 = versions[_i] == 5;
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", versions[_i]);
    o.session_expiry_us = 3600 * US_PER_S;
    struct peer *p = peer_new(&o);
    int fd = -1;
    for (int round = 0; round < 2; round++) {
        fd = meet(p, versions[_i], round > 0);
        if (v5) {
            SAY(fd, "\x3c\x07\x00\x01t\x00\x07\x00x");
        } else {
            SAY(fd, "\x3c\x06\x00\x01t\x00\x07x");
        }
        (void)expect_packet(fd, PUBREC, body);
        if (round == 0) {
            (void)close(fd);
            peer_await_events(p, MQTT_LOST, 1);
        }
    }
    SAY(fd, "\x62\x02\x00\x07");
    (void)expect_packet(fd, PUBCOMP, body);
    peer_await_messages(p, 1);
    ck_assert(is_silent(fd, p, 200));
    ck_assert_uint_eq(peer_count(p), 1);
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_clean_client_never_resends_what_was_in_flight)
{
    bool v5 = versions[_i] == 5;
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", versions[_i]);
    struct peer *p = peer_new(&o);
    int fd = take(p);
    (void)expect_packet(fd, CONNECT, body);
    if (v5) {
        SAY(fd, "\x20\x06\x00\x00\x03\x21\x00\x01"); /* one message in flight at most */
    } else {
        SAY(fd, "\x20\x02\x00\x00");
    }
    peer_await_events(p, MQTT_CONNECTED, 1);
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("old"), 1, false, NULL, 1),
                     BRINK_OK);
    size_t n = expect_packet(fd, PUBLISH, body);
    ck_assert_int_eq(memcmp(body + n - 3, "old", 3), 0);
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("more"), 1, false, NULL, 1),
                     v5 ? BRINK_E_LIMIT : BRINK_OK);
    if (!v5) {
        (void)expect_packet(fd, PUBLISH, body);
    }
    (void)close(fd);
    peer_await_events(p, MQTT_LOST, 1);

    fd = meet(p, versions[_i], false);
    ck_assert(is_silent(fd, p, 500));
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("new"), 1, false, NULL, 2),
                     BRINK_OK);
    n = expect_packet(fd, PUBLISH, body);
    ck_assert_int_eq(memcmp(body + n - 3, "new", 3), 0);
    char puback[] = {0x40, 2, (char)body[3], (char)body[4]};
    say(fd, puback, sizeof(puback));
    peer_await_events(p, MQTT_PUBLISHED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_PUBLISHED, 0)->tag, 2);
    ck_assert_uint_eq(peer_events(p, MQTT_REFUSED),
                      0); /* nothing of the old connection */
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_answers_of_an_old_connection_are_not_told)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", versions[_i]);
    o.session_expiry_us = 3600 * US_PER_S;
    struct peer *p = peer_new(&o);
    int fd = meet(p, versions[_i], false);
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("old"), 1, false, NULL, 1),
                     BRINK_OK);
    (void)expect_packet(fd, PUBLISH, body);
    (void)close(fd);
    peer_await_events(p, MQTT_LOST, 1);
    /* With a session Paho sends it again by itself; its answer is of no connection of
     * ours. */
    fd = meet(p, versions[_i], true);
    (void)expect_packet(fd, PUBLISH, body);
    char puback[] = {0x40, 2, (char)body[3], (char)body[4]};
    say(fd, puback, sizeof(puback));
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("new"), 1, false, NULL, 2),
                     BRINK_OK);
    (void)expect_packet(fd, PUBLISH, body);
    char puback2[] = {0x40, 2, (char)body[3], (char)body[4]};
    say(fd, puback2, sizeof(puback2));
    peer_await_events(p, MQTT_PUBLISHED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_PUBLISHED, 0)->tag, 2);
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_what_the_broker_announces_is_kept_to)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", 5);
    o.packet_bytes_max = 70000;
    struct peer *p = peer_new(&o);
    int fd = take(p);
    size_t n = expect_packet(fd, CONNECT, body);
    /* Properties after "MQTT", version, flags, keep alive: maximum packet size 70000. */
    ck_assert_uint_gt(n, 16);
    ck_assert_int_eq(memcmp(body + 10, "\x05\x27\x00\x01\x11\x70", 6), 0);
    /* Maximum packet size 20, maximum QoS 1, no retained messages. */
    SAY(fd, "\x20\x0c\x00\x00\x09\x27\x00\x00\x00\x14\x24\x01\x25\x00");
    peer_await_events(p, MQTT_CONNECTED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_CONNECTED, 0)->broker_packet_bytes_max, 20);
    /* 2 of header, 2 + 1 of topic, 2 of packet id, 1 of properties: 12 are left. */
    ck_assert_int_eq(
        mqtt_publish(p->client, "t", text_of("0123456789abc"), 1, true, NULL, 1),
        BRINK_E_RANGE);
    ck_assert_int_eq(
        mqtt_publish(p->client, "t", text_of("0123456789ab"), 2, true, NULL, 1),
        BRINK_OK);
    unsigned char head[2];
    read_fully(fd, head, 2);
    ck_assert_int_eq(head[0], 0x32); /* QoS 1, not retained */
    ck_assert_int_eq(head[1], 18);
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_content_type_is_sent)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", 5);
    struct peer *p = peer_new(&o);
    int fd = meet(p, 5, false);
    ck_assert_int_eq(
        mqtt_publish(p->client, "t", text_of("{}"), 0, false, "application/json", 1),
        BRINK_OK);
    size_t n = expect_packet(fd, PUBLISH, body);
    ck_assert_uint_eq(n, 3 + 1 + 3 + 16 + 2);
    ck_assert_int_eq(memcmp(body + 3,
                            "\x13\x03\x00\x10"
                            "application/json{}",
                            22),
                     0);
    peer_await_events(p, MQTT_PUBLISHED, 1); /* QoS 0: once written */
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_reasons_of_the_broker_are_told)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", 5);
    struct peer *p = peer_new(&o);
    int fd = meet(p, 5, false);
    ck_assert_int_eq(mqtt_publish(p->client, "t", text_of("x"), 1, false, NULL, 9),
                     BRINK_OK);
    (void)expect_packet(fd, PUBLISH, body);
    char puback[] = {0x40, 3, (char)body[3], (char)body[4], (char)0x87};
    say(fd, puback, sizeof(puback));
    peer_await_events(p, MQTT_REFUSED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_REFUSED, 0)->tag, 9);
    ck_assert_int_eq(peer_event(p, MQTT_REFUSED, 0)->reason, 0x87);

    ck_assert_int_eq(mqtt_subscribe(p->client, "f", 1, 4), BRINK_OK);
    (void)expect_packet(fd, SUBSCRIBE, body);
    char suback[] = {(char)0x90, 4, (char)body[0], (char)body[1], 0, (char)0x87};
    say(fd, suback, sizeof(suback));
    peer_await_events(p, MQTT_SUBSCRIBED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_SUBSCRIBED, 0)->tag, 4);
    ck_assert_int_eq(peer_event(p, MQTT_SUBSCRIBED, 0)->reason, 0x87);

    SAY(fd, "\xe0\x02\x8e\x00"); /* DISCONNECT: session taken over */
    (void)close(fd);
    peer_await_events(p, MQTT_LOST, 1);
    ck_assert_ptr_nonnull(strstr(peer_event(p, MQTT_LOST, 0)->why, "taken over"));

    fd = take(p);
    (void)expect_packet(fd, CONNECT, body);
    SAY(fd, "\x20\x03\x00\x87\x00");
    peer_await_events(p, MQTT_CONNECT_FAILED, 1);
    ck_assert_int_eq(peer_event(p, MQTT_CONNECT_FAILED, 0)->reason, 0x87);
    ck_assert_ptr_nonnull(
        strstr(peer_event(p, MQTT_CONNECT_FAILED, 0)->why, "Not authorized"));
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_refused_unsubscription_is_told)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", 5);
    struct peer *p = peer_new(&o);
    int fd = meet(p, 5, false);
    ck_assert_int_eq(mqtt_unsubscribe(p->client, "f", 3), BRINK_OK);
    (void)expect_packet(fd, UNSUBSCRIBE, body);
    char unsuback[] = {(char)0xb0, 4, (char)body[0], (char)body[1], 0, (char)0x87};
    say(fd, unsuback, sizeof(unsuback));
    peer_await_events(p, MQTT_UNSUBSCRIBED, 1);
    ck_assert_uint_eq(peer_event(p, MQTT_UNSUBSCRIBED, 0)->tag, 3);
    ck_assert_int_eq(peer_event(p, MQTT_UNSUBSCRIBED, 0)->reason, 0x87);
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_larger_packets_are_announced_by_connecting_anew)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", 5);
    o.session_expiry_us = 3600 * US_PER_S;
    o.packet_bytes_max = 70000;
    struct peer *p = peer_new(&o);
    int fd = meet(p, 5, false);
    mqtt_client_announce(p->client, 60000); /* less: no reason to lose the connection */
    ck_assert(is_silent(fd, p, 200));
    ck_assert_uint_eq(peer_events(p, MQTT_LOST), 0);
    mqtt_client_announce(p->client, 80000);
    peer_await_events(p, MQTT_LOST, 1);
    int again = take(p);
    size_t n = expect_packet(again, CONNECT, body);
    ck_assert_uint_gt(n, 21);
    ck_assert_int_eq(memcmp(body + 16, "\x27\x00\x01\x38\x80", 5), 0);
    SAY(again, "\x20\x03\x01\x00\x00");
    peer_await_events(p, MQTT_CONNECTED, 2);
    ck_assert(is_silent(again, p, 200));
    ck_assert_uint_eq(peer_events(p, MQTT_LOST), 1);
    (void)close(fd);
    (void)close(again);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_broker_that_never_answers_is_given_up)
{
    unsigned char body[128];
    struct mqtt_options o = peer_options(&url, "a", versions[_i]);
    struct peer *p = peer_new(&o);
    int fd = take(p);
    (void)expect_packet(fd, CONNECT, body);
    struct mono later = {clock_system.mono(clock_system.ctx).us + 60 * US_PER_S}, wake;
    mqtt_client_step(p->client, later, &wake);
    peer_await_events(p, MQTT_CONNECT_FAILED, 1);
    /* And the next attempt is a whole one. */
    int second = -1;
    for (int i = 0; i < 100 && second < 0; i++) {
        later.us += US_PER_S;
        mqtt_client_step(p->client, later, &wake);
        struct pollfd f = {.fd = listener, .events = POLLIN};
        second = poll(&f, 1, 100) > 0 ? accept(listener, NULL, NULL) : -1;
    }
    ck_assert_int_ge(second, 0);
    (void)expect_packet(second, CONNECT, body);
    (void)close(second);
    (void)close(fd);
    peer_free(p, 0);
}
END_TEST

START_TEST(test_pauses_grow_with_jitter_from_100_ms_to_30_s)
{
    teardown(); /* refused at once */
    struct mqtt_options o = peer_options(&url, "a", 3);
    struct peer *p = peer_new(&o);
    struct mono now = {1000 * US_PER_S}, wake;
    mqtt_client_step(p->client, now, &wake);
    int64_t nominal = 100 * US_PER_MS;
    for (int i = 0; i < 12; i++) {
        struct mqtt_event e;
        while (!mqtt_next_event(p->client, &e)) {
            struct pollfd fd = {.fd = p->wake_fd, .events = POLLIN};
            ck_assert_int_eq(poll(&fd, 1, WAIT_MS), 1);
        }
        ck_assert_int_eq(e.kind, MQTT_CONNECT_FAILED);
        mqtt_client_step(p->client, now, &wake);
        int64_t pause = wake.us - now.us;
        ck_assert_int_ge(pause, nominal / 2);
        ck_assert_int_le(pause, nominal);
        nominal = nominal * 2 > 30 * US_PER_S ? 30 * US_PER_S : nominal * 2;
        now = wake;
        mqtt_client_step(p->client, now, &wake);
    }
    peer_free(p, 0);
    setup();
}
END_TEST

static Suite *session_suite(void)
{
    Suite *s = suite_create("mqtt session");
    TCase *t = tcase_create("session");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_qos_2_message_survives_a_loss_between_pubrec_and_pubrel,
                        0, 2);
    tcase_add_loop_test(t, test_repeated_qos_2_message_is_delivered_once, 0, 2);
    tcase_add_loop_test(t, test_clean_client_never_resends_what_was_in_flight, 0, 2);
    tcase_add_loop_test(t, test_answers_of_an_old_connection_are_not_told, 0, 2);
    tcase_add_test(t, test_what_the_broker_announces_is_kept_to);
    tcase_add_test(t, test_content_type_is_sent);
    tcase_add_test(t, test_reasons_of_the_broker_are_told);
    tcase_add_test(t, test_refused_unsubscription_is_told);
    tcase_add_test(t, test_larger_packets_are_announced_by_connecting_anew);
    tcase_add_loop_test(t, test_broker_that_never_answers_is_given_up, 0, 2);
    tcase_add_test(t, test_pauses_grow_with_jitter_from_100_ms_to_30_s);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(session_suite());
}
